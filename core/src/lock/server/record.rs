//! The lock's state string and records, as they lie in Redis. `lock/mod.rs` has the table.

use alloc::vec::Vec;

use crate::keyspace::ServerTime;
use crate::lock::Id;
use crate::redis::{parse_number, write_padded};
use crate::time::Span;

/// The ids that finished last, four of them with a comma behind each: so wide.
const FINISHED: usize = 4 * 23;
/// The columns of a sole holder, without its label: id, since, ttl, weight, capacity.
const HOLDER: usize = 22 + 16 + 11 + 10 + 10;
/// No column or number is as high: a double holds every one below, and their sums.
const LIMIT: u64 = 9_000_000_000_000_000;

/// The shape of the lock's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// Nobody holds or waits.
    Idle,
    /// Nobody holds or waits, and the columns of the holder that released last still stand: its id is
    /// first, and nothing else of them is read again.
    Released(Vec<u8>),
    /// One holder and nobody waits: all of it is in the state string.
    One(Record),
    /// Holders and waiters are in keys of their own, counted here.
    Queued,
}

/// The state string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Header {
    pub(super) form: Form,
    pub(super) clock: u64,
    pub(super) horizon: ServerTime,
    /// The ids that finished last, as they stand in the string: dots where there is none.
    pub(super) finished: [u8; FINISHED],
    pub(super) capacity: u64,
    pub(super) holders: u64,
    pub(super) waiters: u64,
    pub(super) used: u64,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            form: Form::Idle,
            clock: 0,
            horizon: ServerTime(0),
            finished: core::array::from_fn(|at| if at % 23 == 22 { b',' } else { b'.' }),
            capacity: 0,
            holders: 0,
            waiters: 0,
            used: 0,
        }
    }
}

/// Cuts fixed columns off a string.
struct Columns<'a>(&'a [u8]);

impl<'a> Columns<'a> {
    fn cut(&mut self, width: usize) -> Option<&'a [u8]> {
        let (column, rest) = self.0.split_at_checked(width)?;
        self.0 = rest;
        Some(column)
    }

    fn number(&mut self, width: usize) -> Option<u64> {
        parse_number(self.cut(width)?).filter(|number| *number < LIMIT)
    }
}

impl Header {
    /// Reads a state string; the first byte of one of another layout is the error.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Vec<u8>> {
        Self::columns(bytes).ok_or_else(|| bytes.iter().take(1).copied().collect())
    }

    fn columns(bytes: &[u8]) -> Option<Self> {
        let mut columns = Columns(bytes);
        let form = columns.cut(1)?[0];
        let mut header = Self {
            clock: columns.number(16)?,
            horizon: ServerTime(columns.number(16)?),
            ..Self::default()
        };
        header.finished = columns.cut(FINISHED)?.try_into().ok()?;
        match form {
            b'I' if columns.0.is_empty() => {}
            b'I' => {
                (columns.0.len() >= HOLDER).then_some(())?;
                header.form = Form::Released(columns.0.to_vec());
            }
            b'F' => {
                let id = Id::parse(columns.cut(22)?)?;
                let since = ServerTime(columns.number(16)?);
                let ttl = Span::from_micros(columns.number(11)?);
                let expires_at = since.after(ttl);
                let (weight, capacity) = (columns.number(10)?, columns.number(10)?);
                let mut record = Record::blank(id, Role::Holder, expires_at, weight, capacity);
                (record.number, record.ttl, record.label) = (header.clock, ttl, columns.0.to_vec());
                header.form = Form::One(record);
            }
            b'Q' => {
                header.capacity = columns.number(10)?;
                header.holders = columns.number(10)?;
                header.waiters = columns.number(10)?;
                header.used = columns.number(16)?;
                columns.0.is_empty().then_some(())?;
                header.form = Form::Queued;
            }
            _ => return None,
        }
        Some(header)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(200);
        out.push(match self.form {
            Form::Idle | Form::Released(_) => b'I',
            Form::One(_) => b'F',
            Form::Queued => b'Q',
        });
        write_padded(&mut out, self.clock, 16);
        write_padded(&mut out, self.horizon.0, 16);
        out.extend_from_slice(&self.finished);
        match &self.form {
            Form::Idle => {}
            Form::Released(columns) => out.extend_from_slice(columns),
            Form::One(record) => {
                out.extend_from_slice(record.id.as_bytes());
                let ttl = record.ttl.as_micros();
                write_padded(&mut out, record.expires_at.0.saturating_sub(ttl), 16);
                write_padded(&mut out, ttl, 11);
                write_padded(&mut out, record.weight, 10);
                write_padded(&mut out, record.capacity, 10);
                out.extend_from_slice(&record.label);
            }
            Form::Queued => {
                for count in [self.capacity, self.holders, self.waiters] {
                    write_padded(&mut out, count, 10);
                }
                write_padded(&mut out, self.used, 16);
            }
        }
        out
    }

    /// Remembers an id that finished.
    pub(super) fn finish(&mut self, id: &[u8; 22]) {
        self.finished.rotate_right(23);
        self.finished[..22].copy_from_slice(id);
        self.finished[22] = b',';
    }

    /// Whether an id is one of those that finished last.
    pub(super) fn has_finished(&self, id: Id) -> bool {
        let entry = [id.as_bytes(), &b","[..]].concat();
        self.finished.windows(entry.len()).any(|window| window == entry)
    }

    /// Whether the counts are these.
    pub(super) const fn counts(&self, holders: u64, waiters: u64) -> bool {
        self.holders == holders && self.waiters == waiters
    }
}

/// What an id does in the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Holder,
    Waiter,
    /// Taken out by the present call.
    Gone,
}

/// What is kept of one id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) id: Id,
    pub(super) role: Role,
    /// A holder's expiry, a waiter's deadline.
    pub(super) expires_at: ServerTime,
    /// A holder's fence, a waiter's ticket.
    pub(super) number: u64,
    pub(super) weight: u64,
    pub(super) capacity: u64,
    pub(super) ttl: Span,
    pub(super) handoff_ttl: Span,
    pub(super) waiter_ttl: Span,
    pub(super) inbox: Vec<u8>,
    pub(super) label: Vec<u8>,
}

impl Record {
    pub(super) const fn blank(
        id: Id,
        role: Role,
        expires_at: ServerTime,
        weight: u64,
        capacity: u64,
    ) -> Self {
        Self {
            id,
            role,
            expires_at,
            number: 0,
            weight,
            capacity,
            ttl: Span::ZERO,
            handoff_ttl: Span::ZERO,
            waiter_ttl: Span::ZERO,
            inbox: Vec::new(),
            label: Vec::new(),
        }
    }

    /// `role,expires_at,number,weight,capacity,ttl,handoff_ttl,waiter_ttl,inbox,label`; the label may hold anything.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(120 + self.inbox.len() + self.label.len());
        out.push(if self.role == Role::Holder { b'h' } else { b'w' });
        let spans = [self.ttl, self.handoff_ttl, self.waiter_ttl].map(Span::as_micros);
        let [ttl, handoff_ttl, waiter_ttl] = spans;
        let numbers = [
            self.expires_at.0,
            self.number,
            self.weight,
            self.capacity,
            ttl,
            handoff_ttl,
            waiter_ttl,
        ];
        for number in numbers {
            out.push(b',');
            write_padded(&mut out, number, 1);
        }
        out.push(b',');
        // No prefix has a brace, so one stands for a comma.
        out.extend(self.inbox.iter().map(|byte| if *byte == b',' { b'{' } else { *byte }));
        out.push(b',');
        out.extend_from_slice(&self.label);
        out
    }

    pub(super) fn decode(id: Id, packed: &[u8]) -> Option<Self> {
        let mut fields = packed.splitn(10, |&byte| byte == b',');
        let role = match fields.next()? {
            b"h" => Role::Holder,
            b"w" => Role::Waiter,
            _ => return None,
        };
        let mut number = || parse_number(fields.next()?).filter(|number| *number < LIMIT);
        let expires_at = ServerTime(number()?);
        let (place, weight, capacity) = (number()?, number()?, number()?);
        let [ttl, handoff_ttl, waiter_ttl] =
            [number()?, number()?, number()?].map(Span::from_micros);
        let mut record = Self::blank(id, role, expires_at, weight, capacity);
        (record.number, record.ttl, record.handoff_ttl, record.waiter_ttl) =
            (place, ttl, handoff_ttl, waiter_ttl);
        let inbox = fields.next()?.iter();
        record.inbox = inbox.map(|byte| if *byte == b'{' { b',' } else { *byte }).collect();
        record.label = fields.next()?.to_vec();
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_headers_come_back() {
        let id = Id::from_bits(7);
        let mut record = Record::blank(id, Role::Waiter, ServerTime(5), 1, 1);
        record.label = b"a,b\0c".to_vec();
        record.inbox = b"a,b:1:inbox:x".to_vec();
        assert_eq!(Record::decode(id, &record.encode()), Some(record));
        let mut held = Record::blank(id, Role::Holder, ServerTime(9), 1, 1);
        (held.number, held.label) = (3, b"me".to_vec());
        let header = Header { form: Form::One(held), clock: 3, capacity: 1, ..Header::default() };
        let read = Header::decode(&header.encode()).expect("it was just written");
        assert_eq!(read.form, header.form);
        assert_eq!(Header::decode(b"Zoo"), Err(b"Z".to_vec()));
    }
}
