//! The server refuses: the user gets the error of the table with the server's words, or the
//! command is tried again where that can help, and in the end nothing is held.

use crate::support::desk::{Desk, STATE, events, take};
use comity::error::{Error, ErrorCode};
use comity::event::Event;
use comity::redis::Reply;
use comity::time::{Span, Time};

const WORDS: [(&str, ErrorCode); 7] = [
    ("OOM command not allowed when used memory > 'maxmemory'.", ErrorCode::ServerRefused),
    ("READONLY You can't write against a read only replica.", ErrorCode::ServerRefused),
    ("NOPERM User app has no permissions to run 'evalsha'", ErrorCode::ServerRefused),
    ("NOAUTH Authentication required.", ErrorCode::ServerRefused),
    ("MISCONF Errors writing to the AOF file: No space left", ErrorCode::ServerRefused),
    ("NOREPLICAS Not enough good replicas to write.", ErrorCode::ServerRefused),
    ("WRONGTYPE Operation against a key holding the wrong kind of value", ErrorCode::WrongType),
];

fn failure(events: Vec<Event>) -> Option<Error> {
    events.into_iter().find_map(|event| match event {
        Event::LockFailed { error, .. } => Some(error),
        _ => None,
    })
}

#[test]
fn an_acquisition_fails_at_once_with_the_server_s_words() {
    for (words, code) in WORDS {
        let mut desk = Desk::new();
        let mut co = desk.coordinator(1);
        let lock = desk.ask(&mut co);
        let command = take(&mut co, "ACQ");
        co.handle_reply(command.request, &Reply::error(words), desk.now);
        let error = failure(events(&mut co)).unwrap_or_else(|| panic!("{words}: no event"));
        assert_eq!(error.code(), code, "{words}");
        assert!(error.message().contains(words), "{words}: {error}");
        assert!(!co.lock_is_held(lock, desk.now));
        if code == ErrorCode::ServerRefused {
            // The same as not sent: there is nothing to be taken back.
            assert_eq!(co.poll_command(), None, "{words}");
            assert_eq!(co.next_deadline(), None, "{words}");
        }
        // Once the server serves again there is nothing to be found.
        desk.pass(Span::from_secs(61), &mut [&mut co]);
        assert!(desk.is_free());
        assert_eq!(co.next_deadline(), None, "{words}");
    }
}

#[test]
fn what_an_old_server_raises_inside_a_script_is_no_execution_either() {
    let desk = Desk::new();
    let mut co = desk.coordinator(1);
    desk.ask(&mut co);
    let command = take(&mut co, "ACQ");
    let words = "ERR Error running script (call to f_0a1b): @user_script:12: @user_script: 12: \
        -OOM command not allowed when used memory > 'maxmemory'.";
    co.handle_reply(command.request, &Reply::error(words), desk.now);
    let error = failure(events(&mut co)).expect("it is told");
    assert_eq!(error.code(), ErrorCode::ServerRefused);
    assert_eq!(co.poll_command(), None);
}

#[test]
fn who_waits_in_line_waits_out_what_passes() {
    for (words, waits) in [(WORDS[0].0, false), (WORDS[1].0, true), (WORDS[4].0, true)] {
        let mut desk = Desk::new();
        let (holder, _) = desk.holder(1);
        let (mut co, lock) = desk.waiter(2);
        drop(holder);
        let until = desk.now + Span::from_secs(60);
        let mut failed = None;
        while desk.now < until && failed.is_none() {
            while let Some(command) = co.poll_command() {
                co.handle_reply(command.request, &Reply::error(words), desk.now);
            }
            failed = failure(events(&mut co));
            desk.now = co.next_deadline().unwrap_or(until);
            co.handle_timeout(desk.now);
        }
        assert_eq!(failed.is_none(), waits, "{words}: {failed:?}");
        desk.pass(Span::from_secs(5), &mut [&mut co]);
        assert_eq!(co.lock_is_held(lock, desk.now), waits, "{words}");
    }
}

#[test]
fn a_server_that_is_loading_is_asked_again_until_it_serves() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    let lock = desk.ask(&mut co);
    let loading = Reply::error("LOADING Redis is loading the dataset in memory");
    let until = desk.now + Span::from_secs(3);
    let mut tries = 0;
    while desk.now < until {
        while let Some(command) = co.poll_command() {
            tries += 1;
            co.handle_reply(command.request, &loading, desk.now);
        }
        desk.now = co.next_deadline().expect("it is tried again");
        co.handle_timeout(desk.now);
    }
    assert!((5..200).contains(&tries), "{tries} tries in 3 s");
    desk.run(&mut co);
    assert!(co.lock_is_held(lock, desk.now));
}

#[test]
fn a_server_that_never_ends_loading_is_given_up_within_the_timeout() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    desk.ask(&mut co);
    let begun = desk.now;
    let loading = Reply::error("LOADING Redis is loading the dataset in memory");
    let error = loop {
        while let Some(command) = co.poll_command() {
            co.handle_reply(command.request, &loading, desk.now);
        }
        if let Some(error) = failure(events(&mut co)) {
            break error;
        }
        desk.now = co.next_deadline().expect("it is tried again");
        co.handle_timeout(desk.now);
    };
    assert_eq!(error.code(), ErrorCode::ServerRefused);
    assert!(error.message().contains("LOADING"));
    let took = desk.now.since(begun);
    assert!(took > Span::from_secs(4) && took <= Span::from_secs(5), "{took:?}");
}

#[test]
fn a_server_that_is_silent_is_given_up_within_the_timeout() {
    let mut desk = Desk::new();
    let mut co = desk.coordinator(1);
    desk.ask(&mut co);
    let begun = desk.now;
    // A driver that never reports at all: the core gives each command up by itself.
    let error = loop {
        while co.poll_command().is_some() {}
        if let Some(error) = failure(events(&mut co)) {
            break error;
        }
        desk.now = co.next_deadline().expect("a command is on its way");
        co.handle_timeout(desk.now);
    };
    assert_eq!(error.code(), ErrorCode::NoAnswer);
    let took = desk.now.since(begun);
    assert!(took <= Span::from_secs(6), "{took:?}: the timeout and the grace of one command");
}

#[test]
fn a_renewal_that_is_refused_is_tried_until_the_lease_ends() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    let until: Time = co.lock_valid_until(lock).expect("it is held");
    let mut tries = 0;
    while desk.now < until {
        assert!(co.lock_is_held(lock, desk.now));
        desk.now = co.next_deadline().expect("a lease has a deadline");
        co.handle_timeout(desk.now);
        while let Some(command) = co.poll_command() {
            tries += 1;
            co.handle_reply(command.request, &Reply::error(WORDS[1].0), desk.now);
        }
    }
    assert!(tries > 10, "{tries} tries");
    let lost = events(&mut co).into_iter().find_map(|event| match event {
        Event::LockLost { error, .. } => Some(error.code()),
        _ => None,
    });
    assert_eq!(lost, Some(ErrorCode::LockLost));
    assert_eq!(desk.now, until, "neither sooner nor later");
}

#[test]
fn a_release_that_is_refused_is_told_and_goes_on_in_the_background() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    co.lock_release(lock, desk.now).expect("it is held");
    let release = take(&mut co, "REL");
    co.handle_reply(release.request, &Reply::error(WORDS[0].0), desk.now);
    let error = failure(events(&mut co)).expect("the user is told");
    assert_eq!(error.code(), ErrorCode::ServerRefused);
    desk.pass(Span::from_secs(2), &mut [&mut co]);
    assert!(desk.is_free());
}

#[test]
fn a_lock_whose_key_is_overwritten_is_lost_and_the_key_left_alone() {
    let mut desk = Desk::new();
    let (mut co, lock) = desk.holder(1);
    let space = desk.store.keyspace_mut();
    space.delete(STATE);
    space.with_hash(STATE, |hash| hash.insert(b"k".to_vec(), b"v".to_vec())).expect("deleted");
    desk.pass(Span::from_secs(11), &mut [&mut co]);
    assert!(!co.lock_is_held(lock, desk.now));
    assert!(matches!(&events(&mut co)[..], [Event::LockLost { .. }]));
    assert!(matches!(desk.store.keyspace().hash(STATE), Ok(Some(hash)) if hash.len() == 1));
    assert_eq!(co.next_deadline(), None);
}
