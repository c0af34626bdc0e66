//! The replies of a transaction's operations as one string, which is what a register keeps and an
//! answer carries: they have to nest, and a script's answer may not.
//!
//! Each is a letter and what belongs to it, numbers ended by a newline: `:` an integer, `+` a
//! status, `$` a length and as many bytes, `*` a count and as many replies, `_` nothing.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::redis::{Reply, parse_number};

/// A reply nests no deeper in any command that a transaction takes.
const DEPTH: u32 = 8;

/// Appends a reply. What only RESP3 has is what RESP2 has in its place, as scripts see it.
pub(in crate::transaction) fn write(out: &mut Vec<u8>, reply: &Reply) {
    match reply {
        Reply::Nil => out.push(b'_'),
        Reply::Simple(text) | Reply::Error(text) => line(out, b'+', text),
        Reply::Integer(number) => line(out, b':', number.to_string().as_bytes()),
        Reply::Boolean(yes) => line(out, b':', if *yes { b"1" } else { b"0" }),
        Reply::Bulk(bytes) | Reply::Double(bytes) | Reply::BigNumber(bytes) => {
            count(out, b'$', bytes.len());
            out.extend_from_slice(bytes);
        }
        Reply::Array(items) | Reply::Set(items) => {
            count(out, b'*', items.len());
            items.iter().for_each(|item| write(out, item));
        }
        Reply::Map(pairs) => {
            count(out, b'*', pairs.len() * 2);
            pairs.iter().for_each(|(key, value)| {
                write(out, key);
                write(out, value);
            });
        }
    }
}

fn line(out: &mut Vec<u8>, letter: u8, text: &[u8]) {
    out.push(letter);
    out.extend_from_slice(text);
    out.push(b'\n');
}

fn count(out: &mut Vec<u8>, letter: u8, number: usize) {
    line(out, letter, number.to_string().as_bytes());
}

/// All replies in a string; none if it is not such a string.
pub(in crate::transaction) fn read(mut text: &[u8]) -> Option<Vec<Reply>> {
    let mut replies = Vec::new();
    while !text.is_empty() {
        replies.push(one(&mut text, DEPTH)?);
    }
    Some(replies)
}

fn one(text: &mut &[u8], depth: u32) -> Option<Reply> {
    let (letter, rest) = text.split_first()?;
    *text = rest;
    if *letter == b'_' {
        return Some(Reply::Nil);
    }
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let (head, rest) = (text.get(..end)?, text.get(end + 1..)?);
    *text = rest;
    let length = || usize::try_from(parse_number(head)?).ok();
    Some(match letter {
        b'+' => Reply::Simple(head.to_vec()),
        b':' => Reply::Integer(core::str::from_utf8(head).ok()?.parse().ok()?),
        b'$' => {
            let (bytes, rest) = text.split_at_checked(length()?)?;
            *text = rest;
            Reply::bulk(bytes)
        }
        b'*' => {
            let depth = depth.checked_sub(1)?;
            // Every reply has a byte at least: a count beyond that is refused before it is believed.
            let items = length().filter(|items| *items <= text.len())?;
            Reply::Array((0..items).map(|_| one(text, depth)).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn replies_come_back_as_they_were() {
        let nested = Reply::Array(vec![Reply::Nil, Reply::Array(vec![]), Reply::bulk("a\nb\0")]);
        let all = [Reply::Integer(i64::MIN), Reply::ok(), Reply::bulk(""), nested];
        let mut text = Vec::new();
        all.iter().for_each(|reply| write(&mut text, reply));
        assert_eq!(read(&text).as_deref(), Some(&all[..]));
        for end in 0..text.len() {
            // A string that was cut is some of the replies or none, never a panic.
            assert!(read(&text[..end]).is_none_or(|some| all.starts_with(&some)));
        }
        for bad in [
            "$9\na",
            "*99999999999\n",
            "$-1\n",
            "?1\n",
            ":x\n",
            "*1\n*1\n*1\n*1\n*1\n*1\n*1\n*1\n*1\n_",
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }
}
