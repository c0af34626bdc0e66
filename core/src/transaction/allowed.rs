//! The commands that a transaction takes: those of one key, whose effect hangs on nothing else. And
//! why it does not take the others.

use alloc::format;

use super::Operation;
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

/// Why a command is refused, if it is one of those.
pub(super) fn refusal(upper: &str) -> Option<&'static str> {
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
