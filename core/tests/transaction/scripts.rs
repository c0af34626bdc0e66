//! The rules of slots, locks, recovery and cleaning up, one by one, on a real server and in the
//! embedded store.

use crate::support::redis_server::RedisServer;
use crate::support::transaction_ops::operation;
use crate::support::transaction_pair::TransactionPair;
use crate::support::transaction_script::{
    META, RING, finish, one_phase, prepare, prepare_second, query, txid, work,
};
use comity::keyspace::ServerTime;
use comity::redis::{Argv, Reply};
use comity::stamp::Stamp;
use comity::time::Span;
use comity::transaction::{
    Answer, Check, Confirm, MAX_SHARED, Op, Operation, Prepare, Rejection, Role, State, Sweep,
    Txid, Verdict,
};

fn committed() -> Answer {
    Answer::Committed { participants: Vec::new() }
}

fn is_prepared(answer: &Answer) -> bool {
    matches!(answer, Answer::Prepared { .. })
}

fn locked_by(answer: &Answer) -> Option<Txid> {
    match answer {
        Answer::Refused { why: Rejection::Locked { holder, .. }, .. } => Some(*holder),
        _ => None,
    }
}

#[test]
fn a_lower_sequence_is_stale_in_every_script() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    pair.both(&one_phase(txid(0, 5), work(&["SET a 1"]), pair.now));
    let (now, set) = (pair.now, work(&["SET a 2"]));
    for op in [
        one_phase(txid(0, 4), set.clone(), now),
        prepare(txid(0, 4), set.clone(), now),
        finish(txid(0, 4), Verdict::Commit, &set, now),
        finish(txid(0, 4), Verdict::Abort, &set, now),
        Op::Status(query(txid(0, 4), now, true)),
        Op::Vote(query(txid(0, 4), now, true)),
    ] {
        assert_eq!(pair.both(&op), Answer::Stale { now: ServerTime(now) }, "{op:?}");
    }
}

#[test]
fn a_vote_of_an_earlier_sequence_is_never_replaced() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let (now, set) = (pair.now, work(&["SET a 1"]));
    assert!(is_prepared(&pair.both(&prepare(txid(0, 5), set.clone(), now))));
    for op in [
        one_phase(txid(0, 6), work(&["SET b 2"]), now),
        prepare(txid(0, 6), work(&["SET b 2"]), now),
        finish(txid(0, 6), Verdict::Abort, &set, now),
        Op::Status(query(txid(0, 6), now, true)),
        Op::Vote(query(txid(0, 6), now, true)),
    ] {
        assert_eq!(pair.both(&op), Answer::Pending { earlier: txid(0, 5) }, "{op:?}");
    }
    assert_eq!(pair.both(&finish(txid(0, 5), Verdict::Commit, &set, now)), committed());
}

#[test]
fn what_comes_after_its_not_after_is_stale_and_a_vote_is_no() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let (sent, set) = (pair.now, work(&["SET a 1"]));
    pair.advance(1_000_001).unwrap();
    let stale = Answer::Stale { now: ServerTime(pair.now) };
    for op in [
        one_phase(txid(0, 1), set.clone(), sent),
        prepare(txid(0, 1), set.clone(), sent),
        finish(txid(0, 1), Verdict::Commit, &set, sent),
        finish(txid(0, 1), Verdict::Abort, &set, sent),
        Op::Status(query(txid(0, 1), sent, true)),
    ] {
        assert_eq!(pair.both(&op), stale, "{op:?}");
    }
    assert_eq!(pair.both(&Op::Vote(query(txid(0, 1), sent, true))), Answer::Aborted);
    // None of them has recorded anything.
    assert!(pair.data().iter().all(|line| line.starts_with("comity:1:t:{b} ")));
    assert_eq!(pair.line(&format!("HLEN {META}")), Reply::Integer(2), "the stamp alone");
}

#[test]
fn a_question_by_force_keeps_a_late_vote_out() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let now = pair.now;
    for (slot, op) in [
        (0, Op::Status(query(txid(0, 1), now, true))),
        (1, Op::Vote(query(txid(1, 1), now, true))),
        (2, finish(txid(2, 1), Verdict::Abort, &work(&[]), now)),
    ] {
        assert_eq!(pair.both(&op), Answer::Aborted);
        for how in [one_phase, prepare, prepare_second] {
            let late = how(txid(slot, 1), work(&["SET a 1"]), now);
            assert_eq!(pair.both(&late), Answer::Aborted);
        }
    }
    let quiet = finish(txid(3, 1), Verdict::Release, &work(&[]), now);
    assert_eq!(pair.both(&quiet), Answer::Nothing);
    assert_eq!(pair.both(&Op::Vote(query(txid(4, 1), now, false))), Answer::Nothing);
    for slot in [3, 4] {
        let late = prepare(txid(slot, 1), work(&[&format!("SET a{slot} 1")]), now);
        assert!(is_prepared(&pair.both(&late)));
    }
}

#[test]
fn questions_tell_what_finishing_needs() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let (now, both) = (pair.now, work(&["SET a 1", "GET b", "lock c"]));
    pair.both(&prepare(txid(0, 1), both.clone(), now));
    let Answer::Staging(held) = pair.both(&Op::Status(query(txid(0, 1), now, true))) else {
        panic!("staging")
    };
    assert_eq!(held.keys, both.keys);
    assert_eq!(held.deadline, ServerTime(now).after(Span::from_secs(5)));
    assert_eq!(held.not_after, ServerTime(now + 1_000_000));
    let participants = vec![b"a".to_vec(), b"b".to_vec()];
    assert_eq!(held.role, Role::Primary { participants: participants.clone() });
    pair.both(&finish(txid(0, 1), Verdict::Commit, &both, now));
    let status = pair.both(&Op::Status(query(txid(0, 1), now, true)));
    assert_eq!(status, Answer::Committed { participants });
    // The replies are still there for the coordinator.
    let again = pair.both(&prepare(txid(0, 1), both.clone(), now));
    assert_eq!(again, Answer::Done { replies: vec![Reply::ok(), Reply::Nil] });

    pair.both(&prepare_second(txid(1, 1), both.clone(), now));
    let Answer::Yes(held) = pair.both(&Op::Vote(query(txid(1, 1), now, false))) else {
        panic!("yes")
    };
    assert_eq!((held.keys, held.role.primary()), (both.keys.clone(), &b"a"[..]));
    assert_eq!(pair.both(&Op::Status(query(txid(1, 1), now, true))), Answer::Mismatch);
    let other = work(&["SET a 1", "GET b"]);
    assert_eq!(pair.both(&finish(txid(1, 1), Verdict::Commit, &other, now)), Answer::Mismatch);
    assert_eq!(pair.both(&prepare_second(txid(1, 1), other, now)), Answer::Mismatch);
}

#[test]
fn a_key_has_one_writer_or_32_readers() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let (now, read, write) = (pair.now, work(&["GET a"]), work(&["SET a 1"]));
    let readers = 0..u8::try_from(MAX_SHARED).unwrap();
    for slot in readers.clone() {
        assert!(is_prepared(&pair.both(&prepare(txid(slot, 1), read.clone(), now))));
    }
    let full = pair.both(&prepare_second(txid(60, 1), read.clone(), now));
    assert!(locked_by(&full).is_some());
    // Who only reads here and now joins nobody.
    let reads = pair.both(&one_phase(txid(61, 1), read.clone(), now));
    assert!(matches!(reads, Answer::Done { .. }), "{reads:?}");
    for (slot, how) in [(62, one_phase as fn(_, _, _) -> _), (63, prepare)] {
        let answer = pair.both(&how(txid(slot, 1), write.clone(), now));
        assert!(locked_by(&answer).is_some(), "{answer:?}");
    }
    for slot in readers {
        let aborted = finish(txid(slot, 1), Verdict::Abort, &read, now);
        assert_eq!(pair.both(&aborted), Answer::Aborted);
    }
    assert!(is_prepared(&pair.both(&prepare(txid(63, 2), write.clone(), now))));
    let read_only = pair.both(&one_phase(txid(61, 2), read.clone(), now));
    assert_eq!(locked_by(&read_only), Some(txid(63, 2)));
}

#[test]
fn a_writer_who_waits_keeps_new_readers_out() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let (now, read) = (pair.now, work(&["GET a"]));
    assert!(is_prepared(&pair.both(&prepare(txid(0, 1), read.clone(), now))));
    assert!(is_prepared(&pair.both(&prepare(txid(1, 1), read.clone(), now))));
    let Op::Prepare(waiting) = prepare(txid(2, 1), work(&["SET a 1"]), now) else { panic!() };
    let waiting = Op::Prepare(Prepare { keep: true, ..waiting });
    let refused = pair.both(&waiting);
    assert!(matches!(refused, Answer::Refused { recorded: false, .. }), "{refused:?}");
    let reader = pair.both(&prepare(txid(3, 1), read.clone(), now));
    assert_eq!(locked_by(&reader), Some(txid(0, 1)));
    for slot in 0..2 {
        pair.both(&finish(txid(slot, 1), Verdict::Commit, &read, now));
    }
    assert!(is_prepared(&pair.both(&waiting)));
    pair.both(&finish(txid(2, 1), Verdict::Abort, &work(&["SET a 1"]), now));
    // And not for ever.
    assert!(is_prepared(&pair.both(&prepare(txid(4, 1), read.clone(), now))));
    let refused = pair.both(&prepare(txid(5, 1), work(&["SET a 1"]), now));
    assert!(matches!(refused, Answer::Refused { recorded: true, .. }), "{refused:?}");
    pair.advance(50_001).unwrap();
    assert!(is_prepared(&pair.both(&prepare(txid(6, 1), read, pair.now))));
}

#[test]
fn another_ring_is_refused_and_may_still_finish() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let (now, set) = (pair.now, work(&["SET a 1"]));
    pair.both(&prepare(txid(0, 1), set.clone(), now));
    let other = Stamp::settled(0xfeed).to_string();
    pair.command(&[b"HSET", META.as_bytes(), b"e", other.as_bytes()]);
    let ring = |recorded, members: &str| {
        let (theirs, members) = (other.clone().into_bytes(), members.into());
        Answer::Refused { recorded, why: Rejection::Ring { theirs, members } }
    };
    let one_phase = one_phase(txid(1, 1), work(&["SET b 1"]), now);
    assert_eq!(pair.both(&one_phase), ring(true, "1;1:a,1;"));
    // What is recorded is short.
    assert_eq!(pair.both(&one_phase), ring(true, ""));
    let refused = pair.both(&prepare_second(txid(2, 1), work(&["SET b 1"]), now));
    assert_eq!(refused, ring(false, "1;1:a,1;"));
    assert_eq!(pair.both(&finish(txid(0, 1), Verdict::Commit, &set, now)), committed());
}

#[test]
fn without_a_stamp_nothing_is_done_or_recorded() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let now = pair.now;
    // An earlier version's is as good as none.
    let earlier = RING.to_string()[..46].to_string();
    for found in ["", "000000000000feed", earlier.as_str()] {
        pair.command(&[b"DEL", META.as_bytes()]);
        if !found.is_empty() {
            pair.command(&[b"HSET", META.as_bytes(), b"e", found.as_bytes()]);
        }
        let fields = pair.command(&[b"HLEN", META.as_bytes()]);
        let ops =
            [one_phase, prepare, prepare_second].map(|op| op(txid(1, 1), work(&["SET b 1"]), now));
        for op in ops {
            assert_eq!(pair.both(&op), Answer::Unstamped { found: found.into() });
        }
        assert_eq!(pair.command(&[b"HLEN", META.as_bytes()]), fields);
    }
}

fn check(line: &str, reply: &Reply) -> Check {
    let Operation { name, arguments, .. } = operation(line, 0);
    Check::new(Operation { name, key: 0, arguments }, reply)
}

#[test]
fn what_was_read_has_to_be_the_same_in_whatever_order() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let members: Vec<String> = (0..600).map(|n| format!("member{:03}", n * 7 % 600)).collect();
    let words = ["SADD", "e"].into_iter().chain(members.iter().map(String::as_str));
    pair.command(&words.map(str::as_bytes).collect::<Vec<_>>());
    let words = ["HSET", "h"].into_iter().chain(members.iter().map(String::as_str));
    pair.command(&words.map(str::as_bytes).collect::<Vec<_>>());
    pair.line("SET s a-value-that-is-longer-than-what-is-compared-as-it-is-and-goes-by-its-digest");
    let mut seq = 0;
    for (key, read, change) in [
        ("e", "SMEMBERS", "SREM e member599"),
        ("h", "HGETALL", "HSET h member000 other"),
        ("s", "GET", "APPEND s x"),
        ("z", "ZRANGE 0 -1", "ZADD z 1 a"),
        ("z", "EXISTS", "DEL z"),
    ] {
        let (name, rest) = read.split_once(' ').unwrap_or((read, ""));
        let line = format!("{name} {key} {rest}");
        let reply = pair.redis.command(line.split_whitespace());
        let mut work = work(&[&format!("lock {key}")]);
        work.checks.push(check(read, &reply));
        for expected in [true, false] {
            seq += 1;
            let answer = pair.both(&one_phase(txid(0, seq), work.clone(), pair.now));
            let done = Answer::Done { replies: Vec::new() };
            let why = Rejection::Changed { check: 0 };
            let changed = Answer::Refused { recorded: false, why };
            assert_eq!(answer, if expected { done } else { changed }, "{line}");
            pair.line(change);
        }
    }
}

#[test]
fn a_shadow_whose_end_has_come_is_not_lost() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    pair.line("SET b old");
    let lines = ["SET a 1 PX 200000", "SET b 2", "HSET c f 1"];
    let all = work(&lines);
    pair.both(&prepare(txid(0, 1), all.clone(), pair.now));
    pair.advance(200_000_000).unwrap();
    let shadow = pair.shadows().remove(0);
    pair.command(&[b"DEL", &shadow]);
    let answer = pair.both(&finish(txid(0, 1), Verdict::Commit, &all, pair.now));
    assert_eq!(answer, Answer::Lost { keys: vec![b"b".to_vec()] });
    assert_eq!(pair.line("GET b"), Reply::bulk("old"));
    assert_eq!(pair.line("EXISTS a c"), Reply::Integer(1));
    // It is told once.
    let again = pair.both(&finish(txid(0, 1), Verdict::Commit, &all, pair.now));
    assert_eq!(again, committed());
}

#[test]
fn a_lock_that_is_gone_is_told_and_its_key_left_alone() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let (now, all) = (pair.now, work(&["SET a 1", "SET b 1", "GET c"]));
    pair.both(&prepare(txid(0, 1), all.clone(), now));
    for field in [&b"ka"[..], b"kc"] {
        pair.command(&[b"HDEL", META.as_bytes(), field]);
    }
    let other = work(&["SET a 2"]);
    pair.both(&prepare(txid(1, 1), other.clone(), now));
    let answer = pair.both(&finish(txid(0, 1), Verdict::Commit, &all, now));
    assert_eq!(answer, Answer::Lost { keys: vec![b"a".to_vec(), b"c".to_vec()] });
    assert_eq!(pair.both(&finish(txid(1, 1), Verdict::Commit, &other, now)), committed());
    assert_eq!(pair.line("GET a"), Reply::bulk("2"));
    assert_eq!(pair.line("GET b"), Reply::bulk("1"));
    assert!(pair.shadows().is_empty());
}

#[test]
fn sweeping_finds_what_is_left_and_nothing_else() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let now = pair.now;
    let page = Op::Sweep(Sweep::Page { cursor: 0 });
    pair.both(&one_phase(txid(0, 1), work(&["SET a 1"]), now));
    pair.both(&prepare(txid(1, 1), work(&["SET b 1"]), now));
    pair.both(&Op::Vote(query(txid(2, 1), now, true)));
    let found = |pair: &mut TransactionPair| match pair.both(&page) {
        Answer::Page { found, .. } => {
            let mut found: Vec<_> = found.into_iter().map(|s| (s.txid, s.state)).collect();
            found.sort_by_key(|(txid, _)| *txid);
            found
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(found(&mut pair), []);
    pair.advance(5_000_000).unwrap();
    assert_eq!(found(&mut pair), [(txid(1, 1), State::Prepared)]);
    let all = Op::Sweep(Sweep::Registers {
        txids: (0..3).map(|slot| txid(slot, 1)).collect(),
        kept: false,
    });
    assert_eq!(pair.both(&all), Answer::Removed { count: 0 });
    pair.advance(3_600_000_000).unwrap();
    let expected =
        [(txid(0, 1), State::Done), (txid(1, 1), State::Prepared), (txid(2, 1), State::Aborted)];
    assert_eq!(found(&mut pair), expected);
    // Used again in the meantime: it stays.
    pair.both(&one_phase(txid(0, 2), work(&["SET a 2"]), pair.now));
    assert_eq!(pair.both(&all), Answer::Removed { count: 1 });

    let shadow = pair.shadows().remove(0);
    let left = [META, ":0123456789abcdef.07:0"].concat();
    pair.command(&[b"SET", left.as_bytes(), b"x"]);
    let names = vec![shadow, left.into_bytes(), b"a".to_vec(), META.into()];
    let answer = pair.both(&Op::Sweep(Sweep::Shadows { names }));
    assert_eq!(answer, Answer::Removed { count: 1 });

    // A lock whose vote was lost is removed when it may be recovered.
    let read = work(&["GET r"]);
    for slot in [4, 5] {
        pair.both(&prepare(txid(slot, 1), read.clone(), pair.now));
    }
    pair.command(&[b"HDEL", META.as_bytes(), b"r0123456789abcdef.01", b"r0123456789abcdef.04"]);
    pair.both(&page);
    let fields = |pair: &mut TransactionPair| pair.line(&format!("HMGET {META} kb kr"));
    let length = |reply: Reply| match reply {
        Reply::Array(items) => {
            items.iter().map(|item| crate::support::resp::bytes(item).len()).collect()
        }
        other => panic!("{other:?}"),
    };
    let before: Vec<usize> = length(fields(&mut pair));
    pair.advance(5_000_000).unwrap();
    pair.both(&page);
    let after: Vec<usize> = length(fields(&mut pair));
    assert_eq!(before[0], 0);
    assert!(after[1] > 0 && after[1] < before[1], "{before:?} {after:?}");
}

#[test]
fn sweeping_comes_to_an_end_and_misses_nothing() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let registers = 600;
    for number in 0..registers {
        // Straight to both: comparing everything after each would take long.
        let field = format!("r{number:016x}.00");
        let register = format!("{:016}A{:016}{:016}{:016}1,0,0,s", 1, 0, 7, 0);
        pair.command(&[b"HSET", META.as_bytes(), field.as_bytes(), register.as_bytes()]);
    }
    let mut found = [const { std::collections::BTreeSet::new() }; 2];
    for (real, found) in [true, false].into_iter().zip(&mut found) {
        let mut cursor = 0;
        for _ in 0..registers {
            let page = Op::Sweep(Sweep::Page { cursor });
            let mut argv: Argv = ["EVAL", &page.script().text()].into_iter().collect();
            page.encode(META.as_bytes(), &mut argv);
            crate::support::stamping::push_member(&page, RING, &mut argv);
            let now = comity::time::Time::from_micros(pair.now);
            let reply = if real { pair.redis.call(&argv) } else { pair.store.execute(&argv, now) };
            let Some(Answer::Page { cursor: next, found: some, .. }) = Answer::decode(&reply)
            else {
                panic!("{reply:?}")
            };
            found.extend(some.into_iter().map(|swept| swept.txid));
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(cursor, 0);
        assert_eq!(found.len(), registers);
    }
    assert_eq!(found[0], found[1]);
    let [txids, _] = found;
    let all = Op::Sweep(Sweep::Registers { txids: txids.into_iter().collect(), kept: false });
    assert_eq!(pair.both(&all), Answer::Removed { count: registers as u64 });
}

#[test]
fn shadows_are_found_among_many_keys() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    // What the pattern of a search means to itself is a name like any other.
    for meta in ["comity:1:t:{t}", "c*?[a-z]\\:1:t:{t}", "**:1:t:{t}"] {
        let shadow = |slot: u64| format!("{meta}:0123456789abcdef.{slot:02}:0");
        for slot in 0..3 {
            pair.command(&[b"SET", shadow(slot).as_bytes(), b"x"]);
        }
        let answer = pair.run(meta, &Op::Sweep(Sweep::Find { cursor: 0 })).unwrap();
        let Answer::Found { cursor: 0, mut names } = answer else { panic!("{answer:?}") };
        names.sort();
        assert_eq!(names, [0, 1, 2].map(|slot| shadow(slot).into_bytes()));
    }
    // Straight to the server: comparing everything after each would take long.
    let many: Vec<Argv> =
        (0..5_000).map(|n| ["SET", &format!("key{n}"), "x"].into_iter().collect()).collect();
    pair.redis.pipeline(&many);
    let (mut cursor, mut parts, mut found) = (0, 0, std::collections::BTreeSet::new());
    loop {
        let find = Op::Sweep(Sweep::Find { cursor });
        let mut argv: Argv = ["EVAL", &find.script().text()].into_iter().collect();
        find.encode(b"comity:1:t:{t}", &mut argv);
        crate::support::stamping::push_member(&find, RING, &mut argv);
        let reply = pair.redis.call(&argv);
        let Some(Answer::Found { cursor: next, names }) = Answer::decode(&reply) else {
            panic!("{reply:?}")
        };
        found.extend(names);
        (cursor, parts) = (next, parts + 1);
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(found.len(), 3);
    assert!((4..=20).contains(&parts), "{parts} parts");
}

#[test]
fn a_confirmation_writes_and_changes_nothing() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let now = pair.now;
    pair.both(&one_phase(txid(0, 3), work(&["SET a 1"]), now));
    pair.both(&prepare(txid(1, 1), work(&["SET b 1"]), now));
    pair.both(&Op::Vote(query(txid(2, 1), now, true)));
    let confirm = |pair: &mut TransactionPair, txids: Vec<Txid>| {
        let written = |pair: &mut TransactionPair| {
            let info = pair.redis.command(["INFO", "persistence"]);
            let text = String::from_utf8_lossy(crate::support::resp::bytes(&info)).into_owned();
            let line = text.lines().find(|l| l.starts_with("rdb_changes_since_last_save:"));
            line.and_then(|line| line.split(':').nth(1)?.trim().parse::<u64>().ok())
                .expect("a count")
        };
        let before = written(pair);
        let answer = pair.both(&Op::Confirm(Confirm { txids }));
        let Answer::Confirmed { states } = answer else { panic!("{answer:?}") };
        (states, written(pair) - before)
    };
    let all = vec![txid(0, 3), txid(0, 2), txid(0, 4), txid(1, 1), txid(2, 1), txid(3, 1)];
    let (done, prepared, aborted) = (State::Done, State::Prepared, State::Aborted);
    let states = vec![Some(done), None, None, Some(prepared), Some(aborted), None];
    assert_eq!(confirm(&mut pair, all), (states, 1));
    // What is not there is no reason to write, and nothing is waited for.
    assert_eq!(confirm(&mut pair, vec![txid(0, 2), txid(9, 1)]), (vec![None, None], 0));
    // A full memory is no reason not to.
    pair.redis.command(["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(confirm(&mut pair, vec![txid(0, 3)]), (vec![Some(done)], 1));
    pair.redis.command(["CONFIG", "SET", "maxmemory", "0"]);
}
