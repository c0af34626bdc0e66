//! What a lock answers: a flat array of bulk strings, the verb first.

use alloc::vec::Vec;

use super::TTL_WIDTH;
use crate::keyspace::ServerTime;
use crate::lock::{Fence, Inspection};
use crate::redis::{Argv, Fields, Reply};
use crate::time::Span;

/// Why an id is not, or no longer, in the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Its lease ended without a release.
    Expired,
    /// It was released or cancelled.
    Finished,
    /// The acquisition came after its `not_after`.
    Late,
    /// The lock knows nothing of it: its keys were lost, or it ended long ago.
    Unknown,
}

/// An answer and what its call could not finish.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The answer proper.
    pub kind: AnswerKind,
    /// More expired holders or dead waiters are left: ask again.
    pub more: bool,
    /// A grant could not be published.
    pub nopush: bool,
    /// The caller's `min_fence` was beyond what the server's clock can have given, and was ignored.
    pub excess: bool,
}

impl From<AnswerKind> for Answer {
    fn from(kind: AnswerKind) -> Self {
        Self { kind, more: false, nopush: false, excess: false }
    }
}

/// What a lock answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AnswerKind {
    /// The lease.
    Granted {
        /// The fencing token.
        fence: Fence,
        /// The server's clock.
        now: ServerTime,
        /// When the lease ends.
        expiry: ServerTime,
    },
    /// The renewed lease.
    Renewed {
        /// The fencing token.
        fence: Fence,
        /// The server's clock.
        now: ServerTime,
        /// When the lease ends.
        expiry: ServerTime,
    },
    /// In line.
    Queued {
        /// The place.
        ticket: u64,
        /// The server's clock.
        now: ServerTime,
        /// Until the lease ends that ends first.
        next: Span,
        /// How many are ahead.
        rank: u64,
        /// The label of the holder whose lease ends first.
        holder: Vec<u8>,
    },
    /// Not free, and the caller would not wait.
    Busy {
        /// Until the lease ends that ends first.
        next: Span,
        /// How many wait.
        waiters: u64,
        /// The label of the holder whose lease ends first.
        holder: Vec<u8>,
    },
    /// The request is over and cannot be granted any more.
    Gone(EndReason),
    /// The lock is in use with another capacity.
    Capacity(u64),
    /// There is no lease to renew.
    Lost(EndReason),
    /// Given back, by this call or an earlier one.
    Released,
    /// Nothing is known of the id.
    Unknown {
        /// The server's clock.
        now: ServerTime,
    },
    /// Withdrawn.
    Cancelled,
    /// Withdrawn, and it had been granted.
    WasGranted,
    /// The holders and the waiters.
    Info(Inspection),
    /// The state string is of a layout this version does not know.
    Layout(Vec<u8>),
}

impl EndReason {
    const ALL: [Self; 4] = [Self::Expired, Self::Finished, Self::Late, Self::Unknown];

    const fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Finished => "finished",
            Self::Late => "late",
            Self::Unknown => "unknown",
        }
    }

    fn parse(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.word().as_bytes() == word)
    }
}

impl Answer {
    /// The flat array of bulk strings that the script answers with.
    #[must_use]
    pub fn encode(&self) -> Reply {
        let mut out = Argv::new();
        self.kind.encode(&mut out);
        let flags = [(self.more, "more"), (self.nopush, "nopush"), (self.excess, "floor")];
        let flags: Vec<&str> =
            flags.iter().filter(|(told, _)| *told).map(|(_, flag)| *flag).collect();
        if !flags.is_empty() {
            out.push(flags.join(",").as_bytes());
        }
        Reply::Array(out.iter().map(Reply::bulk).collect())
    }

    /// The answer in a reply; none if it is not one.
    #[must_use]
    pub fn decode(reply: &Reply) -> Option<Self> {
        let mut fields = Fields::of(reply);
        let kind = AnswerKind::decode(&mut fields)?;
        let flags = fields.bytes().unwrap_or_default();
        let has = |flag: &[u8]| flags.split(|&byte| byte == b',').any(|word| word == flag);
        let (more, nopush, excess) = (has(b"more"), has(b"nopush"), has(b"floor"));
        Some(Self { kind, more, nopush, excess })
    }
}

impl AnswerKind {
    fn encode(&self, out: &mut Argv) {
        match self {
            Self::Granted { fence, now, expiry } => lease(out, b"GRANTED", *fence, *now, *expiry),
            Self::Renewed { fence, now, expiry } => lease(out, b"OK", *fence, *now, *expiry),
            Self::Queued { ticket, now, next, rank, holder } => {
                out.push(b"QUEUED");
                for number in [*ticket, now.0, next.as_micros(), *rank] {
                    out.push_number(number);
                }
                out.push(holder);
            }
            Self::Busy { next, waiters, holder } => {
                out.push(b"BUSY");
                out.push_number(next.as_micros());
                out.push_number(*waiters);
                out.push(holder);
            }
            Self::Gone(why) => pair(out, b"GONE", why.word().as_bytes()),
            Self::Lost(why) => pair(out, b"LOST", why.word().as_bytes()),
            Self::Capacity(capacity) => {
                out.push(b"CAPACITY");
                out.push_number(*capacity);
            }
            Self::Released => out.push(b"RELEASED"),
            Self::Unknown { now } => {
                out.push(b"UNKNOWN");
                out.push_number(now.0);
            }
            Self::Cancelled => out.push(b"CANCELLED"),
            Self::WasGranted => out.push(b"WAS_GRANTED"),
            Self::Info(inspection) => inspection.encode(out),
            Self::Layout(form) => pair(out, b"LAYOUT", form),
        }
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        Some(match fields.bytes()? {
            b"GRANTED" => {
                let (fence, now, expiry) = parse_lease(fields)?;
                Self::Granted { fence, now, expiry }
            }
            b"OK" => {
                let (fence, now, expiry) = parse_lease(fields)?;
                Self::Renewed { fence, now, expiry }
            }
            b"QUEUED" => Self::Queued {
                ticket: fields.number()?,
                now: ServerTime(fields.number()?),
                next: Span::from_micros(fields.number()?),
                rank: fields.number()?,
                holder: fields.bytes()?.to_vec(),
            },
            b"BUSY" => Self::Busy {
                next: Span::from_micros(fields.number()?),
                waiters: fields.number()?,
                holder: fields.bytes()?.to_vec(),
            },
            b"GONE" => Self::Gone(EndReason::parse(fields.bytes()?)?),
            b"LOST" => Self::Lost(EndReason::parse(fields.bytes()?)?),
            b"CAPACITY" => Self::Capacity(fields.number()?),
            b"RELEASED" => Self::Released,
            b"UNKNOWN" => Self::Unknown { now: ServerTime(fields.number()?) },
            b"CANCELLED" => Self::Cancelled,
            b"WAS_GRANTED" => Self::WasGranted,
            b"INFO" => Self::Info(Inspection::decode(fields)?),
            b"LAYOUT" => Self::Layout(fields.bytes()?.to_vec()),
            _ => return None,
        })
    }
}

/// A fence in an answer. One that no server of ours gives would be a lower bound of every later one.
pub(super) fn parse_fence(number: u64) -> Option<Fence> {
    (number < 1 << 53).then_some(Fence(number))
}

/// A lease goes over the wire as what is left of it: so the script need not add.
fn lease(out: &mut Argv, verb: &[u8], fence: Fence, now: ServerTime, expiry: ServerTime) {
    out.push(verb);
    out.push_number(fence.0);
    out.push_number(now.0);
    out.push_padded(expiry.since(now).as_micros(), TTL_WIDTH);
}

fn parse_lease(fields: &mut Fields<'_>) -> Option<(Fence, ServerTime, ServerTime)> {
    let (fence, now) = (parse_fence(fields.number()?)?, ServerTime(fields.number()?));
    Some((fence, now, now.after(Span::from_micros(fields.number()?))))
}

fn pair(out: &mut Argv, verb: &[u8], word: &[u8]) {
    out.push(verb);
    out.push(word);
}
