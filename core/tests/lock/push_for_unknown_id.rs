//! A grant arrives for a request that nobody remembers: it is given back, so that the others do
//! not have to wait for its end.

use crate::support::desk::{Desk, NODE, STATE, events, take};
use comity::lock::{Fence, Id, Push};
use comity::redis::Failure;
use comity::time::Span;

#[test]
fn it_is_given_back_at_once() {
    let mut desk = Desk::new();
    let (mut holder, held) = desk.holder(1);
    let (mut co, lock) = desk.waiter(2);
    let (mut next, waiting) = desk.waiter(3);
    // The user goes; no cancellation reaches the server within the minute.
    co.lock_cancel(lock, desk.now);
    let cancellation = take(&mut co, "CAN");
    co.handle_failure(cancellation.request, Failure::OutcomeUnknown, desk.now);
    while let Some(at) = co.next_deadline() {
        co.handle_timeout(at);
        while co.poll_command().is_some() {}
    }
    // The grant is handed over all the same.
    holder.lock_release(held, desk.now).expect("it is held");
    desk.run(&mut holder);
    let push = desk.store.poll_message().expect("the release hands over");
    assert_eq!(push.channel, co.inbox());
    co.handle_message(NODE, &push.channel, &push.payload, desk.now);
    desk.settle(&mut [&mut co, &mut next]);
    assert!(next.lock_is_held(waiting, desk.now));
    assert_eq!(events(&mut co), []);
}

#[test]
fn only_on_the_own_channel_and_for_a_lock_of_the_own_prefix() {
    let desk = Desk::new();
    let mut co = desk.coordinator(1);
    let now = comity::keyspace::ServerTime(desk.now.as_micros());
    let (id, fence) = (Id::from_bits(9), Fence(1));
    let push = |state_key: &[u8]| {
        let state_key = state_key.to_vec();
        Push { id, fence, now, expiry: now.after(Span::from_secs(1)), state_key }.encode()
    };
    let inbox = co.inbox().to_vec();
    co.handle_message(NODE, b"comity:1:inbox:other", &push(STATE), desk.now);
    co.handle_message(NODE, &inbox, &push(b"user:42"), desk.now);
    co.handle_message(NODE, &inbox, b"GRANT nonsense", desk.now);
    assert!(co.poll_command().is_none());
    co.handle_message(NODE, &inbox, &push(STATE), desk.now);
    take(&mut co, "CAN");
}
