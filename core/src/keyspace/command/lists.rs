//! Lists.

use super::call::{Fault, NO_KEY, Outcome, Words, bulk_or_nil, count, integer, range};
use crate::keyspace::{Keyspace, List};
use crate::redis::Reply;

pub(super) fn lpush(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    push(space, words, List::push_front)
}

pub(super) fn rpush(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    push(space, words, List::push_back)
}

fn push(
    space: &mut Keyspace,
    words: Words<'_>,
    end: fn(&mut List, alloc::vec::Vec<u8>),
) -> Outcome {
    let length = space.with(words.key(), |list: &mut List| {
        words.from(2).iter().for_each(|element| end(list, element.to_vec()));
        list.len()
    });
    Ok(count(length?))
}

pub(super) fn lpop(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    pop(space, words, List::pop_front)
}

pub(super) fn rpop(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    pop(space, words, List::pop_back)
}

fn pop(
    space: &mut Keyspace,
    words: Words<'_>,
    end: fn(&mut List) -> Option<alloc::vec::Vec<u8>>,
) -> Outcome {
    let wanted = match words.from(2) {
        [] => None,
        [text] => {
            let number = integer(text).filter(|number| *number >= 0);
            let number = number.ok_or("ERR value is out of range, must be positive")?;
            Some(usize::try_from(number).unwrap_or(usize::MAX))
        }
        _ => return Err(words.wrong_number()),
    };
    if space.collection::<List>(words.key())?.is_none() {
        return Ok(Reply::Nil);
    }
    Ok(space.with(words.key(), |list: &mut List| match wanted {
        None => end(list).map_or(Reply::Nil, Reply::Bulk),
        Some(wanted) => {
            let elements = core::iter::from_fn(|| end(list)).take(wanted);
            Reply::Array(elements.map(Reply::Bulk).collect())
        }
    })?)
}

pub(super) fn lrange(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let (start, stop) = (words.integer(2)?, words.integer(3)?);
    let elements = space
        .collection::<List>(words.key())?
        .into_iter()
        .flat_map(|list| list.range(range(start, stop, list.len())));
    Ok(Reply::Array(elements.map(|element| Reply::bulk(element.as_slice())).collect()))
}

pub(super) fn llen(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    Ok(count(space.collection(words.key())?.map_or(0, List::len)))
}

/// The place of the element that a word names, counted from the end if negative.
fn place(words: Words<'_>, length: usize) -> Result<Option<usize>, Fault> {
    let index = words.integer(2)?;
    let back = usize::try_from(index.unsigned_abs()).ok();
    Ok(if index < 0 { back.and_then(|back| length.checked_sub(back)) } else { back })
}

pub(super) fn lindex(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let Some(list) = space.collection::<List>(words.key())? else { return Ok(Reply::Nil) };
    let place = place(words, list.len())?;
    Ok(bulk_or_nil(place.and_then(|place| list.get(place))))
}

pub(super) fn lset(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    space.collection::<List>(words.key())?.ok_or(NO_KEY)?;
    space.with(words.key(), |list: &mut List| {
        let place = place(words, list.len())?;
        let element = place.and_then(|place| list.get_mut(place));
        *element.ok_or("ERR index out of range")? = words.at(3).to_vec();
        Ok(Reply::ok())
    })?
}
