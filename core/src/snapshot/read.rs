//! Reads canonical bytes from front to back, and says where they are not.

use alloc::format;

use super::corrupt;
use crate::error::Result;

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.left() == 0
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| {
            corrupt(format!(
                "{count} bytes at {} are announced, {} are there",
                self.at,
                self.left()
            ))
        })?;
        self.at += count;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.bytes(1)?.first().copied().unwrap_or_default())
    }

    /// A number in its shortest form, at most 2^64 - 1.
    pub(crate) fn uvarint(&mut self) -> Result<u64> {
        let start = self.at;
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(corrupt(format!(
                        "the number at {start} is longer than it need be"
                    )));
                }
                return Ok(number);
            }
        }
        Err(corrupt(format!("the number at {start} is above 2^64 - 1")))
    }

    /// 128 bits, the highest first.
    pub(crate) fn bits128(&mut self) -> Result<u128> {
        let bytes = self.bytes(16)?;
        Ok(bytes.iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
    }
}
