//! A grant on its way to a waiter.

use alloc::vec::Vec;

use super::TTL_WIDTH;
use super::answer::parse_fence;
use crate::keyspace::ServerTime;
use crate::lock::{Fence, Id};
use crate::redis::{parse_number, write_padded};
use crate::time::Span;

/// A grant as it is published to the winner's inbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Push {
    /// Whose request.
    pub id: Id,
    /// The fencing token.
    pub fence: Fence,
    /// The server's clock at the grant.
    pub now: ServerTime,
    /// When the lease ends unless it is renewed.
    pub expiry: ServerTime,
    /// The key of the lock's state, so that even a grant nobody remembers can be given back.
    pub state_key: Vec<u8>,
}

impl Push {
    /// The message's text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(80 + self.state_key.len());
        out.extend_from_slice(b"GRANT ");
        out.extend_from_slice(self.id.as_bytes());
        let left = self.expiry.since(self.now).as_micros();
        for (number, width) in [(self.fence.0, 1), (self.now.0, 1), (left, TTL_WIDTH)] {
            out.push(b' ');
            write_padded(&mut out, number, width);
        }
        out.push(b' ');
        out.extend_from_slice(&self.state_key);
        out
    }

    /// The grant in a message; none if it is not one.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut words = payload.splitn(6, |&byte| byte == b' ');
        if words.next()? != b"GRANT" {
            return None;
        }
        let id = Id::parse(words.next()?)?;
        let fence = parse_fence(parse_number(words.next()?)?)?;
        let now = ServerTime(parse_number(words.next()?)?);
        let expiry = now.after(Span::from_micros(parse_number(words.next()?)?));
        Some(Self { id, fence, now, expiry, state_key: words.next()?.to_vec() })
    }
}
