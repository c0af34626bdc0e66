//! The verbs of transactions, and what becomes of each: it waits behind others of this coordinator
//! that want the same keys, runs under one id after another until it is decided, and ends.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::commits::TransactionNotes;
use super::queries::QueryKind;
use super::waiting::culprit;
use super::{Coordinator, Lifecycle, Timer};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{CallId, Event, TransactionOutcome};
use crate::redis::{Keys, NodeId, readable};
use crate::ring::Ring;
use crate::stamp::Stamp;
use crate::time::{Span, Time};
use crate::transaction::call::is_locked;
use crate::transaction::effect::WAIT;
use crate::transaction::plan::Places;
use crate::transaction::{
    Begin, Ending, Expectation, Handle, Heuristic, MAX_LIFE, PrepareOrder, Reason, SweepOptions,
    Task, Transaction, TransactionId, TransactionOptions, TransactionPlan, Txid, Words,
};

/// For so long after a conflict, transactions ask one participant after the other.
const CONTENDED: Span = Span::from_millis(100);

/// One whose turn comes with less than this left is not begun: it could only be aborted, or in doubt.
const SHORT: Span = Span::from_millis(1);

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// Behind earlier transactions in the queues of its keys.
    Queued,
    /// The clock of a server is asked for.
    Clocks,
    /// A lock was in its way, and it tries again then.
    Pausing { until: Time },
    /// Under this id.
    Running(Txid),
}

/// A transaction as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TransactionCall {
    plan: Arc<TransactionPlan>,
    options: TransactionOptions,
    /// When it is aborted if it is not decided.
    limit: Time,
    pub(super) stage: Stage,
    /// How often a lock was in its way.
    conflicts: u32,
    /// It was late once: the clock that was known was wrong.
    late: bool,
    /// Why it has not begun.
    pub(super) trouble: Option<Error>,
    /// Which server kept one that was ahead of it from its end.
    pub(super) delayed_by: Option<NodeId>,
    /// When its timer goes off, if it has one.
    scheduled_at: Option<Time>,
}

impl TransactionCall {
    /// All that it wants.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.plan.keys().map(|key| key.name.as_slice())
    }

    /// Its participants for which `wanted` holds.
    pub(super) fn nodes(&self, core: &Coordinator, wanted: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
        let ids = self.plan.parts.iter().map(|part| &part.participant);
        ids.filter_map(|id| core.node_named(id)).filter(|node| wanted(*node)).collect()
    }

    /// The place of a participant, if it is one.
    pub(super) fn place_of(&self, id: &[u8]) -> Option<usize> {
        self.plan.parts.iter().position(|part| part.participant == id)
    }
}

/// What the end of a machine is to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Concern {
    /// The user waits for it.
    User,
    /// The user was notified that it is in doubt.
    Doubt,
    /// Nobody: it was tried again under another id.
    Nobody,
}

struct Placement<'a> {
    keys: &'a Keys,
    ring: &'a Ring,
    stamp: Stamp,
}

impl Places for Placement<'_> {
    fn participant_of(&self, key: &[u8]) -> Option<Vec<u8>> {
        let index = self.ring.node(key)?.number();
        self.ring.nodes().get(index as usize).map(|spec| spec.id.clone())
    }

    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn is_own(&self, key: &[u8]) -> bool {
        self.keys.is_own(key)
    }
}

impl Coordinator {
    /// Executes `commands`, each a name and its arguments, all or none, if all `expectations` are
    /// met. Leads to `TransactionCommitted`, `TransactionFailed` or `TransactionUnknown`.
    ///
    /// # Errors
    /// `Unsupported` for a command that no transaction takes, and one whose keys are on two nodes;
    /// `InvalidArgument`, `LimitExceeded`, `Closed`. Nothing is sent.
    pub fn transaction_execute(
        &mut self,
        commands: &[Words],
        expectations: &[Expectation],
        options: TransactionOptions,
        now: Time,
    ) -> Result<Handle> {
        self.check_open()?;
        options.check()?;
        let places = Placement { keys: &self.keys, ring: &self.ring, stamp: self.stamping.stamp };
        let plan = Arc::new(TransactionPlan::new(commands, expectations, options.copy, &places)?);
        self.advance_now(now);
        let handle = Handle(self.next_operation());
        self.key_queues.join(handle, plan.keys().map(|key| (key.name.as_slice(), key.mode)));
        let limit = self.now + options.timeout.unwrap_or(self.timeout);
        let call = TransactionCall {
            plan,
            options,
            limit,
            stage: Stage::Queued,
            conflicts: 0,
            late: false,
            trouble: None,
            delayed_by: None,
            scheduled_at: None,
        };
        self.transaction_calls.insert(handle, Box::new(call));
        self.stats.transactions += 1;
        self.try_start(handle, false);
        self.reschedule_transaction_call(handle);
        Ok(handle)
    }

    /// Gives a transaction up, unless it is decided: its end is an event all the same. Unknown and ended
    /// ones are no error.
    pub fn transaction_cancel(&mut self, transaction: Handle, now: Time) {
        self.advance_now(now);
        let Some(call) = self.transaction_calls.get(&transaction) else { return };
        match call.stage {
            Stage::Running(txid) => {
                self.step::<Transaction, _>(txid, true, Transaction::cancel);
            }
            _ => self.fail_transaction_call(transaction, Reason::Cancelled),
        }
    }

    /// Asks the primary for the outcome of a transaction, by its id as text. Leads to `TransactionStatus` or
    /// `CallFailed`.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no such text, `InvalidState` for a node that is not known here,
    /// `LimitExceeded`, `Closed`. Nothing is sent.
    pub fn transaction_status(&mut self, id: &[u8], now: Time) -> Result<CallId> {
        self.check_open()?;
        let (id, node) = self.named(id)?;
        self.advance_now(now);
        let key = self.stamping.meta.clone();
        Ok(self.ask(node, QueryKind::Status { key, id }))
    }

    /// Ends a transaction whose client does not: commits it if all have voted for it, and aborts it
    /// otherwise, even if its client lives or has not sent anything yet: what comes then is refused.
    /// Leads to `TransactionResolved` or `CallFailed`. By an id of an earlier version, which does not
    /// tell until when something may come, one of which nothing is recorded stays as it is: `Unheard`.
    ///
    /// `heuristic` is an operator's decision for a transaction whose primary is gone for good: where
    /// the primary does not answer in time, every node that has voted yes is sent it. It may be the
    /// contrary of what the primary had decided: a `TransactionDamaged` names each node that has then
    /// changed its keys, or dropped the change, against what the votes that are left come to.
    ///
    /// # Errors
    /// As [`transaction_status`](Self::transaction_status).
    pub fn transaction_resolve(
        &mut self,
        id: &[u8],
        heuristic: Option<Heuristic>,
        now: Time,
    ) -> Result<CallId> {
        self.check_open()?;
        let (id, _) = self.named(id)?;
        self.advance_now(now);
        let call = CallId(self.next_operation());
        let everybody = || self.ring.nodes().iter().map(|spec| spec.id.clone()).collect();
        let heuristic = heuristic.map(|heuristic| (heuristic, everybody()));
        let task = Task { id, locked_at: None, expired: true, heuristic };
        self.recover(task, Some(call), false);
        Ok(call)
    }

    /// Removes what transactions have left over on every node: locks of clients that vanished, by
    /// ending their transactions, what was kept for late commands, and shadows that nobody will finish.
    /// Leads to `TransactionSwept`, or to `CallFailed` with the first node that could not be swept; all
    /// the others have been by then.
    ///
    /// # Errors
    /// `LimitExceeded`, `Closed`; nothing is sent.
    pub fn transaction_sweep(&mut self, options: SweepOptions, now: Time) -> Result<CallId> {
        self.check_open()?;
        self.advance_now(now);
        Ok(self.begin_sweep(options))
    }

    // Workings.

    fn named(&self, text: &[u8]) -> Result<(TransactionId, NodeId)> {
        let id = TransactionId::parse(text).ok_or_else(|| {
            let shown = readable(text.get(..64).unwrap_or(text));
            Error::invalid(format!("'{shown}' is not the id of a transaction"))
        })?;
        let node = self.node_named(&id.primary).ok_or_else(|| {
            let message = format!("node '{}' is not known here", readable(&id.primary));
            Error::new(ErrorCode::InvalidState, message)
        })?;
        Ok((id, node))
    }

    /// Begins a transaction if no earlier one is before it in the queues of its keys.
    fn try_start(&mut self, handle: Handle, background: bool) {
        let Some(call) = self.transaction_calls.get(&handle) else { return };
        let keys = call.plan.keys().map(|key| key.name.as_slice());
        let short = call.limit.since(self.now) < SHORT;
        if call.stage == Stage::Queued && !short && self.key_queues.may_start(handle, keys) {
            self.begin(handle, background);
        }
    }

    /// Begins under a new id, once the clocks of all participants are known.
    pub(super) fn begin(&mut self, handle: Handle, background: bool) {
        let Some(call) = self.transaction_calls.get_mut(&handle) else { return };
        call.stage = Stage::Clocks;
        let plan = call.plan.clone();
        // One moment for all, so it has to be still to come for the clock that is ahead of the others. By
        // a clock that is behind it comes later than need be, which only keeps records for longer.
        let mut latest = None;
        for id in plan.participants() {
            let Some(node) = self.node_named(&id) else { continue };
            match self.clock_of(node) {
                Some(now) => latest = latest.max(Some(now)),
                None => self.ask_clock(node, handle),
            }
        }
        let known = plan.parts.iter().all(|part| {
            self.node_named(&part.participant).is_some_and(|node| self.clock_of(node).is_some())
        });
        let (Some(server_now), true) = (latest, known) else { return };
        let Some(call) = self.transaction_calls.get_mut(&handle) else { return };
        let contended = call.conflicts > 0 || self.now < self.serialize_until;
        let order = if contended && plan.parts.len() > 1 {
            PrepareOrder::Waiting
        } else {
            PrepareOrder::Parallel
        };
        let (options, limit) = (call.options, call.limit);
        let mut sessions = core::mem::take(&mut self.sessions);
        sessions.release_expired(|node| self.clock_of(node));
        let txid = sessions.take(&mut self.entropy);
        self.sessions = sessions;
        let Some(call) = self.transaction_calls.get_mut(&handle) else { return };
        call.stage = Stage::Running(txid);
        let begin = Begin {
            txid,
            plan,
            not_after: server_now.after(MAX_LIFE),
            patience: options.patience.unwrap_or(self.timeout),
            order,
            ack: options.ack,
            durability: options.durability,
            limit,
        };
        let notes = TransactionNotes { handle, concern: Concern::User };
        self.insert(txid, notes, background, |cx| Transaction::new(begin, cx));
    }

    /// A machine has come to its end, or to doubt.
    pub(super) fn on_ending(&mut self, txid: Txid, ending: Ending, background: bool) {
        let Some(entry) = self.machines.transactions.get_mut(&txid) else { return };
        let TransactionNotes { handle, concern } = entry.notes;
        let named = entry.machine.id();
        let id = named.to_text();
        let outcome = match &ending {
            Ending::Committed { .. } => TransactionOutcome::Committed,
            Ending::Aborted(_) => TransactionOutcome::Aborted,
            Ending::Forgotten | Ending::Unknown(_) => TransactionOutcome::Forgotten,
        };
        entry.notes.concern = match ending {
            Ending::Unknown(_) => Concern::Doubt,
            _ => Concern::Nobody,
        };
        match concern {
            Concern::User => {}
            Concern::Doubt => {
                return self.emit(Event::TransactionEnded { id, outcome });
            }
            Concern::Nobody => return,
        }
        let Some(call) = self.transaction_calls.get_mut(&handle) else { return };
        let plan = call.plan.clone();
        let event = match ending {
            Ending::Committed { replies, applied, copies } => {
                let replicas =
                    copies.map(|copies| self.emit_not_durable(handle, &id, &plan, copies));
                Event::TransactionCommitted {
                    transaction: handle,
                    id,
                    replies: replies.and_then(|parts| plan.replies(parts)),
                    applied,
                    replicas,
                }
            }
            Ending::Aborted(reason) => {
                if self.tries_again(handle, &reason, background) {
                    return;
                }
                let error = self.transaction_error(handle, reason, &plan);
                Event::TransactionFailed { transaction: handle, id, error }
            }
            Ending::Unknown(_) | Ending::Forgotten => {
                let message = format!(
                    "transaction {}: the server that decides did not answer; resolve it by this id",
                    readable(&id)
                );
                let error = Error::new(ErrorCode::OutcomeUnknown, message);
                let error = self.at_participant(error, Some(&named.primary));
                Event::TransactionUnknown { transaction: handle, id, error }
            }
        };
        self.end_transaction_call(handle, event);
    }

    fn at_participant(&self, error: Error, id: Option<&[u8]>) -> Error {
        match id.and_then(|id| self.node_named(id)) {
            Some(node) => error.at(node),
            None => error,
        }
    }

    /// Whether a transaction that was not committed begins again under another id.
    fn tries_again(&mut self, handle: Handle, reason: &Reason, background: bool) -> bool {
        let (locked, late) = (is_locked(reason), matches!(reason, Reason::Late));
        if locked {
            self.serialize_until = self.now + CONTENDED;
        }
        let Some(call) = self.transaction_calls.get_mut(&handle) else { return false };
        if self.lifecycle != Lifecycle::Open || self.now >= call.limit {
            return false;
        }
        if late && !call.late {
            call.late = true;
            for id in call.plan.participants() {
                if let Some(node) = self.node_named(&id) {
                    self.forget_clock(node);
                }
            }
            self.begin(handle, background);
            self.reschedule_transaction_call(handle);
            return true;
        }
        if !locked {
            return false;
        }
        call.conflicts = call.conflicts.saturating_add(1);
        self.stats.transaction_retries += 1;
        let plan = call.plan.clone();
        let trouble = self.transaction_error(handle, reason.clone(), &plan);
        let Some(call) = self.transaction_calls.get_mut(&handle) else { return false };
        call.trouble = Some(trouble);
        if call.plan.parts.len() > 1 {
            self.begin(handle, background);
        } else {
            let until = self.now + WAIT.pause(call.conflicts, &mut self.entropy);
            call.stage = Stage::Pausing { until };
        }
        self.reschedule_transaction_call(handle);
        true
    }

    pub(super) fn on_transaction_call_timeout(&mut self, handle: Handle) {
        let Some(call) = self.transaction_calls.get_mut(&handle) else { return };
        call.scheduled_at = None;
        match call.stage {
            Stage::Running(_) => {}
            _ if self.now >= call.limit => {
                self.fail_transaction_call(handle, Reason::TimedOut);
            }
            Stage::Pausing { until } if self.now >= until => self.begin(handle, true),
            _ => {}
        }
        self.reschedule_transaction_call(handle);
    }

    /// It is over before it has begun, or between two attempts.
    pub(super) fn fail_transaction_call(&mut self, handle: Handle, reason: Reason) {
        let Some(call) = self.transaction_calls.get_mut(&handle) else { return };
        let trouble = call.trouble.take().filter(|_| reason == Reason::TimedOut);
        let plan = call.plan.clone();
        let error = trouble.unwrap_or_else(|| self.transaction_error(handle, reason, &plan));
        let event = Event::TransactionFailed { transaction: handle, id: Vec::new(), error };
        self.end_transaction_call(handle, event);
    }

    /// Fails the transactions that have not begun and cancels the others; what is decided is finished.
    pub(super) fn close_transactions(&mut self) {
        for handle in self.transaction_calls.keys().copied().collect::<Vec<_>>() {
            match self.transaction_calls.get(&handle).map(|call| call.stage) {
                Some(Stage::Running(txid)) => {
                    self.step::<Transaction, _>(txid, true, Transaction::cancel);
                }
                Some(_) => self.fail_transaction_call(handle, Reason::Cancelled),
                None => {}
            }
        }
    }

    pub(super) fn end_transaction_call(&mut self, handle: Handle, event: Event) {
        let Some(call) = self.transaction_calls.remove(&handle) else { return };
        if let Some(at) = call.scheduled_at {
            self.timers.remove(at, Timer::TransactionCall(handle));
        }
        let culprit = match &event {
            Event::TransactionFailed { error, .. } | Event::TransactionUnknown { error, .. } => {
                culprit(error)
            }
            _ => None,
        };
        self.emit(event);
        self.leave_key_queues(handle, &call.plan, culprit);
        self.finish_closing();
    }

    /// Releases its place in the key queues and starts the transactions it was blocking. `culprit` has kept it
    /// from leaving sooner.
    fn leave_key_queues(
        &mut self,
        handle: Handle,
        plan: &TransactionPlan,
        culprit: Option<NodeId>,
    ) {
        for behind in self.key_queues.leave(handle, plan.keys().map(|key| key.name.as_slice())) {
            if let Some(call) = self.transaction_calls.get_mut(&behind) {
                call.delayed_by = culprit.or(call.delayed_by);
            }
            self.try_start(behind, false);
            self.reschedule_transaction_call(behind);
        }
    }

    /// Releases the keys of a transaction that is applied, while its user waits for its replicas.
    pub(super) fn release_keys(&mut self, txid: Txid) {
        let Some(entry) = self.machines.transactions.get(&txid) else { return };
        let TransactionNotes { handle, concern } = entry.notes;
        if concern != Concern::User {
            return;
        }
        if let Some(plan) = self.transaction_calls.get(&handle).map(|u| u.plan.clone()) {
            self.leave_key_queues(handle, &plan, None);
        }
    }

    pub(super) fn reschedule_transaction_call(&mut self, handle: Handle) {
        let Some(call) = self.transaction_calls.get_mut(&handle) else { return };
        let wanted = match call.stage {
            // The machine has the limit.
            Stage::Running(_) => None,
            Stage::Pausing { until } => Some(until.min(call.limit)),
            Stage::Queued | Stage::Clocks => Some(call.limit),
        };
        self.timers.adjust(Timer::TransactionCall(handle), &mut call.scheduled_at, wanted);
    }
}
