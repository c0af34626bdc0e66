//! The embedded store against a real redis-server: the same random calls, and every reply, every
//! message and the whole key space compared. And the proof that this would notice: the same with
//! scripts that have one mistake each.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

use crate::support::generator::{Generator, NAMES};
use crate::support::pair::{Difference, Pair};
use crate::support::redis_server::RedisServer;
use crate::support::resp::items;
use crate::support::seed;
use comity::keyspace::ServerTime;
use comity::lock::{Acquire, Fence, GuardOp, Id, Op};
use comity::redis::{LockKeys, Reply};
use comity::time::Span;

const OPERATIONS: u64 = 24_000;
/// How often each answer has to occur for the comparison to be worth something.
const AT_LEAST: u64 = 50;

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
    let mut pair = Pair::new(&server);
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
    pair.assert_short_ways(AT_LEAST);
}

fn request(bits: u128, ttl: Span, waiter_ttl: Span) -> Op {
    Op::Acquire(Acquire {
        id: Id::from_bits(bits),
        capacity: 1,
        weight: 1,
        ttl,
        handoff_ttl: Span::from_secs(2),
        waiter_ttl,
        wait: true,
        ticket: 0,
        inbox: b"inbox".to_vec(),
        min_fence: Fence(0),
        not_after: ServerTime(0),
        label: Vec::new(),
    })
}

#[test]
fn a_call_clears_a_bounded_number_of_dead_waiters_and_says_that_more_are_left() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
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
    let mut pair = Pair::new(&server);
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
    let mut pair = Pair::new(&server);
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
    let mut pair = Pair::new(&server);
    pair.overwrite(NAMES[0].as_bytes(), b"Zoo");
    let reply = pair.lock(NAMES[0], &request(1, Span::from_secs(5), Span::from_secs(1))).unwrap();
    assert_eq!(items(&reply)[..2], ["LAYOUT", "Z"].map(Reply::bulk));
}

#[test]
fn of_many_leases_that_have_ended_none_is_held_or_renewed() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    let Op::Acquire(one) = request(0, Span::from_secs(5), Span::from_secs(1)) else {
        panic!("a request to acquire is one");
    };
    let of = |bits: u64| {
        let (id, ttl) = (Id::from_bits(bits.into()), Span::from_micros(5_000_000 + bits));
        Op::Acquire(Acquire { id, ttl, capacity: 150, ..one.clone() })
    };
    for bits in 0..150 {
        pair.lock(NAMES[0], &of(bits)).unwrap();
    }
    pair.advance(6_000_000).unwrap();
    let renewed =
        pair.lock(NAMES[0], &Op::Renew { id: Id::from_bits(149), ttl: Span::from_secs(5) });
    assert_eq!(items(&renewed.unwrap())[..2], ["LOST", "expired"].map(Reply::bulk));
    let asked = pair.lock(NAMES[0], &of(148)).unwrap();
    assert_eq!(items(&asked)[..2], ["GONE", "expired"].map(Reply::bulk));
}
