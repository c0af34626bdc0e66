//! The server side of the queued lock over [`Keyspace`]: `queue.lua` again, step by step, without
//! the short ways that stand in front of it, `uncontended.lua` and `hand_off.lua`. The embedded store
//! runs it, and the differential test holds the two equal.

mod queue;
mod record;
mod store;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use record::{Form, Header, Record, Role};
use store::repair;

use super::{
    AHEAD, Acquire, Answer, AnswerKind, EndReason, Fence, Holder, Id, Inspection, Op, RETENTION_MS,
    Waiter,
};
use crate::keyspace::{Keyspace, Result, Score, ServerTime};
use crate::redis::LockKeys;
use crate::time::Span;

/// How long a finished id is remembered where a late command of it may still come.
const TOMBSTONE: Span = Span::from_secs(60);
/// Up to this length of a lease, an idle state may stay as long as the lease would have let it.
const SHORT: Span = Span::from_secs(60);
/// The most expired holders and dead waiters that one call clears.
const BOUND: usize = 64;
/// The longest lease that its column holds.
const WIDEST: Span = Span::from_micros(99_999_999_999);
/// How many holders and waiters an inspection lists.
const LISTED: usize = 256;

/// A channel and the grant to be published to it.
type Published = (Vec<u8>, Vec<u8>);

/// Executes `op` on the lock with these keys. The grants to publish come with the answer.
///
/// # Errors
/// A key holds another type; nothing is changed.
pub fn execute(space: &mut Keyspace, keys: &LockKeys, op: &Op) -> Result<(Answer, Vec<Published>)> {
    let header = match space.get(&keys.state)? {
        Some(bytes) => match Header::decode(bytes) {
            Ok(header) => Some(header),
            Err(form) => {
                return Ok((AnswerKind::Layout(form).into(), Vec::new()));
            }
        },
        None => None,
    };
    // Types are looked at before anything is written.
    space.sorted_set(&keys.holders)?;
    space.sorted_set(&keys.queue)?;
    space.hash(&keys.records)?;
    space.sorted_set(&keys.tombstones)?;
    if let (Op::Release { id, clean: true }, Some(header)) = (op, &header)
        && let Form::One(record) = &header.form
        && record.id == *id
    {
        release(space, keys, record.ttl)?;
        return Ok((AnswerKind::Released.into(), Vec::new()));
    }
    let mut call = Call::load(space, keys, header, op)?;
    call.run(op)
}

/// The release of an uncontended lock: the state keeps its columns and, unless the lease was long,
/// its expiry.
fn release(space: &mut Keyspace, keys: &LockKeys, ttl: Span) -> Result<()> {
    let mut state = space.get(&keys.state)?.unwrap_or_default().to_vec();
    if let Some(form) = state.first_mut() {
        *form = b'I';
    }
    space.set_keeping_expiry(&keys.state, state);
    if ttl > SHORT {
        space.expire_ms(&keys.state, RETENTION_MS);
    }
    Ok(())
}

/// One call: what it has read, and what it will write.
struct Call<'a> {
    space: &'a mut Keyspace,
    keys: &'a LockKeys,
    now: ServerTime,
    header: Header,
    queued: bool,
    loaded: BTreeMap<Id, Record>,
    touched: Vec<Id>,
    tombstoned: Vec<Vec<u8>>,
    pushes: Vec<Published>,
    min_fence: Fence,
    excess: bool,
    ttl_ms: u64,
    more: bool,
}

impl<'a> Call<'a> {
    fn load(
        space: &'a mut Keyspace,
        keys: &'a LockKeys,
        header: Option<Header>,
        op: &Op,
    ) -> Result<Self> {
        let now = space.now();
        let (min_fence, capacity) = match op {
            Op::Acquire(acquire) => (acquire.min_fence, u64::from(acquire.capacity)),
            _ => (Fence(0), 1),
        };
        // Beyond what a server's clock can have given: it would be the least of all fences to come.
        let excess = min_fence.0 > now.after(AHEAD).0;
        let min_fence = if excess { Fence(0) } else { min_fence };
        let damaged = match &header {
            None => [&keys.holders, &keys.queue, &keys.records, &keys.tombstones]
                .into_iter()
                .any(|key| space.exists(key)),
            Some(header) if matches!(header.form, Form::Queued) => {
                let holders = space.sorted_set(&keys.holders)?.map_or(0, |set| set.len() as u64);
                let waiters = space.sorted_set(&keys.queue)?.map_or(0, |set| set.len() as u64);
                let records = space.hash(&keys.records)?.map_or(0, |hash| hash.len() as u64);
                !header.counts(holders, waiters) || records != holders + waiters
            }
            Some(_) => false,
        };
        let header = if damaged {
            repair(space, keys, header, capacity)?
        } else {
            header.unwrap_or_default()
        };
        let mut call = Self {
            now,
            header,
            queued: false,
            loaded: BTreeMap::new(),
            touched: Vec::new(),
            tombstoned: Vec::new(),
            pushes: Vec::new(),
            min_fence,
            excess,
            ttl_ms: 0,
            more: false,
            space,
            keys,
        };
        match core::mem::replace(&mut call.header.form, Form::Idle) {
            Form::Idle => {}
            Form::Released(columns) => {
                if let Some(id) = columns.first_chunk() {
                    call.header.finish(id);
                }
            }
            Form::One(record) => {
                call.header.capacity = record.capacity;
                call.header.holders = 1;
                call.header.used = record.weight;
                call.loaded.insert(record.id, record);
            }
            Form::Queued => {
                call.queued = true;
                call.ttl_ms = call.space.ttl_ms(&keys.state).unwrap_or(0);
            }
        }
        Ok(call)
    }

    fn run(&mut self, op: &Op) -> Result<(Answer, Vec<Published>)> {
        let mine = match op {
            Op::Inspect => return self.inspect(),
            Op::Acquire(Acquire { id, .. })
            | Op::Renew { id, .. }
            | Op::Release { id, .. }
            | Op::Cancel { id, .. } => *id,
        };
        let was = self.record(mine)?.map(|record| record.role);
        let ending = matches!(op, Op::Release { .. } | Op::Cancel { .. });
        if was.is_some() && ending {
            self.remove(mine);
        }
        self.reap()?;
        // The caller's own may be one of those that are left for the next calls.
        let over = |record: &&Record| record.role == Role::Holder && record.expires_at <= self.now;
        if self.loaded.get(&mine).filter(over).is_some() {
            self.remove(mine);
            self.add_tombstone(mine, b'x');
        }
        let role = self.loaded.get(&mine).map(|record| record.role);
        let why = match (was, role) {
            (None, _) => self.fate(mine)?,
            (Some(_), Some(Role::Gone)) if !ending => Some(EndReason::Expired),
            _ => None,
        };
        let here = matches!(role, Some(Role::Holder | Role::Waiter));
        let early = match op {
            Op::Acquire(acquire) => self.acquire(acquire, here, why),
            Op::Renew { ttl, .. } => self.renew(mine, *ttl, why),
            Op::Release { clean, .. } => {
                self.end(mine, was, *clean);
                Some(match (was, why) {
                    (Some(_), _) | (None, Some(EndReason::Finished)) => AnswerKind::Released,
                    (None, Some(why)) => AnswerKind::Lost(why),
                    (None, None) => AnswerKind::Unknown { now: self.now },
                })
            }
            Op::Cancel { clean, .. } => {
                self.end(mine, was, *clean);
                let granted = was == Some(Role::Holder);
                Some(if granted { AnswerKind::WasGranted } else { AnswerKind::Cancelled })
            }
            Op::Inspect => None,
        };
        // One whose record was lost is like any other's.
        let here = |record: &&Record| record.role != Role::Gone;
        let caller = self.loaded.get(&mine).filter(here).map(|record| record.id);
        let passed = self.promote(caller)?;
        let kind = match early {
            Some(kind) => kind,
            None => self.outcome(op, mine, was, passed)?,
        };
        self.store()?;
        let answer = Answer { kind, more: self.more, nopush: false, excess: self.excess };
        Ok((answer, core::mem::take(&mut self.pushes)))
    }

    /// The record of `id`, read at most once.
    fn record(&mut self, id: Id) -> Result<Option<&Record>> {
        if self.queued && !self.loaded.contains_key(&id) {
            let packed =
                self.space.hash(&self.keys.records)?.and_then(|h| h.get(&id.as_bytes()[..]));
            if let Some(record) = packed.and_then(|packed| Record::decode(id, packed)) {
                self.loaded.insert(id, record);
            }
        }
        Ok(self.loaded.get(&id))
    }

    fn touch(&mut self, id: Id) {
        if !self.touched.contains(&id) {
            self.touched.push(id);
        }
    }

    fn remove(&mut self, id: Id) {
        let Some(record) = self.loaded.get_mut(&id) else { return };
        let header = &mut self.header;
        if record.role == Role::Holder {
            header.holders -= 1;
            header.used =
                if header.holders == 0 { 0 } else { header.used.saturating_sub(record.weight) };
        } else {
            header.waiters -= 1;
        }
        record.role = Role::Gone;
        self.touch(id);
    }

    fn add_tombstone(&mut self, id: Id, why: u8) {
        self.header.horizon = self.now.after(TOMBSTONE);
        self.tombstoned.push([id.as_bytes(), &[why][..]].concat());
    }

    /// How an id that is no longer here ended, as far as it is remembered.
    fn fate(&self, id: Id) -> Result<Option<EndReason>> {
        if self.header.horizon > self.now
            && let Some(tombstones) = self.space.sorted_set(&self.keys.tombstones)?
        {
            for (mark, why) in [(b'x', EndReason::Expired), (b'f', EndReason::Finished)] {
                let member = [id.as_bytes(), &[mark][..]].concat();
                if tombstones.score(&member).is_some_and(|until| until.number() > self.now.0) {
                    return Ok(Some(why));
                }
            }
        }
        Ok(self.header.has_finished(id).then_some(EndReason::Finished))
    }

    fn tick(&mut self) -> u64 {
        let next = self.header.clock.max(self.min_fence.0).saturating_add(1);
        let clock = next.max(self.now.0);
        self.header.clock = clock;
        clock
    }

    fn reap(&mut self) -> Result<()> {
        let expired: Vec<Id> = if self.queued {
            let set = self.space.sorted_set(&self.keys.holders)?;
            let due = |(_, expires_at): &(&[u8], Score)| expires_at.number() <= self.now.0;
            set.into_iter()
                .flat_map(|set| set.iter().take_while(due).take(BOUND))
                .filter_map(|(id, _)| Id::parse(id))
                .collect()
        } else {
            self.loaded.values().filter(|r| r.expires_at <= self.now).map(|r| r.id).collect()
        };
        self.more = self.queued && expired.len() == BOUND;
        for id in expired {
            self.load_or_blank(id, Role::Holder)?;
            if self.loaded.get(&id).is_some_and(|record| record.role == Role::Holder) {
                self.remove(id);
                self.add_tombstone(id, b'x');
            }
        }
        Ok(())
    }

    /// Stands in for a record that was lost: no weight, and over.
    fn load_or_blank(&mut self, id: Id, role: Role) -> Result<()> {
        if self.record(id)?.is_none() {
            self.loaded.insert(id, Record::blank(id, role, ServerTime(0), 0, self.header.capacity));
        }
        Ok(())
    }

    fn acquire(
        &mut self,
        acquire: &Acquire,
        here: bool,
        why: Option<EndReason>,
    ) -> Option<AnswerKind> {
        let live_until = self.now.after(acquire.waiter_ttl);
        if here {
            let record = self.loaded.get_mut(&acquire.id)?;
            if record.role == Role::Waiter {
                record.expires_at = live_until;
                self.touch(acquire.id);
            }
            return None;
        }
        let in_use = self.header.holders + self.header.waiters > 0;
        let capacity = u64::from(acquire.capacity);
        if let Some(why) = why {
            return Some(AnswerKind::Gone(why));
        }
        if acquire.not_after.0 > 0 && self.now > acquire.not_after {
            return Some(AnswerKind::Gone(EndReason::Late));
        }
        if in_use && self.header.capacity != capacity {
            return Some(AnswerKind::Capacity(self.header.capacity));
        }
        self.header.capacity = capacity;
        // A waiter that was dropped returns to its old place.
        let known = acquire.ticket != 0 && acquire.ticket <= self.header.clock;
        let number = match known {
            true => acquire.ticket,
            // Where nobody is, no place is needed: the grant ticks.
            false if !in_use => self.header.clock,
            false => self.tick(),
        };
        let record = Record {
            id: acquire.id,
            role: Role::Waiter,
            expires_at: live_until,
            number,
            weight: u64::from(acquire.weight),
            capacity,
            ttl: acquire.ttl,
            handoff_ttl: acquire.handoff_ttl,
            waiter_ttl: acquire.waiter_ttl,
            inbox: acquire.inbox.clone(),
            label: acquire.label.clone(),
        };
        self.loaded.insert(acquire.id, record);
        self.header.waiters += 1;
        None
    }

    fn renew(&mut self, id: Id, ttl: Span, why: Option<EndReason>) -> Option<AnswerKind> {
        let expires_at = self.now.after(ttl);
        match self.loaded.get_mut(&id) {
            Some(record) if record.role == Role::Holder => {
                record.expires_at = record.expires_at.max(expires_at);
                // What is left of a longer lease is its length from here on: the state is kept by that.
                record.ttl = record.expires_at.since(self.now).min(WIDEST);
                self.touch(id);
                None
            }
            Some(record) if record.role == Role::Waiter => None,
            _ => Some(AnswerKind::Lost(why.unwrap_or(EndReason::Unknown))),
        }
    }

    fn end(&mut self, id: Id, was: Option<Role>, clean: bool) {
        if !clean {
            self.add_tombstone(id, b'f');
        } else if was.is_some() {
            self.header.finish(id.as_bytes());
        }
    }

    /// What an acquisition or a renewal of a record that is here came to.
    fn outcome(&mut self, op: &Op, mine: Id, was: Option<Role>, passed: u64) -> Result<AnswerKind> {
        let now = self.now;
        let (role, number, expiry) = self
            .loaded
            .get(&mine)
            .map_or((Role::Gone, 0, now), |record| (record.role, record.number, record.expires_at));
        let renewal = matches!(op, Op::Renew { .. });
        if role == Role::Holder {
            let fence = Fence(number);
            return Ok(match renewal {
                true => AnswerKind::Renewed { fence, now, expiry },
                false => AnswerKind::Granted { fence, now, expiry },
            });
        }
        let waits = matches!(op, Op::Acquire(acquire) if acquire.wait);
        if renewal || waits || was == Some(Role::Waiter) {
            self.touch(mine);
            let queue = self.space.sorted_set(&self.keys.queue)?.filter(|_| self.queued);
            let ahead = queue.map_or(0, |set| set.count_below(Score::from_number(number)) as u64);
            let (next, holder) = self.next_holder()?;
            let rank = ahead.saturating_sub(passed);
            return Ok(AnswerKind::Queued { ticket: number, now, next, rank, holder });
        }
        self.loaded.remove(&mine);
        self.header.waiters -= 1;
        let (next, holder) = self.next_holder()?;
        Ok(AnswerKind::Busy { next, waiters: self.header.waiters, holder })
    }

    fn inspect(&mut self) -> Result<(Answer, Vec<Published>)> {
        let mut inspection = Inspection {
            now_us: self.now.0,
            capacity: self.header.capacity,
            holders_total: self.header.holders,
            waiters_total: self.header.waiters,
            ..Inspection::default()
        };
        let mut ids: Vec<Id> = self.loaded.keys().copied().collect();
        if self.queued {
            for key in [&self.keys.holders, &self.keys.queue] {
                let set = self.space.sorted_set(key)?;
                let listed = set.into_iter().flat_map(|set| set.iter().take(LISTED));
                ids.extend(listed.filter_map(|(id, _)| Id::parse(id)));
            }
        }
        for id in ids {
            let now = self.now;
            let Some(record) = self.record(id)? else { continue };
            let label = record.label.clone();
            match record.role {
                Role::Holder if record.expires_at > now => inspection.holders.push(Holder {
                    id,
                    label,
                    fence: Fence(record.number),
                    expiry_us: record.expires_at.0,
                    weight: record.weight,
                }),
                Role::Waiter => inspection.waiters.push(Waiter { id, label }),
                _ => {}
            }
        }
        Ok((AnswerKind::Info(inspection).into(), Vec::new()))
    }
}
