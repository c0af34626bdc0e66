//! The fencing guard: accepts a fence unless a higher one was seen for the resource.

use crate::keyspace::{Keyspace, Result};
use crate::lock::Fence;
use crate::redis::{Argv, Fields, Reply, parse_number};
use crate::time::Span;

/// How long the highest fence is remembered after the last check that was accepted.
const RETENTION: Span = Span::from_secs(7 * 24 * 3_600);

/// Is `fence` at least as high as every one seen before?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuardOp {
    /// The fence to be checked, and remembered when it is accepted.
    pub fence: Fence,
}

/// What the guard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuardAnswer {
    /// Whether the fence was accepted.
    pub accepted: bool,
    /// The highest fence seen.
    pub highest: Fence,
}

impl GuardOp {
    /// Appends the arguments as `guard.lua` takes them.
    pub fn encode(&self, argv: &mut Argv) {
        argv.push_number(self.fence.0);
        argv.push_number(RETENTION.as_micros() / 1_000);
    }

    /// The operation in the words behind the keys.
    pub fn decode<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        Some(Self { fence: Fence(parse_number(words.next()?)?) })
    }
}

impl GuardAnswer {
    /// As the script answers.
    #[must_use]
    pub fn encode(&self) -> Reply {
        let verb = if self.accepted { "ACCEPTED" } else { "STALE" };
        let mut out = Argv::new();
        out.push(verb.as_bytes());
        out.push_number(self.highest.0);
        Reply::Array(out.iter().map(Reply::bulk).collect())
    }

    /// The answer in a reply; none if it is not one.
    #[must_use]
    pub fn decode(reply: &Reply) -> Option<Self> {
        let mut fields = Fields::of(reply);
        let accepted = match fields.bytes()? {
            b"ACCEPTED" => true,
            b"STALE" => false,
            _ => return None,
        };
        Some(Self { accepted, highest: Fence(fields.number()?) })
    }
}

/// Executes the check on `key`.
///
/// # Errors
/// The key holds another type; nothing is changed.
pub fn execute(space: &mut Keyspace, key: &[u8], op: GuardOp) -> Result<GuardAnswer> {
    let seen = space.get(key)?.and_then(parse_number).map(Fence);
    if let Some(highest) = seen.filter(|seen| *seen > op.fence) {
        return Ok(GuardAnswer { accepted: false, highest });
    }
    let mut argv = Argv::new();
    op.encode(&mut argv);
    let value = argv.get(0).unwrap_or_default().to_vec();
    space.set(key, value, Some(RETENTION.as_micros() / 1_000));
    Ok(GuardAnswer { accepted: true, highest: op.fence })
}
