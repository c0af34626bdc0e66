//! The Redis commands of the embedded store: those that a transaction carries, and what reads
//! their results.
//!
//! Arguments, replies and errors are those of Redis 7.0; the differential test holds the two
//! equal. One table, [`COMMANDS`], says what there is. `docs/embedded-store.md` lists it, with the
//! limits.

mod call;
mod expiry;
mod hashes;
mod increments;
mod keys;
mod lists;
mod range;
mod sets;
mod sorted_sets;
mod strings;

use alloc::format;
use alloc::vec::Vec;

use Access::{Read, Write};
use Fails::{Never, OnValue, WithOption};
use KeyWords::{All, First, Two};
use call::{Fault, Outcome, Words};

use super::Keyspace;
use crate::redis::Reply;

/// The longest argument and the longest string that a command makes, in bytes: what Redis calls
/// `proto-max-bulk-len`, and sets to 512 MB.
pub const MAX_STRING: usize = 16 << 20;

/// The most bytes that a reply of several values has. Only by naming one value often can a
/// command be answered with more than is stored.
pub const MAX_REPLY: usize = 64 << 20;

/// Which words of a command are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyWords {
    /// The first after the name.
    First,
    /// The first two.
    Two,
    /// All.
    All,
}

/// What a command may do to its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Nothing.
    Read,
    /// Change them.
    Write,
}

/// Whether a call whose arguments are sound can be refused because of what its keys hold. A
/// refused call has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fails {
    /// It cannot.
    Never,
    /// Only with this option.
    WithOption(&'static str),
    /// It can.
    OnValue,
}

/// A command that the embedded store executes.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name, in upper case. Any case is understood.
    pub name: &'static str,
    /// How many words it has, the name among them; if negative, that many or more. As Redis says
    /// it in `COMMAND INFO`.
    pub arity: i8,
    /// Where its keys are.
    pub keys: KeyWords,
    /// What it does to them.
    pub access: Access,
    /// Whether it can be refused.
    pub fails: Fails,
}

/// What executes a command.
type Run = fn(&mut Keyspace, Words<'_>) -> Outcome;

impl Command {
    /// The command of this name, in any case.
    #[must_use]
    pub fn find(name: &[u8]) -> Option<&'static Self> {
        Self::place(name).map(|at| &COMMANDS[at])
    }

    /// Its place in the table.
    fn place(name: &[u8]) -> Option<usize> {
        COMMANDS.iter().position(|command| name.eq_ignore_ascii_case(command.name.as_bytes()))
    }

    /// Whether it can have this many words.
    #[must_use]
    pub fn takes(&self, words: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { words >= wanted } else { words == wanted }
    }
}

/// Executes a command at the moment the key space is at, and replies as Redis does. An error reply
/// means that nothing has changed.
pub fn execute(space: &mut Keyspace, words: &[&[u8]]) -> Reply {
    let name = words.first().copied().unwrap_or_default();
    let Some(at) = Command::place(name) else { return unsupported(name) };
    if let Some(long) = words.iter().find(|word| word.len() > MAX_STRING) {
        let length = long.len();
        return Reply::error(format!(
            "ERR an argument of {length} bytes, the limit of the embedded store is {MAX_STRING}"
        ));
    }
    let words = Words::new(words);
    let outcome = match COMMANDS[at].takes(words.len()) {
        true => RUNS[at](space, words),
        false => Err(words.wrong_number()),
    };
    outcome.unwrap_or_else(|Fault(text)| Reply::Error(text))
}

fn unsupported(name: &[u8]) -> Reply {
    // An error is one line, and names are short.
    let name: Vec<u8> = name.iter().take(64).map(u8::to_ascii_uppercase).collect();
    let name = name.escape_ascii();
    Reply::error(format!("ERR command '{name}' is unsupported by the embedded store"))
}

macro_rules! commands {
    ($($name:literal $arity:literal $keys:ident $access:ident $fails:expr => $run:path,)*) => {
        /// Every command there is.
        pub static COMMANDS: &[Command] = &[$(Command {
            name: $name,
            arity: $arity,
            keys: $keys,
            access: $access,
            fails: $fails,
        }),*];

        /// What executes each of them. Apart, so that a program that only asks what a command may do
        /// does not carry all that executes commands.
        static RUNS: [Run; COMMANDS.len()] = [$($run),*];
    };
}

commands! {
    "GET" 2 First Read OnValue => strings::get,
    "SET" -3 First Write WithOption("GET") => strings::set,
    "MGET" -2 All Read Never => strings::mget,
    "APPEND" 3 First Write OnValue => strings::append,
    "STRLEN" 2 First Read OnValue => strings::strlen,
    "GETRANGE" 4 First Read OnValue => strings::getrange,
    "SETRANGE" 4 First Write OnValue => strings::setrange,
    "INCR" 2 First Write OnValue => increments::incr,
    "DECR" 2 First Write OnValue => increments::decr,
    "INCRBY" 3 First Write OnValue => increments::incrby,
    "DECRBY" 3 First Write OnValue => increments::decrby,
    "INCRBYFLOAT" 3 First Write OnValue => increments::incrbyfloat,

    "DEL" -2 All Write Never => keys::del,
    "EXISTS" -2 All Read Never => keys::exists,
    "TYPE" 2 First Read Never => keys::type_of,
    "RENAME" 3 Two Write OnValue => keys::rename,
    "COPY" -3 Two Write Never => keys::copy,
    "EXPIRE" -3 First Write Never => expiry::expire,
    "PEXPIRE" -3 First Write Never => expiry::pexpire,
    "EXPIREAT" -3 First Write Never => expiry::expireat,
    "PEXPIREAT" -3 First Write Never => expiry::pexpireat,
    "PERSIST" 2 First Write Never => expiry::persist,
    "TTL" 2 First Read Never => expiry::ttl,
    "PTTL" 2 First Read Never => expiry::pttl,

    "HSET" -4 First Write OnValue => hashes::hset,
    "HSETNX" 4 First Write OnValue => hashes::hsetnx,
    "HGET" 3 First Read OnValue => hashes::hget,
    "HMGET" -3 First Read OnValue => hashes::hmget,
    "HGETALL" 2 First Read OnValue => hashes::hgetall,
    "HDEL" -3 First Write OnValue => hashes::hdel,
    "HLEN" 2 First Read OnValue => hashes::hlen,
    "HEXISTS" 3 First Read OnValue => hashes::hexists,
    "HINCRBY" 4 First Write OnValue => increments::hincrby,

    "SADD" -3 First Write OnValue => sets::sadd,
    "SREM" -3 First Write OnValue => sets::srem,
    "SISMEMBER" 3 First Read OnValue => sets::sismember,
    "SCARD" 2 First Read OnValue => sets::scard,
    "SMEMBERS" 2 First Read OnValue => sets::smembers,

    "LPUSH" -3 First Write OnValue => lists::lpush,
    "RPUSH" -3 First Write OnValue => lists::rpush,
    "LPOP" -2 First Write OnValue => lists::lpop,
    "RPOP" -2 First Write OnValue => lists::rpop,
    "LRANGE" 4 First Read OnValue => lists::lrange,
    "LLEN" 2 First Read OnValue => lists::llen,
    "LINDEX" 3 First Read OnValue => lists::lindex,
    "LSET" 4 First Write OnValue => lists::lset,

    "ZADD" -4 First Write OnValue => sorted_sets::zadd,
    "ZINCRBY" 4 First Write OnValue => sorted_sets::zincrby,
    "ZREM" -3 First Write OnValue => sorted_sets::zrem,
    "ZSCORE" 3 First Read OnValue => sorted_sets::zscore,
    "ZCARD" 2 First Read OnValue => sorted_sets::zcard,
    "ZRANK" 3 First Read OnValue => sorted_sets::zrank,
    "ZRANGE" -4 First Read OnValue => range::zrange,
    "ZRANGEBYSCORE" -4 First Read OnValue => range::zrangebyscore,
}
