//! A server that does not take what is counted: the user is told once, nothing is lost, and it is
//! tried again until the server takes it.

use crate::support::counter_desk::{KEY, Replica, send, stands, up};
use crate::support::desk::{Desk, events};
use comity::counter::Tally;
use comity::error::ErrorCode;
use comity::event::Event;
use comity::redis::{NodeChange, NodeId};
use comity::time::Span;

const SECOND: Span = Span::from_secs(1);

/// The refusals among these events, and how many calls have failed.
fn refused(events: &[Event]) -> (Vec<ErrorCode>, usize) {
    let refused = events.iter().filter_map(|event| match event {
        Event::CounterRefused { error, .. } => Some(error.code()),
        _ => None,
    });
    let failed = events.iter().filter(|event| matches!(event, Event::CallFailed { .. }));
    (refused.collect(), failed.count())
}

/// Counts and flushes in vain, then repairs the server: all is counted.
fn is_kept_until(mut desk: Desk, code: ErrorCode, others: u128, repair: impl Fn(&mut Desk)) {
    let mut replica = Replica::open(&desk, 1);
    replica.count(5, desk.now);
    replica.co.counter_flush(replica.counter, desk.now).expect("it is open");
    desk.run(&mut replica.co);
    // Who waits is told at once.
    assert_eq!(refused(&events(&mut replica.co)), (vec![code], 1));
    for _ in 0..10 {
        desk.pass(SECOND, &mut [&mut replica.co]);
        replica.count(2, desk.now);
    }
    assert_eq!(refused(&events(&mut replica.co)), (vec![], 0), "it was told already");
    assert_eq!(replica.value(&desk).pending, up(25));
    repair(&mut desk);
    desk.pass(Span::from_secs(5), &mut [&mut replica.co]);
    assert!(replica.value(&desk).pending.is_zero());
    assert_eq!(stands(&mut desk).totals.p, others + 25);
    assert_eq!(events(&mut replica.co), []);
    // And the next refusal is told again.
    send(&mut desk, &["SET", KEY, "12"]);
    replica.add(&mut desk, 1);
    assert_eq!(refused(&events(&mut replica.co)).0.len(), 1);
}

#[test]
fn a_key_of_another_type() {
    let mut desk = Desk::without_scripts();
    send(&mut desk, &["SET", KEY, "12"]);
    is_kept_until(desk, ErrorCode::WrongType, 0, |desk| {
        send(desk, &["DEL", KEY]);
    });
}

#[test]
fn a_counter_with_no_slot_left() {
    let mut desk = Desk::without_scripts();
    let slot = format!("{:020}{:020}{:020}{:016}", 1, 0, 5, 1);
    let field = |n: u32| format!("{n:022}1750000000000000");
    for from in (0..66_000).step_by(1_000) {
        let fields: Vec<String> = (from..from + 1_000).map(field).collect();
        let mut words = vec!["HSET", KEY];
        words.extend(fields.iter().flat_map(|field| [field.as_str(), slot.as_str()]));
        send(&mut desk, &words);
    }
    send(&mut desk, &["HSET", KEY, "tp", "66000"]);
    is_kept_until(desk, ErrorCode::LimitExceeded, 66_000, |desk| {
        let fields: Vec<String> = (0..1_000).map(field).collect();
        let mut words = vec!["HDEL", KEY];
        words.extend(fields.iter().map(String::as_str));
        send(desk, &words);
    });
}

#[test]
fn nothing_is_compared_before_the_pause_after_a_refusal_is_over() {
    let mut desk = Desk::without_scripts();
    let mut replica = Replica::open(&desk, 1);
    replica.add(&mut desk, 1);
    send(&mut desk, &["SET", KEY, "12"]);
    for _ in 0..10 {
        replica.count(2, desk.now);
        desk.pass(SECOND, &mut [&mut replica.co]);
    }
    // A new connection has what was counted compared soon.
    replica.co.handle_node(NodeId(0), NodeChange::Connected, desk.now);
    for _ in 0..50 {
        let due = replica.co.next_deadline().expect("it is tried again");
        assert!(due > desk.now, "the host would be kept busy for good");
        desk.now = due;
        replica.co.handle_timeout(due);
        desk.run(&mut replica.co);
    }
}

#[test]
fn what_a_close_has_ended_is_closed_to_every_verb() {
    let mut desk = Desk::new();
    let mut replica = Replica::open(&desk, 1);
    replica.co.close(desk.now);
    desk.run(&mut replica.co);
    let (co, counter, now) = (&mut replica.co, replica.counter, desk.now);
    let ended = [
        co.counter_snapshot(counter).map(drop),
        co.counter_value(counter, now).map(drop),
        co.counter_room(counter).map(drop),
        co.counter_add(counter, 1, now),
        co.counter_collect(counter, Tally::default(), now),
        co.counter_flush(counter, now).map(drop),
        co.counter_close(counter, now),
    ];
    for error in ended.map(|result| result.expect_err("ended")) {
        assert_eq!(error.code(), ErrorCode::Closed, "{error}");
    }
}
