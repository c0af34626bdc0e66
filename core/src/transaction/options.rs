//! How a transaction is executed, and a sweep.

use alloc::format;
use alloc::vec;

use super::{COPY_BYTES, COPY_ELEMENTS, MAX_PATIENCE};
use crate::error::{Error, Result};
use crate::time::Span;

/// The most replicas that can be waited for.
pub const MAX_REPLICAS: u32 = 64;

/// When the user is notified of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Ack {
    /// When it is certain: after one round trip. Plain readers see it a little later.
    Decided,
    /// When plain readers see it, too: after two.
    #[default]
    Applied,
}

/// What a transaction may copy: a value that is changed is copied first, which blocks the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CopyLimits {
    /// The most elements of a collection.
    pub elements: u32,
    /// The most bytes of a value.
    pub bytes: u32,
}

impl Default for CopyLimits {
    fn default() -> Self {
        Self { elements: COPY_ELEMENTS, bytes: COPY_BYTES }
    }
}

/// Which copies have to have a transaction before its user is notified that it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Durability {
    /// Its servers.
    #[default]
    None,
    /// Replicas of theirs as well, by Redis' `WAIT`: all of it, applied. Where too few have it in
    /// time, it is committed all the same, and `TransactionNotDurable` says so.
    Wait {
        /// How many of each server's, from 1 to [`MAX_REPLICAS`].
        replicas: u32,
        /// How long to wait for them once it is applied, from 10 ms to 60 s.
        timeout: Span,
    },
}

/// How a transaction is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransactionOptions {
    /// When its user is notified of a commit.
    pub ack: Ack,
    /// How long it may take until it is decided, from 10 ms to 60 s; none for that of the
    /// coordinator.
    pub timeout: Option<Span>,
    /// How long after its vote a server's keys stay locked before other clients may end the
    /// transaction, from 10 ms to [`MAX_PATIENCE`]; none for the coordinator's timeout.
    pub patience: Option<Span>,
    /// What it may copy.
    pub copy: CopyLimits,
    /// Which copies have to have it. Replicas can only be waited for once it is applied: with
    /// [`Ack::Applied`].
    pub durability: Durability,
}

impl TransactionOptions {
    /// Checks every range.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the option, the value and the range.
    pub fn check(&self) -> Result<()> {
        let mut spans = vec![("timeout", self.timeout), ("patience", self.patience)];
        if let Durability::Wait { replicas, timeout } = self.durability {
            if !(1..=MAX_REPLICAS).contains(&replicas) {
                let message =
                    format!("durability: {replicas} replicas are outside 1 to {MAX_REPLICAS}");
                return Err(Error::invalid(message));
            }
            if self.ack != Ack::Applied {
                let message = "durability: replicas are waited for once it is applied, so ack has to \
                               be that, too";
                return Err(Error::invalid(message));
            }
            spans.push(("durability: timeout", Some(timeout)));
        }
        for (name, span) in spans {
            if let Some(span) = span.filter(|s| *s < Span::from_millis(10) || *s > MAX_PATIENCE) {
                let us = span.as_micros();
                let message = format!("{name}: {us} us is outside 10 ms to 60 s");
                return Err(Error::invalid(message));
            }
        }
        Ok(())
    }
}

/// What a sweep looks for besides what the participants' hashes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SweepOptions {
    /// Shadows that nobody will finish, as an accident leaves them: each server's whole key space is
    /// searched for them, a thousand keys in each call.
    pub shadows: bool,
}

impl Default for SweepOptions {
    fn default() -> Self {
        Self { shadows: true }
    }
}
