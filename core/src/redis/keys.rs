//! Key and channel names. `docs/operations.md` lists every pattern.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, Result};
use crate::redis::shown;

/// The longest name of a lock, resource or counter, in bytes.
pub const MAX_NAME: usize = 512;

/// The longest prefix, in bytes.
pub const MAX_PREFIX: usize = 128;

/// Part of every key and channel, so that two versions of the layout never meet.
const LAYOUT: &str = "1:";

/// Renders key names under one prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Keys {
    prefix: Vec<u8>,
}

/// The keys of one lock, all in one slot of a Redis Cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockKeys {
    /// State string: the authority.
    pub state: Vec<u8>,
    /// Holders by expiry.
    pub holders: Vec<u8>,
    /// Waiters by ticket.
    pub queue: Vec<u8>,
    /// Records of holders and waiters.
    pub records: Vec<u8>,
    /// Finished ids that may still have a straggler on its way.
    pub tombstones: Vec<u8>,
}

impl LockKeys {
    /// The keys of the lock with this state key.
    #[must_use]
    pub fn of_state(state: &[u8]) -> Self {
        let with = |suffix: u8| [state, &[suffix]].concat();
        let (holders, queue) = (with(b'h'), with(b'q'));
        Self { state: state.to_vec(), holders, queue, records: with(b'r'), tombstones: with(b't') }
    }

    /// In the order in which the script takes them.
    #[must_use]
    pub fn in_order(&self) -> [&[u8]; 5] {
        [&self.state, &self.holders, &self.queue, &self.records, &self.tombstones]
    }
}

impl Keys {
    /// Checks the prefix. A brace in it would move the slot tag.
    pub(crate) fn new(prefix: &[u8]) -> Result<Self> {
        if prefix.len() > MAX_PREFIX {
            return Err(Error::limit(format!(
                "prefix: {} bytes, the limit is {MAX_PREFIX}",
                prefix.len()
            )));
        }
        if let Some(byte) = prefix.iter().find(|b| !b.is_ascii_graphic() || b"{}*?[]\\".contains(b))
        {
            return Err(Error::invalid(format!(
                "prefix: may not contain '{}': printable ASCII without spaces, braces and glob characters",
                byte.escape_ascii()
            )));
        }
        Ok(Self { prefix: [prefix, LAYOUT.as_bytes()].concat() })
    }

    /// What every key begins with, the layout's version included.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Checks a name before it goes into a key; `what` says whose name it is.
    pub(crate) fn check_name(what: &str, name: &[u8]) -> Result<()> {
        if name.is_empty() {
            return Err(Error::invalid(format!(
                "{what}: the name is empty; 1 to {MAX_NAME} bytes"
            )));
        }
        if name.len() > MAX_NAME {
            return Err(Error::limit(format!(
                "{what}: a name of {} bytes, the limit is {MAX_NAME}",
                name.len()
            )));
        }
        Ok(())
    }

    /// `prefix 1:kind:{name}`. Redis hashes what lies between the first `{` and the
    /// next `}`, so all keys of a name share a slot whatever it contains, except that an empty tag
    /// would not count: a name that begins with `}` gets a tag in front, and a kind of its own so
    /// that no other name has the same key.
    fn tagged(&self, kind: &str, name: &[u8]) -> Vec<u8> {
        let tag: &[u8] = if name.first() == Some(&b'}') { b"-:{-" } else { b":{" };
        [&self.prefix, kind.as_bytes(), tag, name, b"}"].concat()
    }

    /// The state key of the lock `name`; [`LockKeys::of_state`] derives the others.
    pub(crate) fn lock(&self, name: &[u8]) -> Vec<u8> {
        self.tagged("lock", name)
    }

    /// Whether `key` is the state key of a lock under this prefix.
    pub(crate) fn is_lock(&self, key: &[u8]) -> bool {
        let rest = key.strip_prefix(self.prefix.as_slice());
        rest.is_some_and(|rest| rest.starts_with(b"lock") && rest.ends_with(b"}"))
    }

    /// Where the fencing guard keeps the highest fence seen for `resource`.
    pub(crate) fn fence(&self, resource: &[u8]) -> Vec<u8> {
        self.tagged("fence", resource)
    }

    /// The key of the counter `name`.
    pub(crate) fn counter(&self, name: &[u8]) -> Vec<u8> {
        self.tagged("counter", name)
    }

    /// The hash of a participant of transactions, and what its shadows' names begin with. On a
    /// master the tag is of no consequence; a slot of a cluster has one that lies in it.
    pub(crate) fn transactions(&self, tag: &[u8]) -> Vec<u8> {
        self.tagged("t", tag)
    }

    /// Whether `key` is one of comity's own.
    pub(crate) fn is_own(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix)
    }

    /// The channel of the coordinator with this identity.
    pub(crate) fn inbox(&self, identity: &str) -> Vec<u8> {
        [&self.prefix, &b"inbox:"[..], identity.as_bytes()].concat()
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// 128 bits as 22 characters of the URL-safe base64 alphabet.
pub(crate) fn base64url(bits: u128) -> [u8; 22] {
    let mut text = [0; 22];
    for (place, character) in text.iter_mut().enumerate() {
        // The last character carries two bits only.
        let shifted = if place < 21 { bits >> (122 - 6 * place) } else { bits << 4 };
        *character = ALPHABET[(shifted & 63) as usize];
    }
    text
}

/// The text again, if it is 22 characters of the alphabet.
pub(crate) fn parse_base64url(text: &[u8]) -> Option<[u8; 22]> {
    text.iter().all(|byte| ALPHABET.contains(byte)).then_some(())?;
    text.try_into().ok()
}

/// The 128 bits of such a text.
pub(crate) fn decode_base64url(text: &[u8]) -> Option<u128> {
    let text: [u8; 22] = text.try_into().ok()?;
    let digit = |c: &u8| ALPHABET.iter().position(|known| known == c).map(|at| at as u128);
    let mut digits = text.iter().map(digit);
    let high = digits.by_ref().take(21).try_fold(0, |bits, digit| Some(bits << 6 | digit?))?;
    let last = digits.next()??;
    (last & 15 == 0).then_some(high << 2 | last >> 4)
}

/// Bytes for an error message: as text where they are, but for control characters; escaped where not.
pub(crate) fn readable(name: &[u8]) -> String {
    let text = core::str::from_utf8(name);
    text.map_or_else(|_| format!("{}", name.escape_ascii()), |text| shown(text, usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_names_differ() {
        let keys = Keys::new(b"comity:").expect("a fine prefix");
        let names: [&[u8]; 8] = [b"a", b"}a", b"-}a", b"{a", b"a}", b"a}h", b"}", b"-"];
        let mut all = Vec::new();
        for name in names {
            let state = keys.lock(name);
            all.extend(LockKeys::of_state(&state).in_order().map(<[u8]>::to_vec));
            all.push(keys.fence(name));
            all.push(keys.counter(name));
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn prefixes_are_checked() {
        assert!(Keys::new(b"").is_ok());
        assert!(Keys::new(&[b'a'; MAX_PREFIX]).is_ok());
        for bad in [&b"a{b"[..], b"a b", b"a\0", b"a*", "\u{e9}".as_bytes(), &[b'a'; 129]] {
            assert!(Keys::new(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn base64_is_22_characters_of_the_alphabet() {
        assert_eq!(&base64url(0), b"AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(&base64url(u128::MAX), b"_____________________w");
        assert_eq!(&base64url(1), b"AAAAAAAAAAAAAAAAAAAAAQ");
        for bits in [0, 1, 2, 3, u128::MAX, 1 << 127, 0x0123_4567_89ab_cdef << 37] {
            assert_eq!(decode_base64url(&base64url(bits)), Some(bits));
        }
        for bad in [&b"AAAAAAAAAAAAAAAAAAAAAB"[..], b"AAAAAAAAAAAAAAAAAAAAA=", b"AAA", b""] {
            assert_eq!(decode_base64url(bad), None);
        }
    }
}
