//! The verbs of counters, and letting their machines work.

use alloc::format;
use alloc::vec::Vec;

use super::machines::{Entries, Entry, Kind, Machines};
use super::{Coordinator, Lifecycle, Timer, closed};
use crate::counter::{
    self, Counter, CounterId, CounterOptions, CounterValue, Cx, Effect, Freshness, PreviousSlots,
    Tally,
};
use crate::crdt::Slots;
use crate::error::{Error, ErrorCode, Result};
use crate::event::{CallId, Event};
use crate::redis::{Keys, NodeId, readable};
use crate::snapshot::Snapshot;
use crate::time::{Span, Time};

/// What the coordinator notes of a counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CounterNotes {
    pub(super) node: NodeId,
    pub(super) key: Vec<u8>,
}

impl Kind for Counter {
    type Id = CounterId;
    type Notes = CounterNotes;

    const TIMER: fn(CounterId) -> Timer = Timer::Counter;
    const ENTRIES: fn(&mut Machines) -> &mut Entries<Self> = |machines| &mut machines.counters;

    fn apply(core: &mut Coordinator, counter: CounterId, effects: Vec<Effect>, _: bool) {
        let Some(node) = core.machines.counters.get(&counter).map(|entry| entry.notes.node) else {
            return;
        };
        for effect in effects {
            match effect {
                Effect::Send(send) => core.send_counter(counter, &send),
                Effect::Ask => core.due_counters.push_back(counter),
                Effect::Failed { call, error } => {
                    let error = error.at(node);
                    core.emit(Event::CallFailed { call, node, error });
                }
                Effect::Event(event) => {
                    let event = event.at(node);
                    core.emit(event);
                }
            }
        }
    }

    fn on_end(core: &mut Coordinator, _: CounterId, Entry { machine, .. }: Entry<Self>) {
        core.counters_by_name.remove(machine.name());
        core.finish_closing();
    }
}

impl Coordinator {
    /// Opens the counter `name`, which begins at what the server has. Nothing is asked of the
    /// server before something is counted or read. It ends with `CounterClosed`.
    ///
    /// # Errors
    /// `InvalidArgument`, `LimitExceeded`, `Closed`; `InvalidState` if this coordinator has it open.
    /// Nothing is changed.
    pub fn counter_open(
        &mut self,
        name: &[u8],
        options: CounterOptions,
        now: Time,
    ) -> Result<CounterId> {
        self.open(name, options, PreviousSlots::new(), now)
    }

    /// Opens the counter `name` and counts what `bytes`, of a `CounterJournal` or of
    /// [`counter_snapshot`](Self::counter_snapshot), hold of it and the server has not: once,
    /// however often and wherever the same bytes are restored.
    ///
    /// # Errors
    /// As [`counter_open`](Self::counter_open), and `Corrupt` for bytes that are not such, or of
    /// another counter. Nothing is changed.
    pub fn counter_restore(
        &mut self,
        name: &[u8],
        options: CounterOptions,
        bytes: &[u8],
        now: Time,
    ) -> Result<CounterId> {
        self.open(name, options, counter::restore(name, bytes)?, now)
    }

    /// The same for a counter that is open already, before it has counted or asked the server
    /// anything; a journaled one asks at once.
    ///
    /// # Errors
    /// `Corrupt` as above; `InvalidState` for a counter that is in use or not open; `Closed`.
    /// Nothing is changed.
    pub fn counter_take_up(&mut self, counter: CounterId, bytes: &[u8], now: Time) -> Result<()> {
        self.counter_verb(counter, now, |machine, cx| {
            let leaving = counter::restore(machine.name(), bytes)?;
            machine.restore_into(leaving, cx)
        })
    }

    /// Counts what the replicas of a peer counter have counted, by the bytes of
    /// [`PNCounter::to_bytes`](crate::crdt::PNCounter::to_bytes): each unit once, however often
    /// and by whomever they are merged. It shows in the value when the server has it, which a
    /// [`counter_flush`](Self::counter_flush) waits for. One command a replica; each has a slot of
    /// the counter for good.
    ///
    /// # Errors
    /// `Corrupt` for other bytes; `LimitExceeded` beyond [`counter::MAX_SLOTS`] that wait;
    /// `InvalidState`, `Closed`. Nothing is changed.
    pub fn counter_merge(&mut self, counter: CounterId, bytes: &[u8], now: Time) -> Result<()> {
        let slots = Slots::from_bytes(bytes)?;
        self.counter_verb(counter, now, |machine, cx| machine.merge(&slots, cx))
    }

    fn open(
        &mut self,
        name: &[u8],
        options: CounterOptions,
        leaving: PreviousSlots,
        now: Time,
    ) -> Result<CounterId> {
        self.check_open()?;
        Keys::check_name("counter", name)?;
        options.check()?;
        if self.counters_by_name.contains_key(name) {
            let message = format!("counter '{}' is open already", readable(name));
            return Err(Error::new(ErrorCode::InvalidState, message));
        }
        self.advance_now(now);
        let counter = CounterId(self.next_operation());
        let (node, key) = (self.locate(name)?, self.keys.counter(name));
        self.counters_by_name.add(name.to_vec(), counter);
        self.insert(counter, CounterNotes { node, key }, true, |cx| {
            Counter::new(counter, name, options, leaving, cx)
        });
        self.stats.counter_opens += 1;
        Ok(counter)
    }

    /// Counts `amount`, up or down. For counters whose tally the core keeps.
    ///
    /// # Errors
    /// `Overflow` beyond 2^64 - 1 increments or decrements in one life of the counter;
    /// `LimitExceeded` beyond `max_units` that are not acknowledged; `InvalidState`, `Closed`.
    /// Nothing is counted.
    pub fn counter_add(&mut self, counter: CounterId, amount: i64, now: Time) -> Result<()> {
        self.counter_verb(counter, now, |machine, cx| machine.add(amount, cx))
    }

    /// Tells what the host has counted in all since the opening, for counters with
    /// [`collected`](CounterOptions::collected). It is to be called when something is counted and
    /// nothing was pending, when half of `max_units` were counted since the last call,
    /// before a flush, a read or a close, and whenever
    /// [`poll_counter_due`](Self::poll_counter_due) asks. A lower tally than before changes
    /// nothing, so threads need no order among themselves.
    ///
    /// # Errors
    /// `InvalidState`, `Closed`; nothing is changed.
    pub fn counter_advance(&mut self, counter: CounterId, tally: Tally, now: Time) -> Result<()> {
        self.counter_verb(counter, now, |machine, cx| {
            machine.advance(tally, cx);
            Ok(())
        })
    }

    /// A counter with [`collected`](CounterOptions::collected) whose flush is due: the host answers
    /// with [`counter_collect`](Self::counter_collect). To be called until it gives none, before
    /// commands are polled.
    pub fn poll_counter_due(&mut self) -> Option<CounterId> {
        let due = core::iter::from_fn(|| self.due_counters.pop_front());
        due.into_iter().find(|counter| self.machines.counters.contains_key(counter))
    }

    /// The host's tally, asked for by [`poll_counter_due`](Self::poll_counter_due); what of it is
    /// pending is flushed at once. From here on the host counts as one that has reported all.
    ///
    /// # Errors
    /// `InvalidState`, `Closed`; nothing is changed.
    pub fn counter_collect(&mut self, counter: CounterId, tally: Tally, now: Time) -> Result<()> {
        self.advance_now(now);
        let collect = |machine: &mut Counter, cx: &mut Cx<'_>| machine.collect(tally, cx);
        let collected = self.step::<Counter, _>(counter, true, collect);
        collected.ok_or_else(|| self.no_counter())
    }

    /// What the counter stands at as far as is known here, at once; own counts are always in it.
    ///
    /// # Errors
    /// `InvalidState` for a counter that is not open, `Closed` for one that a close has ended, `Overflow`
    /// beyond 128 bits.
    pub fn counter_value(&self, counter: CounterId, now: Time) -> Result<CounterValue> {
        let entry = self.machines.counters.get(&counter).ok_or_else(|| self.no_counter())?;
        entry.machine.value(now.max(self.now))
    }

    /// How many units more may be counted before [`counter_add`](Self::counter_add) refuses:
    /// `u64::MAX` where there is no bound. A host that keeps a [`Tally`] refuses beyond them itself.
    ///
    /// # Errors
    /// `InvalidState` for a counter that is not open, `Closed` for one that a close has ended.
    pub fn counter_room(&self, counter: CounterId) -> Result<u64> {
        let room = self.machines.counters.get(&counter).map(|entry| entry.machine.room());
        room.ok_or_else(|| self.no_counter())
    }

    /// Asks for a value as recent as `freshness`. Leads to `CounterRead` or `CallFailed`.
    ///
    /// # Errors
    /// `InvalidState`, `LimitExceeded`, `Closed`; nothing is changed.
    pub fn counter_read(
        &mut self,
        counter: CounterId,
        freshness: Freshness,
        now: Time,
    ) -> Result<CallId> {
        self.counter_call(counter, now, |machine, call, cx| machine.read(call, freshness, cx))
    }

    /// Flushes at once what was counted so far. Leads to `CounterFlushed` when it is safe, or to
    /// `CallFailed`, when it is kept and tried again unless a `CounterLost` says otherwise.
    ///
    /// # Errors
    /// `InvalidState`, `LimitExceeded`, `Closed`; nothing is changed.
    pub fn counter_flush(&mut self, counter: CounterId, now: Time) -> Result<CallId> {
        self.counter_call(counter, now, Counter::flush)
    }

    /// Lets the value be zero: what reaches the server from then on counts. With an `epoch`, only
    /// if there were so many resets before. Leads to `CounterReset` or `CallFailed`.
    ///
    /// # Errors
    /// `InvalidState`, `LimitExceeded`, `Closed`; nothing is changed.
    pub fn counter_reset(
        &mut self,
        counter: CounterId,
        epoch: Option<u64>,
        now: Time,
    ) -> Result<CallId> {
        self.counter_call(counter, now, |machine, call, cx| machine.reset(call, epoch, cx))
    }

    /// Compares the server's totals with the sum of all slots and corrects them if they differ.
    /// With `prune`, slots that nobody has raised for so long are retired, and new ones take their
    /// places when there are no others: an owner that comes back is still counted, until then or for seven
    /// days. Each part of it has [`Config::timeout`](super::Config::timeout) to be answered. Leads to
    /// `CounterAudited` or `CallFailed`.
    ///
    /// # Errors
    /// `InvalidState`, `LimitExceeded`, `Closed`; nothing is changed.
    pub fn counter_audit(
        &mut self,
        counter: CounterId,
        prune: Option<Span>,
        now: Time,
    ) -> Result<CallId> {
        self.counter_call(counter, now, |machine, call, cx| machine.audit(call, prune, cx))
    }

    /// What a later life has to take up to lose nothing, as bytes for
    /// [`counter_restore`](Self::counter_restore). What was counted before the server has given the
    /// counter a slot is not in it.
    /// It is remembered how much was handed out: found on the server, it is one's own.
    ///
    /// # Errors
    /// `InvalidState` for a counter that is not open, `Closed` for one that a close has ended.
    pub fn counter_snapshot(&mut self, counter: CounterId) -> Result<Vec<u8>> {
        let snapshot =
            self.machines.counters.get_mut(&counter).map(|entry| entry.machine.snapshot());
        snapshot.ok_or_else(|| self.no_counter())
    }

    /// The bytes of the last `CounterJournal` are written down.
    ///
    /// # Errors
    /// `InvalidState` for a counter that is not open or has emitted no `CounterJournal`.
    pub fn counter_journaled(&mut self, counter: CounterId, now: Time) -> Result<()> {
        self.advance_now(now);
        let waited = self.step::<Counter, _>(counter, true, Counter::journaled);
        if waited != Some(true) {
            let message = "the counter is not open, or waits for no journal";
            return Err(Error::new(ErrorCode::InvalidState, message));
        }
        Ok(())
    }

    /// Flushes what is pending, folds or retires the slot, and leads to `CounterClosed` within
    /// [`Config::timeout`](super::Config::timeout).
    ///
    /// # Errors
    /// `InvalidState` for a counter that is not open, `Closed`; nothing is changed.
    pub fn counter_close(&mut self, counter: CounterId, now: Time) -> Result<()> {
        self.counter_verb(counter, now, |machine, cx| {
            machine.close(cx);
            Ok(())
        })
    }

    // Workings.

    /// Why there is no such counter.
    fn no_counter(&self) -> Error {
        match self.lifecycle {
            Lifecycle::Open => {
                Error::new(ErrorCode::InvalidState, "the counter is not open in this coordinator")
            }
            _ => closed(),
        }
    }

    fn counter_verb<T>(
        &mut self,
        counter: CounterId,
        now: Time,
        verb: impl FnOnce(&mut Counter, &mut Cx<'_>) -> Result<T>,
    ) -> Result<T> {
        if self.lifecycle != Lifecycle::Open {
            return Err(closed());
        }
        self.advance_now(now);
        if !self.machines.counters.get(&counter).is_some_and(|entry| entry.machine.is_open()) {
            return Err(self.no_counter());
        }
        let done = self.step::<Counter, _>(counter, false, verb);
        done.unwrap_or_else(|| Err(self.no_counter()))
    }

    fn counter_call(
        &mut self,
        counter: CounterId,
        now: Time,
        verb: impl FnOnce(&mut Counter, CallId, &mut Cx<'_>) -> Result<()>,
    ) -> Result<CallId> {
        let call = CallId(self.next_operation());
        self.counter_verb(counter, now, |machine, cx| verb(machine, call, cx))?;
        Ok(call)
    }
}
