//! What answers and failures mean in each state of a transaction.

use super::{Asked, End, PrepareOrder, Reason, Slot, State, Transaction, Vote};
use crate::error::Error;
use crate::redis::Reply;
use crate::transaction::effect::{Cx, Effect, LockConflict};
use crate::transaction::{Answer, Rejection, TransactionId};

impl Transaction {
    /// It is sent again, unless that does not help and nothing is decided.
    pub(super) fn on_failure(
        &mut self,
        place: usize,
        error: Error,
        transient: bool,
        cx: &mut Cx<'_>,
    ) {
        if self.state == State::Preparing {
            let earlier = match self.reason.take() {
                Some(Reason::Server { place: of, error }) if of == place => Some(error),
                _ => None,
            };
            let reason = Reason::Server { place, error: error.after(earlier) };
            if !transient {
                return self.abort(reason, cx);
            }
            self.reason = Some(reason);
        }
        self.retry(place, cx);
    }

    pub(super) fn on_answer(
        &mut self,
        place: usize,
        asked: Asked,
        answer: Answer,
        cx: &mut Cx<'_>,
    ) {
        match (self.state, asked) {
            (State::Preparing, Asked::Prepare) => self.on_vote(place, answer, cx),
            (State::Decided, Asked::Prepare) => self.on_reply(place, answer, cx),
            (State::Aborting | State::Unknown, Asked::Finish) => match answer {
                Answer::Aborted => self.release(cx),
                Answer::Committed { .. } | Answer::Lost { .. } => self.committed_by_another(cx),
                Answer::Stale { .. } => self.forget(cx),
                _ => self.retry(place, cx),
            },
            (State::Decided | State::Finishing, Asked::Finish) => match answer {
                Answer::Committed { .. } | Answer::Stale { .. } => self.acknowledged(place, cx),
                Answer::Lost { .. } | Answer::Aborted | Answer::Mismatch => {
                    self.damaged(place, cx);
                    self.ended(cx);
                }
                _ => self.retry(place, cx),
            },
            (State::Releasing, Asked::Finish) => match answer {
                Answer::Aborted | Answer::Stale { .. } => self.acknowledged(place, cx),
                Answer::Committed { .. } | Answer::Lost { .. } | Answer::Mismatch => {
                    self.damaged(place, cx);
                    self.ended(cx);
                }
                _ => self.retry(place, cx),
            },
            (State::Forgotten, Asked::Finish) => match answer {
                Answer::Pending { .. } => self.retry(place, cx),
                _ => self.acknowledged(place, cx),
            },
            _ => {}
        }
    }

    fn acknowledged(&mut self, place: usize, cx: &mut Cx<'_>) {
        if let Some(part) = self.parts.get_mut(place) {
            part.end = End::Acknowledged;
        }
        self.ended(cx);
    }

    /// A participant has ended it, in this way or that.
    fn ended(&mut self, cx: &mut Cx<'_>) {
        self.end_if_over(cx);
    }

    fn on_vote(&mut self, place: usize, answer: Answer, cx: &mut Cx<'_>) {
        match answer {
            Answer::Prepared { replies, .. } | Answer::Done { replies } => {
                self.on_yes(place, replies, cx);
            }
            // The primary's word is the decision; a secondary's is not.
            Answer::Aborted if place == 0 => {
                self.reason = Some(Reason::Recovered);
                self.release(cx);
            }
            Answer::Aborted => self.abort(Reason::Recovered, cx),
            Answer::Refused { recorded, why } => self.on_rejection(place, recorded, why, cx),
            Answer::Stale { .. } if self.only_reads_here() => {
                self.reason = Some(Reason::Late);
                self.release(cx);
            }
            // Of one participant there is nobody else to ask.
            Answer::Stale { .. } if self.is_single() => {
                self.reason = Some(Reason::Late);
                self.forget(cx);
            }
            Answer::Stale { .. } => self.abort(Reason::Late, cx),
            _ => self.abort(Reason::Slot { place }, cx),
        }
    }

    fn on_yes(&mut self, place: usize, replies: alloc::vec::Vec<Reply>, cx: &mut Cx<'_>) {
        if let Some(part) = self.parts.get_mut(place) {
            part.vote = Vote::Yes(replies);
        }
        self.reason = None;
        match self.parts.iter().position(|part| !matches!(part.vote, Vote::Yes(_))) {
            None => self.commit(cx),
            Some(next) if self.begin.order == PrepareOrder::Waiting => self.send(next, cx),
            Some(_) => {}
        }
    }

    /// Whether it is one script that changes nothing: a copy that comes late may be executed.
    pub(super) fn only_reads_here(&self) -> bool {
        self.is_single() && !self.begin.plan.writes()
    }

    fn on_rejection(&mut self, place: usize, recorded: bool, why: Rejection, cx: &mut Cx<'_>) {
        let mut waits = false;
        if let Rejection::Locked { key, holder, primary, not_after, deadline, now } = &why {
            let (txid, not_after, primary) = (*holder, Some(*not_after), primary.clone());
            let holder = TransactionId { txid, not_after, primary };
            let (key, expired) = (*key, deadline <= now);
            cx.effects.push(Effect::LockConflict(LockConflict { holder, place, key, expired }));
            waits = self.begin.order == PrepareOrder::Waiting;
        }
        let reason = Reason::Refused { place, why };
        match place {
            _ if waits && !recorded && !self.is_single() => {
                self.reason = Some(reason);
                self.wait(place, cx);
            }
            0 if recorded || self.only_reads_here() => {
                self.reason = Some(reason);
                self.release(cx);
            }
            _ => self.abort(reason, cx),
        }
    }

    /// The replies of a transaction that somebody else has committed.
    fn on_reply(&mut self, place: usize, answer: Answer, cx: &mut Cx<'_>) {
        let vote = match answer {
            Answer::Prepared { replies, .. } | Answer::Done { replies } => Vote::Yes(replies),
            Answer::Pending { .. } => return self.retry(place, cx),
            _ => Vote::Gone,
        };
        if vote == Vote::Gone && self.is_single() {
            // Nothing else will be acknowledged.
            self.slot = Slot::Pinned;
        }
        if let Some(part) = self.parts.get_mut(place) {
            part.vote = vote;
        }
        self.on_replies(cx);
        self.send(place, cx);
        self.ended(cx);
    }
}
