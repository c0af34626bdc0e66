//! Values as runs of bytes, read and written by `js/pack.ts` as well. Everything is little-endian:
//! a `byte`; a `count` of 4 bytes; a `number`, below 2^53, as a 64-bit float; `wide` and `widest`
//! integers of 8 and 16 bytes; `bytes`, a count before them; an `option`, a byte of 0 or 1 before
//! it.

use alloc::vec::Vec;

/// 2^53 - 1: the highest number that JavaScript holds exactly.
const HIGHEST: u64 = (1 << 53) - 1;

/// A number of the core's as JavaScript has it. A time that is later stands for one that never
/// comes; no other is as high.
#[expect(clippy::cast_precision_loss, reason = "below 2^53 none is lost")]
pub(crate) const fn number(number: u64) -> f64 {
    if number > HIGHEST { HIGHEST as f64 } else { number as f64 }
}

/// A number of JavaScript's, which has been checked there.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
pub(crate) const fn whole(number: f64) -> u64 {
    number as u64
}

#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    pub(crate) fn flag(&mut self, flag: bool) -> &mut Self {
        self.byte(u8::from(flag))
    }

    #[expect(clippy::cast_possible_truncation, reason = "no memory here holds as many")]
    pub(crate) fn count(&mut self, count: usize) -> &mut Self {
        self.0.extend_from_slice(&(count as u32).to_le_bytes());
        self
    }

    pub(crate) fn number(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&number(value).to_le_bytes());
        self
    }

    pub(crate) fn wide(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn widest(&mut self, value: i128) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn option<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            None => self.flag(false),
            Some(value) => write(self.flag(true), value),
        }
    }

    pub(crate) fn each<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.count(items.len());
        items.for_each(|item| write(self, item));
        self
    }
}

/// Everything is `None` where the bytes end too early.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn count(&mut self) -> Option<usize> {
        self.array().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    pub(crate) fn wide(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn each<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = self.count()?;
        // Each takes a byte at least, so that no count has more allocated than was given.
        let mut items = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Some(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.byte(7).count(70_000).wide(u64::MAX).bytes(b"abc").bytes(b"");
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.byte(), Some(7));
        assert_eq!(reader.count(), Some(70_000));
        assert_eq!(reader.wide(), Some(-1));
        assert_eq!(reader.bytes(), Some(b"abc".as_slice()));
        assert_eq!(reader.bytes(), Some(b"".as_slice()));
        assert_eq!(reader.byte(), None);
    }

    #[test]
    fn what_ends_too_early_is_nothing() {
        assert_eq!(Reader::new(&[5, 0, 0, 0, 1]).bytes(), None);
        assert_eq!(Reader::new(&[255, 255, 255, 255]).each(Reader::byte), None);
        assert_eq!(Reader::new(&[1, 2]).count(), None);
    }

    #[test]
    fn numbers_end_where_javascript_ends() {
        assert_eq!(whole(number(HIGHEST)), HIGHEST);
        assert_eq!(whole(number(u64::MAX)), HIGHEST);
        assert_eq!(whole(-1.0), 0);
        assert_eq!(whole(f64::NAN), 0);
    }
}
