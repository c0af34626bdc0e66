//! What was counted: two numbers that only rise.

use core::fmt;

/// An increment would pass 2^64 - 1. Nothing was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Overflow;

/// Increments and decrements so far, each a number that only rises. Its value is their difference.
///
/// A program that counts at memory speed keeps one of these itself and hands it to
/// [`counter_advance`](crate::coordinator::Coordinator::counter_advance): an addition is all that a
/// unit then costs.
///
/// ```
/// use comity::counter::Tally;
///
/// let mut tally = Tally::ZERO;
/// tally.add(5)?;
/// tally.add(-2)?;
/// assert_eq!((tally.p, tally.n, tally.value()), (5, 2, 3));
/// # Ok::<(), comity::counter::Overflow>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tally {
    /// All increments.
    pub p: u64,
    /// All decrements.
    pub n: u64,
}

impl Tally {
    /// Nothing counted.
    pub const ZERO: Self = Self { p: 0, n: 0 };

    /// Counts `amount`, up or down.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed.
    #[inline]
    pub const fn add(&mut self, amount: i64) -> Result<(), Overflow> {
        // Without a branch on the sign: one of the two additions adds zero.
        let up = (amount & !(amount >> 63)).cast_unsigned();
        let down = amount.unsigned_abs() - up;
        let ((p, over_p), (n, over_n)) = (self.p.overflowing_add(up), self.n.overflowing_add(down));
        if over_p | over_n {
            return Err(Overflow);
        }
        (self.p, self.n) = (p, n);
        Ok(())
    }

    /// The difference, exactly.
    #[inline]
    #[must_use]
    pub const fn value(self) -> i128 {
        self.p as i128 - self.n as i128
    }

    /// The higher of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { p: self.p.max(other.p), n: self.n.max(other.n) }
    }

    /// Whether neither is above `other`'s.
    #[must_use]
    pub const fn is_within(self, other: Self) -> bool {
        self.p <= other.p && self.n <= other.n
    }

    /// What was counted since `earlier`, zero where that is not below.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self { p: self.p.saturating_sub(earlier.p), n: self.n.saturating_sub(earlier.n) }
    }

    /// Increments and decrements together, as far as they fit.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.p.saturating_add(self.n)
    }

    /// Whether nothing was counted.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.p == 0 && self.n == 0
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}-{}", self.p, self.n)
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the increments or the decrements would pass 2^64 - 1; nothing was counted")
    }
}

impl core::error::Error for Overflow {}

impl From<Overflow> for crate::error::Error {
    fn from(overflow: Overflow) -> Self {
        Self::new(crate::error::ErrorCode::Overflow, alloc::format!("{overflow}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_are_exact_or_refused() {
        let mut tally = Tally { p: u64::MAX - 1, n: 1 << 63 };
        assert_eq!(tally.add(2), Err(Overflow));
        assert_eq!(tally.add(1), Ok(()));
        assert_eq!(tally, Tally { p: u64::MAX, n: 1 << 63 });
        assert_eq!(tally.add(1), Err(Overflow));
        assert_eq!(tally.add(i64::MIN), Err(Overflow));
        assert_eq!(tally.add(-i64::MAX), Ok(()));
        assert_eq!(tally, Tally { p: u64::MAX, n: u64::MAX });
        assert_eq!(tally.add(-1), Err(Overflow));
        assert_eq!(tally.add(0), Ok(()));
        assert_eq!(tally.value(), 0);
        let mut low = Tally::ZERO;
        assert_eq!(low.add(i64::MIN), Ok(()));
        assert_eq!((low.p, low.n), (0, 1 << 63));
        assert_eq!(low.value(), i128::from(i64::MIN));
    }
}
