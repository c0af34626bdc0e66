//! A replica that was retired while it slept: exactly counted as long as its slot is there, and told
//! how much may be missing when it was folded.

use crate::support::counter_desk::{Replica, execute, stands, up};
use crate::support::desk::{Desk, events};
use comity::counter::{FlushStamp, Op, SlotId, Tally, Verb};
use comity::error::ErrorCode;
use comity::event::Event;
use comity::time::Span;

const DAY: Span = Span::from_secs(24 * 3_600);

/// Two replicas: the first counted 10 and sleeps, the second has retired its slot.
fn pruned() -> (Desk, Replica, Replica) {
    let mut desk = Desk::without_scripts();
    let (mut sleeper, mut other) = (Replica::open(&desk, 1), Replica::open(&desk, 2));
    sleeper.add(&mut desk, 10);
    other.add(&mut desk, 1);
    desk.now = desk.now + DAY;
    let audit = other.audit(&mut desk, Some(Span::from_secs(3_600)));
    assert_eq!((audit.pruned, audit.retired, audit.live), (1, 1, 1));
    (desk, sleeper, other)
}

/// Lets the retention of a retired slot end, and what is beyond it be folded: with a retirement.
fn fold(desk: &mut Desk) {
    desk.now = desk.now + Span::from_secs(7 * 24 * 3_600 + 1);
    let Verb::Joined(incarnation) = execute(desk, &Op::Join).verb else { panic!("no incarnation") };
    let (id, known) = (SlotId { owner: 77, incarnation }, Tally::ZERO);
    execute(desk, &Op::Retire { id, tally: up(100), flush_stamp: FlushStamp(1), known });
}

/// How much was lost, and why.
fn lost(replica: &mut Replica) -> Vec<(Tally, ErrorCode)> {
    let lost = events(&mut replica.co).into_iter().filter_map(|event| match event {
        Event::CounterLost { lost, error, .. } => Some((lost, error.code())),
        _ => None,
    });
    lost.collect()
}

#[test]
fn one_that_comes_back_in_time_is_counted_exactly() {
    let (mut desk, mut sleeper, mut other) = pruned();
    desk.now = desk.now + Span::from_secs(6 * 24 * 3_600);
    sleeper.count(5, desk.now);
    // What is counted while the answer is on its way goes to the retired slot, too.
    let command = sleeper.co.poll_command().expect("it flushes");
    sleeper.count(-3, desk.now);
    desk.answer(&mut sleeper.co, &command);
    desk.run(&mut sleeper.co);
    // And what comes later to a new one.
    sleeper.add(&mut desk, 7);
    assert!(sleeper.value(&desk).pending.is_zero());
    assert_eq!(lost(&mut sleeper), []);
    assert_eq!((sleeper.read(&mut desk), other.read(&mut desk)), (20, 20));
    let audit = other.audit(&mut desk, None);
    assert_eq!((audit.live, audit.retired, audit.corrected), (2, 1, 0));
}

#[test]
fn one_whose_slot_was_folded_is_told_what_was_pending_and_goes_on() {
    let (mut desk, mut sleeper, mut other) = pruned();
    fold(&mut desk);
    sleeper.count(5, desk.now);
    let command = sleeper.co.poll_command().expect("it flushes");
    sleeper.count(-3, desk.now);
    let call = sleeper.co.counter_flush(sleeper.counter, desk.now).expect("it is open");
    desk.answer(&mut sleeper.co, &command);
    let told = events(&mut sleeper.co);
    let failed = |event: &Event| matches!(event, Event::CallFailed { call: it, .. } if *it == call);
    assert!(told.iter().any(failed), "what it waited for is lost: {told:?}");
    let lost = told.iter().find_map(|event| match event {
        Event::CounterLost { lost, error, .. } => Some((*lost, error.code())),
        _ => None,
    });
    // 10 were folded, and are in the value; 5 and 3 were pending.
    assert_eq!(lost, Some((Tally { p: 5, n: 3 }, ErrorCode::NoAnswer)));
    sleeper.add(&mut desk, 7);
    assert_eq!((sleeper.read(&mut desk), other.read(&mut desk)), (118, 118));
    let audit = other.audit(&mut desk, None);
    assert_eq!((audit.compared, audit.corrected), (true, 0), "what was folded counts");
}

#[test]
fn one_with_nothing_pending_loses_nothing_by_the_fold() {
    let (mut desk, mut sleeper, _) = pruned();
    fold(&mut desk);
    desk.pass(Span::from_secs(100), &mut [&mut sleeper.co]);
    assert_eq!(lost(&mut sleeper), []);
    sleeper.add(&mut desk, 1);
    assert_eq!(lost(&mut sleeper), []);
    assert_eq!(sleeper.read(&mut desk), 112);
}

#[test]
fn bytes_of_a_folded_slot_bring_back_nothing_and_say_so() {
    let mut desk = Desk::without_scripts();
    let mut first = Replica::open(&desk, 1);
    first.add(&mut desk, 10);
    let acknowledged = first.bytes();
    first.count(5, desk.now);
    let pending = first.bytes();
    drop(first);
    let mut other = Replica::open(&desk, 2);
    other.add(&mut desk, 1);
    desk.now = desk.now + DAY;
    other.audit(&mut desk, Some(Span::from_secs(3_600)));
    fold(&mut desk);
    for (bytes, told) in [
        (&pending, vec![(up(5), ErrorCode::NoAnswer)]),
        (&pending, vec![(up(5), ErrorCode::NoAnswer)]),
        // All of it was acknowledged: it is in what was folded.
        (&acknowledged, vec![]),
    ] {
        let mut restored = Replica::restore(&desk, 3, bytes);
        desk.run(&mut restored.co);
        assert_eq!(lost(&mut restored), told);
        assert_eq!(restored.read(&mut desk), 111);
    }
}

#[test]
fn bytes_of_a_retired_slot_are_counted_once_however_often_they_are_restored() {
    let (mut desk, mut sleeper, mut other) = pruned();
    sleeper.count(5, desk.now);
    let bytes = sleeper.bytes();
    drop(sleeper);
    for seed in 3..6 {
        let mut restored = Replica::restore(&desk, seed, &bytes);
        desk.run(&mut restored.co);
        assert_eq!(lost(&mut restored), []);
        assert_eq!(restored.read(&mut desk), 16);
    }
    assert_eq!(other.read(&mut desk), 16);
    assert_eq!(stands(&mut desk).totals.p, 16);
}
