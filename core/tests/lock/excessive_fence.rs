//! Nothing from outside raises what every later fence has to pass beyond what a server's clock allows:
//! an hour ahead of it. What goes beyond is ignored and counted.

use crate::support::acquire::acquire;
use crate::support::desk::{Desk, NODE, STATE, events, take};
use crate::support::stamping::{META, of_one};
use comity::coordinator::Coordinator;
use comity::event::Event;
use comity::keyspace::ServerTime;
use comity::lock::{Acquire, Fence, Id, Op, Push};
use comity::redis::{LockKeys, Reply};
use comity::time::Span;

const HIGHEST: u64 = (1 << 53) - 1;

/// A message of a grant with this fence, for nobody's id, at the server's time.
fn push(co: &mut Coordinator, desk: &Desk, fence: u64) {
    let now = ServerTime(desk.now.as_micros());
    let (id, state_key) = (Id::from_bits(77), b"comity:1:lock:{other}".to_vec());
    let push =
        Push { id, fence: Fence(fence), now, expiry: now.after(Span::from_secs(1)), state_key };
    let inbox = co.inbox().to_vec();
    co.handle_message(NODE, &inbox, &push.encode(), desk.now);
}

/// Takes the lock and gives it back; its fence.
fn fence(co: &mut Coordinator, desk: &mut Desk) -> u64 {
    let lock = desk.ask(co);
    desk.run(co);
    let granted = events(co).into_iter().find_map(|event| match event {
        Event::LockGranted { fence, .. } => Some(fence.0),
        _ => None,
    });
    co.lock_release(lock, desk.now).expect("it was granted");
    desk.run(co);
    granted.expect("it was granted")
}

#[test]
fn a_message_with_the_highest_fence_bricks_nothing() {
    for asks_before in [false, true] {
        let mut desk = Desk::new();
        let mut co = desk.coordinator(1);
        if asks_before {
            fence(&mut co, &mut desk);
        }
        push(&mut co, &desk, HIGHEST);
        desk.run(&mut co);
        // It is not passed on to the server, which would not believe it either.
        let mut asking = co.clone();
        desk.ask(&mut asking);
        let command = take(&mut asking, "ACQ");
        let Some(Op::Acquire(asked)) = Op::decode(command.argv.iter().skip(9)) else { panic!() };
        assert!(asked.min_fence.0 <= desk.now.as_micros() + 10, "{:?}", asked.min_fence);
        let next = fence(&mut co, &mut desk);
        assert!(next <= desk.now.as_micros() + 10, "{next}");
        assert_eq!(co.stats().excessive_fences, u64::from(asks_before));
        desk.now = desk.now + Span::from_secs(61);
        assert!(fence(&mut desk.coordinator(2), &mut desk) > next);
    }
}

#[test]
fn one_that_a_master_whose_clock_is_ahead_may_have_given_counts() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    fence(&mut co, &mut desk);
    let ahead = desk.now.as_micros() + 3_500_000_000;
    push(&mut co, &desk, ahead);
    desk.run(&mut co);
    assert!(fence(&mut co, &mut desk) > ahead);
    assert_eq!(co.stats().excessive_fences, 0);
}

#[test]
fn an_answer_with_one_is_not_the_floor_of_the_next() {
    let desk = Desk::new();
    let mut co = desk.coordinator(1);
    let lock = desk.ask(&mut co);
    let command = take(&mut co, "ACQ");
    let now = desk.now.as_micros().to_string();
    let high = HIGHEST.to_string();
    let reply = ["GRANTED", &high, &now, "00030000000"].map(Reply::bulk).to_vec();
    co.handle_reply(command.request, &Reply::Array(reply), desk.now);
    assert!(co.lock_is_held(lock, desk.now));
    assert_eq!(co.stats().excessive_fences, 1);
    co.lock_acquire(b"next", comity::lock::LockOptions::default(), desk.now).expect("sound");
    let command = take(&mut co, "ACQ");
    let Some(Op::Acquire(asked)) = Op::decode(command.argv.iter().skip(9)) else { panic!() };
    assert_eq!(asked.min_fence, Fence(0));
}

#[test]
fn a_server_ignores_such_a_floor_and_says_so() {
    let mut desk = Desk::new();
    let ask = |desk: &mut Desk, bits: u128, floor| {
        let mut argv: comity::redis::Argv =
            ["EVALSHA", comity::redis::Script::Queue.digest(), "6"].into_iter().collect();
        LockKeys::of_state(STATE).in_order().iter().for_each(|key| argv.push(key));
        argv.push(META);
        Op::Acquire(Acquire { min_fence: Fence(floor), ..acquire(bits) }).encode(&mut argv);
        argv.push(&of_one());
        comity::lock::Answer::decode(&desk.execute(&argv)).expect("an answer")
    };
    let now = desk.now.as_micros();
    for (bits, floor, excess) in
        [(1, now + 3_600_000_001, true), (2, HIGHEST, true), (3, now + 3_600_000_000, false)]
    {
        let answer = ask(&mut desk, bits, floor);
        assert_eq!(answer.excess, excess, "{answer:?}");
        let view = desk.view();
        let numbers = view.holders.iter().map(|holder| holder.fence);
        let highest = numbers.chain(view.waiters.iter().map(|waiter| waiter.ticket)).max();
        assert!(highest <= Some(now + 3_600_000_001), "{highest:?}");
    }
}
