//! A request for a lock as most tests make it; what a test is about it says itself.

use comity::keyspace::ServerTime;
use comity::lock::{Acquire, Fence, Id};
use comity::time::Span;

pub(crate) fn acquire(bits: u128) -> Acquire {
    Acquire {
        id: Id::from_bits(bits),
        capacity: 1,
        weight: 1,
        ttl: Span::from_secs(30),
        handoff_ttl: Span::from_secs(2),
        waiter_ttl: Span::from_secs(10),
        wait: true,
        ticket: 0,
        inbox: Vec::new(),
        min_fence: Fence(0),
        not_after: ServerTime(0),
        label: Vec::new(),
    }
}
