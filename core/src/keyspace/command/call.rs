//! What the commands are given, and how they refuse.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use crate::keyspace::WrongType;
use crate::redis::Reply;

/// The text of an error reply. Nothing was changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) Vec<u8>);

pub(super) type Outcome = Result<Reply, Fault>;

pub(super) const SYNTAX: &str = "ERR syntax error";
pub(super) const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
pub(super) const NOT_FLOAT: &str = "ERR value is not a valid float";
pub(super) const NO_KEY: &str = "ERR no such key";
pub(super) const TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

impl From<&str> for Fault {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<WrongType> for Fault {
    fn from(_: WrongType) -> Self {
        "WRONGTYPE Operation against a key holding the wrong kind of value".into()
    }
}

/// The words of a command, at least as many as its arity asks for.
#[derive(Clone, Copy)]
pub(super) struct Words<'a>(&'a [&'a [u8]]);

impl<'a> Words<'a> {
    pub(super) const fn new(words: &'a [&'a [u8]]) -> Self {
        Self(words)
    }

    pub(super) const fn len(self) -> usize {
        self.0.len()
    }

    /// The word at `index`, the name being at 0.
    pub(super) fn at(self, index: usize) -> &'a [u8] {
        self.0.get(index).copied().unwrap_or_default()
    }

    pub(super) fn key(self) -> &'a [u8] {
        self.at(1)
    }

    pub(super) fn from(self, index: usize) -> &'a [&'a [u8]] {
        self.0.get(index..).unwrap_or_default()
    }

    /// The words from `index` on, two by two.
    pub(super) fn pairs(self, index: usize) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> {
        self.from(index).chunks_exact(2).map(|pair| match *pair {
            [first, second] => (first, second),
            _ => (&[][..], &[][..]),
        })
    }

    pub(super) fn integer(self, index: usize) -> Result<i64, Fault> {
        Ok(integer(self.at(index)).ok_or(NOT_INTEGER)?)
    }

    pub(super) fn wrong_number(self) -> Fault {
        let name = self.at(0).to_ascii_lowercase();
        let name = name.escape_ascii();
        Fault(format!("ERR wrong number of arguments for '{name}' command").into_bytes())
    }
}

/// A decimal number in the one way in which Redis writes it.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] if digits.len() == text.len() => return Some(0),
        [b'1'..=b'9', ..] if digits.iter().all(u8::is_ascii_digit) => {}
        _ => return None,
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// The name of an option in upper case. As in C, it ends at a zero byte.
pub(super) fn option(word: &[u8]) -> Vec<u8> {
    let longer_than_any = 16;
    let name = word.iter().take_while(|&&byte| byte != 0).take(longer_than_any);
    name.map(u8::to_ascii_uppercase).collect()
}

/// How many of something there are.
pub(super) fn count(number: usize) -> Reply {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn flag(yes: bool) -> Reply {
    Reply::Integer(i64::from(yes))
}

/// A string, or nil.
pub(super) fn bulk_or_nil(bytes: Option<&Vec<u8>>) -> Reply {
    bytes.map_or(Reply::Nil, |bytes| Reply::bulk(bytes.as_slice()))
}

/// The elements from `start` to `stop`, both included and both counted from the end if negative,
/// of `length` elements.
pub(super) fn range(start: i64, stop: i64, length: usize) -> Range<usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_end = |at: i64| if at < 0 { length + at } else { at };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(length - 1));
    match (usize::try_from(start), usize::try_from(stop)) {
        (Ok(start), Ok(stop)) if start <= stop => start..stop + 1,
        _ => 0..0,
    }
}
