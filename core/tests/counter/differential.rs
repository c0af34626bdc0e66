//! The counter in the embedded store against a real redis-server: the same random operations, and
//! every reply and the whole key space compared. And the proof that this would notice: the same
//! with scripts that have one mistake each.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

use crate::support::counter_ops::{CounterOps, KEY};
use crate::support::pair::{Difference, Pair};
use crate::support::redis_server::RedisServer;
use crate::support::seed;
use comity::counter::{Answer, FlushStamp, Op, SlotId, Tally, Totals, Verb};
use comity::redis::{Reply, Script};

const OPERATIONS: u64 = 12_000;
/// How often each answer has to occur for the comparison to be worth something.
const AT_LEAST: u64 = 40;
/// The most operations until a mistake has to be found.
const WITHIN: u64 = 6_000;

fn run(pair: &mut Pair, seed: u64, operations: u64) -> Result<(), (u64, Difference)> {
    let mut ops = CounterOps::new(seed);
    for step in 0..operations {
        ops.step(pair).map_err(|what| (step, what))?;
    }
    pair.compare_rest().map_err(|what| (operations, what))
}

#[test]
fn the_embedded_store_counts_as_redis_does() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    let seed = seed();
    println!("counter differential: {OPERATIONS} operations, seed {seed}");
    if let Err((step, what)) = run(&mut pair, seed, OPERATIONS) {
        panic!("COMITY_SEED={seed}: step {step}: {what}");
    }
    for (verb, count) in &pair.seen {
        println!("{count:8} {verb}");
    }
    let wanted =
        "NONE LIVE RETIRED FOLDED UNKNOWN AHEAD JOINED RESET CONFLICT PART FIXED MOVED NOSCRIPT";
    for verb in wanted.split_whitespace() {
        let count = pair.seen.get(verb).copied().unwrap_or(0);
        assert!(count >= AT_LEAST, "{verb} occurred {count} times only");
    }
}

/// A mistake: its name, a piece of the script, and what stands there instead.
const MUTANTS: [(&str, &str, &str); 31] = [
    (
        "sum for maximum",
        "highest(oldp, p), highest(oldn, n)",
        "string.format('%020s', sum(oldp, p)), highest(oldn, n)",
    ),
    ("the last value wins", "highest(oldp, p), highest(oldn, n)", "p, n"),
    (
        "a retired slot is refused",
        "local raised = newp ~= oldp or newn ~= oldn",
        "local raised = (newp ~= oldp or newn ~= oldn) and not (slot and #slot > 76)",
    ),
    (
        "an incarnation is issued twice",
        "hw = text(math.max(hw + 1, now))",
        "hw = text(math.max(hw, now))",
    ),
    ("a folded slot is minted again", "if not slot and incarnation <= gc then", "if false then"),
    (
        "an unknown slot does not raise hw",
        "put('hw', text(math.max(hw, tonumber(incarnation))))",
        "put('hw', hw)",
    ),
    ("limbs lose the carry", "+ (b[i] or 0) - (c[i] or 0) + carry", "+ (b[i] or 0) - (c[i] or 0)"),
    (
        "sums are doubles",
        "tp, tn = sum(tp, newp, oldp), sum(tn, newn, oldn)",
        "tp, tn = text(tp + newp - oldp), text(tn + newn - oldn)",
    ),
    (
        "a shared slot is not marked so",
        "== REPLAY and REPLAY or SHARED",
        "== REPLAY and REPLAY or mark",
    ),
    ("a slot of restored bytes is marked shared", "== REPLAY and REPLAY or SHARED", "and SHARED"),
    ("restored bytes mark a slot as shared", "if mark ~= REPLAY and", "if"),
    ("who knows the slot marks it as shared", "not within(before, ARGV[6], ARGV[7])", "slot"),
    ("the mark is not kept", "(raised and mark or string.sub(before, 41, 60))", "mark"),
    (
        "the version may stand still",
        "version = text(math.max(version + 1, now))",
        "version = text(math.max(version, now))",
    ),
    ("a retirement is repeated", "op ~= 'ADD' and not retired", "op ~= 'ADD'"),
    (
        "folding forgets what it folds",
        "fp, fn = sum(fp, string.sub(oldest, 1, 20)), sum(fn, string.sub(oldest, 21, 40))",
        "",
    ),
    ("folding raises no floor", "gc = highest(gc, string.sub(head, 23))", ""),
    (
        "retired slots are folded at once",
        "local kept = tonumber(string.sub(oldest, 61, 76)) + RETENTION > now",
        "local kept = false",
    ),
    ("the retired are not linked", "put(tail, linked .. id)", "put(tail, linked)"),
    ("a folded id is not listed", "ids = ids .. ',' .. id", "ids = ids .. ''"),
    ("a fold forgets what it folds", "fp, fn = sum(fp, newp), sum(fn, newn)", ""),
    ("what leaves the list raises no floor", "gc = highest(gc, first)", ""),
    (
        "nothing leaves the list",
        "if #ids - from < BIN and tonumber(first) + RETENTION > now then break end",
        "if true then break end",
    ),
    ("what others have raised is folded", "op == 'FOLD' and within(before, p, n)", "op == 'FOLD'"),
    ("a folded id is counted again", "if is_folded() then return", "if false then return"),
    (
        "any incarnation is taken",
        "if not slot and not peer and tonumber(incarnation) > math.max(hw, now + AHEAD) then",
        "if false then",
    ),
    (
        "a late flush keeps a retired slot longer",
        "local stamp = retired and string.sub(slot, 61, 76) or",
        "local stamp =",
    ),
    ("a reset is executed twice", "if not at and ARGV[3] ~= epoch", "if ARGV[3] ~= epoch"),
    ("a reset goes by any epoch", "if not at and ARGV[3] ~= epoch then", "if false then"),
    ("a reset leaves the zero point", "zp, zn, epoch = tp, tn,", "zp, zn, epoch = zp, zn,"),
    ("totals are corrected at any version", "if version ~= ARGV[3] then", "if false then"),
];

#[test]
fn mutants_of_the_script_are_noticed() {
    let server = RedisServer::start();
    let shipped = Script::Counter.text();
    for (name, piece, instead) in MUTANTS {
        assert_eq!(shipped.matches(piece).count(), 1, "{name}: the piece must occur once");
        let text = shipped.replace(piece, instead);
        let mut pair = Pair::instead(&server, Script::Counter, &text);
        let found = run(&mut pair, 77, WITHIN).err();
        let Some((step, what)) = found else {
            panic!("not noticed in {WITHIN} operations: {name}")
        };
        assert!(!what.contains("-ERR"), "{name}: a script that fails proves nothing: {what}");
        println!("{step:6} operations: {name}");
    }
}

fn decoded(reply: &Reply) -> Answer {
    Answer::decode(reply).unwrap_or_else(|| panic!("not an answer: {reply:?}"))
}

#[test]
fn sums_are_exact_far_beyond_64_bits() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    let edges =
        [1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX];
    let mut totals = Totals::default();
    for (owner, edge) in edges.into_iter().enumerate() {
        let id = SlotId { owner: owner as u128, incarnation: 1_750_000_000_000_000 };
        let tally = Tally { p: edge, n: edge / 3 };
        let (known, flush_stamp) = (Tally::ZERO, FlushStamp(7));
        let add = Op::Add { id, tally, flush_stamp, known };
        totals.p += u128::from(tally.p);
        totals.n += u128::from(tally.n);
        for op in [&add, &Op::Retire { id, tally, flush_stamp: FlushStamp(8), known }, &add] {
            assert_eq!(decoded(&pair.counter(KEY, op).unwrap()).view.totals, totals);
        }
    }
    assert!(totals.p > u128::from(u64::MAX) * 2);
    pair.set_field(KEY, "tp", "99999999999999999999999999999999999999");
    let id = SlotId { owner: 99, incarnation: 1_750_000_000_000_000 };
    let add =
        Op::Add { id, tally: Tally { p: 1, n: 0 }, flush_stamp: FlushStamp(7), known: Tally::ZERO };
    let sum = decoded(&pair.counter(KEY, &add).unwrap()).view.totals.p;
    assert_eq!(sum, 10_u128.pow(38));
}

#[test]
fn a_key_of_another_type_is_the_same_error() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    pair.overwrite(KEY.as_bytes(), b"12");
    let id = SlotId { owner: 1, incarnation: 1 };
    for op in [
        Op::Join,
        Op::Get { id: None },
        Op::Add { id, tally: Tally { p: 1, n: 0 }, flush_stamp: FlushStamp(1), known: Tally::ZERO },
    ] {
        let reply = pair.counter(KEY, &op).unwrap();
        assert!(matches!(&reply, Reply::Error(text) if text.starts_with(b"WRONGTYPE")));
    }
}

#[test]
fn a_counter_takes_so_many_slots_and_no_more() {
    let server = RedisServer::start();
    let mut pair = Pair::new(&server);
    let id = |owner| SlotId { owner, incarnation: 1_750_000_000_000_000 };
    let tally = Tally { p: 1, n: 0 };
    let row = |owner: u128| {
        let value = format!("{:020}{:020}{:020}{:016}", 1, 0, 5, 1);
        (id(owner).to_text().to_vec(), value.into_bytes())
    };
    let rows: Vec<_> = (0..65_536).map(row).collect();
    pair.set_fields(KEY, &rows);
    pair.set_field(KEY, "tp", "65536");
    for field in ["tn", "zp", "zn", "fp", "fn", "ep", "v", "hw", "bins", "peers"] {
        pair.set_field(KEY, field, "0");
    }
    pair.set_field(KEY, "gc", "0000000000000000");
    for field in ["head", "tail", "ops"] {
        pair.set_field(KEY, field, "");
    }
    let full = pair
        .counter(
            KEY,
            &Op::Add { id: id(70_000), tally, flush_stamp: FlushStamp(9), known: Tally::ZERO },
        )
        .unwrap();
    assert_eq!(decoded(&full).verb, Verb::Full);
    // Two are retired: the first of them, and none that is live, makes room for one more.
    let known = Tally::ZERO;
    for owner in [5, 6] {
        let retire = Op::Retire { id: id(owner), tally, flush_stamp: FlushStamp::REPLAY, known };
        assert_eq!(decoded(&pair.counter(KEY, &retire).unwrap()).verb, Verb::Retired);
    }
    for (op, verb) in [
        (Op::Add { id: id(70_000), tally, flush_stamp: FlushStamp(9), known }, Verb::Live),
        (Op::Add { id: id(5), tally, flush_stamp: FlushStamp(9), known }, Verb::Unknown),
        (
            Op::Retire {
                id: SlotId { owner: 1, incarnation: pair.now },
                tally,
                flush_stamp: FlushStamp(9),
                known,
            },
            Verb::Retired,
        ),
        (Op::Get { id: Some(id(6)) }, Verb::None),
    ] {
        assert_eq!(decoded(&pair.counter(KEY, &op).unwrap()).verb, verb, "{op:?}");
    }
    // The slots there are still count.
    let tally = Tally { p: 3, n: 0 };
    let live = pair
        .counter(KEY, &Op::Add { id: id(9), tally, flush_stamp: FlushStamp(9), known: Tally::ZERO })
        .unwrap();
    assert_eq!(decoded(&live).verb, Verb::Live);
    assert_eq!(decoded(&live).view.totals.p, 65_540);
}
