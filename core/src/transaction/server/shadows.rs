//! Operations on shadows and what becomes of them, as `shadows.lua` and `apply.lua` have it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::work::run;
use crate::keyspace::command;
use crate::keyspace::{Keyspace, Value};
use crate::redis::{Reply, parse_number};
use crate::transaction::plan::execution::Need;
use crate::transaction::protocol::{replies, shadow};
use crate::transaction::{Mode, Rejection, Txid, Work};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was only read.
    Shared,
    /// It was only locked.
    Exclusive,
    /// It was to be written, but was not.
    Unwritten,
    /// It is deleted.
    Deleted,
    /// Its shadow takes its place.
    Written {
        /// Redis unlinks what was there first.
        unlinks: bool,
        /// The millisecond at which the shadow ends.
        ends: Option<u64>,
    },
}

impl Outcome {
    pub(super) fn to_text(self) -> String {
        match self {
            Self::Shared => "S;".into(),
            Self::Exclusive => "X;".into(),
            Self::Unwritten => "x;".into(),
            Self::Deleted => "d;".into(),
            Self::Written { unlinks, ends } => {
                let letter = if unlinks { 'W' } else { 'w' };
                ends.map_or_else(|| format!("{letter};"), |ends| format!("{letter}{ends};"))
            }
        }
    }

    pub(super) fn parse_all(text: &[u8]) -> Option<Vec<Self>> {
        if text.is_empty() {
            return Some(Vec::new());
        }
        text.strip_suffix(b";")?.split(|&byte| byte == b';').map(Self::parse).collect()
    }

    fn parse(word: &[u8]) -> Option<Self> {
        let (letter, ends) = word.split_first()?;
        let written = |unlinks| {
            let ends = if ends.is_empty() { None } else { Some(parse_number(ends)?) };
            Some(Self::Written { unlinks, ends })
        };
        match letter {
            b'S' => Some(Self::Shared),
            b'X' => Some(Self::Exclusive),
            b'x' => Some(Self::Unwritten),
            b'd' => Some(Self::Deleted),
            b'W' => written(true),
            b'w' => written(false),
            _ => None,
        }
    }
}

/// The shadows of one transaction.
pub(super) struct Shadows<'a> {
    meta: &'a [u8],
    txid: Txid,
    work: &'a Work,
    /// By the key's place, and whether what is at the key is to be unlinked.
    made: BTreeMap<u32, (Vec<u8>, bool)>,
}

impl<'a> Shadows<'a> {
    pub(super) const fn new(meta: &'a [u8], txid: Txid, work: &'a Work) -> Self {
        Self { meta, txid, work, made: BTreeMap::new() }
    }

    /// Executes the operations: the replies as text, and what becomes of each key. If one fails
    /// there are no shadows.
    pub(super) fn execute(
        mut self,
        space: &mut Keyspace,
    ) -> Result<(Vec<u8>, Vec<Outcome>), Rejection> {
        let mut all = Vec::new();
        for place in 0..self.work.operations.len() {
            match self.operation(space, place) {
                Ok(reply) => replies::write(&mut all, &reply),
                Err(refusal) => {
                    for (name, _) in self.made.values() {
                        space.delete(name);
                    }
                    return Err(refusal);
                }
            }
        }
        Ok((all, self.outcomes(space)))
    }

    fn operation(&mut self, space: &mut Keyspace, place: usize) -> Result<Reply, Rejection> {
        let (work, number) = (self.work, u32::try_from(place).unwrap_or(u32::MAX));
        let Some(operation) = work.operations.get(place) else { return Ok(Reply::Nil) };
        let key = work.key(operation).map_or(&[][..], |key| key.name.as_slice());
        let need = operation.need();
        if !self.made.contains_key(&operation.key) && need != Need::Read {
            let index = usize::try_from(operation.key).unwrap_or(usize::MAX);
            let name = shadow(self.meta, self.txid, index);
            let mut unlinks = true;
            if need == Need::Copy {
                check_size(space, key, operation.key, work)?;
                unlinks = space.value(key).is_some_and(|v| !matches!(v, Value::String(_)));
                space.delete(&name);
                command::execute(space, &[b"COPY", key, &name]);
            } else if need == Need::Delete {
                space.delete(&name);
            }
            self.made.insert(operation.key, (name, unlinks));
            if need == Need::Delete {
                return Ok(Reply::Integer(space.exists(key).into()));
            }
        }
        let target = self.made.get(&operation.key).map_or(key, |(name, _)| name.as_slice());
        let reply = run(space, operation, target);
        match reply {
            Reply::Error(error) => Err(Rejection::Failed { operation: number, error }),
            reply => Ok(reply),
        }
    }

    fn outcomes(&self, space: &Keyspace) -> Vec<Outcome> {
        let now_ms = space.now().0 / 1_000;
        let outcome = |(index, mode): (u32, Mode)| match (mode, self.made.get(&index)) {
            (Mode::Shared, _) => Outcome::Shared,
            (Mode::Exclusive, _) => Outcome::Exclusive,
            (Mode::Write, None) => Outcome::Unwritten,
            (Mode::Write, Some((name, _))) if !space.exists(name) => Outcome::Deleted,
            (Mode::Write, Some((name, unlinks))) => {
                let ends = space.ttl_ms(name).map(|left| now_ms + left);
                Outcome::Written { unlinks: *unlinks, ends }
            }
        };
        let modes = self.work.keys.iter().map(|key| key.mode);
        (0..).zip(modes).map(outcome).collect()
    }
}

/// Refuses what would take long to copy.
fn check_size(space: &Keyspace, key: &[u8], number: u32, work: &Work) -> Result<(), Rejection> {
    let sum = |sizes: &mut dyn Iterator<Item = usize>| sizes.sum::<usize>() as u64;
    let (count, bytes) = match space.value(key) {
        None => return Ok(()),
        Some(Value::String(bytes)) => (0, bytes.len() as u64),
        Some(Value::Hash(hash)) => {
            (hash.len(), sum(&mut hash.iter().map(|(field, value)| field.len() + value.len())))
        }
        Some(Value::Set(set)) => (set.len(), sum(&mut set.iter().map(Vec::len))),
        Some(Value::List(list)) => (list.len(), sum(&mut list.iter().map(Vec::len))),
        Some(Value::SortedSet(set)) => (set.len(), sum(&mut set.iter().map(|(m, _)| m.len() + 8))),
    };
    for (size, limit) in [(count as u64, work.copy_elements), (bytes, work.copy_bytes)] {
        if size > limit.into() {
            return Err(Rejection::Large { key: number, size, limit: limit.into() });
        }
    }
    Ok(())
}

/// Lets a shadow become its key: false if it is gone though it ought to be there.
pub(super) fn apply(space: &mut Keyspace, outcome: Outcome, key: &[u8], shadow: &[u8]) -> bool {
    match outcome {
        Outcome::Shared | Outcome::Exclusive | Outcome::Unwritten => true,
        Outcome::Deleted => {
            space.delete(key);
            true
        }
        Outcome::Written { ends, .. } => {
            let renamed = command::execute(space, &[b"RENAME", shadow, key]);
            if !matches!(renamed, Reply::Error(_)) {
                return true;
            }
            let ended = ends.is_some_and(|ms| space.now().0 + 2_000 >= ms.saturating_mul(1_000));
            if ended {
                space.delete(key);
            }
            ended
        }
    }
}
