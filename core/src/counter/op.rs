//! The counter's operations and answers, and both directions of their encoding.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::slot::{Slot, decode_marked, decode_tally, encode_marked, encode_tally};
use super::{Mark, SlotId, Tally, Token};
use crate::redis::{Argv, Fields, Reply, base64url, decode_base64url, parse_number};

/// What a client asks of a counter. See `counter.lua`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Issue an incarnation. Nothing is counted; one that is never used costs nothing.
    Join,
    /// Raise the slot to at least `tally`.
    Add {
        /// Whose slot.
        id: SlotId,
        /// What its owner has counted in all.
        tally: Tally,
        /// Tells this flush from others of the same slot.
        mark: Mark,
        /// What was acknowledged to its owner: whatever is beyond, somebody else has told.
        known: Tally,
    },
    /// The same, and the owner is done with the slot.
    Retire {
        /// Whose slot.
        id: SlotId,
        /// What its owner has counted in all, or zero where somebody else retires it.
        tally: Tally,
        /// Tells this flush from others of the same slot.
        mark: Mark,
        /// What was acknowledged to its owner: whatever is beyond, somebody else has told.
        known: Tally,
    },
    /// The same, and nobody will ever tell more of the slot: only its id is kept, which is refused from
    /// then on. Where somebody else has raised the slot, it is retired.
    Fold {
        /// Whose slot.
        id: SlotId,
        /// What its owner has counted in all, and all of it is acknowledged.
        tally: Tally,
        /// Tells this flush from others of the same slot.
        mark: Mark,
        /// What was acknowledged to its owner: whatever is beyond, somebody else has told.
        known: Tally,
    },
    /// What the counter and the slot stand at.
    Get {
        /// Whose slot, none before there is one.
        id: Option<SlotId>,
    },
    /// Let the value be zero, once.
    Reset {
        /// Names this reset: a repeated one is answered as the first was.
        op: u128,
        /// Only if so many resets were before it.
        epoch: u64,
        /// Whose slot to answer with, none before there is one.
        id: Option<SlotId>,
    },
    /// A part of all slots.
    Scan {
        /// Where the last part ended, `0` for the first part and after the last.
        cursor: u64,
    },
    /// Correct the totals, if nothing has changed since `version`.
    Fix {
        /// The version under which the slots were read.
        version: Token,
        /// The sum of all slots and of what was folded.
        totals: Totals,
    },
}

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
    pub mark: Mark,
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
    /// The mark of the slot's last raise before the call.
    pub mark: Mark,
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
    pub(super) fn since(self, zero: Self) -> Option<i128> {
        let change = |now: u128, then: u128| match now.checked_sub(then) {
            Some(up) => i128::try_from(up).ok(),
            // A server that has lost some of it may be behind its own zero point.
            None => i128::try_from(then - now).ok().map(|down| -down),
        };
        change(self.p, zero.p)?.checked_sub(change(self.n, zero.n)?)
    }

    fn push(self, out: &mut Argv) {
        out.push(self.p.to_string().as_bytes());
        out.push(self.n.to_string().as_bytes());
    }

    fn pull<'a>(fields: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        Some(Self { p: parse_total(fields.next()?)?, n: parse_total(fields.next()?)? })
    }
}

/// A decimal number of digits only, at most 2^128 - 1.
pub(super) fn parse_total(text: &[u8]) -> Option<u128> {
    text.first().filter(|byte| byte.is_ascii_digit())?;
    core::str::from_utf8(text).ok()?.parse().ok()
}

impl Op {
    /// Appends the operation and its arguments, as the script takes them.
    pub fn encode(&self, argv: &mut Argv) {
        match self {
            Self::Join => words(argv, b"JOIN", b""),
            Self::Add { id, tally, mark, known } => {
                raise(argv, b"ADD", id, (*tally, *mark), *known);
            }
            Self::Retire { id, tally, mark, known } => {
                raise(argv, b"RETIRE", id, (*tally, *mark), *known);
            }
            Self::Fold { id, tally, mark, known } => {
                raise(argv, b"FOLD", id, (*tally, *mark), *known);
            }
            Self::Get { id: Some(id) } => words(argv, b"GET", &id.to_text()),
            Self::Get { id: None } => words(argv, b"GET", b""),
            Self::Reset { op, epoch, id } => {
                words(argv, b"RESET", &base64url(*op));
                argv.push_number(*epoch);
                argv.push(id.map(|id| id.to_text()).as_ref().map_or(b"", |text| text));
            }
            Self::Scan { cursor } => {
                argv.push(b"SCAN");
                argv.push_number(*cursor);
            }
            Self::Fix { version, totals } => {
                words(argv, b"FIX", b"");
                argv.push_number(version.0);
                totals.push(argv);
            }
        }
    }

    /// The operation in the words of an argv behind the keys; none if they are not one.
    pub fn decode<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let (op, id) = (words.next()?, words.next()?);
        Some(match op {
            b"JOIN" => Self::Join,
            b"ADD" => {
                let (tally, mark, known) = raised(&mut words)?;
                Self::Add { id: SlotId::parse(id)?, tally, mark, known }
            }
            b"RETIRE" => {
                let (tally, mark, known) = raised(&mut words)?;
                Self::Retire { id: SlotId::parse(id)?, tally, mark, known }
            }
            b"FOLD" => {
                let (tally, mark, known) = raised(&mut words)?;
                Self::Fold { id: SlotId::parse(id)?, tally, mark, known }
            }
            b"GET" if id.is_empty() => Self::Get { id: None },
            b"GET" => Self::Get { id: Some(SlotId::parse(id)?) },
            b"RESET" => Self::Reset {
                op: decode_base64url(id)?,
                epoch: parse_number(words.next()?)?,
                id: match words.next()? {
                    b"" => None,
                    text => Some(SlotId::parse(text)?),
                },
            },
            b"SCAN" => Self::Scan { cursor: parse_number(id)? },
            b"FIX" => Self::Fix {
                version: Token(parse_number(words.next()?)?),
                totals: Totals::pull(&mut words)?,
            },
            _ => return None,
        })
    }
}

fn words(argv: &mut Argv, op: &[u8], id: &[u8]) {
    argv.push(op);
    argv.push(id);
}

fn raise(argv: &mut Argv, op: &[u8], id: &SlotId, told: (Tally, Mark), known: Tally) {
    words(argv, op, &id.to_text());
    let digits = [encode_marked(told.0, told.1), encode_tally(known)].concat();
    digits.chunks(20).for_each(|column| argv.push(column));
}

fn raised<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<(Tally, Mark, Tally)> {
    let (p, n, mark) = (words.next()?, words.next()?, words.next()?);
    let (tally, mark) = decode_marked(&[p, n, mark].concat())?;
    Some((tally, mark, decode_tally(&[words.next()?, words.next()?].concat())?))
}

impl Answer {
    /// The flat array of bulk strings that the script answers with.
    #[must_use]
    pub fn encode(&self) -> Reply {
        let mut out = Argv::new();
        out.push(self.verb.word());
        out.push(&encode_marked(self.before, self.mark));
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
        let (before, mark) = decode_marked(next.next()?)?;
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
        Some(Self { verb, before, mark, view })
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
        for Scanned { id, tally, mark, stamp, retired } in &self.slots {
            let retired = retired.then(Vec::new);
            out.push(&id.to_text());
            out.push(&Slot { tally: *tally, mark: *mark, stamp: *stamp, retired }.encode());
        }
    }

    fn pull<'a>(fields: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let cursor = parse_number(fields.next()?)?;
        let folded = Totals::pull(fields)?;
        let now_us = parse_number(fields.next()?)?;
        let mut slots = Vec::new();
        while let Some(id) = fields.next() {
            let Slot { tally, mark, stamp, retired } = Slot::decode(fields.next()?)?;
            let (id, retired) = (SlotId::parse(id)?, retired.is_some());
            slots.push(Scanned { id, tally, mark, stamp, retired });
        }
        Some(Self { cursor, folded, now_us, slots })
    }
}
