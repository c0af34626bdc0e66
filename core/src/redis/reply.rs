//! What a server answers, and how an answer can fail to come.

use alloc::vec::Vec;
use core::fmt;

/// A reply in RESP2 or RESP3. Doubles and big numbers stay text, so that a reply can be compared.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Reply {
    /// Nil, a null bulk string or a null array.
    Nil,
    /// A simple string such as `OK`.
    Simple(Vec<u8>),
    /// An error: the whole text, its code word first.
    Error(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// A bulk or verbatim string.
    Bulk(Vec<u8>),
    /// An array, or a push.
    Array(Vec<Self>),
    /// RESP3: a double, as text.
    Double(Vec<u8>),
    /// RESP3: a boolean.
    Boolean(bool),
    /// RESP3: a big number, as decimal text.
    BigNumber(Vec<u8>),
    /// RESP3: a map, in the order it came.
    Map(Vec<(Self, Self)>),
    /// RESP3: a set, in the order it came.
    Set(Vec<Self>),
}

impl Reply {
    /// The `OK` of Redis.
    #[must_use]
    pub fn ok() -> Self {
        Self::Simple(b"OK".to_vec())
    }

    /// A bulk string.
    #[must_use]
    pub fn bulk(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(bytes.into())
    }

    /// An error with this text.
    #[must_use]
    pub fn error(text: impl Into<Vec<u8>>) -> Self {
        Self::Error(text.into())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Simple(text) => write!(f, "+{}", text.escape_ascii()),
            Self::Error(text) => write!(f, "-{}", text.escape_ascii()),
            Self::Integer(number) => write!(f, ":{number}"),
            Self::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Double(text) | Self::BigNumber(text) => write!(f, "{}", text.escape_ascii()),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Map(pairs) => f.debug_map().entries(pairs.iter().map(|(k, v)| (k, v))).finish(),
            Self::Set(items) => f.debug_set().entries(items).finish(),
        }
    }
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Not a byte was written: the command was certainly not executed.
    NotSent,
    /// It may or may not have been executed, or may still be.
    OutcomeUnknown,
}

/// What happened to the connections to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeChange {
    /// A connection was made.
    Connected,
    /// The connection was lost. Outstanding requests are reported one by one besides.
    Lost,
    /// The push connection is subscribed.
    PushReady,
    /// The push connection is gone: messages may have been missed.
    PushLost,
}

/// Reads the flat array of bulk strings that a script answers with, field after field.
pub(crate) struct Fields<'a> {
    items: core::slice::Iter<'a, Reply>,
}

impl<'a> Fields<'a> {
    /// The fields of an array; none of anything else.
    pub(crate) fn of(reply: &'a Reply) -> Self {
        let items: &[Reply] = match reply {
            Reply::Array(items) => items,
            _ => &[],
        };
        Self { items: items.iter() }
    }

    /// The next field's bytes.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        match self.items.next()? {
            Reply::Bulk(bytes) | Reply::Simple(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The next field as a decimal number.
    pub(crate) fn number(&mut self) -> Option<u64> {
        parse_number(self.bytes()?)
    }
}

/// A decimal number of digits only, at most 2^64 - 1.
pub(crate) fn parse_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
