//! A user whom an ACL forbids a command that transactions need is refused before anything is
//! applied, and takes nothing away from one who may.

use crate::support::redis_server::RedisServer;
use crate::support::resp::{Client, bytes, items};
use crate::support::transaction_script::{
    META, RING, failed, finish, one_phase, prepare, stamp, txid, work,
};
use comity::redis::{Argv, Reply, Script};
use comity::transaction::{Answer, Op, Verdict};

const NOW: u64 = 9_000_000_000_000_000;
/// What lets shadows become keys, and work that takes it: a key that is written, one that is deleted
/// after a write, and one that has an end.
const NEEDED: [(&str, &[&str]); 4] = [
    ("rename", &["HSET h f 2", "HINCRBY h f 1", "HINCRBY g f 1"]),
    ("rename", &["SET h 2", "HINCRBY g f 1", "HINCRBY g f 1"]),
    ("unlink", &["SET h 2", "DEL h", "HINCRBY g f 1", "HINCRBY g f 1"]),
    ("unlink", &["EXPIRE h 100", "HINCRBY g f 1", "HINCRBY g f 1"]),
];

fn call(redis: &mut Client, op: &Op) -> Reply {
    let mut argv: Argv = ["EVAL", &op.script().text()].into_iter().collect();
    op.encode(META.as_bytes(), &mut argv);
    crate::support::stamping::push_member(op, RING, &mut argv);
    redis.call(&argv)
}

fn answer(redis: &mut Client, op: &Op) -> Answer {
    let reply = call(redis, op);
    Answer::decode(&reply).unwrap_or_else(|| panic!("{op:?}: {reply:?}"))
}

/// A user who may everything but one command.
fn user(server: &RedisServer, admin: &mut Client, forbidden: &str) -> Client {
    let rule = format!("-{forbidden}");
    let words = ["ACL", "SETUSER", "user", "reset", "on", "nopass", "~*", "+@all", &rule];
    assert_eq!(admin.command(words), Reply::ok());
    let mut user = server.connect();
    assert_eq!(user.command(["AUTH", "user", "any"]), Reply::ok());
    user
}

/// The user's keys, as they were.
fn filled(admin: &mut Client) -> Vec<Reply> {
    admin.command(["FLUSHALL"]);
    stamp(admin);
    admin.command(["HSET", "h", "f", "1"]);
    data(admin)
}

fn data(admin: &mut Client) -> Vec<Reply> {
    ["h", "g"].map(|key| admin.command(["DUMP", key])).to_vec()
}

fn shadows(admin: &mut Client) -> usize {
    items(&admin.command(["KEYS", &format!("{META}:*")])).len()
}

fn names_it(error: &str, forbidden: &str) {
    let name = forbidden.to_uppercase();
    assert!(error.contains(&format!("({name}, which transactions need)")), "{error}");
}

#[test]
fn no_vote_is_given_that_could_not_be_finished() {
    let server = RedisServer::start();
    let mut admin = server.connect();
    for (forbidden, lines) in NEEDED {
        let mut user = user(&server, &mut admin, forbidden);
        // The first transaction on a server, and one after another.
        for used in [false, true] {
            // Two that may fail on a value go by shadows on a single server, too.
            for how in [one_phase as fn(_, _, _) -> _, prepare] {
                let before = filled(&mut admin);
                if used {
                    let earlier = one_phase(txid(1, 1), work(&["SET other 1"]), NOW);
                    assert!(matches!(answer(&mut admin, &earlier), Answer::Done { .. }));
                }
                let op = how(txid(0, 1), work(lines), NOW);
                let refused = answer(&mut user, &op);
                let (_, error) = failed(&refused).unwrap_or_else(|| panic!("{refused:?}"));
                names_it(&error, forbidden);
                assert_eq!(data(&mut admin), before);
                // Who may not drop them leaves them to a sweep.
                assert_eq!(shadows(&mut admin) > 0, forbidden == "unlink");
                assert_eq!(answer(&mut admin, &op), refused, "it is recorded");
            }
        }
    }
}

/// The fields of the participant's hash, in order: a large hash has them in none.
fn table(admin: &mut Client) -> Vec<(Vec<u8>, Vec<u8>)> {
    let reply = admin.command(["HGETALL", META]);
    let words: Vec<Vec<u8>> = items(&reply).iter().map(|word| bytes(word).to_vec()).collect();
    let mut fields: Vec<_> =
        words.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    fields.sort();
    fields
}

#[test]
fn who_may_not_finish_leaves_it_to_one_who_may() {
    let server = RedisServer::start();
    let mut admin = server.connect();
    for (forbidden, lines) in NEEDED {
        let work = work(lines);
        let (vote, before) = (prepare(txid(0, 1), work.clone(), NOW), filled(&mut admin));
        let commit = finish(txid(0, 1), Verdict::Commit, &work, NOW);
        assert!(matches!(answer(&mut admin, &vote), Answer::Prepared { .. }));
        let there = (shadows(&mut admin), table(&mut admin));
        let reply = call(&mut user(&server, &mut admin, forbidden), &commit);
        let Reply::Error(error) = reply else { panic!("{forbidden}: {reply:?}") };
        names_it(&String::from_utf8_lossy(&error), forbidden);
        assert_eq!(data(&mut admin), before);
        assert_eq!((shadows(&mut admin), table(&mut admin)), there);
        assert_eq!(answer(&mut admin, &commit), Answer::Committed { participants: Vec::new() });
        assert_ne!(data(&mut admin), before);
        assert_eq!(shadows(&mut admin), 0);
    }
}

#[test]
fn what_can_be_done_without_is_no_reason_to_refuse() {
    let server = RedisServer::start();
    let mut admin = server.connect();
    let after = [0, 1].map(|round| {
        let before = filled(&mut admin);
        let mut user = match round {
            0 => server.connect(),
            _ => user(&server, &mut admin, "exists"),
        };
        let work = work(NEEDED[0].1);
        answer(&mut user, &prepare(txid(0, 1), work.clone(), NOW));
        let commit = finish(txid(0, 1), Verdict::Commit, &work, NOW);
        assert_eq!(answer(&mut user, &commit), Answer::Committed { participants: Vec::new() });
        assert_ne!(data(&mut admin), before);
        data(&mut admin)
    });
    assert_eq!(after[0], after[1]);
}

#[test]
fn a_server_that_cannot_be_asked_is_tried() {
    let server = RedisServer::start();
    let mut admin = server.connect();
    let work = work(&["SET h 2", "INCR n"]);
    let vote = prepare(txid(0, 1), work.clone(), NOW);
    let commit = finish(txid(0, 1), Verdict::Commit, &work, NOW);
    filled(&mut admin);
    let mut user = user(&server, &mut admin, "rename");
    // As before Redis 7, where a script cannot ask what its user may.
    let older = |redis: &mut Client, op: &Op| {
        let text = op.script().text().replace("redis.acl_check_cmd", "redis.nothing");
        assert_ne!(text, op.script().text());
        let text = crate::support::short_ways::counting(op.script(), &text);
        let mut argv: Argv = ["EVAL", &text].into_iter().collect();
        op.encode(META.as_bytes(), &mut argv);
        crate::support::stamping::push_member(op, RING, &mut argv);
        redis.call(&argv)
    };
    let refused = Answer::decode(&older(&mut user, &vote)).expect("an answer");
    names_it(&failed(&refused).expect("a refusal").1, "rename");
    filled(&mut admin);
    older(&mut admin, &vote);
    let Reply::Error(error) = older(&mut user, &commit) else { panic!("he may not") };
    names_it(&String::from_utf8_lossy(&error), "rename");
    older(&mut admin, &commit);
    let scripts = [Script::Prepare, Script::Finish];
    crate::support::short_ways::assert_taken(&mut admin, &scripts, 1);
    assert_eq!(admin.command(["GET", "n"]), Reply::bulk("1"));
}

#[test]
fn asking_counts_no_error() {
    let server = RedisServer::start();
    let mut redis = server.connect();
    // A copied collection would count one of its own: its size is asked for as a string's.
    let work = work(&["SET s 1", "APPEND t x"]);
    // The first on a server has nothing yet that could be renamed.
    answer(&mut redis, &prepare(txid(0, 1), work.clone(), NOW));
    redis.command(["CONFIG", "RESETSTAT"]);
    answer(&mut redis, &finish(txid(0, 1), Verdict::Commit, &work, NOW));
    answer(&mut redis, &prepare(txid(0, 2), work.clone(), NOW));
    answer(&mut redis, &finish(txid(0, 2), Verdict::Commit, &work, NOW));
    let Reply::Bulk(errors) = redis.command(["INFO", "errorstats"]) else { panic!("INFO answers") };
    assert_eq!(String::from_utf8_lossy(&errors).trim(), "# Errorstats");
}
