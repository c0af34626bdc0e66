//! Who is told that a transaction was not decided in time is told which server it waited for, itself or
//! behind another one.

use crate::support::fated::{
    B,
    Fate::{self, Answered, Served, Silent},
    TIMEOUT, World,
};
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::redis::{Command, NodeChange, NodeId};
use comity::time::Span;
use comity::transaction::Answer;

const A: NodeId = NodeId(0);

fn silent(_: &Command) -> Fate {
    Silent
}

fn errors(told: &[Event]) -> Vec<&Error> {
    let errors = told.iter().filter_map(|event| match event {
        Event::TransactionFailed { error, .. } | Event::TransactionUnknown { error, .. } => {
            Some(error)
        }
        _ => None,
    });
    errors.collect()
}

#[test]
fn behind_others_it_is_the_server_that_those_wait_for() {
    let both: (&[&str], usize) = (&["INCR"; 2], 0);
    let [only_a, only_b]: [(&[&str], usize); 2] = [(&["INCR"], 0), (&["INCR"], 1)];
    // Begun at once and a little later, when the first ends before it.
    for pause in [Span::ZERO, Span::from_micros(1), Span::from_millis(700)] {
        for line in [[both, only_b, both], [only_b, both, only_a], [both; 3]] {
            let mut world = World::new();
            for (names, from) in line {
                world.begin(names, from);
                world.pass(pause, silent);
            }
            let told = world.pass(TIMEOUT, silent);
            let errors = errors(&told);
            // Who wants nothing of that server may still come to its turn.
            assert!(errors.len() >= 2, "{told:?}");
            for error in errors {
                assert_eq!(error.node(), Some(B), "{line:?} after {pause:?}: {error}");
            }
        }
    }
}

#[test]
fn one_whose_turn_comes_too_late_is_not_begun() {
    let mut world = World::new();
    world.begin(&["INCR"], 1);
    world.begin(&["INCR"; 2], 0);
    world.begin(&["INCR"], 0);
    let told = world.pass(TIMEOUT, silent);
    let codes: Vec<_> = errors(&told).iter().map(|error| error.code()).collect();
    let of = |code| codes.iter().filter(|one| **one == code).count();
    assert_eq!((of(ErrorCode::OutcomeUnknown), of(ErrorCode::Aborted)), (1, 2), "{codes:?}");
}

#[test]
fn what_it_waited_for_is_in_the_words() {
    let mut world = World::new();
    world.begin(&["INCR"], 1);
    world.begin(&["INCR"; 2], 0);
    let told = world.pass(TIMEOUT, silent);
    let late = errors(&told).into_iter().find(|error| error.code() == ErrorCode::Aborted);
    let late = late.expect("the one behind").message();
    let words = "could not be decided in time (an earlier transaction of this coordinator has key";
    assert!(late.contains(words) && late.ends_with("and waits for server 'b')"), "{late}");
}

#[test]
fn a_server_that_serves_is_not_blamed() {
    let mut world = World::new();
    world.begin(&["INCR"; 2], 0);
    // The first server has voted, or could have.
    world.begin(&["INCR"; 2], 0);
    for event in world.pass(TIMEOUT, silent) {
        assert_ne!(errors(&[event])[0].node(), Some(A));
    }
    // Once it answers again, it is no longer the one.
    world.pass(Span::from_secs(60), |_| Served);
    world.begin(&["INCR"; 2], 0);
    let told = world.run(|_| Served);
    assert!(matches!(told[0], Event::TransactionCommitted { .. }), "{told:?}");
}

#[test]
fn without_its_clock_it_is_the_server_that_does_not_tell_it() {
    let mut world = World::new();
    world.co.handle_node(B, NodeChange::Lost, world.now);
    world.begin(&["INCR"; 2], 0);
    let told = world.run(silent);
    assert_eq!(errors(&told)[0].node(), Some(B), "{told:?}");
}

#[test]
fn what_another_client_has_ended_or_what_came_late_names_a_server() {
    let answers = [Answer::Aborted, Answer::Stale { now: comity::keyspace::ServerTime(1) }];
    for answer in answers {
        let mut world = World::new();
        world.begin(&["INCR"; 2], 0);
        let told = world.run(|command| match command.argv.iter().next() {
            Some(b"TIME") => Served,
            _ => Answered(answer.encode()),
        });
        let error = errors(&told)[0];
        assert_eq!((error.code(), error.node()), (ErrorCode::Aborted, Some(B)), "{error}");
    }
}

#[test]
fn at_the_end_of_a_close_it_is_named_too() {
    let mut world = World::new();
    world.begin(&["INCR"], 1);
    world.deliver(silent);
    world.co.close(world.now);
    let told = world.pass(Span::from_secs(60), silent);
    assert_eq!(errors(&told[..1])[0].node(), Some(B), "{told:?}");
    assert!(matches!(told[1..], [Event::Closed]), "{told:?}");
}

#[test]
fn one_that_is_given_up_is_no_servers_doing() {
    let mut world = World::new();
    world.begin(&["INCR"; 2], 0);
    let behind = world.begin(&["INCR"], 0);
    world.deliver(silent);
    world.co.transaction_cancel(behind, world.now);
    let told: Vec<Event> = std::iter::from_fn(|| world.co.poll_event()).collect();
    assert_eq!(errors(&told)[0].node(), None, "{told:?}");
}
