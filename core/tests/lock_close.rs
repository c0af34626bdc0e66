//! `close` gives back what is held and withdraws what waits, at once where the server answers.

mod support;

use comity::error::ErrorCode;
use comity::event::Event;
use comity::time::Span;
use support::desk::{Desk, events, take};

#[test]
fn a_holder_s_lock_goes_to_the_next_in_line_at_once() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    let (mut next, waiting) = desk.waiter(2);
    co.close(desk.now);
    assert!(!co.lock_is_held(lock, desk.now));
    desk.settle(&mut [&mut co, &mut next]);
    assert!(next.lock_is_held(waiting, desk.now));
    assert_eq!(events(&mut co), [Event::Closed]);
    assert_eq!(co.next_deadline(), None);
}

#[test]
fn a_waiter_leaves_the_queue_and_is_told() {
    let mut desk = Desk::new();
    let (_holder, _) = desk.holder(1);
    let (mut co, lock) = desk.waiter(2);
    co.close(desk.now);
    desk.settle(&mut [&mut co]);
    assert!(desk.view().waiters.is_empty());
    let told = events(&mut co);
    assert!(
        matches!(&told[..], [Event::LockFailed { lock: failed, error, .. }, Event::Closed]
            if *failed == lock && error.code() == ErrorCode::Closed),
        "{told:?}"
    );
}

#[test]
fn a_silent_server_holds_it_up_for_the_timeout_only() {
    let mut desk = Desk::new();
    let (mut co, _) = desk.holder(1);
    co.close(desk.now);
    let begun = desk.now;
    take(&mut co, "REL");
    while let Some(at) = co.next_deadline() {
        desk.now = at;
        co.handle_timeout(at);
        while co.poll_command().is_some() {}
    }
    assert_eq!(events(&mut co).last(), Some(&Event::Closed));
    assert!(desk.now.since(begun) <= Span::from_secs(5));
}
