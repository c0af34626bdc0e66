//! What a transaction begins with, and what it comes to.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::error::Error;
use crate::keyspace::ServerTime;
use crate::redis::Reply;
use crate::time::{Span, Time};
use crate::transaction::{Ack, Durability, Rejection, TransactionPlan, Txid};

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
        why: Rejection,
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

/// How the participants are asked to prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrepareOrder {
    /// All at once; a lock that is held is a refusal.
    Parallel,
    /// One after the other; a lock that is held is waited for.
    Waiting,
}

/// What a transaction begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Its id.
    pub txid: Txid,
    /// What it does.
    pub plan: Arc<TransactionPlan>,
    /// Nothing of it is executed after this moment.
    pub not_after: ServerTime,
    /// From when on others may recover it, after a vote.
    pub patience: Span,
    /// How it prepares.
    pub order: PrepareOrder,
    /// When its user is notified of a commit.
    pub ack: Ack,
    /// How many replicas have to have it by then.
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
