//! The words of one Redis command.

use alloc::vec::Vec;
use core::fmt;

/// The words of one command in a single buffer. Words are arbitrary bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Argv {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Argv {
    /// No words yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new() }
    }

    /// Room for `words` words of `bytes` bytes in all.
    #[must_use]
    pub fn with_capacity(words: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(words) }
    }

    /// Appends a word.
    pub fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
    }

    /// Appends a number as decimal text.
    pub fn push_number(&mut self, number: u64) {
        self.push_padded(number, 1);
    }

    /// Appends a number as decimal text of at least `width` digits.
    pub fn push_padded(&mut self, number: u64, width: usize) {
        write_padded(&mut self.bytes, number, width);
        self.ends.push(self.bytes.len());
    }

    /// How many words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The word at `index`, the command's name being at 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(&self.bytes[start..end])
    }

    /// The words in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator {
        (0..self.ends.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// The command as a RESP array of bulk strings, as it goes over the wire.
    #[must_use]
    pub fn to_resp(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 16 + self.len() * 8);
        self.write_resp(&mut out);
        out
    }

    /// Appends what [`to_resp`](Self::to_resp) gives.
    pub fn write_resp(&self, out: &mut Vec<u8>) {
        header(out, b'*', self.len());
        for word in self.iter() {
            header(out, b'$', word.len());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn header(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    write_padded(out, count as u64, 1);
    out.extend_from_slice(b"\r\n");
}

/// Appends decimal text of at least `width` digits.
pub(crate) fn write_padded(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 || digits.len() - start < width.clamp(1, 20) {
        start -= 1;
        // A remainder of ten fits a byte.
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[start..]);
}

impl<W: AsRef<[u8]>> FromIterator<W> for Argv {
    fn from_iter<I: IntoIterator<Item = W>>(words: I) -> Self {
        let mut argv = Self::new();
        for word in words {
            argv.push(word.as_ref());
        }
        argv
    }
}

impl fmt::Debug for Argv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for word in self.iter() {
            list.entry(&format_args!("\"{}\"", word.escape_ascii()));
        }
        list.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were() {
        let argv: Argv = [&b"SET"[..], b"", b"a\0b", "\u{e9}".as_bytes()].into_iter().collect();
        assert_eq!(argv.len(), 4);
        assert_eq!(argv.get(1), Some(&b""[..]));
        assert_eq!(argv.get(2), Some(&b"a\0b"[..]));
        assert_eq!(argv.get(4), None);
        assert_eq!(
            argv.to_resp(),
            b"*4\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\na\0b\r\n$2\r\n\xc3\xa9\r\n"
        );
    }

    #[test]
    fn numbers_are_decimal_text() {
        let mut argv = Argv::new();
        argv.push_number(0);
        argv.push_padded(42, 5);
        argv.push_number(u64::MAX);
        let words: Vec<&[u8]> = argv.iter().collect();
        assert_eq!(words, [&b"0"[..], b"00042", b"18446744073709551615"]);
    }
}
