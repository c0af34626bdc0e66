//! What a transaction's machine begins with, is told and wants done.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use super::Attempt;
use crate::error::Error;
use crate::keyspace::ServerTime;
use crate::machine::Failed;
use crate::redis::{Failure, Reply};
use crate::time::{Span, Time};
use crate::transaction::recovery::{Found, Task};
use crate::transaction::replication::Copied;
use crate::transaction::{Answer, Confirm, Durability, Op, Plan, Refusal, TransactionId, Txid};

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
    pub(super) fn is_executed(&self) -> bool {
        match self {
            Self::Answered(_) => true,
            Self::Failed(failed) => failed.failure == Failure::OutcomeUnknown,
            Self::Refused { executed, .. } => *executed,
        }
    }

    /// Whether it was another server than the participant that has answered.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Answered(Answer::Refused { why: Refusal::Ring { .. }, .. }))
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
