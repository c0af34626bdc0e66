//! Replies as they arrive, in pieces of any size.
//!
//! A reply is first measured, byte after byte and never twice, and read when all of it is there. What
//! is kept is bounded by [`MAX_REPLY`] and the piece that came last.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::frame::{Frame, Role, Step, step};
use super::malformed::{MAX_DEPTH, MAX_LINE, MAX_REPLY, Malformed};

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
        Frame::new(&self.buffer[range])
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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::redis::Reply;

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
            (b"\x15\x03", "no reply begins with '\\x15'; a server that wants TLS would send it"),
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
    fn a_reply_can_be_kept_while_others_come() {
        let mut decoder = Decoder::new();
        decoder.feed(b"*2\r\n:1\r\n$2\r\nhi\r\n-ERR no\r\n");
        let frame = decoder.next().expect("sound").expect("whole");
        assert_eq!((frame.size(), frame.error()), (16, None));
        let kept = frame.to_buf();
        let frame = decoder.next().expect("sound").expect("whole");
        assert_eq!(frame.error(), Some(&b"ERR no"[..]));
        decoder.feed(b"");
        assert_eq!(format!("{kept:?}"), r#"[:1, "hi"]"#);
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
