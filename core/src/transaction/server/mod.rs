//! The server side of the transaction over [`Keyspace`]: the scripts again, step by step. The
//! embedded store runs it, and the differential test holds the two equal.

mod locks;
mod register;
mod shadows;
mod sweep;
mod work;

use alloc::vec::Vec;

use locks::Lock;
use register::Register;
use shadows::{Outcome, apply};

use super::protocol::shadow;
use super::{Answer, Confirm, Finish, KEPT, Key, Op, Query, Role, State, Txid, Verdict};
use crate::keyspace::{Keyspace, Result, ServerTime};

/// Executes `op` at the participant whose hash is at `meta`.
///
/// # Errors
/// The key holds another type; nothing is changed.
pub fn execute(space: &mut Keyspace, meta: &[u8], op: &Op) -> Result<Answer> {
    space.hash(meta)?;
    let mut table = Table { space, meta };
    Ok(match op {
        Op::OnePhase(op) => work::one_phase(table, op),
        Op::Prepare(op) => work::prepare(table, op),
        Op::Finish(op) => table.finish(op),
        Op::Status(query) => table.status(*query),
        Op::Vote(query) => table.vote(*query),
        Op::Sweep(sweep) => table.sweep(sweep),
        Op::Confirm(confirm) => table.confirm(confirm),
    })
}

/// A participant: its hash, and the keys beside it.
struct Table<'a> {
    space: &'a mut Keyspace,
    meta: &'a [u8],
}

/// What is known of a transaction.
enum Known {
    /// Its register.
    Register(Register),
    /// A later one uses its slot.
    Later,
    /// Nobody can read the register, as after an accident. It may be anything, so nothing is done, as
    /// with another's.
    Unreadable,
    /// Nothing.
    Nothing,
}

impl Table<'_> {
    fn now(&self) -> ServerTime {
        self.space.now()
    }

    fn field(&self, field: &[u8]) -> Option<&[u8]> {
        self.space.hash(self.meta).ok()??.get(field).map(Vec::as_slice)
    }

    fn put(&mut self, field: Vec<u8>, value: Vec<u8>) {
        // That it is a hash was looked up first.
        let _ = self.space.with_hash(self.meta, |hash| hash.insert(field, value));
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        self.space.with_hash(self.meta, |hash| hash.remove(field).is_some()).unwrap_or(false)
    }

    fn register(&self, txid: Txid) -> Option<Register> {
        Register::parse(self.field(&register_field(txid))?)
    }

    fn set_register(&mut self, txid: Txid, register: &Register) {
        self.put(register_field(txid), register.encode());
    }

    fn lock(&self, key: &[u8]) -> Option<Lock> {
        Lock::parse(self.field(&lock_field(key))?)
    }

    fn set_lock(&mut self, key: &[u8], lock: Option<&Lock>) {
        match lock {
            Some(lock) => self.put(lock_field(key), lock.encode()),
            None => drop(self.remove(&lock_field(key))),
        }
    }

    fn known(&self, txid: Txid) -> Known {
        match self.register(txid) {
            Some(register) if register.seq == txid.seq() => Known::Register(register),
            Some(register) if register.seq > txid.seq() => Known::Later,
            None if self.field(&register_field(txid)).is_some() => Known::Unreadable,
            _ => Known::Nothing,
        }
    }

    fn stale(&self) -> Answer {
        Answer::Stale { now: self.now() }
    }

    /// The vote of an earlier sequence is never replaced.
    fn pending(&self, txid: Txid) -> Option<Answer> {
        let register = self.register(txid)?;
        let earlier = Txid::new(txid.session(), txid.slot(), register.seq)?;
        (register.state == State::Prepared).then_some(Answer::Pending { earlier })
    }

    /// Records `ABORTED` where nothing was known of the transaction.
    fn record_abort(
        &mut self,
        txid: Txid,
        not_after: ServerTime,
        role: &Role,
        keep: ServerTime,
    ) -> Answer {
        if let Some(pending) = self.pending(txid) {
            return pending;
        }
        let mut register = Register::tombstone(txid, not_after, &role.to_text());
        register.moment = keep;
        self.set_register(txid, &register);
        Answer::Aborted
    }

    fn status(&mut self, query: Query) -> Answer {
        let Query { txid, not_after, force } = query;
        match self.known(txid) {
            Known::Unreadable => Answer::Mismatch,
            Known::Later => self.stale(),
            Known::Register(Register { state: State::Aborted, .. }) => Answer::Aborted,
            Known::Register(register) => {
                let Some(Role::Primary { participants }) = Role::parse(&register.role) else {
                    return Answer::Mismatch;
                };
                match register.held(self.now()) {
                    Some(held) if register.state == State::Prepared => Answer::Staging(held),
                    _ => Answer::Committed { participants },
                }
            }
            // What was removed had used the slot last: with an earlier one in it, nothing has come.
            Known::Nothing if self.register(txid).is_none() && self.now() > not_after => {
                self.stale()
            }
            Known::Nothing if !force => Answer::Nothing,
            Known::Nothing => {
                let role = Role::Primary { participants: Vec::new() };
                self.record_abort(txid, not_after, &role, self.now().after(KEPT))
            }
        }
    }

    fn vote(&mut self, query: Query) -> Answer {
        let Query { txid, not_after, force } = query;
        match self.known(txid) {
            Known::Unreadable => Answer::Mismatch,
            Known::Later => self.stale(),
            Known::Register(register) => match (register.state, register.held(self.now())) {
                (State::Prepared, Some(held)) => Answer::Yes(held),
                (State::Done, _) => Answer::Committed { participants: Vec::new() },
                _ => Answer::Aborted,
            },
            Known::Nothing if !force => Answer::Nothing,
            // A PREPARE that comes now is stale: the vote is no, and need not be recorded.
            Known::Nothing if self.now() > not_after => Answer::Aborted,
            Known::Nothing => {
                let role = Role::Secondary { primary: Vec::new() };
                self.record_abort(txid, not_after, &role, ServerTime(0))
            }
        }
    }

    /// There are no replicas here that a write would have to reach.
    fn confirm(&self, confirm: &Confirm) -> Answer {
        let state = |txid: &Txid| match self.known(*txid) {
            Known::Register(register) => Some(register.state),
            Known::Later | Known::Nothing | Known::Unreadable => None,
        };
        Answer::Confirmed { states: confirm.txids.iter().map(state).collect() }
    }

    fn finish(&mut self, op: &Finish) -> Answer {
        let Finish { txid, not_after, verdict, retain, ref keys } = *op;
        let keep = if retain { self.now().after(KEPT) } else { ServerTime(0) };
        match self.known(txid) {
            Known::Unreadable => Answer::Mismatch,
            Known::Later => self.stale(),
            Known::Register(mut register) if retain && register.state != State::Prepared => {
                register.moment = keep;
                self.set_register(txid, &register);
                match register.state {
                    State::Done => Answer::Committed { participants: Vec::new() },
                    _ => Answer::Aborted,
                }
            }
            Known::Register(register) => match register.state {
                State::Done => Answer::Committed { participants: Vec::new() },
                State::Aborted => Answer::Aborted,
                State::Prepared if !register.keys.iter().eq(keys.iter().map(|key| &key.name)) => {
                    Answer::Mismatch
                }
                State::Prepared => {
                    self.end_vote(txid, register, keys, verdict == Verdict::Commit, keep)
                }
            },
            Known::Nothing if verdict == Verdict::Release => Answer::Nothing,
            Known::Nothing
                if self.now() > not_after
                    && (verdict == Verdict::Commit || self.register(txid).is_none()) =>
            {
                self.stale()
            }
            Known::Nothing if verdict == Verdict::Commit => Answer::Lost { keys: Vec::new() },
            Known::Nothing => {
                let role = Role::Secondary { primary: Vec::new() };
                self.record_abort(txid, not_after, &role, keep)
            }
        }
    }

    /// Ends a vote: the shadows become the keys, or are dropped, and the locks are given back.
    fn end_vote(
        &mut self,
        txid: Txid,
        mut register: Register,
        keys: &[Key],
        commit: bool,
        keep: ServerTime,
    ) -> Answer {
        let mut lost = Vec::new();
        for ((index, key), outcome) in keys.iter().enumerate().zip(&register.outcomes) {
            let shadow = shadow(self.meta, txid, index);
            let lock = self.lock(&key.name).filter(|lock| lock.is_held_by(txid));
            if let Some(lock) = &lock {
                let rest = lock.without(|holder| holder.txid == txid);
                self.set_lock(&key.name, rest.as_ref());
            }
            if commit && lock.is_some() {
                if !apply(self.space, *outcome, &key.name, &shadow) {
                    lost.push(key.name.clone());
                }
                continue;
            }
            if matches!(outcome, Outcome::Written { .. }) {
                self.space.delete(&shadow);
            }
            if commit {
                lost.push(key.name.clone());
            }
        }
        register.moment = keep;
        register.outcomes.clear();
        register.keys.clear();
        if commit {
            register.state = State::Done;
        } else {
            register.state = State::Aborted;
            register.rest.clear();
        }
        self.set_register(txid, &register);
        match (commit, lost.is_empty()) {
            (false, _) => Answer::Aborted,
            (true, true) => Answer::Committed { participants: Vec::new() },
            (true, false) => Answer::Lost { keys: lost },
        }
    }
}

/// Where the register of the transaction's slot is.
fn register_field(txid: Txid) -> Vec<u8> {
    [&b"r"[..], &txid.to_text()[..19]].concat()
}

/// Where the lock of a key is.
fn lock_field(key: &[u8]) -> Vec<u8> {
    [b"k", key].concat()
}
