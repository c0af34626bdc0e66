//! What random calls are made of.

use comity::redis::Argv;

/// All keys. Two or three in a row are those that the commands of one type mostly work on, so that
/// they find what they look for.
pub(super) const KEYS: [&[u8]; 11] =
    [b"s1", b"s2", b"", b"h1", b"h2\0\r\n\xff", b"e1", b"e2", b"l1", b"l2", b"z1", b"z2"];

/// The keys of a command's type; all where it has none.
pub(super) fn family(name: &str) -> &'static [&'static [u8]] {
    match name {
        "SADD" | "SREM" | "SISMEMBER" | "SCARD" | "SMEMBERS" => &KEYS[5..7],
        "RPUSH" | "RPOP" => &KEYS[7..9],
        _ if name.starts_with('H') => &KEYS[3..5],
        _ if name.starts_with('L') => &KEYS[7..9],
        _ if name.starts_with('Z') => &KEYS[9..],
        _ if ["SET", "GET", "INCR", "DECR", "APP", "STR"]
            .iter()
            .any(|part| name.contains(part)) =>
        {
            &KEYS[..3]
        }
        _ => &KEYS,
    }
}

/// What is hardly ever right, and never a small number above zero.
pub(super) const ODD: [&[u8]; 22] = [
    b"",
    b"0",
    b"-1",
    b"-0",
    b"+1",
    b"01",
    b" 1",
    b"1 ",
    b"1.5",
    b"x",
    b"\xff\0\r\n",
    b"nan",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"NX",
    b"xx",
    b"GET",
    b"KEEPTTL",
    b"REPLACE",
    b"WITHSCORES",
    b"limit",
    b"gt\0x",
];

pub(super) const VALUES: [&[u8]; 9] =
    [b"", b"a", b"b", b"\0\r\n\xff", b"7", b"-3", b"9223372036854775807", b"0.1", b"3000.1"];

pub(super) const MEMBERS: [&[u8]; 7] = [b"a", b"b", b"c", b"", b"ab", b"\xff\0", b"5"];

pub(super) const INTEGERS: [&[u8]; 8] = [
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775806",
    b"-9223372036854775807",
    b"1e3",
    b"12345678901234567890",
    b"--1",
    b"4\0",
];

pub(super) const FLOATS: [&[u8]; 24] = [
    b"inf",
    b"-INF",
    b"+infinity",
    b"nan",
    b"1e400",
    b"-1e400",
    b"1e-400",
    b"1e-320",
    b"1.8e308",
    b"0x1p-3",
    b"-0X.8P3",
    b"0x1.fffffffffffff8p0",
    b"0x",
    b"1e",
    b".",
    b".5",
    b"5.",
    b"-0",
    b"1125899906842624.25",
    b"1125899906842624.75",
    b"9007199254740993",
    b"5e-324",
    b"1e17",
    b"0x1.00000000000000000000000000001p0",
];

/// A word of a call. Moments are after now, and differ from one clock to another.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    Bytes(Vec<u8>),
    Ms(i64),
    Seconds(i64),
}

/// The words as they are where the clock shows `now_ms`.
pub(crate) fn render(words: &[Word], now_ms: i64) -> Argv {
    let word = |word: &Word| match word {
        Word::Bytes(bytes) => bytes.clone(),
        Word::Ms(after) => (now_ms + after).to_string().into_bytes(),
        Word::Seconds(after) => ((now_ms + after).div_euclid(1_000)).to_string().into_bytes(),
    };
    words.iter().map(word).collect()
}
