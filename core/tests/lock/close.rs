//! `close` gives back what is held and withdraws what waits, at once where the server answers.

use crate::support::desk::{Desk, NAME, events, take};
use comity::error::ErrorCode;
use comity::event::Event;
use comity::time::Span;

#[test]
fn a_holder_s_lock_goes_to_the_next_in_line_at_once() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    let (mut next, waiting) = desk.waiter(2);
    co.close(desk.now);
    assert!(!co.lock_is_held(lock, desk.now));
    desk.settle(&mut [&mut co, &mut next]);
    assert!(next.lock_is_held(waiting, desk.now));
    assert_eq!(events(&mut co), [Event::LockReleased { lock, name: NAME.to_vec() }, Event::Closed]);
    assert_eq!(co.stats().lock_releases, 1);
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
    assert_eq!(co.stats().lock_failures, 1);
}

#[test]
fn what_was_held_and_is_gone_by_then_is_told_as_lost() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    desk.store.execute(&["DEL", "comity:1:lock:{job}"].into_iter().collect(), desk.now);
    co.close(desk.now);
    desk.settle(&mut [&mut co]);
    let told = events(&mut co);
    assert!(
        matches!(&told[..], [Event::LockLost { lock: lost, .. }, Event::Closed] if *lost == lock),
        "{told:?}"
    );
}

#[test]
fn a_release_on_its_way_is_told_when_it_is_answered() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.lock_release(lock, desk.now).expect("it is held");
    co.close(desk.now);
    desk.settle(&mut [&mut co]);
    let released = Event::LockReleased { lock, name: NAME.to_vec() };
    assert_eq!(events(&mut co), [released, Event::Closed]);
}

#[test]
fn a_silent_server_holds_it_up_for_the_timeout_only() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.close(desk.now);
    let begun = desk.now;
    take(&mut co, "REL");
    while let Some(at) = co.next_deadline() {
        desk.now = at;
        co.handle_timeout(at);
        while co.poll_command().is_some() {}
    }
    let told = events(&mut co);
    assert!(
        matches!(&told[..], [Event::LockFailed { lock: failed, .. }, Event::Closed]
            if *failed == lock),
        "{told:?}"
    );
    assert_eq!(co.stats().lock_failures, 1);
    assert!(desk.now.since(begun) <= Span::from_secs(5));
}
