//! Sorted sets: everything but ranges.

use alloc::vec::Vec;

use super::call::{Fault, NOT_FLOAT, Outcome, SYNTAX, Words, count, option};
use crate::keyspace::{Keyspace, Score, SortedSet, float};
use crate::redis::Reply;

const NAN: &str = "ERR resulting score is not a number (NaN)";

#[derive(Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    /// The score that the member gets instead of `old`, if it is to change at all, and the same
    /// with a zero's sign, which a set does not keep.
    fn decide(
        &self,
        old: Option<Score>,
        by: f64,
        incr: bool,
    ) -> Result<Option<(Score, f64)>, Fault> {
        let Some(before) = old else {
            return Ok(Score::new(by).filter(|_| !self.xx).map(|score| (score, by)));
        };
        if self.nx {
            return Ok(None);
        }
        let sum = if incr { before.value() + by } else { by };
        let new = Score::new(sum).ok_or(NAN)?;
        let refused = (self.lt && new >= before) || (self.gt && new <= before);
        Ok((!refused).then_some((new, sum)))
    }
}

pub(super) fn zadd(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    add(space, words, false)
}

/// Redis reads this as `ZADD` with `INCR`, and other options that stand in the number's place too.
pub(super) fn zincrby(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    add(space, words, true)
}

fn add(space: &mut Keyspace, words: Words<'_>, mut incr: bool) -> Outcome {
    let (mut conditions, mut changed) = (Conditions::default(), false);
    let mut start = 2;
    for word in words.from(2) {
        match option(word).as_slice() {
            b"NX" => conditions.nx = true,
            b"XX" => conditions.xx = true,
            b"GT" => conditions.gt = true,
            b"LT" => conditions.lt = true,
            b"CH" => changed = true,
            b"INCR" => incr = true,
            _ => break,
        }
        start += 1;
    }
    let words_left = words.from(start).len();
    if words_left == 0 || words_left % 2 == 1 {
        return Err(SYNTAX.into());
    }
    let Conditions { nx, xx, gt, lt } = conditions;
    if nx && xx {
        return Err("ERR XX and NX options at the same time are not compatible".into());
    }
    if (nx && (gt || lt)) || (gt && lt) {
        let text = "ERR GT, LT, and/or NX options at the same time are not compatible";
        return Err(text.into());
    }
    if incr && words_left > 2 {
        return Err("ERR INCR option supports a single increment-element pair".into());
    }
    let pairs = words.pairs(start).map(|(score, member)| Some((float::parse(score)?, member)));
    let pairs = pairs.collect::<Option<Vec<_>>>().ok_or(NOT_FLOAT)?;
    if let ([(by, member)], true) = (pairs.as_slice(), incr) {
        return increment(space, words.key(), &conditions, *by, member);
    }
    let counted = space.with_sorted_set(words.key(), |set| {
        let mut counted = 0;
        for (score, member) in pairs {
            let old = set.score(member);
            if let Some((new, _)) = conditions.decide(old, score, false)? {
                set.add(member, new);
                counted += usize::from(old.is_none() || (changed && old != Some(new)));
            }
        }
        Ok::<_, Fault>(counted)
    });
    Ok(count(counted??))
}

fn increment(
    space: &mut Keyspace,
    key: &[u8],
    conditions: &Conditions,
    by: f64,
    member: &[u8],
) -> Outcome {
    space.with_sorted_set(key, |set| {
        let new = conditions.decide(set.score(member), by, true)?;
        if let Some((score, _)) = new {
            set.add(member, score);
        }
        Ok(new.map_or(Reply::Nil, |(_, sum)| Reply::bulk(float::print(sum))))
    })?
}

pub(super) fn score_reply(score: Score) -> Reply {
    Reply::bulk(float::print(score.value()))
}

pub(super) fn zrem(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let gone = space.with_sorted_set(words.key(), |set| {
        words.from(2).iter().filter(|member| set.remove(member)).count()
    });
    Ok(count(gone?))
}

pub(super) fn zscore(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let set = space.sorted_set(words.key())?;
    Ok(set.and_then(|set| set.score(words.at(2))).map_or(Reply::Nil, score_reply))
}

pub(super) fn zcard(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    Ok(count(space.sorted_set(words.key())?.map_or(0, SortedSet::len)))
}

pub(super) fn zrank(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let set = space.sorted_set(words.key())?;
    Ok(set.and_then(|set| set.rank(words.at(2))).map_or(Reply::Nil, count))
}
