//! More is asked than can be sent. What keeps a lease leaves first, then what gives a lock back; what
//! nobody wants any more never leaves; a lease that is handed over is as long as answers take.

use crate::support::desk::{Desk, NODE, events, op_of, take};
use comity::coordinator::Coordinator;
use comity::error::ErrorCode;
use comity::event::Event;
use comity::lock::{LockOptions, Op};
use comity::redis::{Command, Failure};
use comity::time::{Span, Time};

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
    let claim = |co: &mut Coordinator, now: Time| {
        co.lock_acquire(b"next", LockOptions::default(), now).expect("sound");
        let all =
            std::iter::from_fn(|| co.poll_command()).filter(|command| op_of(command) == "ACQ");
        acquire_of(&all.last().expect("it is asked for")).handoff_ttl
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

/// The names of the locks that were granted.
fn granted(co: &mut Coordinator) -> Vec<u64> {
    let number = |event| match event {
        Event::LockGranted { lock, .. } => Some(lock.0),
        Event::LockRenewed { .. } => None,
        other => panic!("{other:?}"),
    };
    events(co).into_iter().filter_map(number).collect()
}

#[test]
fn who_waits_for_our_own_backlog_waits_as_long_as_the_server_answers() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let options = LockOptions { ttl: Span::from_secs(300), ..LockOptions::default() };
    let asked: Vec<u64> = (0..1_000)
        .map(|number| {
            let name = format!("l{number}");
            co.lock_acquire(name.as_bytes(), options.clone(), desk.now).expect("sound").0
        })
        .collect();
    let mut served = Vec::new();
    // A hundred a second can be sent: that takes twice as long as a server may be out of reach.
    while served.len() < asked.len() {
        desk.now = desk.now + Span::from_millis(10);
        co.handle_timeout(desk.now);
        let command = co.poll_command().expect("all are wanted still");
        assert!(command.deadline >= desk.now + Span::from_millis(1_900), "time for an answer");
        desk.answer(&mut co, &command);
        served.extend(granted(&mut co));
    }
    assert_eq!(served, asked, "in the order in which they were asked for");
    assert!(co.stats().commands <= 2_000, "one for each, and its replacement where it was stale");
}

#[test]
fn a_backlog_before_a_server_that_does_not_answer_ends_in_time() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let asked = desk.now;
    for number in 0..1_000 {
        let name = format!("l{number}");
        co.lock_acquire(name.as_bytes(), LockOptions::default(), desk.now).expect("sound");
    }
    // The first is answered, nothing after it.
    let command = co.poll_command().expect("the first");
    desk.answer(&mut co, &command);
    assert_eq!(granted(&mut co).len(), 1);
    let mut failed = 0;
    while failed < 999 {
        desk.now = co.next_deadline().expect("they end");
        co.handle_timeout(desk.now);
        for event in events(&mut co) {
            match event {
                Event::LockFailed { error, .. } => {
                    assert_eq!(error.code(), ErrorCode::Unreachable, "{error}");
                    failed += 1;
                }
                Event::LockLost { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(desk.now <= asked + Span::from_secs(7), "{failed} by then");
    }
}

/// A coordinator with ten requests that have not left.
fn crowded(desk: &Desk) -> Coordinator {
    let mut co = desk.coordinator(1);
    for number in 0..10 {
        let name = format!("before {number}");
        co.lock_acquire(name.as_bytes(), LockOptions::default(), desk.now).expect("sound");
    }
    co
}

#[test]
fn a_wait_ends_in_the_backlog_too() {
    let mut desk = Desk::new();
    let mut co = crowded(&desk);
    let options = LockOptions { wait: Some(Span::from_millis(6_500)), ..LockOptions::default() };
    co.lock_acquire(b"l", options, desk.now).expect("sound");
    let mut after = Span::ZERO;
    loop {
        let command = co.poll_command().expect("one of those before");
        desk.answer(&mut co, &command);
        let ended = events(&mut co).into_iter().find_map(|event| match event {
            Event::LockFailed { error, .. } => Some(error),
            _ => None,
        });
        if let Some(error) = ended {
            assert_eq!(error.code(), ErrorCode::LockTimeout, "{error}");
            break;
        }
        assert!(after < Span::from_secs(7), "it is over");
        after = after + Span::from_millis(900);
        desk.now = desk.now + Span::from_millis(900);
        co.handle_timeout(desk.now);
    }
    assert!(after >= Span::from_millis(6_500), "{after:?}");
}

#[test]
fn who_tries_once_does_not_wait_for_our_own_backlog() {
    let mut desk = Desk::new();
    let mut co = crowded(&desk);
    let options = LockOptions { wait: Some(Span::ZERO), ..LockOptions::default() };
    co.lock_acquire(b"l", options, desk.now).expect("sound");
    let asked = desk.now;
    loop {
        let command = co.poll_command().expect("one of those before");
        desk.answer(&mut co, &command);
        let failed = |event: &Event| matches!(event, Event::LockFailed { .. });
        if events(&mut co).iter().any(failed) {
            break;
        }
        desk.now = desk.now + Span::from_millis(900);
        assert!(desk.now <= asked + Span::from_secs(7), "the timeout");
        co.handle_timeout(desk.now);
    }
}

#[test]
fn every_attempt_of_a_waiter_has_time_for_an_answer_however_long_there_was_none() {
    let mut desk = Desk::new();
    let (_holder, _kept) = desk.holder(1);
    let (mut co, _lock) = desk.waiter(2);
    let (asked, mut attempts) = (desk.now, 0);
    while desk.now < asked + Span::from_secs(60) {
        while let Some(command) = co.poll_command() {
            assert!(command.deadline >= desk.now + Span::from_secs(2), "{:?}", command.deadline);
            co.handle_failure(command.request, Failure::OutcomeUnknown, desk.now);
            attempts += 1;
        }
        desk.now = co.next_deadline().expect("it asks again");
        co.handle_timeout(desk.now);
    }
    assert!(attempts > 10, "{attempts}");
    let failed = |event: &Event| matches!(event, Event::LockFailed { .. });
    assert!(!events(&mut co).iter().any(failed));
}

#[test]
fn a_claim_that_may_end_before_its_renewal_arrives_is_not_held_before_that_is_answered() {
    let granted = |event: &Event| matches!(event, Event::LockGranted { .. });
    for (trip, at_once) in [(Span::from_millis(100), true), (Span::from_secs(3), false)] {
        let mut desk = Desk::new();
        let (mut holder, held) = desk.holder(1);
        let (mut co, _lock) = desk.waiter(2);
        desk.now = co.next_deadline().expect("it asks again");
        co.handle_timeout(desk.now);
        let again = take(&mut co, "ACQ");
        let reply = desk.execute(&again.argv);
        desk.now = desk.now + trip;
        co.handle_reply(again.request, &reply, desk.now);
        holder.lock_release(held, desk.now).expect("it is held");
        desk.run(&mut holder);
        let message = desk.store.poll_message().expect("it is handed over, for two seconds");
        co.handle_message(NODE, &message.channel, &message.payload, desk.now);
        let renewal = take(&mut co, "REN");
        assert_eq!(events(&mut co).iter().any(granted), at_once, "answers take {trip:?}");
        desk.answer(&mut co, &renewal);
        assert_eq!(events(&mut co).iter().any(granted), !at_once, "answers take {trip:?}");
    }
}
