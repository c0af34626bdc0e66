//! Sets.

use super::call::{Outcome, Words, count, flag};
use crate::keyspace::{Keyspace, Set};
use crate::redis::Reply;

pub(super) fn sadd(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let new = space.with(words.key(), |set: &mut Set| {
        words.from(2).iter().filter(|member| set.insert(member.to_vec())).count()
    });
    Ok(count(new?))
}

pub(super) fn srem(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let gone = space.with(words.key(), |set: &mut Set| {
        words.from(2).iter().filter(|member| set.remove(**member)).count()
    });
    Ok(count(gone?))
}

pub(super) fn sismember(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let set = space.collection::<Set>(words.key())?;
    Ok(flag(set.is_some_and(|set| set.contains(words.at(2)))))
}

pub(super) fn scard(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    Ok(count(space.collection(words.key())?.map_or(0, Set::len)))
}

pub(super) fn smembers(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let members = space.collection::<Set>(words.key())?.into_iter().flatten();
    Ok(Reply::Array(members.map(|member| Reply::bulk(member.as_slice())).collect()))
}
