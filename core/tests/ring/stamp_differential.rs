//! The stamp's scripts on a real server and in the embedded store: the same answers, and the same hash
//! afterwards; and no script acts for a client of another ring.

use crate::support::acquire::acquire;
use crate::support::pair::Pair;
use crate::support::redis_server::RedisServer;
use crate::support::resp::Client;
use crate::support::stamping::{META, of_one, push_member};
use crate::support::transaction_pair::TransactionPair;
use crate::support::transaction_script::{META as TABLE, RING, finish, prepare, query, txid, work};
use comity::counter;
use comity::lock::{self, Acquire, Fence, GuardOp, Id};
use comity::memory::MemoryStore;
use comity::redis::{Argv, Reply, Script};
use comity::stamp::{Answer, Op, Stamp};
use comity::time::{Span, Time};
use comity::transaction::{self, Confirm, Sweep, Verdict};

const OURS: Stamp = Stamp::settled(1);
const THEIRS: Stamp = Stamp::settled(0xfedc_ba98_7654_3210);

struct Both {
    redis: Client,
    store: MemoryStore,
}

impl Both {
    fn call(&mut self, argv: &Argv) -> Reply {
        let real = self.redis.call(argv);
        let embedded = self.store.execute(argv, Time::from_micros(1));
        match (&real, &embedded) {
            (Reply::Error(real), Reply::Error(embedded)) => {
                let word =
                    |text: &[u8]| text.split(|byte| *byte == b' ').next().map(<[u8]>::to_vec);
                assert_eq!(word(real), word(embedded), "{argv:?}");
            }
            _ => assert_eq!(real, embedded, "{argv:?}"),
        }
        real
    }

    fn run(&mut self, op: &Op) -> Reply {
        let mut argv: Argv = ["EVAL", &Script::Stamp.text()].into_iter().collect();
        op.encode(META, &mut argv);
        self.call(&argv)
    }

    fn line(&mut self, words: &[&str]) -> Reply {
        self.call(&words.iter().copied().collect())
    }
}

fn claim(stamp: Stamp, replaced: &[&str]) -> Op {
    let replaced = replaced.iter().map(|old| old.as_bytes().to_vec()).collect();
    Op::Claim { stamp, members: stamp.to_string().into_bytes(), replaced }
}

fn of(stamp: Stamp) -> Option<Answer> {
    let text = stamp.to_string().into_bytes();
    Some(Answer { stamp: text.clone(), members: text })
}

#[test]
fn the_first_stamp_stays() {
    let server = RedisServer::start();
    let mut both = Both { redis: server.connect(), store: MemoryStore::new() };
    let meta = std::str::from_utf8(META).expect("ASCII");
    assert_eq!(Answer::decode(&both.run(&Op::Ask)), Some(Answer::default()));
    assert_eq!(both.line(&["EXISTS", meta]), Reply::Integer(0));
    assert_eq!(Answer::decode(&both.run(&claim(OURS, &[]))), of(OURS));
    assert_eq!(Answer::decode(&both.run(&claim(OURS, &[]))), of(OURS));
    assert_eq!(Answer::decode(&both.run(&claim(THEIRS, &[]))), of(OURS));
    assert_eq!(Answer::decode(&both.run(&Op::Ask)), of(OURS));
    // What an earlier version left is replaced by whoever knows it, and by nobody else.
    both.line(&["DEL", meta]);
    both.line(&["HSET", meta, "e", "000000000000feed"]);
    let other = both.run(&claim(OURS, &["000000000000feee"]));
    assert_eq!(Answer::decode(&other).expect("an answer").stamp, b"000000000000feed");
    let known = claim(OURS, &["000000000000feee", "000000000000feed"]);
    assert_eq!(Answer::decode(&both.run(&known)), of(OURS));
    both.line(&["DEL", meta]);
    both.line(&["SET", meta, "x"]);
    for op in [Op::Ask, claim(OURS, &[])] {
        let reply = both.run(&op);
        assert!(
            matches!(&reply, Reply::Error(text) if text.starts_with(b"WRONGTYPE")),
            "{reply:?}"
        );
    }
}

/// One operation of each script that has to compare.
fn operations(pair: &mut Pair) -> Vec<Result<Reply, String>> {
    let acquire = lock::Op::Acquire(Acquire {
        ttl: Span::from_secs(5),
        handoff_ttl: Span::from_secs(1),
        waiter_ttl: Span::from_secs(5),
        label: b"me".to_vec(),
        ..acquire(7)
    });
    let name = "comity:1:lock:{a}";
    let mut replies = Vec::new();
    for op in
        [&acquire, &lock::Op::Inspect, &lock::Op::Release { id: Id::from_bits(7), clean: true }]
    {
        replies.push(pair.lock(name, op));
    }
    replies.push(pair.guard("comity:1:fence:{a}", GuardOp { fence: Fence(7) }));
    replies.push(pair.counter("comity:1:counter:{a}", &counter::Op::Join));
    replies.push(pair.counter("comity:1:counter:{a}", &counter::Op::Get { id: None }));
    replies
}

fn verb(reply: &Reply) -> &[u8] {
    crate::support::resp::bytes(&crate::support::resp::items(reply)[0])
}

#[test]
fn no_script_acts_for_another_ring() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    pair.set_field("comity:1:t:{t}", "members", "1;1:a,1;");
    for stamp in [b"".to_vec(), b"000000000000feed".to_vec(), THEIRS.to_string().into_bytes()] {
        pair.stamp = stamp;
        for reply in operations(&mut pair) {
            let reply = reply.expect("both do the same");
            let members = Reply::bulk("1;1:a,1;");
            let refused = [Reply::bulk("RING"), Reply::bulk(of_one()), members];
            assert_eq!(crate::support::resp::items(&reply), refused);
        }
        pair.compare_rest().expect("nothing is written");
    }
    pair.stamp = of_one();
    for reply in operations(&mut pair) {
        assert_ne!(verb(&reply.expect("both do the same")), b"RING");
    }
}

#[test]
fn mutants_without_the_comparison_are_noticed() {
    let server = RedisServer::start();
    for script in [Script::Queue, Script::Guard, Script::Counter] {
        let (shipped, piece) = (script.text(), "if stamp ~= ARGV[#ARGV] then");
        assert_eq!(shipped.matches(piece).count(), 1, "{script:?}");
        let text = shipped.replace(piece, "if false then");
        let mut pair = Pair::instead(&server, script, &text);
        pair.stamp = OURS.to_string().into_bytes();
        let found = operations(&mut pair).into_iter().find_map(Result::err);
        let what =
            found.unwrap_or_else(|| panic!("{script:?} does not compare, and nobody noticed"));
        assert!(!what.contains("-ERR"), "a script that fails proves nothing: {what}");
    }
}

/// Of each script that goes by a server's id, an operation.
fn by_id(now: u64) -> Vec<transaction::Op> {
    let (id, set) = (txid(0, 1), work(&["SET a 1"]));
    vec![
        finish(id, Verdict::Commit, &set, now),
        transaction::Op::Status(query(id, now, true)),
        transaction::Op::Vote(query(id, now, true)),
        transaction::Op::Sweep(Sweep::Registers { txids: vec![id], kept: true }),
        transaction::Op::Sweep(Sweep::Page { cursor: 0 }),
        transaction::Op::Confirm(Confirm { txids: vec![id] }),
    ]
}

#[test]
fn what_goes_by_an_id_acts_at_no_other_member() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let now = pair.now;
    pair.both(&prepare(txid(0, 1), work(&["SET a 1"]), now));
    // The same ring, and another; each time another member.
    for stamp in [RING.at(b"x"), THEIRS.at(b"y")] {
        let stamp = stamp.to_string().into_bytes();
        pair.command(&[b"HSET", TABLE.as_bytes(), b"e", &stamp]);
        for op in by_id(now) {
            let mut argv: Argv = ["EVAL", &op.script().text()].into_iter().collect();
            op.encode(TABLE.as_bytes(), &mut argv);
            push_member(&op, RING, &mut argv);
            let reply = pair.command(&argv.iter().collect::<Vec<_>>());
            let refused =
                [Reply::bulk("RING"), Reply::bulk(stamp.clone()), Reply::bulk("1;1:a,1;")];
            assert_eq!(crate::support::resp::items(&reply), refused);
        }
        pair.compare().expect("nothing is written");
    }
    // The same member of another ring, no stamp, and what earlier versions left.
    for stamp in [THEIRS.to_string(), String::new(), THEIRS.to_string()[..46].to_string()] {
        pair.command(&[b"HSET", TABLE.as_bytes(), b"e", stamp.as_bytes()]);
        if stamp.is_empty() {
            pair.command(&[b"HDEL", TABLE.as_bytes(), b"e"]);
        }
        for op in by_id(now).into_iter().skip(1) {
            let answer = pair.both(&op);
            assert!(!matches!(answer, transaction::Answer::Unstamped { .. }), "{op:?}: {answer:?}");
        }
    }
}

#[test]
fn mutants_without_the_comparison_of_the_member_are_noticed() {
    let server = RedisServer::start();
    // The short way of FINISH, which is the first, has a comparison of its own.
    let short = ("and sub(stamp, 48) ~= ARGV[6])", "and false)");
    let places = 0..by_id(0).len();
    let all = places.map(|place| (place, ("string.sub(stamp, 48) ~= member", "false")));
    for (place, mutation) in all.chain([(0, short)]) {
        let mut pair = TransactionPair::with(&server, mutation);
        let (now, stamp) = (pair.now, RING.at(b"x").to_string());
        pair.both(&prepare(txid(0, 1), work(&["SET a 1"]), now));
        pair.command(&[b"HSET", TABLE.as_bytes(), b"e", stamp.as_bytes()]);
        let op = &by_id(now)[place];
        let what = pair.run(TABLE, op).expect_err("it does not compare, and nobody noticed");
        assert!(!what.contains("-ERR"), "a script that fails proves nothing: {what}");
    }
}
