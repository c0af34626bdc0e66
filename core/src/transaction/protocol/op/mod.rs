//! What a client asks of a participant.
//!
//! Every script takes the keys in one order: the participant's hash, the keys of the transaction,
//! and a shadow for each one that is written. Its arguments begin with the transaction's id.

mod codec;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::text::{read_counted, write_counted};
use crate::keyspace::ServerTime;
use crate::redis::Script;
use crate::stamp::Stamp;
use crate::time::Span;
use crate::transaction::{Key, Txid, Work};

/// What a client asks of a participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A whole transaction, all of whose keys are here. See `one_phase.lua`.
    OnePhase(OnePhase),
    /// Lock, validate and execute on shadows: the vote. See `prepare.lua`.
    Prepare(Prepare),
    /// Make the shadows the keys, or drop them, and unlock. See `finish.lua`.
    Finish(Finish),
    /// What the primary has decided. See `status.lua`.
    Status(Query),
    /// What a secondary has voted. See `vote.lua`.
    Vote(Query),
    /// Find and remove what is left over. See `sweep.lua`.
    Sweep(Sweep),
    /// What is recorded of some transactions, asked by a write. See `confirm.lua`.
    Confirm(Confirm),
}

/// A whole transaction in one script. A refusal of one that writes is recorded as `ABORTED`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OnePhase {
    /// Which transaction.
    pub txid: Txid,
    /// The stamp that the client takes the participant to have.
    pub ring: Stamp,
    /// Not to be executed after this moment where nothing is recorded.
    pub not_after: ServerTime,
    /// What it does.
    pub work: Arc<Work>,
}

/// The first phase at one participant. A refusal at the primary is recorded as `ABORTED`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prepare {
    /// Which transaction.
    pub txid: Txid,
    /// The stamp that the client takes the participant to have.
    pub ring: Stamp,
    /// Not to be executed after this moment where nothing is recorded.
    pub not_after: ServerTime,
    /// What the participant is, and where the others are.
    pub role: Role,
    /// From when on others may recover the transaction, at most [`MAX_PATIENCE`](crate::transaction::MAX_PATIENCE) after now.
    pub patience: Span,
    /// Whether a refusal because of a lock is not recorded: the caller waits and asks again.
    pub keep: bool,
    /// What is done here.
    pub work: Arc<Work>,
}

/// What a participant is in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Its register decides.
    Primary {
        /// The stable ids of all participants' nodes in canonical order, its own the first.
        participants: Vec<Vec<u8>>,
    },
    /// It votes.
    Secondary {
        /// The stable id of the primary's node.
        primary: Vec<u8>,
    },
}

/// How a transaction ends at a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is committed.
    Commit,
    /// It is aborted: recorded even where nothing is known of it.
    Abort,
    /// It is over, nobody knows how: a vote becomes `ABORTED`, anything else stays as it is.
    Release,
}

/// The second phase at one participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finish {
    /// Which transaction.
    pub txid: Txid,
    /// Of the transaction, as in its [`Prepare`].
    pub not_after: ServerTime,
    /// How it ends.
    pub verdict: Verdict,
    /// Whether its register is kept for [`KEPT`](crate::transaction::KEPT): its user may have been notified
    /// that the outcome is in doubt, and ask.
    pub retain: bool,
    /// All its keys here, in the order of its [`Work`] or of an answer; none where none is known.
    pub keys: Vec<Key>,
}

/// A question about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// Which transaction.
    pub txid: Txid,
    /// Of the transaction, as in its [`Prepare`]. Where it is not known nothing is forced, for it says
    /// how long what is recorded is needed.
    pub not_after: ServerTime,
    /// Whether `ABORTED` is recorded where nothing is known of it.
    pub force: bool,
}

/// Cleaning up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sweep {
    /// A part of what may be left over: votes whose patience is over, and the registers of slots
    /// that have not been used for an hour. Locks whose transaction is not prepared are removed.
    Page {
        /// Where the last part ended, `0` for the first part.
        cursor: u64,
    },
    /// Remove these registers, each if it is still of this sequence and `DONE` or `ABORTED`.
    Registers {
        /// Whose.
        txids: Vec<Txid>,
        /// Whether registers that are kept are removed, too.
        kept: bool,
    },
    /// The names of what may be shadows, in a part of the server's whole key space.
    Find {
        /// Where the last part ended, `0` for the first part.
        cursor: u64,
    },
    /// Remove those of these shadows whose slot has prepared nothing.
    Shadows {
        /// Their names, as `Find` gave them.
        names: Vec<Vec<u8>>,
    },
}

/// What is recorded of some transactions. It changes nothing, and yet writes: a `WAIT` behind it on the
/// same connection waits until replicas have it, and with it all that was recorded before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Confirm {
    /// Which.
    pub txids: Vec<Txid>,
}

impl Role {
    /// The stable id of the primary's node.
    #[must_use]
    pub fn primary(&self) -> &[u8] {
        match self {
            Self::Primary { participants } => participants.first().map_or(b"", Vec::as_slice),
            Self::Secondary { primary } => primary,
        }
    }

    /// A letter and what points to the others, as arguments, registers and answers have it.
    pub(in crate::transaction) fn to_text(&self) -> Vec<u8> {
        match self {
            Self::Primary { participants } => {
                let mut text = b"p".to_vec();
                participants.iter().for_each(|id| write_counted(&mut text, id));
                text
            }
            Self::Secondary { primary } => [b"s", primary.as_slice()].concat(),
        }
    }

    pub(in crate::transaction) fn parse(text: &[u8]) -> Option<Self> {
        match text.split_first()? {
            (b'p', rest) => Some(Self::Primary { participants: read_counted(rest)? }),
            (b's', primary) => Some(Self::Secondary { primary: primary.to_vec() }),
            _ => None,
        }
    }
}

impl Op {
    /// The script that executes it.
    #[must_use]
    pub const fn script(&self) -> Script {
        match self {
            Self::OnePhase(_) => Script::OnePhase,
            Self::Prepare(_) => Script::Prepare,
            Self::Finish(_) => Script::Finish,
            Self::Status(_) => Script::Status,
            Self::Vote(_) => Script::Vote,
            Self::Sweep(_) => Script::Sweep,
            Self::Confirm(_) => Script::Confirm,
        }
    }
}
