//! Ending what other clients have left: recoveries of single transactions, and sweeps over all nodes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Coordinator, ReplyTarget, Timer};
use crate::error::Error;
use crate::event::{CallId, Event, TransactionOutcome};
use crate::redis::{NodeId, Origin};
use crate::time::{Span, Time};
use crate::transaction::effect::Cx;
use crate::transaction::recovery::{Recovery, WATCH};
use crate::transaction::sweep::Sweeper;
use crate::transaction::{
    Effect, LockConflict, RecoveryOutcome, SweepOptions, Task, TransactionId, Txid,
};

/// Other clients may have found the same lock: each begins within this time.
const STAGGER: Span = Span::from_millis(10);
/// The most transactions whose first conflict is remembered.
const REMEMBERED: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RecoveryEntry {
    machine: Recovery,
    id: TransactionId,
    /// The calls that wait for its end.
    calls: Vec<CallId>,
    /// Where else a lock of the transaction was found meanwhile.
    elsewhere: Vec<Vec<u8>>,
    scheduled_at: Option<Time>,
}

impl Coordinator {
    /// A lock of somebody else's transaction is in the way.
    pub(super) fn on_lock_conflict(&mut self, txid: Txid, conflict: &LockConflict) {
        let holder = conflict.holder.txid;
        if self.transactions.contains_key(&holder) {
            return; // our own, which is on its way
        }
        let participant =
            self.transactions.get(&txid).and_then(|e| e.machine.participant(conflict.place));
        let known = self.first_conflict_at.get(&holder).map(|(first, _)| *first);
        if known.is_none() && self.first_conflict_at.len() >= REMEMBERED {
            // The transaction that was found last the longest time ago is most likely over.
            let oldest = self.first_conflict_at.iter().min_by_key(|(_, (_, last))| *last);
            if let Some(oldest) = oldest.map(|(txid, _)| *txid) {
                self.first_conflict_at.remove(&oldest);
            }
        }
        let first = known.unwrap_or(self.now);
        self.first_conflict_at.insert(holder, (first, self.now));
        if conflict.expired || self.now.since(first) >= WATCH {
            let (id, locked_at) = (conflict.holder.clone(), participant);
            let task = Task { id, locked_at, expired: true, heuristic: None };
            self.recover(task, None, true);
        }
    }

    /// Ends a transaction of somebody else; nobody begins twice.
    pub(super) fn recover(&mut self, task: Task, call: Option<CallId>, background: bool) {
        let txid = task.id.txid;
        if let Some(entry) = self.recoveries.get_mut(&txid) {
            entry.calls.extend(call);
            let new = task.locked_at.filter(|id| !entry.elsewhere.contains(id));
            entry.elsewhere.extend(new);
            return self.step_recovery(txid, background, |machine, cx| {
                machine.allow(task.heuristic);
                machine.expedite(cx);
                if call.is_some() {
                    machine.skip_pauses(cx);
                }
            });
        }
        let (id, delay) = (task.id.clone(), if call.is_some() { Span::ZERO } else { STAGGER });
        let mut effects = Vec::new();
        let mut cx =
            Cx::new(self.now, self.timeout, &mut self.entropy, &mut effects, background, ());
        let machine = Recovery::new(task, delay, &mut cx);
        let calls = call.into_iter().collect();
        let entry = RecoveryEntry { machine, id, calls, elsewhere: Vec::new(), scheduled_at: None };
        self.recoveries.insert(txid, Box::new(entry));
        self.stats.transaction_recoveries += 1;
        self.apply_recovery_effects(txid, effects);
    }

    pub(super) fn step_recovery(
        &mut self,
        txid: Txid,
        background: bool,
        step: impl FnOnce(&mut Recovery, &mut Cx<'_>),
    ) {
        let mut effects = Vec::new();
        let Some(entry) = self.recoveries.get_mut(&txid) else { return };
        let mut cx =
            Cx::new(self.now, self.timeout, &mut self.entropy, &mut effects, background, ());
        step(&mut entry.machine, &mut cx);
        self.apply_recovery_effects(txid, effects);
    }

    fn apply_recovery_effects(&mut self, txid: Txid, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { attempt, to, op, deadline, background } => {
                    let target = ReplyTarget::Recovery(txid, attempt);
                    match self.node_named(&to) {
                        Some(node) => {
                            self.send_transaction(target, node, &op, deadline, background);
                        }
                        None => self.step_recovery(txid, background, |machine, cx| {
                            machine.on_unknown_node(attempt, cx);
                        }),
                    }
                }
                Effect::Recovered(outcome) => self.on_recovery_outcome(txid, outcome),
                Effect::Damaged { at } => self.on_damaged_by_recovery(txid, &at),
                _ => {}
            }
        }
        let Some(entry) = self.recoveries.get_mut(&txid) else { return };
        let (done, wanted) = (entry.machine.is_done(), entry.machine.deadline());
        self.timers.adjust(Timer::Recovery(txid), &mut entry.scheduled_at, wanted);
        if done && let Some(entry) = self.recoveries.remove(&txid) {
            let RecoveryEntry { machine, elsewhere, .. } = *entry;
            // The finder of one of these locks may not ask again, as a sweep does not.
            let left = elsewhere.into_iter().filter_map(|place| machine.left_at(place));
            left.for_each(|task| self.recover(task, None, true));
        }
    }

    /// It goes without what was decided, or against what may have been.
    fn on_damaged_by_recovery(&mut self, txid: Txid, at: &[u8]) {
        let (Some(entry), Some(node)) = (self.recoveries.get(&txid), self.node_named(at)) else {
            return;
        };
        let event = Event::TransactionDamaged { id: entry.id.to_text(), node };
        self.emit(event);
    }

    fn on_recovery_outcome(&mut self, txid: Txid, outcome: RecoveryOutcome) {
        self.first_conflict_at.remove(&txid);
        let Some(entry) = self.recoveries.get_mut(&txid) else { return };
        let (calls, id) = (core::mem::take(&mut entry.calls), entry.id.clone());
        let primary = self.node_named(&id.primary).unwrap_or(NodeId(0));
        let outcome = match outcome {
            RecoveryOutcome::Committed => Ok(TransactionOutcome::Committed),
            RecoveryOutcome::Aborted => Ok(TransactionOutcome::Aborted),
            RecoveryOutcome::Forgotten => Ok(TransactionOutcome::Forgotten),
            RecoveryOutcome::Unheard => Ok(TransactionOutcome::Unheard),
            RecoveryOutcome::Failed(error) => Err(error),
        };
        for call in calls {
            let event = match &outcome {
                Ok(outcome) => {
                    Event::TransactionResolved { call, id: id.to_text(), outcome: *outcome }
                }
                Err(error) => {
                    let node = error.node().unwrap_or(primary);
                    Event::CallFailed { call, node, error: error.clone() }
                }
            };
            self.emit(event);
        }
    }

    /// The operation that a command of a recovery serves.
    pub(super) fn resolving(&self, txid: Txid) -> Origin {
        let call = self.recoveries.get(&txid).and_then(|entry| entry.calls.first());
        call.map_or(Origin::Background, |CallId(number)| Origin::Operation(*number))
    }

    /// Ends the calls that wait for a recovery or a sweep: the coordinator closes.
    pub(super) fn close_recoveries(&mut self, error: &Error) {
        let mut calls = Vec::new();
        self.recoveries.each_mut(|entry| calls.append(&mut entry.calls));
        calls.extend(core::mem::take(&mut self.sweeps).keys());
        for call in calls {
            let (node, error) = (NodeId(0), error.clone());
            self.emit(Event::CallFailed { call, node, error });
        }
    }

    pub(super) fn on_recovery_timeout(&mut self, txid: Txid) {
        if let Some(entry) = self.recoveries.get_mut(&txid) {
            entry.scheduled_at = None;
        }
        self.step_recovery(txid, true, Recovery::on_timeout);
    }

    // Sweeps.

    pub(super) fn begin_sweep(&mut self, options: SweepOptions) -> CallId {
        let call = CallId(self.next_operation());
        let participants = self.ring.nodes().iter().map(|spec| spec.id.clone()).collect();
        let mut effects = Vec::new();
        let mut cx = Cx::new(self.now, self.timeout, &mut self.entropy, &mut effects, false, ());
        let machine = Sweeper::new(participants, options, &mut cx);
        self.sweeps.insert(call, machine);
        self.apply_sweep_effects(call, effects);
        call
    }

    pub(super) fn step_sweep(
        &mut self,
        call: CallId,
        background: bool,
        step: impl FnOnce(&mut Sweeper, &mut Cx<'_>),
    ) {
        let mut effects = Vec::new();
        let Some(machine) = self.sweeps.get_mut(&call) else { return };
        let mut cx =
            Cx::new(self.now, self.timeout, &mut self.entropy, &mut effects, background, ());
        step(machine, &mut cx);
        self.apply_sweep_effects(call, effects);
    }

    fn apply_sweep_effects(&mut self, call: CallId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { attempt, to, op, deadline, background } => {
                    let target = ReplyTarget::Sweep(call, attempt);
                    match self.node_named(&to) {
                        Some(node) => {
                            self.send_transaction(target, node, &op, deadline, background);
                        }
                        None => self.step_sweep(call, background, |machine, cx| {
                            machine.on_unknown_node(attempt, cx);
                        }),
                    }
                }
                // Our own are on their way.
                Effect::Recover(task) if self.transactions.contains_key(&task.id.txid) => {}
                Effect::Recover(task) => self.recover(task, None, true),
                Effect::Swept { count, unreadable, failed } => {
                    self.stats.transaction_unreadable += unreadable;
                    self.emit(match failed {
                        None => Event::TransactionSwept { call, count, unreadable },
                        Some((at, error)) => {
                            let node = self.node_named(&at).unwrap_or(NodeId(0));
                            Event::CallFailed { call, node, error }
                        }
                    });
                }
                _ => {}
            }
        }
        if self.sweeps.get(&call).is_some_and(Sweeper::is_done) {
            self.sweeps.remove(&call);
        }
    }
}
