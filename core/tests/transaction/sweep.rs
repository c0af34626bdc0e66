//! What transactions leave over, and what a sweep makes of it.

use crate::support::transaction_world::{ACCOUNTS, MS, World};
use comity::error::ErrorCode;
use comity::event::Event;
use comity::keyspace::command;
use comity::redis::{Failure, NodeId, Reply};
use comity::time::Span;
use comity::transaction::{SweepOptions, TransactionOptions};

/// Sweeps, and says how much that was.
fn sweep(world: &mut World, client: usize, options: SweepOptions) -> u64 {
    world.events.clear();
    let now = world.time();
    world.client(client).transaction_sweep(options, now).expect("it is open");
    world.pass(3_000);
    let count = world.events.iter().find_map(|(_, event)| match event {
        Event::TransactionSwept { count, .. } => Some(*count),
        _ => None,
    });
    count.expect("an end")
}

#[test]
fn a_sweep_leaves_nothing_behind() {
    let everything = SweepOptions::default();
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
    world.pass(500);
    assert!(sweep(&mut world, 1, everything) > 0);
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
    assert_eq!(sweep(&mut world, 1, everything), 2);
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
    let there = |world: &mut World| {
        let there = world.left_over();
        [orphan, alike].map(|key| there.iter().filter(|left| *left == key).count())
    };
    sweep(&mut world, 2, SweepOptions { shadows: false });
    assert_eq!(there(&mut world), [3, 3]);
    sweep(&mut world, 2, everything);
    assert_eq!(there(&mut world), [0, 3]);
    assert_eq!(world.left_over().iter().filter(|left| voted.contains(left)).count(), voted.len());
    for store in &mut world.stores {
        command::execute(store.keyspace_mut(), &[b"DEL", alike.as_bytes()]);
    }
    world.pass(60_000);
    assert!(sweep(&mut world, 2, everything) > 0);
    assert_eq!(world.left_over(), Vec::<String>::new());
    // Registers stay until no late command can come any more, and an hour longer; what was ended by
    // others for a day.
    let registers = |world: &mut World| -> usize {
        let fields = world.stores.iter_mut().map(|store| {
            match command::execute(store.keyspace_mut(), &[b"HLEN", b"comity:1:t:{t}"]) {
                // The server's stamp and what it is made of stay.
                Reply::Integer(count) => usize::try_from(count).expect("few").saturating_sub(2),
                other => panic!("{other:?}"),
            }
        });
        fields.sum()
    };
    assert!(registers(&mut world) > 0);
    world.pass(26 * 3_600 * 1_000);
    assert!(sweep(&mut world, 2, everything) > 0);
    assert_eq!(sweep(&mut world, 2, everything), 0);
    assert_eq!(registers(&mut world), 0);
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
