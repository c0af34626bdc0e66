//! Asking for a server's stamp and giving it one, and both directions of the encoding.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::Stamp;
use crate::redis::{Argv, Fields, Reply};

/// What a client wants of a server's stamp. See `stamp.lua`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Which is it?
    Ask,
    /// Have this one if there is none, or one that may be replaced.
    Claim {
        /// The client's.
        stamp: Stamp,
        /// Which member the server is, and who else is in the ring.
        members: Vec<u8>,
        /// The stamps that it may replace.
        replaced: Vec<Vec<u8>>,
    },
}

/// The stamp that a server has, after the operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Answer {
    /// As it lies there; empty if there is none.
    pub stamp: Vec<u8>,
    /// Which member it is, and who is in its ring; empty if that is not known.
    pub members: Vec<u8>,
}

impl Op {
    /// Appends the number of keys, the participant's hash and the arguments.
    pub fn encode(&self, meta: &[u8], argv: &mut Argv) {
        argv.push(b"1");
        argv.push(meta);
        if let Self::Claim { stamp, members, replaced } = self {
            argv.push(stamp.to_string().as_bytes());
            argv.push(members);
            replaced.iter().for_each(|old| argv.push(old));
        }
    }

    /// The operation in the words behind the keys; none if they are not one.
    pub fn decode<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let Some(stamp) = words.next() else { return Some(Self::Ask) };
        let (stamp, members) = (Stamp::parse(stamp)?, words.next()?.to_vec());
        Some(Self::Claim { stamp, members, replaced: words.map(<[u8]>::to_vec).collect() })
    }
}

impl Answer {
    /// As the script answers.
    #[must_use]
    pub fn encode(&self) -> Reply {
        self.with_verb(b"STAMP")
    }

    /// As a script answers that does not act for a client of another ring.
    #[must_use]
    pub fn encode_refusal(&self) -> Reply {
        self.with_verb(b"RING")
    }

    fn with_verb(&self, verb: &[u8]) -> Reply {
        Reply::Array([verb, &self.stamp, &self.members].into_iter().map(Reply::bulk).collect())
    }

    /// The answer in a reply; none if it is not one.
    #[must_use]
    pub fn decode(reply: &Reply) -> Option<Self> {
        Self::behind(b"STAMP", reply)
    }

    fn behind(verb: &[u8], reply: &Reply) -> Option<Self> {
        let mut fields = Fields::of(reply);
        fields.bytes().filter(|own| *own == verb)?;
        let (stamp, members) = (fields.bytes()?.to_vec(), fields.bytes()?.to_vec());
        fields.bytes().is_none().then_some(Self { stamp, members })
    }
}

/// The stamp of a server that did not act because it is not the client's. A transaction that was
/// refused by a ring has more to say, and is none.
pub(crate) fn refusal(reply: &Reply) -> Option<Answer> {
    Answer::behind(b"RING", reply)
}
