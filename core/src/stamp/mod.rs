//! The stamp: which ring a server belongs to, and which of its members it is.
//!
//! Two clients with different rings would look for one lock, one counter or one key on two servers,
//! and both would be right; so would two that call the same servers by each other's ids. So each server
//! keeps the stamp of its ring with its own id in it, and a script acts only if its client's is the same.
//! It is compared where the work is done, in the same call. What ends a transaction goes by the ids of
//! servers, and acts under any ring: there the server's own id is compared alone.
//!
//! | field of the participant's hash | holds |
//! | --- | --- |
//! | `e` | the stamp: epoch, phase, the prints of the ring before and after a change, and that of the server's own id: 10, 1, 16, 16 and 16 digits |
//! | `members` | the server's own id, and who its ring's members are: their number, and the ids and weights of the first 64 |
//!
//! The print of a ring is of its fingerprint, the prefix and the layout of the keys. Rings do not change
//! yet, so every stamp is of epoch 0, phase 4 (settled), and has the same print of the ring twice. The
//! server's own is apart from these: so all servers of a ring have the same in front of it.
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

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

pub(crate) use op::refusal;
pub use op::{Answer, Op};
pub(crate) use round::{Round, Seen};
pub use server::execute;
pub(crate) use server::{check, check_member};

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

/// Which member of which ring a server is, or a client takes it for.
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
    /// The print of the server's id; 0 where it is the stamp of a ring, and of no server yet.
    pub member: u64,
}

impl Stamp {
    /// How long its text is.
    pub const LENGTH: usize = 63;

    /// How much of it is the same at all servers of a ring.
    const OF_RING: usize = 46;

    /// What a stamp's text says of the server alone.
    pub(crate) fn of_member(text: &[u8]) -> &[u8] {
        text.get(Self::OF_RING + 1..).unwrap_or_default()
    }

    /// The stamp of a ring with this print that has never changed.
    #[must_use]
    pub const fn settled(print: u64) -> Self {
        Self { epoch: 0, phase: SETTLED, old: print, new: print, member: 0 }
    }

    /// The stamp, in the same ring, of the server with this id.
    #[must_use]
    pub fn at(self, id: &[u8]) -> Self {
        Self { member: xxh3_64(id), ..self }
    }

    /// Whether both are of one ring, of the same server or not.
    fn is_of_ring(self, other: Self) -> bool {
        Self { member: 0, ..self } == Self { member: 0, ..other }
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
        let (old, new, member) = (hex(part(16)?)?, hex(part(16)?)?, hex(part(16)?)?);
        (1..=SETTLED).contains(&phase).then_some(Self { epoch, phase, old, new, member })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, phase, old, new, member } = self;
        write!(f, "{epoch:010}.{phase}.{old:016x}.{new:016x}.{member:016x}")
    }
}

/// What a server had as its stamp where an earlier version of comity used this ring.
pub(crate) fn earlier(ring: &Ring) -> Vec<u8> {
    format!("{:016x}", ring.fingerprint()).into_bytes()
}

/// The stamp of a ring as a later version had it, which did not say which member a server is.
pub(crate) fn without_member(stamp: Stamp) -> Vec<u8> {
    let mut text = stamp.to_string().into_bytes();
    text.truncate(Stamp::OF_RING);
    text
}

/// Whether no version that is known has written this stamp.
fn is_damaged(text: &[u8]) -> bool {
    let is_earlier = text.len() == 16 && text.iter().all(u8::is_ascii_hexdigit);
    let with_member = || [text, b".0000000000000000"].concat();
    !(is_earlier || Stamp::parse(text).is_some() || Stamp::parse(&with_member()).is_some())
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

    /// What the member `own` remembers: `length:own;`, `count;`, and for each `length:id,weight;`.
    pub(crate) fn to_text(&self, own: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        push_counted(&mut text, own);
        text.extend_from_slice(format!(";{};", self.count).as_bytes());
        for (id, weight) in &self.first {
            push_counted(&mut text, id);
            text.extend_from_slice(format!(",{weight};").as_bytes());
        }
        text
    }

    /// Which member remembers it, and what. An earlier version did not say which: that is empty then.
    pub(crate) fn parse(text: &[u8]) -> Option<(Vec<u8>, Self)> {
        let names_own = text.iter().find(|byte| !byte.is_ascii_digit()) == Some(&b':');
        let (own, text) = if names_own {
            let (own, behind) = counted(text)?;
            (own, behind.strip_prefix(b";")?)
        } else {
            (&text[..0], text)
        };
        let (count, mut rest) = cut(text, b';')?;
        let count = usize::try_from(parse_number(count)?).ok()?;
        let mut first = Vec::new();
        while !rest.is_empty() && first.len() < REMEMBERED {
            let (id, behind) = counted(rest)?;
            let (weight, behind) = cut(behind.strip_prefix(b",")?, b';')?;
            first.push((id.to_vec(), parse_number(weight)?));
            rest = behind;
        }
        (count >= first.len()).then_some((own.to_vec(), Self { count, first }))
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

/// Writes bytes behind their length, as `counted` reads them.
fn push_counted(text: &mut Vec<u8>, bytes: &[u8]) {
    text.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
    text.extend_from_slice(bytes);
}

/// The bytes behind their length, and what follows.
fn counted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, behind) = cut(text, b':')?;
    behind.split_at_checked(usize::try_from(parse_number(length)?).ok()?)
}

/// What a client takes a server for that has another stamp.
pub(crate) struct Taken<'a> {
    /// As messages call it: its id in the ring, or the caller's name for a server alone.
    pub(crate) name: &'a [u8],
    /// The stamp of the client's ring.
    pub(crate) ring: Stamp,
    pub(crate) members: &'a Members,
    /// Where the stamp lies.
    pub(crate) key: &'a [u8],
}

impl Taken<'_> {
    /// The error where the server has the stamp `theirs`. `twice` if the client has met the member that
    /// it is recorded as under that id, too.
    pub(crate) fn mismatch(&self, theirs: &Answer, twice: bool) -> Error {
        let name = readable(self.name);
        let recorded = Members::parse(&theirs.members);
        let found = Stamp::parse(&theirs.stamp);
        let what = if found.is_some_and(|found| found.is_of_ring(self.ring)) {
            let own = match &recorded {
                Some((own, _)) if !own.is_empty() => format!("'{}'", readable(own)),
                _ => "another member".to_string(),
            };
            if twice {
                format!(
                    "servers {own} and '{name}' are one server, or one has a copy of the other's \
                     data: both are recorded as {own}"
                )
            } else {
                format!(
                    "server '{name}' is recorded as {own} of this client's ring: other clients \
                     call it {own}, or {own} and '{name}' are one server"
                )
            }
        } else if is_damaged(&theirs.stamp) {
            format!(
                "server '{name}' has '{}' for its stamp, which is none: it is damaged, or of a later \
                 version of comity",
                readable(&theirs.stamp)
            )
        } else {
            let theirs = match recorded {
                Some((_, theirs)) => format!("the ring of {theirs}"),
                None => "a ring whose members are not known".to_string(),
            };
            format!(
                "server '{name}' belongs to {theirs}; this client's ring is of {}",
                self.members
            )
        };
        let message = format!(
            "{what}. Locks, counters and transactions would be looked for on different servers: \
             give every client the same servers under the same ids and weights, one id for each. To \
             change the servers or their ids, stop all clients, move the data, and delete the fields \
             e and members of '{}' on each",
            readable(self.key)
        );
        Error::new(ErrorCode::RingMismatch, message)
    }
}
