//! What a counter's machine sends, and when.

use super::{
    ActiveSlot, Counter, Cx, Effect, FlushStamp, Lifecycle, Op, Pending, Sent, Tally, Task,
};
use crate::counter::PreviousSlot;
use crate::event::Event;
use crate::machine::{Backoff, Outgoing};
use crate::time::{Span, Time};

/// Between failures.
const BACKOFF: Backoff = Backoff { first: Span::from_millis(20), longest: Span::from_secs(2) };

impl Counter {
    /// Sends the next thing, if there is one and nothing is on its way.
    pub(super) fn work(&mut self, cx: &mut Cx<'_>) {
        self.journal_what_is_due(cx);
        if self.sent.is_some() || self.lifecycle == Lifecycle::Done {
            return;
        }
        self.held = self.held.filter(|held| cx.now < *held);
        if self.retry.is_some_and(|retry| cx.now < retry) {
            return;
        }
        self.retry = None;
        let write = if self.held.is_none() { self.next_write(cx.now) } else { None };
        match write.or_else(|| self.next_query()) {
            Some(task) => self.send(task, cx),
            None if matches!(self.lifecycle, Lifecycle::Closing { .. }) && self.held.is_none() => {
                self.give_up(cx);
            }
            None => {}
        }
    }

    /// The next write. Slots of earlier lives are settled before there is a new one, so that there
    /// is never more than one life's worth of them.
    fn next_write(&self, now: Time) -> Option<Task> {
        if let Some((id, _)) = self.leaving.first() {
            return Some(Task::Leave(*id));
        }
        let closing = matches!(self.lifecycle, Lifecycle::Closing { .. });
        let in_flight = self.active.as_ref().is_some_and(|own| own.in_flight.is_some());
        let resyncs = self.next_resync().is_some_and(|resync_at| now >= resync_at);
        let wanted = self.urgent || closing || self.wants_flush();
        if in_flight || resyncs || (self.is_pending() && wanted) {
            return Some(if self.active.is_some() { Task::Flush } else { Task::Join });
        }
        // Of a peer counter there may be many: they hold up nothing of what is counted here, and take
        // turns with what is asked.
        let turn = || self.attempts.is_multiple_of(2) || self.next_query().is_none();
        if let Some((id, _)) = self.merging.first().filter(|_| turn()) {
            return Some(Task::Leave(*id));
        }
        if let Some(own) = self.active.as_ref().filter(|_| closing) {
            // All was answered. What was handed out may come back and be compared with the slot.
            let end = if own.exported.is_zero() { Task::Fold } else { Task::Retire };
            return (!self.own_now().is_zero()).then_some(end);
        }
        let unnamed = self.active.is_none() && self.options.is_journaled();
        (unnamed && !closing).then_some(Task::Join)
    }

    /// The next query.
    fn next_query(&self) -> Option<Task> {
        let ready = |pending: &Pending| {
            matches!(pending, Pending::Reset { epoch: Some(_), .. } | Pending::Audit(_))
        };
        if let Some((call, _)) = self.waiters.iter().find(|(_, waiter)| ready(&waiter.pending)) {
            return Some(Task::Call(*call));
        }
        self.waiters.values().any(|waiter| waiter.pending.reads()).then_some(Task::Read)
    }

    fn wants_flush(&self) -> bool {
        self.waiters.values().any(|waiter| matches!(waiter.pending, Pending::Flush { .. }))
    }

    pub(super) fn send(&mut self, task: Task, cx: &mut Cx<'_>) {
        self.attempts += 1;
        let own_now = self.own_now();
        let op = match task {
            Task::Join => Op::Join,
            Task::Leave(id) => {
                let of_kind = if id.is_peer() { &self.merging } else { &self.leaving };
                let Some(saved) = of_kind.get(&id) else { return };
                let PreviousSlot { tally, flush_stamp, acknowledged: known, .. } = *saved;
                match id.is_peer() {
                    true => Op::Add { id, tally, flush_stamp, known },
                    false => Op::Retire { id, tally, flush_stamp, known },
                }
            }
            Task::Fold => {
                let Some(own) = &self.active else { return };
                let (id, tally) = (own.id, own.acknowledged);
                Op::Fold { id, tally, flush_stamp: FlushStamp::at(cx.now), known: tally }
            }
            Task::Flush | Task::Retire => {
                let Some(own) = &mut self.active else { return };
                // The same numbers until they are answered; the first flush takes what is due.
                if own.in_flight.is_none() {
                    self.flushed_at = Some(cx.now);
                }
                let (tally, flush_stamp) =
                    *own.in_flight.get_or_insert_with(|| (own_now, FlushStamp::at(cx.now)));
                let (id, known) = (own.id, own.acknowledged);
                (self.urgent, self.resync_at) = (false, None);
                self.not_due();
                match task {
                    Task::Retire => Op::Retire { id, tally, flush_stamp, known },
                    _ => Op::Add { id, tally, flush_stamp, known },
                }
            }
            Task::Read => Op::Get { id: self.active.as_ref().map(|own| own.id) },
            Task::Call(call) => match self.op_of(call) {
                Some(op) => op,
                None => return,
            },
        };
        self.sent = Some(Sent { attempt: self.attempts, task });
        let (attempt, background) = (self.attempts, cx.background);
        let mut deadline = cx.now + cx.request_timeout;
        if let Lifecycle::Closing { until } = self.lifecycle {
            deadline = deadline.min(until);
        }
        cx.effects.push(Effect::Send(Outgoing { attempt, op, deadline, background }));
    }

    pub(super) fn back_off(&mut self, cx: &mut Cx<'_>) {
        self.retry = Some(self.after_pause(cx));
    }

    /// The server takes nothing of what was counted, or no more of it; what is asked goes on.
    pub(super) fn hold_back(&mut self, cx: &mut Cx<'_>) {
        self.held = Some(self.after_pause(cx));
    }

    fn after_pause(&mut self, cx: &mut Cx<'_>) -> Time {
        self.failures += 1;
        cx.now + BACKOFF.pause(self.failures, cx.entropy)
    }

    /// Nothing is left to flush. A host that has reported a tally is asked all the same: it reports no
    /// more before that.
    const fn not_due(&mut self) {
        if !self.options.collected {
            self.due = None;
        }
    }

    /// A new slot begins; what was counted before is settled or reported.
    pub(super) fn leave_own(&mut self) -> Option<ActiveSlot> {
        self.base = self.total;
        (self.urgent, self.resync_at, self.pending_since) = (false, None, None);
        self.not_due();
        if let Some(seen) = &mut self.server_view {
            seen.view.own = Tally::ZERO;
        }
        self.active.take()
    }

    /// Hands what is pending to the host to be written down, if that is wanted now.
    fn journal_what_is_due(&mut self, cx: &mut Cx<'_>) {
        if self.options.is_journaled() && (self.urgent || self.wants_flush()) {
            self.write_journal(cx);
        }
    }

    /// One journal at a time. What has no slot yet cannot be counted exactly once from a journal.
    pub(super) fn write_journal(&mut self, cx: &mut Cx<'_>) {
        let covered = self.active.is_some() || self.own_now().is_zero();
        if covered && self.journal.is_none() && self.journaled != self.total {
            self.journal = Some(self.total);
            let (counter, name) = self.named();
            let bytes = self.snapshot();
            cx.effects.push(Effect::Event(Event::CounterJournal { counter, name, bytes }));
        }
    }
}
