//! What answers and failures mean to a counter's machine.

use super::{
    Answer, Attempt, Counter, Cx, Effect, HEAL, Mark, Outcome, Own, Seen, Sent, SlotId, Tally,
    Task, View, Want,
};
use crate::counter::{MAX_SLOTS, Saved, Verb};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::machine::Failed;
use crate::redis::readable;
use crate::time::{Span, Time};

/// What an answer says of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// As it was left.
    Ours,
    /// The server has less than it had acknowledged.
    Behind,
    /// Somebody else has raised it.
    Shared,
}

impl Standing {
    /// Of a slot of which `acknowledged` was answered, `flight` was sent and `told` handed out to be
    /// restored.
    fn of(
        answer: &Answer,
        acknowledged: Tally,
        flight: Option<(Tally, Mark)>,
        told: Tally,
    ) -> Self {
        let (before, mark) = (answer.before, answer.mark);
        if before == acknowledged || flight == Some((before, mark)) {
            Self::Ours
        } else if before.is_within(acknowledged) {
            Self::Behind
        } else if mark == Mark::REPLAY && before.is_within(told) {
            // Bytes that were handed out were restored elsewhere: they held nothing but ours.
            Self::Ours
        } else {
            Self::Shared
        }
    }
}

impl Counter {
    pub(crate) fn on_outcome(&mut self, attempt: Attempt, outcome: Outcome, cx: &mut Cx<'_>) {
        let Some(sent) = self.sent.filter(|sent| sent.attempt == attempt) else { return };
        if self.is_done() {
            return;
        }
        self.sent = None;
        match outcome {
            Outcome::Answered { answer, .. } if answer.verb == Verb::Full => {
                let message = alloc::format!(
                    "counter '{}' has {MAX_SLOTS} slots, which is the limit: prune it",
                    readable(&self.name)
                );
                self.on_refused(Error::new(ErrorCode::LimitExceeded, message), cx);
                self.back_off(cx);
            }
            Outcome::Answered { answer, sent_at } => {
                (self.failures, self.refused, self.trouble) = (0, false, None);
                self.on_answer(sent, &answer, sent_at, cx);
            }
            Outcome::Failed(Failed { error, lasting, .. }) => self.on_failure(error, !lasting, cx),
            Outcome::Refused { error, transient } => self.on_failure(error, transient, cx),
        }
        self.work(cx);
    }

    /// It is tried again. Who waits is told at once if that does not help.
    fn on_failure(&mut self, error: Error, transient: bool, cx: &mut Cx<'_>) {
        if transient {
            self.waiters.each_mut(|waiter| {
                waiter.trouble = Some(error.clone().after(waiter.trouble.take()));
            });
            self.trouble = Some(error);
        } else {
            self.on_refused(error, cx);
        }
        self.back_off(cx);
    }

    /// Who waits is told at once; the rest is kept and tried again.
    fn on_refused(&mut self, error: Error, cx: &mut Cx<'_>) {
        self.fail_waiters(|_| true, &error, cx);
        if !core::mem::replace(&mut self.refused, true) {
            let (counter, name) = self.named();
            cx.effects.push(Effect::Event(Event::CounterRefused { counter, name, error }));
        }
    }

    fn on_answer(&mut self, sent: Sent, answer: &Answer, sent_at: Time, cx: &mut Cx<'_>) {
        // One command at a time: a version from before the last answer is a server that lost some.
        let version = answer.view.version;
        let mut behind = self.seen.is_some_and(|seen| version < seen.view.version);
        let mut stale = false;
        match (sent.task, &answer.verb) {
            (Task::Join, Verb::Joined(incarnation)) => {
                let id = SlotId { owner: self.owner, incarnation: *incarnation };
                let (acknowledged, told) = (Tally::ZERO, Tally::ZERO);
                self.own = Some(Own { id, acknowledged, told, flight: None });
                self.see(answer, sent_at);
            }
            (Task::Leave(id), _) if id.is_peer() => stale = self.on_merged(id, answer, sent_at),
            (Task::Leave(id), _) => behind |= self.on_left(id, answer, sent_at, cx),
            (Task::Flush | Task::Retire, Verb::Unknown) => {
                self.lose(self.unknown(), answer, sent_at, cx);
            }
            (Task::Call(call), verb) => {
                if matches!(verb, Verb::Reset(_) | Verb::Conflict) {
                    behind |= self.settle(sent.task, answer, sent_at, cx);
                }
                self.on_call_answer(call, answer, cx);
            }
            (task, _) => behind |= self.settle(task, answer, sent_at, cx),
        }
        if behind {
            let (counter, name) = self.named();
            cx.effects.push(Effect::Event(Event::CounterRegressed { counter, name }));
        }
        if self.own.is_some() && !self.own_now().is_zero() {
            let later = HEAL + cx.entropy.jitter(HEAL.part(1, 2));
            self.heal = Some(cx.now + if stale { Span::ZERO } else { later });
        }
        if self.seen.is_some_and(|seen| (seen.sent_at, seen.view.version) == (sent_at, version)) {
            self.tell_epoch(answer.view.epoch);
            self.serve_reads(sent.attempt, version, cx);
        }
        self.serve(cx);
        if matches!(sent.task, Task::Flush | Task::Retire) {
            // What is pending now was counted while the flush was on its way.
            self.pending_since = self.is_pending().then_some(sent_at);
        }
        self.advance(self.total, cx);
    }

    fn see(&mut self, answer: &Answer, sent_at: Time) {
        self.seen = Some(Seen { view: answer.view, sent_at });
    }

    /// An answer about another slot, when the one in use holds nothing yet.
    fn see_without_own(&mut self, answer: &Answer, sent_at: Time) {
        let view = View { own: Tally::ZERO, ..answer.view };
        self.seen = Some(Seen { view, sent_at });
    }

    /// An answer about the own slot. Whether the server had lost some of it.
    fn settle(&mut self, task: Task, answer: &Answer, sent_at: Time, cx: &mut Cx<'_>) -> bool {
        let Some(own) = self.own.clone() else {
            self.see(answer, sent_at);
            return false;
        };
        let standing = Standing::of(answer, own.acknowledged, own.flight, own.told);
        if standing == Standing::Shared {
            self.lose(self.shared(), answer, sent_at, cx);
            return false;
        }
        let flight = own.flight.filter(|_| !matches!(task, Task::Flush | Task::Retire));
        let told = own.told;
        self.own = Some(Own { acknowledged: answer.view.own, flight, ..own });
        self.see(answer, sent_at);
        let behind = standing == Standing::Behind;
        if behind {
            // A flush has given it back by now; after a read it is to be.
            self.urgent = self.is_pending();
        }
        if answer.verb == Verb::Retired {
            // By its owner's close, or by a pruner: a retired slot is not counted in for long. What is
            // handed over has a mark of its own, because a copy of this process does the same.
            let (tally, acknowledged) = (self.own_now(), answer.view.own);
            let saved = Saved { tally, acknowledged, told, mark: Mark::at(cx.now) };
            if let Some(Own { id, .. }) = self.leave_own()
                && saved.tally != saved.acknowledged
            {
                self.leaving.insert(id, saved);
            }
        }
        behind
    }

    /// An answer about a slot of an earlier life. Whether the server had lost some of it.
    fn on_left(&mut self, id: SlotId, answer: &Answer, sent_at: Time, cx: &mut Cx<'_>) -> bool {
        let Some(saved) = self.leaving.remove(&id) else { return false };
        let lost = saved.tally.since(saved.acknowledged);
        let flight = Some((saved.tally, saved.mark));
        let standing = Standing::of(answer, saved.acknowledged, flight, saved.told);
        // Whoever wrote restored bytes may have counted more since: nothing of it is missing here.
        let shared = standing == Standing::Shared && saved.mark != Mark::REPLAY;
        if self.leaving.keys().all(SlotId::is_peer) {
            self.see_without_own(answer, sent_at);
        }
        match answer.verb {
            Verb::Unknown if lost.is_zero() => {}
            Verb::Unknown => self.report_lost(lost, self.unknown(), cx),
            _ if shared => self.report_lost(lost, self.shared(), cx),
            _ => return standing == Standing::Behind,
        }
        false
    }

    /// A peer counter's slot was raised. Whether the value has to be asked for: it is only known
    /// together with the own slot.
    fn on_merged(&mut self, id: SlotId, answer: &Answer, sent_at: Time) -> bool {
        let Some(saved) = self.leaving.remove(&id) else { return false };
        let stored = answer.view.own;
        if !saved.tally.is_within(stored) {
            // More of it was merged while this was on its way.
            let acknowledged = saved.acknowledged.max(stored);
            self.leaving.insert(id, Saved { acknowledged, ..saved });
        }
        if self.own.is_none() {
            self.see_without_own(answer, sent_at);
        }
        self.own.is_some() && self.leaving.is_empty()
    }

    fn shared(&self) -> Error {
        let message = alloc::format!(
            "the slot of counter '{}' is in use by another process, a copy of this one",
            readable(&self.name)
        );
        Error::new(ErrorCode::InvalidState, message)
    }

    fn unknown(&self) -> Error {
        let message = alloc::format!(
            "the server has forgotten the slot of counter '{}': what was pending may be counted or not",
            readable(&self.name)
        );
        Error::new(ErrorCode::NoAnswer, message)
    }

    /// What is pending under this slot is never told again: a copy of it may have been, or the server
    /// may have it without knowing.
    fn lose(&mut self, error: Error, answer: &Answer, sent_at: Time, cx: &mut Cx<'_>) {
        let lost = self.own_now().since(self.acknowledged());
        self.leave_own();
        self.see_without_own(answer, sent_at);
        // A forgotten slot with nothing pending has lost nothing; a copy of this process is news.
        if answer.verb != Verb::Unknown || !lost.is_zero() {
            self.report_lost(lost, error, cx);
        }
    }

    /// Who waits for these units is told first that they are not safe.
    fn report_lost(&mut self, lost: Tally, error: Error, cx: &mut Cx<'_>) {
        self.fail_waiters(|want| matches!(want, Want::Flush { .. }), &error, cx);
        let (counter, name) = self.named();
        cx.effects.push(Effect::Event(Event::CounterLost { counter, name, lost, error }));
    }
}
