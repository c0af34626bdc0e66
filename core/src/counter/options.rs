//! How a counter is kept.

use alloc::format;

use crate::error::{Error, Result};
use crate::time::Span;

/// The longest [`Durability`] delay.
pub const MAX_DELAY: Span = Span::from_secs(3_600);

/// When what was counted is safe, and how much may be unsafe until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Durability {
    /// Flushed at once; what is counted during a round trip shares the next one.
    Sync,
    /// Flushed after a delay, or earlier where much is pending.
    Batched {
        /// The longest that a unit waits for its flush, at most [`MAX_DELAY`].
        max_delay: Span,
        /// The most units that may be unacknowledged: half of them flush at once, and an addition
        /// beyond them is refused. At least 2; `u64::MAX` for no bound.
        max_units: u64,
    },
    /// As batched without a bound; besides, what is pending is handed to the host in an event,
    /// to be written down. A unit is safe when either is done.
    Journaled {
        /// The longest that a unit waits for both, at most [`MAX_DELAY`].
        max_delay: Span,
    },
}

/// How a counter is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CounterOptions {
    /// When what was counted is safe.
    pub durability: Durability,
    /// Whether the host keeps the [`Tally`](super::Tally) itself and is asked for it by `poll_counter_due`
    /// before each flush.
    pub collected: bool,
}

impl Default for CounterOptions {
    fn default() -> Self {
        let durability =
            Durability::Batched { max_delay: Span::from_millis(10), max_units: u64::MAX };
        Self { durability, collected: false }
    }
}

impl CounterOptions {
    /// Checks every range.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the option, the value and the range.
    pub fn check(&self) -> Result<()> {
        if let Durability::Batched { max_units: units @ 0..2, .. } = self.durability {
            return Err(Error::invalid(format!("max_units: {units} is below 2")));
        }
        if self.max_delay() > MAX_DELAY {
            let us = self.max_delay().as_micros();
            return Err(Error::invalid(format!("max_delay: {us} us is above 1 h")));
        }
        Ok(())
    }

    pub(super) const fn max_delay(&self) -> Span {
        match self.durability {
            Durability::Sync => Span::ZERO,
            Durability::Batched { max_delay, .. } | Durability::Journaled { max_delay } => {
                max_delay
            }
        }
    }

    pub(super) const fn max_units(&self) -> u64 {
        match self.durability {
            Durability::Batched { max_units, .. } => max_units,
            Durability::Sync | Durability::Journaled { .. } => u64::MAX,
        }
    }

    pub(super) const fn is_journaled(&self) -> bool {
        matches!(self.durability, Durability::Journaled { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let with = |durability| CounterOptions { durability, collected: false }.check();
        let max_delay = MAX_DELAY + Span::from_micros(1);
        assert!(with(Durability::Journaled { max_delay }).is_err());
        assert!(with(Durability::Batched { max_delay: Span::ZERO, max_units: 1 }).is_err());
        assert!(with(Durability::Batched { max_delay: MAX_DELAY, max_units: 2 }).is_ok());
        assert!(with(Durability::Sync).is_ok());
    }
}
