//! What is recorded of replies, for who asks again because an answer was lost: as much as has a limit.

use crate::support::desk::{Desk, events};
use crate::support::redis_server::RedisServer;
use crate::support::resp::bytes;
use crate::support::transaction_pair::TransactionPair;
use crate::support::transaction_script::{META, finish, one_phase, prepare, txid, work};
use crate::support::transaction_world::words;
use comity::event::Event;
use comity::redis::{Failure, Reply, Script};
use comity::transaction::{Answer, MAX_RECORDED, TransactionOptions, Verdict};

fn replies(answer: Answer) -> Vec<Reply> {
    match answer {
        Answer::Done { replies } | Answer::Prepared { replies, .. } => replies,
        other => panic!("{other:?}"),
    }
}

/// The bytes that the register of a slot has.
fn recorded(pair: &mut TransactionPair, slot: u8) -> usize {
    let field = format!("r0000000000000001.{slot:02}");
    bytes(&pair.redis.command(["HGET", META, &field])).len()
}

#[test]
fn long_replies_are_answered_once_and_not_recorded() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    // A reply has its length in front, `$16376\n`, and the one behind it is `:1\n`.
    let most = MAX_RECORDED - 7 - 3;
    for (slot, length) in [(0, most), (1, most + 1), (2, 4 << 20)] {
        let value = vec![b'x'; length];
        pair.command(&[b"SET", b"long", &value]);
        pair.command(&[b"DEL", b"n"]);
        let lines = work(&["GET long", "INCR n"]);
        let whole = vec![Reply::bulk(value), Reply::Integer(1)];
        for (seq, how) in [(1, one_phase as fn(_, _, _) -> _), (2, one_phase), (3, prepare)] {
            pair.command(&[b"DEL", b"n"]);
            let op = how(txid(slot, seq), lines.clone(), pair.now);
            assert_eq!(replies(pair.both(&op)), whole);
            let again = replies(pair.both(&op));
            assert_eq!(again, if length == most { whole.clone() } else { Vec::new() });
            let size = recorded(&mut pair, slot);
            assert!(size < MAX_RECORDED + 256, "{size} bytes of {length}");
        }
        let commit = finish(txid(slot, 3), Verdict::Commit, &lines, pair.now);
        pair.both(&commit);
        assert!(recorded(&mut pair, slot) < MAX_RECORDED + 256);
    }
}

#[test]
fn nor_are_those_of_what_only_writes() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let most = MAX_RECORDED - 7;
    for (slot, length) in [(0, most), (1, most + 1)] {
        let lines = work(&["SET long x GET"]);
        for (seq, how) in [(1, one_phase as fn(_, _, _) -> _), (2, one_phase), (3, prepare)] {
            let value = vec![b'x'; length];
            pair.command(&[b"SET", b"long", &value]);
            let op = how(txid(slot, seq), lines.clone(), pair.now);
            let whole = vec![Reply::bulk(value)];
            assert_eq!(replies(pair.both(&op)), whole);
            let again = replies(pair.both(&op));
            assert_eq!(again, if length == most { whole } else { Vec::new() });
        }
        pair.both(&finish(txid(slot, 3), Verdict::Commit, &lines, pair.now));
    }
}

#[test]
fn whoever_lost_long_replies_is_told_of_the_commit_without_them() {
    for length in [100, MAX_RECORDED + 1] {
        let mut desk = Desk::new();
        let mut co = desk.coordinator(1);
        let value = "x".repeat(length);
        desk.execute(&["SET", "long", &value].into_iter().collect());
        let lines = [words("GET long"), words("INCR n")];
        co.transaction_execute(&lines, &[], TransactionOptions::default(), desk.now)
            .expect("sound");
        let (mut lost, mut told) = (false, Vec::new());
        while told.is_empty() {
            while let Some(command) = co.poll_command() {
                let script = Script::OnePhase.digest().as_bytes();
                let whole = command.argv.get(0) == Some(b"EVAL");
                if !lost && (whole || command.argv.get(1) == Some(script)) {
                    let reply = desk.execute(&command.argv);
                    if matches!(reply, Reply::Error(_)) {
                        co.handle_reply(command.request, &reply, desk.now);
                        continue;
                    }
                    lost = true;
                    co.handle_failure(command.request, Failure::OutcomeUnknown, desk.now);
                } else {
                    desk.answer(&mut co, &command);
                }
            }
            told = events(&mut co);
            let next = co.next_deadline().unwrap_or(desk.now);
            desk.now = desk.now.max(next);
            co.handle_timeout(desk.now);
        }
        let [Event::TransactionCommitted { replies, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(replies.is_some(), length == 100, "{length} bytes");
        assert!(lost);
    }
}
