//! A server whose memory is full takes no new data, and yet lets every transaction end.

mod support;

use comity::redis::{Argv, Reply};
use comity::transaction::{Answer, Op, Verdict};
use support::redis_server::RedisServer;
use support::resp::{Client, bytes};
use support::transaction_script::{
    META, exec1, failed, finish, prepare, prepare_second, query, txid, work,
};

const NOW: u64 = 9_000_000_000_000_000;

fn run(redis: &mut Client, op: &Op) -> Answer {
    let mut argv: Argv = ["EVAL", &op.script().text()].into_iter().collect();
    op.encode(META.as_bytes(), &mut argv);
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
    redis.command(["SET", "n", "1"]);
    full(&mut redis, true);
    let lines = work(&["SET a 1", "INCR n", "APPEND b x"]);
    for (slot, how) in [(0, exec1 as fn(_, _, _) -> _), (1, prepare), (2, prepare_second)] {
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
    assert_eq!(support::resp::items(&keys).len(), 1, "the secondary's shadow alone: {keys:?}");
    assert_eq!(bytes(&redis.command(["GET", "n"])), b"1");
}

#[test]
fn what_frees_memory_or_only_reads_goes_on() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    redis.command(["SET", "n", "1"]);
    redis.command(["SET", "m", "1"]);
    full(&mut redis, true);
    let read = run(&mut redis, &exec1(txid(0, 1), work(&["GET n"]), NOW));
    assert_eq!(read, Answer::Done { replies: vec![Reply::bulk("1")] });
    let deletion = run(&mut redis, &exec1(txid(0, 2), work(&["DEL n"]), NOW));
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
