//! What a server may say comes out as it was, in whatever pieces it arrives.

use comity::redis::Reply;
use comity::redis::wire::{Decoder, Malformed};

use crate::support::{Rng, for_seeds};

fn text(rng: &mut Rng) -> Vec<u8> {
    let length = rng.pick(&[0, 1, 7, 40, 3_000]);
    (0..length).map(|_| rng.pick(b"a\r\n\0\xff $*")).collect()
}

fn line(rng: &mut Rng) -> Vec<u8> {
    text(rng).into_iter().filter(|byte| !b"\r\n".contains(byte)).collect()
}

fn reply(rng: &mut Rng, depth: usize) -> Reply {
    let items = |rng: &mut Rng| {
        let count = rng.between(0, 4);
        (0..count).map(|_| reply(rng, depth + 1)).collect::<Vec<_>>()
    };
    match rng.between(0, if depth < 6 { 11 } else { 8 }) {
        0 => Reply::Nil,
        1 => Reply::Simple(line(rng)),
        2 => Reply::Error(line(rng)),
        3 => Reply::Integer(rng.pick(&[0, 1, -1, i64::MAX, i64::MIN, 1_234_567])),
        4 | 5 => Reply::Bulk(text(rng)),
        6 => Reply::Double(rng.pick(&["0", "-1.5e300", "inf", "nan"]).into()),
        7 => Reply::Boolean(rng.chance(500)),
        8 => Reply::BigNumber(rng.pick(&["0", "-99999999999999999999999"]).into()),
        9 => Reply::Array(items(rng)),
        10 => Reply::Set(items(rng)),
        _ => {
            let keys = items(rng);
            Reply::Map(keys.into_iter().map(|key| (key, reply(rng, depth + 1))).collect())
        }
    }
}

fn encode(reply: &Reply, rng: &mut Rng, out: &mut Vec<u8>) {
    // Attributes may stand in front of any value.
    if rng.chance(50) {
        out.extend(b"|1\r\n+ttl\r\n*2\r\n:1\r\n$1\r\n\n\r\n");
    }
    let mut head = |kind: char, count: usize| out.extend(format!("{kind}{count}\r\n").bytes());
    match reply {
        Reply::Nil => out.extend(rng.pick(&["$-1\r\n", "*-1\r\n", "_\r\n"]).bytes()),
        Reply::Simple(text) => out.extend([b"+", &text[..], b"\r\n"].concat()),
        Reply::Error(text) => out.extend([b"-", &text[..], b"\r\n"].concat()),
        Reply::Integer(number) => out.extend(format!(":{number}\r\n").bytes()),
        Reply::Bulk(bytes) if rng.chance(200) => {
            head('=', bytes.len() + 4);
            out.extend([b"txt:", &bytes[..], b"\r\n"].concat());
        }
        Reply::Bulk(bytes) => {
            head('$', bytes.len());
            out.extend([&bytes[..], b"\r\n"].concat());
        }
        Reply::Double(text) => out.extend([b",", &text[..], b"\r\n"].concat()),
        Reply::Boolean(value) => out.extend(if *value { b"#t\r\n" } else { b"#f\r\n" }),
        Reply::BigNumber(text) => out.extend([b"(", &text[..], b"\r\n"].concat()),
        Reply::Array(items) | Reply::Set(items) => {
            head(if matches!(reply, Reply::Set(_)) { '~' } else { '*' }, items.len());
            items.iter().for_each(|item| encode(item, rng, out));
        }
        Reply::Map(pairs) => {
            head('%', pairs.len());
            for (key, value) in pairs {
                encode(key, rng, out);
                encode(value, rng, out);
            }
        }
        other => panic!("{other:?} is new"),
    }
}

/// Reads `bytes` in random pieces.
fn read(bytes: &[u8], rng: &mut Rng) -> Result<Vec<Reply>, Malformed> {
    let (mut decoder, mut found, mut rest) = (Decoder::new(), Vec::new(), bytes);
    while !rest.is_empty() {
        let size = rng.pick(&[1, 2, 3, 100, 4_096]).min(rest.len());
        decoder.feed(&rest[..size]);
        rest = &rest[size..];
        while let Some(frame) = decoder.next()? {
            found.push(frame.to_reply());
        }
    }
    Ok(found)
}

#[test]
fn replies_come_out_as_they_were_sent() {
    for_seeds("wire", 300, |seed| {
        let mut rng = Rng::new(seed);
        let sent: Vec<Reply> = (0..20).map(|_| reply(&mut rng, 0)).collect();
        let mut bytes = Vec::new();
        sent.iter().for_each(|reply| encode(reply, &mut rng, &mut bytes));
        assert_eq!(read(&bytes, &mut rng), Ok(sent));
    });
}

#[test]
fn what_is_flipped_or_cut_short_is_read_alike_in_all_pieces() {
    for_seeds("wire", 300, |seed| {
        let mut rng = Rng::new(seed);
        let mut bytes = Vec::new();
        for _ in 0..10 {
            encode(&reply(&mut rng, 0), &mut rng.clone(), &mut bytes);
        }
        let at = rng.index(bytes.len());
        match rng.between(0, 2) {
            0 => bytes[at] = rng.pick(b"\r\n:$*09-\xff"),
            1 => bytes.truncate(at),
            _ => drop(bytes.remove(at)),
        }
        let first = read(&bytes, &mut rng);
        assert_eq!(read(&bytes, &mut rng), first);
    });
}
