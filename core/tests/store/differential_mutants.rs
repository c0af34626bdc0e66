//! The proof that `differential.rs` would notice a mistake: each script here has one, and the
//! comparison with the embedded store must fail.
#![allow(clippy::print_stdout, reason = "the test says when each mistake was found")]

use crate::support::generator::Generator;
use crate::support::pair::Pair;
use crate::support::redis_server::RedisServer;
use comity::redis::Script;

/// The most operations until a mistake has to be found.
const OPERATIONS: u64 = 16_000;
const SEED: u64 = 77;

/// A mistake: its name, a piece of the script, and what stands there instead.
const MUTANTS: &[(&str, &str, &str)] = &[
    ("no tombstone look-up", "if horizon > now then\nlocal scores", "if false then\nlocal scores"),
    ("no tombstone at expiry", "remove(r)\nbury(who, 'x')", "remove(r)"),
    ("a cancellation leaves nothing", "elseif not clean then", "elseif false then"),
    ("the ring of finished ids is not kept", "ring = id .. ',' .. sub(ring, 1, 69)", "ring = ring"),
    ("the short way ignores the tombstone horizon", "< now and sub(S, 18, 33) <= now", "< now"),
    (
        "the short way ignores the ring of finished ids",
        "and not find(S, id, 34, true) then",
        "then",
    ),
    ("the short way ignores the clock", "if sub(S, 2, 17) < now and", "if"),
    ("the short way ignores the floor", "<= now and ARGV[4] < now\n", "<= now\n"),
    (
        "the short way ignores not_after",
        "and (ARGV[5] == '0000000000000000' or now <= ARGV[5]) and not find",
        "and not find",
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
    ("a hand-off ignores the clock", "ready, f = sub(S, 2, 17) < now and", "ready, f ="),
    ("a hand-off takes any capacity", "and sub(ARGV[3], 12) == '00000000010000000001'", ""),
    ("a hand-off has all wait", "op == 'ACQ' and ARGV[8] == '1'", "op == 'ACQ'"),
    ("a hand-off takes all for clean", "op == 'REL' and ARGV[3] == '1'\nor", "op == 'REL'\nor"),
    ("a hand-off misses no queue", "redis.call('ZCARD', KEYS[3]) == waiters and", ""),
    ("anybody is the holder", "and (op == 'ACQ') == (held[1] ~= id)", ""),
    (
        "the dead are handed it",
        "live, inbox = match(f[2] or '', RECORD)\nready = role == 'w' and sound(till, number, ttl, claim, live) and till > now",
        "live, inbox = match(f[2] or '', RECORD)\nready = role == 'w' and sound(till, number, ttl, claim, live)",
    ),
    (
        "a hand-off leaves the dead behind",
        "live = match(f[3] or '', RECORD)\nready = role == 'w' and sound(till, number, ttl, claim, live) and till > now",
        "live = match(f[3] or '', RECORD)\nready = role == 'w' and sound(till, number, ttl, claim, live)",
    ),
    ("a hand-off reaps nobody", "elseif held[2] > now and ends > now then", "else"),
    ("a heartbeat joins again", "elseif not f[3] and", "elseif"),
    ("a hand-off ignores the horizon", "f[3] and sub(S, 18, 33) <= now and", "f[3] and"),
    ("a hand-off ignores who finished", "and not find(S, id, 34, true) and", "and"),
    ("a hand-off ignores the floor", "true) and ARGV[4] < now", "true)"),
    (
        "a hand-off ignores not_after",
        "\nand (ARGV[5] == '0000000000000000' or now <= ARGV[5]) then",
        " then",
    ),
    ("a hand-off ignores tickets", "([1-9]%d*) 0 (.*)$')", "([1-9]%d*) %d+ (.*)$')"),
    ("all are next in line", "first and redis.call('ZCOUNT',", "false and redis.call('ZCOUNT',"),
    ("a hand-off gives a full lease", "ttl + 0 < claim + 0 and ttl or claim", "ttl"),
    ("a hand-off is not published", "if op == 'REL' and inbox ~= '' then", "if false then"),
    ("a hand-off has braces", "if find(inbox, '{', 1, true) then", "if false then"),
    ("a hand-off has commas", "if find(inbox, ',', 1, true) then", "if false then"),
    ("a renewal in a hand-off shortens", "elseif till >= ends then", "else"),
    (
        "a state is not kept longer",
        "if stretched then\nredis.call('PEXPIRE', KEYS[1], keep)",
        "if stretched then",
    ),
    ("a queue is not kept longer", "redis.call('PEXPIRE', KEYS[3], keep)", ""),
    ("a new queue is kept for ever", "if stretched or waiters == 0 then", "if stretched then"),
    ("records are not kept longer", "redis.call('PEXPIRE', KEYS[4], keep)", ""),
    (
        "a hand-off forgets who finished",
        "id .. ',' .. sub(S, 34, 102) .. '00000000010000000001'",
        "sub(S, 34, 125) .. '00000000010000000001'",
    ),
    (
        "the last of a hand-off is forgotten",
        "sub(S, 2, 33) .. id .. ',' .. sub(S, 34, 102)",
        "sub(S, 2, 125)",
    ),
];

#[test]
fn mutants_of_the_script_are_noticed() {
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
