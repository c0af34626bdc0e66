//! Ending what other clients have left: recoveries of single transactions, and sweeps over all nodes.

use alloc::vec::Vec;

use super::machines::{Entries, Entry, Kind, Machines};
use super::{Coordinator, ReplyTarget, Timer};
use crate::error::Error;
use crate::event::{CallId, Event, TransactionOutcome};
use crate::redis::{NodeId, Origin};
use crate::time::Span;
use crate::transaction::{
    Effect, LockConflict, Recovery, RecoveryOutcome, SweepOptions, Sweeper, Task, TransactionId,
    Txid, WATCH,
};

/// Other clients may have found the same lock: each begins within this time.
const STAGGER: Span = Span::from_millis(10);
/// The most transactions whose first conflict is remembered.
const REMEMBERED: usize = 1_024;

/// What the coordinator notes of a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RecoveryNotes {
    /// The calls that wait for its end.
    calls: Vec<CallId>,
    /// Where else a lock of the transaction was found meanwhile.
    elsewhere: Vec<Vec<u8>>,
}

impl Kind for Recovery {
    type Id = Txid;
    type Notes = RecoveryNotes;

    const TIMER: fn(Txid) -> Timer = Timer::Recovery;
    const ENTRIES: fn(&mut Machines) -> &mut Entries<Self> = |machines| &mut machines.recoveries;

    fn apply(core: &mut Coordinator, txid: Txid, effects: Vec<Effect>, _: bool) {
        for effect in effects {
            match effect {
                Effect::Send { attempt, to, op, deadline, background } => {
                    let target = ReplyTarget::Recovery(txid, attempt);
                    match core.node_named(&to) {
                        Some(node) => {
                            core.send_transaction(target, node, &op, deadline, background);
                        }
                        None => drop(core.step::<Self, _>(txid, background, |machine, cx| {
                            machine.on_unknown_node(attempt, cx);
                        })),
                    }
                }
                Effect::Recovered(outcome) => core.on_recovery_outcome(txid, outcome),
                Effect::Damaged { at } => {
                    let id =
                        core.machines.recoveries.get(&txid).map(|entry| entry.machine.id().clone());
                    core.on_damaged(id, &at);
                }
                _ => {}
            }
        }
    }

    fn on_end(core: &mut Coordinator, _: Txid, Entry { machine, notes, .. }: Entry<Self>) {
        // The finder of one of these locks may not ask again, as a sweep does not.
        let left = notes.elsewhere.into_iter().filter_map(|place| machine.left_at(place));
        left.for_each(|task| core.recover(task, None, true));
    }
}

impl Kind for Sweeper {
    type Id = CallId;
    type Notes = ();

    const TIMER: fn(CallId) -> Timer = Timer::Sweep;
    const ENTRIES: fn(&mut Machines) -> &mut Entries<Self> = |machines| &mut machines.sweeps;

    fn apply(core: &mut Coordinator, call: CallId, effects: Vec<Effect>, _: bool) {
        for effect in effects {
            match effect {
                Effect::Send { attempt, to, op, deadline, background } => {
                    let target = ReplyTarget::Sweep(call, attempt);
                    match core.node_named(&to) {
                        Some(node) => {
                            core.send_transaction(target, node, &op, deadline, background);
                        }
                        None => drop(core.step::<Self, _>(call, background, |machine, cx| {
                            machine.on_unknown_node(attempt, cx);
                        })),
                    }
                }
                // Our own are on their way.
                Effect::Recover(task) if core.machines.transactions.contains_key(&task.id.txid) => {
                }
                Effect::Recover(task) => core.recover(task, None, true),
                Effect::Swept { count, unreadable, failed } => {
                    core.stats.transaction_unreadable += unreadable;
                    core.emit(match failed {
                        None => Event::TransactionSwept { call, count, unreadable },
                        Some((at, error)) => {
                            let node = core.node_named(&at).unwrap_or(NodeId(0));
                            Event::CallFailed { call, node, error }
                        }
                    });
                }
                _ => {}
            }
        }
    }
}

impl Coordinator {
    /// A lock of somebody else's transaction is in the way.
    pub(super) fn on_lock_conflict(&mut self, txid: Txid, conflict: &LockConflict) {
        let holder = conflict.holder.txid;
        if self.machines.transactions.contains_key(&holder) {
            return; // our own, which is on its way
        }
        let participant = self
            .machines
            .transactions
            .get(&txid)
            .and_then(|e| e.machine.participant(conflict.place));
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
        if let Some(entry) = self.machines.recoveries.get_mut(&txid) {
            let RecoveryNotes { calls, elsewhere } = &mut entry.notes;
            calls.extend(call);
            let new = task.locked_at.filter(|id| !elsewhere.contains(id));
            elsewhere.extend(new);
            self.step::<Recovery, _>(txid, background, |machine, cx| {
                machine.allow(task.heuristic);
                machine.expedite(cx);
                if call.is_some() {
                    machine.skip_pauses(cx);
                }
            });
            return;
        }
        self.stats.transaction_recoveries += 1;
        let delay = if call.is_some() { Span::ZERO } else { STAGGER };
        let notes = RecoveryNotes { calls: call.into_iter().collect(), elsewhere: Vec::new() };
        self.insert(txid, notes, background, |cx| Recovery::new(task, delay, cx));
    }

    /// A participant goes without what was decided, or against what may have been.
    pub(super) fn on_damaged(&mut self, id: Option<TransactionId>, at: &[u8]) {
        if let (Some(id), Some(node)) = (id, self.node_named(at)) {
            self.emit(Event::TransactionDamaged { id: id.to_text(), node });
        }
    }

    fn on_recovery_outcome(&mut self, txid: Txid, outcome: RecoveryOutcome) {
        self.first_conflict_at.remove(&txid);
        let Some(entry) = self.machines.recoveries.get_mut(&txid) else { return };
        let (calls, id) = (core::mem::take(&mut entry.notes.calls), entry.machine.id().clone());
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
        let call = self.machines.recoveries.get(&txid).and_then(|entry| entry.notes.calls.first());
        call.map_or(Origin::Background, |CallId(number)| Origin::Operation(*number))
    }

    /// Ends the calls that wait for a recovery or a sweep: the coordinator closes.
    pub(super) fn close_recoveries(&mut self, error: &Error) {
        let mut calls = Vec::new();
        self.machines.recoveries.each_mut(|entry| calls.append(&mut entry.notes.calls));
        calls.extend(core::mem::take(&mut self.machines.sweeps).keys());
        for call in calls {
            let (node, error) = (NodeId(0), error.clone());
            self.emit(Event::CallFailed { call, node, error });
        }
    }

    // Sweeps.

    pub(super) fn begin_sweep(&mut self, options: SweepOptions) -> CallId {
        let call = CallId(self.next_operation());
        let participants = self.ring.nodes().iter().map(|spec| spec.id.clone()).collect();
        self.insert(call, (), false, |cx| Sweeper::new(participants, options, cx));
        call
    }
}
