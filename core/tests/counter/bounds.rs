//! Nothing that comes from outside moves what all replicas share beyond what the server's clock allows:
//! a made-up journal or the state of a peer counter is refused and reported, and counting goes on.

#![allow(clippy::cast_possible_truncation, reason = "the numbers are small")]

use crate::support::counter_desk::{HITS, KEY, Replica, stands, up};
use crate::support::desk::{Desk, events};
use crate::support::pair::Pair;
use crate::support::redis_server::RedisServer;
use comity::counter::{Answer, FlushStamp, MAX_PEERS, MAX_SLOTS, Op, SlotId, Tally, Verb};
use comity::crdt::{PNCounter, Slots};
use comity::error::ErrorCode;
use comity::event::Event;
use comity::memory::MemoryStore;
use comity::snapshot::Snapshot;
use comity::time::{Span, Time};

const HOUR: u64 = 3_600_000_000;

fn uvarint(out: &mut Vec<u8>, mut number: u64) {
    while number > 127 {
        out.push(u8::try_from(number & 127).expect("7 bits") | 128);
        number >>= 7;
    }
    out.push(u8::try_from(number).expect("7 bits"));
}

/// The bytes of a journal with these slots, each having counted 3 of which 1 is acknowledged.
fn journal(ids: impl IntoIterator<Item = SlotId>) -> Vec<u8> {
    let mut slots = Vec::new();
    for id in ids {
        slots.extend_from_slice(&id.owner.to_be_bytes());
        for number in [id.incarnation, 3, 0, 1, 0] {
            uvarint(&mut slots, number);
        }
    }
    let mut body = vec![1, u8::try_from(HITS.len()).expect("short")];
    body.extend_from_slice(HITS);
    body.push(3);
    uvarint(&mut body, slots.len() as u64);
    crate::support::snapshots::sealed(2, &[body, slots].concat())
}

fn verb(pair: &mut Pair, op: &Op) -> Verb {
    let reply = pair.counter(KEY, op).expect("both are equal");
    Answer::decode(&reply).expect("an answer").verb
}

#[test]
fn an_incarnation_from_after_now_is_taken_by_no_operation() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    let (flush_stamp, known, tally) = (FlushStamp(1), Tally::ZERO, up(1));
    let latest = pair.now + HOUR;
    for incarnation in [latest + 1, (1 << 53) - 1, 1 << 53, SlotId::PEER - 1] {
        let id = SlotId { owner: 7, incarnation };
        for op in [
            Op::Add { id, tally, flush_stamp, known },
            Op::Retire { id, tally, flush_stamp: FlushStamp::REPLAY, known },
            Op::Fold { id, tally, flush_stamp, known: tally },
        ] {
            assert_eq!(verb(&mut pair, &op), Verb::Ahead, "{op:?}");
        }
    }
    assert_eq!(verb(&mut pair, &Op::Join), Verb::Joined(pair.now), "nothing was raised");
    let id = SlotId { owner: 7, incarnation: latest };
    assert_eq!(verb(&mut pair, &Op::Add { id, tally, flush_stamp, known }), Verb::Live);
    assert_eq!(verb(&mut pair, &Op::Join), Verb::Joined(latest + 1), "none is issued twice");
    // A clock that was set back: what was issued before is no excess.
    pair.set_field(KEY, "hw", &(latest + 2 * HOUR).to_string());
    let id = SlotId { owner: 8, incarnation: latest + 2 * HOUR };
    assert_eq!(verb(&mut pair, &Op::Add { id, tally, flush_stamp, known }), Verb::Live);
}

#[test]
fn when_no_number_is_left_it_is_said() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    for highest in ["9007199254740991", "9999999999999998"] {
        pair.set_field(KEY, "hw", highest);
        assert_eq!(verb(&mut pair, &Op::Join), Verb::Ahead);
    }
    pair.set_field(KEY, "hw", "9007199254740990");
    assert_eq!(verb(&mut pair, &Op::Join), Verb::Joined((1 << 53) - 1));
}

#[test]
fn a_made_up_journal_is_reported_and_counting_goes_on() {
    let mut desk = Desk::without_scripts();
    let ahead = desk.now.as_micros() + 2 * HOUR;
    let made_up = [ahead, SlotId::PEER - 1].map(|incarnation| SlotId { owner: 7, incarnation });
    let sound = SlotId { owner: 9, incarnation: desk.now.as_micros() };
    let bytes = journal([made_up[0], made_up[1], sound]);
    let mut replica = Replica::restore(&desk, 1, &bytes);
    replica.count(10, desk.now);
    let call = replica.co.counter_flush(replica.counter, desk.now).expect("it is open");
    desk.run(&mut replica.co);
    let told = events(&mut replica.co);
    let lost = told.iter().filter_map(|event| match event {
        Event::CounterLost { lost, error, .. } => Some((*lost, error.code(), error.message())),
        _ => None,
    });
    let lost: Vec<_> = lost.collect();
    assert_eq!(lost.len(), 2, "{told:?}");
    for (lost, code, words) in lost {
        assert_eq!((lost, code), (up(2), ErrorCode::InvalidState));
        assert!(words.contains("an hour ahead of the server's clock"), "{words}");
    }
    let failed = |event: &Event| matches!(event, Event::CallFailed { call: it, .. } if *it == call);
    assert!(told.iter().any(failed), "{told:?}");
    assert_eq!(stands(&mut desk).totals.p, 13, "what is sound is counted, and what came after");
    let mut other = Replica::open(&desk, 2);
    other.add(&mut desk, 100);
    assert_eq!((other.read(&mut desk), replica.read(&mut desk)), (113, 113));
}

#[test]
fn the_slots_of_a_made_up_journal_are_in_nobodys_way() {
    let mut desk = Desk::without_scripts();
    let mut other = Replica::open(&desk, 2);
    other.add(&mut desk, 1);
    let space = desk.store.keyspace_mut();
    let row = |owner: u64| {
        let id = SlotId { owner: owner.into(), incarnation: 1_750_000_000_000_000 + owner };
        Op::Retire { id, tally: up(1), flush_stamp: FlushStamp::REPLAY, known: Tally::ZERO }
    };
    // More than there is room for, as from several such journals.
    for owner in 0..MAX_SLOTS as u64 + 1_000 {
        let answer = comity::counter::execute(space, KEY.as_bytes(), &row(owner)).expect("a hash");
        assert_eq!(answer.verb, Verb::Retired, "slot {owner}");
    }
    let mut third = Replica::open(&desk, 3);
    third.add(&mut desk, 5);
    other.add(&mut desk, 1);
    assert_eq!(third.read(&mut desk), i128::try_from(MAX_SLOTS).expect("small") + 1_007);
    assert_eq!((third.lost(), other.lost()), (vec![], vec![]));
}

#[test]
fn peer_counters_take_half_of_the_slots_and_no_more() {
    let mut desk = Desk::without_scripts();
    let mut peers = Slots::new();
    for owner in 0..100 {
        let mut peer = PNCounter::new(owner);
        peer.add(1).expect("it fits");
        peers.merge(peer.slots()).expect("few");
    }
    let room = MAX_PEERS - 60;
    for owner in 0..room as u128 {
        let id = SlotId { owner: owner << 64 | 1 << 60, incarnation: SlotId::PEER };
        let op = Op::Add { id, tally: up(1), flush_stamp: FlushStamp::REPLAY, known: Tally::ZERO };
        let space = desk.store.keyspace_mut();
        assert_eq!(
            comity::counter::execute(space, KEY.as_bytes(), &op).expect("a hash").verb,
            Verb::Live
        );
    }
    let mut replica = Replica::open(&desk, 1);
    replica.co.counter_merge(replica.counter, &peers.to_bytes(), desk.now).expect("it is open");
    desk.run(&mut replica.co);
    let lost = replica.lost();
    assert_eq!(lost, vec![up(1); 40], "what is not taken is reported");
    assert!(replica.value(&desk).pending.is_zero());
    // What is there is raised, and what is counted in other ways goes on.
    replica.co.counter_merge(replica.counter, &peers.to_bytes(), desk.now).expect("it is open");
    replica.add(&mut desk, 1_000);
    assert_eq!(replica.lost().len(), 40);
    assert_eq!(replica.read(&mut desk), i128::try_from(MAX_PEERS).expect("small") + 1_000);
    let mut again = Replica::open(&desk, 2);
    again.add(&mut desk, 1);
    assert_eq!(again.lost(), []);
}

#[test]
fn an_own_slot_from_after_now_is_kept_until_the_clock_is_right() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 5);
    // Another master, empty, and its clock two hours behind.
    let behind = Time::from_micros(desk.now.as_micros() - 2 * HOUR);
    desk.store = MemoryStore::new();
    replica.count(1, desk.now);
    while let Some(command) = replica.co.poll_command() {
        let reply = desk.store.execute(&command.argv, behind);
        replica.co.handle_reply(command.request, &reply, desk.now);
    }
    let told = events(&mut replica.co);
    let refused = |event: &Event| matches!(event, Event::CounterRefused { error, .. } if error.code() == ErrorCode::InvalidState);
    assert!(told.iter().any(refused), "{told:?}");
    assert_eq!(replica.value(&desk).pending, up(6));
    desk.pass(Span::from_secs(5), &mut [&mut replica.co]);
    assert_eq!(stands(&mut desk).totals.p, 6);
    assert!(replica.value(&desk).pending.is_zero());
}
