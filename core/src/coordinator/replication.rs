//! Waiting for replicas: the transactions that wait at one node share its rounds.

use alloc::vec::Vec;

use super::{Coordinator, ReplyTarget, Timer};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::machine::Refused;
use crate::redis::{NodeId, Reply};
use crate::transaction::effect::{Cx, Outcome};
use crate::transaction::replication::Replication;
use crate::transaction::{self, Attempt, Copied, Copies, Effect, Handle, TransactionPlan, Txid};

impl Coordinator {
    pub(super) fn step_replication(
        &mut self,
        node: NodeId,
        step: impl FnOnce(&mut Replication, &mut Cx<'_>),
    ) {
        let index = node.0 as usize;
        let Some(state) = self.nodes.get_mut(index) else { return };
        let mut effects = Vec::new();
        let mut cx = Cx::new(self.now, self.timeout, &mut self.entropy, &mut effects, true, ());
        step(&mut state.replication, &mut cx);
        for effect in effects {
            match effect {
                Effect::Wait { attempt, confirm, replicas, span, deadline } => {
                    // In this order, and with nothing in between.
                    let op = transaction::Op::Confirm(confirm);
                    self.send_transaction(
                        ReplyTarget::Confirm(node, attempt),
                        node,
                        &op,
                        deadline,
                        true,
                    );
                    let target = ReplyTarget::Wait(node, attempt);
                    self.send_wait(target, node, replicas, span, deadline);
                }
                Effect::Copied { txid, copied } => self.on_copied(node, txid, copied),
                _ => {}
            }
        }
        let Some(state) = self.nodes.get_mut(index) else { return };
        let due = state.replication.deadline();
        self.timers.adjust(Timer::Replication(node), &mut state.replication_scheduled_at, due);
    }

    fn on_copied(&mut self, node: NodeId, txid: Txid, copied: Copied) {
        let id = self.id_in_ring(node).unwrap_or_default().to_vec();
        self.step_transaction(txid, true, |machine, cx| {
            if let Some(place) = machine.place_of(&id) {
                machine.on_copied(place, copied, cx);
            }
        });
    }

    pub(super) fn on_wait_reply(&mut self, node: NodeId, attempt: Attempt, reply: &Reply) {
        self.step_replication(node, |machine, cx| {
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

    pub(super) fn on_replication_timeout(&mut self, node: NodeId) {
        if let Some(state) = self.nodes.get_mut(node.0 as usize) {
            state.replication_scheduled_at = None;
        }
        self.step_replication(node, Replication::on_timeout);
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
