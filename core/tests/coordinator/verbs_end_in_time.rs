//! Whatever a server answers, or does not: every verb ends by the timeout, and not by half as much again.

use crate::support::unanswered::Unanswered;
use comity::coordinator::{Config, Coordinator};
use comity::counter::{CounterOptions, Freshness};
use comity::event::Event;
use comity::lock::{Fence, LockOptions};
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
        "release" | "renew" => {
            let lock = co.lock_acquire(b"x", LockOptions::default(), NOW).expect(verb);
            answer(co);
            match verb {
                "release" => co.lock_release(lock, NOW).expect(verb),
                _ => co.lock_renew(lock, None, NOW).expect(verb),
            }
        }
        "inspect" => drop(co.lock_inspect(b"x", NOW).expect(verb)),
        "fence" => drop(co.fence_check(b"x", Fence(1), NOW).expect(verb)),
        "check" => drop(co.check_nodes(NOW).expect(verb)),
        "flush" | "read" | "reset" | "audit" => {
            let counter = co.counter_open(b"c", CounterOptions::default(), NOW).expect(verb);
            co.counter_add(counter, 1, NOW).expect(verb);
            match verb {
                "flush" => co.counter_flush(counter, NOW).expect(verb),
                "reset" => co.counter_reset(counter, None, NOW).expect(verb),
                "audit" => co.counter_audit(counter, None, NOW).expect(verb),
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

/// What is asked is answered, as by a sound server.
fn answer(co: &mut Coordinator) {
    let mut store = MemoryStore::new();
    while let Some(command) = co.poll_command() {
        let reply = match command.route {
            Route::Subscribe => Reply::Array(vec![]),
            _ => store.execute(&command.argv, NOW),
        };
        co.handle_reply(command.request, &reply, NOW);
    }
    while co.poll_event().is_some() {}
}

/// What becomes of every command.
#[derive(Clone, Debug)]
enum Fate {
    /// No answer by its deadline, when the driver gives up and says so.
    Silence,
    Failure(Failure),
    Reply(Reply),
}

/// How long the verb took to end.
fn took(co: &mut Coordinator, verb: &str, fate: &Fate) -> Span {
    let (mut now, mut open) = (NOW, Unanswered::default());
    loop {
        while let Some(command) = co.poll_command() {
            match fate {
                Fate::Silence => open.push(&command),
                Fate::Failure(failure) => co.handle_failure(command.request, *failure, now),
                Fate::Reply(reply) => co.handle_reply(command.request, reply, now),
            }
        }
        let mut told = std::iter::from_fn(|| co.poll_event());
        if told.any(|event| {
            matches!(
                event,
                Event::LockFailed { .. }
                    | Event::LockLost { .. }
                    | Event::LockNotRenewed { .. }
                    | Event::CallFailed { .. }
                    | Event::TransactionFailed { .. }
                    | Event::TransactionUnknown { .. }
            )
        }) {
            return now.since(NOW);
        }
        let next = open.next(co);
        now = now.max(next.unwrap_or_else(|| panic!("{verb}, {fate:?}: nothing to be done")));
        open.wake(co, now);
    }
}

const VERBS: [&str; 14] = [
    "acquire", "release", "renew", "inspect", "fence", "check", "flush", "read", "reset", "audit",
    "execute", "status", "resolve", "sweep",
];

#[test]
fn every_verb_ends_by_the_timeout() {
    let error = |text: &str| Fate::Reply(Reply::Error(text.as_bytes().to_vec()));
    let fates = [
        Fate::Silence,
        Fate::Failure(Failure::OutcomeUnknown),
        Fate::Failure(Failure::NotSent),
        Fate::Reply(Reply::Nil),
        Fate::Reply(Reply::Array(vec![])),
        Fate::Reply(Reply::Array(vec![Reply::bulk("GRANTED")])),
        Fate::Reply(Reply::bulk("what")),
        Fate::Reply(Reply::Integer(7)),
        error("LOADING Redis is loading the dataset in memory"),
        error("READONLY You can't write against a read only replica."),
        error("OOM command not allowed when used memory > 'maxmemory'."),
        error("NOPERM this user has no permissions"),
        error("NOSCRIPT No matching script."),
        error("ERR what"),
    ];
    for timeout in [10, 1_000, 5_000, 60_000].map(Span::from_millis) {
        for (verb, fate) in VERBS.into_iter().flat_map(|verb| fates.iter().map(move |f| (verb, f)))
        {
            for known in [false, true] {
                let mut config = Config::new(vec![NodeSpec::new("a", 1)]);
                config.timeout = timeout;
                let mut co = Coordinator::new(config, [7; 32], NOW).expect("sound");
                if known {
                    // The server is stamped, and has told its clock.
                    call(&mut co, "execute");
                    answer(&mut co);
                }
                call(&mut co, verb);
                let ended = took(&mut co, verb, fate);
                // A pause between two attempts is rounded up to a millisecond or some.
                let bound = timeout + Span::from_millis(25);
                assert!(ended <= bound, "{verb}, {fate:?}: {ended:?} of {timeout:?}");
            }
        }
    }
}
