//! What a client asks of a participant, as enums and as the words of an argv, in both directions.
//!
//! Every script takes the keys in one order: the participant's hash, the keys of the transaction,
//! and a shadow for each one that is written. Its arguments begin with the transaction's id.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use xxhash_rust::xxh3::xxh3_64;

use super::plan::{Need, Plan, read_order};
use super::{
    COLUMN_END, COPY_BYTES, COPY_ELEMENTS, Key, MAX_BYTES, MAX_OPERATIONS, MAX_PATIENCE, MAX_WORDS,
    Mode, Txid, WIDTH, parse_hex, replies, shadow, write_hex,
};
use crate::error::{Error, Result};
use crate::keyspace::ServerTime;
use crate::redis::script::{Script, hex_sha1};
use crate::redis::{Argv, Reply, parse_number, readable, write_padded};
use crate::time::Span;

/// Replies up to this size are compared as they are, longer ones by their SHA-1.
const DIRECT: usize = 64;

/// What a client asks of a participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A whole transaction, all of whose keys are here. See `exec1.lua`.
    Exec1(Exec1),
    /// Lock, validate and execute on shadows: the vote. See `prepare.lua`.
    Prepare(Prepare),
    /// Make the shadows the keys, or drop them, and unlock. See `finish.lua`.
    Finish(Finish),
    /// What the primary has decided. See `status.lua`.
    Status(Query),
    /// What a secondary has voted. See `vote.lua`.
    Vote(Query),
    /// Find and remove what is left over. See `sweep.lua`.
    Sweep(Sweep),
}

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

/// A whole transaction in one script. A refusal of one that writes is recorded as `ABORTED`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exec1 {
    /// Which transaction.
    pub txid: Txid,
    /// The fingerprint of the client's ring.
    pub ring: u64,
    /// Not to be executed after this moment where nothing is recorded.
    pub not_after: ServerTime,
    /// What it does.
    pub work: Work,
}

/// The first phase at one participant. A refusal at the primary is recorded as `ABORTED`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prepare {
    /// Which transaction.
    pub txid: Txid,
    /// The fingerprint of the client's ring.
    pub ring: u64,
    /// Not to be executed after this moment where nothing is recorded.
    pub not_after: ServerTime,
    /// What the participant is, and where the others are.
    pub role: Role,
    /// From when on others may recover the transaction, at most [`MAX_PATIENCE`] after now.
    pub patience: Span,
    /// Whether a refusal because of a lock is not recorded: the caller waits and asks again.
    pub keep: bool,
    /// What is done here.
    pub work: Work,
}

/// What a participant is in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Its register decides.
    Primary {
        /// The stable ids of all participants' nodes in canonical order, its own the first.
        participants: Vec<Vec<u8>>,
    },
    /// It votes.
    Secondary {
        /// The stable id of the primary's node.
        primary: Vec<u8>,
    },
}

/// How a transaction ends at a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is committed.
    Commit,
    /// It is aborted: recorded even where nothing is known of it.
    Abort,
    /// It is over, nobody knows how: a vote becomes `ABORTED`, anything else stays as it is.
    Release,
}

/// The second phase at one participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finish {
    /// Which transaction.
    pub txid: Txid,
    /// Of the transaction, as in its [`Prepare`].
    pub not_after: ServerTime,
    /// How it ends.
    pub verdict: Verdict,
    /// All its keys here, in the order of its [`Work`] or of an answer; none where none is known.
    pub keys: Vec<Key>,
}

/// A question about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// Which transaction.
    pub txid: Txid,
    /// Of the transaction, as in its [`Prepare`]; zero if unknown.
    pub not_after: ServerTime,
    /// Whether `ABORTED` is recorded where nothing is known of it.
    pub force: bool,
}

/// Cleaning up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sweep {
    /// A part of what may be left over: votes whose patience is over, and the registers of slots
    /// that have not been used for an hour. Locks whose transaction is not prepared are removed.
    Page {
        /// Where the last part ended, `0` for the first part.
        cursor: u64,
    },
    /// Remove these registers, each if it is still of this sequence and `DONE` or `ABORTED`.
    Registers {
        /// Whose.
        txids: Vec<Txid>,
    },
    /// Remove those of these shadows whose slot has prepared nothing.
    Shadows {
        /// Their names, as a scan of the key space gave them.
        names: Vec<Vec<u8>>,
    },
}

impl Role {
    /// The stable id of the primary's node.
    #[must_use]
    pub fn primary(&self) -> &[u8] {
        match self {
            Self::Primary { participants } => participants.first().map_or(b"", Vec::as_slice),
            Self::Secondary { primary } => primary,
        }
    }

    /// A letter and what points to the others, as arguments, registers and answers have it.
    pub(super) fn to_text(&self) -> Vec<u8> {
        match self {
            Self::Primary { participants } => {
                let mut text = b"p".to_vec();
                participants.iter().for_each(|id| write_counted(&mut text, id));
                text
            }
            Self::Secondary { primary } => [b"s", primary.as_slice()].concat(),
        }
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        match text.split_first()? {
            (b'p', rest) => Some(Self::Primary { participants: read_counted(rest)? }),
            (b's', primary) => Some(Self::Secondary { primary: primary.to_vec() }),
            _ => None,
        }
    }
}

/// A length, a colon, and as many bytes.
pub(super) fn write_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    write_padded(out, bytes.len() as u64, 1);
    out.push(b':');
    out.extend_from_slice(bytes);
}

pub(super) fn read_counted(mut text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut list = Vec::new();
    while !text.is_empty() {
        let colon = text.iter().position(|&byte| byte == b':')?;
        let (length, rest) = (text.get(..colon)?, text.get(colon + 1..)?);
        let (bytes, rest) = rest.split_at_checked(usize::try_from(parse_number(length)?).ok()?)?;
        list.push(bytes.to_vec());
        text = rest;
    }
    Some(list)
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
    fn encode(&self, argv: &mut Argv, letter: u8, expected: Option<&[u8]>) {
        let mut head = vec![letter];
        write_padded(&mut head, self.words() as u64, 1);
        argv.push(&head);
        expected.iter().for_each(|expected| argv.push(expected));
        argv.push(&self.name);
        argv.push_number(self.key.into());
        self.arguments.iter().for_each(|word| argv.push(word));
    }

    fn decode<'a>(count: &[u8], words: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let count = usize::try_from(parse_number(count)?).ok()?.checked_sub(2)?;
        let name = words.next()?.to_vec();
        let key = u32::try_from(parse_number(words.next()?)?).ok()?;
        let arguments: Vec<_> = words.take(count).map(<[u8]>::to_vec).collect();
        (arguments.len() == count).then_some(Self { name, key, arguments })
    }
}

/// How the elements of a reply are brought into one order before it is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// They have one.
    Given,
    /// By their bytes.
    Members,
    /// Two by two, by the bytes of the first.
    Pairs,
}

impl Order {
    pub(super) fn of(name: &[u8]) -> Self {
        match name.to_ascii_uppercase().as_slice() {
            b"SMEMBERS" | b"HKEYS" | b"HVALS" => Self::Members,
            b"HGETALL" => Self::Pairs,
            _ => Self::Given,
        }
    }

    const fn letter(self) -> u8 {
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
        let expected = comparable(reply, Order::of(&read.name));
        Self { read, expected }
    }

    /// Expects that the key exists, or that it does not.
    #[must_use]
    pub fn exists(key: u32, exists: bool) -> Self {
        let read = Operation { name: b"EXISTS".to_vec(), key, arguments: Vec::new() };
        Self::new(read, &Reply::Integer(exists.into()))
    }
}

/// A reply in the form in which the script compares it.
pub(super) fn comparable(reply: &Reply, order: Order) -> Vec<u8> {
    let mut text = Vec::new();
    replies::write(&mut text, &reply.clone());
    if order != Order::Given
        && let Some([Reply::Array(mut items)]) =
            replies::read(&text).and_then(|list| <[Reply; 1]>::try_from(list).ok())
    {
        let bytes = |item: &Reply| match item {
            Reply::Bulk(bytes) => bytes.clone(),
            _ => Vec::new(),
        };
        match order {
            Order::Pairs => {
                let mut pairs: Vec<Vec<Reply>> = items.chunks(2).map(<[Reply]>::to_vec).collect();
                pairs.sort_by_key(|pair| pair.first().map(bytes));
                items = pairs.concat();
            }
            Order::Members | Order::Given => items.sort_by_key(bytes),
        }
        text.clear();
        replies::write(&mut text, &Reply::Array(items));
    }
    if text.len() > DIRECT { hex_sha1(&text).to_vec() } else { text }
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
    pub(super) fn digest(&self) -> u64 {
        let mut text = modes(&self.keys);
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

fn modes(keys: &[Key]) -> Vec<u8> {
    keys.iter().map(|key| key.mode.letter()).collect()
}

impl Op {
    /// The script that executes it.
    pub(crate) const fn script(&self) -> Script {
        match self {
            Self::Exec1(_) => Script::Exec1,
            Self::Prepare(_) => Script::Prepare,
            Self::Finish(_) => Script::Finish,
            Self::Status(_) => Script::Status,
            Self::Vote(_) => Script::Vote,
            Self::Sweep(_) => Script::Sweep,
        }
    }

    /// The text of the script that executes it, as a server without it is given it.
    #[must_use]
    pub const fn script_text(&self) -> &'static str {
        self.script().text()
    }

    /// Appends the number of keys, the keys and the arguments, as the script takes them. `meta` is
    /// the participant's hash.
    pub fn encode(&self, meta: &[u8], argv: &mut Argv) {
        match self {
            Self::Exec1(op) => {
                push_keys(argv, meta, op.txid, &op.work.keys);
                push_work(argv, op.txid, op.ring, op.not_after, &op.work);
                let plan = Plan::of(&op.work);
                argv.push(&plan.word());
                argv.push(&plan.order());
                push_checks(argv, &op.work);
                let all = &op.work.operations;
                match &plan {
                    Plan::Shadows => push_for_shadows(argv, all),
                    Plan::Direct { steps, .. } => {
                        for step in steps {
                            if let Some(operation) = all.get(step.operation) {
                                let letter = if step.undone { b'u' } else { b'-' };
                                operation.encode(argv, letter, None);
                            }
                        }
                    }
                }
            }
            Self::Prepare(op) => {
                push_keys(argv, meta, op.txid, &op.work.keys);
                push_work(argv, op.txid, op.ring, op.not_after, &op.work);
                let mut patience = vec![if op.keep { b'k' } else { b'-' }];
                write_padded(&mut patience, op.patience.min(MAX_PATIENCE).as_micros(), 1);
                argv.push(&patience);
                argv.push(&op.role.to_text());
                push_checks(argv, &op.work);
                push_for_shadows(argv, &op.work.operations);
            }
            Self::Finish(op) => {
                push_keys(argv, meta, op.txid, &op.keys);
                argv.push(&op.txid.to_text());
                push_time(argv, op.not_after);
                argv.push(op.verdict.word());
                argv.push(&modes(&op.keys));
            }
            Self::Status(query) | Self::Vote(query) => {
                push_keys(argv, meta, query.txid, &[]);
                argv.push(&query.txid.to_text());
                push_time(argv, query.not_after);
                argv.push(if query.force { b"1" } else { b"0" });
            }
            Self::Sweep(sweep) => {
                let names: &[Vec<u8>] = match sweep {
                    Sweep::Shadows { names } => names,
                    Sweep::Page { .. } | Sweep::Registers { .. } => &[],
                };
                argv.push_number(1 + names.len() as u64);
                argv.push(meta);
                names.iter().for_each(|name| argv.push(name));
                match sweep {
                    Sweep::Page { cursor } => {
                        argv.push(b"P");
                        argv.push_number(*cursor);
                    }
                    Sweep::Registers { txids } => {
                        argv.push(b"R");
                        txids.iter().for_each(|txid| argv.push(&txid.to_text()));
                    }
                    Sweep::Shadows { .. } => argv.push(b"S"),
                }
            }
        }
    }

    /// The operation in a script's keys, without the participant's hash, and arguments; none if
    /// they are not one.
    pub(crate) fn decode<'a>(
        script: Script,
        names: &[&'a [u8]],
        words: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Option<Self> {
        if script == Script::Sweep {
            return Sweep::decode(names, words).map(Self::Sweep);
        }
        let txid = Txid::parse(words.next()?)?;
        match script {
            Script::Exec1 | Script::Prepare => {
                let ring = parse_hex(words.next()?)?;
                let (digest, not_after) = words.next()?.split_at_checked(16)?;
                let not_after = ServerTime(parse_number(not_after)?);
                let mut work = Work { keys: keys(names, words.next()?)?, ..Work::default() };
                let mut number = || u32::try_from(parse_number(words.next()?)?).ok();
                let (checks, operations) = (number()?, number()?);
                (work.copy_elements, work.copy_bytes) = (number()?, number()?);
                let (first, second) = (words.next()?, words.next()?);
                let order = if script == Script::Exec1 { second } else { b"" };
                for _ in 0..checks {
                    let (_, count) = words.next()?.split_at_checked(1)?;
                    let expected = words.next()?.to_vec();
                    work.checks.push(Check { read: Operation::decode(count, words)?, expected });
                }
                let mut all = Vec::new();
                for place in read_order(order, usize::try_from(operations).ok()?)? {
                    let (_, count) = words.next()?.split_at_checked(1)?;
                    all.push((place, Operation::decode(count, words)?));
                }
                all.sort_by_key(|(place, _)| *place);
                work.operations = all.into_iter().map(|(_, operation)| operation).collect();
                work.check().ok()?;
                (parse_hex(digest)? == work.digest()).then_some(())?;
                if script == Script::Exec1 {
                    return Some(Self::Exec1(Exec1 { txid, ring, not_after, work }));
                }
                let (keep, patience) = first.split_first()?;
                Some(Self::Prepare(Prepare {
                    txid,
                    ring,
                    not_after,
                    role: Role::parse(second)?,
                    patience: Span::from_micros(parse_number(patience)?).min(MAX_PATIENCE),
                    keep: *keep == b'k',
                    work,
                }))
            }
            Script::Finish => {
                let not_after = ServerTime(parse_number(words.next()?)?);
                let verdict = Verdict::parse(words.next()?)?;
                let keys = keys(names, words.next()?)?;
                Some(Self::Finish(Finish { txid, not_after, verdict, keys }))
            }
            Script::Status | Script::Vote => {
                let not_after = ServerTime(parse_number(words.next()?)?);
                let query = Query { txid, not_after, force: words.next()? == b"1" };
                Some(if script == Script::Vote { Self::Vote(query) } else { Self::Status(query) })
            }
            _ => None,
        }
    }
}

impl Verdict {
    const fn word(self) -> &'static [u8] {
        match self {
            Self::Commit => b"C",
            Self::Abort => b"A",
            Self::Release => b"Q",
        }
    }

    fn parse(word: &[u8]) -> Option<Self> {
        [Self::Commit, Self::Abort, Self::Release].into_iter().find(|one| one.word() == word)
    }
}

impl Sweep {
    fn decode<'a>(names: &[&[u8]], words: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        Some(match words.next()? {
            b"P" => Self::Page { cursor: parse_number(words.next()?)? },
            b"R" => Self::Registers { txids: words.map(Txid::parse).collect::<Option<_>>()? },
            b"S" => Self::Shadows { names: names.iter().map(|name| name.to_vec()).collect() },
            _ => return None,
        })
    }
}

/// The participant's hash, the keys, and a shadow for each that is written.
fn push_keys(argv: &mut Argv, meta: &[u8], txid: Txid, keys: &[Key]) {
    let written = || keys.iter().enumerate().filter(|(_, key)| key.mode == Mode::Write);
    argv.push_number(1 + keys.len() as u64 + written().count() as u64);
    argv.push(meta);
    keys.iter().for_each(|key| argv.push(&key.name));
    written().for_each(|(index, _)| argv.push(&shadow(meta, txid, index)));
}

/// The keys with these modes; the shadows behind them are told by the names.
fn keys(names: &[&[u8]], modes: &[u8]) -> Option<Vec<Key>> {
    let written = modes.iter().filter(|mode| **mode == Mode::Write.letter()).count();
    (names.len() == modes.len() + written).then_some(())?;
    let key =
        |(name, mode): (&&[u8], &u8)| Some(Key { name: name.to_vec(), mode: Mode::parse(*mode)? });
    names.iter().zip(modes).map(key).collect()
}

fn push_work(argv: &mut Argv, txid: Txid, ring: u64, not_after: ServerTime, work: &Work) {
    argv.push(&txid.to_text());
    let mut columns = Vec::with_capacity(32);
    write_hex(&mut columns, ring);
    argv.push(&columns);
    columns.clear();
    write_hex(&mut columns, work.digest());
    write_padded(&mut columns, not_after.0.min(COLUMN_END - 1), WIDTH);
    argv.push(&columns);
    argv.push(&modes(&work.keys));
    argv.push_number(work.checks.len() as u64);
    argv.push_number(work.operations.len() as u64);
    argv.push_number(work.copy_elements.into());
    argv.push_number(work.copy_bytes.into());
}

fn push_checks(argv: &mut Argv, work: &Work) {
    for Check { read, expected } in &work.checks {
        read.encode(argv, Order::of(&read.name).letter(), Some(expected));
    }
}

fn push_for_shadows(argv: &mut Argv, operations: &[Operation]) {
    for operation in operations {
        operation.encode(argv, operation.need().letter(), None);
    }
}

fn push_time(argv: &mut Argv, time: ServerTime) {
    argv.push_padded(time.0.min(COLUMN_END - 1), WIDTH);
}
