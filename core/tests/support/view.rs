//! Reads a lock out of the key space, from the bytes alone: the columns are those of `record.rs`.

use comity::keyspace::{Keyspace, Value};
use comity::redis::LockKeys;

use super::stamping::META;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) id: Vec<u8>,
    pub(crate) fence: u64,
    pub(crate) weight: u64,
    /// The end of the lease, in microseconds of the server.
    pub(crate) till: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) id: Vec<u8>,
    pub(crate) ticket: u64,
    /// Until when it counts as alive, in microseconds of the server.
    pub(crate) till: u64,
}

/// Who holds a lock, expired or not, and who waits for it, by ticket.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct View {
    pub(crate) holders: Vec<Holder>,
    pub(crate) waiters: Vec<Waiter>,
}

impl View {
    pub(crate) fn of(space: &Keyspace, state_key: &[u8]) -> Self {
        let keys = LockKeys::of_state(state_key);
        let state = space.get(&keys.state).ok().flatten().unwrap_or_default();
        let mut view = Self::default();
        match state.first() {
            Some(b'F') => view.holders.push(Holder {
                id: state[125..147].to_vec(),
                fence: number(&state[1..17]),
                weight: number(&state[174..184]),
                till: number(&state[147..163]) + number(&state[163..174]),
            }),
            Some(b'Q') => {
                for (id, record) in space.hash(&keys.records).ok().flatten().into_iter().flatten() {
                    view.add(id, record);
                }
            }
            _ => {}
        }
        view.waiters.sort_by_key(|waiter| waiter.ticket);
        view
    }

    fn add(&mut self, id: &[u8], record: &[u8]) {
        let fields: Vec<&[u8]> = record.splitn(5, |&byte| byte == b',').collect();
        let (id, till) = (id.to_vec(), number(fields[1]));
        match fields[0] {
            b"h" => {
                let (fence, weight) = (number(fields[2]), number(fields[3]));
                self.holders.push(Holder { id, fence, weight, till });
            }
            _ => self.waiters.push(Waiter { id, ticket: number(fields[2]), till }),
        }
    }

    /// The weight whose lease has not ended at `now`.
    pub(crate) fn weight(&self, now: u64) -> u64 {
        self.holders.iter().filter(|holder| holder.till > now).map(|holder| holder.weight).sum()
    }

    pub(crate) fn holder(&self, id: &[u8]) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.id == id)
    }
}

/// Decimal text as a number.
pub(crate) fn number(text: &[u8]) -> u64 {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse().unwrap_or_else(|_| panic!("'{text}' is not a number"))
}

/// Nobody holds or waits anywhere, and every key ends by itself; else what is wrong.
pub(crate) fn at_rest(space: &Keyspace) -> Result<(), String> {
    // A server belongs to its ring for good.
    for (key, value, expiry) in space.iter().filter(|(key, ..)| *key != META) {
        let name = key.escape_ascii();
        if expiry.is_none() {
            return Err(format!("{name} has no end"));
        }
        match value {
            Value::String(state) if key.ends_with(b"}") && state[0] == b'I' => {}
            Value::String(state) if key.ends_with(b"}") => {
                return Err(format!("{name} is not idle: {}", state.escape_ascii()));
            }
            _ if !key.ends_with(b"t") => return Err(format!("{name} is left")),
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn assert_at_rest(space: &Keyspace) {
    at_rest(space).unwrap_or_else(|what| panic!("{what}"));
}
