//! Which commands a transaction takes, and why it does not take the others.

use alloc::format;

use crate::error::{Error, ErrorCode, Result};
use crate::keyspace::command::{Access, Command, KeyWords};
use crate::redis::readable;

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
    /// What each part is called.
    pub(super) name: &'static str,
    /// How many words belong to each part, its key among them; none where the rest does.
    pub(super) stride: Option<usize>,
    pub(super) access: Access,
    pub(super) merge: Merge,
}

/// Commands on one key that only real servers have. All of them write.
const MORE: [(&str, usize); 27] = [
    ("BITFIELD", 2),
    ("GEOADD", 5),
    ("GETDEL", 2),
    ("GETEX", 2),
    ("GETSET", 3),
    ("HINCRBYFLOAT", 4),
    ("HMSET", 4),
    ("LINSERT", 5),
    ("LPUSHX", 3),
    ("LREM", 4),
    ("LTRIM", 4),
    ("PFADD", 2),
    ("PSETEX", 4),
    ("RPUSHX", 3),
    ("SETBIT", 4),
    ("SETEX", 4),
    ("SETNX", 3),
    ("XACK", 4),
    ("XADD", 5),
    ("XDEL", 3),
    ("XSETID", 3),
    ("XTRIM", 4),
    ("ZPOPMAX", 2),
    ("ZPOPMIN", 2),
    ("ZREMRANGEBYLEX", 4),
    ("ZREMRANGEBYRANK", 4),
    ("ZREMRANGEBYSCORE", 4),
];

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
        &["HRANDFIELD", "RANDOMKEY", "SPOP", "SRANDMEMBER", "ZRANDMEMBER"],
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

/// The most bits of a `BITFIELD` number: a script computes with doubles.
const MAX_BITS: u32 = 53;

/// What the command `number` with these words is to a transaction.
pub(super) fn allowed(number: usize, words: &[&[u8]]) -> Result<Allowed> {
    let name = words.first().copied().unwrap_or_default();
    let says = |code, what: &str| {
        Error::new(code, format!("Command # {number} ({}): {what}", short(name)))
    };
    let upper = name.to_ascii_uppercase();
    let upper = core::str::from_utf8(&upper).unwrap_or_default();
    if let Some((why, _)) = REFUSED.iter().find(|(_, names)| names.contains(&upper)) {
        return Err(says(
            ErrorCode::Unsupported,
            &format!("a transaction does not take this command: {why}"),
        ));
    }
    let (found, takes) = find(upper, words.len());
    let Some(allowed) = found else {
        return Err(says(
            ErrorCode::Unsupported,
            "a transaction does not take this command; docs/transaction.md lists those it takes",
        ));
    };
    if !takes {
        return Err(says(ErrorCode::InvalidArgument, "wrong number of arguments"));
    }
    if upper == "BITFIELD"
        && let Some(wide) = words.iter().skip(2).find(|word| bits(word) > MAX_BITS)
    {
        let what = format!("numbers of {} have more than {MAX_BITS} bits", short(wide));
        return Err(says(ErrorCode::Unsupported, &what));
    }
    Ok(allowed)
}

/// The command of this name, and whether it can have so many words.
fn find(upper: &str, words: usize) -> (Option<Allowed>, bool) {
    let one = |name, access| Allowed { name, stride: None, access, merge: Merge::One };
    let each =
        |name, stride, access, merge| Some(Allowed { name, stride: Some(stride), access, merge });
    let (read, write) = (Access::Read, Access::Write);
    match upper {
        "MGET" => (each("MGET", 1, read, Merge::Joined), words >= 2),
        "EXISTS" => (each("EXISTS", 1, read, Merge::Sum), words >= 2),
        "DEL" | "UNLINK" => (each("DEL", 1, write, Merge::Sum), words >= 2),
        "MSET" => (each("SET", 2, write, Merge::Same), words >= 3 && words % 2 == 1),
        _ => match Command::find(upper.as_bytes()) {
            Some(command) if command.keys == KeyWords::First => {
                (Some(one(command.name, command.access)), command.takes(words))
            }
            Some(_) => (None, false),
            None => {
                let more = MORE.iter().find(|(name, _)| *name == upper);
                let least = more.map_or(0, |(_, least)| *least);
                (more.map(|(name, _)| one(name, write)), words >= least)
            }
        },
    }
}

/// The bits of a type such as `u16`, 0 of anything else.
fn bits(word: &[u8]) -> u32 {
    let digits = match word.split_first() {
        Some((b'i' | b'I' | b'u' | b'U', digits)) => digits,
        _ => return 0,
    };
    core::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
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
