//! The reply to an operation is lost, though it was executed: nobody is granted twice, and what
//! was given back is given back.

use crate::support::desk::{Desk, NAME, events, take};
use comity::coordinator::Coordinator;
use comity::event::Event;
use comity::redis::{Command, Failure};
use comity::time::Span;

/// Executes a command whose reply is lost; the driver gives up at its deadline.
fn lose_reply(desk: &mut Desk, co: &mut Coordinator, command: &Command) {
    desk.execute(&command.argv);
    desk.now = command.deadline;
    co.handle_failure(command.request, Failure::OutcomeUnknown, desk.now);
}

#[test]
fn of_an_acquisition_then_the_same_id_is_asked_again_and_has_its_first_fence() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let lock = desk.ask(&mut co);
    let first = take(&mut co, "ACQ");
    lose_reply(&mut desk, &mut co, &first);
    let fence = desk.view().holders[0].fence;
    assert!(!co.lock_is_held(lock, desk.now));

    desk.pass(Span::from_secs(1), &mut [&mut co]);
    assert!(co.lock_is_held(lock, desk.now));
    let granted = events(&mut co).into_iter().find_map(|event| match event {
        Event::LockGranted { fence, .. } => Some(fence.0),
        _ => None,
    });
    assert_eq!(granted, Some(fence));
    co.lock_release(lock, desk.now).expect("it is held");
    desk.settle(&mut [&mut co]);
    assert!(desk.is_free());
    // A straggler of the first attempt finds the tombstone.
    desk.execute(&first.argv);
    assert!(desk.is_free());
}

#[test]
fn of_an_acquisition_that_is_then_cancelled_leaves_the_lock_free_for_good() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let lock = desk.ask(&mut co);
    let first = take(&mut co, "ACQ");
    // Given up before it arrives at the server.
    co.lock_cancel(lock, desk.now);
    co.handle_failure(first.request, Failure::OutcomeUnknown, desk.now);
    desk.settle(&mut [&mut co]);
    desk.pass(Span::from_secs(50), &mut [&mut co]);
    desk.execute(&first.argv);
    assert!(desk.is_free(), "a straggler brought back what was cancelled");
    assert_eq!(co.next_deadline(), None);
}

#[test]
fn of_a_renewal_then_it_is_renewed_again_before_the_lease_ends() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    let (_, waiting) = desk.waiter(2);
    for _ in 0..5 {
        desk.now = co.next_deadline().expect("a renewal is planned");
        co.handle_timeout(desk.now);
        let renewal = take(&mut co, "REN");
        lose_reply(&mut desk, &mut co, &renewal);
        desk.pass(Span::from_secs(2), &mut [&mut co]);
        assert!(co.lock_is_held(lock, desk.now), "{waiting:?} waits");
    }
    assert!(!events(&mut co).iter().any(|event| matches!(event, Event::LockLost { .. })));
}

#[test]
fn of_a_release_then_the_repetition_says_released() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.lock_release(lock, desk.now).expect("it is held");
    let release = take(&mut co, "REL");
    assert!(!co.lock_is_held(lock, desk.now), "held no more from the verb on");
    lose_reply(&mut desk, &mut co, &release);
    assert!(desk.is_free());
    desk.pass(Span::from_secs(1), &mut [&mut co]);
    assert_eq!(events(&mut co), [Event::LockReleased { lock, name: NAME.to_vec() }]);
    assert_eq!(co.next_deadline(), None);
}

#[test]
fn of_a_release_after_which_others_had_their_turns_still_says_released() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.lock_release(lock, desk.now).expect("it is held");
    let release = take(&mut co, "REL");
    desk.execute(&release.argv);
    // More of them than the state string remembers.
    for seed in 10..16 {
        let (mut other, lock) = desk.holder(seed);
        other.lock_release(lock, desk.now).expect("it is held");
        desk.settle(&mut [&mut other]);
    }
    co.handle_failure(release.request, Failure::OutcomeUnknown, desk.now);
    desk.pass(Span::from_secs(1), &mut [&mut co]);
    assert_eq!(events(&mut co), [Event::LockReleased { lock, name: NAME.to_vec() }]);
}

#[test]
fn of_a_cancellation_then_it_is_sent_until_it_is_answered() {
    let mut desk = Desk::new();
    let (mut holder, held) = desk.holder(1);
    let (mut co, lock) = desk.waiter(2);
    co.lock_cancel(lock, desk.now);
    for _ in 0..3 {
        let cancellation = take(&mut co, "CAN");
        lose_reply(&mut desk, &mut co, &cancellation);
        desk.now = co.next_deadline().expect("it is sent again");
        co.handle_timeout(desk.now);
    }
    desk.settle(&mut [&mut co]);
    assert!(desk.view().waiters.is_empty());
    assert_eq!(events(&mut co), [], "the user has gone and hears nothing");
    holder.lock_release(held, desk.now).expect("it is held");
    desk.settle(&mut [&mut holder, &mut co]);
    assert!(desk.is_free());
}
