//! What the machines of transactions have in common: outcomes in, effects out, and the pauses between
//! attempts.

use alloc::vec::Vec;

use super::commit::Ending;
use super::recovery::{RecoveryOutcome, Task};
use super::replication::Copied;
use super::{Answer, Confirm, Op, Rejection, TransactionId, Txid};
use crate::error::Error;
use crate::machine::{Attempt, Backoff};
use crate::redis::Failure;
use crate::time::{Span, Time};

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
    Recovered(RecoveryOutcome),
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
    /// A key is locked by another transaction.
    LockConflict(LockConflict),
    /// It is applied, so its keys are released; and replicas are to have it.
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
        /// The transactions of this round.
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

/// A lock of another transaction that was in the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockConflict {
    /// Which.
    pub holder: TransactionId,
    /// The place in the plan of the participant that refused.
    pub place: usize,
    /// The key's place in the work of that participant.
    pub key: u32,
    /// Whether it may be recovered now.
    pub expired: bool,
}

pub(crate) type Outcome = crate::machine::Outcome<Answer>;

impl Outcome {
    /// Whether what was asked may have been executed, or may still be.
    pub(in crate::transaction) fn is_executed(&self) -> bool {
        match self {
            Self::Answered(..) => true,
            Self::Failed(failed) => failed.failure == Failure::OutcomeUnknown,
            Self::Refused(refused) => refused.executed,
        }
    }

    /// Whether it was another server than the participant that has answered.
    pub(in crate::transaction) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Answered(Answer::Refused { why: Rejection::Ring { .. }, .. }, _))
    }
}

/// Between failures.
const BACKOFF: Backoff = Backoff { first: Span::from_millis(20), longest: Span::from_secs(2) };
/// Before a lock is asked for again, after each conflict.
pub(crate) const WAIT: Backoff =
    Backoff { first: Span::from_micros(500), longest: Span::from_millis(8) };

/// When to try again after so many failures.
pub(in crate::transaction) fn back_off(failures: u32, cx: &mut Cx<'_>) -> Time {
    cx.now + BACKOFF.pause(failures, cx.entropy)
}
