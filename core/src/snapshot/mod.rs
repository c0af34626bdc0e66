//! The byte envelope of everything that outlives a process: the same state is the same bytes in
//! every language, and whatever is not exactly such bytes is refused.
//!
//! ```text
//! "CMTY" | kind u8 | major u8 | minor u8 | flags u8 | length of the body uvarint | body | CRC-32
//! body    = section*            by strictly rising tag
//! section = tag uvarint | length uvarint | bytes, at least one
//! ```
//!
//! The CRC-32 is that of IEEE 802.3 over all bytes before it, in little-endian order. A uvarint is
//! unsigned LEB128 in its shortest form. A tag with bit 0 set is *critical*: a reader that does
//! not know it refuses the bytes. One that is not is kept by [`Decoded`] and written again, and is
//! dropped with the first change. No flag has a meaning yet, so none may be set.
//!
//! | kind | what |
//! | --- | --- |
//! | 1 | [the slots](crate::crdt::Slots) of a peer counter |
//! | 2 | the journal of a server counter |
//! | 3 | [a ring](crate::ring::Ring) |

mod crc;
mod read;

use alloc::format;
use alloc::vec::Vec;

pub(crate) use read::Reader;

use crate::error::{Error, Result};

const MAGIC: &[u8; 4] = b"CMTY";
const MAJOR: u8 = 1;
const CRITICAL: u64 = 1;

/// The longest snapshot, in bytes.
pub const MAX_SNAPSHOT: usize = 64 << 20;

/// Something that has canonical bytes.
pub trait Snapshot: Sized {
    /// Its kind in the envelope.
    #[doc(hidden)]
    const KIND: u8;

    /// Its sections.
    #[doc(hidden)]
    fn write(&self, sections: &mut Sections);

    /// What these sections say; takes those it knows.
    #[doc(hidden)]
    fn read(sections: &mut Sections) -> Result<Self>;

    /// Its bytes: the same for the same state, everywhere.
    #[must_use]
    fn to_bytes(&self) -> Vec<u8> {
        let mut sections = Sections::default();
        self.write(&mut sections);
        sections.seal(Self::KIND, 0)
    }

    /// What the bytes say.
    ///
    /// # Errors
    /// `Corrupt`, saying where, for bytes that are not canonical, not of this kind, or of a version
    /// that cannot be read here.
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Decoded::from_bytes(bytes).map(|decoded| decoded.value)
    }
}

/// A value with the sections of a later version beside it, which are written again as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<T> {
    /// What this version understands. Changing it means leaving the rest behind.
    value: T,
    minor: u8,
    rest: Sections,
}

impl<T: Snapshot> Decoded<T> {
    /// What the bytes say.
    ///
    /// # Errors
    /// As [`Snapshot::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (minor, mut rest) = Sections::open(T::KIND, bytes)?;
        let value = T::read(&mut rest)?;
        match rest.0.iter().map(|(tag, _)| tag).find(|tag| *tag & CRITICAL != 0) {
            Some(tag) => Err(corrupt(format!("section {tag} is critical and unknown here"))),
            None => Ok(Self { value, minor, rest }),
        }
    }

    /// The bytes again.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut sections = self.rest.clone();
        self.value.write(&mut sections);
        sections.seal(T::KIND, self.minor)
    }

    /// The value.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The value alone.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }
}

/// The sections of a body by tag.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Sections(Vec<(u64, Vec<u8>)>);

impl Sections {
    /// Adds a section, unless it is empty.
    pub(crate) fn put(&mut self, tag: u64, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            let place = self.place(tag).unwrap_or_else(|place| place);
            self.0.insert(place, (tag, bytes));
        }
    }

    /// Takes a section; one that is not there is empty.
    pub(crate) fn take(&mut self, tag: u64) -> Vec<u8> {
        self.place(tag).map(|place| self.0.remove(place).1).unwrap_or_default()
    }

    /// Where a section is, or would be.
    fn place(&self, tag: u64) -> core::result::Result<usize, usize> {
        self.0.binary_search_by_key(&tag, |(tag, _)| *tag)
    }

    fn seal(&self, kind: u8, minor: u8) -> Vec<u8> {
        let mut body = Vec::new();
        for (tag, bytes) in &self.0 {
            write_uvarint(&mut body, *tag);
            write_uvarint(&mut body, bytes.len() as u64);
            body.extend_from_slice(bytes);
        }
        let mut out = Vec::with_capacity(body.len() + 22);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[kind, MAJOR, minor, 0]);
        write_uvarint(&mut out, body.len() as u64);
        out.append(&mut body);
        let sum = crc::crc32(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    fn open(kind: u8, bytes: &[u8]) -> Result<(u8, Self)> {
        if bytes.len() > MAX_SNAPSHOT {
            return Err(corrupt(format!("{} bytes, the limit is {MAX_SNAPSHOT}", bytes.len())));
        }
        let Some((signed, sum)) = bytes.split_last_chunk::<4>() else {
            return Err(corrupt(format!("{} bytes are too few", bytes.len())));
        };
        let mut reader = Reader::new(signed);
        if reader.bytes(4)? != MAGIC {
            return Err(corrupt("it does not begin with CMTY"));
        }
        let [found, major, minor, flags] = [(); 4].map(|()| reader.byte().unwrap_or(u8::MAX));
        if found != kind {
            return Err(corrupt(format!("it is of kind {found}, not {kind}")));
        }
        if major != MAJOR {
            return Err(corrupt(format!("version {major}.{minor} cannot be read here")));
        }
        if flags != 0 {
            return Err(corrupt(format!("flags {flags:#04x} are unknown")));
        }
        let length = reader.uvarint()?;
        if length != reader.left() as u64 {
            return Err(corrupt(format!("a body of {length} bytes, {} are there", reader.left())));
        }
        if crc::crc32(signed) != u32::from_le_bytes(*sum) {
            return Err(corrupt("the checksum is another"));
        }
        let mut sections = Self::default();
        while !reader.is_at_end() {
            let tag = reader.uvarint()?;
            if sections.0.last().is_some_and(|(last, _)| *last >= tag) {
                return Err(corrupt(format!("section {tag} is out of order")));
            }
            let length = reader.uvarint()?;
            if length == 0 {
                return Err(corrupt(format!("section {tag} is empty")));
            }
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            sections.0.push((tag, reader.bytes(length)?.to_vec()));
        }
        Ok((minor, sections))
    }
}

/// Appends a number in its shortest form.
pub(crate) fn write_uvarint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        // The low seven bits fit a byte.
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

pub(crate) fn corrupt(what: impl core::fmt::Display) -> Error {
    Error::corrupt(format!("not a valid snapshot: {what}"))
}
