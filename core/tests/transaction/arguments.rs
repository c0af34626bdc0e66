//! Whatever the arguments of a transaction's script are, the embedded store answers, and refuses
//! what is not an operation without changing anything.
#![allow(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a report, and few words"
)]

use crate::support::transaction_script::{
    META, RING, finish, one_phase, prepare, prepare_second, query, txid, work,
};
use crate::support::{Rng, for_seeds};
use comity::keyspace::ServerTime;
use comity::memory::MemoryStore;
use comity::redis::{Argv, Reply};
use comity::time::Time;
use comity::transaction::{Answer, Confirm, Op, Sweep, Verdict};

const NOW: u64 = 1_750_000_000_000_000;

fn ops() -> Vec<Op> {
    let lines = ["SET s 1", "INCR n", "GET s", "HSET h f 1", "GET other", "lock l", "DEL n"];
    let mut all = work(&lines);
    let read = crate::support::transaction_ops::operation("EXISTS", 1);
    all.checks.push(comity::transaction::Check::new(read, &Reply::Integer(0)));
    vec![
        one_phase(txid(0, 1), all.clone(), NOW),
        one_phase(txid(1, 1), work(&["SET a 1", "INCR b", "APPEND c x"]), NOW),
        prepare(txid(2, 1), all.clone(), NOW),
        prepare_second(txid(3, 1), work(&["SET d 1"]), NOW),
        finish(txid(2, 1), Verdict::Commit, &all, NOW),
        finish(txid(3, 1), Verdict::Abort, &work(&["SET d 1"]), NOW),
        Op::Status(query(txid(2, 1), NOW, true)),
        Op::Vote(query(txid(3, 1), NOW, false)),
        Op::Sweep(Sweep::Page { cursor: 0 }),
        Op::Sweep(Sweep::Registers { txids: vec![txid(0, 1), txid(5, 9)], kept: true }),
        Op::Sweep(Sweep::Find { cursor: 0 }),
        Op::Confirm(Confirm { txids: vec![txid(0, 1), txid(5, 9)] }),
        Op::Sweep(Sweep::Shadows { names: vec![b"x".to_vec(), META.into()] }),
    ]
}

fn words(op: &Op) -> Vec<Vec<u8>> {
    let mut argv: Argv = ["EVAL", &op.script().text()].into_iter().collect();
    op.encode(META.as_bytes(), &mut argv);
    crate::support::stamping::push_member(op, RING, &mut argv);
    argv.iter().map(<[u8]>::to_vec).collect()
}

fn execute(store: &mut MemoryStore, words: &[Vec<u8>]) -> Reply {
    store.execute(&words.iter().collect(), Time::from_micros(NOW))
}

#[test]
fn operations_are_understood_as_they_were_meant() {
    let mut store = MemoryStore::new();
    for op in ops() {
        let reply = execute(&mut store, &words(&op));
        assert!(Answer::decode(&reply).is_some(), "{op:?}: {reply:?}");
    }
}

#[test]
fn arguments_that_are_none_are_refused() {
    let (mut refused, mut answered) = (0, 0);
    for_seeds("spoilt arguments", 4_000, |seed| {
        let mut rng = Rng::new(seed);
        let mut store = MemoryStore::new();
        let ops = ops();
        for op in &ops[..rng.index(ops.len())] {
            execute(&mut store, &words(op));
        }
        let mut words = words(&rng.pick(&ops));
        for _ in 0..rng.between(1, 2) {
            spoil(&mut rng, &mut words);
        }
        store.keyspace_mut().set_now(ServerTime(NOW));
        let before = store.keyspace().clone();
        let reply = execute(&mut store, &words);
        match Answer::decode(&reply) {
            Some(_) => answered += 1,
            None => {
                assert!(matches!(reply, Reply::Error(_)), "{reply:?}");
                assert_eq!(*store.keyspace(), before, "a refused call has changed something");
                refused += 1;
            }
        }
    });
    println!("{refused} refused, {answered} answered");
    assert!(refused > 500 && answered > 100 || refused + answered < 100);
}

fn spoil(rng: &mut Rng, words: &mut Vec<Vec<u8>>) {
    // Behind the name of the command and the script.
    let at = rng.between(2, words.len() as u64 - 1) as usize;
    match rng.below(6) {
        0 => words.truncate(at.max(3)),
        1 => drop(words.remove(at)),
        2 => words.insert(at, rng.pick(words)),
        3 => words[at] = rng.pick(words),
        4 => words[at] = rng.pick(&["", "-1", "99999999999999999999", "x", "S", "D"]).into(),
        _ => {
            if let Some(byte) = words[at].first_mut() {
                *byte = byte.wrapping_add(1);
            }
        }
    }
    if words.len() < 3 {
        words.push(b"1".to_vec());
    }
}
