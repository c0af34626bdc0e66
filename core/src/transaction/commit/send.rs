//! What a transaction sends, how it gets from state to state, and when it notifies its user.

use super::{
    Asked, Copying, End, Ending, Notified, PrepareOrder, Reason, Slot, State, Transaction, Vote,
};
use crate::time::Time;
use crate::transaction::effect::{Cx, Effect, WAIT, back_off};
use crate::transaction::{Ack, Finish, OnePhase, Op, Prepare, Role, Verdict};

impl Transaction {
    /// Whether the whole of it is one script.
    pub(super) fn is_single(&self) -> bool {
        self.parts.len() == 1
    }

    /// What a participant is to be asked now.
    fn asks(&self, place: usize) -> Option<Asked> {
        let part = self.parts.get(place)?;
        let voted = matches!(part.vote, Vote::Yes(_) | Vote::Gone);
        let open = part.end == End::Open;
        let asked = match self.state {
            State::Preparing => (!voted).then_some(Asked::Prepare),
            State::Decided | State::Finishing if !voted => Some(Asked::Prepare),
            State::Decided | State::Finishing => (!self.is_single()).then_some(Asked::Finish),
            State::Aborting | State::Unknown => (place == 0).then_some(Asked::Finish),
            State::Releasing | State::Forgotten => part.reached.then_some(Asked::Finish),
            State::Replicating | State::Done => None,
        };
        asked.filter(|_| open)
    }

    pub(super) fn send(&mut self, place: usize, cx: &mut Cx<'_>) {
        let Some(asked) = self.asks(place) else {
            if let Some(part) = self.parts.get_mut(place) {
                (part.sent, part.wake) = (None, None);
            }
            return;
        };
        let (Some(op), Some(to)) = (self.op(place, asked), self.begin.plan.participant(place))
        else {
            return;
        };
        let to = to.to_vec();
        self.attempts += 1;
        let attempt = self.attempts;
        if let Some(part) = self.parts.get_mut(place) {
            (part.sent, part.wake) = (Some((attempt, asked)), None);
            if part.vote == Vote::Unasked && asked == Asked::Prepare {
                part.vote = Vote::Asked;
            }
        }
        let mut deadline = cx.now + cx.request_timeout;
        if self.state == State::Preparing {
            deadline = deadline.min(self.ask_by);
        }
        cx.effects.push(Effect::Send { attempt, to, op, deadline, background: cx.background });
    }

    fn op(&self, place: usize, asked: Asked) -> Option<Op> {
        let (begin, part) = (&self.begin, self.begin.plan.parts.get(place)?);
        let ring = begin.plan.ring.at(&part.participant);
        let (txid, not_after) = (begin.txid, begin.not_after);
        let work = &part.work;
        Some(match asked {
            Asked::Prepare if self.is_single() => {
                Op::OnePhase(OnePhase { txid, ring, not_after, work: work.clone() })
            }
            Asked::Prepare => Op::Prepare(Prepare {
                txid,
                ring,
                not_after,
                role: match place {
                    0 => Role::Primary { participants: begin.plan.participants() },
                    _ => Role::Secondary { primary: begin.plan.primary().to_vec() },
                },
                patience: begin.patience,
                keep: begin.order == PrepareOrder::Waiting,
                work: work.clone(),
            }),
            Asked::Finish => {
                let verdict = match self.state {
                    State::Decided | State::Finishing | State::Replicating => Verdict::Commit,
                    State::Forgotten => Verdict::Release,
                    _ => Verdict::Abort,
                };
                let retain = self.doubted && place == 0 && verdict != Verdict::Release;
                Op::Finish(Finish { txid, not_after, verdict, retain, keys: work.keys.clone() })
            }
        })
    }

    /// What is on its way is not waited for any more: it may arrive all the same.
    fn stop_asking(&mut self) {
        for part in &mut self.parts {
            part.reached |= part.sent.take().is_some();
        }
    }

    /// Sends what the new state wants sent; what was asked before is not waited for any more.
    fn turn(&mut self, state: State, cx: &mut Cx<'_>) {
        self.state = state;
        self.stop_asking();
        for place in 0..self.parts.len() {
            if let Some(part) = self.parts.get_mut(place) {
                (part.wake, part.failures) = (None, 0);
            }
            self.send(place, cx);
        }
        self.end_if_over(cx);
    }

    /// Nothing is left to ask the participants.
    pub(super) fn end_if_over(&mut self, cx: &mut Cx<'_>) {
        let asks = (0..self.parts.len()).any(|place| self.asks(place).is_some());
        if self.state == State::Preparing || asks {
            return;
        }
        let committed =
            matches!(self.state, State::Decided | State::Finishing | State::Replicating);
        if committed && self.notified == Notified::Nothing && self.replicate(cx) {
            return;
        }
        if committed {
            self.notify_commit(cx);
        }
        self.state = State::Done;
    }

    /// Whether the user is notified of a commit as soon as it is certain.
    fn notifies_at_once(&self) -> bool {
        self.durable().is_none() && (self.begin.ack == Ack::Decided || self.is_single())
    }

    /// All votes are yes, and this machine has seen them.
    pub(super) fn commit(&mut self, cx: &mut Cx<'_>) {
        self.reason = None;
        if self.notifies_at_once() {
            self.notify_commit(cx);
        }
        self.turn(State::Finishing, cx);
    }

    /// Somebody else has seen them: the replies are to be had from the registers.
    pub(super) fn committed_by_another(&mut self, cx: &mut Cx<'_>) {
        self.reason = None;
        self.turn(State::Decided, cx);
        self.on_replies(cx);
    }

    /// Whether all replies are here, or are known to be gone.
    pub(super) fn on_replies(&mut self, cx: &mut Cx<'_>) {
        let known = |vote: &Vote| matches!(vote, Vote::Yes(_) | Vote::Gone);
        if self.state == State::Decided && self.parts.iter().all(|part| known(&part.vote)) {
            if self.notifies_at_once() {
                self.notify_commit(cx);
            }
            self.state = State::Finishing;
        }
    }

    /// When it is aborted if it is not decided.
    pub(super) fn undecided_until(&self) -> Time {
        if self.parts.iter().any(|part| part.sent.is_some()) {
            self.decide_by
        } else if self.parts.iter().any(|part| part.reached) {
            self.ask_by
        } else {
            self.limit
        }
    }

    /// Tells the primary, and nobody else, that it is aborted, unless that is certain.
    pub(super) fn abort(&mut self, reason: Reason, cx: &mut Cx<'_>) {
        match reason {
            Reason::Slot { .. } => self.slot = Slot::Pinned,
            // The user has given the transaction up and does not want to wait.
            Reason::Cancelled => self.limit = self.limit.min(cx.now + cx.request_timeout),
            _ => {}
        }
        self.reason = Some(reason);
        self.stop_asking();
        // A participant that will never be asked to prepare has no vote: no recovery can commit.
        if self.only_reads_here() || self.parts.iter().any(|part| !part.reached) {
            return self.end_aborted(cx);
        }
        if !self.begin.plan.writes() {
            self.notify_abort(cx);
        }
        self.turn(State::Aborting, cx);
    }

    /// The primary has recorded that it is aborted.
    pub(super) fn release(&mut self, cx: &mut Cx<'_>) {
        if let Some(primary) = self.parts.first_mut() {
            primary.end = End::Acknowledged;
        }
        self.end_aborted(cx);
    }

    /// The transaction is aborted for certain: participants that may have prepared it are sent `FINISH`.
    fn end_aborted(&mut self, cx: &mut Cx<'_>) {
        if self.only_reads_here() {
            // It has left nothing behind.
            self.parts.iter_mut().for_each(|part| part.end = End::Acknowledged);
        }
        self.notify_abort(cx);
        self.turn(State::Releasing, cx);
    }

    /// The primary does not know how it ended. What is locked elsewhere is of no use to anybody.
    pub(super) fn forget(&mut self, cx: &mut Cx<'_>) {
        self.slot = Slot::Pinned;
        if let Some(primary) = self.parts.first_mut() {
            primary.end = End::Never;
        }
        if self.notified == Notified::Nothing {
            self.notify_doubt(cx);
        }
        self.notify(Ending::Forgotten, cx);
        self.turn(State::Forgotten, cx);
    }

    /// A participant does not have what was decided.
    pub(super) fn damaged(&mut self, place: usize, cx: &mut Cx<'_>) {
        self.slot = Slot::Pinned;
        if let Some(part) = self.parts.get_mut(place) {
            part.end = End::Never;
            part.copying = Copying::Settled;
        }
        let at = self.begin.plan.participant(place).unwrap_or_default().to_vec();
        cx.effects.push(Effect::Damaged { at });
    }

    /// Sends again after a pause: nothing was answered, or nothing that helps.
    pub(super) fn retry(&mut self, place: usize, cx: &mut Cx<'_>) {
        let Some(part) = self.parts.get_mut(place) else { return };
        part.failures = part.failures.saturating_add(1);
        part.wake = Some(back_off(part.failures, cx))
            .filter(|wake| self.state != State::Preparing || *wake < self.ask_by);
    }

    /// Asks again for a lock after a pause.
    pub(super) fn wait(&mut self, place: usize, cx: &mut Cx<'_>) {
        let Some(part) = self.parts.get_mut(place) else { return };
        part.waits = part.waits.saturating_add(1);
        part.wake =
            Some(cx.now + WAIT.pause(part.waits, cx.entropy)).filter(|wake| *wake < self.ask_by);
    }

    // Notifying the user.

    fn notify(&mut self, ending: Ending, cx: &mut Cx<'_>) {
        if self.notified != Notified::Outcome {
            self.notified = Notified::Outcome;
            cx.effects.push(Effect::Ended(ending));
        }
    }

    fn notify_abort(&mut self, cx: &mut Cx<'_>) {
        let reason = self.reason.clone().unwrap_or(Reason::Recovered);
        self.notify(Ending::Aborted(reason), cx);
    }

    pub(super) fn notify_doubt(&mut self, cx: &mut Cx<'_>) {
        (self.notified, self.doubted) = (Notified::Doubt, true);
        let reason = self.reason.clone().unwrap_or(Reason::Late);
        cx.effects.push(Effect::Ended(Ending::Unknown(reason)));
    }

    pub(super) fn notify_commit(&mut self, cx: &mut Cx<'_>) {
        let parts = self.parts.iter().zip(&self.begin.plan.parts);
        let replies = parts.map(|(part, planned)| match &part.vote {
            // What was too long to be recorded is not answered again.
            Vote::Yes(replies) if replies.len() == planned.work.operations.len() => {
                Some(replies.clone())
            }
            _ => None,
        });
        let replies = replies.collect();
        let applied =
            self.is_single() || self.parts.iter().all(|part| part.end == End::Acknowledged);
        let copies = self.copies();
        self.notify(Ending::Committed { replies, applied, copies }, cx);
    }
}
