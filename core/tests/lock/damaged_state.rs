//! A lock's keys were cut, or written over: the scripts say so or mend it before they write anything,
//! never fail half-way, and the embedded store does the same.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

use std::collections::BTreeMap;

use crate::support::Rng;
use crate::support::acquire::acquire;
use crate::support::pair::Pair;
use crate::support::redis_server::RedisServer;
use crate::support::resp::{bytes, items};
use crate::support::seed;
use comity::keyspace::Value;
use comity::lock::{Acquire, Id, Op};
use comity::redis::{LockKeys, Reply};
use comity::time::Span;

const NAME: &str = "comity:1:lock:{damaged}";

fn request(bits: u128) -> Op {
    let (inbox, label) = (b"inbox".to_vec(), b"12345678901234567890".to_vec());
    Op::Acquire(Acquire { ttl: Span::from_secs(5), inbox, label, ..acquire(bits) })
}

/// The state string in each of its forms.
fn states(pair: &mut Pair) -> Vec<Vec<u8>> {
    let mut states = Vec::new();
    let mut note = |pair: &mut Pair, op: &Op| {
        pair.lock(NAME, op).unwrap();
        let space = pair.store.keyspace();
        states.push(space.get(NAME.as_bytes()).unwrap().expect("it was just written").to_vec());
    };
    note(pair, &request(1));
    note(pair, &Op::Release { id: Id::from_bits(1), clean: true });
    note(pair, &request(2));
    note(pair, &Op::Release { id: Id::from_bits(2), clean: false });
    note(pair, &request(3));
    note(pair, &request(4));
    states
}

/// All five operations, of ids that are in the lock and of one that is not.
fn ops() -> Vec<Op> {
    let mut ops = vec![Op::Inspect];
    for id in [3, 4, 9].map(Id::from_bits) {
        ops.push(Op::Renew { id, ttl: Span::from_secs(5) });
        for clean in [true, false] {
            ops.extend([Op::Release { id, clean }, Op::Cancel { id, clean }]);
        }
    }
    ops.extend([3, 4, 9].map(request));
    ops
}

/// Executes the operation where the keys are as they were left, compares, and checks that no script
/// failed.
fn verb(pair: &mut Pair, op: &Op, what: &str) -> String {
    let reply = pair.lock(NAME, op).unwrap_or_else(|difference| panic!("{what}: {difference}"));
    assert!(!matches!(&reply, Reply::Error(_)), "{what}: {op:?}: {reply:?}");
    String::from_utf8_lossy(bytes(&items(&reply)[0])).into_owned()
}

#[test]
fn a_state_that_was_cut_anywhere_is_named_and_left_alone() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    let (states, ops) = (states(&mut pair), ops());
    let mut tried = 0;
    for state in &states {
        let label = if state.len() > 194 { 194 } else { state.len() };
        for length in (0..label).filter(|length| *length != 125 || state[0] != b'I') {
            tried += 1;
            (1..5).for_each(|which| pair.lose_key(NAME, which));
            let cut = &state[..length];
            pair.overwrite(NAME.as_bytes(), cut);
            let what = cut.escape_ascii().to_string();
            assert_eq!(verb(&mut pair, &ops[tried % ops.len()], &what), "LAYOUT", "{what}");
            let left = pair.store.keyspace().get(NAME.as_bytes()).unwrap();
            assert_eq!(left, Some(cut), "{what}");
        }
    }
    println!("{tried} cuts of {} states", states.len());
}

#[test]
fn a_byte_of_the_state_that_was_written_over_makes_no_script_fail() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    let (states, ops) = (states(&mut pair), ops());
    let seed = seed();
    let mut rng = Rng::new(seed);
    let mut seen = BTreeMap::new();
    for step in 0..3_000 {
        // From the beginning, so that the other keys are there in every form.
        for which in 1..5 {
            pair.lose_key(NAME, which);
        }
        let mut state = rng.pick(&states.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec();
        for _ in 0..=rng.below(3) {
            let at = rng.index(state.len());
            state[at] = rng.pick(b"019 IFQZa.,-_\0\xff");
        }
        if rng.chance(100) {
            state.extend_from_slice(b"more");
        }
        pair.overwrite(NAME.as_bytes(), &state);
        for _ in 0..3 {
            let what = format!("COMITY_SEED={seed}: step {step}: {}", state.escape_ascii());
            let op = &ops[rng.index(ops.len())];
            *seen.entry(verb(&mut pair, op, &what)).or_insert(0) += 1;
        }
    }
    println!("{seen:?}");
    assert!(seen["LAYOUT"] > 100 && seen["GRANTED"] > 100, "{seen:?}");
}

#[test]
fn a_record_that_was_written_over_makes_no_script_fail() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    let ops = ops();
    let seed = seed();
    let mut rng = Rng::new(seed);
    let records = String::from_utf8(LockKeys::of_state(NAME.as_bytes()).records).expect("a text");
    for step in 0..1_000 {
        for which in 0..5 {
            pair.lose_key(NAME, which);
        }
        for bits in [3, 4, 5] {
            pair.lock(NAME, &request(bits)).unwrap();
        }
        let space = pair.store.keyspace();
        let Some(hash) = space.hash(records.as_bytes()).unwrap() else { panic!("a queue") };
        let (field, value) = hash.iter().nth(rng.index(3)).expect("three records");
        let field = String::from_utf8(field.clone()).expect("an id");
        let mut value = String::from_utf8(value.clone()).expect("a text");
        for _ in 0..=rng.below(2) {
            let at = rng.index(value.len());
            match rng.below(3) {
                0 => value.truncate(at.max(1)),
                1 => value.insert_str(at, rng.pick(&["9999999999999999", ",", "x"])),
                _ => value.replace_range(at..=at, rng.pick(&["9", ",", "h", "w", " "])),
            }
        }
        pair.set_field(&records, &field, &value);
        if rng.chance(300) {
            pair.lose_key(NAME, rng.index(3));
        }
        for _ in 0..3 {
            let what = format!("COMITY_SEED={seed}: step {step}: {value}");
            verb(&mut pair, &ops[rng.index(ops.len())], &what);
        }
        if rng.chance(200) {
            pair.advance(6_000_000).unwrap();
        }
        assert!(
            pair.store
                .keyspace()
                .iter()
                .all(|(_, value, end)| { end.is_some() || !matches!(value, Value::String(_)) })
        );
    }
}
