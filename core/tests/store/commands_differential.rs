//! The embedded store's commands against a real redis-server: the same random calls, and every
//! reply, error text and time to live compared, and the whole key space again and again.
//!
//! The real server's clock cannot be set. Between two steps of the embedded store's clock, which
//! are long, hardly any time passes for the real server, and no key has an end that is near. At a
//! step each key gets on the real server the life that the embedded store gives it.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::support::calls::Calls;
use crate::support::redis_server::RedisServer;
use crate::support::resp::{Client, bytes, items};
use crate::support::seed;
use crate::support::words::{Word, render};
use comity::keyspace::command::{Access, COMMANDS, Command, Fails, KeyWords, MAX_STRING};
use comity::keyspace::{ServerTime, Value};
use comity::memory::MemoryStore;
use comity::redis::{Argv, Reply};
use comity::time::Time;

const CALLS: usize = 200_000;
/// Calls that go to the server in one write.
const BATCH: usize = 100;
/// Calls from one step of the clock to the next.
const STEP: usize = 2_000;
/// How often each command has to be called, and to do its work.
const AT_LEAST: (u64, u64) = (1_000, 400);
/// A key that ends sooner than this could end in the middle of a comparison.
const SLACK_MS: i64 = 5_000;

type Difference = String;

#[derive(Default)]
struct Count {
    calls: u64,
    errors: u64,
    wrong_type: u64,
}

struct Sides {
    redis: Client,
    store: MemoryStore,
    /// The embedded store's clock.
    now_ms: i64,
    /// The real server's clock when the keys' ends were last given to it, a whole number of
    /// seconds apart from the other.
    synced_ms: i64,
    synced: Instant,
    counts: BTreeMap<&'static str, Count>,
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_millis() as i64
}

fn argv<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> Argv {
    words.into_iter().collect()
}

impl Sides {
    fn new(server: &RedisServer) -> Self {
        let mut redis = server.connect();
        let limit = MAX_STRING.to_string();
        assert_eq!(redis.command(["CONFIG", "SET", "proto-max-bulk-len", &limit]), Reply::ok());
        let (store, wall) = (MemoryStore::new(), wall_ms());
        let now_ms = 2_000_000_000_000 + wall % 1_000;
        let (synced, counts) = (Instant::now(), BTreeMap::new());
        Self { redis, store, now_ms, synced_ms: wall, synced, counts }
    }

    fn execute(&mut self, call: &Argv) -> Reply {
        self.store.execute(call, Time::from_micros(self.now_ms as u64 * 1_000))
    }

    /// Executes the calls on both.
    fn run(&mut self, calls: &[(&'static Command, Vec<Word>, Reply)]) -> Result<(), Difference> {
        let real: Vec<Argv> =
            calls.iter().map(|(_, words, _)| render(words, self.synced_ms)).collect();
        let replies = self.redis.pipeline(&real);
        let elapsed = self.synced.elapsed().as_millis() as i64 + 2;
        assert!(elapsed < SLACK_MS - 1_000, "this machine is too slow for this test");
        for ((command, words, embedded), real) in calls.iter().zip(&replies) {
            let count = self.counts.entry(command.name).or_default();
            count.calls += 1;
            if let Reply::Error(text) = real {
                count.errors += 1;
                count.wrong_type += u64::from(text.starts_with(b"WRONGTYPE"));
            }
            if !same(command.name, real, embedded, elapsed) {
                let call = render(words, self.now_ms);
                return Err(format!("{call:?}: Redis {real:?}, embedded {embedded:?}"));
            }
        }
        Ok(())
    }

    /// The whole key space.
    fn compare(&mut self) -> Result<(), Difference> {
        let embedded: Vec<(Vec<u8>, Value, Option<ServerTime>)> = self
            .store
            .keyspace()
            .iter()
            .map(|(key, value, expiry)| (key.to_vec(), value.clone(), expiry))
            .collect();
        let reply = self.redis.command(["KEYS", "*"]);
        let mut real: Vec<&[u8]> = items(&reply).iter().map(bytes).collect();
        real.sort_unstable();
        let keys: Vec<&[u8]> = embedded.iter().map(|(key, ..)| key.as_slice()).collect();
        if real != keys {
            return Err(format!("keys {reply:?}, embedded {keys:?}"));
        }
        for (key, value, expiry) in &embedded {
            let read: &[&[u8]] = match value {
                Value::String(_) => &[b"GET", key],
                Value::Hash(_) => &[b"HGETALL", key],
                Value::Set(_) => &[b"SMEMBERS", key],
                Value::List(_) => &[b"LRANGE", key, b"0", b"-1"],
                Value::SortedSet(_) => &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
            };
            let read = argv(read);
            let name = Command::find(read.get(0).unwrap_or_default()).expect("a command").name;
            let mine = self.execute(&read);
            let replies = self.redis.pipeline(&[read, argv([b"PTTL", key.as_slice()])]);
            if !same(name, &replies[0], &mine, 0) {
                return Err(format!("{key:?}: {:?}, embedded {mine:?}", replies[0]));
            }
            let left = expiry.map_or(-1, |at| (at.0 / 1_000) as i64 - self.now_ms);
            let elapsed = self.synced.elapsed().as_millis() as i64 + 2;
            if !same("PTTL", &replies[1], &Reply::Integer(left), elapsed) {
                return Err(format!("{key:?}: ends in {:?} ms, embedded {left} ms", replies[1]));
            }
        }
        Ok(())
    }

    /// Moves the embedded store's clock, beyond the end of any key that would come soon after, and
    /// gives the real server the same.
    fn step(&mut self, seconds: i64) -> Result<(), Difference> {
        self.compare()?;
        let old: Vec<Vec<u8>> =
            self.store.keyspace().iter().map(|(key, ..)| key.to_vec()).collect();
        let wall = wall_ms();
        let fraction = (wall - self.now_ms).rem_euclid(1_000);
        self.now_ms += seconds * 1_000 + fraction;
        let ends = self.store.keyspace().iter().filter_map(|(.., expiry)| expiry);
        let mut ends: Vec<i64> = ends.map(|at| (at.0 / 1_000) as i64).collect();
        ends.sort_unstable();
        for end in ends {
            while (self.now_ms..=self.now_ms + SLACK_MS).contains(&end) {
                self.now_ms += 1_000;
            }
        }
        self.store.keyspace_mut().set_now(ServerTime(self.now_ms as u64 * 1_000));
        let mut commands = Vec::new();
        for key in old {
            let live = self.store.keyspace().exists(&key);
            let end = match self.store.keyspace().ttl_ms(&key) {
                Some(ms) => wall + ms as i64,
                None if live => continue,
                None => 1,
            };
            commands.push(argv([b"PEXPIREAT", key.as_slice(), end.to_string().as_bytes()]));
        }
        (self.synced_ms, self.synced) = (wall, Instant::now());
        let replies = self.redis.pipeline(&commands);
        assert!(replies.iter().all(|reply| *reply == Reply::Integer(1)), "{replies:?}");
        Ok(())
    }
}

/// Whether the replies are the same, up to an order that Redis leaves open, and up to the time that
/// has passed for the real server.
fn same(name: &str, real: &Reply, embedded: &Reply, elapsed_ms: i64) -> bool {
    match (name, real, embedded) {
        ("PTTL", Reply::Integer(real), Reply::Integer(embedded)) if *embedded >= 0 => {
            (embedded - elapsed_ms..=*embedded).contains(real)
        }
        ("TTL", Reply::Integer(real), Reply::Integer(embedded)) if *embedded >= 0 => {
            (embedded - elapsed_ms / 1_000 - 1..=*embedded).contains(real)
        }
        ("SMEMBERS", Reply::Array(_), Reply::Array(_)) => rows(real, 1) == rows(embedded, 1),
        ("HGETALL", Reply::Array(_), Reply::Array(_)) => rows(real, 2) == rows(embedded, 2),
        _ => real == embedded,
    }
}

fn rows(reply: &Reply, width: usize) -> Vec<Vec<&[u8]>> {
    let rows = items(reply).chunks(width).map(|row| row.iter().map(bytes).collect());
    let mut rows: Vec<Vec<&[u8]>> = rows.collect();
    rows.sort();
    rows
}

fn run(sides: &mut Sides, seed: u64) -> Result<(), (usize, Difference)> {
    let mut calls = Calls::new(seed);
    let mut batch = Vec::with_capacity(BATCH);
    for number in 0..CALLS {
        let command = &COMMANDS[number % COMMANDS.len()];
        let store = &sides.store;
        let words = calls.call(command, |key| store.keyspace().ttl_ms(key));
        let reply = sides.execute(&render(&words, sides.now_ms));
        batch.push((command, words, reply));
        let (full, last) = (batch.len() == BATCH, number + 1 == CALLS);
        let step = number % STEP == STEP - 1;
        if full || step || last {
            sides.run(&batch).map_err(|what| (number, what))?;
            batch.clear();
        }
        if step || last {
            let seconds = calls.rng.between(1, 60) as i64;
            sides.step(seconds).map_err(|what| (number, what))?;
        }
    }
    sides.compare().map_err(|what| (CALLS, what))
}

#[test]
fn the_commands_answer_as_those_of_redis_do() {
    let server = RedisServer::start();
    let (mut sides, seed, begun) = (Sides::new(&server), seed(), Instant::now());
    println!("commands: {CALLS} calls, seed {seed}");
    if let Err((number, what)) = run(&mut sides, seed) {
        panic!("COMITY_SEED={seed}: call {number}: {what}");
    }
    println!("{:<14} {:>6} {:>7} {:>10}", "command", "calls", "errors", "wrong type");
    for command in COMMANDS {
        let Count { calls, errors, wrong_type } = sides.counts[command.name];
        println!("{:<14} {calls:>6} {errors:>7} {wrong_type:>10}", command.name);
        assert!(calls >= AT_LEAST.0, "{} was called {calls} times only", command.name);
        assert!(calls - errors >= AT_LEAST.1, "{}: {errors} of {calls} failed", command.name);
        assert!(errors > 0, "{} never failed", command.name);
        let wrong = command.fails != Fails::Never && command.name != "RENAME";
        assert_eq!(wrong_type > 0, wrong, "{}: {wrong_type} of a wrong type", command.name);
    }
    println!("{:.1} s", begun.elapsed().as_secs_f64());
}

/// What random calls seldom meet: equal ends, the last integers, the limits.
const EDGES: &str = "
    SET a 1 PXAT {far}
    PEXPIREAT a {far} GT
    PEXPIREAT a {far} LT
    PEXPIREAT a {further} LT
    PEXPIREAT a {further} GT
    EXPIRE a 9223372036854775807
    EXPIRE a -9223372036854775808
    PEXPIRE a 9223372036854775807
    EXPIREAT a 9223372036854776
    SET a 1 EX 9223372036854776
    SET a 1 PX 9223372036854775807
    SET a 1 EX 100 EX 0
    SET a 1 EX 0 EX 100
    SET a 1 EX
    SET a 1 EX 100 PX 100
    SET a 1 KEEPTTL EX 100
    SET a 9223372036854775807
    INCR a
    INCRBY a -9223372036854775808
    DECRBY a -9223372036854775808
    DECRBY a 9223372036854775807
    DECR a
    DECR a
    COPY a b DB 2147483648
    COPY a b DB -2147483649
    COPY a b DB 9223372036854775808
    COPY a b DB
    SETRANGE s 16777216 x
    SETRANGE s 16777215 xy
    SETRANGE s 16777215 x
    APPEND s x
    STRLEN s
    GETRANGE s -2 -1
    GETRANGE s -9223372036854775808 0
    GETRANGE s 9223372036854775807 -1
    SETRANGE s 9223372036854775807 x
    DEL s
    RPUSH l a b c
    LRANGE l -9223372036854775808 9223372036854775807
    LINDEX l -9223372036854775808
    LINDEX l -3
    LINDEX l -4
    LPOP l 9223372036854775807
    LPOP l 1 2
    RPOP l 9223372036854775808
    ZADD z 1 a 2 b 3 c
    ZRANGE z 9223372036854775807 -9223372036854775808
    ZRANGE z 0 -1 LIMIT 0 -1
    ZRANGE z 0 -1 LIMIT 0 1
    ZRANGEBYSCORE z -inf +inf LIMIT -1 2
    ZRANGEBYSCORE z -inf +inf LIMIT 1 -9223372036854775808
    ZRANGEBYSCORE z 1.8e308 -1.8e308
    ZRANGE z + - BYLEX REV
    ZRANGE z - - BYLEX
    ZADD z inf i
    ZINCRBY z -inf i
    ZADD z INCR NX -inf i
    ZADD z GT CH 0 a 5 b
    ZADD z CH 5 b 4 a 4 a
    ZADD z NX GT 1 a
    ZADD z XX NX GT LT 1 a
    ZADD z INCR 1 a 2 b
    ZADD z INCR XX 1 none
    HSET h f 9223372036854775807
    HINCRBY h f 1
    HINCRBY h f -9223372036854775808
    INCRBYFLOAT f 0x1p16383
    INCRBYFLOAT f 0x1p16383
    INCRBYFLOAT f -0x1p16383
    INCRBYFLOAT f 0x1.8p-60
    INCRBYFLOAT f 0x1p-16446
    INCRBYFLOAT f 1e4933
    SET f 0x1p64
    INCRBYFLOAT f -0x1.0000000000000002p-1
    GET f
";

#[test]
fn the_edges_are_the_same_too() {
    let server = RedisServer::start();
    let mut sides = Sides::new(&server);
    for line in EDGES.lines().filter(|line| !line.trim().is_empty()) {
        let word = |word: &str| match word {
            "{far}" => Word::Ms(100_000),
            "{further}" => Word::Ms(200_000),
            _ => Word::Bytes(word.into()),
        };
        let words: Vec<Word> = line.split_whitespace().map(word).collect();
        let call = render(&words, sides.now_ms);
        let command = Command::find(call.get(0).unwrap_or_default()).expect("a command");
        let reply = sides.execute(&call);
        sides.run(&[(command, words, reply)]).unwrap_or_else(|what| panic!("{what}"));
    }
    sides.compare().unwrap_or_else(|what| panic!("{what}"));
}

#[test]
fn the_table_says_what_redis_says_of_its_commands() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    for command in COMMANDS {
        let reply = redis.command(["COMMAND", "INFO", command.name]);
        let info = items(&items(&reply)[0]);
        let (first, last) = match command.keys {
            KeyWords::First => (1, 1),
            KeyWords::Two => (1, 2),
            KeyWords::All => (1, -1),
        };
        let numbers = [i64::from(command.arity), first, last].map(Reply::Integer);
        assert_eq!([&info[1], &info[3], &info[4]], numbers.each_ref(), "{}", command.name);
        let flag = if command.access == Access::Write { "write" } else { "readonly" };
        let has = items(&info[2]).contains(&Reply::Simple(flag.into()));
        assert!(has, "{}: {:?}", command.name, info[2]);
    }
}

#[test]
fn a_mutant_of_the_key_space_is_noticed() {
    let server = RedisServer::start();
    let mut sides = Sides::new(&server);
    let fill = ["SET s x PX 90000", "HSET h f 1", "SADD e a", "RPUSH l a b", "ZADD z 1 a"];
    for call in fill {
        let call = argv(call.split(' '));
        assert_eq!(sides.redis.call(&call), sides.execute(&call));
    }
    assert_eq!(sides.compare(), Ok(()));
    let tampered = [
        ("PEXPIRE s 99000", "PEXPIRE s 90000"),
        ("PEXPIRE s 80000", "PEXPIRE s 90000"),
        ("PERSIST s", "PEXPIRE s 90000"),
        ("PEXPIRE h 90000", "PERSIST h"),
        ("HSET h f 2", "HSET h f 1"),
        ("SADD e b", "SREM e b"),
        ("LSET l 0 b", "LSET l 0 a"),
        ("ZINCRBY z 1e-9 a", "ZADD z 1 a"),
        ("SET more x", "DEL more"),
        ("RENAME e other", "RENAME other e"),
    ];
    for (change, back) in tampered {
        sides.redis.command(change.split(' '));
        assert!(sides.compare().is_err(), "{change}: not noticed");
        sides.redis.command(back.split(' '));
        assert_eq!(sides.compare(), Ok(()), "{back}");
    }
}
