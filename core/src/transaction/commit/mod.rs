//! The client side of one transaction under one id, from its first `PREPARE` to the last
//! acknowledgement.
//!
//! | state | means | leaves it |
//! | --- | --- | --- |
//! | Preparing | the votes are asked for; of one participant, the whole is | all yes; a refusal; a cancellation; the limit |
//! | Decided | committed, but by somebody else: the replies are asked for again | all replies |
//! | Finishing | committed, all replies are here: every participant is sent `FINISH` | all acknowledged |
//! | Replicating | applied everywhere: replicas are to have it as well | as many as were asked for; the limit; a server that has lost it |
//! | Aborting | the primary, and no other participant, is asked to abort | its answer; the limit |
//! | Unknown | the same, and the user has been notified that the outcome is in doubt | its answer |
//! | Releasing | aborted: every participant that was asked to prepare is sent `FINISH`, whatever it answered | all acknowledged |
//! | Forgotten | the primary does not know any more: what is locked is released | all acknowledged |
//! | Done | nothing is left to do | |
//!
//! Replicating asks for what is applied, not for votes: its slot is not used again before, so what a
//! failover to one of those replicas then finds is all of it, and not a vote whose end is forgotten.
//!
//! A commit stands when all votes are yes, an abort when the primary has recorded it, or when a
//! participant will never be asked to prepare: its question never left, or was refused before it was
//! executed. Nothing is released before that, and no abort is reported before it. The user of a
//! transaction that writes nothing is notified when it is given up: there is nothing to be in doubt of.
//!
//! A command that is not answered is sent again, with the same id, until it is. Where all are asked
//! at once nobody waits for a lock; a transaction that waits asks in the order of the
//! participants, the next when the one before has voted. So those who wait never wait in a circle.

mod answer;
mod border;
mod copies;
mod send;

use alloc::vec::Vec;
use core::hash::Hash;

pub use border::{Begin, Copies, Ending, PrepareOrder, Reason};

use super::effect::{Cx, Effect, Outcome};
use super::{Answer, Durability, TransactionId};
use crate::machine::{Attempt, Failed, Machine, Refused};
use crate::redis::Reply;
use crate::time::{Span, Time};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Preparing,
    Decided,
    Finishing,
    Replicating,
    Aborting,
    Unknown,
    Releasing,
    Forgotten,
    Done,
}

/// What became of the question to prepare.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Vote {
    /// Not asked yet.
    Unasked,
    /// Asked, once or more often.
    Asked,
    Yes(Vec<Reply>),
    /// It was yes, and what was replied is gone.
    Gone,
}

/// How a participant has ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    Open,
    Acknowledged,
    /// It will never be acknowledged.
    Never,
}

/// Whether a participant's replicas are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Copying {
    Unasked,
    Asked,
    /// As many as were asked for have it, or there is no use in waiting.
    Settled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Prepare,
    Finish,
}

/// One participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Part {
    vote: Vote,
    /// A question to prepare may have been executed, or may still be.
    reached: bool,
    end: End,
    /// The attempt that is waited for.
    sent: Option<(Attempt, Asked)>,
    /// When to send again.
    wake: Option<Time>,
    /// Attempts without an answer since the last one.
    failures: u32,
    /// How often it has waited for a lock.
    waits: u32,
    copying: Copying,
    copies: Copies,
}

/// What the user has been notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Notified {
    Nothing,
    Doubt,
    Outcome,
}

/// Whether the slot of a transaction that is done may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// All have acknowledged.
    Free,
    /// All have acknowledged, and the user was notified that the outcome is in doubt: not as long as
    /// somebody may ask for it.
    Kept,
    /// Never.
    Pinned,
}

/// One transaction of this client under one id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Transaction {
    begin: Begin,
    state: State,
    parts: Vec<Part>,
    notified: Notified,
    /// The user was notified once that the outcome is in doubt.
    doubted: bool,
    /// Why it is not committed, or what is in its way.
    reason: Option<Reason>,
    /// No question to prepare goes out or is waited for by a driver later.
    ask_by: Time,
    /// When it is aborted if it is not decided: the rest of the time is for that. A little later, so
    /// that it is known by then which of the questions have left.
    decide_by: Time,
    /// The latest moment at which the user is notified.
    limit: Time,
    attempts: Attempt,
    slot: Slot,
}

impl Transaction {
    pub(crate) fn new(begin: Begin, cx: &mut Cx<'_>) -> Self {
        let part = Part {
            vote: Vote::Unasked,
            reached: false,
            end: End::Open,
            sent: None,
            wake: None,
            failures: 0,
            waits: 0,
            copying: Copying::Unasked,
            copies: Copies::default(),
        };
        let mut machine = Self {
            state: State::Preparing,
            parts: begin.plan.parts.iter().map(|_| part.clone()).collect(),
            notified: Notified::Nothing,
            doubted: false,
            reason: None,
            ask_by: cx.now + begin.limit.since(cx.now).part(3, 4),
            decide_by: cx.now + begin.limit.since(cx.now).part(4, 5),
            limit: begin.limit,
            attempts: 0,
            slot: Slot::Free,
            begin,
        };
        match machine.begin.order {
            PrepareOrder::Parallel => {
                (0..machine.parts.len()).for_each(|place| machine.send(place, cx));
            }
            PrepareOrder::Waiting => machine.send(0, cx),
        }
        machine
    }

    pub(crate) fn id(&self) -> TransactionId {
        let Begin { txid, not_after, ref plan, .. } = self.begin;
        TransactionId { txid, not_after: Some(not_after), primary: plan.primary().to_vec() }
    }

    /// The stable id of the participant at `place`.
    pub(crate) fn participant(&self, place: usize) -> Option<Vec<u8>> {
        self.begin.plan.participant(place).map(<[u8]>::to_vec)
    }

    /// The stable ids of all participants.
    pub(crate) fn participants(&self) -> Vec<Vec<u8>> {
        self.begin.plan.participants()
    }

    /// The place of the participant with this stable id.
    pub(crate) fn place_of(&self, id: &[u8]) -> Option<usize> {
        self.begin.plan.parts.iter().position(|part| part.participant == id)
    }

    /// What becomes of its slot, when it is done.
    pub(crate) const fn slot(&self) -> Option<Slot> {
        match (self.state, self.slot) {
            (State::Done, Slot::Free) if self.doubted => Some(Slot::Kept),
            (State::Done, slot) => Some(slot),
            _ => None,
        }
    }

    /// Whether the user has been notified, of the outcome or of the doubt.
    pub(crate) fn is_notified(&self) -> bool {
        self.notified != Notified::Nothing
    }

    /// Whether the decision is on its way to the participants: commands of other transactions on the
    /// same keys may be sent behind it.
    pub(crate) const fn releases_keys(&self) -> bool {
        matches!(
            self.state,
            State::Finishing
                | State::Replicating
                | State::Releasing
                | State::Forgotten
                | State::Done
        )
    }

    /// The stable ids of the participants that have not voted, and of the primary.
    pub(crate) fn awaited(&self) -> Vec<Vec<u8>> {
        let unvoted = |part: &&Part| matches!(part.vote, Vote::Unasked | Vote::Asked);
        let parts = self.parts.iter().zip(&self.begin.plan.parts);
        let unvoted =
            parts.filter(|(part, _)| unvoted(part)).map(|(_, planned)| &planned.participant);
        unvoted.cloned().chain([self.begin.plan.primary().to_vec()]).collect()
    }

    /// Whether the outcome of `attempt` makes a difference.
    pub(crate) fn awaits(&self, attempt: Attempt) -> bool {
        self.parts.iter().any(|part| part.sent.is_some_and(|(own, _)| own == attempt))
    }

    /// Gives it up, if it is not decided. Nobody waits for replicas any more.
    pub(crate) fn cancel(&mut self, cx: &mut Cx<'_>) {
        if self.state == State::Preparing {
            return self.abort(Reason::Cancelled, cx);
        }
        if let Durability::Wait { timeout, .. } = &mut self.begin.durability {
            *timeout = Span::ZERO;
        }
        if self.state == State::Replicating {
            self.limit = self.limit.min(cx.now);
        }
    }
}

impl Machine for Transaction {
    type Answer = Answer;
    type Effect = Effect;
    type Node = ();

    fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn deadline(&self) -> Option<Time> {
        let limit = match (self.state, self.notified) {
            (State::Done, _) => return None,
            (State::Preparing, _) => Some(self.undecided_until()),
            (_, Notified::Nothing) => Some(self.limit),
            _ => None,
        };
        self.parts.iter().filter_map(|part| part.wake).chain(limit).min()
    }

    fn on_outcome(&mut self, attempt: Attempt, outcome: Outcome, cx: &mut Cx<'_>) {
        let mut sent = self.parts.iter().map(|part| part.sent);
        let Some(place) = sent.position(|sent| sent.is_some_and(|(own, _)| own == attempt)) else {
            return;
        };
        let Some(part) = self.parts.get_mut(place) else { return };
        let Some((_, asked)) = part.sent.take() else { return };
        // Another member of the ring, or of another one, is not the participant.
        part.reached |= outcome.is_executed() && !outcome.is_elsewhere();
        match outcome {
            Outcome::Answered(answer, _) => {
                part.failures = 0;
                self.on_answer(place, asked, answer, cx);
            }
            Outcome::Failed(Failed { error, lasting, .. }) => {
                self.on_failure(place, error, !lasting, cx);
            }
            Outcome::Refused(Refused { error, transient, .. }) => {
                self.on_failure(place, error, transient, cx);
            }
        }
    }

    fn on_script_missing(&mut self, attempt: Attempt, cx: &mut Cx<'_>) {
        let mut sent = self.parts.iter().map(|part| part.sent);
        if let Some(place) = sent.position(|sent| sent.is_some_and(|(own, _)| own == attempt)) {
            self.send(place, cx);
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        let limit = match self.state {
            State::Preparing => self.undecided_until(),
            _ => self.limit,
        };
        if self.notified == Notified::Nothing && cx.now >= limit {
            match self.state {
                State::Preparing => {
                    let reason = self.reason.take().unwrap_or(Reason::TimedOut);
                    return self.abort(reason, cx);
                }
                State::Aborting => {
                    self.state = State::Unknown;
                    self.notify_doubt(cx);
                    // What it was asked before does not say that somebody may come to ask.
                    self.send(0, cx);
                }
                _ => {
                    self.notify_commit(cx);
                    self.end_if_over(cx);
                }
            }
        }
        for place in 0..self.parts.len() {
            if self.parts[place].wake.is_some_and(|wake| cx.now >= wake) {
                self.send(place, cx);
            }
        }
    }
}
