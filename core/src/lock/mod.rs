//! The queued lock: FIFO, fenced, renewed, handed over by the server in the release itself.
//!
//! # Client states
//!
//! | state | means | leaves it |
//! | --- | --- | --- |
//! | Acquiring | asked, nothing known yet | an answer, a push, the user's limit |
//! | Waiting | in the queue; heartbeats keep the place | a push, an answer, the user's limit |
//! | Confirming | a push has brought a grant whose end cannot be placed on our clock | the answer to a renewal |
//! | Held | the lease is proven until `valid_until` | release, renewal, `valid_until` |
//! | Renewing | as Held, with a renewal on its way | its answer, release, `valid_until` |
//! | Unverified | the clock jumped: not held until a renewal is answered | its answer, `valid_until` |
//! | Releasing | the user gave it back and waits for the answer | the answer, the time limit |
//! | Ending | the user is gone; the id is withdrawn in the background | an answer, 60 s |
//! | Done | nothing is left to do | |
//!
//! # Keys
//!
//! All in one slot; see `server/record.rs` for the columns. An uncontended lock has the first one only.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `lock:{name}` | string | form (`I`dle, `F` one holder, `Q`ueued), clock, tombstone horizon, the last 4 finished ids, then the holder or the counts |
//! | `...h` | sorted set | holders by expiry |
//! | `...q` | sorted set | waiters by ticket |
//! | `...r` | hash | records of both: the truth from which the others can be rebuilt |
//! | `...t` | sorted set | finished ids of which a late command may still be in the network |
//!
//! `docs/lock.md` says what is promised and what is not.

mod fence_guard;
mod inspection;
mod lease;
mod machine;
mod options;
mod protocol;
mod server;

use core::fmt;

pub use fence_guard::{GuardAnswer, GuardOp, execute as execute_guard};
pub use inspection::{Holder, Inspection, Waiter};
pub use lease::ClockSample;
pub(crate) use machine::{Cx, Effect, Lock, NodeView};
pub(crate) use options::check_ttl;
pub use options::{LockOptions, MAX_LABEL, MAX_TTL, MIN_TTL};
pub use protocol::{Acquire, Answer, AnswerKind, EndReason, Op, Push};
pub use server::execute;

use crate::redis::{base64url, parse_base64url};
use crate::time::Span;

/// Idle keys, and every key beyond the latest lease in it, are kept this long.
const RETENTION_MS: u64 = 120_000;

/// So far beyond the server's clock may a fence be that comes from outside: masters' clocks differ.
pub(crate) const AHEAD: Span = Span::from_secs(3_600);

/// A fencing token: rises with every grant of a lock. Below 2^53 until the year 2255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fence(pub u64);

/// Numbers a lock request of one coordinator, from the acquisition to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LockId(pub u64);

/// Names a request on the server: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; 22]);

impl Id {
    /// The id of these bits.
    #[must_use]
    pub fn from_bits(bits: u128) -> Self {
        Self(base64url(bits))
    }

    /// The id with this text, 22 characters of the URL-safe base64 alphabet.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        parse_base64url(text).map(Self)
    }

    /// Its text.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 22] {
        &self.0
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&self.0.escape_ascii())
    }
}
