//! The client side of one transaction under one id, from its first `PREPARE` to the last
//! acknowledgement.
//!
//! | state | means | leaves it |
//! | --- | --- | --- |
//! | Preparing | the votes are asked for; of one participant, the whole is | all yes; a refusal; a cancellation; the limit |
//! | Decided | committed, but by somebody else: the replies are asked for again | all replies |
//! | Finishing | committed, all replies are here: it is told to all participants | all acknowledged |
//! | Replicating | applied everywhere: replicas are to have it as well | as many as were asked for; the limit; a server that has lost it |
//! | Aborting | the primary, and nobody else, is told to abort | its answer; the limit |
//! | Unknown | the same, and the user has been told that the outcome is in doubt | its answer |
//! | Releasing | aborted: told to all who were asked, whatever they answered | all acknowledged |
//! | Forgotten | the primary does not know any more: what is locked is released | all acknowledged |
//! | Done | nothing is left to do | |
//!
//! Replicating asks for what is applied, not for votes: its slot is not used again before, so what a
//! failover to one of those replicas then finds is all of it, and not a vote whose end is forgotten.
//!
//! A commit stands when all votes are yes, an abort when the primary has recorded it, or when a
//! participant will never be asked to prepare: its question never left, or was refused before it was
//! executed. Nothing is released before that, and no abort is reported before it. The user of a
//! transaction that writes nothing is told when it is given up: there is nothing to be in doubt of.
//!
//! A command that is not answered is sent again, with the same id, until it is. Where all are asked
//! at once nobody waits for a lock; a transaction that waits asks in the order of the
//! participants, the next when the one before has voted. So those who wait never wait in a circle.

mod answer;
mod copies;
mod send;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

pub(super) use send::back_off;
pub(crate) use send::pause;

use super::recovery::{Found, Task};
use super::replication::Copied;
use super::{Answer, Confirm, Durability, Op, Plan, Refusal, TransactionId, Txid};
use crate::error::Error;
use crate::keyspace::ServerTime;
use crate::machine::Failed;
use crate::redis::{Failure, Reply};
use crate::time::{Span, Time};

/// One transmission of an operation of one machine; counts up.
pub type Attempt = u32;

pub(crate) type Cx<'a> = crate::machine::Cx<'a, Effect>;

/// What a machine wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Send this.
    Send {
        /// Comes back with the outcome.
        attempt: Attempt,
        /// The stable id of the participant.
        to: Vec<u8>,
        /// What is asked.
        op: Op,
        /// When the driver gives up.
        deadline: Time,
        /// Whether nobody waits for it.
        background: bool,
    },
    /// A transaction has come to this. Of these there is one, or first `Unknown` and then one.
    Ended(Ending),
    /// A recovery has come to this.
    Found(Found),
    /// A transaction was found that somebody should end.
    Recover(Task),
    /// A sweep is over.
    Swept {
        /// How much was removed or given to a recovery.
        count: u64,
        /// How many registers and locks nobody can read.
        unreadable: u64,
        /// The first participant that could not be swept to its end, and why.
        failed: Option<(Vec<u8>, Error)>,
    },
    /// A key was locked by another transaction.
    Met(Met),
    /// It is applied, so whoever wants its keys may have them; and replicas are to have it.
    Replicate {
        /// The stable id of the participant.
        to: Vec<u8>,
        /// How many.
        replicas: u32,
        /// Until when that is of interest.
        until: Time,
    },
    /// Send these two as one, [`Blocking`](crate::redis::Route): the question, and a `WAIT` behind it.
    Wait {
        /// Comes back with the outcomes.
        attempt: Attempt,
        /// What is recorded of those who want to know.
        confirm: Confirm,
        /// For how many replicas.
        replicas: u32,
        /// For how long at most, in whole milliseconds.
        span: Span,
        /// When the driver gives up on both.
        deadline: Time,
    },
    /// What is known of a transaction's replicas.
    Copied {
        /// Which transaction.
        txid: Txid,
        /// What.
        copied: Copied,
    },
    /// A participant does not have what was decided.
    Damaged {
        /// The stable id of the participant.
        at: Vec<u8>,
    },
}

/// What a transaction has come to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It is applied, or will be.
    Committed {
        /// For each participant one for each operation; none where somebody else has committed it
        /// and they could not be had.
        replies: Option<Vec<Vec<Reply>>>,
        /// Whether it is applied at all participants by now.
        applied: bool,
        /// For each participant what its replicas have; none where that was not asked for.
        copies: Option<Vec<Copies>>,
    },
    /// It will never be applied.
    Aborted(Reason),
    /// Nobody can tell now.
    Unknown(Reason),
    /// Nobody can tell, now or later.
    Forgotten,
}

/// How many replicas of a participant have a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Copies {
    /// So many are known to have it.
    pub replicas: u32,
    /// Why they are not as many as was asked for; none if they are.
    pub error: Option<Error>,
}

/// Why a transaction was not committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A participant refused it.
    Refused {
        /// The participant's place in the plan.
        place: usize,
        /// Why.
        why: Refusal,
    },
    /// A server refused to execute the script, or did not answer.
    Server {
        /// The participant's place in the plan.
        place: usize,
        /// With the server's words.
        error: Error,
    },
    /// Its user has given it up.
    Cancelled,
    /// It took too long.
    TimedOut,
    /// Somebody has recovered it, because it was not finished in time.
    Recovered,
    /// Its time was over before a participant had voted.
    Late,
    /// A slot is in use that should not be.
    Slot {
        /// The participant's place in the plan.
        place: usize,
    },
}

impl Reason {
    /// The place of the participant it is about, if it is about one.
    #[must_use]
    pub const fn place(&self) -> Option<usize> {
        match self {
            Self::Refused { place, .. } | Self::Server { place, .. } | Self::Slot { place } => {
                Some(*place)
            }
            Self::Cancelled | Self::TimedOut | Self::Recovered | Self::Late => None,
        }
    }
}

/// Another transaction in the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Met {
    /// Which.
    pub holder: TransactionId,
    /// Where it was met.
    pub place: usize,
    /// The key's place in the work of that participant.
    pub key: u32,
    /// Whether it may be recovered now.
    pub expired: bool,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Answered(Answer),
    Failed(Failed),
    /// The server refused to execute it. Whether to try again may change by itself.
    Refused {
        error: Error,
        transient: bool,
        executed: bool,
    },
}

impl Outcome {
    /// Whether what was asked may have been executed, or may still be.
    fn is_executed(&self) -> bool {
        match self {
            Self::Answered(_) => true,
            Self::Failed(failed) => failed.failure == Failure::OutcomeUnknown,
            Self::Refused { executed, .. } => *executed,
        }
    }
}

/// How the participants are asked to prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// All at once; a lock that is held is a refusal.
    Parallel,
    /// One after the other; a lock that is held is waited for.
    Waiting,
}

/// When the user is told of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Ack {
    /// When it is certain: after one round trip. Plain readers see it a little later.
    Decided,
    /// When plain readers see it, too: after two.
    #[default]
    Applied,
}

/// What a transaction begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Its id.
    pub txid: Txid,
    /// What it does.
    pub plan: Arc<Plan>,
    /// Nothing of it is executed after this moment.
    pub not_after: ServerTime,
    /// From when on others may recover it, after a vote.
    pub patience: Span,
    /// How it prepares.
    pub order: Order,
    /// When its user is told.
    pub ack: Ack,
    /// Who has to have it by then.
    pub durability: Durability,
    /// When it is aborted if it is not decided.
    pub limit: Time,
}

impl Hash for Begin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // An id stands for one plan.
        self.txid.hash(state);
    }
}

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

/// What the user has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Told {
    Nothing,
    Doubt,
    Outcome,
}

/// Whether the slot of a transaction that is done may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// All have acknowledged.
    Free,
    /// All have acknowledged, and the user was told that the outcome is in doubt: not as long as
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
    told: Told,
    /// The user was told once that it is in doubt.
    doubted: bool,
    /// Why it is not committed, or what is in its way.
    reason: Option<Reason>,
    /// No question to prepare goes out or is waited for by a driver later.
    ask_by: Time,
    /// When it is aborted if it is not decided: the rest of the time is for that. A little later, so
    /// that it is known by then which of the questions have left.
    decide_by: Time,
    /// When the user is told something, if not before.
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
            told: Told::Nothing,
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
            Order::Parallel => (0..machine.parts.len()).for_each(|place| machine.send(place, cx)),
            Order::Waiting => machine.send(0, cx),
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

    /// Whether its user knows all that there is to know for now.
    pub(crate) fn is_told(&self) -> bool {
        self.told != Told::Nothing
    }

    /// Whether what is decided is on its way to the participants: whoever wants the same keys may
    /// be sent behind it.
    pub(crate) const fn lets_go(&self) -> bool {
        matches!(
            self.state,
            State::Finishing
                | State::Replicating
                | State::Releasing
                | State::Forgotten
                | State::Done
        )
    }

    /// Whether the outcome of `attempt` makes a difference.
    pub(crate) fn awaits(&self, attempt: Attempt) -> bool {
        self.parts.iter().any(|part| part.sent.is_some_and(|(own, _)| own == attempt))
    }

    /// The moment at which `on_timeout` has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let limit = match (self.state, self.told) {
            (State::Done, _) => return None,
            (State::Preparing, _) => Some(self.undecided_until()),
            (_, Told::Nothing) => Some(self.limit),
            _ => None,
        };
        self.parts.iter().filter_map(|part| part.wake).chain(limit).min()
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

    pub(crate) fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        let limit = match self.state {
            State::Preparing => self.undecided_until(),
            _ => self.limit,
        };
        if self.told == Told::Nothing && cx.now >= limit {
            match self.state {
                State::Preparing => {
                    let reason = self.reason.take().unwrap_or(Reason::TimedOut);
                    return self.abort(reason, cx);
                }
                State::Aborting => {
                    self.state = State::Unknown;
                    self.tell_doubt(cx);
                    // What it was asked before does not say that somebody may come to ask.
                    self.send(0, cx);
                }
                _ => {
                    self.tell_commit(cx);
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
