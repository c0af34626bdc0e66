//! Time as the host tells it, and spans of it. Both count microseconds.

use core::fmt;
use core::ops::{Add, Sub};

/// A moment: microseconds since an origin the host chooses, never running backwards.
///
/// The host takes it from a clock that goes on during suspend where there is one
/// (`CLOCK_BOOTTIME`). It is never compared with a server's clock directly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Time(u64);

/// A length of time in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Span(u64);

impl Time {
    /// The latest moment there is; as a deadline it means "never".
    pub const MAX: Self = Self(u64::MAX);

    /// No moment that a host tells counts as later: what is due after it has to be later still.
    pub(crate) const LAST: Self = Self(u64::MAX >> 1);

    /// The moment `us` microseconds after the origin.
    #[must_use]
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The last moment at or before this one that is a multiple of `grid`; this one if `grid` is
    /// zero.
    #[must_use]
    pub const fn on_grid(self, grid: Span) -> Self {
        match self.0.checked_rem(grid.0) {
            Some(past) => Self(self.0 - past),
            None => self,
        }
    }

    /// The span from `earlier` to this moment, zero where `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `us` microseconds.
    #[must_use]
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// A span of `ms` milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// A span of `s` seconds.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// Its microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The part `numerator / denominator` of it, rounded down; `denominator` is not zero.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "a larger one is clamped before")]
    pub const fn part(self, numerator: u64, denominator: u64) -> Self {
        let wide = self.0 as u128 * numerator as u128 / denominator as u128;
        Self(if wide > u64::MAX as u128 { u64::MAX } else { wide as u64 })
    }
}

impl Add<Span> for Time {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Self;

    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}us", self.0)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}
/// How long one command may take where a verb may take `timeout`: a lost one can be repeated.
pub(crate) fn request_timeout(timeout: Span) -> Span {
    timeout.part(1, 2).min(Span::from_secs(2))
}
