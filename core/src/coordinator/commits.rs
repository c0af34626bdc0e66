//! Letting the machines of transactions work, and doing what they want done.

use alloc::vec::Vec;

use super::dispatch::Read;
use super::machines::{Entries, Entry, Kind, Machines};
use super::transaction_calls::{Concern, Stage};
use super::{Coordinator, ReplyTarget, Request, Timer};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::machine::Outcome;
use crate::redis::{NodeId, Reply};
use crate::transaction::{Answer, Effect, Handle, Rejection, Replication, Slot, Transaction, Txid};

/// What the coordinator notes of a transaction under one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TransactionNotes {
    /// Its handle, by which its user knows it.
    pub(super) handle: Handle,
    pub(super) concern: Concern,
}

impl Kind for Transaction {
    type Id = Txid;
    type Notes = TransactionNotes;

    const TIMER: fn(Txid) -> Timer = Timer::Transaction;
    const ENTRIES: fn(&mut Machines) -> &mut Entries<Self> = |machines| &mut machines.transactions;

    fn apply(core: &mut Coordinator, txid: Txid, effects: Vec<Effect>, background: bool) {
        for effect in effects {
            match effect {
                Effect::Send { attempt, to, op, deadline, background } => {
                    let target = ReplyTarget::Transaction(txid, attempt);
                    // Its plan is of this ring.
                    let Some(node) = core.node_named(&to) else { continue };
                    if !core.is_notified(txid) || core.admits(node, target) {
                        core.send_transaction(target, node, &op, deadline, background);
                    }
                }
                Effect::Ended(ending) => core.on_ending(txid, ending, background),
                Effect::LockConflict(conflict) => core.on_lock_conflict(txid, &conflict),
                Effect::Damaged { at } => {
                    let id = core.machines.transactions.get(&txid).map(|entry| entry.machine.id());
                    core.on_damaged(id, &at);
                }
                Effect::Replicate { to, replicas, until } => {
                    core.release_keys(txid);
                    if let Some(node) = core.node_named(&to) {
                        core.step::<Replication, _>(node, true, |machine, cx| {
                            machine.join(txid, replicas, until, cx);
                        });
                    }
                }
                _ => {}
            }
        }
    }

    fn on_end(core: &mut Coordinator, txid: Txid, Entry { machine, .. }: Entry<Self>) {
        for id in machine.participants() {
            let node = core.node_named(&id);
            if let Some(entry) = node.and_then(|node| core.machines.replications.get_mut(&node)) {
                entry.machine.leave(txid);
            }
        }
        match machine.slot() {
            None | Some(Slot::Free) => core.sessions.give_back(txid),
            Some(Slot::Kept) => {
                let primary = core.node_named(&machine.id().primary).unwrap_or(NodeId(0));
                core.sessions.keep(txid, primary, core.clock_of(primary));
            }
            Some(Slot::Pinned) => core.sessions.pin(txid),
        }
        core.finish_closing();
    }
}

impl Read for Answer {
    /// Keeps the time of the server's clock that is in it.
    fn read(core: &mut Coordinator, pending: &Request, reply: &Reply) -> Outcome<Self> {
        let outcome = pending.outcome(reply, Self::decode(reply));
        if let Outcome::Answered(
            Self::Prepared { now, .. }
            | Self::Stale { now }
            | Self::Refused { why: Rejection::Locked { now, .. }, .. },
            sent_at,
        ) = outcome
        {
            core.on_clock(pending.node, sent_at, now);
        }
        outcome
    }
}

impl Coordinator {
    /// Whether nobody waits for a transaction any more.
    fn is_notified(&self, txid: Txid) -> bool {
        self.machines.transactions.get(&txid).is_some_and(|entry| entry.machine.is_notified())
    }

    /// The time for a graceful end is over.
    pub(super) fn drop_transactions(&mut self) {
        let left: Vec<_> = self.transaction_calls.keys().copied().collect();
        for handle in left {
            let message = "the coordinator was closed before the servers answered";
            let error = Error::new(ErrorCode::OutcomeUnknown, message);
            let running = self.transaction_calls.get(&handle).and_then(|u| match u.stage {
                Stage::Running(txid) => self.machines.transactions.get(&txid),
                _ => None,
            });
            let id = running.map(|entry| entry.machine.id().to_text()).unwrap_or_default();
            let error = match self.awaited_by(handle) {
                Some(node) => error.at(node),
                None => error,
            };
            self.end_transaction_call(
                handle,
                Event::TransactionUnknown { transaction: handle, id, error },
            );
        }
        self.machines.transactions.clear();
        self.machines.recoveries.clear();
    }
}
