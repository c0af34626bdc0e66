//! A lease that was lost is said to be lost by every verb that follows, however it was lost and
//! however often one asks; what was never held, or was given back, is not held.

use crate::support::desk::{Desk, NAME, events, take};
use comity::coordinator::Coordinator;
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::lock::{LockId, LockOptions};
use comity::time::Span;

/// What renewing and releasing come to.
fn refused(co: &mut Coordinator, lock: LockId, desk: &Desk) -> [Error; 2] {
    [
        co.lock_renew(lock, None, desk.now).expect_err("it is not held"),
        co.lock_release(lock, desk.now).expect_err("it is not held"),
    ]
}

fn is_lost(co: &mut Coordinator, lock: LockId, desk: &Desk) {
    for error in [refused(co, lock, desk), refused(co, lock, desk)].concat() {
        assert_eq!(error.code(), ErrorCode::LockLost, "{error}");
        assert!(error.message().contains("lock 'job'"), "{error}");
    }
}

fn is_not_held(co: &mut Coordinator, lock: LockId, desk: &Desk) {
    for error in refused(co, lock, desk) {
        assert_eq!(error.code(), ErrorCode::NotHeld, "{error}");
    }
}

#[test]
fn a_verb_that_comes_after_the_end_is_the_first_to_say_it() {
    for renews in [false, true] {
        let mut desk = Desk::new();
        let (mut co, lock) = desk.holder(1);
        desk.now = desk.now + Span::from_secs(31);
        match renews {
            true => co.lock_renew(lock, None, desk.now).expect("the loss is an event"),
            false => co.lock_release(lock, desk.now).expect("the loss is an event"),
        }
        let told = events(&mut co);
        assert!(
            matches!(&told[..], [Event::LockLost { lock: lost, name, .. }]
                if *lost == lock && name == NAME),
            "{told:?}"
        );
        is_lost(&mut co, lock, &desk);
        // The background has taken it back by now.
        desk.run(&mut co);
        is_lost(&mut co, lock, &desk);
    }
}

#[test]
fn a_close_does_not_make_it_anything_else() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    desk.now = desk.now + Span::from_secs(31);
    co.handle_timeout(desk.now);
    let other = desk.ask(&mut co);
    desk.run(&mut co);
    assert!(co.lock_is_held(other, desk.now));
    co.close(desk.now);
    is_lost(&mut co, lock, &desk);
    desk.run(&mut co);
    is_lost(&mut co, lock, &desk);
    is_lost(&mut co, other, &desk);
    for error in refused(&mut co, other, &desk) {
        assert!(
            error.message().contains("was given back when the coordinator was closed"),
            "{error}"
        );
    }
}

#[test]
fn what_was_given_back_before_a_close_is_not_lost_by_it() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.lock_release(lock, desk.now).expect("it is held");
    co.close(desk.now);
    desk.run(&mut co);
    for error in refused(&mut co, lock, &desk) {
        assert_eq!(error.code(), ErrorCode::Closed, "{error}");
    }
}

#[test]
fn what_the_server_has_forgotten_is_lost() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    desk.store.execute(&["DEL", "comity:1:lock:{job}"].into_iter().collect(), desk.now);
    co.lock_renew(lock, None, desk.now).expect("it is held as far as is known");
    desk.run(&mut co);
    is_lost(&mut co, lock, &desk);
}

#[test]
fn so_is_what_turns_out_at_its_release() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.lock_release(lock, desk.now).expect("it is held as far as is known");
    let release = take(&mut co, "REL");
    desk.store.execute(&["DEL", "comity:1:lock:{job}"].into_iter().collect(), desk.now);
    desk.answer(&mut co, &release);
    assert!(matches!(&events(&mut co)[..], [Event::LockLost { .. }]));
    is_lost(&mut co, lock, &desk);
}

#[test]
fn a_request_that_its_user_has_ended_is_not_held() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    desk.now = desk.now + Span::from_secs(31);
    co.handle_timeout(desk.now);
    is_lost(&mut co, lock, &desk);
    co.lock_cancel(lock, desk.now);
    is_not_held(&mut co, lock, &desk);

    let (mut co, lock) = desk.holder(2);
    co.lock_release(lock, desk.now).expect("it is held");
    is_not_held(&mut co, lock, &desk);
    desk.run(&mut co);
    is_not_held(&mut co, lock, &desk);
}

#[test]
fn after_a_clock_gap_a_lease_can_be_renewed_by_hand() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.handle_clock_gap(desk.now);
    co.lock_renew(lock, Some(Span::from_secs(60)), desk.now).expect("nobody has said it is lost");
    assert!(!co.lock_is_held(lock, desk.now));
    desk.run(&mut co);
    assert!(co.lock_is_held(lock, desk.now + Span::from_secs(50)));
}

#[test]
fn every_event_of_a_lock_has_its_name() {
    let mut desk = Desk::new();
    let (mut first, held) = desk.holder(1);
    let mut second = desk.coordinator(2);
    let options = LockOptions { ttl: Span::from_secs(1), ..LockOptions::default() };
    second.lock_acquire(NAME, options, desk.now).expect("sound arguments");
    let options = LockOptions { wait: Some(Span::ZERO), ..LockOptions::default() };
    second.lock_acquire(NAME, options, desk.now).expect("sound arguments");
    desk.run(&mut second);
    first.lock_release(held, desk.now).expect("it is held");
    desk.settle(&mut [&mut first, &mut second]);
    desk.now = desk.now + Span::from_secs(3);
    second.handle_timeout(desk.now);
    let mut kinds = Vec::new();
    for event in events(&mut first).into_iter().chain(events(&mut second)) {
        let name = match &event {
            Event::LockQueued { name, .. }
            | Event::LockGranted { name, .. }
            | Event::LockRenewed { name, .. }
            | Event::LockLost { name, .. }
            | Event::LockReleased { name, .. }
            | Event::LockFailed { name, .. } => name,
            _ => continue,
        };
        assert_eq!(name, NAME, "{event:?}");
        kinds.push(core::mem::discriminant(&event));
    }
    kinds.sort_by_key(|kind| format!("{kind:?}"));
    kinds.dedup();
    assert_eq!(kinds.len(), 6, "one of each kind");
}
