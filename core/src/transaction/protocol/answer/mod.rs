//! What a participant answers: a flat array of bulk strings, the verb first.

mod codec;

use alloc::vec::Vec;

use super::Role;
use crate::keyspace::ServerTime;
use crate::redis::Reply;
use crate::transaction::{Key, Txid};

/// What a participant answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To `ONE_PHASE` and `PREPARE`: applied, by this call or an earlier one.
    Done {
        /// One for each operation; none from an earlier call whose replies were too long to be recorded.
        replies: Vec<Reply>,
    },
    /// To `PREPARE`: the vote is yes.
    Prepared {
        /// The server's clock.
        now: ServerTime,
        /// As of `Done`.
        replies: Vec<Reply>,
    },
    /// To `ONE_PHASE` and `PREPARE`: refused. Nothing was done.
    Refused {
        /// Whether the refusal is recorded: the transaction will never be applied here. So it is
        /// in a `ONE_PHASE` that writes and at the primary, unless the caller waits for the lock.
        recorded: bool,
        /// Why.
        why: Rejection,
    },
    /// `ABORTED` is recorded; to `VOTE`: the vote is no.
    Aborted,
    /// To `FINISH` and `STATUS`: committed; to `VOTE` and `FINISH` at a secondary: applied.
    Committed {
        /// To `STATUS`, all participants; otherwise none.
        participants: Vec<Vec<u8>>,
    },
    /// To `FINISH`: committed, but not all of it is here any more. Recorded as committed where the
    /// vote was found.
    Lost {
        /// The keys whose lock or shadow was gone, which are as they were; none where the vote was
        /// gone.
        keys: Vec<Vec<u8>>,
    },
    /// To `STATUS`: the primary has voted yes, the secondaries decide.
    Staging(Held),
    /// To `VOTE`: the vote is yes.
    Yes(Held),
    /// To `STATUS`, `VOTE` and `FINISH` that record nothing: nothing is known of it.
    Nothing,
    /// Finished, how is recorded elsewhere or no longer: never read as committed, never as aborted.
    Stale {
        /// The server's clock.
        now: ServerTime,
    },
    /// The slot's register holds the vote of an earlier transaction: nothing was done.
    Pending {
        /// That transaction.
        earlier: Txid,
    },
    /// To `ONE_PHASE` and `PREPARE`: the participant has no stamp, or one of an earlier version. Nothing
    /// was done.
    Unstamped {
        /// What it has instead of a stamp; empty if nothing.
        found: Vec<u8>,
    },
    /// The register of this id is of other work or of another role, or nobody can read it: nothing
    /// was done.
    Mismatch,
    /// To `SWEEP` of a part.
    Page {
        /// Where the next part begins, `0` if this was the last.
        cursor: u64,
        /// The server's clock.
        now: ServerTime,
        /// How many registers and locks of this part nobody can read. They stay as they are.
        unreadable: u64,
        /// What there is to be done.
        found: Vec<Swept>,
    },
    /// To `SWEEP` that finds.
    Found {
        /// Where the next part begins, `0` if this was the last.
        cursor: u64,
        /// What has a name like that of a shadow here. Some may be named twice.
        names: Vec<Vec<u8>>,
    },
    /// To any other `SWEEP`.
    Removed {
        /// How much was removed.
        count: u64,
    },
    /// To `CONFIRM`.
    Confirmed {
        /// What is recorded of each; none where nothing is, or of another use of its slot.
        states: Vec<Option<State>>,
    },
}

/// Why a transaction is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Another transaction has locked a key.
    Locked {
        /// The key's place in the work's list.
        key: u32,
        /// The transaction that has locked it.
        holder: Txid,
        /// The stable id of the holder's primary.
        primary: Vec<u8>,
        /// The holder's `not_after`.
        not_after: ServerTime,
        /// From when on the holder may be recovered.
        deadline: ServerTime,
        /// The server's clock.
        now: ServerTime,
    },
    /// A check was answered otherwise.
    Changed {
        /// The check's place in the work's list.
        check: u32,
    },
    /// An operation failed.
    Failed {
        /// The operation's place in the work's list.
        operation: u32,
        /// The error reply.
        error: Vec<u8>,
    },
    /// A value is too large to be copied.
    Large {
        /// The key's place in the work's list.
        key: u32,
        /// Its elements, or its bytes.
        size: u64,
        /// How much may be copied.
        limit: u64,
    },
    /// The participant belongs to another ring.
    Ring {
        /// That ring's stamp.
        theirs: Vec<u8>,
        /// Its members; empty if they are not known.
        members: Vec<u8>,
    },
}

/// What a vote holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// The server's clock.
    pub now: ServerTime,
    /// From when on the transaction may be recovered.
    pub deadline: ServerTime,
    /// The transaction's `not_after`.
    pub not_after: ServerTime,
    /// What the participant is.
    pub role: Role,
    /// The keys it has locked, for `FINISH`.
    pub keys: Vec<Key>,
}

/// Something that may be left over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Swept {
    /// Whose register it is.
    pub txid: Txid,
    /// A vote whose patience is over is to be recovered; the others have been idle for an hour.
    pub state: State,
    /// The transaction's `not_after`.
    pub not_after: ServerTime,
    /// Until when it is kept for questions; a moment that is past, if it is not.
    pub kept: ServerTime,
    /// What the participant was: whom to ask before a finished register is removed. Where a
    /// transaction was aborted before it was heard of, it points to nobody.
    pub role: Role,
}

/// The state of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Voted yes; at the primary: staging.
    Prepared,
    /// Applied; at the primary: committed.
    Done,
    /// Will never be applied.
    Aborted,
}

impl State {
    pub(in crate::transaction) const fn letter(self) -> &'static [u8; 1] {
        match self {
            Self::Prepared => b"P",
            Self::Done => b"D",
            Self::Aborted => b"A",
        }
    }

    pub(in crate::transaction) fn parse(letter: &[u8]) -> Option<Self> {
        [Self::Prepared, Self::Done, Self::Aborted].into_iter().find(|one| one.letter() == letter)
    }
}
