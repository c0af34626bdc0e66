//! The commands that a transaction takes: those of one key, whose effect hangs on nothing else.

use alloc::format;

use super::Operation;
use crate::error::{Error, ErrorCode, Result};
use crate::keyspace::command::{Access, Command, KeyWords};
use crate::redis::readable;

/// Those of the embedded store's table that it does not: their replies hang on the time, or they
/// have two keys.
const REFUSED: [&str; 4] = ["TTL", "PTTL", "RENAME", "COPY"];

/// Those that it takes besides: a real server has them, the embedded store has not.
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

impl Operation {
    /// What the command does to its key; none if it is not one that a transaction takes.
    pub(super) fn access(&self) -> Option<Access> {
        let is = |name: &&str| self.name.eq_ignore_ascii_case(name.as_bytes());
        match Command::find(&self.name) {
            Some(command) if REFUSED.contains(&command.name) => None,
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
