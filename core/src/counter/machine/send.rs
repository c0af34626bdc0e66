//! What a counter's machine sends, and when.

use super::{Attempt, Counter, Cx, Effect, Life, Mark, Op, Own, Sent, Tally, Task, Want};
use crate::counter::Saved;
use crate::event::Event;
use crate::time::{Span, Time};

/// The first pause after a failure, doubled each time up to the second.
const BACKOFF: (Span, Span) = (Span::from_millis(20), Span::from_secs(2));

impl Counter {
    /// Sends the next thing, if there is one and nothing is on its way.
    pub(super) fn work(&mut self, cx: &mut Cx<'_>) {
        self.journal_what_is_due(cx);
        if self.sent.is_some() || self.life == Life::Done {
            return;
        }
        if self.retry.is_some_and(|retry| cx.now < retry) {
            return;
        }
        self.retry = None;
        match self.next_task(cx.now) {
            Some(task) => self.send(task, cx),
            None if matches!(self.life, Life::Closing { .. }) => self.give_up(cx),
            None => {}
        }
    }

    /// What comes first. Slots of earlier lives are settled before there is a new one, so that there
    /// is never more than one life's worth of them.
    fn next_task(&self, now: Time) -> Option<Task> {
        if let Some(id) = self.leaving.keys().find(|id| !id.is_peer()) {
            return Some(Task::Leave(*id));
        }
        let closing = matches!(self.life, Life::Closing { .. });
        let flight = self.own.as_ref().is_some_and(|own| own.flight.is_some());
        let healing = self.heal.is_some_and(|heal| now >= heal) && !self.own_now().is_zero();
        let wanted = self.urgent || closing || self.wants_flush();
        if flight || healing || (self.is_pending() && wanted) {
            return Some(if self.own.is_some() { Task::Flush } else { Task::Join });
        }
        // Of a peer counter there may be many: they hold up nothing of what is counted here.
        if let Some(id) = self.leaving.keys().next() {
            return Some(Task::Leave(*id));
        }
        if closing {
            let in_use = self.own.is_some() && !self.own_now().is_zero();
            return in_use.then_some(Task::Retire);
        }
        if self.own.is_none() && self.options.is_journaled() {
            return Some(Task::Join);
        }
        let ready =
            |want: &Want| matches!(want, Want::Reset { epoch: Some(_), .. } | Want::Audit(_));
        if let Some((call, _)) = self.waiters.iter().find(|(_, waiter)| ready(&waiter.want)) {
            return Some(Task::Call(*call));
        }
        let reads =
            |want: &Want| matches!(want, Want::Read { .. } | Want::Reset { epoch: None, .. });
        self.waiters.values().any(|waiter| reads(&waiter.want)).then_some(Task::Read)
    }

    fn wants_flush(&self) -> bool {
        self.waiters.values().any(|waiter| matches!(waiter.want, Want::Flush { .. }))
    }

    fn send(&mut self, task: Task, cx: &mut Cx<'_>) {
        self.attempts += 1;
        let own_now = self.own_now();
        let op = match task {
            Task::Join => Op::Join,
            Task::Leave(id) => {
                let Some(saved) = self.leaving.get(&id) else { return };
                let Saved { tally, mark, acknowledged: known, .. } = *saved;
                match id.is_peer() {
                    true => Op::Add { id, tally, mark, known },
                    false => Op::Retire { id, tally, mark, known },
                }
            }
            Task::Flush | Task::Retire => {
                let Some(own) = &mut self.own else { return };
                // The same numbers until they are answered; the first flush takes what is due.
                if own.flight.is_none() {
                    self.flushed_at = Some(cx.now);
                }
                let (tally, mark) = *own.flight.get_or_insert_with(|| (own_now, Mark::at(cx.now)));
                let (id, known) = (own.id, own.acknowledged);
                (self.urgent, self.heal) = (false, None);
                self.not_due();
                match task {
                    Task::Retire => Op::Retire { id, tally, mark, known },
                    _ => Op::Add { id, tally, mark, known },
                }
            }
            Task::Read => Op::Get { id: self.own.as_ref().map(|own| own.id) },
            Task::Call(call) => match self.op_of(call) {
                Some(op) => op,
                None => return,
            },
        };
        self.sent = Some(Sent { attempt: self.attempts, task });
        let (attempt, background) = (self.attempts, cx.background);
        let mut deadline = cx.now + cx.request_timeout;
        if let Life::Closing { until } = self.life {
            deadline = deadline.min(until);
        }
        cx.effects.push(Effect::Send { attempt, op, deadline, background });
    }

    /// The node lacks the script: the same again, which brings it.
    pub(crate) fn on_script_missing(&mut self, attempt: Attempt, cx: &mut Cx<'_>) {
        if let Some(sent) = self.sent.filter(|sent| sent.attempt == attempt) {
            self.sent = None;
            self.send(sent.task, cx);
        }
    }

    pub(super) fn back_off(&mut self, cx: &mut Cx<'_>) {
        self.failures += 1;
        let doubled = BACKOFF.0.as_micros() << self.failures.saturating_sub(1).min(10);
        let pause = Span::from_micros(doubled).min(BACKOFF.1);
        self.retry = Some(cx.now + pause.part(1, 2) + cx.entropy.jitter(pause.part(1, 2)));
    }

    /// Nothing is left to flush. A host that has told something is asked all the same: it says no
    /// more before that.
    const fn not_due(&mut self) {
        if !self.options.collected {
            self.due = None;
        }
    }

    /// A new slot begins; what was counted before is settled or reported.
    pub(super) fn leave_own(&mut self) -> Option<Own> {
        self.base = self.total;
        (self.urgent, self.heal, self.pending_since) = (false, None, None);
        self.not_due();
        if let Some(seen) = &mut self.seen {
            seen.view.own = Tally::ZERO;
        }
        self.own.take()
    }

    /// Hands what is pending to the host to be written down, if that is wanted now.
    fn journal_what_is_due(&mut self, cx: &mut Cx<'_>) {
        if self.options.is_journaled() && (self.urgent || self.wants_flush()) {
            self.write_journal(cx);
        }
    }

    /// One journal at a time. What has no slot yet cannot be counted exactly once from a journal.
    pub(super) fn write_journal(&mut self, cx: &mut Cx<'_>) {
        let covered = self.own.is_some() || self.own_now().is_zero();
        if covered && self.journal.is_none() && self.journaled != self.total {
            self.journal = Some(self.total);
            let (counter, name) = self.named();
            let bytes = self.snapshot();
            cx.effects.push(Effect::Event(Event::CounterJournal { counter, name, bytes }));
        }
    }
}
