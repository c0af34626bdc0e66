//! `SWEEP`, as `sweep.lua` has it.

use alloc::vec::Vec;

use super::locks::{Holder, Lock};
use super::register::Head;
use super::{Table, register_field};
use crate::keyspace::ServerTime;
use crate::time::Span;
use crate::transaction::{Answer, Role, State, Sweep, Swept, Txid};

/// How long after its `not_after` a register has not been used.
const IDLE: Span = Span::from_secs(3_600);
/// How many fields a part is taken from. Of Redis it may be fewer, where they are large.
const PAGE: usize = 256;

impl Head<'_> {
    fn is_idle(&self, now: ServerTime) -> bool {
        self.state != State::Prepared && self.not_after.after(IDLE) < now
    }
}

/// A register of which as much is sound as a sweep looks at: the rest stays as it is.
fn readable(text: &[u8]) -> Option<(Head<'_>, Role)> {
    let head = Head::parse(text)?;
    let role = Role::parse(head.role)?;
    Some((head, role))
}

impl Table<'_> {
    pub(super) fn sweep(&mut self, sweep: &Sweep) -> Answer {
        let now = self.now();
        let count = match sweep {
            Sweep::Page { cursor } => return self.page(*cursor),
            Sweep::Find { .. } => return self.find(),
            Sweep::Registers { txids, kept } => {
                let found = |txid: &&Txid| {
                    let register = self.field(&register_field(**txid)).and_then(readable);
                    register.is_some_and(|(r, _)| {
                        r.seq == txid.seq() && r.is_idle(now) && (*kept || r.moment <= now)
                    })
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
        let prepares_nothing =
            |text| readable(text).is_some_and(|(register, _)| register.state != State::Prepared);
        well_formed && self.field(&[b"r", owner].concat()).is_none_or(prepares_nothing)
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
        let (mut found, mut unreadable) = (Vec::new(), 0);
        for (field, value) in &fields {
            match field.split_first() {
                Some((b'r', slot)) => match left_over(slot, value, now) {
                    Some(swept) => found.extend(swept),
                    None => unreadable += 1,
                },
                Some((b'k', key)) => {
                    let Some(lock) = Lock::parse(value) else {
                        unreadable += 1;
                        continue;
                    };
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
        Answer::Page { cursor, now, unreadable, found }
    }

    /// Whether a holder may be recovered and yet its transaction is not prepared here.
    fn is_orphan(&self, holder: &Holder) -> bool {
        let other = |text| {
            readable(text)
                .is_some_and(|(r, _)| r.seq != holder.txid.seq() || r.state != State::Prepared)
        };
        holder.deadline <= self.now() && self.field(&register_field(holder.txid)).is_none_or(other)
    }
}

/// What is to be done about a register, if anything; none if nobody can read it.
fn left_over(slot: &[u8], value: &[u8], now: ServerTime) -> Option<Option<Swept>> {
    let (register, role) = readable(value)?;
    let seq = alloc::format!(".{:016}", register.seq);
    let swept = Swept {
        txid: Txid::parse(&[slot, seq.as_bytes()].concat())?,
        state: register.state,
        not_after: register.not_after,
        kept: register.moment,
        role,
    };
    let overdue = register.state == State::Prepared && register.moment <= now;
    Some((overdue || register.is_idle(now)).then_some(swept))
}
