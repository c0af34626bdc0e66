//! A transaction that is refused leaves everything as it was: values, types, and ends; on a real
//! server and in the embedded store.
#![allow(clippy::cast_possible_truncation, reason = "few operations")]

use crate::support::redis_server::RedisServer;
use crate::support::resp::bytes;
use crate::support::transaction_pair::TransactionPair;
use crate::support::transaction_script::{
    META, RING, failed, finish, one_phase, prepare, prepare_second, query, stamp, txid, work,
};
use comity::redis::{Argv, Reply};
use comity::transaction::{Answer, Rejection, Verdict, Work};

/// Keys of every type, with and without an end.
fn filled(server: &RedisServer) -> TransactionPair {
    let mut pair = TransactionPair::new(server);
    for line in [
        "SET n 5",
        "SET m 9007199254740993 PX 500000",
        "SET s text PX 700000",
        "SET f 1.5",
        "HSET h f 1 g 2",
        "PEXPIRE h 800000",
        "RPUSH l a b c",
        "SADD e a b",
        "PEXPIRE e 900000",
        "ZADD z 1 a 2 b",
        "SET alone text PX 400000",
        "HSET apart f 1",
    ] {
        pair.line(line);
    }
    pair
}

/// What can stand around an operation that fails.
const AROUND: [&str; 14] = [
    "INCRBY n 3",
    "INCRBY m 1",
    "APPEND s more",
    "SETRANGE s 1 x",
    "INCRBYFLOAT f 0.25",
    "INCR new",
    "SET n2 1",
    "SET s2 1 PX 600000",
    "HSET h f 3",
    "LPUSH l z",
    "SADD e c",
    "ZREM z a",
    "EXPIRE other 50",
    "DEL gone",
];

/// On keys of the others, which goes by shadows, and on keys of their own, which goes without.
const WRONG: [&str; 11] = [
    "HSET s f v",
    "LPUSH h x",
    "INCR l",
    "SADD z x",
    "ZADD e 1 x",
    "SET h v GET",
    "INCR apart",
    "ZADD apart 1 x",
    "HSET alone f v",
    "LINDEX alone 0",
    "SET apart v GET",
];

#[test]
fn an_operation_on_a_wrong_type_fails_the_transaction_in_every_position() {
    let server = RedisServer::start();
    let mut pair = filled(&server);
    let (before, mut seq) = (pair.data(), 0);
    for wrong in WRONG {
        for position in 0..=AROUND.len() {
            let mut lines = AROUND.to_vec();
            lines.insert(position, wrong);
            let work = work(&lines);
            for how in [one_phase, prepare, prepare_second] {
                seq += 1;
                let answer = pair.both(&how(txid(0, seq), work.clone(), pair.now));
                let (operation, error) = failed(&answer).unwrap_or_else(|| panic!("{answer:?}"));
                assert!(error.starts_with("WRONGTYPE"), "{wrong}: {error}");
                assert_eq!(operation, position as u32, "{wrong} in {lines:?}");
                assert_eq!(pair.data(), before, "{wrong} in position {position}");
            }
        }
    }
}

#[test]
fn operations_on_keys_of_their_own_need_no_shadows() {
    let server = RedisServer::start();
    let mut pair = filled(&server);
    let before = pair.data();
    pair.redis.command(["CONFIG", "RESETSTAT"]);
    for (seq, wrong) in (1..).zip(&WRONG[6..]) {
        let lines: Vec<&str> = AROUND.into_iter().chain([*wrong]).collect();
        let answer = pair.both(&one_phase(txid(0, seq), work(&lines), pair.now));
        assert_eq!(failed(&answer).map(|(place, _)| place), Some(AROUND.len() as u32), "{wrong}");
        assert_eq!(pair.data(), before, "{wrong}");
    }
    assert!(!copies(&mut pair));
}

#[test]
fn strings_come_back_with_their_ends() {
    let server = RedisServer::start();
    let mut pair = filled(&server);
    let before = pair.data();
    // The last fails on the value, so that everything before it was executed and is undone.
    let lines = ["APPEND s x", "INCR m", "INCR new", "APPEND s y", "INCRBYFLOAT n 0.5", "INCR f"];
    let answer = pair.both(&one_phase(txid(0, 1), work(&lines), pair.now));
    assert_eq!(failed(&answer).map(|(operation, _)| operation), Some(5));
    assert_eq!(pair.data(), before);
    let answer = pair.both(&one_phase(txid(0, 2), work(&lines[..5]), pair.now));
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    assert_ne!(pair.data(), before);
}

#[test]
fn a_prepared_transaction_is_seen_by_nobody_until_it_is_finished() {
    let server = RedisServer::start();
    let mut pair = filled(&server);
    let before = pair.data();
    let lines = ["INCR n", "SET s new", "HSET h f 9", "DEL l", "EXPIRE e 1000", "RPUSH list a"];
    for (seq, verdict) in [(1, Verdict::Abort), (2, Verdict::Release), (3, Verdict::Commit)] {
        let work = work(&lines);
        let answer = pair.both(&prepare(txid(0, seq), work.clone(), pair.now));
        assert!(matches!(answer, Answer::Prepared { .. }), "{answer:?}");
        let shadows = pair.shadows();
        let data: Vec<String> =
            pair.data().into_iter().filter(|line| !line.starts_with(META)).collect();
        assert_eq!(data, before);
        assert_eq!(shadows.len(), 5);
        let answer = pair.both(&finish(txid(0, seq), verdict, &work, pair.now));
        assert!(pair.shadows().is_empty());
        if verdict == Verdict::Commit {
            assert_eq!(answer, Answer::Committed { participants: Vec::new() });
        } else {
            assert_eq!(answer, Answer::Aborted);
            assert_eq!(pair.data(), before);
        }
    }
    let expected = [
        ("GET n", "6"),
        ("GET s", "new"),
        ("HGET h f", "9"),
        ("HGET h g", "2"),
        ("TYPE l", "none"),
    ];
    for (line, value) in expected {
        assert_eq!(bytes(&pair.line(line)), value.as_bytes(), "{line}");
    }
    let left = |pair: &TransactionPair, key: &[u8]| pair.store.keyspace().ttl_ms(key);
    assert_eq!(left(&pair, b"h"), Some(800_000));
    assert_eq!(left(&pair, b"s"), None);
    assert_eq!(left(&pair, b"e"), Some(1_000_000));
}

#[test]
fn integers_are_exact_beyond_2_to_53() {
    let server = RedisServer::start();
    let mut pair = filled(&server);
    let edge = 1_i64 << 53;
    let mut seq = 0;
    for start in [edge - 2, edge - 1, edge, edge + 1, i64::MAX - 2, -edge, -edge - 2, i64::MIN] {
        for how in [one_phase, prepare] {
            pair.line(&format!("SET n {start}"));
            pair.line(&format!("HSET h f {start}"));
            seq += 1;
            let mut lines = vec!["INCR n", "GET n", "HINCRBY h f 1", "INCRBY n 1", "HINCRBY h f 1"];
            lines.push("DECRBY n 2");
            let work = work(&lines);
            let op = how(txid(0, seq), work.clone(), pair.now);
            let replies = match pair.both(&op) {
                Answer::Done { replies } | Answer::Prepared { replies, .. } => replies,
                other => panic!("{start}: {other:?}"),
            };
            let number = |more| Reply::Integer(start + more);
            let text = Reply::bulk((start + 1).to_string());
            let expected = [number(1), text, number(1), number(2), number(2), number(0)];
            assert_eq!(replies, expected, "{start}");
            // A copy of the call is answered the same.
            pair.both(&op);
            pair.both(&finish(txid(0, seq), Verdict::Commit, &work, pair.now));
        }
    }
    let overflow =
        one_phase(txid(0, 99), work(&["INCR m", "INCRBY n 9223372036854775807"]), pair.now);
    pair.line("SET n 1");
    let before = pair.data();
    assert_eq!(failed(&pair.both(&overflow)).map(|(operation, _)| operation), Some(1));
    assert_eq!(pair.data(), before);
}

fn copies(pair: &mut TransactionPair) -> bool {
    let stats = pair.redis.command(["INFO", "commandstats"]);
    bytes(&stats).windows(13).any(|window| window == b"cmdstat_copy:")
}

#[test]
fn large_collections_are_changed_where_they_are_and_never_copied() {
    let server = RedisServer::start();
    let mut pair = filled(&server);
    for part in 0..60 {
        let fields: Vec<String> =
            (0..200).flat_map(|n| [format!("f{part}:{n}"), "v".into()]).collect();
        let words: Vec<&[u8]> = ["HSET", "big"]
            .into_iter()
            .chain(fields.iter().map(String::as_str))
            .map(str::as_bytes)
            .collect();
        pair.command(&words);
    }
    pair.redis.command(["CONFIG", "RESETSTAT"]);
    let lines = ["INCR n", "HSET big f v", "HGET big f", "RPUSH l x", "EXPIRE big 1000"];
    let answer = pair.both(&one_phase(txid(0, 1), work(&lines), pair.now));
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    // One that cannot be undone, as long as nothing that can fail follows it.
    let lines = ["HINCRBY big number 1", "INCR n", "SET s 1"];
    let answer = pair.both(&one_phase(txid(0, 2), work(&lines), pair.now));
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    assert!(!copies(&mut pair));

    let answer = pair.both(&prepare(txid(0, 3), work(&["INCR n", "HSET big f w"]), pair.now));
    let why = Rejection::Large { key: 1, size: 12_002, limit: 10_000 };
    assert_eq!(answer, Answer::Refused { recorded: true, why });
    assert!(pair.shadows().is_empty());
    // To be deleted or overwritten it needs no copy.
    for (seq, line) in [(4, "DEL big"), (6, "SET big v")] {
        let work = work(&[line]);
        let answer = pair.both(&prepare(txid(0, seq), work.clone(), pair.now));
        assert!(matches!(answer, Answer::Prepared { .. }), "{answer:?}");
        pair.both(&finish(txid(0, seq), Verdict::Commit, &work, pair.now));
    }
    assert_eq!(bytes(&pair.line("GET big")), b"v");

    let small = |lines: &[&str]| Work { copy_bytes: 10, ..work(lines) };
    pair.line("SET s 0123456789a");
    let answer = pair.both(&prepare(txid(0, 8), small(&["APPEND s x"]), pair.now));
    let why = Rejection::Large { key: 0, size: 11, limit: 10 };
    assert_eq!(answer, Answer::Refused { recorded: true, why });
    pair.line("SET s 0123456789");
    let answer = pair.both(&prepare(txid(0, 9), small(&["APPEND s x"]), pair.now));
    assert!(matches!(answer, Answer::Prepared { .. }), "{answer:?}");
}

#[test]
fn a_refused_copy_is_answered_with_its_refusal() {
    let server = RedisServer::start();
    let mut pair = filled(&server);
    let wrong = work(&["INCR n", "INCR l"]);
    for (seq, how) in [(1, one_phase as fn(_, _, _) -> _), (2, prepare)] {
        let op = how(txid(0, seq), wrong.clone(), pair.now);
        let refused = pair.both(&op);
        assert!(matches!(refused, Answer::Refused { recorded: true, .. }), "{refused:?}");
        // Where what was wrong is not so any more, too.
        pair.line("DEL l");
        assert_eq!(pair.both(&op), refused);
        let status = comity::transaction::Op::Status(query(txid(0, seq), pair.now, false));
        assert_eq!(pair.both(&status), Answer::Aborted);
        pair.line("RPUSH l a b c");
    }
    // At a secondary nothing is recorded: the next copy is asked anew.
    let op = prepare_second(txid(0, 3), wrong, pair.now);
    assert!(matches!(pair.both(&op), Answer::Refused { recorded: false, .. }));
    pair.line("DEL l");
    assert!(matches!(pair.both(&op), Answer::Prepared { .. }));
}

#[test]
fn a_missing_permission_is_told_where_it_leaves_a_half() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    stamp(&mut redis);
    let user = ["ACL", "SETUSER", "default", "-set", "-del"];
    redis.command(["SET", "a", "1"]);
    assert_eq!(redis.command(user), Reply::ok());
    let mut run = |op: &comity::transaction::Op| {
        let mut argv: Argv = ["EVAL", &op.script().text()].into_iter().collect();
        op.encode(META.as_bytes(), &mut argv);
        crate::support::stamping::push_member(op, RING, &mut argv);
        Answer::decode(&redis.call(&argv)).expect("an answer")
    };
    let now = 9_000_000_000_000_000;
    // The first of all fails before anything is executed; behind others it is too late.
    let clean = failed(&run(&one_phase(txid(0, 1), work(&["SET b 1"]), now)));
    let half = one_phase(txid(0, 2), work(&["INCR a", "SET b 1"]), now);
    let first = run(&half);
    assert_eq!(run(&half), first);
    let undo = failed(&run(&one_phase(txid(0, 3), work(&["INCR a", "INCR c", "SET b 1"]), now)));
    let told = |failed: Option<(u32, String)>| failed.expect("refused").1.starts_with("ERR others");
    assert!(!told(clean) && told(failed(&first)) && told(undo));
    let shadows =
        failed(&run(&one_phase(txid(0, 4), work(&["HSET h f 1", "GET h", "SET b 1"]), now)));
    assert!(!told(shadows));
    assert_eq!(redis.command(["EXISTS", "h", "b"]), Reply::Integer(0));
    assert_eq!(bytes(&redis.command(["GET", "a"])), b"3");
}
