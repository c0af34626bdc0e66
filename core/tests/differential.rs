//! The embedded store against a real redis-server: the same random calls, and every reply, every
//! message and the whole key space compared. And the proof that this would notice: the same with
//! scripts that have one mistake each.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

mod support;

use comity::keyspace::ServerTime;
use comity::lock::{Acquire, Fence, GuardOp, Id, Op};
use comity::redis::{LockKeys, Reply};
use comity::time::Span;
use support::pair::{Difference, Pair, QUEUE};
use support::redis_server::RedisServer;
use support::resp::{bytes, items};
use support::{Rng, seed};

const OPERATIONS: u64 = 24_000;
/// How often each answer has to occur for the comparison to be worth something.
const AT_LEAST: u64 = 50;

const NAMES: [&str; 2] = ["comity:1:lock:{a}", "comity:1:lock:{b c}"];
const LABELS: [&[u8]; 5] = [b"", b"worker 1", b"a,b,,c", b"nul\0,\xff", "gr\u{fc}n".as_bytes()];
const INBOXES: [&[u8]; 3] = [b"comity:1:inbox:x", b"comity:1:inbox:y", b""];
const IDS: usize = 6;

/// One of the requests that the operations are about.
#[derive(Clone)]
struct Request {
    id: Id,
    ticket: u64,
}

/// Makes up operations. The second lock is a semaphore.
struct Generator {
    rng: Rng,
    requests: [Vec<Request>; 2],
    capacity: u32,
    fence: u64,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut fresh = || Request { id: Id::from_bits(rng.bits128()), ticket: 0 };
        let requests = [0, 1].map(|_| (0..IDS).map(|_| fresh()).collect());
        Self { rng, requests, capacity: 3, fence: 0 }
    }

    fn step(&mut self, pair: &mut Pair) -> Result<(), Difference> {
        let rng = &mut self.rng;
        if rng.chance(400) {
            let steps = [(1, 1_000), (1, 1_000), (1_000, 50_000), (50_000, 3_000_000)];
            let (low, high) = if rng.chance(40) { (1, 90_000_000) } else { rng.pick(&steps) };
            pair.advance(rng.between(low, high))?;
        }
        let which = usize::from(rng.chance(400));
        let name = NAMES[which];
        match rng.below(1_000) {
            0..8 => pair.lose_key(name, rng.below(5) as usize),
            8..12 => pair.flush_scripts(),
            12..40 => {
                self.fence += 1;
                let fence = Fence(self.fence + rng.below(10));
                pair.guard("comity:1:fence:{r}", GuardOp { fence })?;
            }
            _ => {
                let slot = rng.below(IDS as u64) as usize;
                if rng.chance(150) {
                    let fresh = Request { id: Id::from_bits(rng.bits128()), ticket: 0 };
                    let Request { id, .. } =
                        std::mem::replace(&mut self.requests[which][slot], fresh);
                    // Some are left behind, to expire.
                    if rng.chance(800) {
                        pair.lock(name, &Op::Cancel { id, clean: true })?;
                    }
                }
                let op = self.operation(which, slot, pair.now);
                let reply = pair.lock(name, &op)?;
                if bytes(items(&reply).first().unwrap_or(&Reply::Nil)) == b"QUEUED" {
                    let ticket = String::from_utf8_lossy(bytes(&items(&reply)[1])).parse();
                    self.requests[which][slot].ticket = ticket.expect("a ticket is a number");
                }
            }
        }
        Ok(())
    }

    fn operation(&mut self, which: usize, slot: usize, now: u64) -> Op {
        let rng = &mut self.rng;
        let Request { id, ticket } = self.requests[which][slot];
        let ttl = rng.pick(&[50, 400, 2_000, 2_000, 30_000]);
        let ttl = if rng.chance(5) { 86_400_000 } else { ttl };
        let ttl = Span::from_micros(ttl * 1_000 + rng.below(1_000));
        let clean = rng.chance(500);
        match rng.below(100) {
            0..50 => {
                if which == 1 && rng.chance(30) {
                    self.capacity = 5 - self.capacity;
                }
                let capacity = [1, self.capacity][which];
                Op::Acquire(Acquire {
                    id,
                    capacity: if rng.chance(20) { capacity + 1 } else { capacity },
                    weight: if which == 1 { rng.between(1, 2) as u32 } else { 1 },
                    ttl,
                    claim: Span::from_millis(rng.pick(&[20, 2_000])),
                    live: Span::from_millis(rng.pick(&[100, 10_000])),
                    wait: rng.chance(800),
                    ticket: rng.pick(&[0, ticket, ticket, ticket + rng.clone().below(1_000_000)]),
                    inbox: rng.pick(&INBOXES).to_vec(),
                    floor: Fence(rng.pick(&[0, 0, 0, now - 5, now + rng.clone().below(2_000_000)])),
                    not_after: ServerTime(rng.pick(&[0, 0, now - 1, now, now + 1_000_000])),
                    label: rng.pick(&LABELS).to_vec(),
                })
            }
            50..68 => Op::Renew { id, ttl },
            68..82 => Op::Release { id, clean },
            82..94 => Op::Cancel { id, clean },
            _ => Op::Inspect,
        }
    }
}

/// Runs random operations until the two differ.
fn run(pair: &mut Pair, seed: u64, operations: u64) -> Result<(), (u64, Difference)> {
    let mut generator = Generator::new(seed);
    for step in 0..operations {
        generator.step(pair).map_err(|what| (step, what))?;
    }
    pair.compare_rest().map_err(|what| (operations, what))
}

#[test]
fn the_embedded_store_answers_as_redis_does() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server, QUEUE);
    let seed = seed();
    println!("differential: {OPERATIONS} operations, seed {seed}");
    if let Err((step, what)) = run(&mut pair, seed, OPERATIONS) {
        panic!("COMITY_SEED={seed}: step {step}: {what}");
    }
    for (verb, count) in &pair.seen {
        println!("{count:8} {verb}");
    }
    let wanted = "GRANTED QUEUED BUSY CAPACITY OK RELEASED UNKNOWN CANCELLED WAS_GRANTED INFO \
        GONE_expired GONE_finished GONE_late LOST_expired LOST_finished LOST_unknown \
        ACCEPTED STALE NOSCRIPT (message)";
    for verb in wanted.split_whitespace().map(|verb| verb.replace('_', " ")) {
        let verb = if verb == "WAS GRANTED" { "WAS_GRANTED".to_string() } else { verb };
        let count = pair.seen.get(&verb).copied().unwrap_or(0);
        assert!(count >= AT_LEAST, "{verb} occurred {count} times only");
    }
}

fn request(bits: u128, ttl: Span, live: Span) -> Op {
    Op::Acquire(Acquire {
        id: Id::from_bits(bits),
        capacity: 1,
        weight: 1,
        ttl,
        claim: Span::from_secs(2),
        live,
        wait: true,
        ticket: 0,
        inbox: b"inbox".to_vec(),
        floor: Fence(0),
        not_after: ServerTime(0),
        label: Vec::new(),
    })
}

#[test]
fn a_call_clears_a_bounded_number_of_dead_waiters_and_says_that_more_are_left() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server, QUEUE);
    for bits in 0..201 {
        pair.lock(NAMES[0], &request(bits, Span::from_secs(5), Span::from_secs(1))).unwrap();
    }
    pair.advance(6_000_000).unwrap();
    let ask = Op::Renew { id: Id::from_bits(999), ttl: Span::from_secs(1) };
    let mut calls = 0;
    while items(&pair.lock(NAMES[0], &ask).unwrap()).last() == Some(&Reply::bulk("more")) {
        calls += 1;
    }
    assert_eq!(calls, 3, "200 dead waiters, 64 in one call");
}

#[test]
fn a_semaphore_with_many_expired_holders_is_cleared_in_bounded_steps() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server, QUEUE);
    let Op::Acquire(one) = request(0, Span::from_secs(5), Span::from_secs(1)) else { return };
    for bits in 0..150 {
        let id = Id::from_bits(bits);
        pair.lock(NAMES[0], &Op::Acquire(Acquire { id, capacity: 150, ..one.clone() })).unwrap();
    }
    pair.advance(6_000_000).unwrap();
    let late = Acquire { id: Id::from_bits(999), capacity: 150, weight: 150, ..one };
    let verbs: Vec<Reply> = (0..3)
        .map(|_| {
            let reply = pair.lock(NAMES[0], &Op::Acquire(late.clone())).unwrap();
            items(&reply)[0].clone()
        })
        .collect();
    assert_eq!(verbs, ["QUEUED", "QUEUED", "GRANTED"].map(Reply::bulk));
}

#[test]
fn a_key_of_another_type_is_the_same_error() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server, QUEUE);
    let op = request(1, Span::from_secs(5), Span::from_secs(1));
    pair.overwrite_with_hash(NAMES[0].as_bytes());
    for op in [&op, &Op::Inspect, &Op::Renew { id: Id::from_bits(1), ttl: Span::from_secs(1) }] {
        let reply = pair.lock(NAMES[0], op).unwrap();
        assert!(matches!(&reply, Reply::Error(text) if text.starts_with(b"WRONGTYPE")));
    }
    // The same for the keys that only a queue has.
    for which in 1..4 {
        let name = format!("comity:1:lock:{{{which}}}");
        for bits in 0..2 {
            pair.lock(&name, &request(bits, Span::from_secs(5), Span::from_secs(1))).unwrap();
        }
        let keys = LockKeys::of_state(name.as_bytes());
        pair.overwrite(keys.in_order()[which], b"a string");
        let reply = pair.lock(&name, &op).unwrap();
        assert!(matches!(&reply, Reply::Error(text) if text.starts_with(b"WRONGTYPE")));
    }
    pair.overwrite_with_hash(b"comity:1:fence:{r}");
    let reply = pair.guard("comity:1:fence:{r}", GuardOp { fence: Fence(1) }).unwrap();
    assert!(matches!(&reply, Reply::Error(text) if text.starts_with(b"WRONGTYPE")));
}

#[test]
fn a_state_of_another_layout_is_named_and_left_alone() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server, QUEUE);
    pair.overwrite(NAMES[0].as_bytes(), b"Zoo");
    let reply = pair.lock(NAMES[0], &request(1, Span::from_secs(5), Span::from_secs(1))).unwrap();
    assert_eq!(items(&reply)[..2], ["LAYOUT", "Z"].map(Reply::bulk));
}
