//! Transactions through the border: several coordinators over three stores, a network that loses,
//! repeats and delays, clients that vanish. Sums stay what they were, and nothing is left locked.

mod support;

use comity::error::ErrorCode;
use comity::event::{Event, TransactionOutcome};
use comity::keyspace::command;
use comity::redis::{Failure, NodeId, Origin, Reply};
use comity::time::Span;
use comity::transaction::{Ack, Expectation, Handle, Heuristic, SweepOptions, TransactionOptions};
use support::transaction_world::{ACCOUNTS, MS, Packet, START, World};

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
        let (outcome, value) = match decision {
            Heuristic::Abort => (TransactionOutcome::Aborted, Reply::Nil),
            Heuristic::Commit => (TransactionOutcome::Committed, Reply::bulk("5")),
        };
        let ended = |(_, event): &&(usize, Event)| matches!(event, Event::TransactionResolved { outcome: o, .. } if *o == outcome);
        let damaged =
            |(_, event): &&(usize, Event)| matches!(event, Event::TransactionDamaged { .. });
        assert_eq!(with.iter().filter(ended).count(), 1, "{with:?}");
        assert_eq!(with.iter().filter(damaged).count(), 2, "{with:?}");
        for key in &keys[1..] {
            assert_eq!(world.plain(&format!("GET {key}")), value);
        }
    }
}

#[test]
fn a_sweep_leaves_nothing_behind() {
    let mut world = World::new(3, 8);
    world.away = 2 * MS;
    let options = TransactionOptions {
        patience: Some(Span::from_millis(200)),
        ..TransactionOptions::default()
    };
    let all = ["INCRBY ada -30", "INCRBY ben 10", "INCRBY cleo 20"];
    for _ in 0..5 {
        let handle = world.execute_with(0, &all, &[], options).expect("sound");
        world.committed(0, handle);
    }
    // Gone when the first vote is in, or all are, but nothing is finished.
    world.execute_with(0, &all, &[], options).expect("sound");
    let mut ms = 0;
    while world.left_over().is_empty() {
        world.run(world.now + 100);
        ms += 1;
        assert!(ms < 1_000);
    }
    world.clients[0] = None;
    let swept = |world: &mut World| {
        world.events.clear();
        let now = world.time();
        world.client(1).transaction_sweep(SweepOptions::default(), now).expect("it is open");
        world.pass(3_000);
        let count = world.events.iter().find_map(|(_, event)| match event {
            Event::TransactionSwept { count, .. } => Some(*count),
            _ => None,
        });
        count.expect("an end")
    };
    world.pass(500);
    assert!(swept(&mut world) > 0);
    assert_eq!(world.left_over(), Vec::<String>::new());
    // Nor where the primary has never heard of it, and so can name nobody.
    world.clients[0] = World::new(1, 10).clients.pop().expect("one");
    let everywhere = ACCOUNTS.map(|key| format!("INCRBY {key} 1"));
    let everywhere = everywhere.each_ref().map(String::as_str);
    let handle = world.execute(0, &everywhere);
    world.committed(0, handle);
    world.dead = Some(0);
    world.execute_with(0, &everywhere, &[], options).expect("sound");
    world.pass(50);
    (world.clients[0], world.dead) = (None, None);
    world.pass(500);
    assert!(!world.left_over().is_empty());
    assert_eq!(swept(&mut world), 2);
    assert_eq!(world.left_over(), Vec::<String>::new());
    // A shadow that nobody will finish, and beside it one of a vote and a key that only looks alike.
    let options = TransactionOptions { patience: Some(Span::from_secs(60)), ..options };
    world.execute_with(1, &all, &[], options).expect("sound");
    while world.left_over().len() < 6 {
        world.run(world.now + 100);
    }
    world.clients[1] = None;
    let voted = world.left_over();
    let orphan = "comity:1:t:{t}:0123456789abcdef.07:0";
    let alike = "comity:1:t:{t}:other";
    for store in &mut world.stores {
        for key in [orphan, alike] {
            let words = [&b"SET"[..], key.as_bytes(), b"x"];
            command::execute(store.keyspace_mut(), &words);
        }
    }
    let sweep = |world: &mut World, options| {
        world.events.clear();
        let now = world.time();
        world.client(2).transaction_sweep(options, now).expect("it is open");
        world.pass(3_000);
        let there = world.left_over();
        [orphan, alike].map(|key| there.iter().filter(|left| *left == key).count())
    };
    assert_eq!(sweep(&mut world, SweepOptions { shadows: false }), [3, 3]);
    assert_eq!(sweep(&mut world, SweepOptions::default()), [0, 3]);
    assert_eq!(world.left_over().iter().filter(|left| voted.contains(left)).count(), voted.len());
    for store in &mut world.stores {
        command::execute(store.keyspace_mut(), &[b"DEL", alike.as_bytes()]);
    }
    world.pass(60_000);
    let swept = |world: &mut World| {
        world.events.clear();
        let now = world.time();
        world.client(2).transaction_sweep(SweepOptions::default(), now).expect("it is open");
        world.pass(3_000);
        let count = world.events.iter().find_map(|(_, event)| match event {
            Event::TransactionSwept { count, .. } => Some(*count),
            _ => None,
        });
        count.expect("an end")
    };
    assert!(swept(&mut world) > 0);
    assert_eq!(world.left_over(), Vec::<String>::new());
    // Registers stay until no late command can come any more, and an hour longer.
    let registers = |world: &mut World| -> usize {
        let fields = world.stores.iter_mut().map(|store| {
            match command::execute(store.keyspace_mut(), &[b"HLEN", b"comity:1:t:{t}"]) {
                Reply::Integer(count) => usize::try_from(count).expect("few").saturating_sub(1),
                other => panic!("{other:?}"),
            }
        });
        fields.sum()
    };
    assert!(registers(&mut world) > 0);
    world.pass(2 * 3_600 * 1_000);
    assert!(swept(&mut world) > 0);
    assert_eq!(swept(&mut world), 0);
    assert_eq!(registers(&mut world), 0);
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

/// What becomes of a command of a sweep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    ScriptGone,
    Refused,
    Lost,
}

/// A sweep of three nodes with three shadows each, whose command number `number` meets `fate`: to
/// which nodes its commands went, what it ended with, and what it left on each node.
fn swept(number: usize, fate: Fate) -> (Vec<NodeId>, Option<Event>, [usize; 3]) {
    let mut world = World::new(1, 8);
    let shadows =
        ["0", "1", "2"].map(|slot| format!("comity:1:t:{{t}}:0123456789abcdef.0{slot}:0"));
    for store in &mut world.stores {
        for shadow in &shadows {
            command::execute(store.keyspace_mut(), &[b"SET", shadow.as_bytes(), b"x"]);
        }
    }
    let now = world.time();
    world.client(0).transaction_sweep(SweepOptions::default(), now).expect("it is open");
    let mut nodes = Vec::new();
    while let Some(command) = world.client(0).poll_command() {
        nodes.push(command.node);
        let store = &mut world.stores[command.node.0 as usize];
        let hit = nodes.len() == number;
        if hit && fate == Fate::ScriptGone {
            store.execute(&["SCRIPT", "FLUSH"].into_iter().collect(), now);
        }
        let reply = match fate {
            Fate::Refused if hit => Reply::Error(b"NOPERM no permissions to run 'scan'".to_vec()),
            Fate::Lost if hit => {
                world.client(0).handle_failure(command.request, Failure::OutcomeUnknown, now);
                continue;
            }
            _ => store.execute(&command.argv, now),
        };
        world.client(0).handle_reply(command.request, &reply, now);
    }
    let left = [0, 1, 2].map(|node: usize| {
        let there = |shadow: &&String| {
            let words = [b"EXISTS", shadow.as_bytes()];
            command::execute(world.stores[node].keyspace_mut(), &words) == Reply::Integer(1)
        };
        shadows.iter().filter(there).count()
    });
    (nodes, world.client(0).poll_event(), left)
}

#[test]
fn a_sweep_leaves_nothing_behind_where_its_script_goes() {
    let (commands, ..) = swept(0, Fate::ScriptGone);
    let mut missed = 0;
    for number in 1..=commands.len() {
        let (more, end, left) = swept(number, Fate::ScriptGone);
        assert!(matches!(end, Some(Event::TransactionSwept { count: 9, .. })), "{number}: {end:?}");
        assert_eq!(left, [0; 3], "no script before command {number}");
        missed += more.len() - commands.len();
    }
    assert!(missed >= 6, "each of Find and Shadows finds no script once at each node: {missed}");
}

#[test]
fn a_sweep_of_a_node_that_fails_sweeps_the_others_and_names_it() {
    let (commands, ..) = swept(0, Fate::Refused);
    for fate in [Fate::Refused, Fate::Lost] {
        for (at, node) in commands.iter().enumerate() {
            let (_, end, left) = swept(at + 1, fate);
            let Some(Event::CallFailed { node: named, error, .. }) = end else {
                panic!("command {at}: {end:?}");
            };
            assert_eq!(named, *node, "command {at}");
            let code = match fate {
                Fate::Refused => ErrorCode::ServerRefused,
                _ => ErrorCode::NoAnswer,
            };
            assert_eq!(error.code(), code, "{error}");
            for (other, left) in (0..).zip(left) {
                assert!(NodeId(other) == *node || left == 0, "command {at}: {left} at {other}");
            }
        }
    }
}
