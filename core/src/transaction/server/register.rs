//! Registers, as `register.lua` has them.

use alloc::string::String;
use alloc::vec::Vec;

use super::shadows::Outcome;
use crate::keyspace::ServerTime;
use crate::redis::{parse_number, write_padded};
use crate::transaction::protocol::text::{parse_hex, read_counted, write_counted, write_hex};
use crate::transaction::protocol::{COLUMN_END, WIDTH};
use crate::transaction::{Held, Key, Mode, Role, State, Txid};

/// What a participant knows of the transaction that uses a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Register {
    pub(super) seq: u64,
    pub(super) state: State,
    /// Of the work, zero where it was never seen.
    pub(super) digest: u64,
    pub(super) not_after: ServerTime,
    /// From when on others may recover a vote; until when any other register is kept for questions.
    pub(super) moment: ServerTime,
    /// A role as text, empty behind the letter where it points to nobody.
    pub(super) role: Vec<u8>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) keys: Vec<Vec<u8>>,
    /// The replies, or the refusal that is recorded.
    pub(super) rest: Vec<u8>,
}

impl Register {
    /// One that says that a transaction is aborted of which nothing else is known.
    pub(super) fn tombstone(txid: Txid, not_after: ServerTime, role: &[u8]) -> Self {
        Self {
            seq: txid.seq(),
            state: State::Aborted,
            digest: 0,
            not_after,
            moment: ServerTime(0),
            role: role.to_vec(),
            outcomes: Vec::new(),
            keys: Vec::new(),
            rest: Vec::new(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = Vec::new();
        write_padded(&mut text, self.seq, WIDTH);
        text.extend_from_slice(self.state.letter());
        write_hex(&mut text, self.digest);
        write_time(&mut text, self.not_after);
        write_time(&mut text, self.moment);
        let outcomes: String = self.outcomes.iter().map(|outcome| outcome.to_text()).collect();
        let mut keys = Vec::new();
        self.keys.iter().for_each(|key| write_counted(&mut keys, key));
        let parts: [&[u8]; 3] = [&self.role, outcomes.as_bytes(), &keys];
        for part in parts {
            write_padded(&mut text, part.len() as u64, 1);
            text.push(b',');
        }
        parts.into_iter().for_each(|part| text.extend_from_slice(part));
        text.extend_from_slice(&self.rest);
        text
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let Head { seq, state, digest, not_after, moment, role, outcomes, keys, rest } =
            Head::parse(text)?;
        Some(Self {
            seq,
            state,
            digest,
            not_after,
            moment,
            role: role.to_vec(),
            outcomes: Outcome::parse_all(outcomes)?,
            keys: read_counted(keys)?,
            rest: rest.to_vec(),
        })
    }

    /// What a vote holds; none of a register that points nowhere.
    pub(super) fn held(&self, now: ServerTime) -> Option<Held> {
        let key = |(outcome, name): (&Outcome, &Vec<u8>)| {
            let mode = match outcome {
                Outcome::Shared => Mode::Shared,
                Outcome::Exclusive => Mode::Exclusive,
                Outcome::Unwritten | Outcome::Deleted | Outcome::Written { .. } => Mode::Write,
            };
            Key { name: name.clone(), mode }
        };
        let keys = self.outcomes.iter().zip(&self.keys).map(key).collect();
        let (deadline, not_after) = (self.moment, self.not_after);
        Some(Held { now, deadline, not_after, role: Role::parse(&self.role)?, keys })
    }
}

/// A register whose columns are sound, whatever they are of.
pub(super) struct Head<'a> {
    pub(super) seq: u64,
    pub(super) state: State,
    digest: u64,
    pub(super) not_after: ServerTime,
    pub(super) moment: ServerTime,
    pub(super) role: &'a [u8],
    outcomes: &'a [u8],
    keys: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Head<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (seq, rest) = text.split_at_checked(WIDTH)?;
        let (state, rest) = rest.split_at_checked(1)?;
        let (digest, rest) = rest.split_at_checked(16)?;
        let (not_after, rest) = rest.split_at_checked(WIDTH)?;
        let (moment, rest) = rest.split_at_checked(WIDTH)?;
        let mut columns = rest.splitn(4, |&byte| byte == b',');
        let mut length = || usize::try_from(parse_number(columns.next()?)?).ok();
        let (role, outcomes, keys) = (length()?, length()?, length()?);
        let (role, rest) = columns.next()?.split_at_checked(role)?;
        let (outcomes, rest) = rest.split_at_checked(outcomes)?;
        let (keys, rest) = rest.split_at_checked(keys)?;
        Some(Self {
            seq: parse_number(seq)?,
            state: State::parse(state)?,
            digest: parse_hex(digest)?,
            not_after: ServerTime(parse_number(not_after)?),
            moment: ServerTime(parse_number(moment)?),
            role,
            outcomes,
            keys,
            rest,
        })
    }
}

fn write_time(text: &mut Vec<u8>, time: ServerTime) {
    write_padded(text, time.0.min(COLUMN_END - 1), WIDTH);
}
