//! The commands that a transaction takes: those of one key, whose effect hangs on nothing else, and a
//! few that come to one operation for each of their keys. And why it does not take the others.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::work::Operation;
use crate::error::{Error, ErrorCode, Result};
use crate::keyspace::command::{Access, Command, KeyWords};
use crate::redis::readable;

/// Names that are refused with a reason of their own.
const REFUSED: [(&str, &[&str]); 5] = [
    (
        "it blocks",
        &[
            "BLMOVE",
            "BLMPOP",
            "BLPOP",
            "BRPOP",
            "BRPOPLPUSH",
            "BZMPOP",
            "BZPOPMAX",
            "BZPOPMIN",
            "WAIT",
            "WAITAOF",
            "XREAD",
            "XREADGROUP",
        ],
    ),
    ("transactions do not nest", &["DISCARD", "EXEC", "MULTI", "UNWATCH", "WATCH"]),
    (
        "what it answers changes with time alone, so it cannot be validated",
        &["EXPIRETIME", "PEXPIRETIME", "PTTL", "TTL"],
    ),
    (
        "what it answers is random, so it cannot be validated",
        &["HRANDFIELD", "RANDOMKEY", "SRANDMEMBER", "ZRANDMEMBER"],
    ),
    (
        "it writes several keys at once: use a command for each",
        &[
            "BITOP",
            "COPY",
            "GEORADIUS",
            "GEOSEARCHSTORE",
            "LMOVE",
            "LMPOP",
            "MSETNX",
            "PFMERGE",
            "RENAME",
            "RENAMENX",
            "RPOPLPUSH",
            "SDIFFSTORE",
            "SINTERSTORE",
            "SMOVE",
            "SORT",
            "SUNIONSTORE",
            "ZDIFFSTORE",
            "ZINTERSTORE",
            "ZMPOP",
            "ZRANGESTORE",
            "ZUNIONSTORE",
        ],
    ),
];

/// Those that it takes besides those of the embedded store, which has not all that a server has.
const READS: [&str; 22] = [
    "BITCOUNT",
    "BITPOS",
    "GEODIST",
    "GEOPOS",
    "GETBIT",
    "HKEYS",
    "HSTRLEN",
    "HVALS",
    "LPOS",
    "SMISMEMBER",
    "SUBSTR",
    "XLEN",
    "XRANGE",
    "XREVRANGE",
    "ZCOUNT",
    "ZLEXCOUNT",
    "ZMSCORE",
    "ZRANGEBYLEX",
    "ZREVRANGE",
    "ZREVRANGEBYLEX",
    "ZREVRANGEBYSCORE",
    "ZREVRANK",
];
const WRITES: [&str; 28] = [
    "GEOADD",
    "GETDEL",
    "GETEX",
    "GETSET",
    "HINCRBYFLOAT",
    "HMSET",
    "LINSERT",
    "LPUSHX",
    "LREM",
    "LTRIM",
    "PFADD",
    "PSETEX",
    "RPUSHX",
    "SETBIT",
    "SETEX",
    "SETNX",
    "SPOP",
    "UNLINK",
    "XACK",
    "XADD",
    "XDEL",
    "XTRIM",
    "ZPOPMAX",
    "ZPOPMIN",
    "ZREMRANGEBYLEX",
    "ZREMRANGEBYRANK",
    "ZREMRANGEBYSCORE",
    "XSETID",
];

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

/// Why a command is refused, if it is one of those.
fn refusal(upper: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(_, names)| names.contains(&upper)).map(|(why, _)| *why)
}

impl Operation {
    /// What the command does to its key; none if it is not one that a transaction takes.
    pub(super) fn access(&self) -> Option<Access> {
        let is = |name: &&str| self.name.eq_ignore_ascii_case(name.as_bytes());
        match Command::find(&self.name) {
            Some(command) if refusal(command.name).is_some() => None,
            Some(command) => Some(command.access),
            None if READS.iter().any(is) => Some(Access::Read),
            None => WRITES.iter().any(is).then_some(Access::Write),
        }
    }

    /// Checks that a transaction takes it: a command of the list, with one key, and with as many
    /// words as it has.
    pub(super) fn check(&self) -> Result<()> {
        let name = || readable(self.name.get(..64).unwrap_or(&self.name));
        if self.access().is_none() {
            return Err(Error::new(
                ErrorCode::Unsupported,
                format!("transaction: '{}' is not a command that a transaction takes", name()),
            ));
        }
        let known = Command::find(&self.name);
        let several = known.is_some_and(|command| command.keys == KeyWords::All)
            || self.name.eq_ignore_ascii_case(b"UNLINK");
        if several && !self.arguments.is_empty() {
            return Err(Error::invalid(format!("transaction: '{}' of more than one key", name())));
        }
        let words = 2 + self.arguments.len();
        if known.is_some_and(|command| !command.takes(words)) {
            return Err(Error::invalid(format!("transaction: '{}' with {words} words", name())));
        }
        Ok(())
    }
}

/// The beginning of a word, for a message that must not grow with what was given.
pub(super) fn short(word: &[u8]) -> String {
    let head = word.get(..64).unwrap_or(word);
    let mut text = readable(head);
    if head.len() < word.len() {
        text.push_str("...");
    }
    text
}
