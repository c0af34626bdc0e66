//! The host is busy elsewhere for seconds. What the server answered in time counts, in whatever order
//! the host comes to it; what it did not answer is lost, and no later than a second after that is sure.

use crate::support::desk::{Desk, NAME, NODE, events, take};
use comity::coordinator::Coordinator;
use comity::event::Event;
use comity::lock::{LockId, LockOptions};
use comity::redis::{Failure, Reply, RequestId};
use comity::time::Span;

/// A lock of thirty seconds that was handed over: the renewal has left, and is answered by the server.
fn handed_over(desk: &mut Desk) -> (Coordinator, LockId, RequestId, Reply) {
    let (mut first, held) = desk.holder(1);
    let (mut second, lock) = desk.waiter(2);
    first.lock_release(held, desk.now).expect("it is held");
    desk.run(&mut first);
    let message = desk.store.poll_message().expect("the grant is published");
    second.handle_message(NODE, &message.channel, &message.payload, desk.now);
    // Before the user hears of the grant, the renewal is there to be sent.
    let renewal = take(&mut second, "REN");
    assert!(matches!(&events(&mut second)[..], [Event::LockGranted { .. }]));
    let reply = desk.execute(&renewal.argv);
    (second, lock, renewal.request, reply)
}

fn is_lost(co: &mut Coordinator) -> bool {
    events(co).iter().any(|event| matches!(event, Event::LockLost { .. }))
}

#[test]
fn nine_seconds_under_a_lock_that_was_handed_over_keep_it() {
    for timeout_first in [false, true] {
        let mut desk = Desk::new();
        let (mut co, lock, request, reply) = handed_over(&mut desk);
        desk.now = desk.now + Span::from_secs(9);
        assert!(!co.lock_is_held(lock, desk.now), "nothing has proven it yet");
        if timeout_first {
            co.handle_timeout(desk.now);
        }
        co.handle_reply(request, &reply, desk.now);
        co.handle_timeout(desk.now);
        assert!(co.lock_is_held(lock, desk.now + Span::from_secs(20)));
        assert!(!is_lost(&mut co));
        desk.pass(Span::from_secs(60), &mut [&mut co]);
        assert!(co.lock_is_held(lock, desk.now), "it goes on being renewed");
    }
}

#[test]
fn a_release_or_renewal_before_the_answer_is_read_waits_for_it() {
    for renews in [false, true] {
        let mut desk = Desk::new();
        let (mut co, lock, request, reply) = handed_over(&mut desk);
        desk.now = desk.now + Span::from_secs(9);
        match renews {
            true => co.lock_renew(lock, None, desk.now).expect("nobody has said it is lost"),
            false => co.lock_release(lock, desk.now).expect("nobody has said it is lost"),
        }
        co.handle_timeout(desk.now);
        co.handle_reply(request, &reply, desk.now);
        desk.run(&mut co);
        let told = events(&mut co);
        match renews {
            true => assert!(co.lock_is_held(lock, desk.now + Span::from_secs(25)), "{told:?}"),
            false => {
                assert!(matches!(&told[..], [Event::LockReleased { .. }]), "{told:?}");
                assert!(desk.is_free());
            }
        }
    }
}

#[test]
fn a_release_of_what_was_taken_over_meanwhile_is_a_loss() {
    let mut desk = Desk::new();
    let (mut co, lock, _, _) = handed_over(&mut desk);
    desk.now = desk.now + Span::from_secs(40);
    desk.holder(3);
    co.lock_release(lock, desk.now).expect("nobody has said it is lost");
    assert!(events(&mut co).is_empty());
    desk.run(&mut co);
    assert!(is_lost(&mut co));
    assert_eq!(desk.view().holders.len(), 1, "the other keeps it");
}

#[test]
fn an_answer_that_is_given_up_is_a_loss_at_once() {
    let mut desk = Desk::new();
    let (mut co, _, request, _) = handed_over(&mut desk);
    desk.now = desk.now + Span::from_secs(9);
    co.handle_timeout(desk.now);
    assert!(!is_lost(&mut co));
    co.handle_failure(request, Failure::OutcomeUnknown, desk.now);
    assert!(is_lost(&mut co));
}

#[test]
fn a_host_that_reports_nothing_is_told_of_the_loss_within_a_second() {
    let mut desk = Desk::new();
    let (mut co, lock, _, _) = handed_over(&mut desk);
    let until = co.lock_valid_until(lock).expect("it is held");
    while !is_lost(&mut co) {
        desk.now = co.next_deadline().expect("the loss is to be told");
        co.handle_timeout(desk.now);
    }
    assert!(desk.now <= until + Span::from_secs(1));
}

#[test]
fn a_renewal_that_the_host_never_sent_keeps_nothing() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    desk.now = co.next_deadline().expect("a renewal is planned");
    co.handle_timeout(desk.now);
    // It is there to be polled, and the host sleeps past the lease instead.
    desk.now = desk.now + Span::from_secs(60);
    co.handle_timeout(desk.now);
    assert!(co.poll_command().is_none_or(|command| command.deadline > desk.now));
    assert!(is_lost(&mut co));
    assert!(!co.lock_is_held(lock, desk.now));
}

#[test]
fn a_grant_that_arrived_within_the_wait_is_one() {
    let mut desk = Desk::new();
    let (mut first, held) = desk.holder(1);
    let mut second = desk.coordinator(2);
    let options = LockOptions { wait: Some(Span::from_secs(1)), ..LockOptions::default() };
    let lock = second.lock_acquire(NAME, options, desk.now).expect("sound arguments");
    desk.run(&mut second);
    first.lock_release(held, desk.now).expect("it is held");
    desk.run(&mut first);
    let message = desk.store.poll_message().expect("the grant is published");
    desk.now = desk.now + Span::from_millis(1_500);
    second.handle_message(NODE, &message.channel, &message.payload, desk.now);
    second.handle_timeout(desk.now);
    assert!(second.lock_is_held(lock, desk.now));
}
