//! Transactions that are to be had by replicas: what is told to be durable survives a failover, and
//! what keeps the replicas from being asked is told, and changes nothing else.

use crate::support::transaction_world::{ACCOUNTS, MS, World};
use comity::error::ErrorCode;
use comity::event::Event;
use comity::redis::Reply;
use comity::time::Span;
use comity::transaction::{Ack, Durability, Handle, TransactionOptions};

fn durable(replicas: u32, ms: u64) -> TransactionOptions {
    let timeout = Span::from_millis(ms);
    let durability = Durability::Wait { replicas, timeout };
    TransactionOptions { durability, ..TransactionOptions::default() }
}

fn begin(world: &mut World, commands: &[&str], options: TransactionOptions) -> Handle {
    world.execute_with(0, commands, &[], options).expect("sound")
}

/// How many replicas have it, and where there are too few, with the reason.
fn replicas(world: &mut World, handle: Handle) -> (u32, Vec<(u32, ErrorCode, String)>) {
    let Event::TransactionCommitted { replicas, applied, .. } = world.end_of(0, handle) else {
        panic!("it is not committed");
    };
    assert!(applied);
    let few = world.events.iter().filter_map(|(_, event)| match event {
        Event::TransactionNotDurable { transaction, node, error, .. } if *transaction == handle => {
            Some((node.0, error.code(), error.message().to_string()))
        }
        _ => None,
    });
    (replicas.expect("they were waited for"), few.collect())
}

const THREE: [&str; 3] = ["INCRBY ada 1", "INCRBY cleo 1", "INCRBY eve 1"];

#[test]
fn replicas_are_waited_for_when_all_is_applied() {
    let mut world = World::new(1, 1);
    world.away = 2 * MS;
    let alone = ["INCRBY ada 1"];
    for commands in [&alone[..], &THREE, &THREE, &alone] {
        let handle = begin(&mut world, commands, durable(1, 500));
        assert_eq!(replicas(&mut world, handle), (1, Vec::new()), "{commands:?}");
    }
    assert_eq!(world.client(0).stats().transaction_not_durable, 0);
    // What only reads has nothing that a replica could lack, and what does not ask is not told.
    for (commands, options) in
        [(&["GET ada"][..], durable(1, 500)), (&THREE, TransactionOptions::default())]
    {
        let handle = begin(&mut world, commands, options);
        let end = world.end_of(0, handle);
        assert!(matches!(end, Event::TransactionCommitted { replicas: None, .. }), "{end:?}");
    }
}

#[test]
fn one_round_is_for_all_who_wait() {
    let mut world = World::new(1, 2);
    world.away = 2 * MS;
    let warm = begin(
        &mut world,
        &ACCOUNTS.map(|key| format!("GET {key}")).each_ref().map(String::as_str),
        TransactionOptions::default(),
    );
    world.end_of(0, warm);
    let handles: Vec<Handle> =
        (0..50).map(|n| begin(&mut world, &[&format!("SET ada{n} 1")], durable(1, 500))).collect();
    for handle in handles {
        assert_eq!(replicas(&mut world, handle).0, 1);
    }
    assert!(world.waits <= 15, "{} rounds on three nodes", world.waits);
}

#[test]
fn a_replica_that_stands_still_is_told_and_holds_up_nobody_else() {
    let mut world = World::new(2, 3);
    world.away = MS;
    let node = world.client(0).ring().node(b"ada").expect("a node").number();
    world.replicas[node as usize].stopped = true;
    let began = world.now;
    let handle = begin(&mut world, &THREE, durable(1, 400));
    // The same keys, by the same coordinator and by another: both at once.
    let next = world.execute(0, &THREE);
    let other = world.execute(1, &THREE);
    world.committed(0, next);
    world.committed(1, other);
    assert!(world.now - began < 100 * MS);
    let (reached, few) = replicas(&mut world, handle);
    assert!((400..450).contains(&((world.now - began) / MS)), "{}", world.now - began);
    assert_eq!(reached, 0);
    let message = "0 of 1 replicas are known to have it".to_string();
    assert_eq!(few, [(node, ErrorCode::NoAnswer, message)]);
    assert_eq!(world.client(0).stats().transaction_not_durable, 1);
    // It goes on, in time.
    let handle = begin(&mut world, &THREE, durable(1, 400));
    world.pass(250);
    world.replicas[node as usize].stopped = false;
    world.copy(node);
    assert_eq!(replicas(&mut world, handle), (1, Vec::new()));
}

#[test]
fn fewer_than_were_asked_for_are_counted() {
    let mut world = World::new(1, 4);
    world.away = MS;
    let more = begin(&mut world, &THREE, durable(2, 400));
    world.pass(20);
    // Who is content with fewer is not held up for long.
    let one = begin(&mut world, &["INCRBY ada 1"], durable(1, 300));
    assert_eq!(replicas(&mut world, one), (1, Vec::new()));
    let (reached, few) = replicas(&mut world, more);
    assert_eq!((reached, few.len()), (1, 3));
    assert_eq!(few[0].2, "1 of 2 replicas are known to have it");
}

#[test]
fn a_server_that_does_not_wait_is_not_asked_again() {
    // As the embedded store: it answers at once, and with none.
    let mut world = World::new(1, 5);
    world.no_replicas = true;
    let began = world.now;
    let handle = begin(&mut world, &THREE, durable(1, 10_000));
    let (reached, few) = replicas(&mut world, handle);
    assert_eq!((reached, few.len()), (0, 3));
    assert!(world.now - began < 100 * MS);
}

#[test]
fn what_keeps_the_replicas_from_being_asked_is_told() {
    let mut world = World::new(1, 6);
    let node = world.client(0).ring().node(b"ada").expect("a node").number();
    world.replicas[node as usize].refuses = true;
    let handle = begin(&mut world, &THREE, durable(1, 300));
    let (reached, few) = replicas(&mut world, handle);
    assert_eq!(reached, 0);
    assert_eq!((few[0].0, few[0].1), (node, ErrorCode::ServerRefused));
    assert!(few[0].2.starts_with("NOPERM"), "{few:?}");
    assert_eq!(few.len(), 1);
}

#[test]
fn a_blocking_connection_that_breaks_is_another_round() {
    for seed in 0..200 {
        let mut world = World::new(1, 100 + seed);
        world.away = 2 * MS;
        let handle = begin(&mut world, &THREE, durable(1, 2_000));
        for _ in 0..6 {
            world.pass(1);
            let node = u32::try_from(world.rng.below(3)).expect("few");
            world.cut(0, node);
        }
        assert_eq!(replicas(&mut world, handle), (1, Vec::new()), "seed {seed}");
    }
}

#[test]
fn what_is_durable_survives_a_failover_of_any_server() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..300 {
        let mut world = World::new(2, 1_000 + seed);
        (world.lost, world.away) = (world.rng.below(40), 5 * MS);
        let mut known = Vec::new();
        for n in 0..30 {
            let keys = [0, 1, 2].map(|at| format!("{}{n}", ACCOUNTS[at + n % 5]));
            let commands = keys.each_ref().map(|key| format!("SET {key} x"));
            let commands = commands.each_ref().map(String::as_str);
            let count = 1 + world.rng.index(3);
            let options =
                TransactionOptions { patience: Some(Span::from_millis(300)), ..durable(1, 200) };
            let client = world.rng.index(2);
            let begun = world.execute_with(client, &commands[..count], &[], options);
            known.push((client, begun.expect("sound"), keys[..count].to_vec()));
            let wait = world.rng.below(10);
            world.pass(wait);
            match world.rng.below(10) {
                0 => {
                    let node = u32::try_from(world.rng.below(3)).expect("few");
                    world.fail_over(node);
                }
                1 => {
                    let node = world.rng.index(3);
                    world.replicas[node].stopped = !world.replicas[node].stopped;
                }
                _ => {}
            }
        }
        world.lost = 0;
        world.replicas.iter_mut().for_each(|replica| replica.stopped = false);
        world.pass(8_000);
        for (client, handle, keys) in known {
            let Event::TransactionCommitted { replicas, .. } = world.end_of(client, handle) else {
                continue;
            };
            let there: Vec<bool> = keys
                .iter()
                .map(|key| world.plain(&format!("EXISTS {key}")) == Reply::Integer(1))
                .collect();
            match replicas {
                Some(0) => lost += usize::from(there.contains(&false)),
                _ => {
                    kept += 1;
                    assert!(!there.contains(&false), "seed {seed}: {handle:?} {keys:?} {there:?}");
                }
            }
        }
    }
    assert!(kept > 1_000 && lost > 20, "{kept} {lost}");
}

#[test]
fn options_out_of_range_are_refused() {
    let mut world = World::new(1, 8);
    let bad = [
        (durable(0, 100), "durability: 0 replicas are outside 1 to 64"),
        (durable(65, 100), "durability: 65 replicas are outside 1 to 64"),
        (durable(1, 9), "durability: timeout: 9000 us is outside 10 ms to 60 s"),
        (durable(1, 60_001), "durability: timeout: 60001000 us is outside 10 ms to 60 s"),
        (
            TransactionOptions { ack: Ack::Decided, ..durable(1, 100) },
            "durability: replicas are waited for once it is applied, so ack has to be that, too",
        ),
    ];
    for (options, message) in bad {
        let refused = world.execute_with(0, &THREE, &[], options).expect_err(message);
        assert_eq!((refused.code(), refused.message()), (ErrorCode::InvalidArgument, message));
    }
    assert_eq!(world.client(0).stats().commands, 0);
}

#[test]
fn a_close_does_not_wait_for_replicas() {
    let mut world = World::new(1, 9);
    world.replicas.iter_mut().for_each(|replica| replica.stopped = true);
    let handle = begin(&mut world, &THREE, durable(1, 60_000));
    world.pass(50);
    let now = world.time();
    world.client(0).close(now);
    let (reached, few) = replicas(&mut world, handle);
    assert_eq!((reached, few.len()), (0, 3));
    world.pass(50);
    assert!(world.events.iter().any(|(_, event)| matches!(event, Event::Closed)));
}
