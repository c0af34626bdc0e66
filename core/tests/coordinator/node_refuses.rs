//! A server that refuses to connect, or to do anything: an outage for who waits in line where it passes,
//! an error with the server's words for everybody else, and never a sign that the server serves again.

use crate::support::desk::{Desk, NAME, NODE, take};
use comity::coordinator::Coordinator;
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::lock::{LockId, LockOptions};
use comity::redis::{Failure, MAX_WORDS, NodeChange, Reply};
use comity::time::Span;
use comity::transaction::TransactionOptions;

const CROWDED: &str = "ERR max number of clients reached";
const LOADING: &str = "LOADING Redis is loading the dataset in memory";
const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";
/// The default timeout.
const TIMEOUT: Span = Span::from_secs(5);

/// How a server says it.
#[derive(Clone, Copy, Debug)]
enum How {
    /// In the set-up of a connection.
    Connecting,
    /// In place of an answer.
    Answering,
}

const PASSING: [(How, &str); 6] = [
    (How::Connecting, CROWDED),
    (How::Connecting, LOADING),
    (How::Answering, CROWDED),
    (How::Answering, LOADING),
    (How::Answering, "BUSY Redis is busy running a script."),
    (How::Answering, "MASTERDOWN Link with MASTER is down."),
];

/// Everything that is ready is refused.
fn refuse(desk: &Desk, co: &mut Coordinator, how: How, words: &str) {
    while let Some(command) = co.poll_command() {
        match how {
            How::Connecting => {
                co.handle_refused(NODE, words.as_bytes(), desk.now);
                co.handle_failure(command.request, Failure::NotSent, desk.now);
            }
            How::Answering => co.handle_reply(command.request, &Reply::error(words), desk.now),
        }
    }
}

/// What is told while everything is refused for so long.
fn refused_for(
    desk: &mut Desk,
    co: &mut Coordinator,
    span: Span,
    how: How,
    words: &str,
) -> Vec<Event> {
    let end = desk.now + span;
    loop {
        refuse(desk, co, how, words);
        desk.now = co.next_deadline().map_or(end, |due| due.min(end));
        co.handle_timeout(desk.now);
        if desk.now == end {
            refuse(desk, co, how, words);
            return told(co);
        }
    }
}

fn told(co: &mut Coordinator) -> Vec<Event> {
    std::iter::from_fn(|| co.poll_event()).collect()
}

fn of_nodes(events: &[Event]) -> Vec<&Event> {
    let of_node = |event: &&Event| matches!(event, Event::NodeDown { .. } | Event::NodeUp { .. });
    events.iter().filter(of_node).collect()
}

fn failure(events: &[Event]) -> Option<&Error> {
    events.iter().find_map(|event| match event {
        Event::LockFailed { error, .. }
        | Event::TransactionFailed { error, .. }
        | Event::CallFailed { error, .. } => Some(error),
        _ => None,
    })
}

/// Somebody who waits in line, and whose connections are lost.
fn in_line(desk: &mut Desk) -> (Coordinator, LockId) {
    drop(desk.holder(1));
    let (mut co, lock) = desk.waiter(2);
    co.handle_node(NODE, NodeChange::PushLost, desk.now);
    co.handle_node(NODE, NodeChange::Lost, desk.now);
    told(&mut co);
    (co, lock)
}

#[test]
fn who_waits_in_line_waits_on() {
    for (how, words) in PASSING {
        let mut desk = Desk::new();
        let (mut co, lock) = in_line(&mut desk);
        // The holder's lease ends meanwhile, and nobody else asks: the place is kept.
        let events = refused_for(&mut desk, &mut co, Span::from_secs(8), how, words);
        assert_eq!(failure(&events), None, "{how:?} {words}");
        let [Event::NodeDown { node: NODE, error, waiting: 1 }] = of_nodes(&events)[..] else {
            panic!("{how:?} {words}: {events:?}");
        };
        assert_eq!((error.code(), error.message()), (ErrorCode::ServerRefused, words));
        desk.pass(Span::from_secs(31), &mut [&mut co]);
        assert!(co.lock_is_held(lock, desk.now), "{how:?} {words}");
        let events = told(&mut co);
        let [Event::NodeUp { node: NODE, outage }] = of_nodes(&events)[..] else {
            panic!("{how:?} {words}: {events:?}");
        };
        assert!(*outage >= Span::from_secs(7) && *outage < Span::from_secs(10), "{outage:?}");
    }
}

#[test]
fn a_wait_with_a_bound_ends_there_and_says_why() {
    for (how, words) in PASSING {
        let mut desk = Desk::new();
        drop(desk.holder(1));
        let mut co = desk.coordinator(2);
        let wait = Span::from_secs(20);
        let options = LockOptions { wait: Some(wait), ..LockOptions::default() };
        co.lock_acquire(NAME, options, desk.now).expect("sound arguments");
        desk.run(&mut co);
        co.handle_node(NODE, NodeChange::Lost, desk.now);
        let almost = Span::from_micros(wait.as_micros() - 1);
        let events = refused_for(&mut desk, &mut co, almost, how, words);
        assert_eq!(failure(&events), None, "{how:?} {words}");
        let events = refused_for(&mut desk, &mut co, Span::from_micros(1), how, words);
        let error = failure(&events).unwrap_or_else(|| panic!("{how:?} {words}"));
        assert_eq!(error.code(), ErrorCode::ServerRefused);
        assert!(error.message().contains(words), "{error}");
        assert_eq!(error.node(), Some(NODE));
    }
}

/// How a verb ends where everything is refused, and after how long.
fn verb(name: &str, how: How, words: &str) -> (Error, Span) {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let (now, id) = (desk.now, b"0123456789abcdef.00.0000000000000001@0");
    match name {
        "acquire" => drop(desk.ask(&mut co)),
        "inspect" => drop(co.lock_inspect(NAME, now).expect(name)),
        "execute" => {
            let commands = [vec![b"INCR".to_vec(), b"k".to_vec()]];
            let options = TransactionOptions::default();
            co.transaction_execute(&commands, &[], options, now).expect(name);
        }
        "status" => drop(co.transaction_status(id, now).expect(name)),
        "resolve" => drop(co.transaction_resolve(id, None, now).expect(name)),
        _ => drop(co.check_nodes(now).expect(name)),
    }
    loop {
        refuse(&desk, &mut co, how, words);
        if let Some(error) = failure(&told(&mut co)) {
            return (error.clone(), desk.now.since(now));
        }
        desk.now = co.next_deadline().unwrap_or_else(|| panic!("{name}: nothing is due"));
        co.handle_timeout(desk.now);
    }
}

const VERBS: [&str; 6] = ["acquire", "inspect", "execute", "status", "resolve", "check"];

#[test]
fn who_does_not_wait_in_line_is_told_within_the_timeout() {
    for (how, words) in PASSING {
        for name in VERBS {
            let (error, after) = verb(name, how, words);
            assert_eq!(error.code(), ErrorCode::ServerRefused, "{name} {how:?} {words}: {error}");
            assert!(error.message().contains(words), "{name}: {error}");
            assert!(after > Span::from_secs(1) && after <= TIMEOUT, "{name}: {after:?}");
        }
    }
}

#[test]
fn what_does_not_pass_is_told_at_once() {
    for words in [WRONG, "NOAUTH Authentication required.", "ERR DB index is out of range"] {
        for name in VERBS {
            let (error, after) = verb(name, How::Connecting, words);
            assert_eq!(error.code(), ErrorCode::ServerRefused, "{name} {words}: {error}");
            assert!(error.message().contains(words), "{name}: {error}");
            assert_eq!(after, Span::ZERO, "{name} {words}");
        }
        let mut desk = Desk::new();
        let (mut co, _) = in_line(&mut desk);
        let events = refused_for(&mut desk, &mut co, TIMEOUT, How::Connecting, words);
        let error = failure(&events).unwrap_or_else(|| panic!("{words}: who waits in line"));
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn a_refusal_is_no_sign_that_a_server_serves_again() {
    let refusals = [
        (How::Connecting, WRONG),
        (How::Connecting, "NOAUTH Authentication required."),
        (How::Answering, "NOAUTH Authentication required."),
        (How::Answering, "READONLY You can't write against a read only replica."),
        (How::Answering, "NOPERM this user has no permissions"),
    ];
    for (how, words) in refusals.into_iter().chain(PASSING) {
        let mut desk = Desk::new();
        let mut co = desk.coordinator(1);
        co.handle_unreachable(NODE, "connection refused", false, desk.now);
        let down = told(&mut co);
        assert!(matches!(of_nodes(&down)[..], [Event::NodeDown { .. }]));
        for _ in 0..3 {
            desk.ask(&mut co);
            let events = refused_for(&mut desk, &mut co, Span::from_secs(6), how, words);
            assert!(failure(&events).is_some(), "{how:?} {words}");
            assert!(of_nodes(&events).is_empty(), "{how:?} {words}: {events:?}");
        }
        desk.ask(&mut co);
        desk.run(&mut co);
        let events = told(&mut co);
        assert!(matches!(of_nodes(&events)[..], [Event::NodeUp { .. }]), "{how:?} {words}");
    }
}

#[test]
fn a_server_that_answers_on_another_connection_is_not_lost() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    co.handle_node(NODE, NodeChange::Connected, desk.now);
    for _ in 0..100 {
        co.lock_inspect(NAME, desk.now).expect("a sound name");
        desk.run(&mut co);
        co.lock_inspect(NAME, desk.now).expect("a sound name");
        refuse(&desk, &mut co, How::Connecting, CROWDED);
        desk.now = desk.now + Span::from_millis(100);
        co.handle_timeout(desk.now);
    }
    assert!(of_nodes(&told(&mut co)).is_empty());
    // When it has not answered for long, it is.
    let events = refused_for(&mut desk, &mut co, TIMEOUT, How::Connecting, CROWDED);
    assert!(of_nodes(&events).is_empty(), "nobody asks it: {events:?}");
    co.lock_inspect(NAME, desk.now).expect("a sound name");
    refuse(&desk, &mut co, How::Connecting, CROWDED);
    assert!(matches!(of_nodes(&told(&mut co))[..], [Event::NodeDown { .. }]));
}

#[test]
fn no_connection_for_pushes_is_no_outage() {
    let mut desk = Desk::new();
    drop(desk.holder(1));
    let mut co = desk.coordinator(2);
    desk.ask(&mut co);
    let acquire = take(&mut co, "ACQ");
    desk.answer(&mut co, &acquire);
    let subscribe = take(&mut co, "SUBSCRIBE");
    co.handle_refused(NODE, CROWDED.as_bytes(), desk.now);
    co.handle_failure(subscribe.request, Failure::NotSent, desk.now);
    let events = told(&mut co);
    assert!(of_nodes(&events).is_empty(), "{events:?}");
    let without = |event: &Event| matches!(event, Event::PushUnavailable { error, .. } if error.message() == CROWDED);
    assert!(events.iter().any(without), "{events:?}");
}

#[test]
fn what_a_server_says_is_told_in_few_printable_words() {
    for how in [How::Connecting, How::Answering] {
        for (words, told) in [
            (String::new(), "an error without words".into()),
            ("x".repeat(60_000), "x".repeat(MAX_WORDS) + "\u{2026}"),
            ("ERR \u{1b}[2J\0\ta".into(), "ERR \\u{1b}[2J\\u{0}\\ta".into()),
            (
                format!("WRONGPASS {}", "\n".repeat(9_000)),
                format!("WRONGPASS {}\u{2026}", "\\n".repeat(123)),
            ),
        ] {
            let desk = Desk::new();
            let mut co = desk.coordinator(1);
            co.lock_inspect(NAME, desk.now).expect("sound arguments");
            refuse(&desk, &mut co, how, &words);
            let events = self::told(&mut co);
            let error = failure(&events).expect("it fails at once");
            assert_eq!(
                (error.code(), error.message()),
                (ErrorCode::ServerRefused, &*told),
                "{how:?}"
            );
        }
    }
    // What it means is read of the whole.
    let mut desk = Desk::new();
    let (mut co, _) = in_line(&mut desk);
    let wrapped = format!("ERR Error running script ({}): user_script: -LOADING", "f".repeat(300));
    let events = refused_for(&mut desk, &mut co, TIMEOUT, How::Answering, &wrapped);
    assert_eq!(failure(&events), None);
}
