//! The proof that `differential.rs` would notice a mistake: each script here has one, and the
//! comparison with the embedded store must fail.
#![allow(clippy::print_stdout, reason = "the test says when each mistake was found")]

use crate::support::generator::Generator;
use crate::support::pair::Pair;
use crate::support::redis_server::RedisServer;
use comity::redis::Script;

/// The most operations until a mistake has to be found.
const OPERATIONS: u64 = 8_000;
const SEED: u64 = 77;

/// A mistake: its name, a piece of the script, and what stands there instead.
const MUTANTS: [(&str, &str, &str); 23] = [
    ("no tombstone look-up", "if horizon > now then\nlocal scores", "if false then\nlocal scores"),
    ("no tombstone at expiry", "remove(r)\nbury(who, 'x')", "remove(r)"),
    ("a cancellation leaves nothing", "elseif not clean then", "elseif false then"),
    ("the ring of finished ids is not kept", "ring = id .. ',' .. sub(ring, 1, 69)", "ring = ring"),
    ("the short way ignores the tombstone horizon", "and sub(S, 18, 33) <= now", ""),
    ("the short way ignores the ring of finished ids", "and not find(S, id, 34, true)", ""),
    ("the short way ignores the clock", "sub(S, 2, 17) < now and", ""),
    ("the short way ignores the floor", "and ARGV[4] < now", ""),
    (
        "the short way ignores not_after",
        "and (ARGV[5] == '0000000000000000' or now <= ARGV[5])",
        "",
    ),
    (
        "the long way ignores not_after",
        "elseif not_after > 0 and now > not_after then",
        "elseif false then",
    ),
    ("going from F to Q forgets the holder", "sole = r\ntouch(r)", "sole = r"),
    (
        "barging",
        "if mine and mine.role == 'w'\nand (mine.number < r.number or (mine.number == r.number and mine.id < r.id)) then return mine end",
        "if mine and mine.role == 'w' then return mine end",
    ),
    ("capacity is ignored", "elseif used + r.weight <= capacity then", "elseif true then"),
    ("another capacity is accepted", "and capacity ~= asked.capacity then", "and false then"),
    (
        "the fence does not tick in Q",
        "r.role, r.number, r.till = 'h', tick(),",
        "r.role, r.number, r.till = 'h', form == 'Q' and clock or tick(),",
    ),
    (
        "a handed-over lease is a full one",
        "r == mine and r.ttl or math.min(r.ttl, r.claim)",
        "r.ttl",
    ),
    ("a dead waiter is granted", "elseif r ~= mine and r.till <= now then", "elseif false then"),
    (
        "a renewal shortens",
        "mine.till = math.max(mine.till, now + mine.ttl)",
        "mine.till = now + mine.ttl",
    ),
    ("a heartbeat does not count", "mine.till = now + live\ntouch(mine)", "touch(mine)"),
    (
        "the short way forgets the id that finished last",
        "finished .. ',' .. sub(S, 34, 102)",
        "sub(S, 34, 125)",
    ),
    (
        "an idle state of a long lease stays as long",
        "redis.call('PEXPIRE', KEYS[1], '120000') end",
        "end",
    ),
    ("a lost key is not noticed", "~= h + q then repair() end", "~= h + q then end"),
    ("grants are not published", "redis.pcall('PUBLISH', push[1], push[2])", "0"),
];

#[test]
fn every_mistake_in_the_script_is_noticed() {
    let server = RedisServer::start();
    let find = |text: &str| {
        let mut pair = Pair::instead(&server, Script::Queue, text);
        let mut generator = Generator::new(SEED);
        (0..OPERATIONS).find_map(|step| Some((step, generator.step(&mut pair).err()?)))
    };
    let shipped = Script::Queue.text();
    assert_eq!(find(&shipped), None, "the script as shipped has no such mistake");
    for (name, piece, instead) in MUTANTS {
        assert_eq!(shipped.matches(piece).count(), 1, "{name}: the piece must occur once");
        let found = find(&shipped.replace(piece, instead));
        let Some((step, what)) = found else {
            panic!("not noticed in {OPERATIONS} operations: {name}")
        };
        assert!(!what.contains("-ERR"), "{name}: a script that fails proves nothing: {what}");
        println!("{step:6} operations: {name}");
    }
}
