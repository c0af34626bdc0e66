//! The invariants of transactions by their letters, on a bad network in virtual time: clients that
//! vanish, commands and replies that are lost, repeated and late, over three stores.
//!
//! Every transaction appends its number to some lists and moves money between two accounts, or reads
//! everything. The model checker in `transaction_model` tries the same in every state of small worlds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::support::for_seeds;
use crate::support::transaction_world::{ACCOUNTS, MS, World};
use comity::event::{Event, TransactionOutcome};
use comity::keyspace::command;
use comity::memory::MemoryStore;
use comity::redis::Reply;
use comity::time::Span;
use comity::transaction::{Ack, Handle, MAX_SLOTS, SweepOptions, TransactionOptions};

const SEEDS: u64 = 60;
const CLIENTS: usize = 4;
const LISTS: [&str; 6] = ["one", "two", "three", "four", "five", "six"];
/// Of all eight accounts.
const SUM: i64 = 8_000;

/// What one of them was to do, and what became of it as far as its user knows.
struct Transaction {
    client: usize,
    handle: Handle,
    /// Where it appends its number; nowhere if it reads.
    lists: Vec<&'static str>,
    end: Option<Event>,
}

struct Past {
    transactions: Vec<Transaction>,
    events: Vec<Event>,
    /// What the lists hold in the end, and the accounts together.
    lists: BTreeMap<&'static str, Vec<usize>>,
    sum: i64,
    left_over: Vec<String>,
    /// The most registers of a store in the end, and how many are left when all are swept.
    registers: (usize, usize),
}

fn number<T: TryFrom<i64, Error: fmt::Debug>>(reply: &Reply) -> T {
    let number = match reply {
        Reply::Integer(number) => *number,
        Reply::Bulk(text) => std::str::from_utf8(text).expect("text").parse().expect("a number"),
        other => panic!("{other:?}"),
    };
    number.try_into().expect("it fits")
}

fn numbers(reply: &Reply) -> Vec<usize> {
    match reply {
        Reply::Array(items) => items.iter().map(number).collect(),
        other => panic!("{other:?}"),
    }
}

fn everything() -> Vec<String> {
    let lists = LISTS.iter().map(|list| format!("LRANGE {list} 0 -1"));
    lists.chain(ACCOUNTS.iter().map(|key| format!("GET {key}"))).collect()
}

fn begin(world: &mut World, client: usize, own: usize) -> Transaction {
    let lists: BTreeSet<&str> = match world.rng.below(5) {
        0 => BTreeSet::new(),
        _ => (0..world.rng.between(1, 3)).map(|_| world.rng.pick(&LISTS)).collect(),
    };
    let commands = if lists.is_empty() {
        everything()
    } else {
        let (from, to) = (world.rng.pick(&ACCOUNTS), world.rng.pick(&ACCOUNTS));
        let amount = world.rng.between(1, 50);
        let mut commands: Vec<String> =
            lists.iter().map(|list| format!("RPUSH {list} {own}")).collect();
        commands.push(format!("DECRBY {from} {amount}"));
        commands.push(format!("INCRBY {to} {amount}"));
        if world.rng.chance(100) {
            commands.push(format!("INCR {}", lists.first().expect("some")));
        }
        commands
    };
    let options = TransactionOptions {
        ack: world.rng.pick(&[Ack::Applied, Ack::Decided]),
        patience: Some(Span::from_millis(300)),
        ..TransactionOptions::default()
    };
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let handle = world.execute_with(client, &commands, &[], options).expect("sound");
    Transaction { client, handle, lists: lists.into_iter().collect(), end: None }
}

fn registers(world: &mut World) -> usize {
    let of = |store: &mut MemoryStore| match command::execute(
        store.keyspace_mut(),
        &[b"HGETALL", b"comity:1:t:{t}"],
    ) {
        Reply::Array(fields) => fields
            .chunks(2)
            .filter(|pair| matches!(&pair[0], Reply::Bulk(field) if field.starts_with(b"r")))
            .count(),
        _ => 0,
    };
    world.stores.iter_mut().map(of).max().unwrap_or(0)
}

fn sweep(world: &mut World) {
    let now = world.time();
    world.client(0).transaction_sweep(SweepOptions::default(), now).expect("it is open");
    world.pass(5_000);
}

/// One world from its beginning to its rest.
fn lived(seed: u64) -> Past {
    let mut world = World::new(CLIENTS, 77_000 + seed);
    for key in ACCOUNTS {
        world.plain(&format!("SET {key} 1000"));
    }
    (world.lost, world.away) = (30, 5 * MS);
    let mut transactions = Vec::new();
    for round in 0..60 {
        let client = world.rng.index(CLIENTS);
        if world.clients[client].is_none() {
            continue;
        }
        let begun = begin(&mut world, client, transactions.len());
        transactions.push(begun);
        let wait = world.rng.below(20);
        world.pass(wait);
        if round < 50 && client != 0 && world.rng.chance(15) {
            world.clients[client] = None;
        }
    }
    world.lost = 0;
    world.pass(8_000);
    for transaction in &mut transactions {
        if world.clients[transaction.client].is_some() {
            transaction.end = Some(world.end_of(transaction.client, transaction.handle));
        }
    }
    // Whoever reads everything ends what is left.
    let all = everything();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let handle = world.execute(0, &all);
    let replies = world.committed(0, handle);
    world.pass(5_000);
    let (left_over, before) = (world.left_over(), registers(&mut world));
    world.pass(26 * 3_600 * 1_000);
    sweep(&mut world);
    let after = registers(&mut world);
    let (lists, accounts) = replies.split_at(LISTS.len());
    Past {
        transactions,
        events: world.events.iter().map(|(_, event)| event.clone()).collect(),
        lists: LISTS.into_iter().zip(lists.iter().map(numbers)).collect(),
        sum: accounts.iter().map(number::<i64>).sum(),
        left_over,
        registers: (before, after),
    }
}

impl Past {
    /// Those that append, each with its number and with whether all of its lists have it.
    fn appends(&self) -> impl Iterator<Item = (usize, &Transaction, bool)> {
        let has = |own: usize, one: &Transaction| {
            one.lists.iter().all(|list| self.lists[list].contains(&own))
        };
        let all = self.transactions.iter().enumerate().filter(|(_, one)| !one.lists.is_empty());
        all.map(move |(own, one)| (own, one, has(own, one)))
    }

    /// What those that read everything have read.
    fn reads(&self) -> impl Iterator<Item = &[Reply]> {
        let reads = self.transactions.iter().filter(|one| one.lists.is_empty());
        reads.filter_map(|one| match &one.end {
            Some(Event::TransactionCommitted { replies: Some(replies), .. }) => Some(&replies[..]),
            _ => None,
        })
    }
}

fn in_each(letter: &str, mut check: impl FnMut(&Past)) {
    for_seeds(letter, SEEDS, |seed| check(&lived(seed)));
}

#[test]
fn a_all_or_nothing() {
    in_each("(a) all or nothing", |past| {
        for (own, one, all) in past.appends() {
            let any = one.lists.iter().any(|list| past.lists[list].contains(&own));
            assert_eq!(any, all, "{own} in {:?}: {:?}", one.lists, past.lists);
        }
    });
}

#[test]
fn b_at_most_once() {
    in_each("(b) at most once", |past| {
        for (list, numbers) in &past.lists {
            let distinct: BTreeSet<_> = numbers.iter().collect();
            assert_eq!(distinct.len(), numbers.len(), "{list}: {numbers:?}");
        }
    });
}

#[test]
fn c_what_was_told_stays() {
    let (mut committed, mut failed) = (0, 0);
    in_each("(c) what was told stays", |past| {
        for (own, one, there) in past.appends() {
            match &one.end {
                Some(Event::TransactionCommitted { .. }) => {
                    committed += 1;
                    assert!(there, "{own} was committed");
                }
                Some(Event::TransactionFailed { error, .. }) => {
                    failed += 1;
                    assert!(!there, "{own} was not applied: {error:?}");
                }
                _ => {}
            }
        }
    });
    assert!(committed > 20 * SEEDS && failed > SEEDS, "{committed} committed, {failed} failed");
}

#[test]
fn d_the_sum_is_what_it_was() {
    let mut reads = 0;
    in_each("(d) the sum is what it was", |past| {
        assert_eq!(past.sum, SUM);
        for replies in past.reads() {
            reads += 1;
            assert_eq!(replies[LISTS.len()..].iter().map(number::<i64>).sum::<i64>(), SUM);
        }
    });
    assert!(reads > SEEDS, "{reads} reads");
}

#[test]
fn e_nothing_stays_behind() {
    in_each("(e) nothing stays behind", |past| {
        assert_eq!(past.left_over, Vec::<String>::new());
        let (before, after) = past.registers;
        assert!(before <= CLIENTS * usize::from(MAX_SLOTS), "{before} registers");
        assert_eq!(after, 0, "{before} registers, {after} after a sweep");
    });
}

#[test]
fn f_replies_are_those_of_one_order() {
    in_each("(f) replies are those of one order", |past| {
        for (own, one, _) in past.appends() {
            let Some(Event::TransactionCommitted { replies: Some(replies), .. }) = &one.end else {
                continue;
            };
            for (list, reply) in one.lists.iter().zip(replies) {
                assert_eq!(past.lists[list][number::<usize>(reply) - 1], own, "{list}");
            }
        }
        for replies in past.reads() {
            for (list, reply) in LISTS.iter().zip(replies) {
                let seen = numbers(reply);
                assert_eq!(past.lists[list][..seen.len()], seen, "{list}");
            }
        }
        // Two that are in the same lists are there in the same order.
        let mut before = BTreeSet::new();
        for numbers in past.lists.values() {
            for (at, first) in numbers.iter().enumerate() {
                for second in &numbers[at + 1..] {
                    assert!(!before.contains(&(second, first)), "{first} and {second}");
                    before.insert((first, second));
                }
            }
        }
    });
}

#[test]
fn g_one_outcome_for_each() {
    in_each("(g) one outcome for each", |past| {
        let mut told: BTreeMap<&[u8], bool> = BTreeMap::new();
        for event in &past.events {
            let (id, committed) = match event {
                Event::TransactionCommitted { id, .. } => (id, true),
                Event::TransactionFailed { id, .. } if !id.is_empty() => (id, false),
                Event::TransactionEnded { id, outcome }
                | Event::TransactionResolved { id, outcome, .. } => match outcome {
                    TransactionOutcome::Committed => (id, true),
                    TransactionOutcome::Aborted => (id, false),
                    _ => continue,
                },
                Event::TransactionDamaged { id, .. } => panic!("{} is damaged", id.escape_ascii()),
                _ => continue,
            };
            assert_eq!(*told.entry(id).or_insert(committed), committed, "{}", id.escape_ascii());
        }
    });
}
