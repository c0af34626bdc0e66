//! The transaction in the embedded store against a real redis-server: the same random calls of all
//! scripts, and every answer and the whole key space compared.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

use crate::support::redis_server::RedisServer;
use crate::support::transaction_ops::TransactionOps;
use crate::support::transaction_pair::{Difference, TransactionPair};
use crate::support::{seed, short_ways};
use comity::redis::Script;

const OPERATIONS: u64 = 25_000;
/// How often each answer has to occur for the comparison to be worth something.
const AT_LEAST: u64 = 6;
/// How often each short way has to be taken.
const SHORT: u64 = 100;
/// The most operations until a mistake has to be found.
const WITHIN: u64 = 20_000;

const WANTED: &[&str] = &[
    "Finish Aborted",
    "Finish Committed",
    "Finish Lost",
    "Finish Mismatch",
    "Finish Nothing",
    "Finish Stale",
    "OnePhase Aborted",
    "OnePhase Changed kept",
    "OnePhase Changed recorded",
    "OnePhase Done",
    "OnePhase Failed recorded",
    "OnePhase Large recorded",
    "OnePhase Locked kept",
    "OnePhase Locked recorded",
    "OnePhase Mismatch",
    "OnePhase Pending",
    "OnePhase Ring kept",
    "OnePhase Ring recorded",
    "OnePhase Stale",
    "OnePhase WRONGTYPE kept",
    "OnePhase WRONGTYPE recorded",
    "Prepare Aborted",
    "Prepare Changed kept",
    "Prepare Changed recorded",
    "Prepare Done",
    "Prepare Failed kept",
    "Prepare Failed recorded",
    "Prepare Large kept",
    "Prepare Large recorded",
    "Prepare Locked kept",
    "Prepare Locked recorded",
    "Prepare Mismatch",
    "Prepare Pending",
    "Prepare Prepared",
    "Prepare Ring kept",
    "Prepare Ring recorded",
    "Prepare Stale",
    "Prepare WRONGTYPE kept",
    "Prepare WRONGTYPE recorded",
    "Status Aborted",
    "Status Committed",
    "Status Mismatch",
    "Status Nothing",
    "Status Staging",
    "Status Stale",
    "Vote Aborted",
    "Vote Committed",
    "Vote Nothing",
    "Vote Stale",
    "Vote Yes",
    "Sweep Page",
    "Sweep Removed",
];

fn run(pair: &mut TransactionPair, seed: u64, operations: u64) -> Result<(), (u64, Difference)> {
    let mut ops = TransactionOps::new(seed);
    (0..operations).try_for_each(|step| ops.step(pair).map_err(|what| (step, what)))
}

#[test]
fn the_embedded_store_does_as_redis_does() {
    let server = RedisServer::start();
    let (mut pair, seed) = (TransactionPair::new(&server), seed());
    println!("transaction differential: {OPERATIONS} operations, seed {seed}");
    let outcome = run(&mut pair, seed, OPERATIONS);
    for (kind, count) in &pair.seen {
        println!("{count:8} {kind}");
    }
    if let Err((step, what)) = outcome {
        panic!("COMITY_SEED={seed}: step {step}: {what}");
    }
    for kind in WANTED {
        let count = pair.seen.get(*kind).copied().unwrap_or(0);
        assert!(count >= AT_LEAST, "{kind} occurred {count} times only");
    }
    let scripts = [Script::OnePhase, Script::Prepare, Script::Finish];
    short_ways::assert_taken(&mut pair.redis, &scripts, SHORT);
}

/// A mistake: its name, a piece of a script, and what stands there instead.
const MUTANTS: &[(&str, &str, &str)] = &[
    (
        "the short ONE_PHASE ignores locks",
        "for i = 3, count + 2 do free = free and not f[i] end",
        "",
    ),
    ("the short ONE_PHASE ignores the ring", "f[2], f[1] == ARGV[2]\n", "f[2], true\n"),
    ("the short ONE_PHASE takes a lower sequence", "< sub(ARGV[1], 21) and", "~= '' and"),
    ("the short ONE_PHASE replaces a vote", "and string.byte(last, 17) ~= 80 then", "then"),
    (
        "the last that is undone is not",
        "letter == 117 and n < count",
        "letter == 117 and n < count - 1",
    ),
    ("the short PREPARE ignores locks", "for i = 3, keys + 2 do free = free and not f[i] end", ""),
    ("the short PREPARE ignores the ring", "f[1] == ARGV[2], sub(", "true, sub("),
    ("the short PREPARE takes a lower sequence", "sub(last, 1, 16) < seq and byte", "byte"),
    ("the short PREPARE replaces a vote", "seq and byte(last, 17) ~= 80)", "seq)"),
    ("the short PREPARE ignores its time", "free = now <= sub(ARGV[3], 17)", "free = true"),
    ("the short PREPARE ignores size", "== 'number' and size <= ARGV[8] + 0", "== 'number'"),
    (
        "the short PREPARE keeps what was left",
        "if copied == 0 then redis.pcall('UNLINK', shadow) else free = copied == 1 end",
        "free = copied == 0 or copied == 1",
    ),
    ("the short PREPARE takes all for copies", "kind = 'W;'", "kind = 'w;'"),
    ("the short PREPARE reads what is not there", "shadow = KEYS[number]", "shadow = KEYS[#KEYS]"),
    ("the short PREPARE forgets ends", "KEYS[i + keys]) == -1", "KEYS[i + keys]) ~= -2"),
    ("the short PREPARE forgets deletions", "KEYS[i + keys]) == -1", "KEYS[i + keys]) < 0"),
    (
        "the short PREPARE has doubles",
        "if form == 'number' and reply <",
        "if form == 'number' or nil and nil <",
    ),
    ("the short PREPARE has no patience", "time[2] + patience", "time[2] + 0"),
    ("the short PREPARE points to itself", "if byte(role) == 112 then", "if false then"),
    ("the short PREPARE locks one key", "for i = 3, keys + 2 do\nset[", "for i = 3, 3 do\nset["),
    (
        "the short FINISH forgets what is in doubt",
        "if ARGV[3] == 'C' and ARGV[5] == '0' and",
        "if ARGV[3] == 'C' and",
    ),
    (
        "the short FINISH aborts nothing",
        "if ARGV[3] == 'C' and ARGV[5] == '0' and",
        "if ARGV[5] == '0' and",
    ),
    (
        "the short FINISH takes any lock",
        "f[i] and sub(f[i], 1, 37) == 'X' .. id and find",
        "f[i] and find",
    ),
    ("the short FINISH takes other keys", "behind - 1) == listed", "behind - 1)"),
    ("the short FINISH renames all", "and find(register, '^[wW];', kinds + 2 * i - 6)", ""),
    (
        "the short FINISH loses nothing",
        "if lost then return {'LOST'",
        "if false then return {'LOST'",
    ),
    (
        "the short FINISH forgets the replies",
        "\n.. sub(register, at, kinds - 1) .. sub(register, behind))",
        "\n.. sub(register, at, kinds - 1))",
    ),
    (
        "the short FINISH keeps a lock",
        "redis.call('HDEL', T, unpack(fields, 3))",
        "redis.call('HDEL', T, fields[3])",
    ),
    ("an undo forgets the end", "old[key], 'KEEPTTL')", "old[key])"),
    ("an undo leaves what was not there", "or redis.pcall('DEL', key)", "or {}"),
    (
        "only one thing is undone",
        "for i = old and #old or 0, 1, -1 do",
        "for i = 1, old and 1 or 0 do",
    ),
    (
        "replies in the order of execution",
        "list[order == '' and n or sub(order, n * 3 - 2, n * 3) + 1] =",
        "list[n] =",
    ),
    ("integers are doubles", "or reply < 9007199254740992 and reply >", "or true or nil and nil >"),
    ("no type is looked at", "kind ~= TYPES[letter]", "false"),
    ("a refusal is not recorded", "refuse(writes, 'CHANGED'", "refuse(false, 'CHANGED'"),
    ("ONE_PHASE ignores the ring", "if f[1] ~= ring then return other_ring(writes) end", ""),
    ("PREPARE ignores the ring", "if f[1] ~= ring then return other_ring(decides) end", ""),
    ("the members are recorded", "'RING', f[1], '')", "'RING', f[1], members)"),
    ("ONE_PHASE ignores locks", "answer = locked_out(false, writes)", ""),
    ("ONE_PHASE ignores its time", "if not register and now() >", "if not register and '0' >"),
    ("PREPARE ignores its time", "if now() > string.sub(ARGV[3], 17)", "if '0' > ZEROS"),
    ("checks are not made", "if text ~= ARGV[at + 1] then", "if false then"),
    ("the primary records what it was told to keep", "and string.sub(ARGV[9], 1, 1) ~= 'k'", ""),
    ("a secondary records its refusal", "refuse(decides, 'CHANGED'", "refuse(true, 'CHANGED'"),
    ("a refused writer lets readers in", "now() + 50000", "now() + 0"),
    ("readers lock writers out for ever", "string.sub(lock, 2, 17) > now()", "true"),
    (
        "a lower sequence is answered",
        "or last < seq then return nil",
        "or last <= seq then return nil",
    ),
    (
        "a vote is replaced",
        "return register and string.sub(register, 17, 17) == 'P'",
        "return false",
    ),
    ("other work of the same id is executed", "if before ~= digest and", "if false and"),
    (
        "an abort leaves no tombstone",
        "redis.call('HSET', T, slot, seq .. 'A'",
        "redis.call('HDEL', T, slot, seq .. 'A'",
    ),
    (
        "a deletion is a lost shadow",
        "elseif left == -2 then kind = 'd'",
        "elseif false then kind = 'd'",
    ),
    ("a copy keeps what was left", "if copied == 0 then redis.pcall('UNLINK', shadow) end", ""),
    (
        "an overwriting deletion keeps what was left",
        "reply = redis.pcall('UNLINK', shadows[i])",
        "reply = 1",
    ),
    ("what fails leaves shadows", "if #list > 0 then redis.pcall('UNLINK', unpack(list)) end", ""),
    (
        "reads do not see writes",
        "shadows[i] or KEYS[i + 2])",
        "letter ~= 'r' and shadows[i] or KEYS[i + 2])",
    ),
    ("size is no matter", "if size > limit then", "if false then"),
    ("FINISH takes any lock", "if verdict == 'C' and mine[i] then", "if verdict == 'C' then"),
    (
        "a lost shadow deletes",
        "if ends == '' or now() / 1000 + 2 < tonumber(ends) then return false end",
        "",
    ),
    ("an abort applies", "if verdict == 'C' and mine[i]", "if mine[i]"),
    ("a commit forgets the replies", "',0,0,' .. role .. replies", "',0,0,' .. role"),
    ("an abort keeps the locks", "drop[#drop + 1] = fields[i + 1]", "drop[#drop + 1] = 'none'"),
    (
        "a commit of nothing is one",
        "if verdict == 'C' then return {'LOST', '0'} end",
        "if verdict == 'C' then return {'COMMITTED', ''} end",
    ),
    ("a quiet abort leaves a tombstone", "if verdict == 'Q' then return {'NOTHING'} end", ""),
    ("another's keys are finished", "if names ~= counted(KEYS, 2, keys + 1) then", "if false then"),
    ("STATUS forces without being told", "if ARGV[3] ~= '1' then return {'NOTHING'} end", ""),
    (
        "a late VOTE is stale",
        "if now() > ARGV[2] then return {'ABORTED'} end",
        "if now() > ARGV[2] then return stale() end",
    ),
    (
        "SWEEP removes votes",
        "string.sub(register, 17, 17) ~= 'P' and string.sub(register, 34, 49)",
        "string.sub(register, 34, 49)",
    ),
    (
        "SWEEP removes what was used again",
        "string.sub(register, 1, 16) == string.sub(ARGV[i], 21) and",
        "",
    ),
    (
        "SWEEP removes shadows of votes",
        "if not register or role_of(register) and string.sub(register, 17, 17) ~= 'P' then drop",
        "if true then drop",
    ),
    (
        "SWEEP breaks locks",
        "return not register or role_of(register) and string.sub(register, 1, 17) ~=",
        "return true or string.sub(register, 1, 17) ~=",
    ),
];

#[test]
fn mutants_of_a_script_are_noticed() {
    let server = RedisServer::start();
    let mut unnoticed = Vec::new();
    for (name, piece, instead) in MUTANTS {
        let mut pair = TransactionPair::with(&server, (piece, instead));
        let found = run(&mut pair, 77, WITHIN).err();
        assert!(pair.mutated, "{name}: no script has the piece");
        match found {
            Some((_, what)) if what.contains("Redis -ERR") => {
                panic!("{name}: a script that fails proves nothing: {what}")
            }
            Some((step, _)) => println!("{step:6} operations: {name}"),
            None => unnoticed.push(name),
        }
    }
    assert!(unnoticed.is_empty(), "not noticed in {WITHIN} operations: {unnoticed:?}");
}
