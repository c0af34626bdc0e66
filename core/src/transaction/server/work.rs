//! `ONE_PHASE` and `PREPARE`, as `work.lua`, `one_phase.lua` and `prepare.lua` have them.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::Table;
use super::locks::{Holder, Lock};
use super::register::Register;
use super::shadows::{Shadows, apply};
use crate::keyspace::{Keyspace, ServerTime, command};
use crate::redis::{Fields, Reply};
use crate::stamp::{self, Stamp};
use crate::time::Span;
use crate::transaction::plan::execution::{ExecutionPlan, Guard, Step};
use crate::transaction::plan::work::{ReplyOrder, comparable};
use crate::transaction::protocol::text::{read_counted, write_counted};
use crate::transaction::protocol::{replies, shadow};
use crate::transaction::{
    Answer, MAX_PATIENCE, MAX_RECORDED, OnePhase, Operation, Prepare, Rejection, Role, State, Txid,
    Work,
};

const WRONGTYPE: &[u8] = b"WRONGTYPE Operation against a key holding the wrong kind of value";

/// How long new readers are kept out after a writer was refused.
const CLOSED: Span = Span::from_millis(50);

/// What the two have in common.
struct Call<'a> {
    table: Table<'a>,
    txid: Txid,
    ring: Stamp,
    not_after: ServerTime,
    role: Vec<u8>,
    work: &'a Work,
    locks: Vec<Option<Lock>>,
}

pub(super) fn one_phase(table: Table<'_>, op: &OnePhase) -> Answer {
    let OnePhase { txid, ring, not_after, ref work } = *op;
    let role = Role::Primary { participants: Vec::new() }.to_text();
    let mut call = Call::new(table, txid, ring, not_after, role, work);
    match call.looked_up() {
        Some(Answer::Prepared { .. }) => return Answer::Mismatch,
        Some(answer) => return answer,
        None => {}
    }
    if call.table.register(txid).is_none() && call.table.now() > not_after {
        return call.table.stale();
    }
    if let Some(answer) = call.other_ring(work.writes()) {
        return answer;
    }
    match call.validate(false).and_then(|()| call.execute()) {
        Err(refusal) => call.refuse(work.writes(), refusal),
        Ok(text) => {
            if work.writes() {
                call.record(State::Done, recorded_replies(text.clone()));
            }
            done(&text)
        }
    }
}

pub(super) fn prepare(table: Table<'_>, op: &Prepare) -> Answer {
    let Prepare { txid, ring, not_after, ref role, patience, keep, ref work } = *op;
    let mut call = Call::new(table, txid, ring, not_after, role.to_text(), work);
    if let Some(answer) = call.looked_up() {
        return answer;
    }
    let now = call.table.now();
    if now > not_after {
        return call.table.stale();
    }
    let decides = matches!(role, Role::Primary { .. });
    if let Some(answer) = call.other_ring(decides) {
        return answer;
    }
    if let Err(refusal) = call.validate(true) {
        let waits = keep && matches!(refusal, Rejection::Locked { .. });
        return call.refuse(decides && !waits, refusal);
    }
    let shadows = Shadows::new(call.table.meta, txid, work);
    let (text, outcomes) = match shadows.execute(call.table.space) {
        Err(refusal) => return call.refuse(decides, refusal),
        Ok(executed) => executed,
    };
    let deadline = now.after(patience.min(MAX_PATIENCE));
    let holder = Holder { txid, not_after, deadline, primary: role.primary().to_vec() };
    for (key, lock) in work.keys.iter().zip(&call.locks) {
        let lock = Lock::joined(lock.as_ref(), key.mode, holder.clone());
        call.table.set_lock(&key.name, Some(&lock));
    }
    call.table.set_register(
        txid,
        &Register {
            seq: txid.seq(),
            state: State::Prepared,
            digest: work.digest(),
            not_after,
            moment: deadline,
            role: call.role,
            outcomes,
            keys: work.keys.iter().map(|key| key.name.clone()).collect(),
            rest: recorded_replies(text.clone()),
        },
    );
    prepared(now, &text)
}

/// What a register keeps of replies.
fn recorded_replies(text: Vec<u8>) -> Vec<u8> {
    if text.len() <= MAX_RECORDED { text } else { Vec::new() }
}

fn done(text: &[u8]) -> Answer {
    Answer::Done { replies: replies::read(text).unwrap_or_default() }
}

fn prepared(now: ServerTime, text: &[u8]) -> Answer {
    Answer::Prepared { now, replies: replies::read(text).unwrap_or_default() }
}

impl<'a> Call<'a> {
    fn new(
        table: Table<'a>,
        txid: Txid,
        ring: Stamp,
        not_after: ServerTime,
        role: Vec<u8>,
        work: &'a Work,
    ) -> Self {
        let locks = work.keys.iter().map(|key| table.lock(&key.name)).collect();
        Self { table, txid, ring, not_after, role, work, locks }
    }

    /// What is recorded of the same sequence, or why nothing can be done.
    fn looked_up(&self) -> Option<Answer> {
        let register = self.table.register(self.txid)?;
        if register.seq > self.txid.seq() {
            return Some(self.table.stale());
        }
        if register.seq < self.txid.seq() {
            return self.table.pending(self.txid);
        }
        let unseen = register.state == State::Aborted && register.digest == 0;
        if register.digest != self.work.digest() && !unseen {
            return Some(Answer::Mismatch);
        }
        Some(match register.state {
            State::Prepared => prepared(self.table.now(), &register.rest),
            State::Done => done(&register.rest),
            State::Aborted => recorded(&register.rest),
        })
    }

    /// The answer to a client of another ring. Where there is no stamp, or one of an earlier version,
    /// there may be this client's soon.
    fn other_ring(&mut self, record: bool) -> Option<Answer> {
        let ours = self.ring.to_string().into_bytes();
        let field = |name| self.table.field(name).unwrap_or_default().to_vec();
        let (theirs, members) = (field(stamp::FIELD), field(stamp::MEMBERS));
        if theirs == ours {
            return None;
        }
        if theirs.len() != ours.len() {
            return Some(Answer::Unstamped { found: theirs });
        }
        // A copy of the same call is answered with the stamp alone.
        self.refuse(record, Rejection::Ring { theirs: theirs.clone(), members: Vec::new() });
        let why = Rejection::Ring { theirs, members };
        Some(Answer::Refused { recorded: record, why })
    }

    /// Whether the locks and what was read are as they should be.
    fn validate(&mut self, joins: bool) -> Result<(), Rejection> {
        let now = self.table.now();
        for ((number, key), lock) in (0..).zip(&self.work.keys).zip(&self.locks) {
            let Some(lock) = lock else { continue };
            let Some(conflict) = lock.conflict(key.mode, joins, now) else { continue };
            let holder = conflict.holder.clone();
            if conflict.readers {
                let closed_until = now.after(CLOSED);
                let holders = lock.holders().to_vec();
                self.table.set_lock(&key.name, Some(&Lock::Shared { closed_until, holders }));
            }
            let Holder { txid, not_after, deadline, primary } = holder;
            return Err(Rejection::Locked {
                key: number,
                holder: txid,
                primary,
                not_after,
                deadline,
                now,
            });
        }
        for (number, check) in (0..).zip(&self.work.checks) {
            let name = self.work.key(&check.read).map_or(&[][..], |key| key.name.as_slice());
            let reply = run(self.table.space, &check.read, name);
            let failed = matches!(reply, Reply::Error(_));
            if failed || comparable(&reply, ReplyOrder::of(&check.read.name)) != check.expected {
                return Err(Rejection::Changed { check: number });
            }
        }
        Ok(())
    }

    /// Executes a whole transaction.
    fn execute(&mut self) -> Result<Vec<u8>, Rejection> {
        let space = &mut *self.table.space;
        match ExecutionPlan::of(self.work) {
            ExecutionPlan::Shadows => {
                let shadows = Shadows::new(self.table.meta, self.txid, self.work);
                let (text, outcomes) = shadows.execute(space)?;
                for (index, (key, outcome)) in self.work.keys.iter().zip(outcomes).enumerate() {
                    let shadow = shadow(self.table.meta, self.txid, index);
                    apply(space, outcome, &key.name, &shadow);
                }
                Ok(text)
            }
            ExecutionPlan::Direct { guards, steps } => {
                check_types(space, self.work, &guards)?;
                direct(space, self.work, &steps)
            }
        }
    }

    /// Refuses. What is recorded is answered again to a copy of the same call.
    fn refuse(&mut self, recorded: bool, why: Rejection) -> Answer {
        let answer = Answer::Refused { recorded, why };
        if recorded {
            let mut rest = Vec::new();
            let fields = answer.encode();
            let mut fields = Fields::of(&fields);
            while let Some(field) = fields.bytes() {
                write_counted(&mut rest, field);
            }
            self.record(State::Aborted, rest);
        }
        answer
    }

    fn record(&mut self, state: State, rest: Vec<u8>) {
        let mut register = Register::tombstone(self.txid, self.not_after, &self.role);
        (register.state, register.digest, register.rest) = (state, self.work.digest(), rest);
        self.table.set_register(self.txid, &register);
    }
}

/// The refusal that a register holds, or that there is none.
fn recorded(rest: &[u8]) -> Answer {
    let fields = read_counted(rest).unwrap_or_default();
    let fields = Reply::Array(fields.into_iter().map(Reply::bulk).collect());
    Answer::decode(&fields).unwrap_or(Answer::Aborted)
}

/// Executes an operation on `key`.
pub(super) fn run(space: &mut Keyspace, operation: &Operation, key: &[u8]) -> Reply {
    let mut words = vec![operation.name.as_slice(), key];
    words.extend(operation.arguments.iter().map(Vec::as_slice));
    command::execute(space, &words)
}

fn check_types(space: &Keyspace, work: &Work, guards: &[Guard]) -> Result<(), Rejection> {
    for guard in guards {
        let place = usize::try_from(guard.key).unwrap_or(usize::MAX);
        let value = work.keys.get(place).and_then(|key| space.value(&key.name));
        if value.is_some_and(|value| value.type_name() != guard.wanted.name()) {
            let operation = u32::try_from(guard.operation).unwrap_or(u32::MAX);
            return Err(Rejection::Failed { operation, error: WRONGTYPE.to_vec() });
        }
    }
    Ok(())
}

/// Executes operations on the keys themselves. If one fails, those before it are undone.
fn direct(space: &mut Keyspace, work: &Work, steps: &[Step]) -> Result<Vec<u8>, Rejection> {
    let mut done: Vec<(usize, Reply)> = Vec::new();
    let mut before: Vec<(&[u8], Option<Vec<u8>>)> = Vec::new();
    for step in steps {
        let Some(operation) = work.operations.get(step.operation) else { continue };
        let key = work.key(operation).map_or(&[][..], |key| key.name.as_slice());
        let old = step.undone.then(|| space.get(key).ok().flatten().map(<[u8]>::to_vec));
        match run(space, operation, key) {
            Reply::Error(error) => {
                for (key, old) in before.into_iter().rev() {
                    match old {
                        Some(old) => space.set_keeping_expiry(key, old),
                        None => drop(space.delete(key)),
                    }
                }
                let operation = u32::try_from(step.operation).unwrap_or(u32::MAX);
                return Err(Rejection::Failed { operation, error });
            }
            reply => done.push((step.operation, reply)),
        }
        before.extend(old.map(|old| (key, old)));
    }
    done.sort_by_key(|(place, _)| *place);
    let mut text = Vec::new();
    done.iter().for_each(|(_, reply)| replies::write(&mut text, reply));
    Ok(text)
}
