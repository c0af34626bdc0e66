//! `SWEEP`, as `sweep.lua` has it.

use alloc::vec::Vec;

use super::locks::{Holder, Lock};
use super::register::Register;
use super::{Table, register_field};
use crate::keyspace::ServerTime;
use crate::time::Span;
use crate::transaction::op::Role;
use crate::transaction::{Answer, State, Sweep, Swept, Txid};

/// How long after its `not_after` a register has not been used.
const IDLE: Span = Span::from_secs(3_600);
/// How many fields a part is taken from.
const PAGE: usize = 256;

impl Register {
    fn is_idle(&self, now: ServerTime) -> bool {
        self.state != State::Prepared && self.not_after.after(IDLE) < now
    }
}

impl Table<'_> {
    pub(super) fn sweep(&mut self, sweep: &Sweep) -> Answer {
        let now = self.now();
        let count = match sweep {
            Sweep::Page { cursor } => return self.page(*cursor),
            Sweep::Find { .. } => return self.find(),
            Sweep::Registers { txids } => {
                let found = |txid: &&Txid| {
                    let register = self.register(**txid);
                    register.is_some_and(|r| r.seq == txid.seq() && r.is_idle(now))
                };
                let found: Vec<Txid> = txids.iter().filter(found).copied().collect();
                found.iter().filter(|txid| self.remove(&register_field(**txid))).count()
            }
            Sweep::Shadows { names } => {
                let dropped = |name: &&Vec<u8>| self.is_orphan_shadow(name);
                let names: Vec<Vec<u8>> = names.iter().filter(dropped).cloned().collect();
                names.iter().filter(|name| self.space.delete(name)).count()
            }
        };
        Answer::Removed { count: count as u64 }
    }

    /// The whole key space at once: nobody else has to wait meanwhile.
    fn find(&self) -> Answer {
        let beside = [self.meta, b":"].concat();
        let names = self.space.iter().map(|(name, ..)| name);
        let names = names.filter(|name| name.starts_with(&beside)).map(<[u8]>::to_vec);
        Answer::Found { cursor: 0, names: names.collect() }
    }

    /// Whether it is the name of a shadow whose slot has prepared nothing.
    fn is_orphan_shadow(&self, name: &[u8]) -> bool {
        let rest = name.strip_prefix(self.meta).and_then(|rest| rest.strip_prefix(b":"));
        let Some((owner, index)) = rest.and_then(|rest| rest.split_at_checked(19)) else {
            return false;
        };
        let Some(index) = index.strip_prefix(b":") else { return false };
        let well_formed = !index.is_empty()
            && index.iter().all(u8::is_ascii_digit)
            && owner.iter().enumerate().all(|(at, byte)| match at {
                0..16 => byte.is_ascii_hexdigit(),
                16 => *byte == b'.',
                _ => byte.is_ascii_digit(),
            });
        let register = self.field(&[b"r", owner].concat()).and_then(Register::parse);
        well_formed && register.is_none_or(|register| register.state != State::Prepared)
    }

    /// Redis gives a small hash whole; otherwise the parts are its own.
    fn page(&mut self, cursor: u64) -> Answer {
        let now = self.now();
        let from = usize::try_from(cursor).unwrap_or(usize::MAX);
        let hash = self.space.hash(self.meta).ok().flatten();
        let all = hash.map_or(0, |hash| hash.len());
        let fields = hash.into_iter().flatten().skip(from).take(PAGE);
        let fields: Vec<(Vec<u8>, Vec<u8>)> =
            fields.map(|(field, value)| (field.clone(), value.clone())).collect();
        let mut found = Vec::new();
        for (field, value) in &fields {
            match field.split_first() {
                Some((b'r', slot)) => found.extend(left_over(slot, value, now)),
                Some((b'k', key)) => {
                    let Some(lock) = Lock::parse(value) else { continue };
                    let rest = lock.without(|holder| self.is_orphan(holder));
                    if rest.as_ref() != Some(&lock) {
                        self.set_lock(key, rest.as_ref());
                    }
                }
                _ => {}
            }
        }
        let next = from.saturating_add(PAGE);
        let cursor = if next < all { next as u64 } else { 0 };
        Answer::Page { cursor, now, found }
    }

    /// Whether a holder may be recovered and yet its transaction is not prepared here.
    fn is_orphan(&self, holder: &Holder) -> bool {
        let register = self.register(holder.txid);
        let prepared =
            register.is_some_and(|r| r.seq == holder.txid.seq() && r.state == State::Prepared);
        holder.deadline <= self.now() && !prepared
    }
}

/// What is to be done about a register, if anything.
fn left_over(slot: &[u8], value: &[u8], now: ServerTime) -> Option<Swept> {
    let register = Register::parse(value)?;
    let overdue = register.state == State::Prepared && register.deadline <= now;
    (overdue || register.is_idle(now)).then_some(())?;
    let seq = alloc::format!(".{:016}", register.seq);
    Some(Swept {
        txid: Txid::parse(&[slot, seq.as_bytes()].concat())?,
        state: register.state,
        not_after: register.not_after,
        role: Role::parse(&register.role)?,
    })
}
