//! A real server and the embedded store side by side for the transaction's scripts: the same calls,
//! every answer and the whole key space compared.

use std::collections::BTreeMap;
use std::time::Instant;

use comity::keyspace::{ServerTime, Value};
use comity::memory::MemoryStore;
use comity::redis::{Argv, Reply, Script};
use comity::time::Time;
use comity::transaction::{Answer, Op, Rejection};

use super::common_clock::{self, CLOCK};
use super::redis_server::RedisServer;
use super::resp::{Client, bytes, items};
use super::short_ways;
use super::transaction_ops::METAS;
use super::transaction_script::RING;

/// In what the two differ.
pub(crate) type Difference = String;

pub(crate) struct TransactionPair {
    pub(crate) redis: Client,
    pub(crate) store: MemoryStore,
    pub(crate) now: u64,
    synced: Instant,
    /// What stands in the scripts instead of a piece of them.
    mutation: (String, String),
    /// Whether a script has run in which that piece occurs.
    pub(crate) mutated: bool,
    digests: BTreeMap<Script, Vec<u8>>,
    /// How often each kind of answer occurred.
    pub(crate) seen: BTreeMap<String, u64>,
}

impl TransactionPair {
    pub(crate) fn new(server: &RedisServer) -> Self {
        Self::with(server, ("", ""))
    }

    /// With scripts in which one piece is replaced by another.
    pub(crate) fn with(server: &RedisServer, mutation: (&str, &str)) -> Self {
        let mut redis = server.connect();
        redis.command(["FLUSHALL"]);
        let mut pair = Self {
            redis,
            store: MemoryStore::new(),
            now: 1_750_000_000_123_456,
            synced: Instant::now(),
            mutation: (mutation.0.to_string(), mutation.1.to_string()),
            mutated: false,
            digests: BTreeMap::new(),
            seen: BTreeMap::new(),
        };
        pair.advance(1).expect("both are empty");
        for meta in METAS {
            let stamp = RING.to_string();
            pair.command(&[
                b"HSET",
                meta.as_bytes(),
                b"e",
                stamp.as_bytes(),
                b"members",
                b"1;1:a,1;",
            ]);
        }
        pair
    }

    fn digest(&mut self, script: Script) -> Vec<u8> {
        if let Some(digest) = self.digests.get(&script) {
            return digest.clone();
        }
        let read_clock = format!("redis.call('LRANGE', '{CLOCK}', 0, -1)");
        let text = script.text();
        let mut copy = text.replace("redis.call('TIME')", &read_clock);
        assert_ne!(copy, text, "the script reads its clock in another way than expected");
        if !self.mutation.0.is_empty() && copy.contains(&self.mutation.0) {
            copy = copy.replacen(&self.mutation.0, &self.mutation.1, 1);
            self.mutated = true;
        }
        copy = short_ways::counting(script, &copy);
        let loaded = self.redis.command(["SCRIPT", "LOAD", &copy]);
        assert_eq!(bytes(&loaded).len(), 40, "the script does not compile: {loaded:?}");
        self.digests.insert(script, bytes(&loaded).to_vec());
        bytes(&loaded).to_vec()
    }

    /// Executes an operation of the transaction on both.
    pub(crate) fn run(&mut self, meta: &str, op: &Op) -> Result<Answer, Difference> {
        let mut tail = Argv::new();
        op.encode(meta.as_bytes(), &mut tail);
        super::stamping::push_member(op, RING, &mut tail);
        let digest = self.digest(op.script());
        let argv =
            |how: &[u8], script| [how, script].into_iter().chain(tail.iter()).collect::<Argv>();
        let real = self.redis.call(&argv(b"EVALSHA", &digest));
        let by_text = argv(b"EVAL", op.script().text().as_bytes());
        let embedded = self.store.execute(&by_text, Time::from_micros(self.now));
        let answers = (Answer::decode(&real), Answer::decode(&embedded));
        let (Some(theirs), Some(ours)) = answers else {
            return Err(format!("{op:?}: Redis {real:?}, embedded {embedded:?}"));
        };
        if in_order(&theirs) != in_order(&ours) {
            return Err(format!("{op:?}: Redis {theirs:?}, embedded {ours:?}"));
        }
        if !matches!(ours, Answer::Page { .. } | Answer::Found { .. }) && ours.encode() != real {
            return Err(format!("{op:?}: Redis {real:?}, encoded {:?}", ours.encode()));
        }
        *self.seen.entry(kind(op, &ours)).or_default() += 1;
        self.compare().map_err(|what| format!("after {op:?} = {ours:?}: {what}"))?;
        Ok(ours)
    }

    /// Executes a command from outside on both.
    pub(crate) fn command(&mut self, words: &[&[u8]]) -> Reply {
        let argv: Argv = words.iter().collect();
        let real = self.redis.call(&argv);
        let embedded = self.store.execute(&argv, Time::from_micros(self.now));
        assert_eq!(real, embedded, "{argv:?}");
        real
    }

    /// The same, of words between spaces.
    pub(crate) fn line(&mut self, line: &str) -> Reply {
        self.command(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    /// The whole key space.
    pub(crate) fn compare(&mut self) -> Result<(), Difference> {
        let embedded: Vec<(Vec<u8>, Value, Option<ServerTime>)> = self
            .store
            .keyspace()
            .iter()
            .map(|(key, value, expiry)| (key.to_vec(), value.clone(), expiry))
            .collect();
        let mut commands: Vec<Argv> = vec![["KEYS", "*"].into_iter().collect()];
        for (key, value, _) in &embedded {
            let read: &[&[u8]] = match value {
                Value::String(_) => &[b"GET", key],
                Value::Hash(_) => &[b"HGETALL", key],
                Value::Set(_) => &[b"SMEMBERS", key],
                Value::List(_) => &[b"LRANGE", key, b"0", b"-1"],
                Value::SortedSet(_) => &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
            };
            commands.push(read.iter().collect());
            commands.push([b"PTTL", key.as_slice()].into_iter().collect());
        }
        let replies = self.redis.pipeline(&commands);
        let elapsed_ms = self.synced.elapsed().as_millis() as i64 + 5;
        let mut real: Vec<&[u8]> = items(&replies[0]).iter().map(bytes).collect();
        real.retain(|key| !key.starts_with(short_ways::PREFIX.as_bytes()));
        real.sort_unstable();
        let keys: Vec<&[u8]> = embedded.iter().map(|(key, ..)| key.as_slice()).collect();
        if real != keys {
            let text = |keys: &[&[u8]]| {
                keys.iter().map(|key| key.escape_ascii().to_string()).collect::<Vec<_>>()
            };
            return Err(format!("keys {:?}, embedded {:?}", text(&real), text(&keys)));
        }
        for ((key, value, expiry), pair) in embedded.iter().zip(replies[1..].chunks_exact(2)) {
            let (theirs, ours) = (rows(&pair[0], value), flat(value));
            if theirs != ours {
                let key = key.escape_ascii();
                return Err(format!("{key}: {}, embedded {}", show(&theirs), show(&ours)));
            }
            let left =
                expiry.map_or(-1, |at| at.since(ServerTime(self.now)).as_micros() as i64 / 1_000);
            let Reply::Integer(pttl) = pair[1] else { return Err(format!("PTTL {:?}", pair[1])) };
            if pttl > left + 5 || pttl < left - elapsed_ms || (left < 0) != (pttl < 0) {
                let key = key.escape_ascii();
                return Err(format!("{key}: ends in {pttl} ms, embedded {left} ms"));
            }
        }
        Ok(())
    }

    /// Moves the clock of both by `us`, and beyond the end of any key that would come soon after.
    pub(crate) fn advance(&mut self, us: u64) -> Result<(), Difference> {
        self.compare()?;
        self.synced = Instant::now();
        self.now = common_clock::set(&mut self.redis, &mut self.store, self.now + us, 10);
        Ok(())
    }
}

/// An answer in an order that both have: Redis lists the fields of a hash in its own.
fn in_order(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    if let Answer::Page { found, .. } = &mut answer {
        found.sort_by_key(|swept| swept.txid);
        found.dedup();
    }
    if let Answer::Found { names, .. } = &mut answer {
        names.sort();
        names.dedup();
    }
    answer
}

/// What kind of answer to what kind of operation it is.
fn kind(op: &Op, answer: &Answer) -> String {
    let word = |text: String| {
        let end = text.find([' ', '(', '{']).unwrap_or(text.len());
        text[..end].to_string()
    };
    let what = match answer {
        Answer::Refused { recorded, why } => {
            let kept = if *recorded { "recorded" } else { "kept" };
            let what = match why {
                Rejection::Failed { error, .. } if error.starts_with(b"WRONGTYPE") => {
                    "WRONGTYPE".into()
                }
                why => word(format!("{why:?}")),
            };
            format!("{what} {kept}")
        }
        answer => word(format!("{answer:?}")),
    };
    format!("{} {what}", word(format!("{op:?}")))
}

/// A value as rows, in a fixed order.
fn flat(value: &Value) -> Vec<Vec<Vec<u8>>> {
    match value {
        Value::String(bytes) => vec![vec![bytes.clone()]],
        Value::Hash(fields) => {
            fields.iter().map(|(field, value)| vec![field.clone(), masked(field, value)]).collect()
        }
        Value::Set(members) => members.iter().map(|member| vec![member.clone()]).collect(),
        Value::List(list) => list.iter().map(|element| vec![element.clone()]).collect(),
        Value::SortedSet(set) => {
            let row = |(member, score): (&[u8], comity::keyspace::Score)| {
                vec![member.to_vec(), format!("{}", score.value()).into_bytes()]
            };
            set.iter().map(row).collect()
        }
    }
}

/// What Redis has, in the same form.
fn rows(real: &Reply, like: &Value) -> Vec<Vec<Vec<u8>>> {
    if let Reply::Bulk(bytes) = real {
        return vec![vec![bytes.clone()]];
    }
    let width = if matches!(like, Value::Hash(_) | Value::SortedSet(_)) { 2 } else { 1 };
    let row = |row: &[Reply]| row.iter().map(|item| bytes(item).to_vec()).collect::<Vec<_>>();
    let mut rows: Vec<Vec<Vec<u8>>> = items(real).chunks(width).map(row).collect();
    match like {
        Value::Hash(_) => {
            rows.sort();
            for row in &mut rows {
                if let [field, value] = row.as_mut_slice() {
                    *value = masked(field, value);
                }
            }
        }
        Value::Set(_) => rows.sort(),
        _ => {}
    }
    rows
}

/// A register in which it is marked that a shadow ends, but not when: that is the real server's.
fn masked(field: &[u8], value: &[u8]) -> Vec<u8> {
    if !field.starts_with(b"r") || value.len() < 70 {
        return value.to_vec();
    }
    let (head, rest) = value.split_at(65);
    let columns: Vec<&[u8]> = rest.splitn(4, |&byte| byte == b',').collect();
    let length = |at: usize| {
        let text = columns.get(at).map_or("", |text| std::str::from_utf8(text).unwrap_or(""));
        text.parse::<usize>().unwrap_or(0)
    };
    let Some(parts) = columns.get(3) else { return value.to_vec() };
    let (from, to) = (length(0), length(0).saturating_add(length(1)));
    let Some(kinds) = parts.get(from..to) else { return value.to_vec() };
    let mut kinds: Vec<u8> =
        kinds.iter().map(|byte| if byte.is_ascii_digit() { b'#' } else { *byte }).collect();
    kinds.dedup();
    [head, &parts[..from], b"|", &kinds, b"|", &parts[to..]].concat()
}

fn show(rows: &[Vec<Vec<u8>>]) -> String {
    let row = |row: &Vec<Vec<u8>>| {
        row.iter().map(|part| part.escape_ascii().to_string()).collect::<Vec<_>>().join(" = ")
    };
    rows.iter().map(row).collect::<Vec<_>>().join(", ")
}
