//! Transactions through the border: several coordinators over three stores, a network that loses,
//! repeats and delays, clients that vanish. Sums stay what they were, and nothing is left locked.

use crate::support::transaction_world::{ACCOUNTS, MS, Packet, START, World};
use comity::error::ErrorCode;
use comity::event::{Event, TransactionOutcome};
use comity::redis::{Origin, Reply};
use comity::time::Span;
use comity::transaction::{Ack, Expectation, Handle, Heuristic, TransactionOptions};

#[test]
fn what_is_written_on_several_nodes_is_written_at_once() {
    let mut world = World::new(1, 1);
    let ring = world.client(0).ring().clone();
    let nodes: std::collections::BTreeSet<_> =
        ACCOUNTS.iter().map(|key| ring.node(key.as_bytes()).map(|n| n.number())).collect();
    assert_eq!(nodes.len(), 3, "the keys lie on all nodes");
    let commands: Vec<String> = ACCOUNTS.iter().map(|key| format!("INCRBY {key} 10")).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let handle = world.execute(0, &commands);
    assert_eq!(world.committed(0, handle), vec![Reply::Integer(10); 8]);
    for key in ACCOUNTS {
        assert_eq!(world.plain(&format!("GET {key}")), Reply::bulk("10"));
    }
    let handle =
        world.execute(0, &["MGET ada", "APPEND ada x", "GET ada", "DEL ben", "EXISTS ben"]);
    let replies = world.committed(0, handle);
    assert_eq!(
        replies[1..],
        [Reply::Integer(3), Reply::bulk("10x"), Reply::Integer(1), Reply::Integer(0)]
    );
    assert_eq!(world.left_over(), Vec::<String>::new());
}

#[test]
fn who_is_told_early_takes_along_what_follows() {
    let mut world = World::new(1, 1);
    let options = TransactionOptions { ack: Ack::Decided, ..TransactionOptions::default() };
    // The second time the clocks are known.
    for _ in 0..2 {
        let handle = world.execute_with(0, &["INCR a", "INCR b", "INCR c"], &[], options);
        let Handle(number) = handle.expect("sound");
        let mut left = false;
        while let Some((_, packet)) = world.packets.pop_first() {
            if let Packet::Command { command, .. } = &packet {
                assert_eq!(command.origin, Origin::Operation(number));
                left |= world.events.iter().any(|(_, event)| {
                    matches!(event, Event::TransactionCommitted { transaction, .. }
                        if transaction.0 == number)
                });
            }
            world.deliver(packet);
            world.drain();
        }
        assert!(left, "nothing was sent after the end");
    }
}

#[test]
fn what_fails_leaves_nothing() {
    let mut world = World::new(1, 2);
    world.plain("SET ben text");
    let handle = world.execute(0, &["INCRBY ada 1", "INCRBY ben 1", "INCRBY cleo 1"]);
    let (code, message) = world.error(0, handle);
    assert_eq!(code, ErrorCode::CommandFailed);
    assert!(
        message.starts_with("Command # 2 (INCRBY ben 1) of pipeline caused error: "),
        "{message}"
    );
    assert_eq!(world.plain("EXISTS ada"), Reply::Integer(0));
    assert_eq!(world.plain("EXISTS cleo"), Reply::Integer(0));

    let expected = Expectation::Value { key: b"ben".to_vec(), value: b"other".to_vec() };
    let options = TransactionOptions::default();
    let handle = world.execute_with(0, &["SET ada 1"], &[expected], options).expect("sound");
    let (code, message) = world.error(0, handle);
    assert_eq!(code, ErrorCode::Conflict);
    assert!(message.contains("'ben'"), "{message}");
    assert_eq!(world.left_over(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_sent() {
    let mut world = World::new(1, 3);
    let cases = [
        ("BLPOP ada 0", ErrorCode::Unsupported),
        ("MULTI", ErrorCode::Unsupported),
        ("TTL ada", ErrorCode::Unsupported),
        ("MGET ada ben cleo dan", ErrorCode::Unsupported),
        ("SET comity:1:lock:{a} x", ErrorCode::InvalidArgument),
        ("GET", ErrorCode::InvalidArgument),
    ];
    for (text, code) in cases {
        let refused = world.execute_with(0, &[text], &[], TransactionOptions::default());
        assert_eq!(refused.expect_err(text).code(), code, "{text}");
    }
    let patience = Some(Span::from_secs(61));
    let options = TransactionOptions { patience, ..TransactionOptions::default() };
    assert!(world.execute_with(0, &["SET ada 1"], &[], options).is_err());
    assert!(world.execute_with(0, &[], &[], TransactionOptions::default()).is_err());
    assert_eq!(world.client(0).stats().commands, 0);
}

#[test]
fn a_transaction_of_a_client_that_vanished_is_ended_by_whoever_meets_it() {
    let options = TransactionOptions {
        patience: Some(Span::from_millis(200)),
        ..TransactionOptions::default()
    };
    let (mut committed, mut aborted, mut locked) = (0, 0, 0);
    for step in 0..60 {
        let mut world = World::new(2, 5 + step);
        world.away = 2 * MS;
        let all = ["INCRBY ada -30", "INCRBY ben 10", "INCRBY cleo 20"];
        world.execute_with(0, &all, &[], options).expect("sound");
        // Somewhere on the way it is gone for good.
        world.run(START + step * 150);
        world.clients[0] = None;
        world.pass(5);
        locked += usize::from(!world.left_over().is_empty());
        let handle = world.execute(1, &["GET ada", "GET ben", "GET cleo"]);
        let seen = world.committed(1, handle);
        let values = ["-30", "10", "20"].map(Reply::bulk);
        match seen == values {
            true => committed += 1,
            false => {
                assert_eq!(seen, vec![Reply::Nil; 3], "step {step}");
                aborted += 1;
            }
        }
        world.pass(1_000);
        assert_eq!(world.left_over(), Vec::<String>::new(), "step {step}");
    }
    let all = [committed, aborted, locked];
    assert!(all.iter().all(|count| *count > 5), "committed, aborted, left locked: {all:?}");
}

#[test]
fn a_transaction_is_resolved_by_its_id() {
    let mut world = World::new(2, 6);
    let handle = world.execute(0, &["SET ada 1", "SET ben 2", "SET cleo 3"]);
    let Event::TransactionCommitted { id, .. } = world.end_of(0, handle) else { panic!() };
    world.pass(100);
    let now = world.time();
    world.client(1).transaction_status(&id, now).expect("an id");
    world.client(1).transaction_resolve(&id, None, now).expect("an id");
    world.pass(100);
    let told: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::TransactionStatus { outcome, .. }
            | Event::TransactionResolved { outcome, .. } => Some(*outcome),
            _ => None,
        })
        .collect();
    assert_eq!(told, [TransactionOutcome::Committed; 2]);
    let now = world.time();
    assert!(world.client(1).transaction_status(b"nonsense", now).is_err());
    let elsewhere = [&id[..id.len() - 1], b"z"].concat();
    let refused = world.client(1).transaction_resolve(&elsewhere, None, now);
    assert_eq!(refused.expect_err("no such node").code(), ErrorCode::InvalidState);
}

#[test]
fn an_operator_ends_what_a_dead_primary_would_have_to() {
    for decision in [Heuristic::Abort, Heuristic::Commit] {
        let mut world = World::new(2, 9);
        world.away = 2 * MS;
        let ring = world.client(0).ring().clone();
        let on = |node: u32| {
            let at =
                |key: &&&'static str| ring.node(key.as_bytes()).map(|n| n.number()) == Some(node);
            *ACCOUNTS.iter().find(at).expect("a key on each node")
        };
        let keys = [on(0), on(1), on(2)].map(str::to_string);
        let options = TransactionOptions {
            patience: Some(Span::from_millis(200)),
            timeout: Some(Span::from_millis(500)),
            ..TransactionOptions::default()
        };
        let all = keys.clone().map(|key| format!("INCRBY {key} 5"));
        // Clocks are known, then all have voted; then its client and the primary are gone.
        let handle = world.execute_with(0, &["GET ada", "GET ben", "GET cleo"], &[], options);
        world.end_of(0, handle.expect("sound"));
        world.execute_with(0, &all.each_ref().map(String::as_str), &[], options).expect("sound");
        while world.left_over().len() < 6 {
            world.run(world.now + 50);
        }
        (world.clients[0], world.dead) = (None, Some(0));

        let read = format!("GET {}", keys[1]);
        let handle = world.execute_with(1, &[&read], &[], options).expect("sound");
        let (code, message) = world.error(1, handle);
        assert_eq!(code, ErrorCode::Conflict);
        let id = message.rsplit(' ').next().expect("it is named").as_bytes().to_vec();
        let resolve = |world: &mut World, heuristic| {
            world.events.clear();
            let now = world.time();
            world.client(1).transaction_resolve(&id, heuristic, now).expect("an id");
            world.pass(20_000);
            std::mem::take(&mut world.events)
        };
        let without = resolve(&mut world, None);
        assert!(matches!(without[..], [(1, Event::CallFailed { .. })]), "{without:?}");
        let with = resolve(&mut world, Some(decision));
        // All who are left have voted yes: a commit is what that comes to, and an abort is not.
        let (outcome, value, against) = match decision {
            Heuristic::Abort => (TransactionOutcome::Aborted, Reply::Nil, 2),
            Heuristic::Commit => (TransactionOutcome::Committed, Reply::bulk("5"), 0),
        };
        let ended = |(_, event): &&(usize, Event)| matches!(event, Event::TransactionResolved { outcome: o, .. } if *o == outcome);
        let damaged =
            |(_, event): &&(usize, Event)| matches!(event, Event::TransactionDamaged { .. });
        assert_eq!(with.iter().filter(ended).count(), 1, "{with:?}");
        assert_eq!(with.iter().filter(damaged).count(), against, "{with:?}");
        for key in &keys[1..] {
            assert_eq!(world.plain(&format!("GET {key}")), value);
        }
    }
}

#[test]
fn money_moves_and_never_changes_its_sum() {
    for seed in 0..40 {
        let mut world = World::new(4, 1_000 + seed);
        for key in ACCOUNTS {
            world.plain(&format!("SET {key} 1000"));
        }
        (world.lost, world.away) = (30, 5 * MS);
        let mut known: Vec<(usize, Handle)> = Vec::new();
        for round in 0..60 {
            let client = world.rng.index(4);
            if world.clients[client].is_none() {
                continue;
            }
            let (from, to) = (world.rng.pick(&ACCOUNTS), world.rng.pick(&ACCOUNTS));
            let amount = world.rng.between(1, 50);
            let ack = world.rng.pick(&[Ack::Applied, Ack::Decided]);
            let options = TransactionOptions {
                ack,
                patience: Some(Span::from_millis(300)),
                ..TransactionOptions::default()
            };
            let commands = match world.rng.below(4) {
                0 => ACCOUNTS.iter().map(|key| format!("GET {key}")).collect(),
                _ => vec![format!("DECRBY {from} {amount}"), format!("INCRBY {to} {amount}")],
            };
            let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
            let handle = world.execute_with(client, &commands, &[], options).expect("sound");
            known.push((client, handle));
            let wait = world.rng.below(20);
            world.pass(wait);
            if world.rng.chance(15) && round < 50 && client != 0 {
                world.clients[client] = None;
            }
        }
        world.lost = 0;
        world.pass(8_000);
        for (client, handle) in known {
            if world.clients[client].is_some() {
                let end = world.end_of(client, handle);
                if let Event::TransactionCommitted { replies: Some(replies), .. } = end
                    && replies.len() == ACCOUNTS.len()
                {
                    assert_eq!(replies.iter().map(number).sum::<i64>(), 8_000, "seed {seed}");
                }
            }
        }
        // Whoever reads everything ends whatever was left, and sees the sum.
        let all: Vec<String> = ACCOUNTS.iter().map(|key| format!("GET {key}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let handle = world.execute(0, &all);
        let sum: i64 = world.committed(0, handle).iter().map(number).sum();
        assert_eq!(sum, 8_000, "seed {seed}");
        world.pass(5_000);
        assert_eq!(world.left_over(), Vec::<String>::new(), "seed {seed}");
        let damaged =
            |(_, event): &(usize, Event)| matches!(event, Event::TransactionDamaged { .. });
        assert!(!world.events.iter().any(damaged), "seed {seed}");
    }
}

fn number(reply: &Reply) -> i64 {
    match reply {
        Reply::Bulk(text) => std::str::from_utf8(text).expect("digits").parse().expect("a number"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn many_on_the_same_keys_all_get_their_turn() {
    let mut world = World::new(16, 7);
    world.away = MS;
    let ring = world.client(0).ring().clone();
    let elsewhere = |key: &&&str| ring.node(key.as_bytes()) != ring.node(b"ada");
    let other = ACCOUNTS.iter().find(elsewhere).expect("there are three nodes");
    let (first, second) = ("INCRBY ada 1".to_owned(), format!("INCRBY {other} 1"));
    let mut handles = Vec::new();
    for round in 0..160 {
        handles.push((round % 16, world.execute(round % 16, &[&first, &second])));
        world.pass(1);
    }
    for (client, handle) in handles {
        world.committed(client, handle);
    }
    assert_eq!(world.plain("GET ada"), Reply::bulk("160"));
    assert_eq!(world.plain(&format!("GET {other}")), Reply::bulk("160"));
    let retries: u64 = (0..16).map(|client| world.client(client).stats().transaction_retries).sum();
    assert!(retries > 0 && retries < 80, "{retries} aborts for 160 commits");
}
