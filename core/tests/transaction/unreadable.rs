//! Registers and locks that nobody can read, as after an accident: a sweep leaves and counts them, and
//! sweeps the rest.

use crate::support::redis_server::RedisServer;
use crate::support::transaction_pair::TransactionPair;
use crate::support::transaction_script::{
    META, finish, finish_retaining, one_phase, prepare, query, txid, work,
};
use crate::support::transaction_world::World;
use comity::event::Event;
use comity::keyspace::command;
use comity::redis::Reply;
use comity::transaction::{Answer, Op, Sweep, SweepOptions, Verdict};

/// Where the stores of a world have what a server has in `META`.
const TABLE: &[u8] = b"comity:1:t:{t}";
/// A register and a lock as they should be, both of times that are long past.
const REGISTER: &str = "0000000000000001D0123456789abcdef00000000000000070000000000000000 2,0,0,p";
const HOLDER: &str = "0123456789abcdef.07.000000000000000100000000000000070000000000000008a";

/// Fields with what is in them, none of which can be read.
fn unreadable() -> Vec<(String, String)> {
    let register = REGISTER.replace(' ', "");
    let (whole, head) = (format!("{}1:a", register.replace("2,", "4,")), 65);
    let mut all = Vec::new();
    let mut add = |field: &str, value: String| all.push((field.to_string(), value));
    let cuts = (0..whole.len()).step_by(7).chain([head - 1, head, head + 6, whole.len() - 1]);
    for (number, length) in cuts.enumerate() {
        add(&format!("r00000000000000aa.{number:02}"), whole[..length].to_string());
    }
    let letters = [("0001D", "0001X"), ("D0123", "DABCD"), ("0007", "000x"), (",p1:a", ",q1:a")];
    for (number, (of, other)) in letters.into_iter().enumerate() {
        add(&format!("r00000000000000bb.{number:02}"), whole.replacen(of, other, 1));
    }
    for (number, lengths) in
        ["5,0,0", "99999999999999999999,0,0", ",0,0", "4,0", "4,9,9"].into_iter().enumerate()
    {
        add(&format!("r00000000000000cc.{number:02}"), whole.replacen("4,0,0", lengths, 1));
    }
    for slot in ["", "x", "00000000000000dd.64", "00000000000000DD.00", "00000000000000dd.000"] {
        add(&format!("r{slot}"), whole.clone());
    }
    let holder = |of: &str, other: &str| HOLDER.replacen(of, other, 1);
    let counted = |holder: &str| format!("{}:{holder}", holder.len());
    let locks = [
        String::new(),
        "X".into(),
        format!("Y{HOLDER}"),
        format!("X{}", &HOLDER[..60]),
        format!("X{}", holder(".07.", ".64.")),
        format!("X{}", holder("abcdef", "ABCDEF")),
        format!("X{}", holder("8a", "x")),
        "S".into(),
        format!("S000000000000000{}", counted(HOLDER)),
        format!("S0000000000000000{HOLDER}"),
        format!("S0000000000000000{}", &counted(HOLDER)[..50]),
        format!("S0000000000000000{}4:abcd", counted(HOLDER)),
    ];
    for (number, lock) in locks.into_iter().enumerate() {
        add(&format!("k{number}"), lock);
    }
    all
}

#[test]
fn a_page_leaves_and_counts_what_nobody_can_read() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let page = Op::Sweep(Sweep::Page { cursor: 0 });
    let now = pair.now;
    pair.both(&one_phase(txid(0, 1), work(&["SET a 1"]), now));
    pair.both(&prepare(txid(1, 1), work(&["SET b 1", "GET c"]), now));
    pair.command(&[b"HSET", META.as_bytes(), b"kx", format!("X{HOLDER}").as_bytes()]);
    pair.advance(2 * 3_600_000_000).unwrap();
    let mut count = 0;
    for (field, value) in unreadable() {
        pair.command(&[b"HSET", META.as_bytes(), field.as_bytes(), value.as_bytes()]);
        count += 1;
        let Answer::Page { unreadable, found, .. } = pair.both(&page) else { panic!("{field}") };
        assert_eq!(unreadable, count, "{field} = {value}");
        assert_eq!(found.len(), 2);
        // Nor does it stand in the way of what is removed by its name.
        let txids = vec![txid(0, 2), txid(1, 1)];
        let removed = pair.both(&Op::Sweep(Sweep::Registers { txids, kept: true }));
        assert_eq!(removed, Answer::Removed { count: 0 });
    }
    assert_eq!(pair.line(&format!("HEXISTS {META} kx")), Reply::Integer(0), "nobody holds it");
    assert_eq!(pair.line(&format!("HEXISTS {META} kb")), Reply::Integer(1));
    // Whose register cannot be read may have voted: its locks and its shadows stay.
    let shadow = pair.shadows().remove(0);
    pair.command(&[b"HSET", META.as_bytes(), b"r0123456789abcdef.01", b"x"]);
    pair.both(&page);
    let names = vec![shadow];
    let dropped = pair.both(&Op::Sweep(Sweep::Shadows { names }));
    assert_eq!(dropped, Answer::Removed { count: 0 });
    assert_eq!(pair.line(&format!("HEXISTS {META} kb")), Reply::Integer(1));
}

#[test]
fn nothing_is_done_where_a_register_cannot_be_read() {
    let server = RedisServer::start();
    let mut pair = TransactionPair::new(&server);
    let (now, set) = (pair.now, work(&["SET a 1", "GET c"]));
    let own = "r0123456789abcdef.07";
    let registers = unreadable().into_iter().filter(|(field, _)| field.starts_with("r00"));
    // A role is nothing to a secondary, and the name of a field is no part of it.
    let whole = |(field, _): &(String, String)| {
        !field.to_lowercase().contains("dd.") && field != "r00000000000000bb.03"
    };
    let registers = registers.filter(whole).map(|(_, register)| register);
    let vote = REGISTER.replace("D0123", "P0123").replace(' ', "").replace("2,0,0,p", "");
    let lists =
        ["1,2,0,pzz", "1,2,0,pq;", "1,0,3,p2:a", "1,0,2,pxx"].map(|rest| format!("{vote}{rest}"));
    for register in registers.chain(lists) {
        pair.command(&[b"HSET", META.as_bytes(), own.as_bytes(), register.as_bytes()]);
        // Its sequence is the register's, if there is one; then a higher one, and a lower.
        for seq in [1, 2, 0] {
            let id = txid(7, seq);
            let query = query(id, now, true);
            for op in [
                finish(id, Verdict::Commit, &set, now),
                finish_retaining(id, Verdict::Abort, &set, now),
                finish(id, Verdict::Release, &set, now),
                Op::Status(query),
                Op::Vote(query),
            ] {
                assert_eq!(pair.both(&op), Answer::Mismatch, "{register}: {op:?}");
            }
        }
        let left = pair.line(&format!("HGET {META} {own}"));
        assert_eq!(left, Reply::bulk(register), "it stays as it is");
    }
}

#[test]
fn a_sweep_goes_on_and_tells_of_what_nobody_can_read() {
    let mut world = World::new(1, 31);
    let orphan = format!("X{HOLDER}");
    let all = unreadable();
    for store in &mut world.stores {
        let space = store.keyspace_mut();
        let fields = all.iter().map(|(field, value)| (field.as_str(), value.as_str()));
        for (field, value) in fields.chain([("kx", orphan.as_str())]) {
            let words = [b"HSET", TABLE, field.as_bytes(), value.as_bytes()];
            command::execute(space, &words);
        }
    }
    let now = world.time();
    world.client(0).transaction_sweep(SweepOptions::default(), now).expect("it is open");
    world.pass(3_000);
    let Some((_, Event::TransactionSwept { unreadable, .. })) = world.events.last() else {
        panic!("{:?}", world.events)
    };
    let unreadable = *unreadable;
    assert_eq!(unreadable, 3 * all.len() as u64);
    assert_eq!(world.client(0).stats().transaction_unreadable, unreadable);
    for store in &mut world.stores {
        let words = [&b"HLEN"[..], TABLE];
        let left = command::execute(store.keyspace_mut(), &words);
        // Beside them there are the server's stamp and what it is made of.
        assert_eq!(left, Reply::Integer(i64::try_from(all.len() + 2).expect("few")));
    }
}

#[test]
fn a_mutant_that_takes_what_nobody_can_read_for_an_earlier_one_is_noticed() {
    let server = RedisServer::start();
    let check = "if unreadable(register) then return {'MISMATCH'} end";
    for place in 0..3 {
        let mut pair = TransactionPair::with(&server, (check, ""));
        let (id, now) = (txid(7, 2), pair.now);
        let register = REGISTER.replace(' ', "").replace("2,0,0", "9,0,0");
        pair.command(&[b"HSET", META.as_bytes(), b"r0123456789abcdef.07", register.as_bytes()]);
        let query = query(id, now, true);
        let abort = finish(id, Verdict::Abort, &work(&["SET a 1"]), now);
        let op = &[abort, Op::Status(query), Op::Vote(query)][place];
        let what = pair.run(META, op).expect_err("nobody noticed");
        assert!(!what.contains("-ERR"), "a script that fails proves nothing: {what}");
    }
}
