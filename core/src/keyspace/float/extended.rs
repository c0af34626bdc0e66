//! The 80-bit numbers that Redis on x86-64 computes `INCRBYFLOAT` with.

use alloc::format;
use alloc::string::{String, ToString};

use super::big::Big;
use super::{Binary, Format, Literal, hexadecimal, shifted};

const EXTENDED: Format = Format { bits: 64, lowest: -16_445 };
/// Numbers end below 2 to this power.
const END: i64 = 16_384;
/// Redis reads no longer text than this as a number.
const MAX_TEXT: usize = 5 * 1024 - 1;
/// Decimal numbers beyond 10 to this power, or below its inverse, are out of range.
const DECIMAL_END: i64 = 5_000;
const HUNDRED_QUADRILLION: u128 = 100_000_000_000_000_000;

/// A number of the extended format.
#[derive(Clone, Copy)]
pub(in super::super) enum Extended {
    Infinite,
    Finite { negative: bool, size: Binary },
}

impl Extended {
    pub(in super::super) const ZERO: Self =
        Self::Finite { negative: false, size: Binary { mantissa: 0, exponent: 0 } };

    /// The number that is all of `text`; none if it is none, or out of range.
    pub(in super::super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (negative, hex, whole, fraction, exponent) = match Literal::scan(text)? {
            Literal::Infinite { .. } => return Some(Self::Infinite),
            Literal::Finite { negative, hexadecimal, whole, fraction, exponent } => {
                (negative, hexadecimal, whole, fraction, exponent)
            }
        };
        if whole.iter().chain(fraction).all(|&digit| digit == b'0') {
            return Some(Self::ZERO);
        }
        let (mantissa, more, exponent) = if hex {
            hexadecimal(whole, fraction, exponent)
        } else {
            decimal(whole, fraction, exponent)?
        };
        let size = EXTENDED.round(mantissa, more, exponent);
        (size.mantissa > 0 && end(size) <= END).then_some(Self::Finite { negative, size })
    }

    /// The sum; none if it is not finite.
    pub(in super::super) fn plus(self, other: Self) -> Option<Self> {
        let (Self::Finite { negative: a, size: x }, Self::Finite { negative: b, size: y }) =
            (self, other)
        else {
            return None;
        };
        let ((mut negative, x), (other_sign, y)) =
            if end(x) >= end(y) { ((a, x), (b, y)) } else { ((b, y), (a, x)) };
        // The mantissas' highest bits go to bit 125, which leaves room for a carry and for all
        // that decides how to round.
        let places = 62 + x.mantissa.leading_zeros();
        let exponent = x.exponent - i64::from(places);
        let (large, apart) = (u128::from(x.mantissa) << places, y.exponent - exponent);
        let (small, more) = match u32::try_from(apart) {
            _ if y.mantissa == 0 => (0, false),
            Ok(up) => (u128::from(y.mantissa) << up, false),
            Err(_) => {
                let down = u32::try_from(-apart).unwrap_or(127).min(127);
                let small = u128::from(y.mantissa) >> down;
                (small, small << down != u128::from(y.mantissa))
            }
        };
        let sum = if negative == other_sign {
            large + small
        } else if small > large {
            negative = other_sign;
            small - large
        } else {
            large - small - u128::from(more)
        };
        let size = EXTENDED.round(sum, more, exponent);
        (end(size) <= END).then_some(Self::Finite { negative, size })
    }

    /// As `printf` does with `%.17Lf`, without zeros at the end of a fraction.
    pub(in super::super) fn print(self) -> String {
        let Self::Finite { negative, size } = self else { return "inf".into() };
        let text = match usize::try_from(size.exponent) {
            Ok(_) if size.mantissa == 0 => return "0".into(),
            Ok(bits) => Big::shifted(size.mantissa, bits).print(),
            Err(_) => {
                let scaled = u128::from(size.mantissa) * HUNDRED_QUADRILLION;
                let scaled = shifted(scaled, false, -size.exponent);
                let whole = (scaled / HUNDRED_QUADRILLION).to_string();
                match scaled % HUNDRED_QUADRILLION {
                    0 => whole,
                    rest => format!("{whole}.{}", format!("{rest:017}").trim_end_matches('0')),
                }
            }
        };
        if negative && text != "0" { format!("-{text}") } else { text }
    }
}

/// The power of two that the number is below, and not more than one bit below.
fn end(size: Binary) -> i64 {
    match size.mantissa {
        0 => i64::MIN / 2,
        mantissa => size.exponent + i64::from(64 - mantissa.leading_zeros()),
    }
}

/// The decimal digits times `10^exponent`, as a mantissa, whether there is a little more, and the
/// power of two to multiply by. None if it is out of range.
fn decimal(whole: &[u8], fraction: &[u8], exponent: i64) -> Option<(u128, bool, i64)> {
    let digits = whole.iter().chain(fraction).skip_while(|&&digit| digit == b'0');
    let length = i64::try_from(digits.clone().count()).ok()?;
    let exponent = exponent - i64::try_from(fraction.len()).ok()?;
    if (length + exponent).abs() > DECIMAL_END {
        return None;
    }
    let mut big = Big::from_digits(digits);
    let power = usize::try_from(exponent.unsigned_abs()).ok()?;
    let (mut more, mut added) = (false, 0);
    if exponent >= 0 {
        big.multiply_by_power_of_ten(power);
    } else {
        // Enough bits that a full mantissa remains: ten is less than 2^(10/3).
        added = 128 + power * 10 / 3 + 32;
        big.shift_left(added);
        more = big.divide_by_power_of_ten(power);
    }
    let (mantissa, up, rest) = big.top();
    Some((mantissa, more || rest, i64::try_from(up).ok()? - i64::try_from(added).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        let (a, b) = (Extended::parse(a.as_bytes())?, Extended::parse(b.as_bytes())?);
        a.plus(b).map(Extended::print)
    }

    #[test]
    fn sums_are_rounded_to_64_bits_and_printed_with_17_places() {
        // What redis-server 7.0.15 says.
        let sums = [
            ("10.5", "0.1", "10.6"),
            ("3000.1", "0.1", "3000.20000000000000018"),
            ("10.6", "5.0e3", "5010.60000000000000009"),
            ("0x1p4", "0X.8p0", "16.5"),
            ("-0", "-0", "0"),
            ("-1e-30", "0", "0"),
            ("1e-4940", "1", "1"),
            ("18446744073709551616", "1", "18446744073709551616"),
            ("18446744073709551616", "3", "18446744073709551620"),
            ("1", "-1e-17", "0.99999999999999999"),
            ("-5", "3", "-2"),
            // What is shifted out decides: a little less than half is left.
            ("0x1p64", "-0x1.0000000000000002p-1", "18446744073709551615"),
        ];
        for (a, b, expected) in sums {
            assert_eq!(sum(a, b).as_deref(), Some(expected), "{a} + {b}");
            assert_eq!(sum(b, a).as_deref(), Some(expected), "{b} + {a}");
        }
        let large = sum("1e400", "0").unwrap_or_default();
        assert_eq!((large.len(), large.get(..20)), (401, Some("10000000000000000000")));
    }

    #[test]
    fn what_is_out_of_range_is_no_number_and_an_infinite_sum_is_none() {
        for text in ["", " 1", "1 ", "nan", "1e4933", "1e-4951", "1e99999999999", "0x1p16384"] {
            assert!(Extended::parse(text.as_bytes()).is_none(), "{text}");
        }
        for text in ["2e-4951", "1e4932", "0x1p-16445", "inf", "0e99999999999"] {
            assert!(Extended::parse(text.as_bytes()).is_some(), "{text}");
        }
        assert!(Extended::parse(&[b'1'; MAX_TEXT + 1]).is_none());
        for (a, b) in [("1e4932", "1e4932"), ("inf", "1"), ("inf", "-inf"), ("-inf", "0")] {
            assert_eq!(sum(a, b), None, "{a} + {b}");
        }
    }
}
