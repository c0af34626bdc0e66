//! The embedded store: executes the very commands that the core emits, in process, and the Redis
//! commands of [`command`].
//!
//! It is what a coordinator runs on where there is no server, the server in the simulation, and
//! the executable specification of the Lua scripts.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::counter;
use crate::keyspace::{Keyspace, ServerTime, WrongType, command};
use crate::lock;
use crate::redis::{Argv, LockKeys, Reply, Script, parse_number};
use crate::stamp;
use crate::time::Time;
use crate::transaction;

/// The most messages that wait for [`MemoryStore::poll_message`]: of more the oldest are gone, as they are
/// for a subscriber that reads too slowly.
pub const MAX_MESSAGES: usize = 65_536;

/// How many calls pass between two searches for keys that have expired and are never asked for.
const PURGE_EVERY: u32 = 1_024;

/// A message that was published and not been delivered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Where to.
    pub channel: Vec<u8>,
    /// The message.
    pub payload: Vec<u8>,
}

/// A small Redis in this process. Its clock is the host's: server time is `now`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemoryStore {
    keyspace: Keyspace,
    loaded: BTreeSet<Script>,
    messages: VecDeque<Message>,
    calls: u32,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keyspace: Keyspace::new(),
            loaded: BTreeSet::new(),
            messages: VecDeque::new(),
            calls: 0,
        }
    }

    /// Executes one command at `now` and returns its reply, as a Redis server would.
    ///
    /// A command that the store does not know is answered with an error reply, and an error reply
    /// means that nothing has changed. An earlier `now` than before counts as the same moment.
    pub fn execute(&mut self, argv: &Argv, now: Time) -> Reply {
        let now = ServerTime(now.as_micros()).max(self.keyspace.now());
        self.keyspace.set_now(now);
        self.calls = self.calls.wrapping_add(1);
        if self.calls.is_multiple_of(PURGE_EVERY) {
            self.keyspace.purge_all();
        }
        let name = argv.get(0).unwrap_or_default().to_ascii_uppercase();
        match (name.as_slice(), argv.len()) {
            (b"EVALSHA" | b"EVAL", 3..) => self.evaluate(argv, name == b"EVAL"),
            (b"SCRIPT", 2) if argv.get(1).is_some_and(|w| w.eq_ignore_ascii_case(b"FLUSH")) => {
                self.loaded.clear();
                Reply::ok()
            }
            (b"PUBLISH", 3) => {
                let word = |index| argv.get(index).unwrap_or_default().to_vec();
                self.publish(Message { channel: word(1), payload: word(2) });
                Reply::Integer(0)
            }
            // There are no replicas, and nothing to wait for.
            (b"WAIT", 3) => match [1, 2].map(|at| argv.get(at).and_then(parse_number)) {
                [Some(_), Some(_)] => Reply::Integer(0),
                _ => Reply::error("ERR value is not an integer or out of range"),
            },
            (b"PING", 1) => Reply::Simple(b"PONG".to_vec()),
            (b"TIME", 1) => {
                let (seconds, rest) = (now.0 / 1_000_000, now.0 % 1_000_000);
                let text = |number: u64| Reply::bulk(number.to_string());
                Reply::Array([seconds, rest].map(text).to_vec())
            }
            _ => command::execute(&mut self.keyspace, &argv.iter().collect::<Vec<_>>()),
        }
    }

    fn publish(&mut self, message: Message) {
        if self.messages.len() >= MAX_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }

    /// The next message that was published.
    pub fn poll_message(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }

    /// What the store holds.
    #[must_use]
    pub const fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// What the store holds, to be changed from outside, as an administrator would.
    pub const fn keyspace_mut(&mut self) -> &mut Keyspace {
        &mut self.keyspace
    }

    fn evaluate(&mut self, argv: &Argv, with_text: bool) -> Reply {
        let body = argv.get(1).unwrap_or_default();
        let script = if with_text {
            Script::of_text(body)
        } else {
            Script::of_digest(body).filter(|script| self.loaded.contains(script))
        };
        let Some(script) = script else {
            return if with_text {
                Reply::error("ERR the embedded store runs comity's own scripts only")
            } else {
                Reply::error("NOSCRIPT No matching script. Please use EVAL.")
            };
        };
        self.loaded.insert(script);
        let keys = argv.get(2).and_then(parse_number);
        let keys = keys.and_then(|count| usize::try_from(count).ok());
        let Some(keys) = keys.filter(|keys| *keys <= argv.len() - 3) else {
            return Reply::error("ERR Number of keys can't be greater than number of args");
        };
        self.run(script, argv, keys).unwrap_or_else(|problem| match problem {
            Problem::WrongType => {
                Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value")
            }
            Problem::Arguments => Reply::error("ERR these are not the script's arguments"),
        })
    }

    fn run(&mut self, script: Script, argv: &Argv, keys: usize) -> Result<Reply, Problem> {
        let key = |index: usize| argv.get(3 + index).unwrap_or_default().to_vec();
        let mut words = argv.iter().skip(3 + keys);
        if matches!(script, Script::Queue | Script::Guard | Script::Counter) {
            let meta = keys.checked_sub(1).map(key).ok_or(Problem::Arguments)?;
            let stamp = words.next_back().ok_or(Problem::Arguments)?;
            if let Some(other) = stamp::check(&self.keyspace, &meta, stamp)? {
                return Ok(other.encode_refusal());
            }
        }
        if script.goes_by_id() {
            let meta = keys.checked_sub(1).map(|_| key(0)).ok_or(Problem::Arguments)?;
            let member = words.next_back().ok_or(Problem::Arguments)?;
            if let Some(other) = stamp::check_member(&self.keyspace, &meta, member)? {
                return Ok(other.encode_refusal());
            }
        }
        match script {
            Script::Queue if keys == 6 => {
                let op = lock::Op::decode(words).ok_or(Problem::Arguments)?;
                let keys = LockKeys {
                    state: key(0),
                    holders: key(1),
                    queue: key(2),
                    records: key(3),
                    tombstones: key(4),
                };
                let (answer, pushes) = lock::execute(&mut self.keyspace, &keys, &op)?;
                for (channel, payload) in pushes {
                    self.publish(Message { channel, payload });
                }
                Ok(answer.encode())
            }
            Script::Guard if keys == 2 => {
                let op = lock::GuardOp::decode(words).ok_or(Problem::Arguments)?;
                Ok(lock::execute_guard(&mut self.keyspace, &key(0), op)?.encode())
            }
            Script::Counter if keys == 2 => {
                let op = counter::Op::decode(words).ok_or(Problem::Arguments)?;
                Ok(counter::execute(&mut self.keyspace, &key(0), &op)?.encode())
            }
            Script::OnePhase
            | Script::Prepare
            | Script::Finish
            | Script::Status
            | Script::Vote
            | Script::Sweep
            | Script::Confirm => {
                let names: Vec<&[u8]> = argv.iter().skip(3).take(keys).collect();
                let (meta, names) = names.split_first().ok_or(Problem::Arguments)?;
                let op = transaction::Op::decode(script, names, &mut { words });
                let op = op.ok_or(Problem::Arguments)?;
                Ok(transaction::execute(&mut self.keyspace, meta, &op)?.encode())
            }
            Script::Check => {
                let fields = ["CHECKED", "", "noeviction", "", "0"];
                Ok(Reply::Array(fields.into_iter().map(Reply::bulk).collect()))
            }
            Script::Stamp if keys == 1 => {
                let op = stamp::Op::decode(words).ok_or(Problem::Arguments)?;
                Ok(stamp::execute(&mut self.keyspace, &key(0), &op)?.encode())
            }
            Script::Queue | Script::Guard | Script::Counter | Script::Stamp => {
                Err(Problem::Arguments)
            }
        }
    }
}

enum Problem {
    WrongType,
    Arguments,
}

impl From<WrongType> for Problem {
    fn from(_: WrongType) -> Self {
        Self::WrongType
    }
}
