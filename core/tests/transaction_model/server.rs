//! A participant of the model: the embedded store's own, over the real key space.

use comity::keyspace::{Keyspace, ServerTime};
use comity::stamp;
use comity::transaction::{self, Answer, Mode, Op, Txid};

use crate::scenario::{RING, node};

/// What is known of a transaction.
pub(crate) use comity::transaction::State as Register;

/// The hash of the participant.
const META: &[u8] = b"comity:1:t:{x}";
/// The moment of all that happens before every `not_after` is over, and of what happens when it
/// has been over for more than an hour.
const NOW: ServerTime = ServerTime(10);
const LATE: ServerTime = ServerTime(3_600_000_100);
/// The `not_after` of every transaction.
pub(crate) const NOT_AFTER: ServerTime = ServerTime(20);

/// Where the state is in a register, and how long its sequence is.
const STATE: usize = 16;
/// Where the lengths of the role and of what comes behind it begin, and they themselves.
const ROLE: usize = 65;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server(Keyspace);

impl Server {
    /// The participant with this number.
    pub(crate) fn at(place: usize) -> Self {
        let mut space = Keyspace::new();
        space.set_now(NOW);
        let stamp = RING.at(&node(place));
        let claim = stamp::Op::Claim { stamp, members: Vec::new(), replaced: Vec::new() };
        stamp::execute(&mut space, META, &claim).expect("there is nothing yet");
        Self(space)
    }

    pub(crate) fn execute(&mut self, op: &Op) -> Answer {
        transaction::execute(&mut self.0, META, op).expect("a hash")
    }

    /// Every `not_after` is over.
    pub(crate) fn pass(&mut self) {
        self.0.set_now(LATE);
    }

    pub(crate) fn is_late(&self) -> bool {
        self.0.now() == LATE
    }

    pub(crate) fn value(&self, key: &[u8]) -> i64 {
        let text = self.0.get(key).expect("a string").unwrap_or(b"0");
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("a number")
    }

    fn field(&self, field: &[u8]) -> Option<&Vec<u8>> {
        self.0.hash(META).expect("a hash")?.get(field)
    }

    pub(crate) fn register(&self, txid: Txid) -> Option<Register> {
        let text = self.field(&register_field(txid))?;
        text.starts_with(&txid.to_text()[20..]).then_some(())?;
        Some(match text[STATE] {
            b'P' => Register::Prepared,
            b'D' => Register::Done,
            _ => Register::Aborted,
        })
    }

    /// Whether all that is recorded of it is that a vote would be no, and not whose it is.
    pub(crate) fn is_tombstone(&self, txid: Txid) -> bool {
        let role = self.field(&register_field(txid)).and_then(|text| text.get(ROLE..));
        self.register(txid) == Some(Register::Aborted) && role == Some(b"1,0,0,s")
    }

    /// Whether no lock and no shadow is left.
    pub(crate) fn is_clean(&self) -> bool {
        let shadow = |key: &[u8]| key.starts_with(META) && key != META;
        self.locks().is_empty() && !self.0.iter().any(|(key, ..)| shadow(key))
    }

    fn locks(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let hash = self.0.hash(META).expect("a hash");
        let fields = hash.into_iter().flat_map(|hash| hash.iter());
        fields.filter(|(f, _)| f[0] == b'k').map(|(f, v)| (f.clone(), v.clone())).collect()
    }
}

// What can be taken out.
impl Server {
    fn remove(&mut self, field: &[u8]) {
        self.0.with_hash(META, |hash| hash.remove(field)).expect("a hash");
    }

    pub(crate) fn forget(&mut self, txid: Txid) {
        if self.register(txid).is_some() {
            self.remove(&register_field(txid));
        }
    }

    /// Forgets the register of a later transaction of the slot.
    pub(crate) fn forget_later(&mut self, txid: Txid) {
        let field = register_field(txid);
        if self.field(&field).is_some_and(|text| text[..STATE] > txid.to_text()[20..]) {
            self.remove(&field);
        }
    }

    pub(crate) fn take_locks(&mut self) {
        self.locks().iter().for_each(|(field, _)| self.remove(field));
    }

    pub(crate) fn put_locks(&mut self, old: &Self) {
        for (field, lock) in old.locks() {
            self.0.with_hash(META, |hash| hash.insert(field, lock)).expect("a hash");
        }
    }

    pub(crate) fn drop_locks(&mut self, mode: Mode) {
        let letter = if mode == Mode::Shared { b'S' } else { b'X' };
        for (field, lock) in self.locks() {
            if lock[0] == letter {
                self.remove(&field);
            }
        }
    }
}

fn register_field(txid: Txid) -> Vec<u8> {
    [&b"r"[..], &txid.to_text()[..19]].concat()
}
