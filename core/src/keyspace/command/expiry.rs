//! When keys end.

use alloc::format;

use super::call::{Fault, Outcome, Words, flag, option};
use crate::keyspace::{Keyspace, ServerTime};
use crate::redis::Reply;

/// How an end is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    seconds: bool,
    /// From now on, or since the epoch of the server's clock.
    relative: bool,
}

const EX: Unit = Unit { seconds: true, relative: true };
const PX: Unit = Unit { seconds: false, relative: true };
const EXAT: Unit = Unit { seconds: true, relative: false };
const PXAT: Unit = Unit { seconds: false, relative: false };

impl Unit {
    pub(super) fn of_option(name: &[u8]) -> Option<Self> {
        match name {
            b"EX" => Some(EX),
            b"PX" => Some(PX),
            b"EXAT" => Some(EXAT),
            b"PXAT" => Some(PXAT),
            _ => None,
        }
    }

    /// The moment that `amount` means; none if Redis cannot count so far. One before the epoch is
    /// the epoch, and the last is 584 542 years after it.
    pub(super) fn end(self, amount: i64, now: ServerTime) -> Option<ServerTime> {
        let ms = if self.seconds { amount.checked_mul(1_000)? } else { amount };
        let base = if self.relative { now.0 } else { 0 };
        ms.checked_add(i64::try_from(base / 1_000).ok()?)?;
        let us = i128::from(ms) * 1_000 + i128::from(base);
        Some(ServerTime(u64::try_from(us.max(0)).unwrap_or(u64::MAX)))
    }
}

pub(super) fn expire(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    set_end(space, words, EX)
}

pub(super) fn pexpire(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    set_end(space, words, PX)
}

pub(super) fn expireat(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    set_end(space, words, EXAT)
}

pub(super) fn pexpireat(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    set_end(space, words, PXAT)
}

fn set_end(space: &mut Keyspace, words: Words<'_>, unit: Unit) -> Outcome {
    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for word in words.from(3) {
        match option(word).as_slice() {
            b"NX" => nx = true,
            b"XX" => xx = true,
            b"GT" => gt = true,
            b"LT" => lt = true,
            _ => return Err(unsupported_option(word)),
        }
    }
    if nx && (xx || gt || lt) {
        let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
        return Err(text.into());
    }
    if gt && lt {
        return Err("ERR GT and LT options at the same time are not compatible".into());
    }
    let now = space.now();
    let end = unit.end(words.integer(2)?, now).ok_or_else(|| {
        let name = words.at(0).to_ascii_lowercase();
        let name = name.escape_ascii();
        Fault(format!("ERR invalid expire time in '{name}' command").into_bytes())
    })?;
    let Some(entry) = space.live_mut(words.key()) else { return Ok(flag(false)) };
    let refused = match entry.expiry {
        // No end counts as one later than any other.
        None => xx || gt,
        Some(old) => nx || (gt && end <= old) || (lt && end >= old),
    };
    if !refused {
        entry.expiry = Some(end);
        space.purge(words.key());
    }
    Ok(flag(!refused))
}

/// As much of the option as C prints of it, in one line.
fn unsupported_option(word: &[u8]) -> Fault {
    let text = word.iter().take_while(|&&byte| byte != 0);
    let text = text.map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
    Fault(b"ERR Unsupported option ".iter().copied().chain(text).collect())
}

pub(super) fn persist(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let entry = space.live_mut(words.key());
    Ok(flag(entry.is_some_and(|entry| entry.expiry.take().is_some())))
}

pub(super) fn pttl(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    Ok(Reply::Integer(left_ms(space, words.key())))
}

pub(super) fn ttl(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let ms = left_ms(space, words.key());
    Ok(Reply::Integer(if ms < 0 { ms } else { (ms + 500) / 1_000 }))
}

/// What is left in milliseconds, -1 where there is no end, -2 where there is no key.
fn left_ms(space: &Keyspace, key: &[u8]) -> i64 {
    if !space.exists(key) {
        return -2;
    }
    space.ttl_ms(key).map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX))
}
