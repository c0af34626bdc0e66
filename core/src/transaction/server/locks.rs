//! Locks, as `locks.lua` has them.

use alloc::vec::Vec;

use crate::keyspace::ServerTime;
use crate::redis::{parse_number, write_padded};
use crate::transaction::protocol::text::{read_counted, write_counted};
use crate::transaction::protocol::{COLUMN_END, WIDTH};
use crate::transaction::{MAX_SHARED, Mode, Txid};

/// A transaction that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) txid: Txid,
    pub(super) not_after: ServerTime,
    pub(super) deadline: ServerTime,
    pub(super) primary: Vec<u8>,
}

/// The lock of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Exclusive(Holder),
    Shared {
        /// New readers are kept out until then, because a writer waits.
        closed_until: ServerTime,
        holders: Vec<Holder>,
    },
}

/// A holder that keeps another transaction from a key.
pub(super) struct Conflict<'a> {
    pub(super) holder: &'a Holder,
    /// Readers keep out a writer.
    pub(super) readers: bool,
}

impl Holder {
    fn encode(&self) -> Vec<u8> {
        let mut text = self.txid.to_text().to_vec();
        for time in [self.not_after, self.deadline] {
            write_padded(&mut text, time.0.min(COLUMN_END - 1), WIDTH);
        }
        text.extend_from_slice(&self.primary);
        text
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (txid, rest) = text.split_at_checked(Txid::LEN)?;
        let (not_after, rest) = rest.split_at_checked(WIDTH)?;
        let (deadline, primary) = rest.split_at_checked(WIDTH)?;
        let time = |digits| parse_number(digits).map(ServerTime);
        Some(Self {
            txid: Txid::parse(txid)?,
            not_after: time(not_after)?,
            deadline: time(deadline)?,
            primary: primary.to_vec(),
        })
    }
}

impl Lock {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Exclusive(holder) => [b"X".as_slice(), &holder.encode()].concat(),
            Self::Shared { closed_until, holders } => {
                let mut text = b"S".to_vec();
                write_padded(&mut text, closed_until.0, WIDTH);
                holders.iter().for_each(|holder| write_counted(&mut text, &holder.encode()));
                text
            }
        }
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        match text.split_first()? {
            (b'X', holder) => Holder::parse(holder).map(Self::Exclusive),
            (b'S', rest) => {
                let (until, holders) = rest.split_at_checked(WIDTH)?;
                let holders = read_counted(holders)?;
                let holders = holders.iter().map(|holder| Holder::parse(holder));
                Some(Self::Shared {
                    closed_until: ServerTime(parse_number(until)?),
                    holders: holders.collect::<Option<_>>()?,
                })
            }
            _ => None,
        }
    }

    pub(super) fn holders(&self) -> &[Holder] {
        match self {
            Self::Exclusive(holder) => core::slice::from_ref(holder),
            Self::Shared { holders, .. } => holders,
        }
    }

    /// The holder that keeps one more transaction, which `joins` the holders or only looks, from this lock.
    pub(super) fn conflict(
        &self,
        mode: Mode,
        joins: bool,
        now: ServerTime,
    ) -> Option<Conflict<'_>> {
        let first = || self.holders().iter().min_by_key(|holder| holder.deadline);
        let conflict = |readers| first().map(|holder| Conflict { holder, readers });
        match self {
            Self::Exclusive(_) => conflict(false),
            Self::Shared { .. } if mode != Mode::Shared => conflict(true),
            Self::Shared { closed_until, holders } => {
                let closed = holders.len() >= MAX_SHARED || *closed_until > now;
                (joins && closed).then(|| conflict(false)).flatten()
            }
        }
    }

    /// The lock with one more holder.
    pub(super) fn joined(lock: Option<&Self>, mode: Mode, holder: Holder) -> Self {
        match (mode, lock) {
            (Mode::Shared, Some(Self::Shared { closed_until, holders })) => {
                let holders = holders.iter().cloned().chain([holder]).collect();
                Self::Shared { closed_until: *closed_until, holders }
            }
            (Mode::Shared, _) => {
                Self::Shared { closed_until: ServerTime(0), holders: [holder].into() }
            }
            _ => Self::Exclusive(holder),
        }
    }

    /// The lock without the holders of which `gone` is true; none if nobody remains.
    pub(super) fn without(&self, gone: impl Fn(&Holder) -> bool) -> Option<Self> {
        let rest: Vec<Holder> = self.holders().iter().filter(|h| !gone(h)).cloned().collect();
        if rest.is_empty() {
            return None;
        }
        Some(match self {
            Self::Exclusive(_) => self.clone(),
            Self::Shared { closed_until, .. } => {
                Self::Shared { closed_until: *closed_until, holders: rest }
            }
        })
    }

    pub(super) fn is_held_by(&self, txid: Txid) -> bool {
        self.holders().iter().any(|holder| holder.txid == txid)
    }
}
