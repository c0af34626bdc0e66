//! The counter: exactly once through Redis, counted at memory speed.
//!
//! Each replica owns a *slot*: how much it has counted up and down in all, two numbers that only
//! rise and that nobody else writes. A flush sends the server these sums, and the server keeps the
//! higher of each, so that a flush may be lost, repeated, late or out of order. The value is the sum
//! of all slots since the last reset. Nothing is ever sent as a difference.
//!
//! # A server counter's states at the client
//!
//! | state | means | leaves it |
//! | --- | --- | --- |
//! | unnamed | no slot yet; what is counted waits | the answer to a `JOIN` |
//! | named | has a slot; flushes raise it | its retirement, a conflict, the slot is unknown |
//! | leaving | slots of earlier lives, each to be raised and retired | the answer to each `RETIRE` |
//! | closing | as above, and the own slot is folded or retired in the end | the last answer, the time limit |
//!
//! At most one command is on its way. A flush keeps its numbers until it is answered, however
//! often it is sent, so an unreachable server costs no memory.
//!
//! # Key
//!
//! One hash, `counter:{name}`, so that slot and sums are written together or not at all.
//!
//! | field | holds |
//! | --- | --- |
//! | a slot's id, 38 characters | 20 digits each of P, N and the flush stamp of the last raise, 16 digits of its moment; of a retired slot the moment of its retirement, and behind it `r` and the id that was retired next |
//! | `tp`, `tn` | totals: the sums of all slots and of what was folded; decimal text of any length |
//! | `zp`, `zn`, `ep` | the totals at the last reset, and how many resets there were |
//! | `fp`, `fn`, `gc` | what was folded, and the highest incarnation of it that no list has |
//! | two characters | a bin of the ids that were folded at their owners' close: 38 characters each behind a comma, the oldest first |
//! | `bins`, `peers` | how many bins there are, and how many slots of peer counters |
//! | `v`, `hw` | the version, which rises with each change; the highest incarnation issued |
//! | `head`, `tail` | the retired slots' list in the order of their retirement |
//! | `ops` | the last eight resets |
//!
//! The flush stamp tells two copies of a process apart that share a slot: of each raise the answer says which
//! was the last one before, and it has to be the owner's. A raise over what was never acknowledged to
//! its owner gets a flush stamp that is nobody's, so that this shows when its answer is lost, too.
//!
//! A slot that is retired is still raised. After seven days, or where its place is needed, it may be
//! folded into one sum; an owner that comes back after that is answered that its slot is not known, and is
//! never counted again. A slot that nobody can raise any more, its owner having closed and handed out no bytes,
//! is folded at once, and its id is listed: whatever comes of it later is known to be counted. There are
//! at most 256 ids in each of 256 bins, by the owner's random bits, for seven days from the incarnation;
//! what leaves a bin raises the floor `gc`, below which nothing that is unknown is ever counted.
//!
//! Where memory is full, what begins a slot is refused - `JOIN`, and the first flush - and all that
//! writes over what is there goes on.
//!
//! `docs/counter.md` says what is promised and what is not.

mod journal;
mod machine;
mod options;
mod protocol;
mod server;
mod slot;
mod tally;

pub(crate) use machine::{Counter, Cx, Effect};
pub use options::{CounterOptions, Durability, MAX_DELAY};
pub use protocol::{Answer, Op, Part, Scanned, Totals, Verb, View};
pub use server::execute;
pub use slot::{FlushStamp, SlotId};
pub use tally::{Overflow, Tally};

use crate::error::{Error, Result};
use crate::table::Table;
use crate::time::Span;

/// The most slots of one counter, retired ones included.
pub const MAX_SLOTS: usize = 65_536;
/// The most of them that hold what replicas of peer counters have counted: they are there for good.
pub const MAX_PEERS: usize = 32_768;
/// The most calls that wait on one counter.
pub const MAX_WAITERS: usize = 65_536;

/// Numbers a counter of one coordinator, from its opening to its close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CounterId(pub u64);

/// A point in a counter's history: rises with every change on the server, while it loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Token(pub u64);

/// What a counter stands at, as far as is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CounterValue {
    /// The value: what the server last answered of the others, and all that was counted here.
    pub value: i128,
    /// How old the server's part is at most; none before its first answer, when `value` is only what
    /// was counted here.
    pub staleness: Option<Span>,
    /// Up to where the server's part goes.
    pub token: Token,
    /// How many resets there were by then.
    pub epoch: u64,
    /// What was counted here and is not acknowledged.
    pub pending: Tally,
    /// How long the oldest of it has waited, at most.
    pub oldest_pending: Option<Span>,
}

impl CounterValue {
    /// The value as 64 bits.
    ///
    /// # Errors
    /// `Overflow` beyond them.
    pub fn as_i64(&self) -> Result<i64> {
        i64::try_from(self.value).map_err(|_| {
            let message = alloc::format!("the value {} is beyond 64 bits", self.value);
            Error::new(crate::error::ErrorCode::Overflow, message)
        })
    }
}

/// How recent a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Freshness {
    /// At least as recent as this point.
    AtLeast(Token),
    /// As recent as this call.
    Fresh,
}

/// What an audit found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Audit {
    /// How many slots are in use.
    pub live: u64,
    /// How many are retired.
    pub retired: u64,
    /// How many were retired by this audit, because nobody had raised them for long: so many new ones
    /// find a place.
    pub pruned: u64,
    /// Whether the sum of all slots was compared with the totals: not while others kept counting.
    pub compared: bool,
    /// By how much the value was wrong, and was corrected.
    pub corrected: i128,
}

/// A slot of an earlier life: what was counted in it, and how much of that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PreviousSlot {
    pub(crate) tally: Tally,
    pub(crate) acknowledged: Tally,
    /// What of it was handed out to be restored.
    pub(crate) exported: Tally,
    /// [`FlushStamp::REPLAY`] where bytes were restored: others may restore them, too.
    pub(crate) flush_stamp: FlushStamp,
}

/// The slots of earlier lives, by id.
pub(crate) type PreviousSlots = Table<SlotId, PreviousSlot>;

/// The slots that a counter of this name has to restore, from bytes; see [`journal`].
pub(crate) fn restore(name: &[u8], bytes: &[u8]) -> Result<PreviousSlots> {
    journal::decode(name, bytes)
}
