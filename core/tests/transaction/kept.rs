//! What becomes of a transaction whose user was told that it is in doubt is known for a day: its slot is
//! not used again, no sweep removes its register, and whoever asks is answered.

use crate::support::redis_server::RedisServer;
use crate::support::transaction_pair::TransactionPair;
use crate::support::transaction_script::{
    finish, finish_retaining, one_phase, prepare, query, txid, work,
};
use crate::support::transaction_world::{ACCOUNTS, World};
use comity::event::{Event, TransactionOutcome};
use comity::keyspace::command;
use comity::redis::Reply;
use comity::time::Span;
use comity::transaction::{
    Answer, KEPT, MAX_KEPT_ON_SERVER, Op, Sweep, SweepOptions, TransactionOptions, Verdict,
};

/// Where the stores of a world have their registers.
const TABLE: &[u8] = b"comity:1:t:{t}";
const HOUR: u64 = 3_600_000;
const DAY: u64 = KEPT.as_micros();

#[test]
fn what_is_kept_is_not_swept_for_a_day() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let (now, set) = (pair.now, work(&["SET a 1"]));
    // Applied by one script, prepared, aborted, and never heard of; each told to be in doubt or not.
    for (first, how) in [(0, finish as fn(_, _, _, _) -> _), (10, finish_retaining)] {
        pair.both(&one_phase(txid(first, 1), set.clone(), now));
        pair.both(&how(txid(first, 1), Verdict::Abort, &set, now));
        for (slot, verdict) in [(first + 1, Verdict::Commit), (first + 2, Verdict::Abort)] {
            pair.both(&prepare(txid(slot, 1), set.clone(), now));
            pair.both(&how(txid(slot, 1), verdict, &set, now));
        }
        pair.both(&how(txid(first + 3, 1), Verdict::Abort, &set, now));
        pair.both(&how(txid(first + 3, 1), Verdict::Abort, &set, now));
    }
    // Nor may be what somebody has asked for before it was heard of.
    pair.both(&Op::Status(query(txid(14, 1), now, true)));
    pair.both(&Op::Vote(query(txid(4, 1), now, true)));
    let slots = || (0..5).chain(10..15);
    let remove = |pair: &mut TransactionPair, kept| {
        let txids = slots().map(|slot| txid(slot, 1)).collect();
        pair.both(&Op::Sweep(Sweep::Registers { txids, kept }))
    };
    assert_eq!(remove(&mut pair, true), Answer::Removed { count: 0 });
    pair.advance(2 * HOUR * 1_000).unwrap();
    assert_eq!(remove(&mut pair, false), Answer::Removed { count: 5 });
    for (slot, committed) in [(10, true), (11, true), (12, false), (13, false), (14, false)] {
        let status = pair.both(&Op::Status(query(txid(slot, 1), now, false)));
        let as_told = matches!(status, Answer::Committed { .. }) == committed
            && matches!(status, Answer::Aborted) != committed;
        assert!(as_told, "{slot}: {status:?}");
    }
    pair.advance(DAY - 2 * HOUR * 1_000 - 1).unwrap();
    assert_eq!(remove(&mut pair, false), Answer::Removed { count: 0 });
    pair.advance(1).unwrap();
    assert_eq!(remove(&mut pair, false), Answer::Removed { count: 5 });
}

/// Asks for a transaction, and resolves it.
fn asked(world: &mut World, id: &[u8]) -> [TransactionOutcome; 2] {
    world.events.clear();
    let now = world.time();
    world.client(1).transaction_status(id, now).expect("an id");
    world.pass(100);
    let now = world.time();
    world.client(1).transaction_resolve(id, None, now).expect("an id");
    world.pass(100);
    let told = world.events.iter().filter_map(|(_, event)| match event {
        Event::TransactionStatus { outcome, .. } | Event::TransactionResolved { outcome, .. } => {
            Some(*outcome)
        }
        _ => None,
    });
    told.collect::<Vec<_>>().try_into().expect("two answers")
}

fn sweep(world: &mut World) {
    let now = world.time();
    world.client(1).transaction_sweep(SweepOptions::default(), now).expect("it is open");
    world.pass(1_000);
}

#[test]
fn whoever_asks_within_a_day_is_told_what_became_of_a_doubtful_transaction() {
    let options = TransactionOptions {
        timeout: Some(Span::from_millis(500)),
        ..TransactionOptions::default()
    };
    let everywhere = ACCOUNTS.map(|key| format!("INCRBY {key} 1"));
    // A transaction over all servers, and one on the server that decides alone.
    for alone in [false, true] {
        let mut world = World::new(2, 21);
        let ring = world.client(0).ring().clone();
        let here = |line: &&String| {
            let key = line.split(' ').nth(1).expect("a key");
            !alone || ring.node(key.as_bytes()).map(|node| node.number()) == Some(0)
        };
        let lines: Vec<&str> = everywhere.iter().filter(here).map(String::as_str).collect();
        let handle = world.execute_with(0, &lines, &[], options).expect("sound");
        world.committed(0, handle);
        world.dead = Some(0);
        let handle = world.execute_with(0, &lines, &[], options).expect("sound");
        let Event::TransactionUnknown { id, .. } = world.end_of(0, handle) else {
            panic!("{:?}", world.events)
        };
        world.dead = None;
        world.pass(5_000);
        let outcome = |(_, event): &(usize, Event)| match event {
            Event::TransactionEnded { outcome, .. } => Some(*outcome),
            _ => None,
        };
        let outcome = world.events.iter().find_map(outcome).expect("it has ended");
        assert!(matches!(outcome, TransactionOutcome::Committed | TransactionOutcome::Aborted));
        for _ in 0..23 {
            for _ in 0..3 {
                let handle = world.execute_with(0, &lines, &[], options).expect("sound");
                world.committed(0, handle);
            }
            sweep(&mut world);
            assert_eq!(asked(&mut world, &id), [outcome; 2]);
            world.pass(HOUR);
        }
        // What is asked for once more is kept for longer, by its server. Its client does not know.
        world.pass(2 * HOUR);
        for _ in 0..3 {
            let handle = world.execute_with(0, &lines, &[], options).expect("sound");
            world.committed(0, handle);
        }
        assert_eq!(asked(&mut world, &id), [TransactionOutcome::Forgotten; 2]);
    }
}

#[test]
fn of_very_many_that_are_kept_a_sweep_removes_the_oldest() {
    const MORE: usize = 5;
    let mut world = World::new(2, 22);
    let now = world.now;
    let store = &mut world.stores[0];
    for number in 0..MAX_KEPT_ON_SERVER + MORE {
        let field = format!("r{number:016x}.00");
        // The first are kept for longest.
        let until = now + DAY - number as u64;
        let not_after = now - DAY;
        let register = format!("{:016}A{:016}{not_after:016}{until:016}1,0,0,p", 1, 0);
        let words = [b"HSET", TABLE, field.as_bytes(), register.as_bytes()];
        command::execute(store.keyspace_mut(), &words);
    }
    let fields = |world: &mut World, command: &[u8], more: &[&[u8]]| {
        let words: Vec<&[u8]> = [command, TABLE].into_iter().chain(more.iter().copied()).collect();
        command::execute(world.stores[0].keyspace_mut(), &words)
    };
    sweep(&mut world);
    // Beside the registers there are the server's stamp and what it is made of.
    let left = i64::try_from(MAX_KEPT_ON_SERVER + 2).expect("few");
    assert_eq!(fields(&mut world, b"HLEN", &[]), Reply::Integer(left));
    for number in MAX_KEPT_ON_SERVER..MAX_KEPT_ON_SERVER + MORE {
        let field = format!("r{number:016x}.00");
        assert_eq!(fields(&mut world, b"HEXISTS", &[field.as_bytes()]), Reply::Integer(0));
    }
}
