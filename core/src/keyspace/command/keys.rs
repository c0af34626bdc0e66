//! Keys, whatever they hold.

use super::call::{NO_KEY, NOT_INTEGER, Outcome, SYNTAX, Words, count, flag, integer, option};
use crate::keyspace::Keyspace;
use crate::redis::Reply;

pub(super) fn del(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    Ok(count(words.from(1).iter().filter(|key| space.delete(key)).count()))
}

pub(super) fn exists(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    Ok(count(words.from(1).iter().filter(|key| space.exists(key)).count()))
}

pub(super) fn type_of(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let name = space.live(words.key()).map_or("none", |entry| entry.value.type_name());
    Ok(Reply::Simple(name.into()))
}

pub(super) fn rename(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    space.purge(words.key());
    let entry = space.entries.remove(words.key()).ok_or(NO_KEY)?;
    space.entries.insert(words.at(2).to_vec(), entry);
    Ok(Reply::ok())
}

pub(super) fn copy(space: &mut Keyspace, words: Words<'_>) -> Outcome {
    let mut replace = false;
    let mut options = words.from(3).iter();
    while let Some(word) = options.next() {
        match option(word).as_slice() {
            b"REPLACE" => replace = true,
            b"DB" => {
                let number = integer(options.next().ok_or(SYNTAX)?).ok_or(NOT_INTEGER)?;
                i32::try_from(number).map_err(
                    |_| "ERR value is out of range, value must between -2147483648 and 2147483647",
                )?;
                // There is one database.
                if number != 0 {
                    return Err("ERR DB index is out of range".into());
                }
            }
            _ => return Err(SYNTAX.into()),
        }
    }
    let (from, to) = (words.key(), words.at(2));
    if from == to {
        return Err("ERR source and destination objects are the same".into());
    }
    let Some(entry) = space.live(from).cloned() else { return Ok(flag(false)) };
    let copied = replace || !space.exists(to);
    if copied {
        space.entries.insert(to.to_vec(), entry);
    }
    Ok(flag(copied))
}
