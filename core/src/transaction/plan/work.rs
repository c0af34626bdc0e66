//! What a transaction does at one participant: its keys, checks and operations.

use alloc::collections::BinaryHeap;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use hmac_sha1_compact::Hash as Sha1;
use xxhash_rust::xxh3::xxh3_64;

use super::execution::Need;
use crate::error::{Error, Result};
use crate::redis::{Argv, Reply, parse_number, readable, write_padded};
use crate::transaction::protocol::replies;
use crate::transaction::protocol::text::{write_counted, write_hex_bytes};
use crate::transaction::{COPY_BYTES, COPY_ELEMENTS, MAX_BYTES, MAX_OPERATIONS, MAX_WORDS};

/// Replies up to this size are compared as they are, longer ones by their SHA-1.
const DIRECT: usize = 64;

/// What a transaction does at one participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// The keys, each once. Operations and checks name them by their place in this list.
    pub keys: Vec<Key>,
    /// Reads whose replies must be what they were.
    pub checks: Vec<Check>,
    /// What is executed, in this order, unless a check fails.
    pub operations: Vec<Operation>,
    /// The most elements of a collection that is copied to a shadow.
    pub copy_elements: u32,
    /// The most bytes of a value that is copied to a shadow.
    pub copy_bytes: u32,
}

/// For what a transaction locks a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Others may read it under a lock too, none may write it.
    Shared,
    /// Nobody else may have it. It is not written.
    Exclusive,
    /// The same, and it is written.
    Write,
}

impl Mode {
    pub(in crate::transaction) const fn letter(self) -> u8 {
        match self {
            Self::Shared => b'S',
            Self::Exclusive => b'X',
            Self::Write => b'W',
        }
    }

    pub(in crate::transaction) const fn parse(letter: u8) -> Option<Self> {
        match letter {
            b'S' => Some(Self::Shared),
            b'X' => Some(Self::Exclusive),
            b'W' => Some(Self::Write),
            _ => None,
        }
    }
}

/// A key of a transaction at one participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The key itself.
    pub name: Vec<u8>,
    /// For what it is locked.
    pub mode: Mode,
}

/// A command on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The command's name, in any case.
    pub name: Vec<u8>,
    /// The place of its key in [`Work::keys`].
    pub key: u32,
    /// What follows the key.
    pub arguments: Vec<Vec<u8>>,
}

/// A read that is repeated under the lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// The read.
    pub read: Operation,
    /// What its reply was, in the form in which it is compared; see [`Check::new`].
    pub expected: Vec<u8>,
}

impl Operation {
    fn words(&self) -> usize {
        2 + self.arguments.len()
    }

    fn size(&self) -> usize {
        self.name.len() + self.arguments.iter().map(Vec::len).sum::<usize>()
    }

    /// A letter and the number of words, what is expected, the name, the key's place, the
    /// arguments.
    pub(in crate::transaction) fn encode(
        &self,
        argv: &mut Argv,
        letter: u8,
        expected: Option<&[u8]>,
    ) {
        let mut head = vec![letter];
        write_padded(&mut head, self.words() as u64, 1);
        argv.push(&head);
        expected.iter().for_each(|expected| argv.push(expected));
        argv.push(&self.name);
        argv.push_number(self.key.into());
        self.arguments.iter().for_each(|word| argv.push(word));
    }

    pub(in crate::transaction) fn decode<'a>(
        count: &[u8],
        words: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Option<Self> {
        let count = usize::try_from(parse_number(count)?).ok()?.checked_sub(2)?;
        let name = words.next()?.to_vec();
        let key = u32::try_from(parse_number(words.next()?)?).ok()?;
        let arguments: Vec<_> = words.take(count).map(<[u8]>::to_vec).collect();
        (arguments.len() == count).then_some(Self { name, key, arguments })
    }
}

/// How the elements of a reply are brought into one order before it is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::transaction) enum ReplyOrder {
    /// They have one.
    Given,
    /// By their bytes.
    Members,
    /// Two by two, by the bytes of the first.
    Pairs,
}

impl ReplyOrder {
    pub(in crate::transaction) fn of(name: &[u8]) -> Self {
        match name.to_ascii_uppercase().as_slice() {
            b"SMEMBERS" | b"HKEYS" | b"HVALS" => Self::Members,
            b"HGETALL" => Self::Pairs,
            _ => Self::Given,
        }
    }

    pub(in crate::transaction) const fn letter(self) -> u8 {
        match self {
            Self::Given => b'o',
            Self::Members => b'm',
            Self::Pairs => b'p',
        }
    }
}

impl Check {
    /// Expects that `read` is answered as it was when it was answered with `reply`. An error is
    /// never expected: a read that fails is a change.
    #[must_use]
    pub fn new(read: Operation, reply: &Reply) -> Self {
        let with_scores =
            read.arguments.iter().any(|word| word.eq_ignore_ascii_case(b"WITHSCORES"));
        let order = ReplyOrder::of(&read.name);
        let expected = match reply {
            // What RESP3 has as pairs, a script has in a row.
            Reply::Array(pairs) if with_scores => comparable(&in_a_row(pairs), order),
            reply => comparable(reply, order),
        };
        Self { read, expected }
    }

    /// Expects that the key exists, or that it does not.
    #[must_use]
    pub fn exists(key: u32, exists: bool) -> Self {
        let read = Operation { name: b"EXISTS".to_vec(), key, arguments: Vec::new() };
        Self::new(read, &Reply::Integer(exists.into()))
    }
}

fn in_a_row(pairs: &[Reply]) -> Reply {
    let row = pairs.iter().flat_map(|pair| match pair {
        Reply::Array(pair) => pair.clone(),
        single => vec![single.clone()],
    });
    Reply::Array(row.collect())
}

/// A reply in the form in which the script compares it.
pub(in crate::transaction) fn comparable(reply: &Reply, order: ReplyOrder) -> Vec<u8> {
    let mut text = Vec::new();
    replies::write(&mut text, &reply.clone());
    if order != ReplyOrder::Given
        && let Some([Reply::Array(items)]) =
            replies::read(&text).and_then(|list| <[Reply; 1]>::try_from(list).ok())
    {
        let size = if order == ReplyOrder::Pairs { 2 } else { 1 };
        let parts: Vec<&[Reply]> = items.chunks(size).collect();
        let bytes = |(at, items): (usize, &&[Reply])| match items {
            [Reply::Bulk(bytes), ..] => (bytes.clone(), at),
            _ => (Vec::new(), at),
        };
        let sorted: BinaryHeap<_> = parts.iter().enumerate().map(bytes).collect();
        let sorted = sorted.into_sorted_vec().into_iter();
        let items = sorted.flat_map(|(_, at)| parts[at].iter().cloned()).collect();
        text.clear();
        replies::write(&mut text, &Reply::Array(items));
    }
    if text.len() > DIRECT {
        let digest = Sha1::hash(&text);
        text.clear();
        write_hex_bytes(&mut text, &digest);
    }
    text
}

impl Default for Work {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            checks: Vec::new(),
            operations: Vec::new(),
            copy_elements: COPY_ELEMENTS,
            copy_bytes: COPY_BYTES,
        }
    }
}

impl Work {
    /// Checks every limit, and that each operation has its key.
    ///
    /// # Errors
    /// `LimitExceeded`, naming the limit; `InvalidArgument` for an operation whose key is not in
    /// the list, or is written and not locked for that, for a check that is not a read, and for a
    /// wrong number of words or several keys; `Unsupported` for a command that no transaction takes.
    pub fn check(&self) -> Result<()> {
        if self.operations.len() + self.checks.len() > MAX_OPERATIONS {
            let count = self.operations.len() + self.checks.len();
            return Err(Error::limit(format!(
                "transaction: {count} operations and checks at one participant, the limit is {MAX_OPERATIONS}"
            )));
        }
        if self.keys.len() > MAX_OPERATIONS {
            let count = self.keys.len();
            return Err(Error::limit(format!(
                "transaction: {count} keys at one participant, the limit is {MAX_OPERATIONS}"
            )));
        }
        let all = || self.operations.iter().chain(self.checks.iter().map(|check| &check.read));
        if let Some(long) = all().find(|operation| operation.words() > MAX_WORDS) {
            return Err(Error::limit(format!(
                "transaction: an operation of {} words, the limit is {MAX_WORDS}",
                long.words()
            )));
        }
        let keys: usize = self.keys.iter().map(|key| key.name.len()).sum();
        let size = keys + all().map(Operation::size).sum::<usize>();
        if size > MAX_BYTES {
            return Err(Error::limit(format!(
                "transaction: {size} bytes at one participant, the limit is {MAX_BYTES}"
            )));
        }
        if let Some(lost) = all().find(|operation| self.key(operation).is_none()) {
            return Err(Error::invalid(format!(
                "transaction: key number {} of {}",
                lost.key,
                self.keys.len()
            )));
        }
        all().try_for_each(Operation::check)?;
        let written = |operation: &&Operation| {
            let mode = self.key(operation).map(|key| key.mode);
            operation.need() != Need::Read && mode != Some(Mode::Write)
        };
        if let Some(unlocked) = self.operations.iter().find(written) {
            return Err(Error::invalid(format!(
                "transaction: '{}' writes a key that is not locked for that",
                readable(&unlocked.name)
            )));
        }
        if let Some(check) = self.checks.iter().find(|check| check.read.need() != Need::Read) {
            return Err(Error::invalid(format!(
                "transaction: a check by '{}', which is not one of the reads",
                readable(&check.read.name)
            )));
        }
        Ok(())
    }

    /// The key of an operation.
    #[must_use]
    pub fn key(&self, operation: &Operation) -> Option<&Key> {
        self.keys.get(usize::try_from(operation.key).ok()?)
    }

    /// Whether anything is written.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.keys.iter().any(|key| key.mode == Mode::Write)
    }

    /// A fingerprint: the same id must come with the same work.
    pub(in crate::transaction) fn digest(&self) -> u64 {
        let mut text: Vec<u8> = self.keys.iter().map(|key| key.mode.letter()).collect();
        self.keys.iter().for_each(|key| write_counted(&mut text, &key.name));
        for Check { read, expected } in &self.checks {
            read.digest(&mut text);
            write_counted(&mut text, expected);
        }
        text.push(b'!');
        self.operations.iter().for_each(|operation| operation.digest(&mut text));
        xxh3_64(&text)
    }
}

impl Operation {
    fn digest(&self, text: &mut Vec<u8>) {
        write_padded(text, self.words() as u64, 1);
        write_counted(text, &self.name);
        write_padded(text, self.key.into(), 1);
        self.arguments.iter().for_each(|word| write_counted(text, word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_the_same_in_both_protocols() {
        let read = |name: &str, argument: &str| {
            let arguments = vec![argument.as_bytes().to_vec()];
            Operation { name: name.as_bytes().to_vec(), key: 0, arguments }
        };
        let (a, b, one) = (Reply::bulk("a"), Reply::bulk("b"), Reply::bulk("1"));
        let double = Reply::Double(b"1".to_vec());
        let flat = Reply::Array(vec![a.clone(), one.clone()]);
        let same = [
            (
                "ZRANGE",
                "withscores",
                &flat,
                &Reply::Array(vec![Reply::Array(vec![a.clone(), double.clone()])]),
            ),
            ("ZRANGE", "WITHSCORES", &flat, &flat),
            ("HGETALL", "", &flat, &Reply::Map(vec![(a.clone(), one.clone())])),
            ("ZSCORE", "a", &one, &double),
            ("SMEMBERS", "", &Reply::Array(vec![a.clone(), b.clone()]), &Reply::Set(vec![b, a])),
        ];
        for (name, argument, resp2, resp3) in same {
            let check = |reply| Check::new(read(name, argument), reply).expected;
            assert_eq!(check(resp2), check(resp3), "{name}");
        }
    }

    #[test]
    fn a_long_reply_is_compared_by_its_digest() {
        let expected = |length| comparable(&Reply::bulk("a".repeat(length)), ReplyOrder::Given);
        assert_eq!(expected(60), [&b"$60\n"[..], &[b'a'; 60]].concat());
        // What sha1sum makes of "$100\n" and the letters.
        assert_eq!(expected(100), b"702718f394aca58c5eafef667b046471a274082e");
    }
}
