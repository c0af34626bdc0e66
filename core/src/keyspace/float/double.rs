//! Doubles: the scores of sorted sets.

use alloc::format;
use alloc::string::String;

use super::{Format, Literal, hexadecimal};

const DOUBLE: Format = Format { bits: 53, lowest: -1074 };

/// An argument that is a double: all of it, within the range, not NaN.
pub(in super::super) fn parse(text: &[u8]) -> Option<f64> {
    let (value, in_range) = scan(text)?;
    in_range.then_some(value)
}

/// A bound of a range, which Redis reads with less care: up to the first zero byte, after any
/// white space, nothing being zero, and what is out of range as infinity or zero.
pub(in super::super) fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|&b| b == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let blank = |b: &u8| b.is_ascii_whitespace() || *b == 0x0B;
    let start = text.iter().position(|b| !blank(b))?;
    scan(text.get(start..)?).map(|(value, _)| value)
}

/// The number, and whether it was within the range of doubles.
fn scan(text: &[u8]) -> Option<(f64, bool)> {
    let (size, negative, in_range) = match Literal::scan(text)? {
        Literal::Infinite { negative } => (f64::INFINITY, negative, true),
        Literal::Finite { negative, hexadecimal, whole, fraction, exponent } => {
            let size = if hexadecimal {
                from_hexadecimal(whole, fraction, exponent)
            } else {
                let decimal = core::str::from_utf8(text).ok()?.parse::<f64>().ok()?;
                decimal.abs()
            };
            let zero = whole.iter().chain(fraction).all(|&digit| digit == b'0');
            (size, negative, size < f64::INFINITY && (size > 0.0 || zero))
        }
    };
    Some((if negative { -size } else { size }, in_range))
}

fn from_hexadecimal(whole: &[u8], fraction: &[u8], exponent: i64) -> f64 {
    let (mantissa, more, exponent) = hexadecimal(whole, fraction, exponent);
    let mut number = DOUBLE.round(mantissa, more, exponent);
    while number.mantissa >> 52 == 0 && number.mantissa != 0 && number.exponent > DOUBLE.lowest {
        number.mantissa <<= 1;
        number.exponent -= 1;
    }
    if number.mantissa >> 52 == 0 {
        // Zero, or a number so small that it has no leading one.
        return f64::from_bits(number.mantissa);
    }
    match u64::try_from(number.exponent + 1075) {
        Ok(biased @ ..2047) => f64::from_bits(biased << 52 | (number.mantissa & ((1 << 52) - 1))),
        _ => f64::INFINITY,
    }
}

/// As `printf` does with `%.17g`.
pub(in super::super) fn print(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let text = format!("{:.16e}", value.abs());
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = digits.replace('.', "");
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let point = |at: usize| match digits.split_at_checked(at) {
        Some((whole, "")) => whole.into(),
        Some((whole, fraction)) => format!("{whole}.{fraction}"),
        None => format!("{digits:0<at$}"),
    };
    match usize::try_from(exponent) {
        Ok(up @ ..17) => format!("{sign}{}", point(up + 1)),
        Err(_) if exponent >= -4 => {
            let zeros = usize::try_from(-1 - exponent).unwrap_or(0);
            format!("{sign}0.{:0<zeros$}{digits}", "")
        }
        _ => {
            let way = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{}e{way}{:02}", point(1), exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_read_as_c_reads_them() {
        let good: [(&[u8], f64); 12] = [
            (b"0", 0.0),
            (b"+1.5", 1.5),
            (b".5", 0.5),
            (b"5.", 5.0),
            (b"1e3", 1000.0),
            (b"-Inf", f64::NEG_INFINITY),
            (b"infinity", f64::INFINITY),
            (b"0x10", 16.0),
            (b"0X.8P1", 1.0),
            (b"0x1.00000000000008p0", 1.0),
            (b"0x1.000000000000080000000000000000000000000000001p0", 1.0 + f64::EPSILON),
            (b"0x1p-1074", 5e-324),
        ];
        for (text, value) in good {
            assert_eq!(parse(text).map(f64::to_bits), Some(value.to_bits()), "{text:?}");
        }
        let bad: [&[u8]; 14] = [
            b"",
            b" 1",
            b"1 ",
            b"nan",
            b"1e",
            b"e1",
            b".",
            b"0x",
            b"0xp1",
            b"1e400",
            b"1e-400",
            b"0x1p1024",
            b"0x1p-1075",
            b"1\0",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse_bound(b""), Some(0.0));
        assert_eq!(parse_bound(b" \t1\0x"), Some(1.0));
        assert_eq!(parse_bound(b"-1e400"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_bound(b" "), None);
    }

    #[test]
    fn doubles_are_printed_with_17_digits() {
        let printed = [
            (0.1, "0.10000000000000001"),
            (-3.0, "-3"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1.5e300, "1.5000000000000001e+300"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.2500000000000001e-05"),
            (5e-324, "4.9406564584124654e-324"),
            // Halfway between two numbers of 17 digits: to the even one.
            (1_125_899_906_842_624.0 + 0.25, "1125899906842624.2"),
            (1_125_899_906_842_624.0 + 0.75, "1125899906842624.8"),
            (100.0, "100"),
            (f64::INFINITY, "inf"),
        ];
        for (value, text) in printed {
            assert_eq!(print(value), text);
        }
    }
}
