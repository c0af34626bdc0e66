//! The names of transactions.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use super::MAX_SLOTS;
use super::protocol::text::{parse_hex, write_hex};
use super::protocol::{COLUMN_END, WIDTH};
use crate::error::Error;
use crate::keyspace::ServerTime;
use crate::redis::{parse_number, readable, write_padded};

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

    /// The first use of the first slot of a session.
    pub(in crate::transaction) const fn first(session: u64) -> Self {
        Self { session, slot: 0, seq: 1 }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::NEVER;

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
