//! Strings.

use alloc::format;

use super::call::{
    Fault, NOT_INTEGER, Outcome, SYNTAX, TOO_LONG, Words, count, integer, option, range,
};
use super::expiry::Unit;
use super::{MAX_REPLY, MAX_STRING};
use crate::keyspace::{Keyspace, Value};
use crate::redis::Reply;

fn string_or_nil(bytes: Option<&[u8]>) -> Reply {
    bytes.map_or(Reply::Nil, Reply::bulk)
}

pub(super) fn get(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    Ok(string_or_nil(space.get(words.key())?))
}

pub(super) fn mget(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let values = words.from(1).iter().map(|key| space.get(key).unwrap_or(None));
    values_or_nil(values)
}

/// An array of strings, some of which are missing, within the limit on replies.
pub(super) fn values_or_nil<'a>(values: impl Iterator<Item = Option<&'a [u8]>> + Clone) -> Outcome {
    let size: u64 = values.clone().flatten().map(|value| value.len() as u64).sum();
    if size > MAX_REPLY as u64 {
        let text =
            format!("ERR a reply of {size} bytes, the limit of the embedded store is {MAX_REPLY}");
        return Err(Fault(text.into_bytes()));
    }
    Ok(Reply::Array(values.map(string_or_nil).collect()))
}

#[derive(PartialEq, Eq)]
enum Condition {
    Always,
    Missing,
    Present,
}

pub(super) fn set(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let (mut condition, mut expiry) = (Condition::Always, None::<(Unit, &[u8])>);
    let (mut keep, mut get) = (false, false);
    let mut options = words.from(3).iter();
    while let Some(word) = options.next() {
        let name = option(word);
        match name.as_slice() {
            b"NX" if condition != Condition::Present => condition = Condition::Missing,
            b"XX" if condition != Condition::Missing => condition = Condition::Present,
            b"GET" => get = true,
            b"KEEPTTL" if expiry.is_none() => keep = true,
            _ => {
                let unit = Unit::of_option(&name).filter(|_| !keep).ok_or(SYNTAX)?;
                if expiry.is_some_and(|(before, _)| before != unit) {
                    return Err(SYNTAX.into());
                }
                expiry = Some((unit, options.next().ok_or(SYNTAX)?));
            }
        }
    }
    let expiry = expiry.map(|(unit, text)| {
        let amount = integer(text).ok_or(NOT_INTEGER)?;
        let end = unit.end(amount, space.now()).filter(|_| amount > 0);
        end.ok_or("ERR invalid expire time in 'set' command")
    });
    let (key, value) = (words.key(), words.at(2).to_vec());
    let expiry = expiry.transpose()?;
    let old = if get { string_or_nil(space.get(key)?) } else { Reply::Nil };
    let found = space.exists(key);
    if condition == (if found { Condition::Missing } else { Condition::Present }) {
        return Ok(old);
    }
    let kept = space.live(key).and_then(|entry| entry.expiry).filter(|_| keep);
    space.put(key, Value::String(value), expiry.or(kept));
    Ok(if get { old } else { Reply::ok() })
}

pub(super) fn append(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let length = space.get(words.key())?.map_or(0, <[u8]>::len);
    if length + words.at(2).len() > MAX_STRING {
        return Err(TOO_LONG.into());
    }
    let bytes = space.string_mut(words.key())?;
    bytes.extend_from_slice(words.at(2));
    Ok(count(bytes.len()))
}

pub(super) fn strlen(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    Ok(count(space.get(words.key())?.map_or(0, <[u8]>::len)))
}

pub(super) fn getrange(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let (start, stop) = (words.integer(2)?, words.integer(3)?);
    let bytes = space.get(words.key())?.unwrap_or_default();
    let backwards = start < 0 && stop < 0 && start > stop;
    // Unlike in a list, a stop before the first byte is the first byte.
    let first = i64::try_from(bytes.len()).map_or(i64::MIN, |length| -length);
    let part = if backwards { 0..0 } else { range(start, stop.max(first), bytes.len()) };
    Ok(Reply::bulk(bytes.get(part).unwrap_or_default()))
}

pub(super) fn setrange(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let (key, offset, piece) = (words.key(), words.integer(2)?, words.at(3));
    if offset < 0 {
        return Err("ERR offset is out of range".into());
    }
    let length = space.get(key)?.map_or(0, <[u8]>::len);
    if piece.is_empty() {
        return Ok(count(length));
    }
    let offset = usize::try_from(offset).ok().filter(|offset| *offset < MAX_STRING);
    let offset = offset.ok_or(TOO_LONG)?;
    let end = offset + piece.len();
    if end > MAX_STRING {
        return Err(TOO_LONG.into());
    }
    let bytes = space.string_mut(key)?;
    bytes.resize(length.max(end), 0);
    bytes.iter_mut().skip(offset).zip(piece).for_each(|(old, new)| *old = *new);
    Ok(count(bytes.len()))
}
