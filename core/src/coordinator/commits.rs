//! Letting the machines of transactions work, and doing what they want done.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::transaction_calls::{Concern, Stage};
use super::{Coordinator, ReplyTarget, Request, Timer};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::redis::{NodeId, Reply};
use crate::time::Time;
use crate::transaction::commit::Transaction;
use crate::transaction::effect::{Cx, Outcome};
use crate::transaction::{Answer, Begin, Effect, Handle, Rejection, Slot, Txid};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TransactionEntry {
    pub(super) machine: Transaction,
    /// Its handle, by which its user knows it.
    pub(super) handle: Handle,
    pub(super) concern: Concern,
    /// What the timers know of it.
    scheduled_at: Option<Time>,
}

impl Coordinator {
    pub(super) fn add_transaction(&mut self, begin: Begin, handle: Handle, background: bool) {
        let (txid, mut effects) = (begin.txid, Vec::new());
        let mut cx =
            Cx::new(self.now, self.timeout, &mut self.entropy, &mut effects, background, ());
        let machine = Transaction::new(begin, &mut cx);
        let concern = Concern::User;
        let entry = TransactionEntry { machine, handle, concern, scheduled_at: None };
        self.transactions.insert(txid, Box::new(entry));
        self.apply_transaction_effects(txid, effects, background);
    }

    pub(super) fn step_transaction(
        &mut self,
        txid: Txid,
        background: bool,
        step: impl FnOnce(&mut Transaction, &mut Cx<'_>),
    ) {
        let mut effects = Vec::new();
        let Some(entry) = self.transactions.get_mut(&txid) else { return };
        let mut cx =
            Cx::new(self.now, self.timeout, &mut self.entropy, &mut effects, background, ());
        step(&mut entry.machine, &mut cx);
        self.apply_transaction_effects(txid, effects, background);
    }

    fn apply_transaction_effects(&mut self, txid: Txid, effects: Vec<Effect>, background: bool) {
        for effect in effects {
            match effect {
                Effect::Send { attempt, to, op, deadline, background } => {
                    let target = ReplyTarget::Transaction(txid, attempt);
                    // Its plan is of this ring.
                    let Some(node) = self.node_named(&to) else { continue };
                    if !self.is_notified(txid) || self.admits(node, target) {
                        self.send_transaction(target, node, &op, deadline, background);
                    }
                }
                Effect::Ended(ending) => self.on_ending(txid, ending, background),
                Effect::LockConflict(conflict) => self.on_lock_conflict(txid, &conflict),
                Effect::Damaged { at } => self.on_damaged(txid, &at),
                Effect::Replicate { to, replicas, until } => {
                    self.release_keys(txid);
                    if let Some(node) = self.node_named(&to) {
                        self.step_replication(node, |m, cx| m.join(txid, replicas, until, cx));
                    }
                }
                Effect::Recovered(_)
                | Effect::Recover(_)
                | Effect::Swept { .. }
                | Effect::Wait { .. }
                | Effect::Copied { .. } => {}
            }
        }
        let Some(entry) = self.transactions.get_mut(&txid) else { return };
        let (slot, wanted) = (entry.machine.slot(), entry.machine.deadline());
        let primary = entry.machine.id().primary;
        self.timers.adjust(Timer::Transaction(txid), &mut entry.scheduled_at, wanted);
        if let Some(slot) = slot {
            let participants = entry.machine.participants();
            self.transactions.remove(&txid);
            for id in participants {
                let node = self.node_named(&id).map_or(usize::MAX, |node| node.0 as usize);
                if let Some(node) = self.nodes.get_mut(node) {
                    node.replication.leave(txid);
                }
            }
            match slot {
                Slot::Free => self.sessions.give_back(txid),
                Slot::Kept => {
                    let primary = self.node_named(&primary).unwrap_or(NodeId(0));
                    self.sessions.keep(txid, primary, self.clock_of(primary));
                }
                Slot::Pinned => self.sessions.pin(txid),
            }
            self.finish_closing();
        }
    }

    /// Whether nobody waits for a transaction any more.
    fn is_notified(&self, txid: Txid) -> bool {
        self.transactions.get(&txid).is_some_and(|entry| entry.machine.is_notified())
    }

    fn on_damaged(&mut self, txid: Txid, at: &[u8]) {
        let (Some(entry), Some(node)) = (self.transactions.get(&txid), self.node_named(at)) else {
            return;
        };
        let event = Event::TransactionDamaged { id: entry.machine.id().to_text(), node };
        self.emit(event);
    }

    pub(super) fn on_transaction_timeout(&mut self, txid: Txid) {
        if let Some(entry) = self.transactions.get_mut(&txid) {
            entry.scheduled_at = None;
        }
        self.step_transaction(txid, true, Transaction::on_timeout);
    }

    // What comes in.

    /// What a reply means to a transaction. Keeps the time of the server's clock that is in it.
    pub(super) fn transaction_outcome(&mut self, pending: &Request, reply: &Reply) -> Outcome {
        let outcome = pending.outcome(reply, Answer::decode(reply));
        if let Outcome::Answered(
            Answer::Prepared { now, .. }
            | Answer::Stale { now }
            | Answer::Refused { why: Rejection::Locked { now, .. }, .. },
            sent_at,
        ) = outcome
        {
            self.on_clock(pending.node, sent_at, now);
        }
        outcome
    }

    /// What became of a command of a transaction, a recovery, a sweep or a wait for replicas.
    pub(super) fn on_transaction_outcome(
        &mut self,
        target: ReplyTarget,
        background: bool,
        outcome: Outcome,
    ) {
        match target {
            ReplyTarget::Transaction(txid, attempt) => {
                self.step_transaction(txid, background, |m, cx| m.on_outcome(attempt, outcome, cx));
            }
            ReplyTarget::Recovery(txid, attempt) => {
                self.step_recovery(txid, background, |m, cx| m.on_outcome(attempt, outcome, cx));
            }
            ReplyTarget::Sweep(call, attempt) => {
                self.step_sweep(call, background, |m, cx| m.on_outcome(attempt, outcome, cx));
            }
            ReplyTarget::Confirm(node, attempt) | ReplyTarget::Wait(node, attempt) => {
                self.step_replication(node, |m, cx| m.on_outcome(attempt, outcome, cx));
            }
            _ => {}
        }
    }

    /// The time for a graceful end is over.
    pub(super) fn drop_transactions(&mut self) {
        let left: Vec<_> = self.transaction_calls.keys().copied().collect();
        for handle in left {
            let message = "the coordinator was closed before the servers answered";
            let error = Error::new(ErrorCode::OutcomeUnknown, message);
            let running = self.transaction_calls.get(&handle).and_then(|u| match u.stage {
                Stage::Running(txid) => self.transactions.get(&txid),
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
        self.transactions.clear();
        self.recoveries.clear();
    }
}
