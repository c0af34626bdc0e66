//! A server that never answers, whatever it is sent: every verb ends by the timeout, and not by half as much
//! again.

use comity::coordinator::{Config, Coordinator};
use comity::counter::{CounterOptions, Freshness};
use comity::event::Event;
use comity::lock::LockOptions;
use comity::memory::MemoryStore;
use comity::redis::{Failure, Reply, Route};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use comity::transaction::{SweepOptions, TransactionOptions};

const NOW: Time = Time::from_micros(1_750_000_000_000_000);

const ID: &[u8] = b"0123456789abcdef.00.0000000000000001@a";

fn call(co: &mut Coordinator, verb: &str) {
    match verb {
        "acquire" => {
            let wait = Some(Span::from_secs(3_600));
            let options = LockOptions { wait, ..LockOptions::default() };
            co.lock_acquire(b"x", options, NOW).expect(verb);
        }
        "release" => {
            let lock = co.lock_acquire(b"x", LockOptions::default(), NOW).expect(verb);
            let mut store = MemoryStore::new();
            while let Some(command) = co.poll_command() {
                let reply = match command.route {
                    Route::Subscribe => Reply::Array(vec![]),
                    _ => store.execute(&command.argv, NOW),
                };
                co.handle_reply(command.request, &reply, NOW);
            }
            co.lock_release(lock, NOW).expect(verb);
        }
        "inspect" => drop(co.lock_inspect(b"x", NOW).expect(verb)),
        "flush" | "read" => {
            let counter = co.counter_open(b"c", CounterOptions::default(), NOW).expect(verb);
            co.counter_add(counter, 1, NOW).expect(verb);
            match verb {
                "flush" => co.counter_flush(counter, NOW).expect(verb),
                _ => co.counter_read(counter, Freshness::Fresh, NOW).expect(verb),
            };
        }
        "status" => drop(co.transaction_status(ID, NOW).expect(verb)),
        "resolve" => drop(co.transaction_resolve(ID, None, NOW).expect(verb)),
        "sweep" => drop(co.transaction_sweep(SweepOptions::default(), NOW).expect(verb)),
        _ => {
            let line = [vec![b"INCR".to_vec(), b"k".to_vec()]];
            let options = TransactionOptions::default();
            co.transaction_execute(&line, &[], options, NOW).expect(verb);
        }
    }
}

#[test]
fn every_verb_ends_by_the_timeout() {
    for timeout in [10, 1_000, 5_000, 60_000].map(Span::from_millis) {
        for verb in [
            "acquire", "release", "inspect", "flush", "read", "execute", "status", "resolve",
            "sweep",
        ] {
            let mut config = Config::new(vec![NodeSpec::new("a", 1)]);
            config.timeout = timeout;
            let mut co = Coordinator::new(config, [7; 32], NOW).expect("sound");
            call(&mut co, verb);
            let (mut now, mut open) = (NOW, Vec::new());
            let ended = loop {
                while let Some(command) = co.poll_command() {
                    open.push((command.deadline, command.request));
                }
                let told = std::iter::from_fn(|| co.poll_event());
                if told.into_iter().any(|event| {
                    matches!(
                        event,
                        Event::LockFailed { .. }
                            | Event::LockLost { .. }
                            | Event::CallFailed { .. }
                            | Event::TransactionFailed { .. }
                    )
                }) {
                    break now.since(NOW);
                }
                // The driver gives up at the deadline, and says so.
                open.sort();
                let due = open.first().map(|(deadline, _)| *deadline);
                let next = co.next_deadline().into_iter().chain(due).min();
                now = now.max(next.unwrap_or_else(|| panic!("{verb}: nothing to be done")));
                while open.first().is_some_and(|(deadline, _)| *deadline <= now) {
                    let (_, request) = open.remove(0);
                    co.handle_failure(request, Failure::OutcomeUnknown, now);
                }
                co.handle_timeout(now);
            };
            // A pause between two attempts is rounded up to a millisecond or some.
            assert!(ended <= timeout + Span::from_millis(25), "{verb}: {ended:?} of {timeout:?}");
        }
    }
}
