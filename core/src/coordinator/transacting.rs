//! Letting the machines of transactions and of recoveries work, and doing what they want done.

use alloc::vec::Vec;

use super::call::{Call, request_timeout};
use super::refusal::Refusal;
use super::transactions::{Concern, Stage};
use super::{Coordinator, Owner, Request, Timer};
use crate::error::{Error, ErrorCode};
use crate::event::{CallId, Event, TransactionOutcome};
use crate::keyspace::ServerTime;
use crate::redis::{Failure, NodeId, Origin, Reply};
use crate::time::{Span, Time};
use crate::transaction::machine::{Cx, Outcome, Transaction};
use crate::transaction::recovery::{Recovery, WATCH};
use crate::transaction::sweeper::Sweeper;
use crate::transaction::{
    Answer, Attempt, Begin, Effect, Found, Handle, Met, Refusal as Why, Slot, Task, TransactionId,
    Txid,
};

/// Others may have met the same lock: each begins within this time.
const STAGGER: Span = Span::from_millis(10);
/// Of so many transactions it is remembered when they were first met.
const REMEMBERED: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TransactionEntry {
    pub(super) machine: Transaction,
    pub(super) concern: Concern,
    /// What the timers know of it.
    indexed: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RecoveryEntry {
    machine: Recovery,
    id: TransactionId,
    /// Who wants to know.
    calls: Vec<CallId>,
    indexed: Option<Time>,
}

/// What is known of a server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Clock {
    Unknown,
    Asked,
    /// What it showed when a command was sent that was answered with it.
    Known {
        sent_at: Time,
        showed: ServerTime,
    },
}

impl Coordinator {
    pub(super) fn add_transaction(&mut self, begin: Begin, concern: Concern, background: bool) {
        let (txid, mut effects) = (begin.txid, Vec::new());
        let machine = Transaction::new(begin, &mut self.transaction_cx(&mut effects, background));
        self.transactions.insert(txid, TransactionEntry { machine, concern, indexed: None });
        self.settle_transaction(txid, effects, background);
    }

    pub(super) fn with_transaction(
        &mut self,
        txid: Txid,
        background: bool,
        step: impl FnOnce(&mut Transaction, &mut Cx<'_>),
    ) {
        let mut effects = Vec::new();
        let Some(mut entry) = self.transactions.remove(&txid) else { return };
        step(&mut entry.machine, &mut self.transaction_cx(&mut effects, background));
        self.transactions.insert(txid, entry);
        self.settle_transaction(txid, effects, background);
    }

    fn transaction_cx<'a>(&'a mut self, effects: &'a mut Vec<Effect>, background: bool) -> Cx<'a> {
        Cx {
            now: self.now,
            entropy: &mut self.entropy,
            effects,
            request_timeout: request_timeout(self.timeout),
            timeout: self.timeout,
            background,
        }
    }

    fn settle_transaction(&mut self, txid: Txid, effects: Vec<Effect>, background: bool) {
        for effect in effects {
            match effect {
                Effect::Send { attempt, to, op, deadline, background } => {
                    let owner = Owner::Transaction(txid, attempt);
                    // Its plan is of this ring.
                    if let Some(node) = self.node_named(&to) {
                        self.send_transaction(owner, node, &op, deadline, background);
                    }
                }
                Effect::Ended(ending) => self.on_ending(txid, ending, background),
                Effect::Met(met) => self.on_met(txid, &met),
                Effect::Damaged { at } => self.on_damaged(txid, &at),
                Effect::Found(_) | Effect::Recover(_) | Effect::Swept(_) => {}
            }
        }
        let Some(entry) = self.transactions.get_mut(&txid) else { return };
        let (slot, wanted) = (entry.machine.slot(), entry.machine.deadline());
        if entry.indexed != wanted {
            if let Some(old) = core::mem::replace(&mut entry.indexed, wanted) {
                self.timers.remove(&(old, Timer::Transaction(txid)));
            }
            if let Some(new) = wanted {
                self.timers.insert((new, Timer::Transaction(txid)));
            }
        }
        if let Some(slot) = slot {
            self.transactions.remove(&txid);
            match slot {
                Slot::Free => self.sessions.give_back(txid),
                Slot::Pinned => self.sessions.pin(txid),
            }
            self.finish_closing();
        }
    }

    fn on_damaged(&mut self, txid: Txid, at: &[u8]) {
        let (Some(entry), Some(node)) = (self.transactions.get(&txid), self.node_named(at)) else {
            return;
        };
        let event = Event::TransactionDamaged { id: entry.machine.id().to_text(), node };
        self.stats.count(&event);
        self.events.push_back(event);
    }

    pub(super) fn on_transaction_timeout(&mut self, txid: Txid) {
        if let Some(entry) = self.transactions.get_mut(&txid) {
            entry.indexed = None;
        }
        self.with_transaction(txid, true, Transaction::on_timeout);
    }

    // Recoveries.

    /// A lock of somebody else's transaction is in the way.
    fn on_met(&mut self, txid: Txid, met: &Met) {
        let holder = met.holder.txid;
        if self.transactions.contains_key(&holder) {
            return; // our own, which is on its way
        }
        let participant =
            self.transactions.get(&txid).and_then(|e| e.machine.participant(met.place));
        if self.first_met.len() >= REMEMBERED {
            self.first_met.clear();
        }
        let first = *self.first_met.entry(holder).or_insert(self.now);
        if met.expired || self.now.since(first) >= WATCH {
            let (id, not_after) = (met.holder.clone(), met.not_after);
            self.recover(Task { id, not_after, met: participant, expired: true }, None, true);
        }
    }

    /// Ends a transaction of somebody else; nobody begins twice.
    pub(super) fn recover(&mut self, task: Task, call: Option<CallId>, background: bool) {
        let txid = task.id.txid;
        if let Some(entry) = self.recoveries.get_mut(&txid) {
            entry.calls.extend(call);
            return self.with_recovery(txid, background, |machine, cx| machine.hurry(cx));
        }
        let (id, delay) = (task.id.clone(), if call.is_some() { Span::ZERO } else { STAGGER });
        let mut effects = Vec::new();
        let machine =
            Recovery::new(task, delay, &mut self.transaction_cx(&mut effects, background));
        let calls = call.into_iter().collect();
        self.recoveries.insert(txid, RecoveryEntry { machine, id, calls, indexed: None });
        self.stats.transaction_recoveries += 1;
        self.settle_recovery(txid, effects);
    }

    fn with_recovery(
        &mut self,
        txid: Txid,
        background: bool,
        step: impl FnOnce(&mut Recovery, &mut Cx<'_>),
    ) {
        let mut effects = Vec::new();
        let Some(mut entry) = self.recoveries.remove(&txid) else { return };
        step(&mut entry.machine, &mut self.transaction_cx(&mut effects, background));
        self.recoveries.insert(txid, entry);
        self.settle_recovery(txid, effects);
    }

    fn settle_recovery(&mut self, txid: Txid, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { attempt, to, op, deadline, background } => {
                    let owner = Owner::Recovery(txid, attempt);
                    match self.node_named(&to) {
                        Some(node) => {
                            self.send_transaction(owner, node, &op, deadline, background);
                        }
                        None => self.with_recovery(txid, background, |machine, cx| {
                            machine.on_unknown_node(attempt, cx);
                        }),
                    }
                }
                Effect::Found(found) => self.on_found(txid, found),
                Effect::Damaged { .. }
                | Effect::Ended(_)
                | Effect::Met(_)
                | Effect::Recover(_)
                | Effect::Swept(_) => {}
            }
        }
        let Some(entry) = self.recoveries.get_mut(&txid) else { return };
        let (done, wanted) = (entry.machine.is_done(), entry.machine.deadline());
        if entry.indexed != wanted {
            if let Some(old) = core::mem::replace(&mut entry.indexed, wanted) {
                self.timers.remove(&(old, Timer::Recovery(txid)));
            }
            if let Some(new) = wanted {
                self.timers.insert((new, Timer::Recovery(txid)));
            }
        }
        if done {
            self.recoveries.remove(&txid);
        }
    }

    fn on_found(&mut self, txid: Txid, found: Found) {
        self.first_met.remove(&txid);
        let Some(entry) = self.recoveries.get_mut(&txid) else { return };
        let (calls, id) = (core::mem::take(&mut entry.calls), entry.id.clone());
        let node = self.node_named(&id.primary).unwrap_or(NodeId(0));
        let outcome = match found {
            Found::Committed => Ok(TransactionOutcome::Committed),
            Found::Aborted => Ok(TransactionOutcome::Aborted),
            Found::Forgotten => Ok(TransactionOutcome::Forgotten),
            Found::Failed(error) => Err(error),
        };
        for call in calls {
            let event = match &outcome {
                Ok(outcome) => {
                    Event::TransactionResolved { call, id: id.to_text(), outcome: *outcome }
                }
                Err(error) => Event::CallFailed { call, node, error: error.clone() },
            };
            self.events.push_back(event);
        }
    }

    /// Whom a command of a recovery serves.
    pub(super) fn resolving(&self, txid: Txid) -> Origin {
        let call = self.recoveries.get(&txid).and_then(|entry| entry.calls.first());
        call.map_or(Origin::Background, |CallId(number)| Origin::Operation(*number))
    }

    pub(super) fn on_recovery_timeout(&mut self, txid: Txid) {
        if let Some(entry) = self.recoveries.get_mut(&txid) {
            entry.indexed = None;
        }
        self.with_recovery(txid, true, Recovery::on_timeout);
    }

    // What comes in.

    pub(super) fn on_transaction_outcome(
        &mut self,
        owner: Owner,
        outcome: Outcome,
        background: bool,
    ) {
        match owner {
            Owner::Transaction(txid, attempt) => {
                self.with_transaction(txid, background, |m, cx| m.on_outcome(attempt, outcome, cx));
            }
            Owner::Recovery(txid, attempt) => {
                self.with_recovery(txid, background, |m, cx| m.on_outcome(attempt, outcome, cx));
            }
            Owner::Sweep(call, attempt) => {
                self.with_sweep(call, background, |m, cx| m.on_outcome(attempt, outcome, cx));
            }
            _ => {}
        }
    }

    // Sweeps.

    pub(super) fn begin_sweep(&mut self) -> CallId {
        let call = CallId(self.next_operation());
        let participants = self.ring.nodes().iter().map(|spec| spec.id.clone()).collect();
        let mut effects = Vec::new();
        let machine = Sweeper::new(participants, &mut self.transaction_cx(&mut effects, false));
        self.sweeps.insert(call, machine);
        self.settle_sweep(call, effects);
        call
    }

    fn with_sweep(
        &mut self,
        call: CallId,
        background: bool,
        step: impl FnOnce(&mut Sweeper, &mut Cx<'_>),
    ) {
        let mut effects = Vec::new();
        let Some(mut machine) = self.sweeps.remove(&call) else { return };
        step(&mut machine, &mut self.transaction_cx(&mut effects, background));
        self.sweeps.insert(call, machine);
        self.settle_sweep(call, effects);
    }

    fn settle_sweep(&mut self, call: CallId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { attempt, to, op, deadline, background } => {
                    let owner = Owner::Sweep(call, attempt);
                    match self.node_named(&to) {
                        Some(node) => {
                            self.send_transaction(owner, node, &op, deadline, background);
                        }
                        None => self.with_sweep(call, background, |machine, cx| {
                            machine.on_unknown_node(attempt, cx);
                        }),
                    }
                }
                // Our own are on their way.
                Effect::Recover(task) if self.transactions.contains_key(&task.id.txid) => {}
                Effect::Recover(task) => self.recover(task, None, true),
                Effect::Swept(Ok(count)) => {
                    self.events.push_back(Event::TransactionSwept { call, count });
                }
                Effect::Swept(Err(error)) => {
                    let node = NodeId(0);
                    self.events.push_back(Event::CallFailed { call, node, error });
                }
                _ => {}
            }
        }
        if self.sweeps.get(&call).is_some_and(Sweeper::is_done) {
            self.sweeps.remove(&call);
        }
    }

    pub(super) fn on_sweep_script_missing(&mut self, call: CallId, at: Attempt, background: bool) {
        self.with_sweep(call, background, |m, cx| m.on_script_missing(at, cx));
    }

    pub(super) fn on_transaction_script_missing(
        &mut self,
        txid: Txid,
        attempt: Attempt,
        background: bool,
    ) {
        self.with_transaction(txid, background, |m, cx| m.on_script_missing(attempt, cx));
    }

    pub(super) fn on_recovery_script_missing(
        &mut self,
        txid: Txid,
        attempt: Attempt,
        background: bool,
    ) {
        self.with_recovery(txid, background, |m, cx| m.on_script_missing(attempt, cx));
    }

    /// What a reply means to a transaction; what it tells of the server's clock is kept.
    pub(super) fn transaction_outcome(&mut self, pending: &Request, reply: &Reply) -> Outcome {
        if let Reply::Error(text) = reply {
            let Refusal { error, transient, .. } = Refusal::of(text);
            return Outcome::Refused { error, transient };
        }
        let Some(answer) = Answer::decode(reply) else {
            let message = "the server's answer is not one of comity's scripts'";
            let error = Error::new(ErrorCode::Unsupported, message);
            return Outcome::Refused { error, transient: false };
        };
        let showed = match &answer {
            Answer::Prepared { now, .. }
            | Answer::Stale { now }
            | Answer::Refused { why: Why::Locked { now, .. }, .. } => Some(*now),
            _ => None,
        };
        if let Some(showed) = showed {
            self.on_clock(pending.node, pending.sent_at, showed);
        }
        Outcome::Answered(answer)
    }

    // Clocks.

    pub(super) fn node_named(&self, id: &[u8]) -> Option<NodeId> {
        let at = self.ring.nodes().binary_search_by(|spec| spec.id.as_slice().cmp(id)).ok()?;
        u32::try_from(at).ok().map(NodeId)
    }

    /// What the clock of a server shows now, as far as is known.
    pub(super) fn clock_of(&self, node: NodeId) -> Option<ServerTime> {
        match self.nodes.get(node.0 as usize)?.clock {
            Clock::Known { sent_at, showed } => Some(showed.after(self.now.since(sent_at))),
            Clock::Unknown | Clock::Asked => None,
        }
    }

    pub(super) fn forget_clock(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(node.0 as usize)
            && matches!(node.clock, Clock::Known { .. })
        {
            node.clock = Clock::Unknown;
        }
    }

    fn on_clock(&mut self, node: NodeId, sent_at: Time, showed: ServerTime) {
        if let Some(node) = self.nodes.get_mut(node.0 as usize) {
            node.clock = Clock::Known { sent_at, showed };
        }
    }

    pub(super) fn ask_clock(&mut self, node: NodeId, for_whom: Handle) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        if state.clock == Clock::Unknown {
            state.clock = Clock::Asked;
            self.send_time(node, for_whom);
        }
    }

    pub(super) fn on_time_reply(&mut self, pending: &Request, reply: &Reply) {
        let number = |reply: &Reply| match reply {
            Reply::Bulk(text) => crate::redis::parse_number(text),
            _ => None,
        };
        let showed = match reply {
            Reply::Array(parts) => match parts.as_slice() {
                [seconds, micros] => number(seconds).zip(number(micros)),
                _ => None,
            },
            _ => None,
        };
        let Some((seconds, micros)) = showed else {
            let error = match reply {
                Reply::Error(text) => Refusal::of(text).error,
                _ => Error::new(ErrorCode::Unsupported, "the server does not tell its time"),
            };
            return self.on_no_clock(pending.node, error);
        };
        let showed = ServerTime(seconds.saturating_mul(1_000_000).saturating_add(micros));
        self.on_clock(pending.node, pending.sent_at, showed);
        self.begin_those_at_clocks(pending.background);
    }

    pub(super) fn on_time_failure(&mut self, node: NodeId, failure: Failure) {
        self.on_no_clock(node, Call::failure(failure));
    }

    /// It is asked for again soon if somebody still wants to know.
    fn on_no_clock(&mut self, node: NodeId, error: Error) {
        for undertaking in self.undertakings.values_mut() {
            if undertaking.stage == Stage::Clocks {
                undertaking.trouble = Some(error.clone());
            }
        }
        let pause = Span::from_millis(20);
        let at = self.now + pause + self.entropy.jitter(pause);
        self.timers.insert((at, Timer::Clock(node)));
    }

    pub(super) fn on_clock_timeout(&mut self, node: NodeId) {
        if let Some(state) = self.nodes.get_mut(node.0 as usize)
            && state.clock == Clock::Asked
        {
            state.clock = Clock::Unknown;
        }
        self.begin_those_at_clocks(true);
    }

    fn begin_those_at_clocks(&mut self, background: bool) {
        let waiting = self.undertakings.iter().filter(|(_, u)| u.stage == Stage::Clocks);
        for handle in waiting.map(|(handle, _)| *handle).collect::<Vec<_>>() {
            self.begin(handle, background);
            self.index_undertaking(handle);
        }
    }

    /// The time for a graceful end is over.
    pub(super) fn drop_transactions(&mut self) {
        let left: Vec<_> = self.undertakings.keys().copied().collect();
        for handle in left {
            let message = "the coordinator was closed before the servers answered";
            let error = Error::new(ErrorCode::OutcomeUnknown, message);
            let running = self.undertakings.get(&handle).and_then(|u| match u.stage {
                Stage::Running(txid) => self.transactions.get(&txid),
                _ => None,
            });
            let id = running.map(|entry| entry.machine.id().to_text()).unwrap_or_default();
            self.end_undertaking(
                handle,
                Event::TransactionUnknown { transaction: handle, id, error },
            );
        }
        self.transactions.clear();
        self.recoveries.clear();
        self.sweeps.clear();
    }
}
