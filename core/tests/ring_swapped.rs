//! Clients that have the same ids and weights, and do not mean the same servers by them.

mod support;

use std::collections::BTreeSet;

use comity::error::{Error, ErrorCode};
use support::ringed::{Servers, VERBS, call, check, key_on};

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
fn a_transaction_over_swapped_servers_changes_nothing() {
    let mut servers = Servers::new();
    let mut old = servers.client("a=1 b=2", 1);
    call(&mut servers, &mut old, "fence", "x").expect("stamped");
    let mut new = servers.client("b=1 a=2", 2);
    let keys = ["a", "b"].map(|id| key_on(&new, id));
    new.begin_transaction(&keys, servers.now);
    servers.run(&mut new);
    let error = new.end().expect("an end").expect_err("refused");
    assert_eq!(error.code(), ErrorCode::RingMismatch, "{error}");
    for name in ["1", "2"] {
        let space = servers.store(name).keyspace();
        assert!(keys.iter().all(|key| space.get(key.as_bytes()) == Ok(None)), "{name}");
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
