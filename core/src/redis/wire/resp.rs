//! Replies as they arrive: RESP2 and RESP3, in pieces of any size.
//!
//! A reply is first measured, byte after byte and never twice, and read when all of it is there. What
//! is kept is bounded by [`MAX_REPLY`] and the piece that came last.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::redis::Reply;

/// The longest string, in bytes: the most that a Redis server takes unless it is configured
/// otherwise (`proto-max-bulk-len`).
pub const MAX_BULK: usize = 512 * 1024 * 1024;
/// The most items of one array or set, and half the most of a map.
pub const MAX_ITEMS: usize = 1 << 20;
/// How deep arrays may lie in one another.
pub const MAX_DEPTH: usize = 32;
/// The longest line, in bytes: a simple string, an error, a number or a length.
pub const MAX_LINE: usize = 64 * 1024;
/// The longest reply, in bytes.
pub const MAX_REPLY: usize = 1 << 30;

/// Why bytes are no reply. Nothing that follows on the same connection can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// No kind of reply begins with this byte.
    Kind(u8),
    /// A number or a length is none, or is too large for its kind.
    Number,
    /// A boolean is neither `t` nor `f`.
    Boolean,
    /// A verbatim string does not say its format.
    Verbatim,
    /// A string does not end where its length says.
    Unterminated,
    /// A line is longer than [`MAX_LINE`].
    LongLine,
    /// A string is longer than [`MAX_BULK`].
    LongString(u64),
    /// There are more items than [`MAX_ITEMS`].
    ManyItems(u64),
    /// It lies deeper than [`MAX_DEPTH`].
    Deep,
    /// All of it is longer than [`MAX_REPLY`].
    LongReply,
    /// A reply came, and nothing was asked.
    Unasked,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(byte) => write!(f, "no reply begins with '{}'", byte.escape_ascii()),
            Self::Number => f.write_str("a number or a length of a reply is none"),
            Self::Boolean => f.write_str("a boolean of a reply is neither t nor f"),
            Self::Verbatim => f.write_str("a verbatim string does not say its format"),
            Self::Unterminated => f.write_str("a string does not end where its length says"),
            Self::LongLine => write!(f, "a line of a reply is longer than {MAX_LINE} bytes"),
            Self::LongString(size) => write!(f, "a string of {size} bytes (at most {MAX_BULK})"),
            Self::ManyItems(count) => write!(f, "{count} items (at most {MAX_ITEMS})"),
            Self::Deep => write!(f, "a reply lies more than {MAX_DEPTH} deep"),
            Self::LongReply => write!(f, "a reply is longer than {MAX_REPLY} bytes"),
            Self::Unasked => f.write_str("a reply to nothing"),
        }
    }
}

impl core::error::Error for Malformed {}

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

/// Takes bytes in pieces of any size, and gives whole replies.
///
/// ```
/// use comity::redis::wire::Decoder;
///
/// let mut decoder = Decoder::new();
/// decoder.feed(b"*2\r\n:1\r\n$2\r");
/// assert!(decoder.next()?.is_none());
/// decoder.feed(b"\nhi\r\n");
/// assert_eq!(format!("{:?}", decoder.next()?.expect("whole")), r#"[:1, "hi"]"#);
/// # Ok::<(), comity::redis::wire::Malformed>(())
/// ```
#[derive(Clone, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the reply begins that is being measured.
    start: usize,
    /// Up to where it is measured.
    at: usize,
    /// Less than so many bytes need not be looked at.
    needed: usize,
    /// In so many bytes behind `at` no line ends.
    searched: usize,
    open: Vec<Open>,
    malformed: Option<Malformed>,
}

/// An aggregate that is not whole yet.
#[derive(Clone, Copy)]
struct Open {
    /// So many items are still to come.
    left: usize,
    /// Whether it is an attribute, and so no value itself.
    attribute: bool,
}

impl Decoder {
    /// Nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what has arrived. Look at [`next`](Self::next) until there is nothing more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.forget();
        if self.malformed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// How many bytes are kept that no reply given so far consists of.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next whole reply.
    ///
    /// # Errors
    /// What has arrived is no reply, or a limit is exceeded: from now on always, for where the next one
    /// would begin is not known.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows from it")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, Malformed> {
        Ok(self.advance()?.map(|range| self.frame(range)))
    }

    /// What [`next`](Self::next) gives, without holding on to it.
    pub(super) fn advance(&mut self) -> Result<Option<Range<usize>>, Malformed> {
        if let Some(malformed) = self.malformed {
            return Err(malformed);
        }
        match self.measure() {
            Ok(Some(end)) => Ok(Some(core::mem::replace(&mut self.start, end)..end)),
            Ok(None) => Ok(None),
            Err(malformed) => {
                self.malformed = Some(malformed);
                self.buffer = Vec::new();
                (self.start, self.at) = (0, 0);
                Err(malformed)
            }
        }
    }

    pub(super) fn frame(&self, range: Range<usize>) -> Frame<'_> {
        Frame { bytes: &self.buffer[range] }
    }

    /// Drops what was given, when that is worth moving the rest.
    fn forget(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            // After a large reply the room is given back.
            self.buffer.shrink_to(MAX_LINE);
        } else if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
        } else {
            return;
        }
        self.at -= self.start;
        self.needed = self.needed.saturating_sub(self.start);
        self.start = 0;
    }

    /// Where the next reply ends, if all of it is there.
    fn measure(&mut self) -> Result<Option<usize>, Malformed> {
        loop {
            if self.buffer.len() < self.needed {
                return Ok(None);
            }
            match step(&self.buffer[self.at..], self.searched)? {
                Step::Incomplete { needed, searched } => {
                    self.needed = self.at + needed;
                    self.searched = searched;
                    if self.needed - self.start > MAX_REPLY {
                        return Err(Malformed::LongReply);
                    }
                    return Ok(None);
                }
                Step::Value { value, length } => {
                    let (items, role) = (value.items(), value.role());
                    self.at += length;
                    (self.needed, self.searched) = (0, 0);
                    if self.at - self.start > MAX_REPLY {
                        return Err(Malformed::LongReply);
                    }
                    if self.take(items, role)? {
                        return Ok(Some(self.at));
                    }
                }
            }
        }
    }

    /// Counts a value where it belongs; whether the outermost is whole by it.
    fn take(&mut self, items: usize, role: Role) -> Result<bool, Malformed> {
        if role == Role::Push && !self.open.is_empty() {
            return Err(Malformed::Kind(b'>'));
        }
        let attribute = role == Role::Attribute;
        if items > 0 {
            if self.open.len() == MAX_DEPTH {
                return Err(Malformed::Deep);
            }
            self.open.push(Open { left: items, attribute });
            return Ok(false);
        }
        if attribute {
            return Ok(false);
        }
        // A value is whole, and with it each aggregate whose last item it is.
        while let Some(open) = self.open.last_mut() {
            open.left -= 1;
            if open.left > 0 {
                return Ok(false);
            }
            let attribute = open.attribute;
            self.open.pop();
            if attribute {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the bytes: they may be anybody's.
        f.debug_struct("Decoder").field("pending", &self.pending()).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Token(Token<'a>),
    /// So many pairs that talk about the value behind them.
    Attribute(usize),
}

impl Value<'_> {
    /// How many values lie directly in it.
    fn items(&self) -> usize {
        match *self {
            Self::Token(Token::Array(count) | Token::Set(count) | Token::Push(count)) => count,
            Self::Token(Token::Map(pairs)) | Self::Attribute(pairs) => 2 * pairs,
            Self::Token(_) => 0,
        }
    }

    const fn role(&self) -> Role {
        match self {
            Self::Attribute(_) => Role::Attribute,
            Self::Token(Token::Push(_)) => Role::Push,
            Self::Token(_) => Role::Value,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Value,
    Push,
    /// No value itself.
    Attribute,
}

enum Step<'a> {
    /// So many bytes are a value, without its items.
    Value { value: Value<'a>, length: usize },
    /// There have to be `needed` bytes before it is worth looking again, and then no line ends in the
    /// first `searched`.
    Incomplete { needed: usize, searched: usize },
}

/// The value that `bytes` begins with, without its items. No line ends before `searched`.
fn step(bytes: &[u8], searched: usize) -> Result<Step<'_>, Malformed> {
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

fn double(text: &[u8]) -> Result<&[u8], Malformed> {
    let sound = core::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok());
    sound.then_some(text).ok_or(Malformed::Number)
}

fn big_number(text: &[u8]) -> Result<&[u8], Malformed> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let sound = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    sound.then_some(text).ok_or(Malformed::Number)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;
    use proptest::prelude::*;

    use super::*;

    /// What comes out of pieces of `size` bytes.
    fn replies(bytes: &[u8], size: usize) -> Result<Vec<Reply>, Malformed> {
        let mut decoder = Decoder::new();
        let mut found = Vec::new();
        for piece in bytes.chunks(size.max(1)) {
            decoder.feed(piece);
            while let Some(frame) = decoder.next()? {
                found.push(frame.to_reply());
            }
        }
        Ok(found)
    }

    fn shown(bytes: &[u8]) -> String {
        let whole = replies(bytes, bytes.len());
        for size in [1, 2, 3, 7] {
            assert_eq!(replies(bytes, size), whole, "in pieces of {size}");
        }
        match whole {
            Ok(found) => format!("{found:?}"),
            Err(malformed) => format!("{malformed}"),
        }
    }

    #[test]
    fn every_kind_is_read() {
        assert_eq!(shown(b"+OK\r\n-ERR no\r\n:-7\r\n:+7\r\n"), "[+OK, -ERR no, :-7, :7]");
        assert_eq!(
            shown(b"$2\r\n\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n_\r\n"),
            r#"["\r\n", "", nil, nil, nil]"#
        );
        assert_eq!(shown(b"*2\r\n*0\r\n*1\r\n+a\r\n"), "[[[], [+a]]]");
        assert_eq!(
            shown(b"#t\r\n#f\r\n,1.5\r\n,-inf\r\n,nan\r\n(-123\r\n"),
            "[true, false, 1.5, -inf, nan, -123]"
        );
        assert_eq!(shown(b"=7\r\ntxt:a\r\n\r\n!5\r\nERR x\r\n"), r#"["a\r\n", -ERR x]"#);
        assert_eq!(shown(b"%1\r\n+k\r\n~1\r\n:1\r\n>1\r\n+p\r\n"), "[{+k: {:1}}, [+p]]");
        assert_eq!(shown(b"+a\rb\nc\r\n"), r"[+a\rb\nc]");
    }

    #[test]
    fn attributes_are_passed_over() {
        assert_eq!(shown(b"|1\r\n+ttl\r\n*2\r\n:1\r\n:2\r\n:5\r\n"), "[:5]");
        assert_eq!(
            shown(b"*2\r\n|1\r\n+a\r\n|1\r\n+b\r\n+c\r\n+d\r\n:5\r\n|0\r\n:6\r\n"),
            "[[:5, :6]]"
        );
    }

    #[test]
    fn what_is_no_reply_is_named() {
        for (bytes, wrong) in [
            (&b"HTTP/1.1 400\r\n"[..], "no reply begins with 'H'"),
            (b"\r\n", "no reply begins with '\\r'"),
            (b"\x15\x03", "no reply begins with '\\x15'"),
            (b":1x\r\n", "a number or a length of a reply is none"),
            (b":9223372036854775808\r\n", "a number or a length of a reply is none"),
            (b"$-2\r\n", "a number or a length of a reply is none"),
            (b"~-1\r\n", "a number or a length of a reply is none"),
            (b"$?\r\n", "a number or a length of a reply is none"),
            (b",one\r\n", "a number or a length of a reply is none"),
            (b"#x\r\n", "a boolean of a reply is neither t nor f"),
            (b"=2\r\nab\r\n", "a verbatim string does not say its format"),
            (b"$1\r\nabc\r\n", "a string does not end where its length says"),
            (b"$536870913\r\n", "a string of 536870913 bytes (at most 536870912)"),
            (b"*1048577\r\n", "1048577 items (at most 1048576)"),
            (b"*1\r\n>1\r\n+a\r\n", "no reply begins with '>'"),
        ] {
            assert_eq!(shown(bytes), wrong);
        }
        let deep = b"*1\r\n".repeat(MAX_DEPTH + 1);
        assert_eq!(shown(&deep), "a reply lies more than 32 deep");
        let long = vec![b'+'; MAX_LINE + 1];
        assert_eq!(replies(&long, 999), Err(Malformed::LongLine));
    }

    #[test]
    fn after_what_is_no_reply_nothing_is_read_or_kept() {
        let mut decoder = Decoder::new();
        decoder.feed(b":1\r\nX");
        assert!(decoder.next().is_ok_and(|frame| frame.is_some()));
        assert_eq!(decoder.next().err(), Some(Malformed::Kind(b'X')));
        decoder.feed(b":2\r\n");
        assert_eq!(decoder.next().err(), Some(Malformed::Kind(b'X')));
        assert_eq!(decoder.pending(), 0);
    }

    #[test]
    fn a_large_reply_is_looked_at_once() {
        let mut decoder = Decoder::new();
        decoder.feed(b"$1000000\r\n");
        for _ in 0..1000 {
            decoder.feed(&[b'x'; 1000]);
            assert!(decoder.next().is_ok_and(|frame| frame.is_none()));
            assert_eq!(decoder.needed, 1_000_012);
        }
        decoder.feed(b"\r\n");
        assert!(decoder.next().is_ok_and(|frame| frame.is_some()));
        decoder.feed(b"");
        assert!(decoder.buffer.capacity() <= MAX_LINE);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_alike_in_any_pieces(
            bytes in prop::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'*'), Just(b'$'), any::<u8>()],
                0..60,
            ),
            size in 1_usize..9,
        ) {
            let mut bytes = bytes;
            bytes.splice(0..0, *b"*3\r\n");
            let whole = replies(&bytes, bytes.len());
            prop_assert_eq!(replies(&bytes, size), whole);
        }
    }
}
