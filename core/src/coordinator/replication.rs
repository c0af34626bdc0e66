//! Waiting for replicas: the transactions that wait at one node share its rounds.

use alloc::vec::Vec;

use super::machines::{Entries, Kind, Machines};
use super::{Coordinator, ReplyTarget, Timer};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::machine::Machine;
use crate::machine::Refused;
use crate::redis::{NodeId, Reply};
use crate::transaction::effect::Outcome;
use crate::transaction::{
    Attempt, Copied, Copies, Effect, Handle, Op, Replication, Transaction, TransactionPlan, Txid,
};

impl Kind for Replication {
    type Id = NodeId;
    type Notes = ();

    const TIMER: fn(NodeId) -> Timer = Timer::Replication;
    const ENTRIES: fn(&mut Machines) -> &mut Entries<Self> = |machines| &mut machines.replications;

    fn apply(core: &mut Coordinator, node: NodeId, effects: Vec<Effect>, _: bool) {
        for effect in effects {
            match effect {
                Effect::Wait { attempt, confirm, replicas, span, deadline } => {
                    // In this order, and with nothing in between.
                    let target = ReplyTarget::Confirm(node, attempt);
                    core.send_transaction(target, node, &Op::Confirm(confirm), deadline, true);
                    let target = ReplyTarget::Wait(node, attempt);
                    core.send_wait(target, node, replicas, span, deadline);
                }
                Effect::Copied { txid, copied } => core.on_copied(node, txid, copied),
                _ => {}
            }
        }
    }
}

impl Coordinator {
    fn on_copied(&mut self, node: NodeId, txid: Txid, copied: Copied) {
        let id = self.id_in_ring(node).unwrap_or_default().to_vec();
        self.step::<Transaction, _>(txid, true, |machine, cx| {
            if let Some(place) = machine.place_of(&id) {
                machine.on_copied(place, copied, cx);
            }
        });
    }

    pub(super) fn on_wait_reply(&mut self, node: NodeId, attempt: Attempt, reply: &Reply) {
        self.step::<Replication, _>(node, true, |machine, cx| {
            let refused = match reply {
                Reply::Integer(count) if let Ok(count) = u32::try_from(*count) => {
                    return machine.on_waited(attempt, count, cx);
                }
                Reply::Error(text) => Refused::of(text),
                _ => {
                    let message = "the server's answer to WAIT is not a number";
                    Refused::new(Error::new(ErrorCode::Unsupported, message), false, true)
                }
            };
            machine.on_outcome(attempt, Outcome::Refused(refused), cx);
        });
    }

    /// Emits `TransactionNotDurable` for each node where too few replicas have it. Gives how many have it
    /// at every node.
    pub(super) fn emit_not_durable(
        &mut self,
        transaction: Handle,
        id: &[u8],
        plan: &TransactionPlan,
        copies: Vec<Copies>,
    ) -> u32 {
        let least = copies.iter().map(|copies| copies.replicas).min();
        for (part, Copies { replicas, error }) in plan.parts.iter().zip(copies) {
            let (Some(error), Some(node)) = (error, self.node_named(&part.participant)) else {
                continue;
            };
            let id = id.to_vec();
            let error = error.at(node);
            let event = Event::TransactionNotDurable { transaction, id, node, replicas, error };
            self.emit(event);
        }
        least.unwrap_or(0)
    }
}
