//! Whole numbers of any size, as far as reading and printing other numbers needs them.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;

/// Nine decimal digits at a time.
const BILLION: u32 = 1_000_000_000;

/// Digits of 32 bits, lowest first, the highest not zero.
pub(super) struct Big(Vec<u32>);

impl Big {
    /// The number with these decimal digits.
    pub(super) fn from_digits<'a>(digits: impl Iterator<Item = &'a u8>) -> Self {
        let mut big = Self(Vec::new());
        for digit in digits {
            big.multiply_add(10, u32::from(digit - b'0'));
        }
        big
    }

    /// `number * 2^bits`.
    pub(super) fn shifted(number: u64, bits: usize) -> Self {
        let [low, high] = [number, number >> 32].map(Self::low);
        let mut big = Self(vec![low, high]);
        big.trim();
        big.shift_left(bits);
        big
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    const fn low(number: u64) -> u32 {
        number as u32
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn multiply_add(&mut self, by: u32, plus: u32) {
        let mut carry = u64::from(plus);
        for digit in &mut self.0 {
            carry += u64::from(*digit) * u64::from(by);
            *digit = Self::low(carry);
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(Self::low(carry));
        }
    }

    /// Divides, and returns the remainder.
    fn divide(&mut self, by: u32) -> u32 {
        let mut rest = 0;
        for digit in self.0.iter_mut().rev() {
            let whole = rest << 32 | u64::from(*digit);
            *digit = Self::low(whole / u64::from(by));
            rest = whole % u64::from(by);
        }
        self.trim();
        Self::low(rest)
    }

    pub(super) fn shift_left(&mut self, bits: usize) {
        self.multiply_add(1 << (bits % 32), 0);
        self.0.splice(0..0, core::iter::repeat_n(0, bits / 32));
    }

    pub(super) fn multiply_by_power_of_ten(&mut self, power: usize) {
        (0..power / 9).for_each(|_| self.multiply_add(BILLION, 0));
        (0..power % 9).for_each(|_| self.multiply_add(10, 0));
    }

    /// Divides, and returns whether anything was left over.
    pub(super) fn divide_by_power_of_ten(&mut self, power: usize) -> bool {
        let mut more = false;
        (0..power / 9).for_each(|_| more |= self.divide(BILLION) != 0);
        (0..power % 9).for_each(|_| more |= self.divide(10) != 0);
        more
    }

    /// The highest bits, the power of two to multiply them by, and whether a little more is left.
    pub(super) fn top(&self) -> (u128, usize, bool) {
        let below = self.0.len().saturating_sub(4);
        let (rest, top) = self.0.split_at(below);
        let top = top.iter().rev().fold(0, |sum, digit| sum << 32 | u128::from(*digit));
        (top, below * 32, rest.iter().any(|digit| *digit != 0))
    }

    /// In decimal.
    pub(super) fn print(mut self) -> String {
        let mut groups = Vec::new();
        while !self.0.is_empty() {
            groups.push(self.divide(BILLION));
        }
        let mut text = String::new();
        for (place, group) in groups.iter().rev().enumerate() {
            let width = if place == 0 { 1 } else { 9 };
            // Writing to a string cannot fail.
            let _ = write!(text, "{group:0width$}");
        }
        text
    }
}
