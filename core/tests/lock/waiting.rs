//! How a waiter keeps its place, and how soon it learns that the lock is free.

use crate::support::desk::{Desk, NAME, NODE, STATE, events, op_of, take};
use comity::coordinator::Coordinator;
use comity::error::ErrorCode;
use comity::event::Event;
use comity::lock::LockOptions;
use comity::redis::{Failure, NodeChange, Reply};
use comity::time::Span;

#[test]
fn the_next_in_line_asks_when_the_holder_s_lease_ends() {
    let mut desk = Desk::new();
    let mut dying = desk.coordinator(1);
    let options = LockOptions { ttl: Span::from_millis(700), ..LockOptions::default() };
    dying.lock_acquire(NAME, options, desk.now).expect("sound arguments");
    desk.run(&mut dying);
    drop(dying);
    let (mut co, lock) = desk.waiter(2);
    // Well before the heartbeat after three seconds.
    desk.pass(Span::from_millis(720), &mut [&mut co]);
    assert!(co.lock_is_held(lock, desk.now));
}

#[test]
fn a_push_connection_that_is_ready_again_makes_each_waiter_ask_once() {
    let mut desk = Desk::new();
    let (mut holder, held) = desk.holder(1);
    let (mut co, lock) = desk.waiter(2);
    co.handle_node(NODE, NodeChange::PushLost, desk.now);
    holder.lock_release(held, desk.now).expect("it is held");
    desk.run(&mut holder);
    // Nobody heard the grant.
    assert!(desk.store.poll_message().is_some());
    co.handle_node(NODE, NodeChange::PushReady, desk.now);
    desk.run(&mut co);
    assert!(co.lock_is_held(lock, desk.now));
}

#[test]
fn without_a_push_connection_a_waiter_asks_every_half_second_at_least() {
    let mut desk = Desk::new();
    let (_holder, _) = desk.holder(1);
    let (mut co, _) = desk.waiter(2);
    co.handle_node(NODE, NodeChange::PushLost, desk.now);
    let end = desk.now + Span::from_secs(3);
    let (mut last, mut longest, mut asked) = (desk.now, Span::ZERO, 0);
    while desk.now < end {
        while let Some(command) = co.poll_command() {
            if op_of(&command) == "SUBSCRIBE" {
                co.handle_failure(command.request, Failure::NotSent, desk.now);
                continue;
            }
            desk.answer(&mut co, &command);
            (longest, last, asked) = (longest.max(desk.now.since(last)), desk.now, asked + 1);
        }
        desk.now = co.next_deadline().expect("a waiter has a deadline");
        co.handle_timeout(desk.now);
    }
    assert!(longest <= Span::from_millis(550), "{longest:?}");
    assert!((5..60).contains(&asked), "asked {asked} times in 3 s");
}

#[test]
fn a_waiter_that_was_dropped_returns_to_its_old_place() {
    let mut desk = Desk::new();
    let (mut holder, _) = desk.holder(1);
    let (mut sleeper, lock) = desk.waiter(2);
    let (mut other, _) = desk.waiter(3);
    let first = desk.view().waiters[0].clone();
    // It sleeps for 12 s and is dropped by then: nobody else moves on, for the holder renews.
    for _ in 0..6 {
        desk.pass(Span::from_secs(2), &mut [&mut holder, &mut other]);
    }
    let mut passer = desk.coordinator(4);
    let options = LockOptions { wait: Some(Span::ZERO), ..LockOptions::default() };
    passer.lock_acquire(NAME, options, desk.now).expect("sound arguments");
    desk.run(&mut passer);
    assert!(desk.view().waiters.iter().all(|waiter| waiter.id != first.id));
    sleeper.handle_timeout(desk.now);
    desk.run(&mut sleeper);
    let back = &desk.view().waiters[0];
    assert_eq!((&back.id, back.ticket), (&first.id, first.ticket), "{lock:?}");
}

#[test]
fn a_try_that_finds_the_lock_busy_is_not_granted_by_a_straggler() {
    let mut desk = Desk::new();
    let (mut holder, held) = desk.holder(1);
    let mut co = desk.coordinator(2);
    let options = LockOptions { wait: Some(Span::ZERO), ..LockOptions::default() };
    co.lock_acquire(NAME, options, desk.now).expect("sound arguments");
    let straggler = take(&mut co, "ACQ");
    co.handle_failure(straggler.request, Failure::OutcomeUnknown, desk.now);
    desk.pass(Span::from_secs(1), &mut [&mut co]);
    assert!(matches!(&events(&mut co)[..], [Event::LockFailed { .. }]));
    holder.lock_release(held, desk.now).expect("it is held");
    desk.settle(&mut [&mut holder, &mut co]);
    desk.execute(&straggler.argv);
    assert!(desk.is_free(), "a straggler took the lock for nobody");
}

#[test]
fn a_grant_that_came_too_late_is_given_back() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let options = LockOptions { ttl: Span::from_secs(1), ..LockOptions::default() };
    co.lock_acquire(NAME, options, desk.now).expect("sound arguments");
    let command = take(&mut co, "ACQ");
    // Executed at once; the answer comes when it is not certain any more, 11 ms before the end.
    let reply = desk.execute(&command.argv);
    desk.now = desk.now + Span::from_millis(989);
    co.handle_reply(command.request, &reply, desk.now);
    take(&mut co, "REL");
}

#[test]
fn an_acquisition_says_until_when_it_may_be_executed() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.lock_release(lock, desk.now).expect("it is held");
    desk.run(&mut co);
    // By now an exchange has related the two clocks.
    desk.ask(&mut co);
    let command = take(&mut co, "ACQ");
    desk.now = command.deadline + Span::from_secs(1);
    let reply = desk.execute(&command.argv);
    assert_eq!(reply, Reply::Array(["GONE", "late"].map(Reply::bulk).to_vec()));
    assert!(desk.is_free());
}

#[test]
fn a_fence_rises_even_on_a_server_that_has_lost_everything_and_whose_clock_is_behind() {
    let mut desk = Desk::new();
    let fence = |events: Vec<Event>| {
        let mut fences = events.into_iter().filter_map(|event| match event {
            Event::LockGranted { fence, .. } => Some(fence),
            _ => None,
        });
        fences.next().expect("it is granted")
    };
    let mut co = desk.coordinator(1);
    let lock = desk.ask(&mut co);
    desk.run(&mut co);
    let before = fence(events(&mut co));
    co.lock_release(lock, desk.now).expect("it is held");
    desk.run(&mut co);
    co.handle_node(NODE, NodeChange::Lost, desk.now);
    // Another server, empty and an hour behind, takes over.
    let client_now = desk.now;
    desk = Desk { now: desk.now - Span::from_secs(3_600), ..Desk::without_scripts() };
    assert!(!desk.store.keyspace().exists(STATE));
    co.lock_acquire(NAME, LockOptions::default(), client_now).expect("sound arguments");
    while let Some(command) = co.poll_command() {
        let reply = desk.execute(&command.argv);
        co.handle_reply(command.request, &reply, client_now);
    }
    assert!(fence(events(&mut co)) > before);
}

#[test]
fn who_waits_in_line_waits_out_the_server_s_absence_and_keeps_its_place() {
    for failure in [Failure::NotSent, Failure::OutcomeUnknown] {
        let mut desk = Desk::new();
        let (mut holder, held) = desk.holder(1);
        let (mut first, lock) = desk.waiter(2);
        let (mut second, _) = desk.waiter(3);
        let ids = |desk: &mut Desk| -> Vec<_> {
            desk.view().waiters.into_iter().map(|waiter| waiter.id).collect()
        };
        let before = ids(&mut desk);
        // Longer than a verb's timeout, and shorter than a lease.
        away(&mut desk, &mut [&mut holder, &mut first, &mut second], failure, Span::from_secs(8));
        desk.pass(Span::from_secs(1), &mut [&mut holder, &mut second]);
        desk.pass(Span::from_secs(1), &mut [&mut holder, &mut first, &mut second]);
        assert_eq!(ids(&mut desk), before);
        holder.lock_release(held, desk.now).expect("it is held");
        desk.settle(&mut [&mut holder, &mut first, &mut second]);
        assert!(first.lock_is_held(lock, desk.now));
    }
}

#[test]
fn however_long_the_server_is_away_who_waits_as_long_as_it_takes_waits_on() {
    let mut desk = Desk::new();
    let (holder, _) = desk.holder(1);
    let (mut co, lock) = desk.waiter(2);
    drop(holder);
    // Its name may be gone with the server.
    co.handle_unreachable(NODE, "no such name", true, desk.now);
    away(&mut desk, &mut [&mut co], Failure::NotSent, Span::from_secs(3600));
    assert!(!events(&mut co).iter().any(|event| matches!(event, Event::LockFailed { .. })));
    desk.pass(Span::from_secs(5), &mut [&mut co]);
    assert!(co.lock_is_held(lock, desk.now));
}

#[test]
fn who_waits_for_so_long_fails_then_and_says_why() {
    let mut desk = Desk::new();
    let (mut holder, _) = desk.holder(1);
    let mut co = desk.coordinator(2);
    let options = LockOptions { wait: Some(Span::from_secs(30)), ..LockOptions::default() };
    co.lock_acquire(NAME, options, desk.now).expect("sound arguments");
    desk.run(&mut co);
    away(&mut desk, &mut [&mut holder, &mut co], Failure::NotSent, Span::from_secs(29));
    let failed = |event: &Event| matches!(event, Event::LockFailed { .. });
    assert!(!events(&mut co).iter().any(failed));
    away(&mut desk, &mut [&mut holder, &mut co], Failure::NotSent, Span::from_secs(2));
    let told = events(&mut co);
    assert!(
        told.iter().any(|event| matches!(event, Event::LockFailed { error, .. }
            if error.code() == ErrorCode::Unreachable)),
        "{told:?}"
    );
}

#[test]
fn who_was_never_in_line_fails_when_its_timeout_is_over() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(2);
    desk.ask(&mut co);
    away(&mut desk, &mut [&mut co], Failure::NotSent, Span::from_secs(6));
    assert!(events(&mut co).iter().any(|event| matches!(event, Event::LockFailed { .. })));
}

#[test]
fn a_wait_that_ends_before_anything_is_answered_claims_no_holder() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(2);
    let wait = Some(Span::from_millis(100));
    co.lock_acquire(NAME, LockOptions { wait, ..LockOptions::default() }, desk.now)
        .expect("sound arguments");
    let command = take(&mut co, "ACQ");
    desk.now = desk.now + Span::from_millis(100);
    co.handle_timeout(desk.now);
    let told = events(&mut co);
    let [Event::LockFailed { error, .. }] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(error.code(), ErrorCode::LockTimeout);
    let words = "lock 'job' was not granted in time: the server has not answered yet";
    assert_eq!(error.message(), words);
    // It is taken back, should it have been executed.
    desk.execute(&command.argv);
    desk.pass(Span::from_secs(1), &mut [&mut co]);
    assert!(desk.is_free());
}

/// Lets time pass with every command failing in this way.
fn away(desk: &mut Desk, cos: &mut [&mut Coordinator], failure: Failure, span: Span) {
    let end = desk.now + span;
    loop {
        for co in cos.iter_mut() {
            while let Some(command) = co.poll_command() {
                co.handle_failure(command.request, failure, desk.now);
            }
        }
        let next = cos.iter().filter_map(|co| co.next_deadline()).min();
        let Some(next) = next.filter(|next| *next <= end) else { break };
        desk.now = desk.now.max(next);
        cos.iter_mut().for_each(|co| co.handle_timeout(desk.now));
    }
    desk.now = end;
}
