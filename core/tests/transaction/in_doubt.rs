//! A transaction is in doubt only where an outcome can exist, and not longer than its timeout is it
//! waited for: what never left, was refused before it was executed, or only reads, fails with the reason.

use crate::support::fated::{
    B,
    Fate::{self, Failed, Refused, Served},
    NOW, TIMEOUT, World,
};
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::redis::{Command, Failure};
use comity::time::Span;

fn failed(told: &[Event]) -> &Error {
    match told {
        [Event::TransactionFailed { error, .. }] => error,
        other => panic!("{other:?}"),
    }
}

/// On the second server alone, and on both.
const PLACES: [(usize, &[&str]); 2] = [(1, &["INCR"]), (0, &["INCR"; 2])];

#[test]
fn what_never_left_has_failed_and_nothing_goes_on() {
    for (from, names) in PLACES {
        let mut world = World::new();
        world.begin(names, from);
        let told = world.run(|_| Failed(Failure::NotSent));
        let error = failed(&told);
        assert_eq!((error.code(), error.node()), (ErrorCode::Unreachable, Some(B)), "{error}");
        let after = world.now.since(NOW);
        assert!(after <= TIMEOUT && after >= TIMEOUT.part(1, 2), "{after:?}");
        let sent = world.sent;
        assert_eq!(world.pass(Span::from_secs(3_600), |_| Failed(Failure::NotSent)), []);
        assert_eq!(world.sent, sent, "the server that is away is left alone");
        assert!(world.is_clean());
        world.begin(names, from);
        let told = world.run(|_| Served);
        assert!(matches!(told[0], Event::TransactionCommitted { .. }), "{told:?}");
    }
}

#[test]
fn what_a_server_refuses_is_told_at_once_in_its_words() {
    let refusals = [
        "NOPERM User app has no permissions to access one of the keys",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOAUTH Authentication required.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "MISCONF Errors writing to the AOF file: No space left",
        "NOREPLICAS Not enough good replicas to write.",
        "MOVED 3999 127.0.0.1:6381",
        "ASK 3999 127.0.0.1:6381",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "CLUSTERDOWN The cluster is down",
    ];
    let places = [PLACES[0], PLACES[1], (1, &["GET"]), (0, &["GET"; 2])];
    for (words, (from, names)) in refusals.into_iter().flat_map(|r| places.map(|p| (r, p))) {
        let mut world = World::new();
        world.begin(names, from);
        let told = world.run(|_| Refused(words));
        let error = failed(&told);
        assert_eq!((error.code(), error.node()), (ErrorCode::ServerRefused, Some(B)), "{error}");
        assert!(error.message().starts_with(words), "{error}");
        assert_eq!(world.now, NOW, "{words}: told at once");
        // All is over, also where the server never takes anything again.
        assert_eq!(world.pass(Span::from_secs(60), |_| Refused(words)), [], "{words}");
        assert!(world.is_clean(), "{words}");
    }
}

#[test]
fn a_server_that_does_not_tell_its_time_is_no_doubt() {
    let mut world = World::new();
    world.co.handle_node(B, comity::redis::NodeChange::Lost, NOW);
    world.begin(&["INCR"; 2], 0);
    let told = world.run(|_| Refused("NOPERM User app has no permissions to run 'time'"));
    assert_eq!((failed(&told).code(), world.now), (ErrorCode::ServerRefused, NOW));
}

#[test]
fn reads_are_never_in_doubt() {
    for (from, names) in [(1, &["GET"][..]), (0, &["GET"; 2])] {
        let mut world = World::new();
        world.begin(names, from);
        let told = world.run(|_| Failed(Failure::OutcomeUnknown));
        assert_eq!(failed(&told).code(), ErrorCode::NoAnswer);
        assert!(world.now.since(NOW) <= TIMEOUT);
        // The locks that the first server was asked for are given back.
        world.pass(Span::from_secs(10), |_| Served);
        assert!(world.is_clean());
    }
}

#[test]
fn doubt_is_told_by_the_timeout() {
    // A server that answers nothing, and one whose answers are nonsense.
    let fates: [fn(&Command) -> Fate; 2] =
        [|_| Failed(Failure::OutcomeUnknown), |_| Refused("ERR nonsense")];
    for fate in fates {
        let mut world = World::new();
        world.begin(&["INCR"], 1);
        let told = world.run(fate);
        let [Event::TransactionUnknown { error, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!((error.code(), error.node()), (ErrorCode::OutcomeUnknown, Some(B)));
        assert!(world.now.since(NOW) <= TIMEOUT, "{:?}", world.now.since(NOW));
    }
}

#[test]
fn many_in_doubt_do_not_press_a_server_that_is_away() {
    let mut world = World::new();
    let silent = |_: &Command| Failed(Failure::OutcomeUnknown);
    let mut told = Vec::new();
    for _ in 0..300 {
        world.begin(&["INCR"], 1);
        told.extend(world.pass(Span::from_millis(100), silent));
    }
    told.extend(world.pass(TIMEOUT + TIMEOUT, silent));
    let doubts = told.iter().filter(|e| matches!(e, Event::TransactionUnknown { .. })).count();
    assert_eq!(doubts, told.len());
    assert!(doubts > 100, "{doubts}");
    world.sent = 0;
    world.pass(Span::from_secs(600), silent);
    assert!((200..1_500).contains(&world.sent), "{} in ten minutes", world.sent);
    // One answer, and all is found out.
    let told = world.pass(Span::from_secs(3), |_| Served);
    let ended = told.iter().filter(|e| matches!(e, Event::TransactionEnded { .. })).count();
    assert_eq!(ended, doubts);
    assert_eq!(world.co.next_deadline(), None);
}
