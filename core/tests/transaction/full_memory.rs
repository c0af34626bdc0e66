//! A server whose memory is full takes no new data, and yet lets every transaction end.

use crate::support::redis_server::RedisServer;
use crate::support::resp::{Client, bytes};
use crate::support::transaction_script::{
    META, RING, failed, finish, finish_retaining, one_phase, prepare, prepare_second, query, stamp,
    txid, work,
};
use comity::redis::{Argv, Reply};
use comity::transaction::{Answer, Confirm, Op, State, Sweep, Verdict};

const NOW: u64 = 9_000_000_000_000_000;

fn run(redis: &mut Client, op: &Op) -> Answer {
    let mut argv: Argv = ["EVAL", &op.script().text()].into_iter().collect();
    op.encode(META.as_bytes(), &mut argv);
    crate::support::stamping::push_member(op, RING, &mut argv);
    let reply = redis.call(&argv);
    Answer::decode(&reply).unwrap_or_else(|| panic!("{op:?}: {reply:?}"))
}

fn full(redis: &mut Client, full: bool) {
    let limit = if full { "1" } else { "0" };
    assert_eq!(redis.command(["CONFIG", "SET", "maxmemory", limit]), Reply::ok());
}

#[test]
fn votes_and_new_data_are_refused_and_nothing_is_left() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp(&mut redis);
    redis.command(["SET", "n", "1"]);
    full(&mut redis, true);
    let lines = work(&["SET a 1", "INCR n", "APPEND b x"]);
    for (slot, how) in [(0, one_phase as fn(_, _, _) -> _), (1, prepare), (2, prepare_second)] {
        let op = how(txid(slot, 1), lines.clone(), NOW);
        let answer = run(&mut redis, &op);
        let (_, error) = failed(&answer).unwrap_or_else(|| panic!("{answer:?}"));
        assert!(error.starts_with("OOM"), "{error}");
        // The refusal is recorded where it has to be, though memory is full.
        let recorded = matches!(answer, Answer::Refused { recorded: true, .. });
        assert_eq!(recorded, slot < 2, "{answer:?}");
        full(&mut redis, false);
        let again = run(&mut redis, &op);
        assert_eq!(again == answer, recorded, "{again:?}");
        full(&mut redis, true);
    }
    let keys = redis.command(["KEYS", "*:0"]);
    assert_eq!(
        crate::support::resp::items(&keys).len(),
        1,
        "the secondary's shadow alone: {keys:?}"
    );
    assert_eq!(bytes(&redis.command(["GET", "n"])), b"1");
}

#[test]
fn what_frees_memory_or_only_reads_goes_on() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp(&mut redis);
    redis.command(["SET", "n", "1"]);
    redis.command(["SET", "m", "1"]);
    full(&mut redis, true);
    let read = run(&mut redis, &one_phase(txid(0, 1), work(&["GET n"]), NOW));
    assert_eq!(read, Answer::Done { replies: vec![Reply::bulk("1")] });
    let deletion = run(&mut redis, &one_phase(txid(0, 2), work(&["DEL n"]), NOW));
    assert_eq!(deletion, Answer::Done { replies: vec![Reply::Integer(1)] });
    let both = work(&["DEL m", "GET other"]);
    let answer = run(&mut redis, &prepare(txid(1, 1), both.clone(), NOW));
    assert!(matches!(answer, Answer::Prepared { .. }), "{answer:?}");
    let answer = run(&mut redis, &finish(txid(1, 1), Verdict::Commit, &both, NOW));
    assert_eq!(answer, Answer::Committed { participants: Vec::new() });
    assert_eq!(redis.command(["EXISTS", "n", "m"]), Reply::Integer(0));
}

#[test]
fn what_was_prepared_before_is_finished() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp(&mut redis);
    redis.command(["SET", "n", "1"]);
    redis.command(["HSET", "h", "f", "1"]);
    let (first, second) = (work(&["INCR n", "HSET h f 2", "SET new v"]), work(&["SET other v"]));
    for (slot, work) in [(0, &first), (1, &second)] {
        let answer = run(&mut redis, &prepare(txid(slot, 1), work.clone(), NOW));
        assert!(matches!(answer, Answer::Prepared { .. }), "{answer:?}");
    }
    full(&mut redis, true);
    let answer = run(&mut redis, &finish(txid(0, 1), Verdict::Commit, &first, NOW));
    assert_eq!(answer, Answer::Committed { participants: Vec::new() });
    let answer = run(&mut redis, &finish(txid(1, 1), Verdict::Abort, &second, NOW));
    assert_eq!(answer, Answer::Aborted);
    assert_eq!(bytes(&redis.command(["GET", "n"])), b"2");
    assert_eq!(bytes(&redis.command(["HGET", "h", "f"])), b"2");
    assert_eq!(bytes(&redis.command(["GET", "new"])), b"v");
    assert_eq!(redis.command(["EXISTS", "other"]), Reply::Integer(0));
    // Tombstones, too.
    let (abort, none) = (finish(txid(4, 1), Verdict::Abort, &work(&[]), NOW), work(&[]));
    let forced = |slot| query(txid(slot, 1), NOW, true);
    for op in [Op::Status(forced(2)), Op::Vote(forced(3)), abort] {
        assert_eq!(run(&mut redis, &op), Answer::Aborted);
    }
    full(&mut redis, false);
    for slot in 2..5 {
        let answer = run(&mut redis, &prepare(txid(slot, 1), none.clone(), NOW));
        assert_eq!(answer, Answer::Aborted);
    }
}

#[test]
fn what_takes_memory_is_refused_behind_what_frees_some() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp(&mut redis);
    redis.command(["MSET", "n", "1", "m", "1", "s", "v"]);
    redis.command(["HSET", "h", "f", "1"]);
    // A transaction before, as on every server but a new one.
    run(&mut redis, &one_phase(txid(9, 1), work(&["GET n"]), NOW));
    run(&mut redis, &one_phase(txid(9, 2), work(&["SET other 1"]), NOW));
    full(&mut redis, true);
    let mut slot = 10;
    for lines in [
        &["DEL n", "SET a 1"][..],
        &["EXPIRE n 100", "GET m", "SADD set a"],
        &["PERSIST n", "GETDEL m", "RPUSH list a"],
        &["HDEL h f", "SET a 1"],
        &["DEL h", "DEL s", "HSET h g 1", "DEL m"],
    ] {
        for (how, records) in
            [(one_phase as fn(_, _, _) -> _, true), (prepare, true), (prepare_second, false)]
        {
            slot += 1;
            let answer = run(&mut redis, &how(txid(slot, 1), work(lines), NOW));
            let (_, error) = failed(&answer).unwrap_or_else(|| panic!("{lines:?}: {answer:?}"));
            assert!(error.starts_with("OOM"), "{error}");
            let recorded = matches!(answer, Answer::Refused { recorded: true, .. });
            assert_eq!(recorded, records);
            assert_eq!(redis.command(["PTTL", "n"]), Reply::Integer(-1), "{lines:?}");
            assert_eq!(redis.command(["EXISTS", "n", "m", "s", "h"]), Reply::Integer(4));
            assert_eq!(redis.command(["HGET", "h", "f"]), Reply::bulk("1"));
        }
    }
    let keys = redis.command(["KEYS", "*"]);
    assert_eq!(crate::support::resp::items(&keys).len(), 6, "{keys:?}");
}

#[test]
fn what_is_in_doubt_is_kept_and_what_is_left_is_swept() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp(&mut redis);
    let set = work(&["SET a 1"]);
    run(&mut redis, &one_phase(txid(0, 1), set.clone(), NOW));
    for slot in 1..4 {
        run(&mut redis, &prepare(txid(slot, 1), work(&["GET a"]), NOW));
    }
    let shadow = [META, ":0123456789abcdef.07:0"].concat();
    redis.command(["SET", &shadow, "x"]);
    redis.command(["HDEL", META, "r0123456789abcdef.01"]);
    full(&mut redis, true);
    for (slot, verdict) in [(0, Verdict::Abort), (2, Verdict::Commit), (4, Verdict::Abort)] {
        let work = if slot == 2 { work(&["GET a"]) } else { set.clone() };
        let answer = run(&mut redis, &finish_retaining(txid(slot, 1), verdict, &work, NOW));
        let aborted = slot == 4;
        assert_eq!(answer == Answer::Aborted, aborted, "{slot}: {answer:?}");
        let register = redis.command(["HGET", META, &format!("r0123456789abcdef.{slot:02}")]);
        assert_ne!(&bytes(&register)[49..65], b"0000000000000000", "it is kept");
    }
    let confirm = Op::Confirm(Confirm { txids: vec![txid(0, 1)] });
    assert_eq!(run(&mut redis, &confirm), Answer::Confirmed { states: vec![Some(State::Done)] });
    // A shared lock of one that is prepared, and of one that is not any more and whose patience is over.
    let page = run(&mut redis, &Op::Sweep(Sweep::Page { cursor: 0 }));
    assert!(matches!(page, Answer::Page { unreadable: 0, .. }), "{page:?}");
    let removed = run(&mut redis, &Op::Sweep(Sweep::Shadows { names: vec![shadow.into_bytes()] }));
    assert_eq!(removed, Answer::Removed { count: 1 });
    let txids = vec![txid(0, 1)];
    let removed = run(&mut redis, &Op::Sweep(Sweep::Registers { txids, kept: true }));
    assert_eq!(removed, Answer::Removed { count: 0 }, "its time is not over");
}
