//! What a command as a user writes it is to a transaction: operations of one key each.

use alloc::format;
use alloc::vec::Vec;

use crate::error::{Error, ErrorCode, Result};
use crate::keyspace::command::{Access, Command};
use crate::redis::readable;
use crate::transaction::Operation;
use crate::transaction::allowed::refusal;

/// How the replies of a command's parts, one for each key, become its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Merge {
    /// There is one part.
    One,
    /// One array after the other.
    Joined,
    /// The sum of all.
    Sum,
    /// All are the same.
    Same,
}

/// A command as a transaction takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// What each part is called, if not as the command.
    pub(super) name: Option<&'static str>,
    /// How many words belong to each part, its key among them; none where the rest does.
    pub(super) stride: Option<usize>,
    pub(super) access: Access,
    pub(super) merge: Merge,
}

/// What the command `number` with these words is to a transaction.
pub(super) fn allowed(number: usize, words: &[&[u8]]) -> Result<Allowed> {
    let name = words.first().copied().unwrap_or_default();
    let says = |code, what: &str| {
        Error::new(code, format!("Command # {number} ({}): {what}", short(name)))
    };
    let upper = name.to_ascii_uppercase();
    let upper = core::str::from_utf8(&upper).unwrap_or_default();
    let found = match upper {
        "MGET" => Some(each("MGET", 1, Access::Read, Merge::Joined)),
        "EXISTS" => Some(each("EXISTS", 1, Access::Read, Merge::Sum)),
        "DEL" | "UNLINK" => Some(each("DEL", 1, Access::Write, Merge::Sum)),
        "MSET" => Some(each("SET", 2, Access::Write, Merge::Same)),
        _ => single(upper),
    };
    let Some(allowed) = found else {
        let why = refusal(upper).map_or_else(
            || "; docs/transaction.md lists those it takes".into(),
            |why| format!(": {why}"),
        );
        let text = format!("a transaction does not take this command{why}");
        return Err(says(ErrorCode::Unsupported, &text));
    };
    let rest = words.len() - 1;
    let whole = allowed.stride.is_none_or(|stride| rest.is_multiple_of(stride));
    let known = Command::find(upper.as_bytes()).is_none_or(|command| command.takes(words.len()));
    if rest == 0 || !whole || !known {
        return Err(says(ErrorCode::InvalidArgument, "wrong number of arguments"));
    }
    Ok(allowed)
}

/// A command of which each `stride` words are an operation on a key of their own.
const fn each(name: &'static str, stride: usize, access: Access, merge: Merge) -> Allowed {
    Allowed { name: Some(name), stride: Some(stride), access, merge }
}

/// A command of one key.
fn single(upper: &str) -> Option<Allowed> {
    let operation = Operation { name: upper.into(), key: 0, arguments: Vec::new() };
    let access = operation.access()?;
    Some(Allowed { name: None, stride: None, access, merge: Merge::One })
}

/// The beginning of a word, for a message that must not grow with what was given.
pub(super) fn short(word: &[u8]) -> alloc::string::String {
    let head = word.get(..64).unwrap_or(word);
    let mut text = readable(head);
    if head.len() < word.len() {
        text.push_str("...");
    }
    text
}
