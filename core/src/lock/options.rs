//! How a lock is acquired and kept.

use alloc::format;
use alloc::vec::Vec;

use crate::error::{Error, Result};
use crate::time::Span;

/// The shortest lease.
pub const MIN_TTL: Span = Span::from_millis(50);
/// The longest lease.
pub const MAX_TTL: Span = Span::from_secs(24 * 3_600);
/// The longest owner label, in bytes.
pub const MAX_LABEL: usize = 256;

/// How a lock is acquired and kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LockOptions {
    /// How long the lease lasts without renewal: [`MIN_TTL`] to [`MAX_TTL`].
    pub ttl: Span,
    /// How long to wait for the grant: none for as long as it takes, zero to try once.
    pub wait: Option<Span>,
    /// Whether the lease is renewed by itself while it is held.
    pub renew: bool,
    /// How long after the grant renewals end, so that the lease ends soon after.
    pub max_hold: Option<Span>,
    /// Shown to others as the owner, at most [`MAX_LABEL`] bytes.
    pub label: Vec<u8>,
}

impl Default for LockOptions {
    fn default() -> Self {
        let ttl = Span::from_secs(30);
        Self { ttl, wait: None, renew: true, max_hold: None, label: Vec::new() }
    }
}

impl LockOptions {
    /// Checks every range.
    ///
    /// # Errors
    /// `InvalidArgument` or `LimitExceeded`, naming the option, the value and the range.
    pub fn check(&self) -> Result<()> {
        check_ttl(self.ttl)?;
        if self.label.len() > MAX_LABEL {
            let len = self.label.len();
            return Err(Error::limit(format!("label: {len} bytes, the limit is {MAX_LABEL}")));
        }
        Ok(())
    }
}

/// Checks a lease's length.
pub(crate) fn check_ttl(ttl: Span) -> Result<()> {
    if ttl < MIN_TTL || ttl > MAX_TTL {
        let us = ttl.as_micros();
        return Err(Error::invalid(format!("ttl: {us} us is outside 50 ms to 24 h")));
    }
    Ok(())
}
