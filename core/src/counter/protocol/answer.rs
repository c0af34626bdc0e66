//! What a counter answers: a flat array of bulk strings, the verb first.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::counter::slot::{Slot, decode_stamped, decode_tally, encode_stamped, encode_tally};
use crate::counter::{FlushStamp, SlotId, Tally, Token};
use crate::redis::{Argv, Fields, Reply, parse_number};

/// Sums of increments and decrements, beyond what one slot can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Totals {
    /// All increments.
    pub p: u128,
    /// All decrements.
    pub n: u128,
}

/// What a counter stands at, all from one moment on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct View {
    /// The slot that was asked about, as stored.
    pub own: Tally,
    /// The sum of all slots, retired and folded ones included.
    pub totals: Totals,
    /// The totals at the last reset.
    pub zero: Totals,
    /// How many resets there were.
    pub epoch: u64,
    /// Rises with every change.
    pub version: Token,
}

/// One slot of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scanned {
    /// Whose slot.
    pub id: SlotId,
    /// What was counted.
    pub tally: Tally,
    /// Tells its last raise from others.
    pub flush_stamp: FlushStamp,
    /// When it was last raised, or retired, in microseconds of the server's clock.
    pub stamp: u64,
    /// Whether it is retired.
    pub retired: bool,
}

/// A part of all slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Where the next part begins, `0` if this was the last.
    pub cursor: u64,
    /// The sum of what was folded.
    pub folded: Totals,
    /// The server's clock, in microseconds.
    pub now_us: u64,
    /// The slots. One may come again in a later part.
    pub slots: Vec<Scanned>,
}

/// What kind of answer it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// There is no such slot and none was made: nothing was counted in it.
    None,
    /// The slot is its owner's.
    Live,
    /// The slot is retired; it keeps the maximum all the same.
    Retired,
    /// The slot is unknown, and is older than some that were folded: nothing was counted.
    Unknown,
    /// The slot was folded by its owner, all of it counted: nothing was changed.
    Folded,
    /// There are 65,536 slots, none of them retired, or 32,768 of peer counters and this is one more:
    /// nothing was counted.
    Full,
    /// The slot is unknown and its incarnation is more than an hour ahead of the server's clock, or none
    /// is left to be issued: nothing was counted.
    Ahead,
    /// The incarnation issued.
    Joined(u64),
    /// The epoch that the reset began, by this call or an earlier one.
    Reset(u64),
    /// Another number of resets were before: nothing was reset.
    Conflict,
    /// A part of all slots.
    Part(Part),
    /// The totals were corrected.
    Fixed,
    /// The counter has changed: nothing was corrected.
    Moved,
}

/// What a counter answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// What kind of answer it is.
    pub verb: Verb,
    /// The slot before the call.
    pub before: Tally,
    /// The flush stamp of the slot's last raise before the call.
    pub flush_stamp: FlushStamp,
    /// What the counter stands at after the call.
    pub view: View,
}

impl Totals {
    /// The difference, if it fits.
    #[must_use]
    pub fn value(self) -> Option<i128> {
        i128::try_from(self.p).ok()?.checked_sub(i128::try_from(self.n).ok()?)
    }

    /// The difference of what was counted since `zero`, if it fits.
    pub(in crate::counter) fn since(self, zero: Self) -> Option<i128> {
        let change = |now: u128, then: u128| match now.checked_sub(then) {
            Some(up) => i128::try_from(up).ok(),
            // A server that has lost some of it may be behind its own zero point.
            None => i128::try_from(then - now).ok().map(|down| -down),
        };
        change(self.p, zero.p)?.checked_sub(change(self.n, zero.n)?)
    }

    pub(super) fn push(self, out: &mut Argv) {
        out.push(self.p.to_string().as_bytes());
        out.push(self.n.to_string().as_bytes());
    }

    pub(super) fn pull<'a>(fields: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        Some(Self { p: parse_total(fields.next()?)?, n: parse_total(fields.next()?)? })
    }
}

/// A decimal number of digits only, at most 2^128 - 1.
pub(in crate::counter) fn parse_total(text: &[u8]) -> Option<u128> {
    text.first().filter(|byte| byte.is_ascii_digit())?;
    core::str::from_utf8(text).ok()?.parse().ok()
}

impl Answer {
    /// The flat array of bulk strings that the script answers with.
    #[must_use]
    pub fn encode(&self) -> Reply {
        let mut out = Argv::new();
        out.push(self.verb.word());
        out.push(&encode_stamped(self.before, self.flush_stamp));
        out.push(&encode_tally(self.view.own));
        self.view.totals.push(&mut out);
        self.view.zero.push(&mut out);
        out.push_number(self.view.epoch);
        out.push_number(self.view.version.0);
        match &self.verb {
            Verb::Joined(number) | Verb::Reset(number) => out.push_number(*number),
            Verb::Part(part) => part.push(&mut out),
            _ => {}
        }
        Reply::Array(out.iter().map(Reply::bulk).collect())
    }

    /// The answer in a reply; none if it is not one.
    #[must_use]
    pub fn decode(reply: &Reply) -> Option<Self> {
        let mut fields = Fields::of(reply);
        let mut next = core::iter::from_fn(|| fields.bytes());
        let word = next.next()?;
        let (before, flush_stamp) = decode_stamped(next.next()?)?;
        let view = View {
            own: decode_tally(next.next()?)?,
            totals: Totals::pull(&mut next)?,
            zero: Totals::pull(&mut next)?,
            epoch: parse_number(next.next()?)?,
            version: Token(parse_number(next.next()?)?),
        };
        let verb = match word {
            b"NONE" => Verb::None,
            b"LIVE" => Verb::Live,
            b"RETIRED" => Verb::Retired,
            b"UNKNOWN" => Verb::Unknown,
            b"FOLDED" => Verb::Folded,
            b"FULL" => Verb::Full,
            b"AHEAD" => Verb::Ahead,
            b"JOINED" => Verb::Joined(parse_number(next.next()?)?),
            b"RESET" => Verb::Reset(parse_number(next.next()?)?),
            b"CONFLICT" => Verb::Conflict,
            b"PART" => Verb::Part(Part::pull(&mut next)?),
            b"FIXED" => Verb::Fixed,
            b"MOVED" => Verb::Moved,
            _ => return None,
        };
        Some(Self { verb, before, flush_stamp, view })
    }
}

impl Verb {
    const fn word(&self) -> &'static [u8] {
        match self {
            Self::None => b"NONE",
            Self::Live => b"LIVE",
            Self::Retired => b"RETIRED",
            Self::Unknown => b"UNKNOWN",
            Self::Folded => b"FOLDED",
            Self::Full => b"FULL",
            Self::Ahead => b"AHEAD",
            Self::Joined(_) => b"JOINED",
            Self::Reset(_) => b"RESET",
            Self::Conflict => b"CONFLICT",
            Self::Part(_) => b"PART",
            Self::Fixed => b"FIXED",
            Self::Moved => b"MOVED",
        }
    }
}

impl Part {
    fn push(&self, out: &mut Argv) {
        out.push_number(self.cursor);
        self.folded.push(out);
        out.push_number(self.now_us);
        for Scanned { id, tally, flush_stamp, stamp, retired } in &self.slots {
            let retired = retired.then(Vec::new);
            out.push(&id.to_text());
            out.push(
                &Slot { tally: *tally, flush_stamp: *flush_stamp, stamp: *stamp, retired }.encode(),
            );
        }
    }

    fn pull<'a>(fields: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let cursor = parse_number(fields.next()?)?;
        let folded = Totals::pull(fields)?;
        let now_us = parse_number(fields.next()?)?;
        let mut slots = Vec::new();
        while let Some(id) = fields.next() {
            let Slot { tally, flush_stamp, stamp, retired } = Slot::decode(fields.next()?)?;
            let (id, retired) = (SlotId::parse(id)?, retired.is_some());
            slots.push(Scanned { id, tally, flush_stamp, stamp, retired });
        }
        Some(Self { cursor, folded, now_us, slots })
    }
}
