//! The transaction: atomic writes across several Redis masters, by two-phase commit in the
//! parallel-commit form. The votes are kept at the participants and the decision is that all of
//! them are yes, so it stands after one round trip.
//!
//! A *participant* is what one script may touch: a master, or a slot of a Redis Cluster. The
//! *primary* is the participant whose node id comes first; a transaction is committed or aborted
//! when the primary's register says so, or when every register says `PREPARED`.
//!
//! # Key
//!
//! One hash for each participant, `t:{tag}`. Nothing in it has a time to live: safety rests on no
//! clock.
//!
//! | field | holds |
//! | --- | --- |
//! | `e` | the fingerprint of the ring under which keys are locked here |
//! | `k` and a key | its lock: one exclusive holder, or up to 32 shared ones |
//! | `r` session `.` slot | the register: the vote of the transaction that uses the slot, its decision at the primary, its replies |
//!
//! What a prepared transaction has written lies in *shadows* beside it, `t:{tag}:session.slot:n`,
//! of which each becomes the key `n` of the transaction by `RENAME`.
//!
//! # States of a register
//!
//! | state | means | leaves it |
//! | --- | --- | --- |
//! | none, or a lower sequence | not heard of the transaction | `PREPARE`, `ONE_PHASE`; a refusal or a forced question records `ABORTED` |
//! | `PREPARED` | voted yes; at the primary: staging | `FINISH` |
//! | `DONE` | applied; at the primary: committed | the next sequence of the slot |
//! | `ABORTED` | will never be applied | the next sequence of the slot |
//!
//! A session takes a free slot and that slot's next sequence for each transaction. Every script
//! looks the register up first: the same sequence is answered with what is recorded, a lower one
//! is `STALE`. So is one of which nothing is known after its `not_after`, a moment of the servers'
//! clocks that is the same in every call of a transaction; a register may be removed after it. A
//! `VOTE` then says no instead: no vote can come any more. `ONE_PHASE`, a `STATUS` and an abort look at the
//! clock only where the slot has no register: what was removed had been used last, so one that an
//! earlier sequence has left shows that nothing of this one has come.
//!
//! Of what is over the primary's register is *kept* for a day where somebody may have been told that the
//! outcome is in doubt: its client does not use the slot again, and no sweep removes the register, but
//! for the oldest of very many. Whoever asks within that time is answered.
//!
//! # Scripts
//!
//! Each makes all its checks before its first write, because Redis does not roll a script back.
//! They stand in parts, and `build/main.rs` lists of which each script is put together; `server/` is
//! the same in Rust.
//!
//! A transaction at a single participant works on the keys themselves, in an order in which what
//! fails can be undone, and on shadows where there is none; `plan.rs` tells which. Shadows keep
//! ends and allow any command with one key, but what is copied must not be large.

mod allowed;
mod answer;
#[doc(hidden)]
pub mod bare;
pub(crate) mod line;
pub(crate) mod machine;
mod op;
pub(crate) mod outcome;
mod plan;
pub(crate) mod recovery;
pub(crate) mod replication;
mod replies;
pub(crate) mod routing;
mod server;
pub(crate) mod session;
pub(crate) mod sweeper;
mod text;
mod work;

use alloc::vec::Vec;
use alloc::{format, vec};
use core::fmt;

pub use answer::{Answer, Held, Refusal, State, Swept};
pub use machine::{Ack, Attempt, Begin, Copies, Effect, Ending, Met, Order, Reason, Slot};
pub use op::{Confirm, Finish, OnePhase, Op, Prepare, Query, Role, Sweep, Verdict};
pub use recovery::{Found, Heuristic, Task};
pub use replication::Copied;
pub use routing::{CopyLimits, Expectation, MAX_PARTICIPANTS, Plan, PlanPart, Words};
pub use server::execute;
use text::{parse_hex, write_hex};
pub use work::{Check, Operation, Work};

use crate::error::{Error, Result};
use crate::keyspace::ServerTime;
use crate::redis::{parse_number, readable, write_padded};
use crate::time::Span;

/// The most slots of a session, which is how many of its transactions run at once.
pub const MAX_SLOTS: u8 = 64;
/// The most operations of a transaction at one participant.
pub const MAX_OPERATIONS: usize = 1_000;
/// The most words of one operation, its name among them.
pub const MAX_WORDS: usize = 4_000;
/// The most bytes of all operations and checks at one participant.
pub const MAX_BYTES: usize = 4 << 20;
/// The most bytes of the replies of a transaction at one participant that are recorded there, for who asks
/// again because an answer was lost. Longer ones are answered once: then the transaction is committed
/// without them.
pub const MAX_RECORDED: usize = 16_384;
/// The most holders of a shared lock.
pub const MAX_SHARED: usize = 32;
/// The longest time from a transaction's start to its `not_after`.
pub const MAX_LIFE: Span = Span::from_secs(600);
/// How long one is kept for those who ask whose user was told that its outcome is in doubt.
pub const KEPT: Span = Span::from_secs(86_400);
/// The most of them that one coordinator keeps its slots from being used again for. Beyond it those that
/// ended first go.
pub const MAX_KEPT: usize = 1_024;
/// The most of them that a sweep leaves on one server. Beyond it those that ended first go.
pub const MAX_KEPT_ON_SERVER: usize = 16_384;
/// The longest time until a transaction may be recovered by others.
pub const MAX_PATIENCE: Span = Span::from_secs(60);
/// The most elements of a collection, unless told otherwise, that a transaction copies.
pub const COPY_ELEMENTS: u32 = 10_000;
/// The most bytes of a value, unless told otherwise, that a transaction copies.
pub const COPY_BYTES: u32 = 1 << 20;

/// Decimal digits of sequences and moments.
const WIDTH: usize = 16;
/// What a column of that width cannot hold.
const COLUMN_END: u64 = 10_000_000_000_000_000;
/// The last moment that a column can hold: as a `not_after`, one that is never over.
pub(crate) const NEVER: ServerTime = ServerTime(COLUMN_END - 1);

/// One use of one slot of one session: what the scripts know a transaction by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Txid {
    session: u64,
    slot: u8,
    seq: u64,
}

impl Txid {
    /// The length of its text.
    pub const LEN: usize = 16 + 1 + 2 + 1 + WIDTH;

    /// Sequence `seq` of slot `slot` of the session; none from [`MAX_SLOTS`] and from 10^16 on.
    #[must_use]
    pub const fn new(session: u64, slot: u8, seq: u64) -> Option<Self> {
        if slot < MAX_SLOTS && seq < COLUMN_END { Some(Self { session, slot, seq }) } else { None }
    }

    /// 64 random bits that a coordinator has for itself.
    #[must_use]
    pub const fn session(self) -> u64 {
        self.session
    }

    /// Which of the session's slots.
    #[must_use]
    pub const fn slot(self) -> u8 {
        self.slot
    }

    /// The slot and its sequence in one number, below 2^60.
    pub(crate) fn use_of_slot(self) -> u64 {
        u64::from(self.slot) << 54 | self.seq
    }

    /// Rises with each use of the slot.
    #[must_use]
    pub const fn seq(self) -> u64 {
        self.seq
    }

    /// As the scripts take it: 16 hexadecimal digits, a dot, 2 digits, a dot, 16 digits.
    #[must_use]
    pub fn to_text(self) -> [u8; Self::LEN] {
        let mut text = Vec::with_capacity(Self::LEN);
        write_hex(&mut text, self.session);
        text.push(b'.');
        write_padded(&mut text, self.slot.into(), 2);
        text.push(b'.');
        write_padded(&mut text, self.seq, WIDTH);
        text.try_into().unwrap_or([b'0'; Self::LEN])
    }

    /// The transaction with this text; none if it is not one.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (session, rest) = text.split_at_checked(16)?;
        let (slot, seq) = rest.strip_prefix(b".")?.split_at_checked(2)?;
        let seq = seq.strip_prefix(b".").filter(|seq| seq.len() == WIDTH)?;
        let slot = u8::try_from(parse_number(slot)?).ok()?;
        Self::new(parse_hex(session)?, slot, parse_number(seq)?)
    }
}

impl fmt::Debug for Txid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}.{}", self.session, self.slot, self.seq)
    }
}

/// Names a transaction for everybody: with the primary, whose register decides, and with the moment
/// after which nothing of it is executed, so that anybody can tell what is over from what is only
/// late.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId {
    /// What the scripts know it by.
    pub txid: Txid,
    /// Its `not_after` by the primary's clock; none in a text of a version that did not write it.
    pub not_after: Option<ServerTime>,
    /// The stable id of the primary's node.
    pub primary: Vec<u8>,
}

impl TransactionId {
    /// Its text: session, slot and sequence as of [`Txid`], a dot and 16 digits for its `not_after`
    /// if that is known, an `@`, and the primary's node id.
    #[must_use]
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = self.txid.to_text().to_vec();
        if let Some(ServerTime(moment)) = self.not_after {
            text.push(b'.');
            write_padded(&mut text, moment.min(COLUMN_END - 1), WIDTH);
        }
        text.push(b'@');
        text.extend_from_slice(&self.primary);
        text
    }

    /// The transaction with this text; none if it is not one.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (txid, mut rest) = text.split_at_checked(Txid::LEN)?;
        let mut not_after = None;
        if let Some(moment) = rest.strip_prefix(b".") {
            let (digits, behind) = moment.split_at_checked(WIDTH)?;
            (not_after, rest) = (Some(ServerTime(parse_number(digits)?)), behind);
        }
        let primary = rest.strip_prefix(b"@").filter(|id| !id.is_empty())?;
        Some(Self { txid: Txid::parse(txid)?, not_after, primary: primary.to_vec() })
    }
}

impl TransactionId {
    /// The error where a node says that it is not the primary.
    pub(crate) fn misnamed(&self) -> Error {
        let (id, node) = (readable(&self.to_text()), readable(&self.primary));
        Error::invalid(format!(
            "transaction {id}: '{node}' is not the server that decides it, or nobody can read what it has recorded"
        ))
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}", self.txid, self.primary.escape_ascii())
    }
}

/// Numbers a transaction of one coordinator, from its execution to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Handle(pub u64);

/// The most replicas that can be waited for.
pub const MAX_REPLICAS: u32 = 64;

/// Who has to have a transaction before its user is told that it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Durability {
    /// Its servers.
    #[default]
    None,
    /// Replicas of theirs as well, by Redis' `WAIT`: all of it, applied. Where too few have it in
    /// time, it is committed all the same, and `TransactionNotDurable` says so.
    Wait {
        /// How many of each server's, from 1 to [`MAX_REPLICAS`].
        replicas: u32,
        /// How long to wait for them once it is applied, from 10 ms to 60 s.
        timeout: Span,
    },
}

/// How a transaction is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransactionOptions {
    /// When its user is told of a commit.
    pub ack: Ack,
    /// How long it may take until it is decided, from 10 ms to 60 s; none for that of the
    /// coordinator.
    pub timeout: Option<Span>,
    /// How long after its vote a server's keys stay locked before other clients may end the
    /// transaction, from 10 ms to [`MAX_PATIENCE`]; none for the coordinator's timeout.
    pub patience: Option<Span>,
    /// What it may copy.
    pub copy: CopyLimits,
    /// Who has to have it. Only what is applied can be waited for: with [`Ack::Applied`].
    pub durability: Durability,
}

impl TransactionOptions {
    /// Checks every range.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the option, the value and the range.
    pub fn check(&self) -> Result<()> {
        let mut spans = vec![("timeout", self.timeout), ("patience", self.patience)];
        if let Durability::Wait { replicas, timeout } = self.durability {
            if !(1..=MAX_REPLICAS).contains(&replicas) {
                let message =
                    format!("durability: {replicas} replicas are outside 1 to {MAX_REPLICAS}");
                return Err(Error::invalid(message));
            }
            if self.ack != Ack::Applied {
                let message = "durability: replicas are waited for once it is applied, so ack has to \
                               be that, too";
                return Err(Error::invalid(message));
            }
            spans.push(("durability: timeout", Some(timeout)));
        }
        for (name, span) in spans {
            if let Some(span) = span.filter(|s| *s < Span::from_millis(10) || *s > MAX_PATIENCE) {
                let us = span.as_micros();
                let message = format!("{name}: {us} us is outside 10 ms to 60 s");
                return Err(Error::invalid(message));
            }
        }
        Ok(())
    }
}

/// What a sweep looks for besides what the participants' hashes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SweepOptions {
    /// Shadows that nobody will finish, as an accident leaves them: each server's whole key space is
    /// searched for them, a thousand keys in each call.
    pub shadows: bool,
}

impl Default for SweepOptions {
    fn default() -> Self {
        Self { shadows: true }
    }
}

/// For what a transaction locks a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Others may read it under a lock too, none may write it.
    Shared,
    /// Nobody else may have it. It is not written.
    Exclusive,
    /// The same, and it is written.
    Write,
}

impl Mode {
    const fn letter(self) -> u8 {
        match self {
            Self::Shared => b'S',
            Self::Exclusive => b'X',
            Self::Write => b'W',
        }
    }

    const fn parse(letter: u8) -> Option<Self> {
        match letter {
            b'S' => Some(Self::Shared),
            b'X' => Some(Self::Exclusive),
            b'W' => Some(Self::Write),
            _ => None,
        }
    }
}

/// A key of a transaction at one participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The key itself.
    pub name: Vec<u8>,
    /// For what it is locked.
    pub mode: Mode,
}

/// The name of the shadow of key number `index` of the transaction, beside the hash `meta`.
fn shadow(meta: &[u8], txid: Txid, index: usize) -> Vec<u8> {
    let mut name = [meta, b":", &txid.to_text()[..19], b":"].concat();
    write_padded(&mut name, index as u64, 1);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_text() {
        for (session, slot, seq) in [(0, 0, 0), (u64::MAX, 63, COLUMN_END - 1), (7, 1, 42)] {
            let txid = Txid::new(session, slot, seq).expect("in range");
            assert_eq!(Txid::parse(&txid.to_text()), Some(txid));
            for not_after in [None, Some(ServerTime(0)), Some(NEVER)] {
                let id = TransactionId { txid, not_after, primary: b"a@b\0".to_vec() };
                assert_eq!(TransactionId::parse(&id.to_text()), Some(id));
            }
        }
        assert_eq!(Txid::new(0, MAX_SLOTS, 0), None);
        assert_eq!(Txid::new(0, 0, COLUMN_END), None);
        for bad in [
            "",
            "0",
            "000000000000000G.00.0000000000000001",
            "0000000000000000.64.0000000000000001",
        ] {
            assert_eq!(Txid::parse(bad.as_bytes()), None, "{bad}");
        }
        for bad in
            ["@", "x", ".@a", ".000000000000000@a", ".000000000000000x@a", ".0000000000000001"]
        {
            let text = [b"0000000000000000.00.0000000000000001", bad.as_bytes()].concat();
            assert_eq!(TransactionId::parse(&text), None, "{bad}");
        }
    }
}
