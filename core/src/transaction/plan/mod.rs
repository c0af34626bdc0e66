//! What a transaction does, participant by participant: worked out, and refused if it cannot be
//! done, before anything is sent.

mod commands;
pub(in crate::transaction) mod execution;
pub(in crate::transaction) mod work;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::commands::{Allowed, Merge, allowed, short};
pub use self::work::{Check, Key, Mode, Operation, Work};
use crate::error::{Error, ErrorCode, Result};
use crate::keyspace::command::Access;
use crate::redis::Reply;
use crate::stamp::Stamp;
use crate::table::Names;
use crate::transaction::{CopyLimits, MAX_OPERATIONS, MAX_WORDS};

/// The most participants of a transaction.
pub const MAX_PARTICIPANTS: usize = 128;

/// Where keys are. A participant is what one script may touch, under an id that stays the same
/// whatever its address is: today a node of a ring, and a slot of a Redis Cluster is nothing else.
pub(crate) trait Places {
    /// The stable id of the participant that has `key`; none where there is no participant at all.
    fn participant_of(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// The stamp that two clients have in common if they place keys alike.
    fn stamp(&self) -> Stamp;

    /// Whether `key` is one of comity's own.
    fn is_own(&self, key: &[u8]) -> bool;
}

/// A command with its arguments.
pub type Words = Vec<Vec<u8>>;

/// What has to be so, for a transaction to be applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expectation {
    /// This read is answered as it was before. A key that it names is locked, so it stays so.
    Unchanged {
        /// A command that only reads.
        read: Words,
        /// What it was answered.
        reply: Reply,
    },
    /// The key holds this string.
    Value {
        /// Which key.
        key: Vec<u8>,
        /// What it holds.
        value: Vec<u8>,
    },
    /// The key exists.
    Exists {
        /// Which key.
        key: Vec<u8>,
    },
    /// The key does not exist.
    Absent {
        /// Which key.
        key: Vec<u8>,
    },
}

/// What happens at one participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanPart {
    /// Its stable id.
    pub participant: Vec<u8>,
    /// What it is asked to do.
    pub work: Arc<Work>,
    /// For each operation, the number of the command that it is a part of, from 0.
    commands: Vec<u32>,
    /// For each check, the number of the expectation, from 0.
    expectations: Vec<u32>,
}

/// A command, as far as its reply goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Shape {
    name: Vec<u8>,
    merge: Merge,
    /// The place of its participant.
    place: usize,
}

/// A transaction by participants, the primary first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransactionPlan {
    /// The stamp of the ring that places the keys: each participant's is this at its id.
    pub ring: Stamp,
    /// In canonical order: by the bytes of their ids.
    pub parts: Vec<PlanPart>,
    shapes: Vec<Shape>,
}

/// A part that is being worked out.
#[derive(Default)]
struct Building {
    work: Work,
    places: Names<u32>,
    commands: Vec<u32>,
    expectations: Vec<u32>,
}

/// The parts by the ids of their participants, in the order of these.
type Parts = Vec<(Vec<u8>, Building)>;

impl Building {
    /// The place of `key` in the list, where it is locked at least for `mode`.
    fn key(&mut self, name: &[u8], mode: Mode) -> Result<u32> {
        if let Some(&place) = self.places.get(name) {
            if let Some(key) = self.work.keys.get_mut(place as usize) {
                key.mode = key.mode.max(mode);
            }
            return Ok(place);
        }
        let place = u32::try_from(self.work.keys.len()).map_err(|_| too_many())?;
        self.work.keys.push(Key { name: name.to_vec(), mode });
        self.places.add(name.to_vec(), place);
        Ok(place)
    }
}

fn too_many() -> Error {
    Error::limit(format!(
        "transaction: more operations and checks than {MAX_OPERATIONS} for each of {MAX_PARTICIPANTS} participants"
    ))
}

impl TransactionPlan {
    /// What these commands, each its name and its arguments, come to if all expectations are met.
    ///
    /// # Errors
    /// `Unsupported` for a command that no transaction takes, and one whose keys are at two
    /// participants; `InvalidArgument` for wrong arguments, a key of comity's own, and nothing to
    /// do; `LimitExceeded` beyond a limit, which it names.
    pub(crate) fn new(
        commands: &[Words],
        expectations: &[Expectation],
        copy: CopyLimits,
        places: &impl Places,
    ) -> Result<Self> {
        if commands.is_empty() && expectations.is_empty() {
            return Err(Error::invalid("transaction: nothing to do"));
        }
        if commands.len() + expectations.len() > MAX_OPERATIONS * MAX_PARTICIPANTS {
            return Err(too_many());
        }
        let (mut parts, mut shapes) = (Parts::new(), Vec::new());
        for (number, expectation) in (0..).zip(expectations) {
            expect(number, expectation, places, &mut parts)?;
        }
        let mut homes = Vec::with_capacity(commands.len());
        for (number, words) in (0..).zip(commands) {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let (shape, home) = add(number, &words, places, &mut parts)?;
            shapes.push(shape);
            homes.push(home);
        }
        if parts.len() > MAX_PARTICIPANTS {
            return Err(Error::limit(format!(
                "transaction: {} participants, the limit is {MAX_PARTICIPANTS}",
                parts.len()
            )));
        }
        for (shape, home) in shapes.iter_mut().zip(&homes) {
            shape.place = parts.iter().position(|(id, _)| id == home).unwrap_or_default();
        }
        let finished = |(participant, mut part): (Vec<u8>, Building)| {
            (part.work.copy_elements, part.work.copy_bytes) = (copy.elements, copy.bytes);
            part.work.check()?;
            let Building { work, commands, expectations, .. } = part;
            Ok(PlanPart { participant, work: Arc::new(work), commands, expectations })
        };
        let parts = parts.into_iter().map(finished).collect::<Result<_>>()?;
        Ok(Self { ring: places.stamp(), parts, shapes })
    }

    /// The stable id of the participant whose register decides.
    #[must_use]
    pub fn primary(&self) -> &[u8] {
        self.participant(0).unwrap_or_default()
    }

    /// The stable id of the participant at `place`.
    #[must_use]
    pub fn participant(&self, place: usize) -> Option<&[u8]> {
        self.parts.get(place).map(|part| part.participant.as_slice())
    }

    /// The stable ids of all participants.
    #[must_use]
    pub fn participants(&self) -> Vec<Vec<u8>> {
        self.parts.iter().map(|part| part.participant.clone()).collect()
    }

    /// Whether anything is written.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.parts.iter().any(|part| part.work.writes())
    }

    /// Every key.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.parts.iter().flat_map(|part| &part.work.keys)
    }

    /// The key at a place in the work of a participant.
    #[must_use]
    pub fn key(&self, place: usize, key: u32) -> Option<&[u8]> {
        let key = self.parts.get(place)?.work.keys.get(usize::try_from(key).ok()?)?;
        Some(&key.name)
    }

    /// The key that a check at a participant reads.
    #[must_use]
    pub fn checked_key(&self, place: usize, check: u32) -> Option<&[u8]> {
        let check = self.parts.get(place)?.work.checks.get(usize::try_from(check).ok()?)?;
        self.key(place, check.read.key)
    }

    /// The number of the expectation that a check at a participant belongs to, from 0.
    #[must_use]
    pub fn expectation(&self, place: usize, check: u32) -> Option<u32> {
        self.parts.get(place)?.expectations.get(usize::try_from(check).ok()?).copied()
    }

    /// The number, from 0, and the name of the command that an operation belongs to.
    #[must_use]
    pub fn command(&self, place: usize, operation: u32) -> Option<(u32, &[u8])> {
        let number = *self.parts.get(place)?.commands.get(usize::try_from(operation).ok()?)?;
        let shape = self.shapes.get(usize::try_from(number).ok()?)?;
        Some((number, &shape.name))
    }

    /// The replies of the commands, of the replies of each participant's operations; none if some
    /// are missing.
    #[must_use]
    pub fn replies(&self, parts: Vec<Vec<Reply>>) -> Option<Vec<Reply>> {
        let mut left: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
        let mut numbers: Vec<_> =
            self.parts.iter().map(|part| part.commands.iter().peekable()).collect();
        let merged = (0..).zip(&self.shapes).map(|(number, shape)| {
            let (left, numbers) = (left.get_mut(shape.place)?, numbers.get_mut(shape.place)?);
            let mut replies = Vec::new();
            while numbers.next_if(|own| **own == number).is_some() {
                replies.push(left.next()?);
            }
            merge(shape.merge, replies)
        });
        merged.collect()
    }
}

fn merge(how: Merge, replies: Vec<Reply>) -> Option<Reply> {
    match how {
        Merge::One | Merge::Same => replies.into_iter().next(),
        Merge::Sum => replies
            .into_iter()
            .try_fold(0_i64, |sum, reply| match reply {
                Reply::Integer(number) => sum.checked_add(number),
                _ => None,
            })
            .map(Reply::Integer),
        Merge::Joined => replies
            .into_iter()
            .map(|reply| match reply {
                Reply::Array(items) => Some(items),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(|items| Reply::Array(items.concat())),
    }
}

/// The part of the participant that has `key`.
fn part_of<'a>(
    who: impl Fn() -> String,
    key: &[u8],
    places: &impl Places,
    parts: &'a mut Parts,
) -> Result<(Vec<u8>, &'a mut Building)> {
    if places.is_own(key) {
        return Err(Error::invalid(format!(
            "{}: key '{}' is one of comity's own: locks and counters are not written by transactions",
            who(),
            short(key)
        )));
    }
    let none = || Error::new(ErrorCode::Internal, "a ring that was not empty finds no node");
    let id = places.participant_of(key).ok_or_else(none)?;
    let place = parts.binary_search_by(|(other, _)| other.cmp(&id)).unwrap_or_else(|place| {
        parts.insert(place, (id.clone(), Building::default()));
        place
    });
    Ok((id, &mut parts[place].1))
}

/// Adds a command; where it goes is worked out when all participants are known.
fn add(
    number: u32,
    words: &[&[u8]],
    places: &impl Places,
    parts: &mut Parts,
) -> Result<(Shape, Vec<u8>)> {
    if words.len() > MAX_WORDS {
        return Err(Error::limit(format!(
            "Command # {}: {} words, the limit is {MAX_WORDS}",
            number + 1,
            words.len()
        )));
    }
    let allowed = allowed(number as usize + 1, words)?;
    let name = words.first().copied().unwrap_or_default().to_ascii_uppercase();
    let called = allowed.name.map_or(name.as_slice(), str::as_bytes);
    let who = || format!("Command # {} ({})", number + 1, short(&name));
    let mut home: Option<(Vec<u8>, Vec<u8>)> = None;
    for part in pieces(&allowed, words) {
        let Some((key, arguments)) = part.split_first() else { continue };
        let (id, building) = part_of(who, key, places, parts)?;
        match &home {
            None => home = Some((id, key.to_vec())),
            Some((first, _)) if *first == id => {}
            Some((first, other)) => {
                return Err(Error::new(
                    ErrorCode::Unsupported,
                    format!(
                        "{}: keys '{}' and '{}' are at two participants, '{}' and '{}': use a command for each",
                        who(),
                        short(other),
                        short(key),
                        short(first),
                        short(&id)
                    ),
                ));
            }
        }
        let mode = if allowed.access == Access::Read { Mode::Shared } else { Mode::Write };
        let place = building.key(key, mode)?;
        building.work.operations.push(operation(called, place, arguments));
        building.commands.push(number);
        if building.work.operations.len() > MAX_OPERATIONS {
            // Said with the count by the check of the whole; here it only bounds the memory.
            building.work.check()?;
        }
    }
    let shape = Shape { name, merge: allowed.merge, place: 0 };
    Ok((shape, home.map(|(id, _)| id).unwrap_or_default()))
}

/// The keys of a command, each with what belongs to it.
fn pieces<'a>(allowed: &Allowed, words: &'a [&'a [u8]]) -> impl Iterator<Item = &'a [&'a [u8]]> {
    let rest = words.get(1..).unwrap_or_default();
    rest.chunks(allowed.stride.unwrap_or(rest.len()).max(1))
}

fn operation(name: &[u8], key: u32, arguments: &[&[u8]]) -> Operation {
    let arguments = arguments.iter().map(|word| word.to_vec()).collect();
    Operation { name: name.to_vec(), key, arguments }
}

fn expect(
    number: u32,
    expectation: &Expectation,
    places: &impl Places,
    parts: &mut Parts,
) -> Result<()> {
    let who = || format!("expectation # {}", number + 1);
    let get = |key: u32| operation(b"GET", key, &[]);
    let mut add = |key: &[u8], check: &dyn Fn(u32) -> Check| {
        let (_, building) = part_of(who, key, places, parts)?;
        let place = building.key(key, Mode::Shared)?;
        building.work.checks.push(check(place));
        building.expectations.push(number);
        Ok(())
    };
    match expectation {
        Expectation::Value { key, value } => {
            add(key, &|place| Check::new(get(place), &Reply::bulk(value.clone())))
        }
        Expectation::Exists { key } => add(key, &|place| Check::exists(place, true)),
        Expectation::Absent { key } => add(key, &|place| Check::exists(place, false)),
        Expectation::Unchanged { read, reply } => {
            let words: Vec<&[u8]> = read.iter().map(Vec::as_slice).collect();
            if words.len() > MAX_WORDS {
                return Err(Error::limit(format!(
                    "{}: {} words, the limit is {MAX_WORDS}",
                    who(),
                    words.len()
                )));
            }
            let allowed = allowed(number as usize + 1, &words)?;
            let pieces: Vec<_> = pieces(&allowed, &words).collect();
            let (1, Some((key, arguments))) =
                (pieces.len(), pieces.first().and_then(|piece| piece.split_first()))
            else {
                return Err(Error::new(
                    ErrorCode::Unsupported,
                    format!("{}: a read of one key is needed: use one for each", who()),
                ));
            };
            let name = words.first().copied().unwrap_or_default();
            if allowed.access != Access::Read {
                return Err(Error::invalid(format!("{}: {} writes", who(), short(name))));
            }
            add(key, &|place| Check::new(operation(name, place, arguments), reply))
        }
    }
}
