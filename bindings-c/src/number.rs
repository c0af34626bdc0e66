//! Numbers of 128 bits, which C has no type for.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::c_char;

use comity::counter::Tally;
use comity::error::{Error, ErrorCode};

use crate::pointer::{place, places};
use crate::status::guard;

/// How many bytes the decimal text of any comity_int128 takes, its end included.
pub const COMITY_INT128_TEXT: usize = 41;

/// A signed number of 128 bits in two's complement: high * 2^64 + low.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct comity_int128 {
    /// The lower 64 bits.
    pub low: u64,
    /// The upper 64 bits, with the sign.
    pub high: i64,
}

impl comity_int128 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "each half is what is left of the other"
    )]
    pub(crate) const fn of(number: i128) -> Self {
        Self { low: number as u64, high: (number >> 64) as i64 }
    }

    const fn number(self) -> i128 {
        (self.high as i128) << 64 | self.low as i128
    }
}

/// What was counted up, and what was counted down: two numbers that only rise. The value is the
/// first less the second.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct comity_tally {
    /// All increments.
    pub increments: u64,
    /// All decrements.
    pub decrements: u64,
}

impl From<Tally> for comity_tally {
    fn from(tally: Tally) -> Self {
        Self { increments: tally.p, decrements: tally.n }
    }
}

impl From<comity_tally> for Tally {
    fn from(tally: comity_tally) -> Self {
        Self { p: tally.increments, n: tally.decrements }
    }
}

/// Writes a number to *out as 64 bits.
///
/// Returns COMITY_OK, COMITY_ERROR_OVERFLOW if it is beyond them, or COMITY_ERROR_INVALID_ARGUMENT
/// for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_int128_to_int64(value: comity_int128, out: *mut i64) -> u32 {
    guard(|| {
        // SAFETY: the caller keeps the rules of the header.
        let out = unsafe { place(out, "out") }?;
        let number = i64::try_from(value.number()).map_err(|_| {
            let message = format!("the value {} is beyond 64 bits", value.number());
            Error::new(ErrorCode::Overflow, message)
        })?;
        out.write(number);
        Ok(())
    })
}

/// Writes a number to text as decimal digits with a zero byte behind, size bytes at most:
/// COMITY_INT128_TEXT are enough for every number.
///
/// Returns COMITY_OK, COMITY_ERROR_LIMIT_EXCEEDED if size is too small, or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_int128_to_text(
    value: comity_int128,
    text: *mut c_char,
    size: usize,
) -> u32 {
    guard(|| {
        let digits = value.number().to_string();
        let needed = digits.len() + 1;
        // SAFETY: the caller keeps the rules of the header.
        let out = unsafe {
            place(text, "text")?;
            places(text.cast::<u8>(), size, "text")?
        };
        if size < needed {
            let message = format!("size: {size} bytes, the number needs {needed}");
            return Err(Error::new(ErrorCode::LimitExceeded, message));
        }
        out.write(digits.bytes().chain([0]));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were() {
        for number in [0, 1, -1, i128::MAX, i128::MIN, i128::from(u64::MAX), -(1 << 64)] {
            assert_eq!(comity_int128::of(number).number(), number);
        }
        assert!(i128::MIN.to_string().len() < COMITY_INT128_TEXT);
    }
}
