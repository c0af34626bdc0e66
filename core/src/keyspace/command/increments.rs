//! Adding to numbers, in strings and in the fields of hashes.

use super::call::{Fault, NOT_FLOAT, NOT_INTEGER, Outcome, Words, integer};
use crate::keyspace::Keyspace;
use crate::keyspace::float::Extended;
use crate::redis::Reply;

const OVERFLOW: &str = "ERR increment or decrement would overflow";

fn add(space: &mut Keyspace, key: &[u8], by: i64) -> Outcome {
    let old = space.get(key)?.map_or(Some(0), integer).ok_or(NOT_INTEGER)?;
    let new = old.checked_add(by).ok_or(OVERFLOW)?;
    *space.string_mut(key)? = text(new);
    Ok(Reply::Integer(new))
}

fn text(number: i64) -> alloc::vec::Vec<u8> {
    alloc::string::ToString::to_string(&number).into_bytes()
}

pub(super) fn incr(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    add(space, words.key(), 1)
}

pub(super) fn decr(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    add(space, words.key(), -1)
}

pub(super) fn incrby(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    add(space, words.key(), words.integer(2)?)
}

pub(super) fn decrby(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let by = words.integer(2)?.checked_neg().ok_or("ERR decrement would overflow")?;
    add(space, words.key(), by)
}

pub(super) fn incrbyfloat(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let old = space.get(words.key())?.map_or(Some(Extended::ZERO), Extended::parse);
    let (old, by) = (old.ok_or(NOT_FLOAT)?, Extended::parse(words.at(2)).ok_or(NOT_FLOAT)?);
    let new = old.plus(by).ok_or("ERR increment would produce NaN or Infinity")?;
    let new = new.print().into_bytes();
    space.string_mut(words.key())?.clone_from(&new);
    Ok(Reply::Bulk(new))
}

pub(super) fn hincrby(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let by = words.integer(3)?;
    space.with_hash(words.key(), |hash| {
        let old = hash.get(words.at(2)).map_or(Some(0), |value| integer(value));
        let old = old.ok_or("ERR hash value is not an integer")?;
        let new = old.checked_add(by).ok_or(OVERFLOW)?;
        hash.insert(words.at(2).to_vec(), text(new));
        Ok::<_, Fault>(Reply::Integer(new))
    })?
}
