//! What a client asks of a lock, and the words of an argv that say it, in both directions.

use alloc::vec::Vec;

use super::TTL_WIDTH;
use crate::keyspace::ServerTime;
use crate::lock::{Fence, Id, RETENTION_MS};
use crate::redis::{Argv, parse_number, write_padded};
use crate::time::Span;

/// What a client asks of a lock. See `queue.lua`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Ask for the lock, or say that one still waits: the same id keeps its place.
    Acquire(Acquire),
    /// Make the lease last `ttl` from now. Never brings a lease back.
    Renew {
        /// Whose lease.
        id: Id,
        /// How long from now.
        ttl: Span,
    },
    /// Give the lock back.
    Release {
        /// Whose lease.
        id: Id,
        /// Whether every acquisition sent under this id was answered.
        clean: bool,
    },
    /// Withdraw, whether granted by now or not.
    Cancel {
        /// Whose request.
        id: Id,
        /// Whether every acquisition sent under this id was answered.
        clean: bool,
    },
    /// The holders and the waiters.
    Inspect,
}

/// The arguments of an acquisition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acquire {
    /// Names the request for its whole life.
    pub id: Id,
    /// How much weight may be held at once.
    pub capacity: u32,
    /// How much of it this request takes.
    pub weight: u32,
    /// How long the lease lasts without renewal.
    pub ttl: Span,
    /// How long a lease handed over by push lasts until its first renewal.
    pub handoff_ttl: Span,
    /// How long a waiter counts as alive after it was heard.
    pub waiter_ttl: Span,
    /// Whether to queue when the lock is not free.
    pub wait: bool,
    /// The place in the queue this request had, zero for none.
    pub ticket: u64,
    /// Where to publish a later grant.
    pub inbox: Vec<u8>,
    /// The highest fence the caller has seen.
    pub min_fence: Fence,
    /// Not to be executed after this moment, zero for no limit.
    pub not_after: ServerTime,
    /// Shown to others as the owner.
    pub label: Vec<u8>,
}

// Widths of the columns that the script cuts and joins without converting them.
const WEIGHT_WIDTH: usize = 10;
const TIME_WIDTH: usize = 16;

impl Op {
    /// Appends the operation and its arguments, as the script takes them.
    pub fn encode(&self, argv: &mut Argv) {
        match self {
            Self::Acquire(a) => {
                argv.push(b"ACQ");
                argv.push(a.id.as_bytes());
                let mut columns = Vec::with_capacity(TTL_WIDTH + 2 * WEIGHT_WIDTH);
                write_padded(&mut columns, a.ttl.as_micros(), TTL_WIDTH);
                write_padded(&mut columns, u64::from(a.weight), WEIGHT_WIDTH);
                write_padded(&mut columns, u64::from(a.capacity), WEIGHT_WIDTH);
                argv.push(&columns);
                argv.push_padded(a.min_fence.0, TIME_WIDTH);
                argv.push_padded(a.not_after.0, TIME_WIDTH);
                // How long the state of a free lock that is granted at once is to be kept.
                argv.push_number(a.ttl.as_micros().div_ceil(1_000) + RETENTION_MS);
                argv.push(&a.label);
                argv.push(if a.wait { b"1" } else { b"0" });
                // What a free lock does not need.
                let mut queueing = Vec::with_capacity(48 + a.inbox.len());
                for number in [a.handoff_ttl.as_micros(), a.waiter_ttl.as_micros(), a.ticket] {
                    write_padded(&mut queueing, number, 1);
                    queueing.push(b' ');
                }
                queueing.extend_from_slice(&a.inbox);
                argv.push(&queueing);
            }
            Self::Renew { id, ttl } => {
                argv.push(b"REN");
                argv.push(id.as_bytes());
                argv.push_padded(ttl.as_micros(), TTL_WIDTH);
            }
            Self::Release { id, clean } => ending(argv, b"REL", id, *clean),
            Self::Cancel { id, clean } => ending(argv, b"CAN", id, *clean),
            Self::Inspect => {
                argv.push(b"INF");
                argv.push(b"");
            }
        }
    }

    /// The operation in the words of an argv behind the keys; none if they are not one.
    pub fn decode<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let op = words.next()?;
        let id = words.next()?;
        if op == b"INF" {
            return Some(Self::Inspect);
        }
        let id = Id::parse(id)?;
        match op {
            b"ACQ" => Acquire::decode(id, &mut words).map(Self::Acquire),
            b"REN" => {
                Some(Self::Renew { id, ttl: Span::from_micros(parse_number(words.next()?)?) })
            }
            b"REL" => Some(Self::Release { id, clean: words.next()? == b"1" }),
            b"CAN" => Some(Self::Cancel { id, clean: words.next()? == b"1" }),
            _ => None,
        }
    }
}

impl Acquire {
    fn decode<'a>(id: Id, words: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let (ttl, weights) = words.next()?.split_at_checked(TTL_WIDTH)?;
        let (weight, capacity) = weights.split_at_checked(WEIGHT_WIDTH)?;
        let min_fence = Fence(parse_number(words.next()?)?);
        let not_after = ServerTime(parse_number(words.next()?)?);
        words.next()?;
        let label = words.next()?.to_vec();
        let wait = words.next()? == b"1";
        let mut queueing = words.next()?.splitn(4, |&byte| byte == b' ');
        Some(Self {
            id,
            capacity: u32::try_from(parse_number(capacity)?).ok()?,
            weight: u32::try_from(parse_number(weight)?).ok()?,
            ttl: Span::from_micros(parse_number(ttl)?),
            handoff_ttl: Span::from_micros(parse_number(queueing.next()?)?),
            waiter_ttl: Span::from_micros(parse_number(queueing.next()?)?),
            wait,
            ticket: parse_number(queueing.next()?)?,
            inbox: queueing.next()?.to_vec(),
            min_fence,
            not_after,
            label,
        })
    }
}

fn ending(argv: &mut Argv, op: &[u8], id: &Id, clean: bool) {
    argv.push(op);
    argv.push(id.as_bytes());
    argv.push(if clean { b"1" } else { b"0" });
}
