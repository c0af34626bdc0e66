//! Hashes.

use super::call::{Outcome, Words, bulk_or_nil, count, flag};
use super::strings::values_or_nil;
use crate::keyspace::{Hash, Keyspace};
use crate::redis::Reply;

pub(super) fn hset(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    if words.len() % 2 == 1 {
        return Err(words.wrong_number());
    }
    let new = space.with_hash(words.key(), |hash| {
        let set =
            |(field, value): &(&[u8], &[u8])| hash.insert(field.to_vec(), value.to_vec()).is_none();
        words.pairs(2).filter(set).count()
    });
    Ok(count(new?))
}

pub(super) fn hsetnx(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let new = space.with_hash(words.key(), |hash| {
        let new = !hash.contains_key(words.at(2));
        if new {
            hash.insert(words.at(2).to_vec(), words.at(3).to_vec());
        }
        new
    });
    Ok(flag(new?))
}

pub(super) fn hget(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let hash = space.hash(words.key())?;
    Ok(bulk_or_nil(hash.and_then(|hash| hash.get(words.at(2)))))
}

pub(super) fn hmget(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let hash = space.hash(words.key())?;
    let fields = words.from(2).iter();
    values_or_nil(fields.map(|field| hash?.get(*field).map(|value| value.as_slice())))
}

pub(super) fn hgetall(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let pairs = space.hash(words.key())?.into_iter().flatten();
    let items = pairs.flat_map(|(field, value)| [field, value]);
    Ok(Reply::Array(items.map(|item| Reply::bulk(item.as_slice())).collect()))
}

pub(super) fn hdel(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let gone = space.with_hash(words.key(), |hash| {
        words.from(2).iter().filter(|field| hash.remove(**field).is_some()).count()
    });
    Ok(count(gone?))
}

pub(super) fn hlen(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    Ok(count(space.hash(words.key())?.map_or(0, Hash::len)))
}

pub(super) fn hexists(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let hash = space.hash(words.key())?;
    Ok(flag(hash.is_some_and(|hash| hash.contains_key(words.at(2)))))
}
