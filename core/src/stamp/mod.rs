//! The stamp: which ring a server belongs to.
//!
//! Two clients with different rings would look for one lock, one counter or one key on two servers,
//! and both would be right. So each server keeps the stamp of its ring, and a script acts only if its
//! client's is the same. It is compared where the work is done, in the same call.
//!
//! | field of the participant's hash | holds |
//! | --- | --- |
//! | `e` | the stamp: epoch, phase, and the prints of the ring before and after a change: 10, 1, 16 and 16 digits |
//! | `members` | who its members are: their number, and the ids and weights of the first 64 |
//!
//! The print of a ring is of its fingerprint, the prefix and the layout of the keys. Rings do not change
//! yet, so every stamp is of epoch 0, phase 4 (settled), and has the same print twice.
//!
//! A server without a stamp serves nothing. It is stamped by a `Round`: the first client that
//! meets it asks all servers of its ring, and stamps those without a stamp if every other has the
//! client's or none. The one with the lowest id comes first, so that of two clients with different rings,
//! who begin at one moment, one finds that the other was there.

mod op;
mod round;
mod server;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use xxhash_rust::xxh3::Xxh3Default;

pub(crate) use op::refusal;
pub use op::{Answer, Op};
pub(crate) use round::{Round, Seen};
pub(crate) use server::check;
pub use server::execute;

use crate::error::{Error, ErrorCode};
use crate::redis::{parse_number, readable};
use crate::ring::Ring;

/// The field of a server's stamp.
pub(crate) const FIELD: &[u8] = b"e";
/// The field of the ring's members.
pub(crate) const MEMBERS: &[u8] = b"members";

/// The id of a server that is used alone, whatever its client calls it.
pub const SOLE: &[u8] = b"0";

/// No change of the ring is under way.
const SETTLED: u8 = 4;

/// How many members a server remembers.
const REMEMBERED: usize = 64;
/// How many of them an error lists.
const SHOWN: usize = 8;

/// Which ring a server belongs to, or a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Counts the changes of the ring: below 10^10.
    pub epoch: u64,
    /// How far the last change is: 1 announced, 2 moving, 3 halting, 4 settled.
    pub phase: u8,
    /// The print of the ring before the change.
    pub old: u64,
    /// The print of the ring after it.
    pub new: u64,
}

impl Stamp {
    /// How long its text is.
    pub const LENGTH: usize = 46;

    /// The stamp of a ring with this print that has never changed.
    #[must_use]
    pub const fn settled(print: u64) -> Self {
        Self { epoch: 0, phase: SETTLED, old: print, new: print }
    }

    /// The stamp of `ring` for keys that begin with `prefix`, the layout's version included.
    pub(crate) fn of(ring: &Ring, prefix: &[u8]) -> Self {
        let mut hash = Xxh3Default::new();
        hash.update(b"comity.stamp.1");
        hash.update(&ring.fingerprint().to_le_bytes());
        hash.update(prefix);
        Self::settled(hash.digest())
    }

    /// The stamp in a text; none if it is not one.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = (text.len() == Self::LENGTH).then(|| text.split(|&byte| byte == b'.'))?;
        let mut part = |width: usize| parts.next().filter(|part| part.len() == width);
        let hex = |text: &[u8]| {
            let text = core::str::from_utf8(text).ok()?;
            let lower = text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
            lower.then(|| u64::from_str_radix(text, 16).ok())?
        };
        let (epoch, phase) = (parse_number(part(10)?)?, part(1)?[0].wrapping_sub(b'0'));
        let (old, new) = (hex(part(16)?)?, hex(part(16)?)?);
        (1..=SETTLED).contains(&phase).then_some(Self { epoch, phase, old, new })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, phase, old, new } = self;
        write!(f, "{epoch:010}.{phase}.{old:016x}.{new:016x}")
    }
}

/// What a server had as its stamp where an earlier version of comity used this ring.
pub(crate) fn earlier(ring: &Ring) -> Vec<u8> {
    format!("{:016x}", ring.fingerprint()).into_bytes()
}

/// Who is in a ring, as its servers remember it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Members {
    count: usize,
    /// The first by id, with their weights.
    first: Vec<(Vec<u8>, u64)>,
}

impl Members {
    pub(crate) fn of(ring: &Ring) -> Self {
        let nodes = ring.nodes();
        let first = nodes.iter().take(REMEMBERED);
        let first = first.map(|node| (node.id.clone(), node.weight.into())).collect();
        Self { count: nodes.len(), first }
    }

    /// `count;` and for each `length:id,weight;`.
    pub(crate) fn to_text(&self) -> Vec<u8> {
        let mut text = format!("{};", self.count).into_bytes();
        for (id, weight) in &self.first {
            text.extend_from_slice(format!("{}:", id.len()).as_bytes());
            text.extend_from_slice(id);
            text.extend_from_slice(format!(",{weight};").as_bytes());
        }
        text
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (count, mut rest) = cut(text, b';')?;
        let count = usize::try_from(parse_number(count)?).ok()?;
        let mut first = Vec::new();
        while !rest.is_empty() && first.len() < REMEMBERED {
            let (length, behind) = cut(rest, b':')?;
            let length = usize::try_from(parse_number(length)?).ok()?;
            let (id, behind) = behind.split_at_checked(length)?;
            let (weight, behind) = cut(behind.strip_prefix(b",")?, b';')?;
            first.push((id.to_vec(), parse_number(weight)?));
            rest = behind;
        }
        (count >= first.len()).then_some(Self { count, first })
    }

    fn is_sole(&self) -> bool {
        self.count == 1 && self.first.first().is_some_and(|(id, _)| id == SOLE)
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_sole() {
            return f.write_str("one server alone");
        }
        let name = |(id, weight): &(Vec<u8>, u64)| match weight {
            1 => readable(id),
            _ => format!("{} (weight {weight})", readable(id)),
        };
        let shown: Vec<String> = self.first.iter().take(SHOWN).map(name).collect();
        let more = match self.count - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        write!(f, "{} servers: {}{more}", self.count, shown.join(", "))
    }
}

fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|&byte| byte == at)?;
    Some((&text[..place], &text[place + 1..]))
}

/// The error where a server belongs to another ring than `ours`. `key` is where the stamp lies.
pub(crate) fn mismatch(server: &[u8], theirs: &Answer, ours: &Members, key: &[u8]) -> Error {
    let theirs = match Members::parse(&theirs.members) {
        Some(theirs) => format!("the ring of {theirs}"),
        None => "a ring whose members are not known".to_string(),
    };
    let message = format!(
        "server '{}' belongs to {theirs}; this client's ring is of {ours}. Locks, counters and \
         transactions would be looked for on different servers: give every client the same servers \
         under the same ids and weights. To change the servers, stop all clients, move the data, and \
         delete the fields e and members of '{}' on each",
        readable(server),
        readable(key)
    );
    Error::new(ErrorCode::RingMismatch, message)
}
