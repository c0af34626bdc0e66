//! Replies of servers: from C for the core, and from the core for C.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::c_char;
use std::ptr;

use comity::error::{Error, ErrorCode, Result};
use comity::redis::Reply;

use crate::pointer::{bytes, many};

/// A bulk string: bytes.
pub const COMITY_REPLY_STRING: u32 = 1;
/// An array: elements.
pub const COMITY_REPLY_ARRAY: u32 = 2;
/// An integer: integer.
pub const COMITY_REPLY_INTEGER: u32 = 3;
/// Nil, a null bulk string or a null array.
pub const COMITY_REPLY_NIL: u32 = 4;
/// A simple string such as OK: bytes.
pub const COMITY_REPLY_STATUS: u32 = 5;
/// An error: bytes, the whole text, its code word first.
pub const COMITY_REPLY_ERROR: u32 = 6;
/// RESP3: a double: bytes, its text.
pub const COMITY_REPLY_DOUBLE: u32 = 7;
/// RESP3: a boolean: integer is 0 or 1.
pub const COMITY_REPLY_BOOL: u32 = 8;
/// RESP3: a map: elements, each key followed by its value.
pub const COMITY_REPLY_MAP: u32 = 9;
/// RESP3: a set: elements.
pub const COMITY_REPLY_SET: u32 = 10;
/// RESP3: a push: elements. Taken as an array.
pub const COMITY_REPLY_PUSH: u32 = 12;
/// RESP3: a big number: bytes, its decimal text.
pub const COMITY_REPLY_BIGNUM: u32 = 13;
/// RESP3: a verbatim string: bytes, without the type in front. Taken as a bulk string.
pub const COMITY_REPLY_VERBATIM: u32 = 14;

/// The deepest reply: an array in an array has depth 2.
pub const COMITY_REPLY_MAX_DEPTH: u32 = 32;
/// The most elements of a reply, those of its elements included.
pub const COMITY_REPLY_MAX_ELEMENTS: usize = 1_048_576;

/// A reply in RESP2 or RESP3. The kinds have the numbers of hiredis' REDIS_REPLY_ constants, and the
/// fields the meaning of those of its redisReply. Fields that are not named with the kind are not
/// read.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_reply {
    /// A COMITY_REPLY_ constant.
    pub kind: u32,
    /// The number.
    pub integer: i64,
    /// The first of the bytes; may be NULL if len is 0.
    pub bytes: *const c_char,
    /// How many bytes.
    pub len: usize,
    /// The first of the elements, which lie side by side; may be NULL if count is 0.
    pub elements: *const comity_reply,
    /// How many elements; of a map, keys and values together.
    pub count: usize,
}

impl comity_reply {
    const fn of_kind(kind: u32) -> Self {
        let (bytes, elements) = (ptr::null(), ptr::null());
        Self { kind, integer: 0, bytes, len: 0, elements, count: 0 }
    }
}

/// A reply that C has filled in.
///
/// # Safety
///
/// `reply` is NULL or keeps the rules of the header, with all that it points to.
pub(crate) unsafe fn read(reply: *const comity_reply) -> Result<Reply> {
    let mut left = COMITY_REPLY_MAX_ELEMENTS;
    // SAFETY: the caller vouches for it.
    unsafe {
        let root = many(reply, usize::from(!reply.is_null()), "reply")?;
        let root = root.first().ok_or_else(|| crate::pointer::null("reply"))?;
        nested(root, COMITY_REPLY_MAX_DEPTH, &mut left)
    }
}

unsafe fn nested(reply: &comity_reply, depth: u32, left: &mut usize) -> Result<Reply> {
    // SAFETY: the caller vouches for what the reply points to.
    let text = || unsafe { bytes(reply.bytes.cast(), reply.len, "bytes of a reply") };
    let owned = || text().map(<[u8]>::to_vec);
    Ok(match reply.kind {
        COMITY_REPLY_STRING | COMITY_REPLY_VERBATIM => Reply::Bulk(owned()?),
        COMITY_REPLY_INTEGER => Reply::Integer(reply.integer),
        COMITY_REPLY_NIL => Reply::Nil,
        COMITY_REPLY_STATUS => Reply::Simple(owned()?),
        COMITY_REPLY_ERROR => Reply::Error(owned()?),
        COMITY_REPLY_DOUBLE => Reply::Double(owned()?),
        COMITY_REPLY_BOOL => Reply::Boolean(reply.integer != 0),
        COMITY_REPLY_BIGNUM => Reply::BigNumber(owned()?),
        COMITY_REPLY_ARRAY | COMITY_REPLY_PUSH | COMITY_REPLY_SET | COMITY_REPLY_MAP => {
            // SAFETY: the same.
            let items = unsafe { elements(reply, depth, left) }?;
            match reply.kind {
                COMITY_REPLY_SET => Reply::Set(items),
                COMITY_REPLY_MAP => Reply::Map(pairs(items)?),
                _ => Reply::Array(items),
            }
        }
        kind => {
            return Err(crate::pointer::unknown("kind of a reply", kind, "COMITY_REPLY_"));
        }
    })
}

unsafe fn elements(reply: &comity_reply, depth: u32, left: &mut usize) -> Result<Vec<Reply>> {
    let deeper = depth.checked_sub(1).ok_or_else(|| {
        let message = format!("reply: deeper than {COMITY_REPLY_MAX_DEPTH}, which is the limit");
        Error::new(ErrorCode::LimitExceeded, message)
    })?;
    *left = left.checked_sub(reply.count).ok_or_else(|| {
        let message =
            format!("reply: more than {COMITY_REPLY_MAX_ELEMENTS} elements, which is the limit");
        Error::new(ErrorCode::LimitExceeded, message)
    })?;
    // SAFETY: the caller vouches for what the reply points to.
    unsafe {
        let items = many(reply.elements, reply.count, "elements of a reply")?;
        items.iter().map(|item| nested(item, deeper, left)).collect()
    }
}

fn pairs(items: Vec<Reply>) -> Result<Vec<(Reply, Reply)>> {
    if !items.len().is_multiple_of(2) {
        let message = format!("reply: a map of {} elements, the last without a value", items.len());
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// Elements of replies for C. They point to each other, and into the replies they are made of.
#[derive(Debug, Default)]
pub(crate) struct Lists(Vec<Vec<comity_reply>>);

impl Lists {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// A reply as C sees it, for as long as the reply and this are left alone.
    pub(crate) fn show(&mut self, reply: &Reply) -> comity_reply {
        let text = |kind, bytes: &[u8]| comity_reply {
            bytes: bytes.as_ptr().cast(),
            len: bytes.len(),
            ..comity_reply::of_kind(kind)
        };
        let number = |kind, integer| comity_reply { integer, ..comity_reply::of_kind(kind) };
        match reply {
            Reply::Nil => comity_reply::of_kind(COMITY_REPLY_NIL),
            Reply::Simple(bytes) => text(COMITY_REPLY_STATUS, bytes),
            Reply::Error(bytes) => text(COMITY_REPLY_ERROR, bytes),
            Reply::Integer(integer) => number(COMITY_REPLY_INTEGER, *integer),
            Reply::Bulk(bytes) => text(COMITY_REPLY_STRING, bytes),
            Reply::Double(bytes) => text(COMITY_REPLY_DOUBLE, bytes),
            Reply::Boolean(value) => number(COMITY_REPLY_BOOL, (*value).into()),
            Reply::BigNumber(bytes) => text(COMITY_REPLY_BIGNUM, bytes),
            Reply::Array(items) => self.list(COMITY_REPLY_ARRAY, items.iter()),
            Reply::Set(items) => self.list(COMITY_REPLY_SET, items.iter()),
            Reply::Map(pairs) => {
                self.list(COMITY_REPLY_MAP, pairs.iter().flat_map(|(key, value)| [key, value]))
            }
            // None of the kinds there are.
            _ => comity_reply::of_kind(COMITY_REPLY_NIL),
        }
    }

    /// Many replies side by side.
    pub(crate) fn list<'a>(
        &mut self,
        kind: u32,
        items: impl Iterator<Item = &'a Reply>,
    ) -> comity_reply {
        let shown: Vec<comity_reply> = items.map(|item| self.show(item)).collect();
        let (elements, count) = (shown.as_ptr(), shown.len());
        self.0.push(shown);
        comity_reply { elements, count, ..comity_reply::of_kind(kind) }
    }
}
