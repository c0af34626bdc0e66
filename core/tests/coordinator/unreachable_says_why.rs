//! The host says why a server cannot be reached: the error of every verb says it, too, with the node it
//! is about; and at once where waiting does not help.

use comity::coordinator::{Config, Coordinator, MAX_REASON};
use comity::counter::{CounterOptions, Freshness};
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::redis::{Failure, NodeChange, NodeId, Reply};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{SweepOptions, TransactionOptions};

const NOW: Time = Time::from_micros(1_750_000_000_000_000);
/// The default timeout.
const TIMEOUT: Span = Span::from_secs(5);
const REASON: &str = "connection refused";

/// Keys are on the second of two nodes.
fn coordinator() -> Coordinator {
    let nodes = vec![NodeSpec::new("a", 0), NodeSpec::new("b", 1)];
    Coordinator::new(Config::new(nodes), [7; 32], NOW).expect("a sound configuration")
}

const NODE: NodeId = NodeId(1);
const VERBS: [&str; 7] = ["acquire", "inspect", "read", "flush", "execute", "status", "check"];

fn call(co: &mut Coordinator, verb: &str) {
    let now = NOW;
    match verb {
        "acquire" => drop(co.lock_acquire(b"x", LockOptions::default(), now).expect(verb)),
        "inspect" => drop(co.lock_inspect(b"x", now).expect(verb)),
        "read" | "flush" => {
            let counter = co.counter_open(b"c", CounterOptions::default(), now).expect(verb);
            if verb == "read" {
                co.counter_read(counter, Freshness::Fresh, now).expect(verb);
            } else {
                co.counter_add(counter, 1, now).expect(verb);
                co.counter_flush(counter, now).expect(verb);
            }
        }
        "execute" => {
            let commands = [vec![b"INCR".to_vec(), b"k".to_vec()]];
            let options = TransactionOptions::default();
            co.transaction_execute(&commands, &[], options, now).expect(verb);
        }
        "status" => {
            let id = b"0123456789abcdef.00.0000000000000001@b";
            co.transaction_status(id, now).expect(verb);
        }
        _ => drop(co.check_nodes(now).expect(verb)),
    }
}

fn error(co: &mut Coordinator) -> Option<Error> {
    std::iter::from_fn(|| co.poll_event()).find_map(|event| match event {
        Event::LockFailed { error, .. }
        | Event::TransactionFailed { error, .. }
        | Event::CallFailed { error, .. } => Some(error).filter(|e| e.node() == Some(NODE)),
        _ => None,
    })
}

/// How the verb fails, and after how long, when `attempt` tells of every command.
fn failed(
    co: &mut Coordinator,
    verb: &str,
    mut attempt: impl FnMut(&mut Coordinator, u32) -> Failure,
) -> (Error, Span) {
    let mut now = NOW;
    call(co, verb);
    for number in 0.. {
        while let Some(command) = co.poll_command() {
            let failure = attempt(co, number);
            co.handle_failure(command.request, failure, now);
        }
        if let Some(error) = error(co) {
            return (error, now.since(NOW));
        }
        now = co.next_deadline().unwrap_or_else(|| panic!("{verb}: no error and nothing to do"));
        co.handle_timeout(now);
    }
    unreachable!()
}

fn refuse(co: &mut Coordinator, lasting: bool) -> Failure {
    co.handle_unreachable(NodeId(0), "of another node", false, NOW);
    co.handle_unreachable(NODE, REASON, lasting, NOW);
    Failure::NotSent
}

#[test]
fn every_verb_says_why() {
    for verb in VERBS {
        let (error, after) = failed(&mut coordinator(), verb, |co, _| refuse(co, false));
        assert_eq!(error.code(), ErrorCode::Unreachable, "{verb}: {error}");
        assert!(error.message().ends_with("the server could not be reached: connection refused"));
        assert!(after > Span::from_secs(1) && after <= TIMEOUT, "{verb}: {after:?}");
    }
}

#[test]
fn what_does_not_pass_by_waiting_is_told_at_once() {
    for verb in VERBS {
        let (error, after) = failed(&mut coordinator(), verb, |co, _| refuse(co, true));
        assert_eq!(error.code(), ErrorCode::Unreachable, "{verb}: {error}");
        assert!(error.message().ends_with(REASON), "{verb}: {error}");
        assert_eq!(after, Span::ZERO, "{verb}");
    }
}

#[test]
fn what_was_sent_once_is_never_called_unreachable() {
    for verb in VERBS {
        let (error, _) = failed(&mut coordinator(), verb, |co, number| match number {
            0 => Failure::OutcomeUnknown,
            _ => refuse(co, false),
        });
        assert_eq!(error.code(), ErrorCode::NoAnswer, "{verb}: {error}");
        assert!(error.message().contains(REASON), "{verb}: {error}");
    }
}

#[test]
fn a_sweep_names_the_node_and_the_reason() {
    let mut co = coordinator();
    co.transaction_sweep(SweepOptions::default(), NOW).expect("nothing else is under way");
    while let Some(command) = co.poll_command() {
        if command.node == NODE {
            co.handle_unreachable(NODE, REASON, false, NOW);
        }
        co.handle_failure(command.request, Failure::NotSent, NOW);
    }
    let told = std::iter::from_fn(|| co.poll_event()).last();
    let Some(Event::CallFailed { node, error, .. }) = told else { panic!("{told:?}") };
    assert_eq!((node, error.node()), (NodeId(0), Some(NodeId(0))), "the first that was left");
}

#[test]
fn a_server_that_is_back_takes_the_reason_away() {
    type Back = fn(&mut Coordinator);
    let connected: Back = |co| co.handle_node(NODE, NodeChange::Connected, NOW);
    let answered: Back = |co| {
        call(co, "inspect");
        let command = co.poll_command().expect("the question");
        co.handle_reply(command.request, &Reply::error("ERR other"), NOW);
        error(co).expect("the answer is none");
    };
    for back in [connected, answered] {
        let mut co = coordinator();
        refuse(&mut co, true);
        back(&mut co);
        let (error, after) = failed(&mut co, "acquire", |_, _| Failure::NotSent);
        assert!(error.message().ends_with("could not be reached"), "{error}");
        assert!(after > Span::from_secs(1), "{after:?}");
    }
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let mut co = coordinator();
    let (error, _) = failed(&mut co, "inspect", |co, _| {
        co.handle_unreachable(NODE, &"\u{20ac}".repeat(1_000), true, NOW);
        co.handle_unreachable(NodeId(9), "no such node", true, NOW);
        Failure::NotSent
    });
    let told = error.message().chars().filter(|c| *c == '\u{20ac}').count();
    assert_eq!(told, MAX_REASON / 3, "{error}");
}

#[test]
fn what_was_not_sent_to_a_server_that_answers_was_behind_others() {
    let words = "too many commands wait for the server";
    for verb in VERBS {
        let mut co = coordinator();
        call(&mut co, verb);
        // Nobody polls it: the host has so much to send to the server that its time is over.
        let (told, now) = loop {
            let now = co.next_deadline().unwrap_or_else(|| panic!("{verb}: nothing is due"));
            co.handle_timeout(now);
            if let Some(told) = error(&mut co) {
                break (told, now);
            }
        };
        assert_eq!(told.code(), ErrorCode::Unreachable, "{verb}: {told}");
        assert!(told.message().contains(words), "{verb}: {told}");
        assert!(now.since(NOW) <= TIMEOUT + Span::from_secs(1), "{verb}");
    }
    // The host has taken them, and has answers to others meanwhile.
    let mut co = coordinator();
    co.lock_inspect(b"x", NOW).expect("sound");
    co.lock_inspect(b"y", NOW).expect("sound");
    let commands: Vec<_> = std::iter::from_fn(|| co.poll_command()).collect();
    let [first, second] = commands.as_slice() else { panic!("{commands:?}") };
    co.handle_reply(first.request, &Reply::Error(b"ERR what".to_vec()), NOW);
    assert!(error(&mut co).is_some());
    let mut late = second.clone();
    let told = loop {
        co.handle_failure(late.request, Failure::NotSent, late.deadline);
        if let Some(told) = error(&mut co) {
            break told;
        }
        let now = co.next_deadline().expect("it is asked again");
        co.handle_timeout(now);
        late = co.poll_command().expect("it is asked again");
        // The server has answered others again by then.
        co.lock_inspect(b"z", now).expect("sound");
        let other = co.poll_command().expect("another question");
        co.handle_reply(other.request, &Reply::Error(b"ERR what".to_vec()), now);
        assert!(error(&mut co).is_some());
    };
    assert!(told.message().contains(words), "{told}");
    // Of one that is away it is said why that is.
    let mut co = coordinator();
    co.lock_inspect(b"x", NOW).expect("sound");
    let silent = co.poll_command().expect("a question");
    co.handle_failure(silent.request, Failure::OutcomeUnknown, silent.deadline);
    co.lock_inspect(b"y", silent.deadline).expect("sound");
    let told = loop {
        let now = co.next_deadline().expect("they end");
        co.handle_timeout(now);
        let told = std::iter::from_fn(|| co.poll_event()).last();
        if let Some(Event::CallFailed { error, .. }) = told
            && error.code() == ErrorCode::Unreachable
        {
            break error;
        }
    };
    assert!(told.message().ends_with("could not be reached: no answer in time"), "{told}");
}
