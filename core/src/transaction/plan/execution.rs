//! How the operations of a whole transaction are executed so that one that fails leaves nothing of
//! the others: on the keys themselves where that can be undone, otherwise on shadows.
//!
//! Operations on different keys may change places. First come reads of keys that nothing has
//! written yet. Then what can fail and can be undone, which are operations on strings: one `GET`
//! before and one `SET` with `KEEPTTL` after. Then at most one that cannot be undone, because
//! nothing that can fail follows. Last what cannot fail: by its words alone, or because its key was
//! found to be of its type.

use alloc::vec;
use alloc::vec::Vec;

use super::work::{Operation, Work};
use crate::keyspace::command::{Access, Command};
use crate::redis::{parse_number, write_padded};

/// What an operation needs of a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transaction) enum Need {
    /// None: it only reads.
    Read,
    /// To be empty: whatever was there goes.
    Delete,
    /// Nothing of the key: what it writes does not hang on what was there.
    Overwrite,
    /// A copy of the key.
    Copy,
}

impl Need {
    pub(in crate::transaction) const fn letter(self) -> u8 {
        match self {
            Self::Read => b'r',
            Self::Delete => b'd',
            Self::Overwrite => b'o',
            Self::Copy => b'w',
        }
    }
}

/// A type of value that a key can be asked to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transaction) enum Type {
    String,
    Hash,
    List,
    Set,
    SortedSet,
}

impl Type {
    /// As `TYPE` calls it.
    pub(in crate::transaction) const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
        }
    }
}

/// A type that a key must have, or it must not exist, for an operation not to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transaction) struct Guard {
    pub(in crate::transaction) operation: usize,
    pub(in crate::transaction) key: u32,
    pub(in crate::transaction) wanted: Type,
}

/// One operation on its key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transaction) struct Step {
    /// Its place in the transaction.
    pub(in crate::transaction) operation: usize,
    /// Whether it is undone when a later one fails.
    pub(in crate::transaction) undone: bool,
}

/// How a whole transaction is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::transaction) enum ExecutionPlan {
    /// On shadows, in the order given.
    Shadows,
    /// On the keys themselves.
    Direct { guards: Vec<Guard>, steps: Vec<Step> },
}

/// What is known of a sound operation by its words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Reads, and cannot fail on a key of this type, or of any.
    SoundRead(Option<Type>),
    Read,
    /// Writes, cannot fail, and leaves the key like this.
    Sure(After),
    /// Writes, and fails only on a key of another type.
    Typed(Type),
    /// Writes a string, can fail, and can be undone.
    Undoable,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// As it was: nothing that is still to come has an end in the past.
    AsBefore,
    /// As it was, or gone.
    PerhapsGone,
    Gone,
    String,
    /// A string, or as before.
    Perhaps,
}

/// What is known of a key's type before an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// As stored.
    Stored,
    Gone,
    /// Of this type, or gone.
    Is(Type),
    Nothing,
}

/// With what the operations on a key have begun.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Began {
    /// Nothing but reads.
    Reads,
    /// What cannot fail, which comes last.
    Late,
    /// What can be undone.
    Early,
    /// That, and then what cannot fail.
    EarlyThenLate,
    /// What cannot be undone.
    Closed,
}

impl Operation {
    /// What it needs of a shadow.
    pub(in crate::transaction) fn need(&self) -> Need {
        let sets = |plain: &[&str]| self.argument_is(1, plain);
        match (self.name.to_ascii_uppercase().as_slice(), self.arguments.len()) {
            _ if self.reads() => Need::Read,
            (b"DEL" | b"UNLINK", 0) => Need::Delete,
            (b"SET", 1) => Need::Overwrite,
            (b"SET", 3) if sets(&["EX", "PX", "EXAT", "PXAT"]) => Need::Overwrite,
            _ => Need::Copy,
        }
    }

    /// Whether a server whose memory is full takes it all the same.
    pub(in crate::transaction) fn frees(&self) -> bool {
        const FREE: [&str; 25] = [
            "DEL",
            "EXPIRE",
            "EXPIREAT",
            "GETDEL",
            "GETEX",
            "HDEL",
            "LPOP",
            "LREM",
            "LTRIM",
            "PERSIST",
            "PEXPIRE",
            "PEXPIREAT",
            "RPOP",
            "SPOP",
            "SREM",
            "UNLINK",
            "XACK",
            "XDEL",
            "XTRIM",
            "ZPOPMAX",
            "ZPOPMIN",
            "ZREM",
            "ZREMRANGEBYLEX",
            "ZREMRANGEBYRANK",
            "ZREMRANGEBYSCORE",
        ];
        FREE.iter().any(|name| self.name.eq_ignore_ascii_case(name.as_bytes()))
    }

    fn reads(&self) -> bool {
        self.access() == Some(Access::Read)
    }

    /// Whether the argument at `index` is one of these words, in any case.
    fn argument_is(&self, index: usize, words: &[&str]) -> bool {
        let argument = self.arguments.get(index);
        argument.is_some_and(|a| words.iter().any(|word| a.eq_ignore_ascii_case(word.as_bytes())))
    }

    fn class(&self) -> Class {
        let Some(command) = Command::find(&self.name) else { return Class::Other };
        if !command.takes(2 + self.arguments.len()) {
            return if self.reads() { Class::Read } else { Class::Other };
        }
        match (command.name, self.arguments.len()) {
            ("EXISTS" | "TYPE" | "MGET", 0) => Class::SoundRead(None),
            ("GET" | "STRLEN", _) => Class::SoundRead(Some(Type::String)),
            ("HGET" | "HMGET" | "HGETALL" | "HLEN" | "HEXISTS", _) => {
                Class::SoundRead(Some(Type::Hash))
            }
            ("SISMEMBER" | "SCARD" | "SMEMBERS", _) => Class::SoundRead(Some(Type::Set)),
            ("LLEN", _) => Class::SoundRead(Some(Type::List)),
            ("ZSCORE" | "ZCARD" | "ZRANK", _) => Class::SoundRead(Some(Type::SortedSet)),
            ("DEL", 0) => Class::Sure(After::Gone),
            ("PERSIST", _) => Class::Sure(After::AsBefore),
            ("EXPIRE" | "PEXPIRE", 1) if self.is_span(0) => Class::Sure(After::AsBefore),
            ("EXPIREAT" | "PEXPIREAT", 1) if self.is_span(0) => Class::Sure(After::PerhapsGone),
            ("SET", _) => self.set(),
            ("HSET", count) if count % 2 == 0 => Class::Typed(Type::Hash),
            ("HSETNX" | "HDEL", _) => Class::Typed(Type::Hash),
            ("SADD" | "SREM", _) => Class::Typed(Type::Set),
            ("LPUSH" | "RPUSH", _) | ("LPOP" | "RPOP", 0) => Class::Typed(Type::List),
            ("ZREM", _) => Class::Typed(Type::SortedSet),
            ("INCR" | "DECR" | "INCRBY" | "DECRBY" | "INCRBYFLOAT" | "APPEND" | "SETRANGE", _) => {
                Class::Undoable
            }
            _ if self.reads() => Class::Read,
            _ => Class::Other,
        }
    }

    /// Whether the argument at `index` is a number of seconds or milliseconds that every server
    /// takes as an end: positive, and below the year 5000 or so.
    fn is_span(&self, index: usize) -> bool {
        let argument = self.arguments.get(index).filter(|word| !word.starts_with(b"0"));
        argument.and_then(|word| parse_number(word)).is_some_and(|number| number < 1 << 46)
    }

    /// `SET` with options that are sound together on every server.
    fn set(&self) -> Class {
        let (mut ends, mut after, mut at) = (false, After::String, 1);
        while at < self.arguments.len() {
            if self.argument_is(at, &["NX", "XX"]) && after == After::String {
                after = After::Perhaps;
            } else if self.argument_is(at, &["KEEPTTL"]) && !ends {
                ends = true;
            } else if self.argument_is(at, &["EX", "PX", "EXAT", "PXAT"])
                && !ends
                && self.is_span(at + 1)
            {
                ends = true;
                at += 1;
            } else {
                return Class::Other;
            }
            at += 1;
        }
        Class::Sure(after)
    }
}

/// What the operations so far have come to.
struct Draft {
    keys: Vec<(Began, Known)>,
    guards: Vec<Guard>,
    reads: Vec<usize>,
    early: Vec<(usize, Class)>,
    closing: Option<usize>,
    late: Vec<usize>,
}

impl ExecutionPlan {
    pub(in crate::transaction) fn of(work: &Work) -> Self {
        let mut draft = Draft {
            keys: vec![(Began::Reads, Known::Stored); work.keys.len()],
            guards: Vec::new(),
            reads: Vec::new(),
            early: Vec::new(),
            closing: None,
            late: Vec::new(),
        };
        for (place, operation) in work.operations.iter().enumerate() {
            if draft.add(place, operation).is_none() {
                return Self::Shadows;
            }
        }
        let last = match draft.closing {
            Some(_) => None,
            None => draft.early.iter().rposition(|(_, class)| *class == Class::Undoable),
        };
        let step = |operation| Step { operation, undone: false };
        let mut steps: Vec<Step> = draft.reads.into_iter().map(step).collect();
        steps.extend(draft.early.into_iter().enumerate().map(|(n, (operation, class))| Step {
            operation,
            undone: class == Class::Undoable && Some(n) != last,
        }));
        steps.extend(draft.closing.into_iter().chain(draft.late).map(step));
        Self::Direct { guards: draft.guards, steps }
    }

    /// Which way, and the guards: as the script takes them.
    pub(in crate::transaction) fn word(&self) -> Vec<u8> {
        let Self::Direct { guards, .. } = self else { return b"S".to_vec() };
        let mut word = b"D".to_vec();
        for Guard { operation, key, wanted } in guards {
            write_padded(&mut word, *operation as u64, 3);
            write_padded(&mut word, (*key).into(), 4);
            word.extend(wanted.name().bytes().take(1));
        }
        word
    }

    /// The places of the operations in the order of their execution, empty where it is that in
    /// which they were given.
    pub(in crate::transaction) fn order(&self) -> Vec<u8> {
        let mut word = Vec::new();
        if let Self::Direct { steps, .. } = self
            && steps.iter().enumerate().any(|(n, step)| n != step.operation)
        {
            steps.iter().for_each(|step| write_padded(&mut word, step.operation as u64, 3));
        }
        word
    }
}

/// The places in such an order of `count` operations; none if it is not one.
pub(in crate::transaction) fn read_order(word: &[u8], count: usize) -> Option<Vec<usize>> {
    if word.is_empty() {
        return Some((0..count).collect());
    }
    (word.len() == 3 * count).then_some(())?;
    let place = |digits: &[u8]| usize::try_from(parse_number(digits)?).ok();
    let order: Vec<usize> = word.chunks(3).map(place).collect::<Option<_>>()?;
    let mut free = vec![true; count];
    let mut taken = order.iter().map(|place| free.get_mut(*place).is_some_and(core::mem::take));
    taken.all(|taken| taken).then_some(order)
}

impl Draft {
    /// Finds the place of one more operation; none if it has none.
    fn add(&mut self, place: usize, operation: &Operation) -> Option<()> {
        let key = self.keys.get_mut(usize::try_from(operation.key).ok()?)?;
        let class = operation.class();
        match (class, *key) {
            (Class::SoundRead(_) | Class::Read, (Began::Reads, _)) => self.reads.push(place),
            (Class::SoundRead(wanted), (began, known)) if began != Began::Closed => {
                let fits = wanted.is_none_or(|t| known == Known::Is(t) || known == Known::Gone);
                fits.then_some(())?;
                match began {
                    Began::Early => self.early.push((place, class)),
                    _ => self.late.push(place),
                }
            }
            (Class::Sure(after), (began, known)) if began != Began::Closed => {
                let known = match (after, known) {
                    // Whether what is stored is still there nobody knows before.
                    (After::PerhapsGone, Known::Stored) => Known::Nothing,
                    (After::AsBefore | After::PerhapsGone, known) => known,
                    (After::Gone, _) => Known::Gone,
                    (After::String, _)
                    | (After::Perhaps, Known::Gone | Known::Is(Type::String)) => {
                        Known::Is(Type::String)
                    }
                    (After::Perhaps, _) => Known::Nothing,
                };
                let began = match began {
                    Began::Early | Began::EarlyThenLate => Began::EarlyThenLate,
                    _ => Began::Late,
                };
                *key = (began, known);
                self.late.push(place);
            }
            (Class::Typed(t), (Began::Reads | Began::Late, known)) => {
                match known {
                    Known::Stored => {
                        let guard = Guard { operation: place, key: operation.key, wanted: t };
                        self.guards.push(guard);
                    }
                    Known::Gone => {}
                    known => (known == Known::Is(t)).then_some(())?,
                }
                *key = (Began::Late, Known::Is(t));
                self.late.push(place);
            }
            (Class::Undoable, (Began::Reads | Began::Early, _)) => {
                *key = (Began::Early, Known::Is(Type::String));
                self.early.push((place, class));
            }
            (Class::Other, (Began::Reads, _)) if self.closing.is_none() => {
                *key = (Began::Closed, Known::Nothing);
                self.closing = Some(place);
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    /// The steps of operations that are given as words with the key second: `u` is undone.
    fn plan(operations: &[&str]) -> String {
        let mut names: Vec<&str> = Vec::new();
        let mut work = Work::default();
        for words in operations {
            let mut words = words.split(' ');
            let (name, key) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let at = names.iter().position(|known| *known == key).unwrap_or_else(|| {
                names.push(key);
                names.len() - 1
            });
            work.keys.push(crate::transaction::Key {
                name: key.into(),
                mode: crate::transaction::Mode::Write,
            });
            work.operations.push(Operation {
                name: name.into(),
                key: u32::try_from(at).expect("few keys"),
                arguments: words.map(|word| word.as_bytes().to_vec()).collect(),
            });
        }
        let ExecutionPlan::Direct { guards, steps } = ExecutionPlan::of(&work) else {
            return "shadows".into();
        };
        let step = |step: &Step| {
            alloc::format!("{}{}", step.operation, if step.undone { "u" } else { "" })
        };
        let mut text: Vec<String> = steps.iter().map(step).collect();
        text.extend(guards.iter().map(|g| alloc::format!("{}={}", g.key, g.wanted.name())));
        text.join(" ")
    }

    #[test]
    fn what_can_fail_comes_before_what_cannot() {
        let cases: [(&[&str], &str); 22] = [
            (&["PEXPIREAT a 1", "RPUSH a x"], "shadows"),
            (&["EXPIREAT a 1", "GET b", "SET a x"], "1 0 2"),
            (&["EXPIRE a 1", "RPUSH a x"], "0 1 0=list"),
            (&["INCRBY a 1", "INCRBY b 2"], "0u 1"),
            (&["SET a 1", "INCR b"], "1 0"),
            (&["SET a 1", "GET b", "DEL c"], "1 0 2"),
            (&["INCR a", "GET a", "EXPIRE a 60"], "0 1 2"),
            (&["INCR a", "EXPIRE a 60", "INCR a"], "shadows"),
            (&["SET a 1", "INCR a"], "shadows"),
            (&["SET a 1", "GET a"], "0 1"),
            (&["SET a 1 NX", "GET a"], "shadows"),
            (&["SET a 1 EX 60", "SET b 2 PX 5 XX", "SET c 3 EX 0"], "2 0 1"),
            (&["SET a 1 GET", "SET b 1 GET"], "shadows"),
            (&["HSET h f v", "LPUSH l x", "INCR a"], "2 0 1 0=hash 1=list"),
            (&["HSET h f v", "HGETALL h"], "0 1 0=hash"),
            (&["HSET h f v", "GET h"], "shadows"),
            (&["DEL h", "HSET h f v"], "0 1"),
            (&["HINCRBY h f 1", "INCR a", "SET b 1"], "1u 0 2"),
            (&["HINCRBY h f 1", "HINCRBY h f 1"], "shadows"),
            (&["XADD s * f v", "DEL a"], "0 1"),
            (&["GET a", "HGET b f"], "0 1"),
            (&["LRANGE l 0 x", "RPUSH l x", "LLEN l", "LRANGE l 0 -1"], "shadows"),
        ];
        for (operations, expected) in cases {
            assert_eq!(plan(operations), expected, "{operations:?}");
        }
    }

    #[test]
    fn orders_come_back_as_they_were() {
        assert_eq!(read_order(b"", 2), Some(vec![0, 1]));
        assert_eq!(read_order(b"001000", 2), Some(vec![1, 0]));
        for bad in [&b"001001"[..], b"000", b"00100", b"002000"] {
            assert_eq!(read_order(bad, 2), None);
        }
    }
}
