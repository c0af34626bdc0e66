//! Slots: the id of a slot's owner, and what the server keeps of it.

use alloc::vec::Vec;
use core::fmt;

use super::Tally;
use crate::redis::{base64url, decode_base64url, parse_number, write_padded};
use crate::time::Time;

/// The digits of an incarnation, and of a moment.
pub(super) const TIME_WIDTH: usize = 16;
/// The digits of a part of a tally, and of a flush stamp.
const WIDTH: usize = 20;

/// Names one slot of a counter for ever: the random identity of its owner and the incarnation that
/// the server issued.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId {
    /// 128 random bits.
    pub owner: u128,
    /// Issued by the server, never twice, below 10^16; or [`PEER`](Self::PEER).
    pub incarnation: u64,
}

impl SlotId {
    /// The incarnation of every slot that a peer counter's state was merged into. None is issued by a
    /// server, and none is above it: such a slot is neither retired nor folded.
    pub const PEER: u64 = 9_999_999_999_999_999;

    /// Whether it holds what a replica of a peer counter has counted.
    #[must_use]
    pub const fn is_peer(&self) -> bool {
        self.incarnation == Self::PEER
    }

    /// The length of its text.
    pub const LEN: usize = 22 + TIME_WIDTH;

    /// Its text: the owner as 22 characters of base64, the incarnation in 16 digits.
    #[must_use]
    pub fn to_text(&self) -> [u8; Self::LEN] {
        let mut text = Vec::with_capacity(Self::LEN);
        text.extend_from_slice(&base64url(self.owner));
        write_padded(&mut text, self.incarnation, TIME_WIDTH);
        text.try_into().unwrap_or([b'0'; Self::LEN])
    }

    /// The id with this text.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (owner, incarnation) = text.split_at_checked(22)?;
        (incarnation.len() == TIME_WIDTH).then_some(())?;
        Some(Self { owner: decode_base64url(owner)?, incarnation: parse_number(incarnation)? })
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_text().escape_ascii())
    }
}

/// Tells the flushes of one slot apart: the client's clock when the flushed value was sent first.
/// Two processes that share a slot unknowingly differ in it though their values agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlushStamp(pub u64);

impl FlushStamp {
    /// The flush stamp of what is only repeated: a saved slot of an earlier life.
    pub const REPLAY: Self = Self(0);
    /// The server's flush stamp of a slot whose owner did not know of the raise before: the owner finds it
    /// out though the answer to its own be lost.
    pub const SHARED: Self = Self(u64::MAX);

    /// The flush stamp of what is sent first at this moment.
    pub(super) fn at(now: Time) -> Self {
        Self(now.as_micros().clamp(1, u64::MAX - 1))
    }
}

/// A slot as the server keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) tally: Tally,
    pub(super) flush_stamp: FlushStamp,
    /// When it was last raised; of a retired one, when it was retired.
    pub(super) stamp: u64,
    /// Of a retired one, the id text that was retired next, empty for none.
    pub(super) retired: Option<Vec<u8>>,
}

impl Slot {
    /// The columns of tally, flush stamp and moment together.
    pub(super) const LEN: usize = 3 * WIDTH + TIME_WIDTH;

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = encode_stamped(self.tally, self.flush_stamp);
        write_padded(&mut bytes, self.stamp, TIME_WIDTH);
        if let Some(next) = &self.retired {
            bytes.push(b'r');
            bytes.extend_from_slice(next);
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (columns, rest) = bytes.split_at_checked(Self::LEN)?;
        let (marked, stamp) = columns.split_at_checked(3 * WIDTH)?;
        let (tally, flush_stamp) = decode_stamped(marked)?;
        let retired = rest.split_first().map(|(_, next)| next.to_vec());
        Some(Self { tally, flush_stamp, stamp: parse_number(stamp)?, retired })
    }
}

/// 40 digits.
pub(super) fn encode_tally(tally: Tally) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(Slot::LEN);
    write_padded(&mut bytes, tally.p, WIDTH);
    write_padded(&mut bytes, tally.n, WIDTH);
    bytes
}

/// 60 digits.
pub(super) fn encode_stamped(tally: Tally, flush_stamp: FlushStamp) -> Vec<u8> {
    let mut bytes = encode_tally(tally);
    write_padded(&mut bytes, flush_stamp.0, WIDTH);
    bytes
}

pub(super) fn decode_tally(digits: &[u8]) -> Option<Tally> {
    let (p, n) = digits.split_at_checked(WIDTH)?;
    (n.len() == WIDTH).then_some(())?;
    Some(Tally { p: parse_number(p)?, n: parse_number(n)? })
}

pub(super) fn decode_stamped(digits: &[u8]) -> Option<(Tally, FlushStamp)> {
    let (tally, flush_stamp) = digits.split_at_checked(2 * WIDTH)?;
    (flush_stamp.len() == WIDTH).then_some(())?;
    Some((decode_tally(tally)?, FlushStamp(parse_number(flush_stamp)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_text() {
        for (owner, incarnation) in [(0, 0), (u128::MAX, 9_999_999_999_999_999), (7, 1)] {
            let id = SlotId { owner, incarnation };
            assert_eq!(SlotId::parse(&id.to_text()), Some(id));
        }
        let bad: [&[u8]; 4] = [b"", b"tp", &[b'A'; 37], &[b'A'; 39]];
        assert!(bad.into_iter().all(|text| SlotId::parse(text).is_none()));
    }
}
