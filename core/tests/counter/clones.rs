//! A process copied with all its memory: two owners of one slot. Whoever comes second is found out,
//! and reports what it cannot know to be counted.

use crate::support::counter_desk::{Replica, op_of, stands, up};
use crate::support::desk::{Desk, events};
use comity::counter::{Op, Tally};
use comity::event::Event;
use comity::redis::Failure;
use comity::time::Span;

const SECOND: Span = Span::from_secs(1);

/// Two copies of a replica that has counted 10, and another one.
fn copies() -> (Desk, Replica, Replica, Replica) {
    let mut desk = Desk::without_scripts();
    let (mut a, mut other) = (Replica::open(&desk, 1), Replica::open(&desk, 2));
    a.add(&mut desk, 10);
    other.add(&mut desk, 1_000);
    desk.now = desk.now + SECOND;
    let b = a.clone();
    (desk, a, b, other)
}

/// A moment later: no two copies do the same in the same microsecond for long.
fn later(desk: &mut Desk) {
    desk.now = desk.now + Span::from_micros(7);
}

#[test]
fn the_second_reports_what_it_had_pending_and_goes_on_with_a_slot_of_its_own() {
    let (mut desk, mut a, mut b, mut other) = copies();
    a.add(&mut desk, 4);
    later(&mut desk);
    b.add(&mut desk, 3);
    assert_eq!((a.lost(), b.lost()), (vec![], vec![up(3)]));
    assert_eq!(other.read(&mut desk), 1_014);
    later(&mut desk);
    b.add(&mut desk, 20);
    a.add(&mut desk, 1);
    assert_eq!((a.lost(), b.lost()), (vec![], vec![]));
    assert_eq!(other.read(&mut desk), 1_035);
}

#[test]
fn what_both_have_pending_is_counted_once() {
    let (mut desk, mut a, _, mut other) = copies();
    a.count(5, desk.now);
    let command = a.co.poll_command().expect("it flushes");
    let mut b = a.clone();
    desk.answer(&mut a.co, &command);
    b.co.handle_failure(command.request, Failure::OutcomeUnknown, desk.now);
    desk.pass(SECOND, &mut [&mut b.co]);
    assert_eq!((a.lost(), b.lost()), (vec![], vec![]), "the same flush, sent twice");
    assert_eq!(other.read(&mut desk), 1_015);
}

#[test]
fn a_copy_is_found_out_though_the_answer_is_lost() {
    let (mut desk, mut a, mut b, mut other) = copies();
    b.add(&mut desk, 3);
    later(&mut desk);
    // More than the other's: the slot now holds A's numbers and A's alone.
    a.count(4, desk.now);
    let command = a.co.poll_command().expect("it flushes");
    desk.execute(&command.argv);
    a.co.handle_failure(command.request, Failure::OutcomeUnknown, desk.now);
    desk.pass(SECOND, &mut [&mut a.co]);
    // 14 are in the slot. B's 3 and A's 4 make 17: one has to say that up to 4 are not counted.
    assert_eq!(a.lost(), vec![up(4)]);
    assert_eq!(other.read(&mut desk), 1_014);
}

#[test]
fn two_that_hand_over_a_retired_slot_do_not_take_each_others_units_for_their_own() {
    let (mut desk, mut a, mut b, mut other) = copies();
    desk.now = desk.now + Span::from_secs(50);
    other.add(&mut desk, 1);
    other.audit(&mut desk, Some(Span::from_secs(40)));
    // Both learn of it by an answer, with something more counted meanwhile.
    let mut handed = Vec::new();
    for (replica, more) in [(&mut a, 4), (&mut b, 6)] {
        later(&mut desk);
        let read = comity::counter::Freshness::Fresh;
        replica.co.counter_read(replica.counter, read, desk.now).expect("it is open");
        let command = replica.co.poll_command().expect("it reads");
        replica.count(more, desk.now);
        desk.answer(&mut replica.co, &command);
        let command = replica.co.poll_command().expect("it hands over");
        let Op::Retire { tally, .. } = op_of(&command) else { panic!("{:?}", command.argv) };
        assert_eq!(tally.p, 10 + more.unsigned_abs());
        handed.push(command);
    }
    desk.answer(&mut a.co, &handed[0]);
    desk.answer(&mut b.co, &handed[1]);
    desk.run(&mut a.co);
    desk.run(&mut b.co);
    assert_eq!((a.lost(), b.lost()), (vec![], vec![up(6)]));
    // 16 are in the slot: 4 of 6 that were reported are not.
    assert_eq!(other.read(&mut desk), 1_017);
}

#[test]
fn each_resets_by_itself() {
    let (mut desk, mut a, mut b, _) = copies();
    for (replica, began) in [(&mut a, 1), (&mut b, 2)] {
        later(&mut desk);
        let call = replica.co.counter_reset(replica.counter, None, desk.now).expect("it is open");
        desk.run(&mut replica.co);
        let reset = events(&mut replica.co).into_iter().find_map(|event| match event {
            Event::CounterReset { call: it, epoch, .. } if it == call => Some(epoch),
            _ => None,
        });
        assert_eq!(reset, Some(began));
    }
    assert_eq!(stands(&mut desk).epoch, 2);
}

#[test]
fn bytes_that_a_living_process_has_handed_out_are_its_own_wherever_they_are_restored() {
    let (mut desk, mut a, _, mut other) = copies();
    a.count(5, desk.now);
    let unsent = a.co.poll_command().expect("it flushes");
    let bytes = a.bytes();
    let mut restored = Replica::restore(&desk, 3, &bytes);
    desk.run(&mut restored.co);
    later(&mut desk);
    a.count(2, desk.now);
    desk.answer(&mut a.co, &unsent);
    desk.run(&mut a.co);
    assert_eq!((a.lost(), restored.lost()), (vec![], vec![]));
    assert!(a.value(&desk).pending.is_zero());
    assert_eq!(other.read(&mut desk), 1_017);
}

#[test]
fn bytes_that_a_copy_has_handed_out_are_not_ones_own() {
    let (mut desk, mut a, mut b, mut other) = copies();
    b.count(5, desk.now);
    let bytes = b.bytes();
    drop(b);
    let mut restored = Replica::restore(&desk, 3, &bytes);
    desk.run(&mut restored.co);
    later(&mut desk);
    a.add(&mut desk, 7);
    assert_eq!((a.lost(), restored.lost()), (vec![up(7)], vec![]));
    assert_eq!(other.read(&mut desk), 1_017);
    assert_eq!(a.value(&desk).pending, Tally::ZERO);
}
