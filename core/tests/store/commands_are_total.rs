//! Any words at all on the embedded store: never a panic, errors change nothing, the table of
//! commands tells the truth, and memory is bounded.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]

use std::collections::BTreeMap;

use crate::support::calls::Calls;
use crate::support::words::render;
use crate::support::{Rng, checked, for_seeds};
use comity::keyspace::command::{COMMANDS, MAX_REPLY, MAX_STRING};
use comity::memory::MemoryStore;
use comity::redis::{Argv, Reply};
use comity::time::Time;

const RUNS: u64 = 40;
const CALLS: u64 = 2_500;
const NOW: Time = Time::from_micros(1_750_000_000_000_000);

fn argv<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> Argv {
    words.into_iter().collect()
}

/// Random bytes, numbers, keys and pieces of other calls.
fn word(rng: &mut Rng, others: &Argv) -> Vec<u8> {
    match rng.below(6) {
        0 => (0..rng.below(30)).map(|_| rng.next() as u8).collect(),
        1 => rng.next().cast_signed().to_string().into_bytes(),
        2 => rng.pick(&[i64::MIN, i64::MAX, 0, 1 << 24, 1 << 29]).to_string().into_bytes(),
        3 => f64::from_bits(rng.next()).to_string().into_bytes(),
        4 => rng.pick(&["s1", "h1", "e1", "l1", "z1"]).into(),
        _ => others.get(rng.index(others.len())).unwrap_or_default().to_vec(),
    }
}

#[test]
fn any_words_are_answered_and_errors_change_nothing() {
    let mut answers: BTreeMap<&str, u64> = BTreeMap::new();
    for_seeds("any words", RUNS, |seed| {
        let (mut store, mut calls, mut now) = (MemoryStore::new(), Calls::new(seed), NOW);
        for _ in 0..CALLS {
            now = Time::from_micros(now.as_micros() + calls.rng.below(400_000));
            let command = calls.rng.pick(COMMANDS);
            let sound = calls.call(&command, |_| None);
            let sound = render(&sound, (now.as_micros() / 1_000).cast_signed());
            let rng = &mut calls.rng;
            let call = match rng.below(10) {
                0..5 => sound,
                5..9 => {
                    let mut words: Vec<Vec<u8>> = sound.iter().map(<[u8]>::to_vec).collect();
                    for _ in 0..rng.below(3) {
                        let at = 1 + rng.index(words.len());
                        words.insert(at, word(rng, &sound));
                    }
                    for other in words.iter_mut().skip(1) {
                        if rng.chance(250) {
                            *other = word(rng, &sound);
                        }
                    }
                    argv(words)
                }
                _ => argv((0..rng.below(5)).map(|_| word(rng, &sound)).collect::<Vec<_>>()),
            };
            let reply = checked::execute(&mut store, &call, now);
            let kind = match &reply {
                Reply::Error(text) if text.starts_with(b"WRONGTYPE") => "wrong type",
                Reply::Error(text) if text.ends_with(b"embedded store") => "unsupported",
                Reply::Error(_) => "error",
                _ => "reply",
            };
            *answers.entry(kind).or_default() += 1;
        }
    });
    println!("{answers:?}");
    let enough = ["wrong type", "unsupported", "error", "reply"];
    assert!(std::env::var_os("COMITY_SEED").is_some() || enough.iter().all(|a| answers[a] > 2_000));
}

#[test]
fn the_calls_a_fuzzer_makes_of_random_bytes_are_answered() {
    for_seeds("calls of random bytes", 300, |seed| {
        let mut rng = Rng::new(seed);
        let bytes: Vec<u8> = (0..4_000).map(|_| rng.next() as u8).collect();
        let (mut store, mut bytes) = (MemoryStore::new(), bytes.iter());
        while let Some(call) = checked::from_bytes(&mut bytes) {
            checked::execute(&mut store, &call, NOW);
        }
    });
}

#[test]
fn strings_and_replies_end_at_their_limits() {
    let mut store = MemoryStore::new();
    let mut run = |words: &[&[u8]]| checked::execute(&mut store, &argv(words), NOW);
    let text = |reply: Reply| match reply {
        Reply::Error(text) => String::from_utf8(text).expect("ASCII"),
        other => panic!("{other:?} is no error"),
    };
    let too_long = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    let last = (MAX_STRING - 1).to_string();
    for offset in [MAX_STRING.to_string(), i64::MAX.to_string(), "536870911".into()] {
        assert_eq!(text(run(&[b"SETRANGE", b"s", offset.as_bytes(), b"x"])), too_long);
    }
    assert_eq!(run(&[b"EXISTS", b"s"]), Reply::Integer(0));
    let full = Reply::Integer(MAX_STRING as i64);
    assert_eq!(run(&[b"SETRANGE", b"s", last.as_bytes(), b"x"]), full);
    assert_eq!(text(run(&[b"APPEND", b"s", b"x"])), too_long);
    assert_eq!(run(&[b"APPEND", b"s", b""]), full);

    let times = MAX_REPLY / MAX_STRING;
    let names =
        |count| argv([&b"MGET"[..]].into_iter().chain(std::iter::repeat_n(&b"s"[..], count)));
    let mget = store.execute(&names(times), NOW);
    assert!(matches!(mget, Reply::Array(items) if items.len() == times));
    let refused = text(store.execute(&names(times + 1), NOW));
    assert_eq!(
        refused,
        "ERR a reply of 83886080 bytes, the limit of the embedded store is 67108864"
    );

    let long = vec![b'x'; MAX_STRING + 1];
    let refused = text(store.execute(&argv([b"SET", &b"k"[..], &long]), NOW));
    assert_eq!(
        refused,
        "ERR an argument of 16777217 bytes, the limit of the embedded store is 16777216"
    );
    // An unknown name is not repeated at any length.
    assert!(text(store.execute(&argv([&long]), NOW)).len() < 400);
}
