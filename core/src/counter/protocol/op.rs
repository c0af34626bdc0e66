//! What a client asks of a counter, and the words of an argv that say it, in both directions.

use super::Totals;
use crate::counter::slot::{decode_stamped, decode_tally, encode_stamped, encode_tally};
use crate::counter::{FlushStamp, SlotId, Tally, Token};
use crate::redis::{Argv, base64url, decode_base64url, parse_number};

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
        flush_stamp: FlushStamp,
        /// What was acknowledged to its owner: whatever is beyond was sent by somebody else.
        known: Tally,
    },
    /// The same, and the owner is done with the slot.
    Retire {
        /// Whose slot.
        id: SlotId,
        /// What its owner has counted in all, or zero where somebody else retires it.
        tally: Tally,
        /// Tells this flush from others of the same slot.
        flush_stamp: FlushStamp,
        /// What was acknowledged to its owner: whatever is beyond was sent by somebody else.
        known: Tally,
    },
    /// The same, and nobody will ever raise the slot again: only its id is kept, which is refused from
    /// then on. Where somebody else has raised the slot, it is retired.
    Fold {
        /// Whose slot.
        id: SlotId,
        /// What its owner has counted in all, and all of it is acknowledged.
        tally: Tally,
        /// Tells this flush from others of the same slot.
        flush_stamp: FlushStamp,
        /// What was acknowledged to its owner: whatever is beyond was sent by somebody else.
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

impl Op {
    /// Appends the operation and its arguments, as the script takes them.
    pub fn encode(&self, argv: &mut Argv) {
        match self {
            Self::Join => words(argv, b"JOIN", b""),
            Self::Add { id, tally, flush_stamp, known } => {
                raise(argv, b"ADD", id, (*tally, *flush_stamp), *known);
            }
            Self::Retire { id, tally, flush_stamp, known } => {
                raise(argv, b"RETIRE", id, (*tally, *flush_stamp), *known);
            }
            Self::Fold { id, tally, flush_stamp, known } => {
                raise(argv, b"FOLD", id, (*tally, *flush_stamp), *known);
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
                let (tally, flush_stamp, known) = raised(&mut words)?;
                Self::Add { id: SlotId::parse(id)?, tally, flush_stamp, known }
            }
            b"RETIRE" => {
                let (tally, flush_stamp, known) = raised(&mut words)?;
                Self::Retire { id: SlotId::parse(id)?, tally, flush_stamp, known }
            }
            b"FOLD" => {
                let (tally, flush_stamp, known) = raised(&mut words)?;
                Self::Fold { id: SlotId::parse(id)?, tally, flush_stamp, known }
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

fn raise(argv: &mut Argv, op: &[u8], id: &SlotId, to: (Tally, FlushStamp), known: Tally) {
    words(argv, op, &id.to_text());
    let digits = [encode_stamped(to.0, to.1), encode_tally(known)].concat();
    digits.chunks(20).for_each(|column| argv.push(column));
}

fn raised<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<(Tally, FlushStamp, Tally)> {
    let (p, n, flush_stamp) = (words.next()?, words.next()?, words.next()?);
    let (tally, flush_stamp) = decode_stamped(&[p, n, flush_stamp].concat())?;
    Some((tally, flush_stamp, decode_tally(&[words.next()?, words.next()?].concat())?))
}
