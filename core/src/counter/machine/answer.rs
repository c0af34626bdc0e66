//! What answers and failures mean to a counter's machine.

use super::{
    ActiveSlot, Answer, Counter, Cx, Effect, FlushStamp, Pending, RESYNC, Sent, ServerView, SlotId,
    Tally, Task, View,
};
use crate::counter::{MAX_PEERS, MAX_SLOTS, PreviousSlot, Verb};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::redis::readable;
use crate::time::{Span, Time};

/// What an answer says of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SlotOwnership {
    /// As it was left.
    Ours,
    /// The server has less than it had acknowledged.
    Behind,
    /// Somebody else has raised it.
    Shared,
}

impl SlotOwnership {
    /// Of a slot of which `acknowledged` was answered, `in_flight` was sent and `exported` was handed out to
    /// be restored.
    fn of(
        answer: &Answer,
        acknowledged: Tally,
        in_flight: Option<(Tally, FlushStamp)>,
        exported: Tally,
    ) -> Self {
        let (before, flush_stamp) = (answer.before, answer.flush_stamp);
        if before == acknowledged || in_flight == Some((before, flush_stamp)) {
            Self::Ours
        } else if before.is_within(acknowledged) {
            Self::Behind
        } else if flush_stamp == FlushStamp::REPLAY && before.is_within(exported) {
            // Bytes that were handed out were restored elsewhere: they held nothing but ours.
            Self::Ours
        } else {
            Self::Shared
        }
    }
}

impl Counter {
    /// Fails the calls that wait for this task at once; what was counted is kept and sent again.
    pub(super) fn on_refused(&mut self, task: Task, error: Error, cx: &mut Cx<'_>) {
        match task {
            Task::Read => self.fail_waiters(Pending::reads, &error, cx),
            Task::Call(call) => self.fail(call, error, cx),
            _ => {
                self.hold_back(cx);
                self.on_not_taken(error, cx);
            }
        }
    }

    /// The server does not take what was counted. Emits `CounterRefused` once.
    pub(super) fn on_not_taken(&mut self, error: Error, cx: &mut Cx<'_>) {
        self.fail_waiters(|pending| matches!(pending, Pending::Flush { .. }), &error, cx);
        if !core::mem::replace(&mut self.refused, true) {
            let (counter, name) = self.named();
            cx.effects.push(Effect::Event(Event::CounterRefused { counter, name, error }));
        }
    }

    /// The server lets no slot begin. What came from elsewhere is given up and reported, because it would
    /// be in the way of all that comes after; what was counted here is kept.
    pub(super) fn on_no_slot(
        &mut self,
        sent: Sent,
        answer: &Answer,
        sent_at: Time,
        cx: &mut Cx<'_>,
    ) {
        let error = if answer.verb == Verb::Full { self.full() } else { self.ahead(sent.task) };
        if self.active.is_none() || matches!(sent.task, Task::Flush) {
            self.update_view_without_slot(answer, sent_at);
            self.set_epoch(answer.view.epoch);
            self.serve_reads(sent.attempt, answer.view.version, cx);
        }
        if let (Task::Flush, Some(own)) = (sent.task, &mut self.active)
            && !core::mem::replace(&mut own.acknowledged, Tally::ZERO).is_zero()
        {
            self.report_regressed(cx);
        }
        match sent.task {
            Task::Leave(id) if id.is_peer() || answer.verb == Verb::Ahead => {
                let of_kind = if id.is_peer() { &mut self.merging } else { &mut self.leaving };
                let Some(saved) = of_kind.remove(&id) else { return };
                self.report_lost(saved.tally.since(saved.acknowledged), error, cx);
                self.serve(cx);
            }
            task => self.on_refused(task, error, cx),
        }
    }

    pub(super) fn on_answer(
        &mut self,
        sent: Sent,
        answer: &Answer,
        sent_at: Time,
        cx: &mut Cx<'_>,
    ) {
        // One command at a time: a version from before the last answer is a server that lost some.
        let version = answer.view.version;
        let mut behind = self.server_view.is_some_and(|seen| version < seen.view.version);
        let mut stale = false;
        match (sent.task, &answer.verb) {
            (Task::Join, Verb::Joined(incarnation)) => {
                let id = SlotId { owner: self.owner, incarnation: *incarnation };
                let (acknowledged, exported) = (Tally::ZERO, Tally::ZERO);
                self.active = Some(ActiveSlot { id, acknowledged, exported, in_flight: None });
                self.update_view(answer, sent_at);
            }
            (Task::Leave(id), _) if id.is_peer() => stale = self.on_merged(id, answer, sent_at),
            (Task::Leave(id), _) => behind |= self.on_left(id, answer, sent_at, cx),
            (Task::Flush | Task::Retire | Task::Fold, Verb::Unknown) => {
                self.lose(self.unknown(), answer, sent_at, cx);
            }
            (Task::Fold, Verb::Folded) => self.on_folded(answer, sent_at),
            // Only its owner folds a slot.
            (Task::Flush | Task::Retire | Task::Read, Verb::Folded) => {
                self.lose(self.shared(), answer, sent_at, cx);
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
            self.report_regressed(cx);
        }
        if self.active.is_some() && !self.own_now().is_zero() {
            let later = RESYNC + cx.entropy.jitter(RESYNC.part(1, 2));
            self.resync_at = Some(cx.now + if stale { Span::ZERO } else { later });
        }
        if self
            .server_view
            .is_some_and(|seen| (seen.sent_at, seen.view.version) == (sent_at, version))
        {
            self.set_epoch(answer.view.epoch);
            self.serve_reads(sent.attempt, version, cx);
        }
        self.serve(cx);
        if matches!(sent.task, Task::Flush | Task::Retire | Task::Fold) {
            // What is pending now was counted while the flush was on its way.
            self.pending_since = self.is_pending().then_some(sent_at);
        }
        self.advance(self.total, cx);
    }

    fn update_view(&mut self, answer: &Answer, sent_at: Time) {
        self.server_view = Some(ServerView { view: answer.view, sent_at });
    }

    /// An answer about another slot, when the one in use holds nothing yet.
    fn update_view_without_slot(&mut self, answer: &Answer, sent_at: Time) {
        let view = View { own: Tally::ZERO, ..answer.view };
        self.server_view = Some(ServerView { view, sent_at });
    }

    /// An answer about the own slot. Whether the server had lost some of it.
    fn settle(&mut self, task: Task, answer: &Answer, sent_at: Time, cx: &mut Cx<'_>) -> bool {
        let Some(own) = self.active.clone() else {
            self.update_view(answer, sent_at);
            return false;
        };
        let ownership = SlotOwnership::of(answer, own.acknowledged, own.in_flight, own.exported);
        if ownership == SlotOwnership::Shared {
            self.lose(self.shared(), answer, sent_at, cx);
            return false;
        }
        let in_flight = own.in_flight.filter(|_| !matches!(task, Task::Flush | Task::Retire));
        let exported = own.exported;
        self.active = Some(ActiveSlot { acknowledged: answer.view.own, in_flight, ..own });
        self.update_view(answer, sent_at);
        let behind = ownership == SlotOwnership::Behind;
        if behind {
            // A flush has given it back by now; after a read it is to be.
            self.urgent = self.is_pending();
        }
        if answer.verb == Verb::Retired {
            // By its owner's close, or by a pruner: a retired slot is not counted in for long. What is
            // handed over has a flush stamp of its own, because a copy of this process does the same.
            let (tally, acknowledged) = (self.own_now(), answer.view.own);
            let saved =
                PreviousSlot { tally, acknowledged, exported, flush_stamp: FlushStamp::at(cx.now) };
            if let Some(ActiveSlot { id, .. }) = self.leave_own()
                && saved.tally != saved.acknowledged
            {
                self.leaving.insert(id, saved);
            }
        }
        behind
    }

    /// The own slot is gone, and all of it counted. What was counted meanwhile needs another.
    fn on_folded(&mut self, answer: &Answer, sent_at: Time) {
        let counted = self.acknowledged();
        let base = Tally { p: self.base.p + counted.p, n: self.base.n + counted.n };
        self.leave_own();
        self.base = base;
        self.update_view_without_slot(answer, sent_at);
    }

    /// An answer about a slot of an earlier life. Whether the server had lost some of it.
    fn on_left(&mut self, id: SlotId, answer: &Answer, sent_at: Time, cx: &mut Cx<'_>) -> bool {
        let Some(saved) = self.leaving.remove(&id) else { return false };
        let lost = saved.tally.since(saved.acknowledged);
        let in_flight = Some((saved.tally, saved.flush_stamp));
        let ownership = SlotOwnership::of(answer, saved.acknowledged, in_flight, saved.exported);
        // The process that wrote restored bytes may have counted more since: nothing is missing here.
        let shared = ownership == SlotOwnership::Shared && saved.flush_stamp != FlushStamp::REPLAY;
        if self.leaving.is_empty() {
            self.update_view_without_slot(answer, sent_at);
        }
        match answer.verb {
            Verb::Unknown | Verb::Folded if lost.is_zero() => {}
            Verb::Unknown | Verb::Folded => self.report_lost(lost, self.unknown(), cx),
            _ if shared => self.report_lost(lost, self.shared(), cx),
            _ => return ownership == SlotOwnership::Behind,
        }
        false
    }

    /// A peer counter's slot was raised. Whether the value has to be asked for: it is only known
    /// together with the own slot.
    fn on_merged(&mut self, id: SlotId, answer: &Answer, sent_at: Time) -> bool {
        let Some(saved) = self.merging.remove(&id) else { return false };
        let stored = answer.view.own;
        if !saved.tally.is_within(stored) {
            // More of it was merged while this was on its way.
            let acknowledged = saved.acknowledged.max(stored);
            self.merging.insert(id, PreviousSlot { acknowledged, ..saved });
        }
        if self.active.is_none() {
            self.update_view_without_slot(answer, sent_at);
        }
        self.active.is_some() && self.merging.is_empty()
    }

    fn full(&self) -> Error {
        let message = alloc::format!(
            "counter '{}' has {MAX_SLOTS} slots in use, or {MAX_PEERS} of peer counters, which is the \
             limit: an audit with `prune` frees the slots of replicas that are gone",
            readable(&self.name)
        );
        Error::limit(message)
    }

    fn ahead(&self, task: Task) -> Error {
        let name = readable(&self.name);
        let message = match task {
            Task::Leave(id) => alloc::format!(
                "slot {id:?} in the bytes restored to counter '{name}' is more than an hour ahead of \
                 the server's clock"
            ),
            Task::Join => alloc::format!("counter '{name}' has no incarnation left to give"),
            _ => alloc::format!(
                "the slot of counter '{name}' is more than an hour ahead of the server's clock, which \
                 was another's or has been set back"
            ),
        };
        Error::new(ErrorCode::InvalidState, message)
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

    /// What is pending under this slot is never sent again: a copy of it may have been, or the server
    /// may have it without knowing.
    fn lose(&mut self, error: Error, answer: &Answer, sent_at: Time, cx: &mut Cx<'_>) {
        let lost = self.own_now().since(self.acknowledged());
        self.leave_own();
        self.update_view_without_slot(answer, sent_at);
        // A forgotten slot with nothing pending has lost nothing; a copy of this process is news.
        if answer.verb != Verb::Unknown || !lost.is_zero() {
            self.report_lost(lost, error, cx);
        }
    }

    fn report_regressed(&self, cx: &mut Cx<'_>) {
        let (counter, name, node) = self.located();
        cx.effects.push(Effect::Event(Event::CounterRegressed { counter, name, node }));
    }

    /// Fails the flushes that wait for these units first.
    fn report_lost(&mut self, lost: Tally, error: Error, cx: &mut Cx<'_>) {
        self.fail_waiters(|pending| matches!(pending, Pending::Flush { .. }), &error, cx);
        let (counter, name) = self.named();
        cx.effects.push(Effect::Event(Event::CounterLost { counter, name, lost, error }));
    }
}
