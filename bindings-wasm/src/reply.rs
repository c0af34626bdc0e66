//! Replies, packed: a byte that says of which kind, and what it holds.

use comity::redis::Reply;

use crate::pack::{Reader, Writer};

/// Deeper than any reply of a Redis command. TypeScript refuses what is deeper.
const MAX_DEPTH: u32 = 32;

const NIL: u8 = 0;
const SIMPLE: u8 = 1;
const ERROR: u8 = 2;
const INTEGER: u8 = 3;
const BULK: u8 = 4;
const ARRAY: u8 = 5;
const DOUBLE: u8 = 6;
const BOOLEAN: u8 = 7;
const BIG_NUMBER: u8 = 8;
const MAP: u8 = 9;
const SET: u8 = 10;

pub(crate) fn write(out: &mut Writer, reply: &Reply) {
    let mut text = |kind: u8, bytes: &[u8]| _ = out.byte(kind).bytes(bytes);
    match reply {
        Reply::Simple(bytes) => text(SIMPLE, bytes),
        Reply::Error(bytes) => text(ERROR, bytes),
        Reply::Bulk(bytes) => text(BULK, bytes),
        Reply::Double(bytes) => text(DOUBLE, bytes),
        Reply::BigNumber(bytes) => text(BIG_NUMBER, bytes),
        Reply::Integer(number) => _ = out.byte(INTEGER).wide(number.cast_unsigned()),
        Reply::Boolean(flag) => _ = out.byte(BOOLEAN).flag(*flag),
        Reply::Array(items) => _ = out.byte(ARRAY).each(items.iter(), write),
        Reply::Set(items) => _ = out.byte(SET).each(items.iter(), write),
        Reply::Map(pairs) => {
            out.byte(MAP).each(pairs.iter(), |out, (key, value)| {
                write(out, key);
                write(out, value);
            });
        }
        // There is no other: a new one is nil until it is written here.
        _ => _ = out.byte(NIL),
    }
}

pub(crate) fn read(bytes: &mut Reader<'_>) -> Option<Reply> {
    nested(bytes, MAX_DEPTH)
}

fn nested(bytes: &mut Reader<'_>, depth: u32) -> Option<Reply> {
    let kind = bytes.byte()?;
    let item = |bytes: &mut Reader<'_>| nested(bytes, depth.checked_sub(1)?);
    Some(match kind {
        NIL => Reply::Nil,
        SIMPLE => Reply::Simple(bytes.bytes()?.to_vec()),
        ERROR => Reply::Error(bytes.bytes()?.to_vec()),
        BULK => Reply::Bulk(bytes.bytes()?.to_vec()),
        DOUBLE => Reply::Double(bytes.bytes()?.to_vec()),
        BIG_NUMBER => Reply::BigNumber(bytes.bytes()?.to_vec()),
        INTEGER => Reply::Integer(bytes.wide()?),
        BOOLEAN => Reply::Boolean(bytes.byte()? != 0),
        ARRAY => Reply::Array(bytes.each(item)?),
        SET => Reply::Set(bytes.each(item)?),
        MAP => Reply::Map(bytes.each(|bytes| Some((item(bytes)?, item(bytes)?)))?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back() {
        let reply = Reply::Array(vec![
            Reply::Nil,
            Reply::ok(),
            Reply::error("ERR no"),
            Reply::Integer(i64::MIN),
            Reply::bulk([0, 255]),
            Reply::Double(b"1.5".to_vec()),
            Reply::Boolean(true),
            Reply::BigNumber(b"18446744073709551616".to_vec()),
            Reply::Map(vec![(Reply::bulk("k"), Reply::Set(vec![Reply::Integer(1)]))]),
        ]);
        let mut out = Writer::default();
        write(&mut out, &reply);
        assert_eq!(read(&mut Reader::new(&out.finish())), Some(reply));
    }

    #[test]
    fn a_reply_that_is_too_deep_is_none() {
        let deep = |levels: usize| {
            let mut bytes = Vec::new();
            for _ in 0..levels {
                bytes.extend([ARRAY, 1, 0, 0, 0]);
            }
            bytes.push(NIL);
            read(&mut Reader::new(&bytes))
        };
        assert!(deep(MAX_DEPTH as usize).is_some());
        assert_eq!(deep(MAX_DEPTH as usize + 1), None);
    }
}
