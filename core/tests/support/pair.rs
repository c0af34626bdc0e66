//! A real server and the embedded store side by side: the same calls, every reply, message and
//! key compared.

use std::collections::BTreeMap;
use std::time::Instant;

use comity::counter;
use comity::keyspace::{ServerTime, Value};
use comity::lock::{GuardOp, Op};
use comity::memory::MemoryStore;
use comity::redis::{Argv, LockKeys, Reply, Script};
use comity::time::Time;

use super::common_clock::{self, CLOCK};
use super::redis_server::RedisServer;
use super::resp::{Client, bytes, items};
use super::short_ways;
use super::stamping::{self, META};

/// In what the two differ.
pub(crate) type Difference = String;

/// What the real server runs instead of a script, and its digest there.
struct Copied {
    text: String,
    digest: Vec<u8>,
}

pub(crate) struct Pair {
    redis: Client,
    messages: Client,
    pub(crate) store: MemoryStore,
    pub(crate) now: u64,
    scripts: BTreeMap<Script, Copied>,
    synced: Instant,
    /// What the client gives as its stamp.
    pub(crate) stamp: Vec<u8>,
    /// How often each kind of answer occurred.
    pub(crate) seen: BTreeMap<String, u64>,
}

impl Pair {
    /// Compares the embedded store with the scripts as they are shipped.
    pub(crate) fn new(server: &RedisServer) -> Self {
        Self::with(server, |script| script.text())
    }

    /// Compares the embedded store with other text of one of the scripts.
    pub(crate) fn instead(server: &RedisServer, of: Script, text: &str) -> Self {
        Self::with(server, |script| if script == of { text.to_owned() } else { script.text() })
    }

    fn with(server: &RedisServer, text: impl Fn(Script) -> String) -> Self {
        let (mut redis, mut messages) = (server.connect(), server.connect());
        redis.command(["FLUSHALL"]);
        messages.command(["PSUBSCRIBE", "*"]);
        let read_clock = format!("redis.call('LRANGE', '{CLOCK}', 0, -1)");
        let mut copied = |script| {
            let shipped = text(script);
            let text = shipped.replace("redis.call('TIME')", &read_clock);
            let timeless = script == Script::Guard;
            assert!(timeless || text != shipped, "{script:?} reads its clock in another way");
            let text = short_ways::counting(script, &text);
            let loaded = redis.command(["SCRIPT", "LOAD", &text]);
            let digest = bytes(&loaded).to_vec();
            assert_eq!(digest.len(), 40, "{script:?} does not compile: {loaded:?}");
            (script, Copied { text, digest })
        };
        let scripts = [Script::Queue, Script::Guard, Script::Counter].map(&mut copied).into();
        redis.command(["SCRIPT", "FLUSH"]);
        let (store, seen) = (MemoryStore::new(), BTreeMap::new());
        let synced = Instant::now();
        let now = 1_750_000_000_123_456;
        let stamp = stamping::of_one();
        let mut pair = Self { redis, messages, store, now, scripts, synced, stamp, seen };
        pair.advance(1).expect("both are empty");
        let stamp = String::from_utf8(pair.stamp.clone()).expect("ASCII");
        pair.set_field("comity:1:t:{t}", "e", &stamp);
        pair
    }

    /// Executes a lock operation on both.
    pub(crate) fn lock(&mut self, state_key: &str, op: &Op) -> Result<Reply, Difference> {
        let keys = LockKeys::of_state(state_key.as_bytes());
        let mut tail: Argv = std::iter::once(&b"6"[..]).chain(keys.in_order()).collect();
        tail.push(META);
        op.encode(&mut tail);
        tail.push(&self.stamp);
        let reply =
            self.evaluate(Script::Queue, &tail).map_err(|what| format!("{op:?}: {what}"))?;
        let same = self.compare_messages().and_then(|()| self.compare_keys(&keys.in_order()));
        same.map_err(|what| format!("after {op:?} = {reply:?}: {what}"))?;
        Ok(reply)
    }

    /// Executes a check of the fencing guard on both.
    pub(crate) fn guard(&mut self, key: &str, op: GuardOp) -> Result<Reply, Difference> {
        let mut tail: Argv = ["2", key].into_iter().collect();
        tail.push(META);
        op.encode(&mut tail);
        tail.push(&self.stamp);
        let reply = self.evaluate(Script::Guard, &tail)?;
        self.compare_keys(&[key.as_bytes()])?;
        Ok(reply)
    }

    /// Executes a counter operation on both.
    pub(crate) fn counter(&mut self, key: &str, op: &counter::Op) -> Result<Reply, Difference> {
        let mut tail: Argv = ["2", key].into_iter().collect();
        tail.push(META);
        op.encode(&mut tail);
        tail.push(&self.stamp);
        let reply =
            self.evaluate(Script::Counter, &tail).map_err(|what| format!("{op:?}: {what}"))?;
        let same = self.compare_keys(&[key.as_bytes()]);
        same.map_err(|what| format!("after {op:?} = {reply:?}: {what}"))?;
        Ok(reply)
    }

    /// Asserts that each short way of the lock's script was taken so often.
    pub(crate) fn assert_short_ways(&mut self, at_least: u64) {
        short_ways::assert_taken(&mut self.redis, &[Script::Queue], at_least);
    }

    /// Sets one field of a hash in both.
    pub(crate) fn set_field(&mut self, key: &str, field: &str, value: &str) {
        self.redis.command(["HSET", key, field, value]);
        let set = |hash: &mut BTreeMap<_, _>| hash.insert(field.into(), value.into());
        self.store.keyspace_mut().with_hash(key.as_bytes(), set).expect("a hash");
    }

    /// Sets many fields of a hash in both.
    pub(crate) fn set_fields(&mut self, key: &str, fields: &[(Vec<u8>, Vec<u8>)]) {
        for part in fields.chunks(1_000) {
            let words = part.iter().flat_map(|(field, value)| [field.as_slice(), value]);
            let head = [b"HSET", key.as_bytes()];
            self.redis.command(head.into_iter().chain(words));
        }
        let set = |hash: &mut BTreeMap<_, _>| hash.extend(fields.iter().cloned());
        self.store.keyspace_mut().with_hash(key.as_bytes(), set).expect("a hash");
    }

    /// By digest, and by text where both say that they have it not.
    fn evaluate(&mut self, script: Script, tail: &Argv) -> Result<Reply, Difference> {
        let reply = self.evaluate_once(script, b"EVALSHA", tail)?;
        if !matches!(&reply, Reply::Error(text) if text.starts_with(b"NOSCRIPT")) {
            return Ok(reply);
        }
        self.evaluate_once(script, b"EVAL", tail)
    }

    fn evaluate_once(
        &mut self,
        script: Script,
        how: &[u8],
        tail: &Argv,
    ) -> Result<Reply, Difference> {
        let copied = &self.scripts[&script];
        let (theirs, ours): (&[u8], String) = match how {
            b"EVAL" => (copied.text.as_bytes(), script.text()),
            _ => (&copied.digest, script.digest().to_owned()),
        };
        let argv = |script| [how, script].into_iter().chain(tail.iter()).collect::<Argv>();
        let real = self.redis.call(&argv(theirs));
        let embedded = self.store.execute(&argv(ours.as_bytes()), Time::from_micros(self.now));
        *self.seen.entry(verb(&real)).or_default() += 1;
        let same = match (&real, &embedded) {
            // Redis adds where in the script it was.
            (Reply::Error(real), Reply::Error(embedded)) => word(real) == word(embedded),
            _ => in_order(&real) == in_order(&embedded),
        };
        if same { Ok(real) } else { Err(format!("Redis {real:?}, embedded {embedded:?}")) }
    }

    fn compare_messages(&mut self) -> Result<(), Difference> {
        let messages: Vec<_> = std::iter::from_fn(|| self.store.poll_message()).collect();
        if messages.is_empty() {
            // One too many on the other side is found at the next message or at the end.
            return Ok(());
        }
        self.redis.command(["PUBLISH", "test:mark", ""]);
        for message in messages {
            *self.seen.entry("(message)".into()).or_default() += 1;
            // If Redis has published less, then the mark comes instead.
            let real = self.messages.read();
            let got = (bytes(&items(&real)[2]), bytes(&items(&real)[3]));
            if got != (&message.channel, &message.payload) {
                return Err(format!("message {real:?}, embedded {message:?}"));
            }
        }
        self.skip_mark()
    }

    fn skip_mark(&mut self) -> Result<(), Difference> {
        let real = self.messages.read();
        let mark = bytes(&items(&real)[2]) == b"test:mark";
        if mark { Ok(()) } else { Err(format!("message {real:?} that the embedded store has not")) }
    }

    /// Nothing was published that has not been compared, and there are no keys but those here.
    pub(crate) fn compare_rest(&mut self) -> Result<(), Difference> {
        self.redis.command(["PUBLISH", "test:mark", ""]);
        self.skip_mark()?;
        let reply = self.redis.command(["KEYS", "*"]);
        let mut real: Vec<Vec<u8>> = items(&reply).iter().map(|key| bytes(key).to_vec()).collect();
        real.retain(|key| !key.starts_with(short_ways::PREFIX.as_bytes()));
        real.sort();
        let embedded: Vec<Vec<u8>> =
            self.store.keyspace().iter().map(|(key, ..)| key.to_vec()).collect();
        if real != embedded {
            return Err(format!("keys {real:?}, embedded {embedded:?}"));
        }
        let keys: Vec<&[u8]> = embedded.iter().map(Vec::as_slice).collect();
        self.compare_keys(&keys)
    }

    fn compare_keys(&mut self, keys: &[&[u8]]) -> Result<(), Difference> {
        let space = self.store.keyspace();
        let embedded: BTreeMap<&[u8], (&Value, Option<ServerTime>)> =
            space.iter().map(|(key, value, expiry)| (key, (value, expiry))).collect();
        let mut commands = Vec::new();
        for key in keys {
            let read: Argv = match embedded.get(key).map(|(value, _)| value) {
                None => [b"EXISTS", *key].into_iter().collect(),
                Some(Value::String(_)) => [b"GET", *key].into_iter().collect(),
                Some(Value::Hash(_)) => [b"HGETALL", *key].into_iter().collect(),
                Some(Value::SortedSet(_)) => {
                    [&b"ZRANGE"[..], key, b"0", b"-1", b"WITHSCORES"].into_iter().collect()
                }
                Some(other) => unreachable!("the lock has no {}", other.type_name()),
            };
            commands.extend([read, [b"PTTL", *key].into_iter().collect()]);
        }
        let replies = self.redis.pipeline(&commands);
        let elapsed_ms = self.synced.elapsed().as_millis() as i64;
        for (key, pair) in keys.iter().zip(replies.chunks_exact(2)) {
            let (real, pttl) = (&pair[0], &pair[1]);
            let Some((value, expiry)) = embedded.get(key) else {
                if *real == Reply::Integer(0) {
                    continue;
                }
                return Err(format!("{}: in Redis only", key.escape_ascii()));
            };
            let real_value = decoded(real, value);
            if real_value.as_ref() != Some(&flat(value)) {
                let (key, value) = (key.escape_ascii(), flat(value));
                return Err(format!("{key}: {real:?}, embedded {value:?}"));
            }
            let Reply::Integer(pttl) = *pttl else { return Err(format!("PTTL {pttl:?}")) };
            let left =
                expiry.map_or(-1, |at| at.since(ServerTime(self.now)).as_micros() as i64 / 1_000);
            if pttl > left + 5 || pttl < left - elapsed_ms - 5 || (left < 0) != (pttl < 0) {
                let key = key.escape_ascii();
                return Err(format!("{key}: ends in {pttl} ms, embedded {left} ms"));
            }
        }
        Ok(())
    }

    /// Moves the clock of both by `us`, and beyond the end of any key that would come soon after.
    pub(crate) fn advance(&mut self, us: u64) -> Result<(), Difference> {
        self.compare_rest()?;
        self.synced = Instant::now();
        self.now = common_clock::set(&mut self.redis, &mut self.store, self.now + us, 1);
        Ok(())
    }

    /// Loses one key of a lock, 0 to 4, in both.
    pub(crate) fn lose_key(&mut self, state_key: &str, which: usize) {
        let keys = LockKeys::of_state(state_key.as_bytes());
        let key = keys.in_order()[which];
        self.redis.command([b"DEL", key]);
        self.store.keyspace_mut().delete(key);
    }

    /// Makes a key a string in both.
    pub(crate) fn overwrite(&mut self, key: &[u8], value: &[u8]) {
        self.redis.command([b"SET", key, value, b"PX", b"100000"]);
        self.store.keyspace_mut().set(key, value.to_vec(), Some(100_000));
    }

    /// Makes a key a hash in both.
    pub(crate) fn overwrite_with_hash(&mut self, key: &[u8]) {
        self.redis.command([b"DEL", key]);
        self.redis.command([b"HSET", key, b"field", b"value"]);
        self.redis.command([b"PEXPIRE", key, b"100000"]);
        let space = self.store.keyspace_mut();
        space.delete(key);
        let put = |hash: &mut BTreeMap<_, _>| hash.insert(b"field".to_vec(), b"value".to_vec());
        space.with_hash(key, put).expect("the key was just deleted");
        space.expire_ms(key, 100_000);
    }

    /// Both forget their scripts.
    pub(crate) fn flush_scripts(&mut self) {
        self.redis.command(["SCRIPT", "FLUSH"]);
        let argv = ["SCRIPT", "FLUSH"].into_iter().collect();
        self.store.execute(&argv, Time::from_micros(self.now));
    }
}

/// An answer in an order that both have: Redis lists the slots of a counter in its own.
fn in_order(reply: &Reply) -> Reply {
    let Reply::Array(fields) = reply else { return reply.clone() };
    let (head, slots) = match fields.first() {
        Some(Reply::Bulk(verb)) if verb == b"PART" => fields.split_at(13),
        _ => return reply.clone(),
    };
    let mut slots: Vec<&[Reply]> = slots.chunks(2).collect();
    slots.sort_by_key(|slot| bytes(&slot[0]));
    Reply::Array(head.iter().chain(slots.concat().iter()).cloned().collect())
}

/// A value as rows of fields, in a fixed order.
fn flat(value: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    match value {
        Value::String(bytes) => vec![(Vec::new(), bytes.clone())],
        Value::Hash(fields) => fields.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        Value::SortedSet(set) => {
            let row = |(member, score): (&[u8], comity::keyspace::Score)| {
                (member.to_vec(), score.number().to_string().into_bytes())
            };
            set.iter().map(row).collect()
        }
        other => unreachable!("the lock has no {}", other.type_name()),
    }
}

/// What Redis has, in the same form.
fn decoded(real: &Reply, like: &Value) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    if let (Reply::Bulk(bytes), Value::String(_)) = (real, like) {
        return Some(vec![(Vec::new(), bytes.clone())]);
    }
    let Reply::Array(items) = real else { return None };
    let pairs = items.chunks_exact(2);
    let mut rows: Vec<_> =
        pairs.map(|pair| (bytes(&pair[0]).to_vec(), bytes(&pair[1]).to_vec())).collect();
    if matches!(like, Value::Hash(_)) {
        rows.sort();
    }
    Some(rows)
}

fn word(error: &[u8]) -> &[u8] {
    error.split(|&byte| byte == b' ').next().unwrap_or_default()
}

/// What kind of answer a reply is: its verb, with the reason where there is one.
fn verb(reply: &Reply) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match reply {
        Reply::Error(error) => text(word(error)),
        _ => {
            let fields = items(reply);
            let verb = text(fields.first().map_or(b"", |field| bytes(field)));
            match verb.as_str() {
                "GONE" | "LOST" => format!("{verb} {}", text(bytes(&fields[1]))),
                _ => verb,
            }
        }
    }
}
