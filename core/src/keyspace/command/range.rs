//! Ranges of sorted sets, by rank, score or member.

use alloc::vec::Vec;

use super::call::{Fault, NOT_INTEGER, Outcome, SYNTAX, Words, integer, option, range};
use super::sorted_sets::score_reply;
use crate::keyspace::{Keyspace, Score, SortedSet, float};
use crate::redis::Reply;

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// One end of a range.
struct Bound<T> {
    at: T,
    exclusive: bool,
}

impl<T: PartialOrd> Bound<T> {
    fn is_before(&self, value: &T) -> bool {
        self.at < *value || (!self.exclusive && self.at == *value)
    }

    fn is_after(&self, value: &T) -> bool {
        *value < self.at || (!self.exclusive && self.at == *value)
    }
}

/// A place in the order of members.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place<'a> {
    First,
    Member(&'a [u8]),
    Last,
}

type Item<'a> = (&'a [u8], Score);

/// The options of a range.
struct Query {
    by: By,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    limit: i64,
}

pub(super) fn zrange(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    run(space, words, None)
}

pub(super) fn zrangebyscore(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    run(space, words, Some(By::Score))
}

fn run(space: &Keyspace, words: Words<'_>, by: Option<By>) -> Outcome {
    let query = Query::parse(words, by)?;
    // Of scores and members the higher bound is first where the order is reversed.
    let swapped = query.reverse && query.by != By::Rank;
    let (low, high) = if swapped { (3, 2) } else { (2, 3) };
    let (low, high) = (words.at(low), words.at(high));
    let empty = SortedSet::default();
    let set = || space.sorted_set(words.key()).map(|set| set.unwrap_or(&empty));
    let items = match query.by {
        By::Rank => {
            let (start, stop) = (words.integer(2)?, words.integer(3)?);
            query.by_rank(start, stop, set()?)
        }
        By::Score => {
            let bounds = score_bound(low).zip(score_bound(high));
            let (low, high) = bounds.ok_or("ERR min or max is not a float")?;
            query.between(set()?, |item| low.is_before(&item.1), |item| high.is_after(&item.1))
        }
        By::Member => {
            let bounds = member_bound(low).zip(member_bound(high));
            let (low, high) = bounds.ok_or("ERR min or max not valid string range item")?;
            query.between(
                set()?,
                |item| low.is_before(&Place::Member(item.0)),
                |item| high.is_after(&Place::Member(item.0)),
            )
        }
    };
    let mut reply = Vec::with_capacity(items.len());
    for (member, score) in items {
        reply.push(Reply::bulk(member));
        if query.with_scores {
            reply.push(score_reply(score));
        }
    }
    Ok(Reply::Array(reply))
}

impl Query {
    fn parse(words: Words<'_>, fixed: Option<By>) -> Result<Self, Fault> {
        let mut by = fixed;
        let (mut reverse, mut with_scores, mut offset, mut limit) = (false, false, 0, -1);
        let mut options = words.from(4);
        while let [word, rest @ ..] = options {
            options = rest;
            match (option(word).as_slice(), rest) {
                (b"WITHSCORES", _) => with_scores = true,
                (b"LIMIT", [first, second, rest @ ..]) => {
                    offset = integer(first).ok_or(NOT_INTEGER)?;
                    limit = integer(second).ok_or(NOT_INTEGER)?;
                    options = rest;
                }
                (b"REV", _) if fixed.is_none() && !reverse => reverse = true,
                (b"BYSCORE", _) if by.is_none() => by = Some(By::Score),
                (b"BYLEX", _) if by.is_none() => by = Some(By::Member),
                _ => return Err(SYNTAX.into()),
            }
        }
        let by = by.unwrap_or(By::Rank);
        if limit != -1 && by == By::Rank {
            let text = "ERR syntax error, LIMIT is only supported in combination with either \
                        BYSCORE or BYLEX";
            return Err(text.into());
        }
        if with_scores && by == By::Member {
            let text = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
            return Err(text.into());
        }
        Ok(Self { by, reverse, with_scores, offset, limit })
    }

    fn by_rank<'a>(&self, start: i64, stop: i64, set: &'a SortedSet) -> Vec<Item<'a>> {
        let ranks = range(start, stop, set.len());
        let (skip, take) = (ranks.start, ranks.len());
        match self.reverse {
            true => set.iter().rev().skip(skip).take(take).collect(),
            false => set.iter().skip(skip).take(take).collect(),
        }
    }

    fn between<'a>(
        &self,
        set: &'a SortedSet,
        above: impl Fn(&Item<'a>) -> bool,
        below: impl Fn(&Item<'a>) -> bool,
    ) -> Vec<Item<'a>> {
        // Where scores differ the order is not that of the members; Redis looks at the ends first.
        let ends = set.iter().next().zip(set.iter().next_back());
        if ends.is_none_or(|(first, last)| !below(&first) || !above(&last)) {
            return Vec::new();
        }
        match self.reverse {
            true => self.page(set.iter().rev(), below, above),
            false => self.page(set.iter(), above, below),
        }
    }

    /// From the first item that `begins` on, as long as they go on, which the first has to. Where
    /// the order is that of the bounds, the items between them.
    fn page<'a>(
        &self,
        items: impl Iterator<Item = Item<'a>>,
        begins: impl Fn(&Item<'a>) -> bool,
        goes_on: impl Fn(&Item<'a>) -> bool,
    ) -> Vec<Item<'a>> {
        // A negative offset is beyond the end, a negative limit is none.
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut items = items.skip_while(|item| !begins(item)).peekable();
        if items.peek().is_some_and(&goes_on) {
            items.skip(offset).take_while(goes_on).take(limit).collect()
        } else {
            Vec::new()
        }
    }
}

fn score_bound(word: &[u8]) -> Option<Bound<Score>> {
    let (exclusive, text) = match word {
        [b'(', text @ ..] => (true, text),
        text => (false, text),
    };
    Some(Bound { at: Score::new(float::parse_bound(text)?)?, exclusive })
}

fn member_bound(word: &[u8]) -> Option<Bound<Place<'_>>> {
    let inclusive = |at| Some(Bound { at, exclusive: false });
    match word {
        [b'-'] | [b'-', 0, ..] => inclusive(Place::First),
        [b'+'] | [b'+', 0, ..] => inclusive(Place::Last),
        [b'[', member @ ..] => inclusive(Place::Member(member)),
        [b'(', member @ ..] => Some(Bound { at: Place::Member(member), exclusive: true }),
        _ => None,
    }
}
