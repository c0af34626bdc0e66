//! A host is held up, by work that lets nothing else happen. What has arrived meanwhile is handed in
//! before time is told, and a lease whose renewal was sent in time is kept; one that is over is lost to
//! every verb.

use crate::support::desk::{Desk, NAME, events, take};
use comity::coordinator::Coordinator;
use comity::error::ErrorCode;
use comity::event::Event;
use comity::lock::{LockId, LockOptions};
use comity::redis::{Command, Reply};
use comity::time::Span;

const SHORT: Span = Span::from_millis(500);
const LONG: Span = Span::from_secs(30);

fn short() -> LockOptions {
    LockOptions { ttl: SHORT, renew: false, ..LockOptions::default() }
}

/// A host that was busy for nine seconds after it had sent the renewal of a short lease, which the server
/// has answered meanwhile: the lock, the renewal and its unread answer.
fn renewed_while_busy() -> (Desk, Coordinator, LockId, Command, Reply) {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let lock = co.lock_acquire(NAME, short(), desk.now).expect("sound arguments");
    desk.run(&mut co);
    co.lock_renew(lock, Some(LONG), desk.now).expect("it is held");
    let renewal = take(&mut co, "REN");
    let reply = desk.execute(&renewal.argv);
    events(&mut co);
    desk.now = desk.now + Span::from_secs(9);
    (desk, co, lock, renewal, reply)
}

#[test]
fn a_renewal_that_was_answered_meanwhile_keeps_the_lease() {
    let (mut desk, mut co, lock, renewal, reply) = renewed_while_busy();
    // Another verb, and another answer, are no time for this lock.
    assert!(!co.lock_is_held(lock, desk.now), "it is not proven yet");
    let other = co.lock_acquire(b"other", short(), desk.now).expect("sound arguments");
    let asked = take(&mut co, "ACQ");
    desk.answer(&mut co, &asked);
    assert!(co.lock_is_held(other, desk.now));
    co.handle_reply(renewal.request, &reply, desk.now);
    co.handle_timeout(desk.now);
    assert!(co.lock_is_held(lock, desk.now));
    let told = events(&mut co);
    assert!(!told.iter().any(|event| matches!(event, Event::LockLost { .. })), "{told:?}");
}

#[test]
fn a_lease_that_was_renewed_meanwhile_is_released() {
    let (mut desk, mut co, lock, renewal, reply) = renewed_while_busy();
    // At the end of the work, before anything is read.
    co.lock_release(lock, desk.now).expect("it may be held");
    let release = take(&mut co, "REL");
    co.handle_reply(renewal.request, &reply, desk.now);
    desk.answer(&mut co, &release);
    let told = events(&mut co);
    assert!(matches!(&told[..], [Event::LockReleased { lock: released, .. }] if *released == lock));
}

#[test]
fn a_lease_that_nothing_renews_is_lost_to_every_verb() {
    for renews in [false, true] {
        let mut desk = Desk::new();
        let mut co = desk.coordinator(1);
        let lock = co.lock_acquire(NAME, short(), desk.now).expect("sound arguments");
        desk.run(&mut co);
        events(&mut co);
        desk.now = desk.now + SHORT;
        // No time was told: the verb is the first to come after the end.
        if renews {
            co.lock_renew(lock, None, desk.now).expect("the loss is an event");
        } else {
            co.lock_release(lock, desk.now).expect("the loss is an event");
        }
        let told = events(&mut co);
        let [Event::LockLost { lock: lost, error, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!((*lost, error.code()), (lock, ErrorCode::LockLost));
        desk.run(&mut co);
        assert_eq!(desk.view().holders.len(), 0, "what may be left is given back");
    }
}
