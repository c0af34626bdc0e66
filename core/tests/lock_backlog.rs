//! More is asked than can be sent. What keeps a lease leaves first, then what gives a lock back; what
//! nobody wants any more never leaves; a lease that is handed over is as long as answers take.

mod support;

use comity::event::Event;
use comity::lock::{LockOptions, Op};
use comity::redis::Command;
use comity::time::{Span, Time};
use support::desk::{Desk, events, op_of, take};

fn acquire_of(command: &Command) -> comity::lock::Acquire {
    match Op::decode(command.argv.iter().skip(9)) {
        Some(Op::Acquire(acquire)) => acquire,
        other => panic!("{other:?}"),
    }
}

#[test]
fn renewals_and_releases_leave_before_new_requests() {
    let mut desk = Desk::new();
    let (mut co, _kept) = desk.holder(1);
    let given = co.lock_acquire(b"given", LockOptions::default(), desk.now).expect("sound");
    desk.run(&mut co);
    for number in 0..100 {
        let name = format!("new {number}");
        co.lock_acquire(name.as_bytes(), LockOptions::default(), desk.now).expect("sound");
    }
    co.lock_release(given, desk.now).expect("it is held");
    let mut due = desk.now;
    let mut ops = Vec::new();
    // The renewal falls due while the rest still waits to be sent.
    while !ops.contains(&"REN".to_owned()) {
        assert!(due < desk.now + Span::from_secs(12), "no renewal");
        due = co.next_deadline().expect("a renewal is planned");
        let mut later = co.clone();
        later.handle_timeout(due);
        ops = std::iter::from_fn(|| later.poll_command()).map(|command| op_of(&command)).collect();
        co.handle_timeout(due);
    }
    assert_eq!(ops[0], "REN", "{ops:?}");
    let first_new = ops.iter().position(|op| op == "ACQ").unwrap_or(ops.len());
    assert!(ops[first_new..].iter().all(|op| op == "ACQ"), "{ops:?}");
}

#[test]
fn a_release_overtakes_what_was_asked_before_it() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.lock_acquire(b"new", LockOptions::default(), desk.now).expect("sound");
    co.lock_release(lock, desk.now).expect("it is held");
    take(&mut co, "REL");
    take(&mut co, "ACQ");
}

#[test]
fn a_request_that_was_given_up_before_it_left_never_leaves() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let lock = desk.ask(&mut co);
    co.lock_cancel(lock, desk.now);
    assert_eq!(co.poll_command(), None);

    let options = LockOptions { wait: Some(Span::from_millis(300)), ..LockOptions::default() };
    co.lock_acquire(b"other", options, desk.now).expect("sound");
    desk.now = desk.now + Span::from_millis(300);
    co.handle_timeout(desk.now);
    assert!(matches!(&events(&mut co)[..], [Event::LockFailed { .. }]));
    assert_eq!(co.poll_command(), None);
    assert_eq!(co.next_deadline(), None, "nothing is left to do");

    // One that has left is taken back, though it was to be sent again.
    let lock = desk.ask(&mut co);
    take(&mut co, "ACQ");
    co.lock_cancel(lock, desk.now);
    take(&mut co, "CAN");
}

#[test]
fn a_lease_that_is_handed_over_lasts_four_times_as_long_as_answers_take() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let claim = |co: &mut comity::coordinator::Coordinator, now: Time| {
        co.lock_acquire(b"next", LockOptions::default(), now).expect("sound");
        let all =
            std::iter::from_fn(|| co.poll_command()).filter(|command| op_of(command) == "ACQ");
        acquire_of(&all.last().expect("it is asked for")).claim
    };
    assert_eq!(claim(&mut co, desk.now), Span::from_secs(2));
    for (trip, expected) in [(100, 2_000), (1_000, 4_000), (60_000, 10_000)] {
        co.lock_acquire(b"slow", LockOptions::default(), desk.now).expect("sound");
        let command = take(&mut co, "ACQ");
        let reply = desk.execute(&command.argv);
        desk.now = desk.now + Span::from_millis(trip);
        co.handle_reply(command.request, &reply, desk.now);
        assert_eq!(claim(&mut co, desk.now), Span::from_millis(expected), "answers took {trip} ms");
    }
}
