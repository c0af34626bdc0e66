//! Writing a lock back, and rebuilding one that has lost a key.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::record::{Form, Header, Record, Role};
use super::{BOUND, Call, TOMBSTONE};
use crate::keyspace::{Keyspace, Result, Score, ServerTime};
use crate::lock::{AHEAD, Id, RETENTION_MS};
use crate::redis::LockKeys;

impl Call<'_> {
    pub(super) fn store(&mut self) -> Result<()> {
        if self.touched.is_empty() && self.tombstoned.is_empty() {
            return Ok(());
        }
        let keys = self.keys;
        if !self.queued && (self.header.waiters > 0 || self.header.holders > 1) {
            // The queue is about to be opened, and its key cleared: not if it holds something else.
            self.space.sorted_set(&keys.queue)?;
        }
        if !self.queued {
            let held: Vec<Id> =
                self.loaded.values().filter(|r| r.role == Role::Holder).map(|r| r.id).collect();
            held.into_iter().for_each(|id| self.touch(id));
        }
        let mut keep = self.ttl_ms.max(RETENTION_MS);
        for record in self.touched.iter().filter_map(|id| self.loaded.get(id)) {
            if record.role != Role::Gone {
                keep = keep.max(retained(record.expires_at, self.now));
            }
        }
        if !self.tombstoned.is_empty() {
            let (now, until) = (Score::from_number(self.now.0), self.header.horizon);
            let tombstoned = core::mem::take(&mut self.tombstoned);
            self.space.with_sorted_set(&keys.tombstones, |set| {
                set.remove_up_to(now, 2 * BOUND);
                for member in tombstoned {
                    set.add(&member, Score::from_number(until.0));
                }
            })?;
            let ms = TOMBSTONE.as_micros() / 1_000 + RETENTION_MS;
            self.space.expire_ms(&keys.tombstones, ms);
        }
        let total = self.header.holders + self.header.waiters;
        let one = self.loaded.values().find(|record| record.role == Role::Holder);
        self.header.form = match one {
            _ if total == 0 => Form::Idle,
            Some(record) if !self.queued && total == 1 => Form::One(record.clone()),
            _ => Form::Queued,
        };
        if !self.queued || total == 0 {
            for key in [&keys.holders, &keys.queue, &keys.records] {
                if matches!(self.header.form, Form::Queued) || self.queued {
                    self.space.delete(key);
                }
            }
        }
        match self.header.form {
            Form::Idle | Form::Released(_) => keep = RETENTION_MS,
            Form::One(_) => {}
            Form::Queued => self.store_records(keep)?,
        }
        self.space.set(&keys.state, self.header.encode(), Some(keep));
        Ok(())
    }

    pub(super) fn store_records(&mut self, keep: u64) -> Result<()> {
        let keys = self.keys;
        for record in self.touched.iter().filter_map(|id| self.loaded.get(id)) {
            let id = record.id.as_bytes();
            write_record(self.space, keys, id, record)?;
        }
        for key in [&keys.holders, &keys.queue, &keys.records] {
            self.space.expire_ms(key, keep);
        }
        Ok(())
    }
}

fn retained(expires_at: ServerTime, now: ServerTime) -> u64 {
    expires_at.since(now).as_micros().div_ceil(1_000) + RETENTION_MS
}

fn write_record(space: &mut Keyspace, keys: &LockKeys, id: &[u8], record: &Record) -> Result<()> {
    let holder = record.role == Role::Holder;
    let waiter = record.role == Role::Waiter;
    space.with_sorted_set(&keys.holders, |set| match holder {
        true => set.add(id, Score::from_number(record.expires_at.0)),
        false => set.remove(id),
    })?;
    space.with_sorted_set(&keys.queue, |set| match waiter {
        true => set.add(id, Score::from_number(record.number)),
        false => set.remove(id),
    })?;
    space.with_hash(&keys.records, |fields| {
        if holder || waiter {
            fields.insert(id.to_vec(), record.encode());
        } else {
            fields.remove(id);
        }
    })
}

/// A key was lost. The records name the holders and the waiters; a holder without a record keeps the
/// whole capacity until its expiry; a waiter without one comes back by its own heartbeat.
pub(super) fn repair(
    space: &mut Keyspace,
    keys: &LockKeys,
    header: Option<Header>,
    asked_capacity: u64,
) -> Result<Header> {
    let now = space.now();
    let horizon = now.after(TOMBSTONE);
    let mut header = header.unwrap_or_else(|| Header { horizon, ..Header::default() });
    let packed = space.hash(&keys.records)?.cloned().unwrap_or_default();
    let mut records: BTreeMap<Id, Record> = packed
        .iter()
        .filter_map(|(id, packed)| Some((Id::parse(id)?, Record::decode(Id::parse(id)?, packed)?)))
        .collect();
    header.capacity = records.values().map(|r| r.capacity).max().unwrap_or(asked_capacity);
    let numbers = records.values().map(|r| r.number).filter(|number| *number <= now.after(AHEAD).0);
    header.clock = numbers.fold(header.clock, u64::max);
    let expiries = space.sorted_set(&keys.holders)?.cloned().unwrap_or_default();
    for (id, expires_at) in
        expiries.iter().filter_map(|(id, expires_at)| Some((Id::parse(id)?, expires_at)))
    {
        let (expires_at, capacity) = (ServerTime(expires_at.number()), header.capacity);
        records.entry(id).or_insert(Record::blank(
            id,
            Role::Holder,
            expires_at,
            capacity,
            capacity,
        ));
    }
    space.sorted_set(&keys.queue)?;
    for key in [&keys.holders, &keys.queue, &keys.records] {
        space.delete(key);
    }
    (header.holders, header.waiters, header.used) = (0, 0, 0);
    let mut last = now;
    for record in records.values() {
        match record.role {
            Role::Holder => {
                header.holders += 1;
                header.used += record.weight;
            }
            _ => header.waiters += 1,
        }
        write_record(space, keys, record.id.as_bytes(), record)?;
        last = last.max(record.expires_at);
    }
    let keep = retained(last, now);
    for key in [&keys.holders, &keys.queue, &keys.records] {
        space.expire_ms(key, keep);
    }
    header.form = if records.is_empty() { Form::Idle } else { Form::Queued };
    space.set(&keys.state, header.encode(), Some(keep));
    Ok(header)
}
