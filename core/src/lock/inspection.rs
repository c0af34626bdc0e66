//! The holders and the waiters of a lock, as answered to an inspection.

use alloc::vec::Vec;

use super::{Fence, Id};
use crate::redis::{Argv, Fields};

/// The holders and the waiters of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Inspection {
    /// The server's clock, in microseconds.
    pub now_us: u64,
    /// How much weight may be held at once, zero while nobody holds or waits.
    pub capacity: u64,
    /// How many hold it.
    pub holders_total: u64,
    /// How many wait.
    pub waiters_total: u64,
    /// The holders, at most 256.
    pub holders: Vec<Holder>,
    /// The waiters in the order of the queue, at most 256.
    pub waiters: Vec<Waiter>,
}

/// A holder of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Holder {
    /// The request's id.
    pub id: Id,
    /// The owner's label.
    pub label: Vec<u8>,
    /// The fencing token.
    pub fence: Fence,
    /// When the lease ends, on the server's clock, in microseconds.
    pub expiry_us: u64,
    /// The weight held.
    pub weight: u64,
}

/// A request that waits for a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Waiter {
    /// The request's id.
    pub id: Id,
    /// The owner's label.
    pub label: Vec<u8>,
}

impl Inspection {
    pub(super) fn encode(&self, out: &mut Argv) {
        out.push(b"INFO");
        let counts = [self.now_us, self.capacity, self.holders_total, self.waiters_total];
        for number in counts {
            out.push_number(number);
        }
        out.push_number(self.holders.len() as u64);
        for holder in &self.holders {
            out.push(holder.id.as_bytes());
            out.push(&holder.label);
            for number in [holder.fence.0, holder.expiry_us, holder.weight] {
                out.push_number(number);
            }
        }
        out.push_number(self.waiters.len() as u64);
        for waiter in &self.waiters {
            out.push(waiter.id.as_bytes());
            out.push(&waiter.label);
        }
    }

    pub(super) fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let mut inspection = Self {
            now_us: fields.number()?,
            capacity: fields.number()?,
            holders_total: fields.number()?,
            waiters_total: fields.number()?,
            ..Self::default()
        };
        for _ in 0..fields.number()? {
            inspection.holders.push(Holder {
                id: Id::parse(fields.bytes()?)?,
                label: fields.bytes()?.to_vec(),
                fence: Fence(fields.number()?),
                expiry_us: fields.number()?,
                weight: fields.number()?,
            });
        }
        for _ in 0..fields.number()? {
            let id = Id::parse(fields.bytes()?)?;
            inspection.waiters.push(Waiter { id, label: fields.bytes()?.to_vec() });
        }
        Some(inspection)
    }
}
