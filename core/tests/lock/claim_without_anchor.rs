//! A push says when the lease ends on the server's clock. Without an exchange that relates the two
//! clocks the lock is not held until a renewal has answered.

use crate::support::desk::{Desk, NODE, events, take};
use comity::coordinator::Coordinator;
use comity::lock::LockId;
use comity::redis::NodeChange;
use comity::time::Span;

/// A waiter to whom the lock is handed over; the push is not delivered yet.
fn handed_over(desk: &mut Desk) -> (Coordinator, LockId) {
    let (mut holder, held) = desk.holder(1);
    let (co, lock) = desk.waiter(2);
    holder.lock_release(held, desk.now).expect("it is held");
    desk.run(&mut holder);
    (co, lock)
}

fn deliver(desk: &mut Desk, co: &mut Coordinator) {
    let push = desk.store.poll_message().expect("the release hands over");
    co.handle_message(NODE, &push.channel, &push.payload, desk.now);
}

#[test]
fn with_an_anchor_it_is_held_at_once() {
    let mut desk = Desk::new();
    let (mut co, lock) = handed_over(&mut desk);
    deliver(&mut desk, &mut co);
    assert!(co.lock_is_held(lock, desk.now));
    take(&mut co, "REN");
}

#[test]
fn after_a_lost_connection_it_is_held_from_the_renewal_on() {
    let mut desk = Desk::new();
    let (mut co, lock) = handed_over(&mut desk);
    co.handle_node(NODE, NodeChange::Lost, desk.now);
    deliver(&mut desk, &mut co);
    assert!(!co.lock_is_held(lock, desk.now));
    assert_eq!(events(&mut co), []);
    let renewal = take(&mut co, "REN");
    desk.answer(&mut co, &renewal);
    assert!(co.lock_is_held(lock, desk.now));
}

#[test]
fn when_the_server_s_clock_is_ahead_of_what_the_anchor_allows_it_is_held_from_the_renewal_on() {
    let mut desk = Desk::new();
    let (mut holder, held) = desk.holder(1);
    let (mut co, lock) = desk.waiter(2);
    // The server's clock steps; the client's does not.
    let client_now = desk.now;
    desk.now = desk.now + Span::from_secs(5);
    holder.lock_release(held, client_now).expect("it is held");
    desk.run(&mut holder);
    desk.now = client_now;
    deliver(&mut desk, &mut co);
    assert!(!co.lock_is_held(lock, desk.now));
    take(&mut co, "REN");
}

#[test]
fn when_the_claim_was_over_a_new_request_follows_and_no_loss_is_told() {
    let mut desk = Desk::new();
    let (mut co, lock) = handed_over(&mut desk);
    // Somebody else asks after the claim has ended, so that the server notices.
    desk.now = desk.now + Span::from_millis(2_500);
    let (mut other, others) = desk.holder(3);
    deliver(&mut desk, &mut co);
    assert!(!co.lock_is_held(lock, desk.now));
    desk.pass(Span::from_secs(1), &mut [&mut co, &mut other]);
    other.lock_release(others, desk.now).expect("it is held");
    desk.settle(&mut [&mut other, &mut co]);
    assert!(co.lock_is_held(lock, desk.now));
    let lost =
        |event: &comity::event::Event| matches!(event, comity::event::Event::LockLost { .. });
    assert!(!events(&mut co).iter().any(lost));
}
