//! What one call of a script does blocks everybody else: it is bounded, whatever has been stored. Commands
//! and bytes are counted, so that no machine is too slow for it.

use crate::support::acquire::acquire;
use crate::support::counter_desk::{KEY, up};
use crate::support::redis_server::RedisServer;
use crate::support::resp::{Client, bytes, items};
use crate::support::stamping::{META, of_one, push_member};
use crate::support::transaction_script::RING;
use comity::counter::{FlushStamp, MAX_SLOTS, Op as CounterOp, SlotId, Tally};
use comity::lock::{Acquire, Id, Op as LockOp};
use comity::redis::{Argv, LockKeys, Reply, Script};
use comity::time::Span;
use comity::transaction::{Op, Sweep};

/// The digits of base64url.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const DAY: u64 = 24 * 3_600 * 1_000_000;

/// Stands in front of a script: counts its commands, and the bytes that they take and give. What is removed
/// without being named counts as named.
const COUNTING: &str = "
local real, commands, size = redis, 0, 0
local function weigh(value)
  if type(value) == 'string' then size = size + #value end
  if type(value) == 'table' then for _, part in pairs(value) do weigh(part) end end
end
local function counting(call)
  return function(...)
    commands = commands + 1
    weigh({...})
    local reply = call(...)
    weigh(reply)
    if string.find(..., 'ZREMRANGE') then size = size + 32 * reply end
    return reply
  end
end
local redis = {call = counting(real.call), pcall = counting(real.pcall), error_reply = real.error_reply,
  sha1hex = real.sha1hex}
local function script()
";

struct Counted {
    redis: Client,
    _server: RedisServer,
}

impl Counted {
    fn new() -> Self {
        let server = RedisServer::start();
        let mut redis = server.connect();
        let stamp = of_one();
        redis.command([b"HSET", META, b"e", &stamp]);
        Self { redis, _server: server }
    }

    fn now(&mut self) -> u64 {
        let time = self.redis.command(["TIME"]);
        let [seconds, micros] = [0, 1].map(|at| {
            std::str::from_utf8(bytes(&items(&time)[at])).unwrap().parse::<u64>().unwrap()
        });
        seconds * 1_000_000 + micros
    }

    /// Sets the fields of a hash.
    fn fill(&mut self, key: &[u8], rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) {
        let rows: Vec<_> = rows.into_iter().collect();
        for part in rows.chunks(500) {
            let words = part.iter().flat_map(|(field, value)| [field.as_slice(), value]);
            self.redis.command([&b"HSET"[..], key].into_iter().chain(words));
        }
    }

    /// Adds members to a sorted set.
    fn rank(&mut self, key: &[u8], rows: impl IntoIterator<Item = (u64, Vec<u8>)>) {
        let rows: Vec<_> =
            rows.into_iter().map(|(score, id)| (score.to_string().into_bytes(), id)).collect();
        for part in rows.chunks(500) {
            let words = part.iter().flat_map(|(score, id)| [score.as_slice(), id]);
            self.redis.command([&b"ZADD"[..], key].into_iter().chain(words));
        }
    }

    /// Executes a script: its answer, once it has done no more than it may.
    fn run(&mut self, script: Script, tail: &Argv, most: (i64, i64)) -> Reply {
        let text = format!("{COUNTING}{}\nend\nreturn {{script(), commands, size}}", script.text());
        let head = [b"EVAL", text.as_bytes()];
        let reply = self.redis.call(&head.into_iter().chain(tail.iter()).collect());
        let Reply::Array(reply) = reply else { panic!("{script:?}: {reply:?}") };
        let [answer, Reply::Integer(commands), Reply::Integer(size)] = &reply[..] else {
            panic!("{reply:?}")
        };
        let words = tail.iter().take(6).map(|word| word.escape_ascii().to_string());
        let words: Vec<_> = words.collect();
        let within = |count: i64, most| (1..=most).contains(&count);
        assert!(within(*commands, most.0), "{script:?} {words:?}: {commands} commands");
        assert!(within(*size, most.1), "{script:?} {words:?}: {size} bytes");
        answer.clone()
    }

    fn counter(&mut self, op: &CounterOp) -> Vec<u8> {
        let mut tail: Argv = [b"2", KEY.as_bytes(), META].into_iter().collect();
        op.encode(&mut tail);
        tail.push(&of_one());
        let answer = self.run(Script::Counter, &tail, (32, 96 * 1_024));
        bytes(&items(&answer)[0]).to_vec()
    }

    fn lock(&mut self, keys: &LockKeys, op: &LockOp) -> Vec<Vec<u8>> {
        let mut tail: Argv = std::iter::once(&b"6"[..]).chain(keys.in_order()).collect();
        tail.push(META);
        op.encode(&mut tail);
        tail.push(&of_one());
        let answer = self.run(Script::Queue, &tail, (800, 96 * 1_024));
        items(&answer).iter().map(|field| bytes(field).to_vec()).collect()
    }
}

fn slot(owner: usize, incarnation: u64) -> SlotId {
    SlotId { owner: (owner as u128) << 64, incarnation }
}

/// All places in the lists of ids that were folded, at this moment and a little later.
fn listed(at: u64) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let bins = DIGITS.iter().flat_map(|first| (b'0'..b'4').map(|second| vec![*first, second]));
    bins.map(move |bin| {
        let ids = (0..256).map(|n| format!(",{}{}", "B".repeat(22), at + n));
        (bin, ids.collect::<String>().into_bytes())
    })
}

#[test]
fn a_counter_s_script_does_no_more_for_many_slots_and_ids() {
    let mut counted = Counted::new();
    let now = counted.now();
    for (retired, listed_at) in [(true, now - 8 * DAY), (true, now), (false, now)] {
        counted.redis.command(["DEL", KEY]);
        // Of what is retired all is to be folded.
        let text = |owner| String::from_utf8_lossy(&slot(owner, now).to_text()).into_owned();
        counted.fill(
            KEY.as_bytes(),
            (0..MAX_SLOTS).map(|owner| {
                let next = if retired { format!("r{}", text(owner + 1)) } else { String::new() };
                let value = format!("{:020}{:020}{:020}{:016}{next}", 1, 0, 5, 1);
                (text(owner).into_bytes(), value.into_bytes())
            }),
        );
        counted.fill(KEY.as_bytes(), listed(listed_at));
        let ends = [text(0), text(MAX_SLOTS - 1)];
        let ends = if retired { ends } else { [String::new(), String::new()] };
        for (field, value) in [("head", &ends[0]), ("tail", &ends[1]), ("bins", &"256".into())] {
            counted.redis.command(["HSET", KEY, field, value]);
        }
        for field in ["tp", "tn", "zp", "zn", "fp", "fn", "ep", "hw", "peers", "v"] {
            counted.redis.command(["HSET", KEY, field, "0"]);
        }
        counted.fill(KEY.as_bytes(), [(b"gc".to_vec(), vec![b'0'; 16])]);
        counted.redis.command(["HSET", KEY, "ops", ""]);
        let (tally, flush_stamp, known) = (up(1), FlushStamp(1), Tally::ZERO);
        let new = |owner| slot(owner, now + 1);
        let first = if retired { b"LIVE".to_vec() } else { b"FULL".to_vec() };
        let (id, op) = (Some(new(1)), 7);
        assert_eq!(counted.counter(&CounterOp::Join), b"JOINED");
        assert_eq!(
            counted.counter(&CounterOp::Add { id: new(1), tally, flush_stamp, known }),
            first
        );
        counted.counter(&CounterOp::Get { id });
        counted.counter(&CounterOp::Retire { id: new(2), tally, flush_stamp, known });
        counted.counter(&CounterOp::Fold { id: new(3), tally, flush_stamp, known: tally });
        counted.counter(&CounterOp::Fold { id: slot(9, now), tally, flush_stamp, known: tally });
        // As an audit that prunes does.
        let (tally, flush_stamp) = (Tally::ZERO, FlushStamp::REPLAY);
        counted.counter(&CounterOp::Retire {
            id: slot(MAX_SLOTS - 3, now),
            tally,
            flush_stamp,
            known,
        });
        counted.counter(&CounterOp::Reset { op, epoch: 0, id });
        assert_eq!(counted.counter(&CounterOp::Scan { cursor: 0 }), b"PART");
    }
}

#[test]
fn an_audit_of_a_counter_with_nothing_but_folded_ids_reads_none_of_them() {
    let mut counted = Counted::new();
    let now = counted.now();
    counted.fill(KEY.as_bytes(), listed(now));
    assert_eq!(counted.counter(&CounterOp::Scan { cursor: 0 }), b"PART");
}

#[test]
fn a_sweep_reads_so_many_bytes_at_once_and_no_more() {
    let mut counted = Counted::new();
    let register = format!("{:016}D{:016x}{:016}{:016}1,0,0,p{}", 7, 7, 0, 0, "x".repeat(16_384));
    let field = |n: usize| format!("r{n:016x}.00").into_bytes();
    counted.fill(b"comity:1:t:{a}", (0..2_000).map(|n| (field(n), register.clone().into_bytes())));
    let (mut cursor, mut found, mut pages) = (0, std::collections::BTreeSet::new(), 0);
    loop {
        let op = Op::Sweep(Sweep::Page { cursor });
        let mut tail = Argv::new();
        op.encode(b"comity:1:t:{a}", &mut tail);
        push_member(&op, RING, &mut tail);
        let answer = counted.run(Script::Sweep, &tail, (40, 512 * 1_024));
        let fields = items(&answer);
        found.extend(fields[4..].chunks(5).map(|swept| bytes(&swept[0]).to_vec()));
        pages += 1;
        cursor = std::str::from_utf8(bytes(&fields[1])).unwrap().parse().unwrap();
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(found.len(), 2_000, "in {pages} pages");
}

#[test]
fn a_lock_s_script_does_no_more_for_many_waiters_and_tombstones() {
    let mut counted = Counted::new();
    let now = counted.now();
    let keys = LockKeys::of_state(b"comity:1:lock:{many}");
    let [state, holders, queue, records, tombstones] = keys.in_order().map(<[u8]>::to_vec);
    let id = |n: usize| Id::from_bits((n as u128) << 8);
    // All have ended: holder, waiters, and what is remembered of others.
    let record = |role: char, till: u64, n: usize| {
        format!("{role},{till},{n},1,1,30000000,2000000,10000000,,").into_bytes()
    };
    let many = 20_000;
    counted.fill(&records, [(id(0).as_bytes().to_vec(), record('h', now - 1_000, 1))]);
    counted.fill(
        &records,
        (1..=many).map(|n| (id(n).as_bytes().to_vec(), record('w', now - 1_000, n))),
    );
    counted.rank(&holders, [(now - 1_000, id(0).as_bytes().to_vec())]);
    counted.rank(&queue, (1..=many).map(|n| (n as u64, id(n).as_bytes().to_vec())));
    let tomb = |n: usize| [&id(many + n).as_bytes()[..], b"f"].concat();
    counted.rank(&tombstones, (0..many).map(|n| (now - 1_000, tomb(n))));
    let header = format!(
        "Q{now:016}{:016}{}{:010}{:010}{many:010}{:016}",
        now + 60_000_000,
        " ".repeat(92),
        1,
        1,
        1
    );
    counted.redis.command([&b"SET"[..], &state, header.as_bytes(), b"PX", b"600000"]);
    let mine = id(3 * many);
    let acquire = LockOp::Acquire(Acquire { id: mine, ..acquire(0) });
    let granted = (0..many).any(|_| counted.lock(&keys, &acquire)[0] == b"GRANTED");
    assert!(granted, "all the dead are passed over in the end");
    counted.lock(&keys, &LockOp::Inspect);
    counted.lock(&keys, &LockOp::Renew { id: mine, ttl: Span::from_secs(30) });
    assert_eq!(counted.lock(&keys, &LockOp::Release { id: mine, clean: false })[0], b"RELEASED");
    // Who adds one to what is remembered removes more of it that is over.
    for n in 0..200 {
        counted.lock(&keys, &LockOp::Release { id: id(4 * many + n), clean: false });
    }
    let left = counted.redis.command([&b"ZCARD"[..], &tombstones]);
    assert!(left == Reply::Integer(202), "its own, and the holder's: {left:?}");
}
