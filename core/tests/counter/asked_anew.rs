//! Who calls a verb of a counter does not wait for the pause after what came to nothing before: the server
//! may be back.

use crate::support::counter_desk::{Replica, stands};
use crate::support::desk::{Desk, events};
use comity::counter::Freshness;
use comity::error::ErrorCode;
use comity::event::Event;
use comity::redis::{Failure, Reply};
use comity::time::Span;

/// A counter that has failed so often that its pauses are long, with what it has counted.
fn discouraged(desk: &mut Desk, how: &Reply) -> Replica {
    let mut replica = Replica::open(desk, 1);
    replica.add(desk, 1);
    replica.count(1, desk.now);
    for _ in 0..20 {
        while let Some(command) = replica.co.poll_command() {
            match how {
                Reply::Nil => {
                    replica.co.handle_failure(command.request, Failure::NotSent, desk.now);
                }
                reply => replica.co.handle_reply(command.request, reply, desk.now),
            }
        }
        desk.now = replica.co.next_deadline().expect("it is tried again");
        replica.co.handle_timeout(desk.now);
    }
    while let Some(command) = replica.co.poll_command() {
        replica.co.handle_failure(command.request, Failure::NotSent, desk.now);
    }
    events(&mut replica.co);
    let pause = replica.co.next_deadline().expect("it is tried again").since(desk.now);
    assert!(pause > Span::from_millis(500), "{pause:?}");
    replica
}

#[test]
fn a_flush_and_a_read_are_sent_at_once() {
    let refusal = Reply::Error(b"OOM command not allowed when used memory > 'maxmemory'.".to_vec());
    for how in [Reply::Nil, refusal] {
        for flushes in [true, false] {
            let mut desk = Desk::new();
            let mut replica = discouraged(&mut desk, &how);
            let (counter, now) = (replica.counter, desk.now);
            match flushes {
                true => replica.co.counter_flush(counter, now),
                false => replica.co.counter_read(counter, Freshness::Fresh, now),
            }
            .expect("it is open");
            desk.run(&mut replica.co);
            let told = events(&mut replica.co);
            let served = told.iter().any(|event| {
                matches!(event, Event::CounterFlushed { .. } | Event::CounterRead { .. })
            });
            assert!(served, "{told:?}");
            assert_eq!(stands(&mut desk).totals.p, 2);
        }
    }
}

#[test]
fn one_that_comes_to_nothing_ends_as_the_first_does() {
    let mut desk = Desk::new();
    let mut replica = discouraged(&mut desk, &Reply::Nil);
    replica.co.counter_flush(replica.counter, desk.now).expect("it is open");
    let (begun, mut sent) = (desk.now, 0);
    let error = loop {
        while let Some(command) = replica.co.poll_command() {
            sent += 1;
            replica.co.handle_failure(command.request, Failure::NotSent, desk.now);
        }
        let failed = events(&mut replica.co).into_iter().find_map(|event| match event {
            Event::CallFailed { error, .. } => Some(error),
            _ => None,
        });
        if let Some(error) = failed {
            break error;
        }
        desk.now = replica.co.next_deadline().expect("it ends");
        replica.co.handle_timeout(desk.now);
    };
    assert_eq!(error.code(), ErrorCode::Unreachable);
    assert_eq!(desk.now.since(begun), Span::from_secs(5));
    assert!((5..50).contains(&sent), "{sent}: the pauses begin anew, and are doubled again");
}
