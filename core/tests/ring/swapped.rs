//! Clients that have the same ids and weights, and do not mean the same servers by them.

use std::collections::BTreeSet;

use crate::support::ringed::{Client, Servers, VERBS, call, check, key_on};
use crate::support::stamping::META;
use comity::error::{Error, ErrorCode};
use comity::event::{Event, TransactionOutcome};
use comity::time::Span;
use comity::transaction::SweepOptions;

/// Clients of both kinds, each with a server that has another id for the second than for the first.
const SWAPPED: [(&str, &str, &str, &str); 4] = [
    ("a=1 b=2", "b=1 a=2", "a", "b"),
    ("a=1 b=2", "b=1 a=2", "b", "a"),
    ("a=1 b=2 c=3", "a=1 c=2 b=3", "b", "c"),
    ("a=1 b=2 c=3", "c=1 a=2 b=3", "a", "b"),
];

#[test]
fn swapped_servers_are_refused_in_every_verb() {
    for (first, second, id, recorded) in SWAPPED {
        for verb in VERBS {
            let mut servers = Servers::new();
            let mut old = servers.client(first, 1);
            let key = key_on(&old, id);
            call(&mut servers, &mut old, verb, &key).expect("the first");
            let mut new = servers.client(second, 2);
            assert_eq!(old.co.ring().fingerprint(), new.co.ring().fingerprint());
            for verb in VERBS {
                let error = call(&mut servers, &mut new, verb, &key).expect_err("refused");
                told(&error, id, recorded);
            }
            call(&mut servers, &mut old, "fence", &key).expect("the first goes on");
        }
    }
}

/// Names what the server is and what it was taken for, and what to do.
fn told(error: &Error, taken: &str, recorded: &str) {
    assert_eq!(error.code(), ErrorCode::RingMismatch, "{error}");
    assert!(error.node().is_some(), "{error}");
    let said = format!("server '{taken}' is recorded as '{recorded}'");
    assert!(error.message().contains(&said), "{error}");
    assert!(error.message().contains("comity:1:t:{t}"), "{error}");
}

#[test]
fn checking_refuses_swapped_servers() {
    for (first, second, ..) in SWAPPED {
        for reversed in [false, true] {
            let mut servers = Servers::new();
            servers.reversed = reversed;
            let mut old = servers.client(first, 1);
            assert!(check(&mut servers, &mut old).iter().all(Option::is_none));
            let mut new = servers.client(second, 2);
            for error in check(&mut servers, &mut new) {
                let error = error.expect("refused");
                assert_eq!(error.code(), ErrorCode::RingMismatch, "{error}");
                assert!(error.message().contains("is recorded as"), "{error}");
                assert!(!error.message().contains("servers 'a' and"), "{error}");
            }
        }
    }
}

#[test]
fn of_two_with_swapped_servers_who_begin_at_once_none_is_served_by_both() {
    for steps in 0..12 {
        let mut servers = Servers::new();
        let mut clients = [("a=1 b=2", 1), ("b=1 a=2", 2)].map(|(of, seed)| {
            let mut client = servers.client(of, seed);
            let key = key_on(&client, "a");
            client.begin("lock", &key, servers.now);
            client
        });
        // Some of their commands in turns, and all that are left one client after the other.
        for step in 0..steps {
            servers.answer_one(&mut clients[step % 2]);
        }
        let ends = clients.each_mut().map(|client| {
            servers.run(client);
            client.end().expect("an end").map_err(|error| error.code())
        });
        let served = ends.iter().filter(|end| end.is_ok()).count();
        assert!(served < 2, "after {steps} steps: {ends:?}");
        assert!(ends.iter().all(|end| matches!(end, Ok(()) | Err(ErrorCode::RingMismatch))));
    }
}

/// What a check of one server under two ids says.
fn told_of_one(error: &Error) {
    assert_eq!(error.code(), ErrorCode::RingMismatch, "{error}");
    let said = "servers 'a' and 'b' are one server";
    assert!(error.message().contains(said), "{error}");
    assert!(error.message().contains("comity:1:t:{t}"), "{error}");
}

#[test]
fn one_server_under_two_ids_is_refused() {
    for ids in ["a=1 b=1", "b=1 a=1", "a=1 b=1 c=2"] {
        for reversed in [false, true] {
            let mut servers = Servers::new();
            servers.reversed = reversed;
            // It has no stamp, and the one that the first has given it.
            for seed in [1, 2] {
                let mut client = servers.client(ids, seed);
                for error in check(&mut servers, &mut client) {
                    told_of_one(&error.expect("refused"));
                }
            }
        }
        for verb in VERBS {
            let mut servers = Servers::new();
            let mut client = servers.client(ids, 1);
            let key = key_on(&client, "b");
            told_of_one(&call(&mut servers, &mut client, verb, &key).expect_err("refused"));
            // Later it is known by its stamp alone.
            let error = call(&mut servers, &mut client, "fence", &key).expect_err("refused");
            told(&error, "b", "a");
            assert!(error.message().contains("'a' and 'b' are one server"), "{error}");
        }
    }
}

#[test]
fn a_transaction_over_swapped_servers_is_refused_at_once_and_changes_nothing() {
    for reversed in [false, true] {
        let mut servers = Servers::new();
        servers.reversed = reversed;
        let mut old = servers.client("a=1 b=2", 1);
        call(&mut servers, &mut old, "fence", "x").expect("stamped");
        let mut new = servers.client("b=1 a=2", 2);
        let keys = ["a", "b"].map(|id| key_on(&new, id));
        // The second time the servers' clocks are known, and both are asked in one go.
        for _ in 0..2 {
            let begun = servers.now;
            new.begin_transaction(&keys, begun);
            servers.run(&mut new);
            let error = new.end().expect("an end").expect_err("refused");
            assert_eq!(error.code(), ErrorCode::RingMismatch, "{error}");
            assert!(servers.now.since(begun) < Span::from_millis(100), "{error}");
        }
        for name in ["1", "2"] {
            let space = servers.store(name).keyspace();
            assert!(keys.iter().all(|key| space.get(key.as_bytes()) == Ok(None)), "{name}");
        }
    }
}

#[test]
fn what_is_held_or_counted_is_on_one_server() {
    let mut servers = Servers::new();
    let (mut old, mut new) = (servers.client("a=1 b=2", 1), servers.client("b=1 a=2", 2));
    let names: Vec<String> = (0..50).map(|number| format!("counter {number}")).collect();
    for client in [&mut old, &mut new] {
        for name in &names {
            let _ = call(&mut servers, client, "counter", name);
            let _ = call(&mut servers, client, "lock", name);
        }
    }
    let on = |servers: &mut Servers, name: &str| -> BTreeSet<String> {
        let keys = servers.store(name).keyspace().iter().map(|(key, ..)| key.to_vec());
        let keys = keys.map(|key| String::from_utf8(key).expect("text"));
        keys.filter(|key| !key.contains(":t:")).collect()
    };
    let (first, second) = (on(&mut servers, "1"), on(&mut servers, "2"));
    assert!(!first.is_empty() && !second.is_empty());
    assert_eq!(first.intersection(&second).count(), 0);
}

/// The id of a transaction that has written a key of this server.
fn committed(servers: &mut Servers, client: &mut Client, id: &str) -> Vec<u8> {
    let key = key_on(client, id);
    client.begin_transaction(&[key], servers.now);
    servers.run(client);
    let ids = std::iter::from_fn(|| client.co.poll_event());
    let mut ids = ids.filter_map(|event| match event {
        Event::TransactionCommitted { id, .. } => Some(id),
        _ => None,
    });
    ids.next().expect("committed")
}

fn call_failed(client: &mut Client) -> Error {
    let events = std::iter::from_fn(|| client.co.poll_event());
    let mut events = events.filter(|event| !matches!(event, Event::NodeChecked { .. }));
    match events.next() {
        Some(Event::CallFailed { error, .. }) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_is_told_of_a_transaction_by_another_server() {
    let mut servers = Servers::new();
    let mut old = servers.client("a=1 b=2", 1);
    let id = committed(&mut servers, &mut old, "a");
    let mut new = servers.client("b=1 a=2", 2);
    new.co.transaction_status(&id, servers.now).expect("an id");
    servers.run(&mut new);
    told(&call_failed(&mut new), "a", "b");
    new.co.transaction_resolve(&id, None, servers.now).expect("an id");
    servers.run(&mut new);
    told(&call_failed(&mut new), "a", "b");
    new.co.transaction_sweep(SweepOptions::default(), servers.now).expect("open");
    servers.run(&mut new);
    assert_eq!(call_failed(&mut new).code(), ErrorCode::RingMismatch);
    old.co.transaction_status(&id, servers.now).expect("an id");
    servers.run(&mut old);
    let told = old.co.poll_event();
    assert!(
        matches!(&told, Some(Event::TransactionStatus { outcome, .. })
            if *outcome == TransactionOutcome::Committed),
        "{told:?}"
    );
}

/// Whether a server holds a vote that is not followed by an end.
fn has_voted(servers: &mut Servers, name: &str) -> bool {
    let hash = servers.store(name).keyspace().hash(META).expect("a hash").expect("stamped");
    hash.iter().any(|(field, value)| field.starts_with(b"r") && value.get(16) == Some(&b'P'))
}

#[test]
fn what_is_decided_is_not_ended_otherwise_by_who_asks_another_server() {
    let mut servers = Servers::new();
    let mut old = servers.client("a=1 b=2 c=3", 1);
    call(&mut servers, &mut old, "fence", "x").expect("stamped");
    let keys = ["b", "c"].map(|id| key_on(&old, id));
    old.begin_transaction(&keys, servers.now);
    // All have voted for it, which decides it; then its client dies.
    while !["2", "3"].into_iter().all(|name| has_voted(&mut servers, name)) {
        servers.answer_one(&mut old);
    }
    drop(old);
    servers.now = servers.now + Span::from_secs(60);
    // The vote at c names b, which is another server to this one: there nobody has heard of it.
    let mut swapped = servers.client("b=1 a=2 c=3", 2);
    swapped.co.transaction_sweep(SweepOptions::default(), servers.now).expect("open");
    servers.pass(&mut swapped, Span::from_secs(60));
    let mut right = servers.client("a=1 b=2 c=3", 3);
    right.co.transaction_sweep(SweepOptions::default(), servers.now).expect("open");
    servers.pass(&mut right, Span::from_secs(60));
    for (name, key) in ["2", "3"].into_iter().zip(&keys) {
        let space = servers.store(name).keyspace();
        assert_eq!(space.get(key.as_bytes()), Ok(Some(&b"1"[..])), "at {name}");
    }
}

#[test]
fn what_is_decided_is_not_finished_at_another_server() {
    // How many commands are answered before the addresses of two servers change places.
    for steps in 1..12 {
        let mut servers = Servers::new();
        let mut client = servers.client("a=1 b=2 c=3", 1);
        call(&mut servers, &mut client, "fence", "x").expect("stamped");
        let keys = ["a", "b", "c"].map(|id| key_on(&client, id));
        client.begin_transaction(&keys, servers.now);
        for _ in 0..steps {
            servers.answer_one(&mut client);
        }
        let right = std::mem::replace(&mut client.pairs, servers.client("a=1 c=2 b=3", 2).pairs);
        servers.pass(&mut client, Span::from_secs(3));
        client.pairs = right;
        servers.pass(&mut client, Span::from_secs(30));
        assert_eq!(client.co.stats().transaction_damages, 0, "after {steps}");
        let there = [("1", &keys[0]), ("2", &keys[1]), ("3", &keys[2])].map(|(name, key)| {
            servers.store(name).keyspace().get(key.as_bytes()).expect("a string").is_some()
        });
        assert!(there == [true; 3] || there == [false; 3], "after {steps}: {there:?}");
    }
}
