//! What answers and failures mean in each state of a recovery.

use alloc::vec::Vec;

use super::{Peer, Recovery, RecoveryOutcome, State, Vote, WATCH};
use crate::error::Error;
use crate::time::Span;
use crate::transaction::effect::{Cx, Effect, back_off};
use crate::transaction::{Answer, Held, Mode, Role, Verdict};

impl Recovery {
    /// Nobody may decide in the place of a server that does not answer.
    pub(super) fn on_trouble(&mut self, place: usize, error: Error, cx: &mut Cx<'_>) {
        let limit = *self.unanswered.get_or_insert(cx.now) + cx.timeout;
        self.retry(place, cx);
        if self.peers.get(place).and_then(|peer| peer.wake) >= Some(limit) {
            match self.state {
                // A participant that does not answer is left without the operator's decision.
                State::Surveying | State::Imposing => {
                    self.ended(place);
                    self.vote(place, Vote::No);
                    self.go_on(cx);
                }
                _ if self.verdict_is_known() => self.end(self.outcome(), cx),
                _ if place == 0 && self.task.heuristic.is_some() => self.decide_alone(cx),
                _ => self.end(RecoveryOutcome::Failed(error), cx),
            }
        }
    }

    fn retry(&mut self, place: usize, cx: &mut Cx<'_>) {
        let Some(peer) = self.peers.get_mut(place) else { return };
        peer.failures = peer.failures.saturating_add(1);
        peer.wake = Some(back_off(peer.failures, cx));
    }

    /// The answer does not help.
    fn ask_again(&mut self, place: usize, cx: &mut Cx<'_>) {
        self.retry(place, cx);
        let until = self.peers.get(place).and_then(|peer| peer.wake);
        self.gives_up(until, cx);
    }

    pub(super) fn on_answer(&mut self, place: usize, answer: Answer, cx: &mut Cx<'_>) {
        if let Answer::Pending { .. } = answer {
            return self.ask_again(place, cx);
        }
        match self.state {
            State::Asking if place == 0 => return self.on_status(answer, cx),
            State::Asking | State::Collecting | State::Surveying => {
                match answer {
                    Answer::Committed { .. } => self.proven = Some(Verdict::Commit),
                    Answer::Aborted if self.proven.is_none() => self.proven = Some(Verdict::Abort),
                    _ => {}
                }
                // Only a vote of yes has locked keys.
                self.vote(
                    place,
                    match answer {
                        Answer::Yes(held) => Vote::Yes(held.keys),
                        _ => Vote::No,
                    },
                );
                if self.state == State::Asking && self.verdict_is_known() {
                    return self.finish_found_lock(cx);
                }
            }
            State::Voting => match answer {
                Answer::Yes(held) => self.vote(place, Vote::Yes(held.keys)),
                Answer::Aborted => self.vote(place, Vote::No),
                // The client sends its decision to all participants at once: this one was faster than the
                // primary. All votes must have been yes, also one that is lost since.
                Answer::Committed { .. } => {
                    self.vote(place, Vote::Yes(Vec::new()));
                    self.ended(place);
                }
                _ => return self.begin_again(cx),
            },
            State::Deciding => return self.on_decision(answer, cx),
            State::Finishing | State::Releasing => self.on_end(place, &answer, cx),
            State::Imposing => {
                if self.may_be_damaged(place, &answer) {
                    self.damaged(place, cx);
                }
                self.ended(place);
            }
            State::Watching { .. } | State::Done => {}
        }
        self.go_on(cx);
    }

    fn vote(&mut self, place: usize, vote: Vote) {
        if let Some(peer) = self.peers.get_mut(place) {
            peer.vote = vote;
        }
    }

    /// Whether the primary has said how it ended.
    pub(super) fn verdict_is_known(&self) -> bool {
        self.peers.first().is_some_and(|primary| primary.ended)
    }

    /// R1.
    fn on_status(&mut self, answer: Answer, cx: &mut Cx<'_>) {
        match answer {
            Answer::Staging(held) => self.on_staging(held, cx),
            Answer::Committed { participants } => {
                self.decided(Verdict::Commit);
                if self.task.locked_at.is_none() {
                    self.learn(participants);
                    return self.turn(State::Collecting, cx);
                }
                self.finish_found_lock(cx);
            }
            Answer::Aborted => {
                self.decided(Verdict::Abort);
                self.finish_found_lock(cx);
            }
            Answer::Stale { .. } => {
                self.decided(Verdict::Release);
                self.finish_found_lock(cx);
            }
            Answer::Nothing if self.task.id.not_after.is_none() => {
                self.end(RecoveryOutcome::Unheard, cx);
            }
            // Its client may be about to begin.
            Answer::Nothing => self.watch(WATCH, cx),
            Answer::Mismatch => self.misnamed(cx),
            _ => self.ask_again(0, cx),
        }
    }

    fn decided(&mut self, verdict: Verdict) {
        self.verdict = verdict;
        if let Some(primary) = self.peers.first_mut() {
            primary.ended = true;
        }
    }

    /// The primary has answered how the transaction ended; `FINISH` is sent once the participant where a
    /// lock was found has answered which keys it has locked.
    fn finish_found_lock(&mut self, cx: &mut Cx<'_>) {
        if self.peers.iter().skip(1).any(|peer| peer.vote == Vote::Unknown) {
            return;
        }
        match self.verdict {
            Verdict::Release => self.turn(State::Releasing, cx),
            Verdict::Commit | Verdict::Abort => self.turn(State::Finishing, cx),
        }
    }

    fn on_staging(&mut self, held: Held, cx: &mut Cx<'_>) {
        let Held { now, deadline, not_after, role, keys } = held;
        self.task.id.not_after = Some(not_after);
        if !self.task.expired && now < deadline {
            return self.watch(deadline.since(now), cx);
        }
        self.task.expired = true;
        if let Role::Primary { participants } = role {
            self.learn(participants);
        }
        // A vote of yes holds until the primary has decided. Anything else was said before it was
        // known what to make of it.
        for peer in self.peers.iter_mut().filter(|peer| peer.vote == Vote::No) {
            peer.vote = Vote::Unknown;
        }
        self.vote(0, Vote::Yes(keys));
        self.turn(State::Voting, cx);
    }

    fn watch(&mut self, span: Span, cx: &mut Cx<'_>) {
        let span = span.min(WATCH);
        let until = cx.now + span + cx.entropy.jitter(span.part(1, 10));
        // By then it was watched for as long as anybody may take, or the server says so itself.
        self.task.expired = span == WATCH;
        self.peers.iter_mut().for_each(|peer| {
            (peer.vote, peer.sent, peer.wake) = (Vote::Unknown, None, None);
        });
        self.state = State::Watching { until };
    }

    /// R3: the answer is the outcome.
    fn on_decision(&mut self, answer: Answer, cx: &mut Cx<'_>) {
        match answer {
            Answer::Committed { .. } => self.committed(cx),
            Answer::Aborted => self.decided(Verdict::Abort),
            Answer::Lost { .. } => {
                self.damaged(0, cx);
                self.committed(cx);
            }
            Answer::Stale { .. } => {
                self.decided(Verdict::Release);
                // Only the lock that was found is known to be there still.
                let locked_at = self.task.locked_at.clone();
                self.peers.iter_mut().skip(1).for_each(|peer| {
                    peer.ended = Some(&peer.id) != locked_at.as_ref();
                });
                return self.turn(State::Releasing, cx);
            }
            _ => return self.ask_again(0, cx),
        }
        self.turn(State::Finishing, cx);
    }

    /// If this was to be committed though one has said no, that one has lost its vote. Where it was
    /// to be aborted and its client was faster, it may be its register that is swept long since.
    fn committed(&mut self, cx: &mut Cx<'_>) {
        let lost = |peer: &Peer| peer.vote == Vote::No;
        for place in 0..self.peers.len() {
            if self.verdict == Verdict::Commit && self.peers.get(place).is_some_and(lost) {
                self.damaged(place, cx);
            }
        }
        self.decided(Verdict::Commit);
    }

    /// R4.
    fn on_end(&mut self, place: usize, answer: &Answer, cx: &mut Cx<'_>) {
        let damaged = matches!(
            (self.verdict, answer),
            (Verdict::Commit, Answer::Lost { .. } | Answer::Aborted)
                | (Verdict::Abort, Answer::Committed { .. })
        );
        if damaged {
            self.damaged(place, cx);
        }
        self.ended(place);
    }

    /// Whether a participant that was sent an operator's decision may have what the primary has not
    /// decided. All who are asked have voted yes, so a commit is what it comes to unless one says no;
    /// an abort is not, unless one says so.
    fn may_be_damaged(&self, place: usize, answer: &Answer) -> bool {
        let writes = |vote: &Vote| match vote {
            Vote::Yes(keys) => keys.iter().any(|key| key.mode == Mode::Write),
            _ => false,
        };
        let done = match answer {
            Answer::Committed { .. } => Verdict::Commit,
            Answer::Aborted => Verdict::Abort,
            Answer::Lost { .. } => return true,
            _ => return false,
        };
        let right = self.proven.unwrap_or(Verdict::Commit);
        done != right && self.peers.get(place).is_some_and(|peer| writes(&peer.vote))
    }

    fn ended(&mut self, place: usize) {
        if let Some(peer) = self.peers.get_mut(place) {
            peer.ended = true;
        }
    }

    fn damaged(&mut self, place: usize, cx: &mut Cx<'_>) {
        if let Some(peer) = self.peers.get(place) {
            cx.effects.push(Effect::Damaged { at: peer.id.clone() });
        }
    }
}
