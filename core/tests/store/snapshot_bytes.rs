//! Snapshots: the same state is the same bytes (C10), and whatever is not exactly such bytes is
//! refused, whatever it is.
#![allow(clippy::cast_possible_truncation, reason = "the numbers are small")]

use crate::support::snapshots::{check, resealed, sealed};
use comity::coordinator::{Config, Coordinator};
use comity::counter::CounterOptions;
use comity::crdt::{PNCounter, Slots};
use comity::error::ErrorCode;
use comity::memory::MemoryStore;
use comity::ring::{NodeSpec, Ring, RingConfig};
use comity::snapshot::{Decoded, Snapshot};
use comity::time::Time;
use proptest::prelude::*;
use serde_json::Value;

const VECTORS: &str = include_str!("../../../tests/vectors/snapshots.json");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn counter(slots: &[(u128, u64, u64)]) -> PNCounter {
    let mut all = PNCounter::new(u128::MAX);
    for (id, p, n) in slots {
        let mut one = PNCounter::new(*id);
        for (amount, sign) in [(*p, 1), (*n, -1)] {
            let half = i64::try_from(amount / 2).expect("half of 64 bits fits");
            one.add(sign * half).and(one.add(sign * half)).expect("fits");
            one.add(sign * i64::from(amount % 2 == 1)).expect("fits");
        }
        all.join(one.slots()).expect("few");
    }
    all
}

#[test]
fn the_vectors_are_what_is_written_and_read() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("the vectors are JSON");
    let number =
        |value: &Value| value.as_str().and_then(|text| text.parse().ok()).expect("a number");
    for vector in vectors["counters"].as_array().expect("a list") {
        let slots = vector["slots"].as_array().expect("a list").iter().map(|slot| {
            let id = slot["id"].as_str().and_then(|id| u128::from_str_radix(id, 16).ok());
            (id.expect("an id"), number(&slot["p"]), number(&slot["n"]))
        });
        let mut counter = counter(&slots.collect::<Vec<_>>());
        let bytes = vector["bytes"].as_str().expect("bytes");
        assert_eq!(hex(&counter.to_bytes()), bytes);
        let read = Slots::from_bytes(&unhex(bytes)).expect("valid");
        assert_eq!(&read, counter.slots());
        assert_eq!(read.value().to_string(), vector["value"].as_str().expect("a value"));
    }
    for vector in vectors["rings"].as_array().expect("a list") {
        let nodes = vector["nodes"].as_array().expect("a list").iter().map(|node| {
            let weight = u32::try_from(node["weight"].as_u64().expect("a weight")).expect("small");
            NodeSpec::new(node["id"].as_str().expect("an id"), weight)
        });
        let points_per_weight = vector["points_per_weight"].as_u64().expect("a number") as u32;
        let seed = number(&vector["seed"]);
        let ring = Ring::with_config(nodes, RingConfig { seed, points_per_weight }).expect("sound");
        let bytes = vector["bytes"].as_str().expect("bytes");
        assert_eq!(hex(&ring.to_bytes()), bytes);
        assert_eq!(Ring::from_bytes(&unhex(bytes)), Ok(ring));
    }
    for vector in vectors["refused"].as_array().expect("a list") {
        let bytes = unhex(vector["bytes"].as_str().expect("bytes"));
        let error = Slots::from_bytes(&bytes).expect_err(vector["why"].as_str().expect("a reason"));
        assert_eq!(error.code(), ErrorCode::Corrupt);
        let said = vector["says"].as_str().expect("words");
        assert!(error.message().contains(said), "{error}: {said}");
    }
}

#[test]
fn a_later_versions_optional_section_survives_and_a_critical_one_does_not() {
    let mut body = vec![1, 18];
    body.extend_from_slice(&[[0; 15], [0; 15]].concat()[..15]);
    body.extend_from_slice(&[9, 5, 2]);
    let optional = sealed(1, &[&body[..], &[8, 2, 7, 7]].concat());
    let decoded = Decoded::<Slots>::from_bytes(&optional).expect("an unknown optional section");
    assert_eq!(decoded.to_bytes(), optional);
    assert_eq!(decoded.value().value(), 3);
    // A change drops it.
    assert_eq!(decoded.into_value().to_bytes(), sealed(1, &body));
    let critical = sealed(1, &[&body[..], &[9, 2, 7, 7]].concat());
    let error = Slots::from_bytes(&critical).expect_err("an unknown critical section");
    assert!(error.message().contains("section 9 is critical"), "{error}");
}

#[test]
fn a_length_that_is_not_there_is_refused_before_it_is_allocated() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let mut section = vec![1];
    section.extend_from_slice(&huge);
    for kind in [1, 3] {
        let bytes = sealed(kind, &section);
        assert!(Slots::from_bytes(&bytes).is_err() && Ring::from_bytes(&bytes).is_err());
    }
}

/// A journal of one slot, with something pending.
fn journal() -> Vec<u8> {
    let (mut co, mut store) = (crate::support::snapshots::coordinator(1), MemoryStore::new());
    let now = Time::from_micros(1_750_000_000_000_000);
    let counter = co
        .counter_open(crate::support::snapshots::NAME, CounterOptions::default(), now)
        .expect("sound");
    for amount in [5, -300] {
        co.counter_add(counter, amount, now).expect("few");
        co.counter_flush(counter, now).expect("it is open");
        while let Some(command) = co.poll_command() {
            co.handle_reply(command.request, &store.execute(&command.argv, now), now);
        }
    }
    co.counter_add(counter, i64::MAX, now).expect("few");
    co.counter_snapshot(counter).expect("it is open")
}

#[test]
fn whatever_is_near_a_vector_is_refused_or_sound() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("the vectors are JSON");
    let lists = ["counters", "rings", "refused"].into_iter();
    let listed = lists.flat_map(|list| vectors[list].as_array().expect("a list"));
    let mut seeds: Vec<Vec<u8>> =
        listed.map(|vector| unhex(vector["bytes"].as_str().expect("bytes"))).collect();
    seeds.push(journal());
    let (mut accepted, mut near) = (0, 0);
    for seed in &seeds {
        accepted += check(seed);
        for at in 0..seed.len() {
            check(&seed[..at]);
            for change in [1, 2, 0x40, 0x80, 0xff] {
                let mut changed = seed.clone();
                changed[at] ^= change;
                near += check(&changed) + check(&resealed(&changed));
            }
            let longer = [&seed[..at], &[0x80], &seed[at..]].concat();
            near += check(&resealed(&longer)) + check(&resealed(&seed[..at]));
        }
    }
    let sound = vectors["counters"].as_array().into_iter().chain(vectors["rings"].as_array());
    assert_eq!(accepted, sound.flatten().count() + 1);
    assert!(near > 100, "{near} that differ were accepted");
}

#[test]
fn a_journal_is_of_its_counter_only() {
    let now = Time::from_micros(1_750_000_000_000_000);
    let config = || Config::new(vec![NodeSpec::new("a", 1)]);
    let mut co = Coordinator::new(config(), [1; 32], now).expect("sound");
    let mut store = MemoryStore::new();
    let counter = co.counter_open(b"a", CounterOptions::default(), now).expect("open");
    co.counter_add(counter, 5, now).expect("few");
    co.counter_flush(counter, now).expect("open");
    while let Some(command) = co.poll_command() {
        co.handle_reply(command.request, &store.execute(&command.argv, now), now);
    }
    co.counter_add(counter, 2, now).expect("few");
    let bytes = co.counter_snapshot(counter).expect("open");
    let mut other = Coordinator::new(config(), [2; 32], now).expect("sound");
    let refused = other.counter_restore(b"b", CounterOptions::default(), &bytes, now);
    assert_eq!(refused.map_err(|error| error.code()), Err(ErrorCode::Corrupt));
    for cut in 0..bytes.len() {
        let options = CounterOptions::default();
        assert!(other.counter_restore(b"a", options, &bytes[..cut], now).is_err());
    }
    assert!(other.counter_restore(b"a", CounterOptions::default(), &bytes, now).is_ok());
}

fn slots() -> impl Strategy<Value = Vec<(u128, u64, u64)>> {
    let number = prop_oneof![Just(0), 1..300_u64, Just(u64::MAX), any::<u64>()];
    prop::collection::vec((prop_oneof![0..6_u128, any::<u128>()], number.clone(), number), 0..12)
}

proptest! {
    #[test]
    fn c1_merge_is_commutative_associative_and_idempotent(a in slots(), b in slots(), c in slots()) {
        let (a, b, c) = (counter(&a), counter(&b), counter(&c));
        let merged = |parts: &[&PNCounter]| {
            let mut all = Slots::new();
            for part in parts {
                all.merge((*part).clone().slots()).expect("few");
            }
            all
        };
        let all = merged(&[&a, &b, &c]);
        prop_assert_eq!(&all, &merged(&[&c, &b, &a]));
        prop_assert_eq!(&all, &merged(&[&b, &a, &a, &c, &b]));
        let (mut left, right) = (merged(&[&a, &b]), merged(&[&b, &c]));
        left.merge(&right).expect("few");
        prop_assert_eq!(&all, &left);
        // C2: no slot goes down.
        for (id, tally) in a.clone().slots().iter() {
            prop_assert!(tally.is_within(all.get(id)));
        }
        let value: i128 = all.iter().map(|(_, tally)| tally.value()).sum();
        prop_assert_eq!(all.value(), value);
    }

    #[test]
    fn c10_what_was_written_is_read_and_written_again(a in slots()) {
        let mut counter = counter(&a);
        let bytes = counter.to_bytes();
        let read = Slots::from_bytes(&bytes);
        prop_assert_eq!(read.as_ref(), Ok(counter.slots()));
        prop_assert_eq!(read.map(|slots| slots.to_bytes()), Ok(bytes));
    }

    #[test]
    fn a_flipped_or_cut_snapshot_is_refused(a in slots(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let bytes = counter(&a).to_bytes();
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1_u8 << bit;
        prop_assert!(Slots::from_bytes(&flipped).is_err());
        prop_assert!(Slots::from_bytes(&bytes[..at.index(bytes.len())]).is_err());
        prop_assert!(Slots::from_bytes(&[&bytes[..], b"\0"].concat()).is_err());
    }

    #[test]
    fn any_body_is_refused_or_is_canonical(body in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..80), kind in 1..4_u8) {
        let bytes = sealed(kind, &body);
        if let Ok(slots) = Decoded::<Slots>::from_bytes(&bytes) {
            prop_assert_eq!(slots.to_bytes(), &bytes[..]);
        }
        if let Ok(ring) = Decoded::<Ring>::from_bytes(&bytes) {
            prop_assert_eq!(ring.to_bytes(), &bytes[..]);
        }
    }

    #[test]
    fn any_slots_section_is_refused_or_is_canonical(body in prop::collection::vec(prop_oneof![Just(0_u8), 0..3_u8, 126..130_u8], 1..100)) {
        let bytes = sealed(1, &[&[1, body.len() as u8][..], &body].concat());
        if let Ok(slots) = Decoded::<Slots>::from_bytes(&bytes) {
            prop_assert_eq!(slots.to_bytes(), bytes);
        }
    }
}
