//! A heartbeat is answered `QUEUED`, but the answer comes after the push of the grant: the grant
//! stands.

use crate::support::desk::{Desk, NODE, events, take};
use comity::event::Event;
use comity::time::Span;

#[test]
fn the_grant_stands() {
    let mut desk = Desk::new();
    let (mut holder, held) = desk.holder(1);
    let (mut co, lock) = desk.waiter(2);

    // The heartbeat is executed before the release, its answer is late.
    desk.now = co.next_deadline().expect("a waiter has a heartbeat");
    co.handle_timeout(desk.now);
    let heartbeat = take(&mut co, "ACQ");
    let late = desk.execute(&heartbeat.argv);
    holder.lock_release(held, desk.now).expect("it is held");
    desk.run(&mut holder);
    let push = desk.store.poll_message().expect("the release hands over");
    co.handle_message(NODE, &push.channel, &push.payload, desk.now);
    assert!(co.lock_is_held(lock, desk.now));

    co.handle_reply(heartbeat.request, &late, desk.now);
    assert!(co.lock_is_held(lock, desk.now), "a late QUEUED took the grant away");
    desk.pass(Span::from_secs(60), &mut [&mut co]);
    assert!(co.lock_is_held(lock, desk.now));
    let lost = events(&mut co).into_iter().filter(|event| matches!(event, Event::LockLost { .. }));
    assert_eq!(lost.count(), 0);
}
