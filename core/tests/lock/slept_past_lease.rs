//! A client sleeps. What it holds ends on time whatever it is told later, and where its own clock
//! stood still nothing is held until the server has confirmed it.

use crate::support::desk::{Desk, NAME, events, take};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::redis::Reply;
use comity::time::Span;

#[test]
fn the_lease_is_over_on_time_without_any_input() {
    let mut desk = Desk::new();
    let (co, lock) = desk.holder(1);
    let until = co.lock_valid_until(lock).expect("it is held");
    assert!(co.lock_is_held(lock, until - Span::from_micros(1)));
    assert!(!co.lock_is_held(lock, until));
}

#[test]
fn the_loss_is_the_first_event_of_the_first_input() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    desk.now = co.next_deadline().expect("a renewal is planned");
    co.handle_timeout(desk.now);
    let renewal = take(&mut co, "REN");
    let reply = desk.execute(&renewal.argv);
    desk.now = desk.now + Span::from_secs(60);
    let (mut other, _) = desk.holder(2);
    co.handle_reply(renewal.request, &reply, desk.now);
    assert!(matches!(&events(&mut co)[..], [Event::LockLost { lock: lost, .. }] if *lost == lock));
    assert!(!co.lock_is_held(lock, desk.now));
    // What is left is given back without harm to the one who holds it now.
    desk.settle(&mut [&mut co, &mut other]);
    assert_eq!(desk.view().holders.len(), 1);
}

#[test]
fn an_answer_that_comes_after_the_end_of_its_lease_grants_nothing() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let options = LockOptions { ttl: Span::from_millis(500), ..LockOptions::default() };
    let lock = co.lock_acquire(NAME, options, desk.now).expect("sound arguments");
    let command = take(&mut co, "ACQ");
    let reply = desk.execute(&command.argv);
    desk.now = desk.now + Span::from_millis(600);
    co.handle_reply(command.request, &reply, desk.now);
    assert!(!co.lock_is_held(lock, desk.now));
    // It is given back, and asked for anew.
    desk.pass(Span::from_millis(100), &mut [&mut co]);
    assert!(co.lock_is_held(lock, desk.now));
    assert_eq!(desk.view().holders.len(), 1);
}

#[test]
fn a_reply_counts_from_the_attempt_that_it_answers() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let options = LockOptions { renew: false, ..LockOptions::default() };
    let lock = co.lock_acquire(NAME, options, desk.now).expect("sound arguments");
    let asked_at = desk.now;
    let first = take(&mut co, "ACQ");
    let reply = desk.execute(&first.argv);
    desk.now = desk.now + Span::from_secs(1);
    co.handle_reply(first.request, &reply, desk.now);
    // 30 s less 1 % and 2 ms from the moment the command was sent.
    let until = asked_at + Span::from_micros(29_698_000);
    assert_eq!(co.lock_valid_until(lock), Some(until));

    // Two renewals on their way: the later one's answer is lost, the earlier one's comes last.
    co.lock_renew(lock, None, desk.now).expect("it is held");
    let early_at = desk.now;
    let early = take(&mut co, "REN");
    let early_reply = desk.execute(&early.argv);
    desk.now = desk.now + Span::from_millis(1_500);
    co.lock_renew(lock, None, desk.now).expect("it is held");
    take(&mut co, "REN");
    co.handle_reply(early.request, &early_reply, desk.now);
    assert_eq!(co.lock_valid_until(lock), Some(early_at + Span::from_micros(29_698_000)));
}

#[test]
fn after_a_clock_gap_nothing_is_held_until_a_renewal_is_answered() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.handle_clock_gap(desk.now);
    assert!(!co.lock_is_held(lock, desk.now));
    let renewal = take(&mut co, "REN");
    desk.answer(&mut co, &renewal);
    assert!(co.lock_is_held(lock, desk.now));
}

#[test]
fn an_answer_from_before_a_clock_gap_proves_nothing() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    let client_now = desk.now;
    co.lock_renew(lock, None, client_now).expect("it is held");
    let renewal = take(&mut co, "REN");
    let reply = desk.execute(&renewal.argv);
    // The host sleeps for a minute, and its clock with it; somebody else takes over.
    desk.now = desk.now + Span::from_secs(60);
    desk.holder(2);
    co.handle_clock_gap(client_now);
    co.handle_reply(renewal.request, &reply, client_now);
    assert!(!co.lock_is_held(lock, client_now));
    let asked = take(&mut co, "REN");
    let answer: Reply = desk.execute(&asked.argv);
    co.handle_reply(asked.request, &answer, client_now);
    assert!(matches!(&events(&mut co)[..], [Event::LockLost { .. }]));
}

#[test]
fn after_a_clock_gap_a_lease_ends_when_the_renewal_says_and_not_when_it_was_to_end_before() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    let client_now = desk.now;
    co.lock_renew(lock, Some(Span::from_millis(500)), client_now).expect("it is held");
    desk.run(&mut co);
    // Twenty of thirty seconds pass while the client's clock stands still.
    desk.now = desk.now + Span::from_secs(20);
    co.handle_clock_gap(client_now);
    let renewal = take(&mut co, "REN");
    let reply = desk.execute(&renewal.argv);
    co.handle_reply(renewal.request, &reply, client_now);
    assert!(co.lock_is_held(lock, client_now));
    assert!(!co.lock_is_held(lock, client_now + Span::from_secs(10)));
}
