//! How numbers and lists are written in arguments, registers, locks and answers.

use alloc::vec::Vec;

use super::{COLUMN_END, WIDTH};
use crate::keyspace::ServerTime;
use crate::redis::{Argv, parse_number, write_padded};

/// A moment in a column's width.
pub(in crate::transaction) fn push_time(out: &mut Argv, time: ServerTime) {
    out.push_padded(time.0.min(COLUMN_END - 1), WIDTH);
}

/// A number as 16 hexadecimal digits.
pub(in crate::transaction) fn write_hex(out: &mut Vec<u8>, number: u64) {
    write_hex_bytes(out, &number.to_be_bytes());
}

pub(in crate::transaction) fn write_hex_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(b"0123456789abcdef"[usize::from(digit)]);
        }
    }
}

pub(in crate::transaction) fn parse_hex(text: &[u8]) -> Option<u64> {
    let lower = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (lower && text.len() == 16).then_some(())?;
    u64::from_str_radix(core::str::from_utf8(text).ok()?, 16).ok()
}

/// A length, a colon, and as many bytes.
pub(in crate::transaction) fn write_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    write_padded(out, bytes.len() as u64, 1);
    out.push(b':');
    out.extend_from_slice(bytes);
}

pub(in crate::transaction) fn read_counted(mut text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut list = Vec::new();
    while !text.is_empty() {
        let colon = text.iter().position(|&byte| byte == b':')?;
        let (length, rest) = (text.get(..colon)?, text.get(colon + 1..)?);
        let (bytes, rest) = rest.split_at_checked(usize::try_from(parse_number(length)?).ok()?)?;
        list.push(bytes.to_vec());
        text = rest;
    }
    Some(list)
}
