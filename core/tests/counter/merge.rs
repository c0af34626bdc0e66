//! The state of a peer counter with many replicas: each costs as much as each of few, and none holds up
//! what is counted or asked.

use std::time::{Duration, Instant};

use crate::support::counter_desk::{Replica, op_of};
use crate::support::desk::{Desk, events};
use comity::counter::{Freshness, Op};
use comity::crdt::{PNCounter, Slots};
use comity::event::Event;
use comity::memory::MemoryStore;
use comity::snapshot::Snapshot;

/// The bytes of so many replicas, each having counted 1.
fn peers(count: u64) -> Vec<u8> {
    fn some(from: u64, count: u64) -> Slots {
        if count == 1 {
            let id = u128::from(from.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64 | u128::from(from);
            let mut peer = PNCounter::new(id);
            peer.add(1).expect("it fits");
            return peer.slots().clone();
        }
        let mut half = some(from, count / 2);
        half.merge(&some(from + count / 2, count - count / 2)).expect("few");
        half
    }
    some(1, count).to_bytes()
}

/// What the coordinator itself takes for half of its commands at most, where it merges so many replicas.
/// Each is measured by itself: a machine that is busy with other things interrupts few of them.
fn each(count: u64) -> Duration {
    let desk = Desk::without_scripts();
    let (bytes, mut store) = (peers(count), MemoryStore::new());
    let mut replica = Replica::open(&desk, 1);
    replica.co.counter_merge(replica.counter, &bytes, desk.now).expect("it is open");
    let mut steps = Vec::new();
    loop {
        let begun = Instant::now();
        let Some(command) = replica.co.poll_command() else { break };
        let polled = begun.elapsed();
        let reply = store.execute(&command.argv, desk.now);
        let begun = Instant::now();
        replica.co.handle_reply(command.request, &reply, desk.now);
        steps.push(polled + begun.elapsed());
    }
    assert_eq!(replica.value(&desk).value, i128::from(count));
    steps.sort_unstable();
    steps[steps.len() / 2]
}

#[test]
fn each_of_many_replicas_costs_what_each_of_few_does() {
    // It would be 16 times as much if it grew with their number.
    let (few, many) = (each(500), each(8_000));
    assert!(many < 6 * few, "{few:?} for a command of 500, {many:?} for one of 8,000");
}

#[test]
fn a_read_does_not_wait_for_all_of_them() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 5);
    replica.co.counter_merge(replica.counter, &peers(100), desk.now).expect("it is open");
    let first = replica.co.poll_command().expect("it merges");
    replica.co.counter_read(replica.counter, Freshness::Fresh, desk.now).expect("it is open");
    replica.count(1, desk.now);
    desk.answer(&mut replica.co, &first);
    let mut ops = Vec::new();
    while !events(&mut replica.co).iter().any(|event| matches!(event, Event::CounterRead { .. })) {
        let command = replica.co.poll_command().expect("it goes on");
        ops.push(op_of(&command));
        desk.answer(&mut replica.co, &command);
    }
    assert!(ops.len() <= 3, "{ops:?}");
    assert!(
        matches!(ops[0], Op::Add { tally, .. } if tally.p == 6),
        "what is counted here comes first"
    );
    desk.run(&mut replica.co);
    assert_eq!(replica.read(&mut desk), 106);
}
