//! A server has not, or no longer, the script: one command brings its text, the others wait for
//! that one, and nobody's user notices.

use crate::support::desk::{Desk, NAME, events};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::redis::{Command, Failure, Reply};
use comity::time::Span;

fn word(command: &Command) -> &[u8] {
    command.argv.get(0).unwrap_or_default()
}

fn missing() -> Reply {
    Reply::error("NOSCRIPT No matching script. Please use EVAL.")
}

#[test]
fn one_command_brings_the_text_and_the_others_wait_for_it() {
    let mut desk = Desk::without_scripts();
    let mut co = desk.coordinator(1);
    let names: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
    let locks = names.map(|name| {
        co.lock_acquire(name, LockOptions::default(), desk.now).expect("sound arguments")
    });
    let first: Vec<Command> = std::iter::from_fn(|| co.poll_command()).collect();
    assert_eq!(first.len(), 4);
    assert!(first.iter().all(|command| word(command) == b"EVALSHA"));
    for command in &first {
        desk.answer(&mut co, command);
    }
    let second: Vec<Command> = std::iter::from_fn(|| co.poll_command()).collect();
    assert_eq!(second.len(), 1, "{second:?}");
    assert_eq!(word(&second[0]), b"EVAL");
    desk.answer(&mut co, &second[0]);
    let third: Vec<Command> = std::iter::from_fn(|| co.poll_command()).collect();
    assert_eq!(third.len(), 3);
    assert!(third.iter().all(|command| word(command) == b"EVALSHA"));
    for command in &third {
        desk.answer(&mut co, command);
    }
    assert!(locks.iter().all(|lock| co.lock_is_held(*lock, desk.now)));
    assert_eq!(co.stats().scripts_sent, 1);
}

#[test]
fn the_others_go_on_when_the_one_that_brings_the_text_is_lost() {
    let mut desk = Desk::without_scripts();
    let mut co = desk.coordinator(1);
    let locks = [b"a", b"b"].map(|name| {
        co.lock_acquire(name, LockOptions::default(), desk.now).expect("sound arguments")
    });
    for command in [co.poll_command(), co.poll_command()].into_iter().flatten() {
        desk.answer(&mut co, &command);
    }
    let eval = co.poll_command().expect("one brings the text");
    assert!(co.poll_command().is_none());
    desk.now = eval.deadline;
    co.handle_failure(eval.request, Failure::OutcomeUnknown, desk.now);
    desk.pass(Span::from_secs(2), &mut [&mut co]);
    assert!(locks.iter().all(|lock| co.lock_is_held(*lock, desk.now)));
}

#[test]
fn nobody_hangs_when_even_the_text_is_answered_with_noscript() {
    let mut desk = Desk::without_scripts();
    let mut co = desk.coordinator(1);
    desk.ask(&mut co);
    let mut failed = None;
    for _ in 0..200 {
        while let Some(command) = co.poll_command() {
            co.handle_reply(command.request, &missing(), desk.now);
        }
        failed = events(&mut co).into_iter().find(|e| matches!(e, Event::LockFailed { .. }));
        if failed.is_some() {
            break;
        }
        desk.now = co.next_deadline().expect("a pending lock has a deadline");
        co.handle_timeout(desk.now);
    }
    assert!(failed.is_some(), "the user was never told");
}

#[test]
fn a_release_that_finds_no_script_was_not_executed_and_is_sent_whole() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    desk.execute(&["SCRIPT", "FLUSH"].into_iter().collect());
    co.lock_release(lock, desk.now).expect("it is held");
    desk.run(&mut co);
    assert_eq!(events(&mut co), [Event::LockReleased { lock, name: NAME.to_vec() }]);
    assert!(desk.is_free());
}
