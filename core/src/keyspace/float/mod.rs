//! Numbers with a fraction, read and printed as Redis does: by C's rules.

mod big;
mod double;
mod extended;

pub(super) use double::{parse, parse_bound, print};
pub(super) use extended::Extended;

/// The parts of a number as C's `strtod` reads one.
enum Literal<'a> {
    Infinite {
        negative: bool,
    },
    /// `whole.fraction` times the base of the exponent, 10 or 2, to the power of `exponent`.
    Finite {
        negative: bool,
        hexadecimal: bool,
        whole: &'a [u8],
        fraction: &'a [u8],
        exponent: i64,
    },
}

/// Beyond any exponent that makes a difference.
const FAR: i64 = 1 << 40;

impl<'a> Literal<'a> {
    /// All of `text`; none if it is not a number, or is NaN.
    fn scan(text: &'a [u8]) -> Option<Self> {
        let (negative, text) = sign(text);
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinite { negative });
        }
        let prefixed = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X"));
        let hexadecimal = prefixed.is_some();
        let marker = if hexadecimal { b'p' } else { b'e' };
        let mut halves = prefixed.unwrap_or(text).splitn(2, |b| b.to_ascii_lowercase() == marker);
        let mut digits = halves.next().unwrap_or_default().splitn(2, |&b| b == b'.');
        let exponent = halves.next().map_or(Some(0), exponent)?;
        let (whole, fraction) = (digits.next()?, digits.next().unwrap_or_default());
        let is_digit =
            |b: &u8| if hexadecimal { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        let some = !whole.is_empty() || !fraction.is_empty();
        let sound = some && whole.iter().chain(fraction).all(is_digit);
        sound.then_some(Self::Finite { negative, hexadecimal, whole, fraction, exponent })
    }
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0, |sum: i64, b| (sum * 10 + i64::from(b - b'0')).min(FAR));
    Some(if negative { -size } else { size })
}

/// `mantissa * 2^exponent`.
#[derive(Clone, Copy)]
pub(super) struct Binary {
    mantissa: u64,
    exponent: i64,
}

/// What a mantissa has room for.
struct Format {
    bits: u32,
    /// The exponent of the smallest number above zero.
    lowest: i64,
}

impl Format {
    /// `mantissa * 2^exponent`, and a little more if `more`, rounded to the nearest, ties to even.
    /// More is only said of mantissas beyond the format's bits.
    fn round(&self, mantissa: u128, more: bool, exponent: i64) -> Binary {
        let spare = i64::from(128 - mantissa.leading_zeros()) - i64::from(self.bits);
        let shift = spare.max(self.lowest - exponent);
        let kept = if shift <= 0 { mantissa } else { shifted(mantissa, more, shift) };
        // Rounding up can need one bit more; that mantissa is even.
        let carry = u32::from(kept >> self.bits != 0);
        let exponent = exponent + shift.max(0) + i64::from(carry);
        Binary { mantissa: u64::try_from(kept >> carry).unwrap_or(u64::MAX), exponent }
    }
}

/// `number / 2^shift` to the nearest whole number, ties to even. `shift` is not zero.
fn shifted(number: u128, more: bool, shift: i64) -> u128 {
    let Some(shift) = u32::try_from(shift).ok().filter(|shift| *shift < 128) else { return 0 };
    let (kept, rest, half) = (number >> shift, number & ((1 << shift) - 1), 1 << (shift - 1));
    let up = rest > half || (rest == half && (more || kept & 1 == 1));
    kept + u128::from(up)
}

/// The hexadecimal digits times `2^exponent`, and whether there is a little more.
fn hexadecimal(whole: &[u8], fraction: &[u8], exponent: i64) -> (u128, bool, i64) {
    let (mut mantissa, mut more) = (0_u128, false);
    let mut exponent = exponent;
    for (place, digit) in whole.iter().chain(fraction).enumerate() {
        let digit = u128::from(char::from(*digit).to_digit(16).unwrap_or(0));
        let full = mantissa >> 120 != 0;
        if full {
            more |= digit != 0;
        } else {
            mantissa = mantissa << 4 | digit;
        }
        exponent += 4 * (i64::from(full) - i64::from(place >= whole.len()));
    }
    (mantissa, more, exponent)
}
