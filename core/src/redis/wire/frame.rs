//! A reply in its bytes: RESP2 and RESP3, value by value.

use alloc::vec::Vec;
use core::fmt;

use super::malformed::{MAX_BULK, MAX_ITEMS, MAX_LINE, Malformed};
use crate::redis::Reply;

/// One step through a reply. An aggregate comes before its items, and says how many those are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Token<'a> {
    /// Nil, a null string or a null array.
    Nil,
    /// A simple string.
    Simple(&'a [u8]),
    /// An error: the whole text, its code word first.
    Error(&'a [u8]),
    /// An integer.
    Integer(i64),
    /// A bulk or verbatim string.
    Bulk(&'a [u8]),
    /// A double as text, which `f64` parses.
    Double(&'a [u8]),
    /// A boolean.
    Boolean(bool),
    /// A big number as decimal text.
    BigNumber(&'a [u8]),
    /// An array of so many items.
    Array(usize),
    /// A set of so many items.
    Set(usize),
    /// A map of so many pairs, which are twice as many items.
    Map(usize),
    /// Not the answer to a command, of so many items. Outermost only.
    Push(usize),
}

/// A whole reply, still in the bytes that it came in.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The bytes of one whole reply, and no more.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The reply from its outermost value to its innermost, in the order of its bytes. Attributes, which
    /// talk about the value that follows them, are left out.
    #[must_use]
    pub fn tokens(&self) -> Tokens<'a> {
        Tokens { bytes: self.bytes }
    }

    /// Whether it is no answer to a command.
    #[must_use]
    pub fn is_push(&self) -> bool {
        matches!(self.tokens().next(), Some(Token::Push(_)))
    }

    /// How many bytes it is.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The reply in bytes of its own, to be read when the connection is free for others.
    #[must_use]
    pub fn to_buf(&self) -> FrameBuf {
        FrameBuf { bytes: self.bytes.to_vec() }
    }

    /// The text of an error reply, its code word first; None for any other.
    #[must_use]
    pub fn error(&self) -> Option<&'a [u8]> {
        match self.tokens().next()? {
            Token::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The reply as values of its own.
    #[must_use]
    pub fn to_reply(&self) -> Reply {
        read(&mut self.tokens())
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_reply().fmt(f)
    }
}

/// See [`Frame::to_buf`].
#[derive(Clone)]
pub struct FrameBuf {
    bytes: Vec<u8>,
}

impl FrameBuf {
    /// The same reply.
    #[must_use]
    pub fn as_frame(&self) -> Frame<'_> {
        Frame { bytes: &self.bytes }
    }
}

impl fmt::Debug for FrameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_frame().fmt(f)
    }
}

fn read(tokens: &mut Tokens<'_>) -> Reply {
    let Some(token) = tokens.next() else { return Reply::Nil };
    let mut items = |count: usize| (0..count).map(|_| read(tokens)).collect::<Vec<_>>();
    match token {
        Token::Nil => Reply::Nil,
        Token::Simple(text) => Reply::Simple(text.to_vec()),
        Token::Error(text) => Reply::Error(text.to_vec()),
        Token::Integer(number) => Reply::Integer(number),
        Token::Bulk(bytes) => Reply::Bulk(bytes.to_vec()),
        Token::Double(text) => Reply::Double(text.to_vec()),
        Token::Boolean(value) => Reply::Boolean(value),
        Token::BigNumber(text) => Reply::BigNumber(text.to_vec()),
        Token::Array(count) | Token::Push(count) => Reply::Array(items(count)),
        Token::Set(count) => Reply::Set(items(count)),
        Token::Map(count) => Reply::Map((0..count).map(|_| (read(tokens), read(tokens))).collect()),
    }
}

/// See [`Frame::tokens`].
#[derive(Clone)]
pub struct Tokens<'a> {
    bytes: &'a [u8],
}

impl<'a> Tokens<'a> {
    fn value(&mut self) -> Option<Value<'a>> {
        // A frame was measured by the same steps, so each of them succeeds but at its end.
        let Ok(Step::Value { value, length }) = step(self.bytes, 0) else { return None };
        self.bytes = &self.bytes[length..];
        Some(value)
    }

    /// Passes so many values over, with all that lies in them.
    fn pass(&mut self, mut values: usize) -> Option<()> {
        while values > 0 {
            let value = self.value()?;
            values += value.items();
            values -= usize::from(matches!(value, Value::Token(_)));
        }
        Some(())
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            match self.value()? {
                Value::Token(token) => return Some(token),
                attribute @ Value::Attribute(_) => self.pass(attribute.items())?,
            }
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Token(Token<'a>),
    /// So many pairs that talk about the value behind them.
    Attribute(usize),
}

impl Value<'_> {
    /// How many values lie directly in it.
    pub(super) fn items(&self) -> usize {
        match *self {
            Self::Token(Token::Array(count) | Token::Set(count) | Token::Push(count)) => count,
            Self::Token(Token::Map(pairs)) | Self::Attribute(pairs) => 2 * pairs,
            Self::Token(_) => 0,
        }
    }

    pub(super) const fn role(&self) -> Role {
        match self {
            Self::Attribute(_) => Role::Attribute,
            Self::Token(Token::Push(_)) => Role::Push,
            Self::Token(_) => Role::Value,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Value,
    Push,
    /// No value itself.
    Attribute,
}

pub(super) enum Step<'a> {
    /// So many bytes are a value, without its items.
    Value { value: Value<'a>, length: usize },
    /// There have to be `needed` bytes before it is worth looking again, and then no line ends in the
    /// first `searched`.
    Incomplete { needed: usize, searched: usize },
}

/// The value that `bytes` begins with, without its items. No line ends before `searched`.
pub(super) fn step(bytes: &[u8], searched: usize) -> Result<Step<'_>, Malformed> {
    let Some(end) = line_end(bytes, searched) else {
        return match bytes.first() {
            Some(&kind) if !KINDS.contains(&kind) => Err(Malformed::Kind(kind)),
            _ if bytes.len() > MAX_LINE => Err(Malformed::LongLine),
            _ => Ok(Step::Incomplete {
                needed: bytes.len() + 1,
                searched: bytes.len().saturating_sub(1),
            }),
        };
    };
    if end > MAX_LINE {
        return Err(Malformed::LongLine);
    }
    let (kind, line) = bytes[..end].split_first().ok_or(Malformed::Kind(b'\r'))?;
    let after = end + 2;
    let token = match kind {
        b'+' => Token::Simple(line),
        b'-' => Token::Error(line),
        b':' => Token::Integer(integer(line)?),
        b'_' if line.is_empty() => Token::Nil,
        b'_' => return Err(Malformed::Number),
        b'#' => match line {
            b"t" => Token::Boolean(true),
            b"f" => Token::Boolean(false),
            _ => return Err(Malformed::Boolean),
        },
        b',' => Token::Double(double(line)?),
        b'(' => Token::BigNumber(big_number(line)?),
        b'$' | b'=' | b'!' => {
            let Some(size) = length(line, *kind == b'$')? else {
                return Ok(Step::Value { value: Value::Token(Token::Nil), length: after });
            };
            let size = usize::try_from(size)
                .ok()
                .filter(|size| *size <= MAX_BULK)
                .ok_or(Malformed::LongString(size))?;
            let whole = after + size + 2;
            if bytes.len() < whole {
                return Ok(Step::Incomplete { needed: whole, searched: 0 });
            }
            if bytes[whole - 2..whole] != *b"\r\n" {
                return Err(Malformed::Unterminated);
            }
            let string = &bytes[after..after + size];
            let token = match kind {
                b'$' => Token::Bulk(string),
                b'!' => Token::Error(string),
                _ if string.get(3) == Some(&b':') => Token::Bulk(&string[4..]),
                _ => return Err(Malformed::Verbatim),
            };
            return Ok(Step::Value { value: Value::Token(token), length: whole });
        }
        b'*' | b'~' | b'%' | b'>' | b'|' => {
            let Some(count) = length(line, *kind == b'*')? else {
                return Ok(Step::Value { value: Value::Token(Token::Nil), length: after });
            };
            let count = usize::try_from(count)
                .ok()
                .filter(|count| *count <= MAX_ITEMS)
                .ok_or(Malformed::ManyItems(count))?;
            match kind {
                b'*' => Token::Array(count),
                b'~' => Token::Set(count),
                b'%' => Token::Map(count),
                b'>' => Token::Push(count),
                _ => return Ok(Step::Value { value: Value::Attribute(count), length: after }),
            }
        }
        other => return Err(Malformed::Kind(*other)),
    };
    Ok(Step::Value { value: Value::Token(token), length: after })
}

const KINDS: &[u8] = b"+-:_#,($=!*~%>|";

/// Where the first line ends: a carriage return that a line feed follows.
fn line_end(bytes: &[u8], searched: usize) -> Option<usize> {
    let mut from = searched;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| *byte == b'\r')?;
        match bytes.get(at + 1) {
            Some(b'\n') => return Some(at),
            Some(_) => from = at + 1,
            None => return None,
        }
    }
}

fn integer(text: &[u8]) -> Result<i64, Malformed> {
    let text = core::str::from_utf8(text).map_err(|_| Malformed::Number)?;
    text.parse().map_err(|_| Malformed::Number)
}

/// A length: digits, or -1 for nil where the kind has that.
fn length(text: &[u8], nil: bool) -> Result<Option<u64>, Malformed> {
    if nil && text == b"-1" {
        return Ok(None);
    }
    crate::redis::parse_number(text).map(Some).ok_or(Malformed::Number)
}

/// A double by its grammar: to parse it as well would bring tables of 10 KiB into a WebAssembly module.
fn double(text: &[u8]) -> Result<&[u8], Malformed> {
    let value = unsigned(text);
    let words = [&b"inf"[..], b"nan"].iter().any(|word| value.eq_ignore_ascii_case(word));
    let is_e = |byte: &u8| matches!(byte, b'e' | b'E');
    let (mantissa, exponent) = match value.iter().position(is_e) {
        Some(at) => (&value[..at], Some(&value[at + 1..])),
        None => (value, None),
    };
    let (whole, part) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &mantissa[..0]),
    };
    let number = whole.iter().chain(part).all(u8::is_ascii_digit)
        && whole.len() + part.len() > 0
        && exponent.is_none_or(|text| is_digits(unsigned(text)));
    (words || number).then_some(text).ok_or(Malformed::Number)
}

fn big_number(text: &[u8]) -> Result<&[u8], Malformed> {
    is_digits(unsigned(text)).then_some(text).ok_or(Malformed::Number)
}

/// A number without its sign.
fn unsigned(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text)
}

fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_those_that_can_be_parsed() {
        for text in ["0", "-1.5", "+.5", "5.", "1e3", "1.25E-300", "inf", "-INF", "nan", "12e+0"] {
            assert_eq!(double(text.as_bytes()), Ok(text.as_bytes()), "{text}");
            assert!(text.parse::<f64>().is_ok(), "{text}");
        }
        for text in ["", "-", ".", "e1", "1e", "1e+", "1.2.3", "--1", "0x1", "1 ", "infi", "1e1.5"]
        {
            assert_eq!(double(text.as_bytes()), Err(Malformed::Number), "{text}");
            assert!(text.parse::<f64>().is_err(), "{text}");
        }
    }
}
