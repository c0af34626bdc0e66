//! The queue: granting the lock to the next waiter.

use alloc::vec::Vec;

use super::record::Role;
use super::{BOUND, Call};
use crate::keyspace::Result;
use crate::lock::{Fence, Id, Push};
use crate::time::Span;

impl Call<'_> {
    /// The first waiter, the caller among them by its ticket.
    pub(super) fn head(&mut self, mine: Option<Id>) -> Result<Option<Id>> {
        let line: Vec<Id> = if self.queued {
            let gone = |id: &Id| {
                self.loaded.get(id).is_some_and(|record| record.role != Role::Waiter)
                    || Some(*id) == mine
            };
            let set = self.space.sorted_set(&self.keys.queue)?;
            let ids = set.into_iter().flat_map(|set| set.iter());
            ids.filter_map(|(id, _)| Id::parse(id)).filter(|id| !gone(id)).take(1).collect()
        } else {
            Vec::new()
        };
        let me = mine.and_then(|mine| self.loaded.get(&mine));
        let me = me.filter(|record| record.role == Role::Waiter).map(|r| (r.number, r.id));
        let Some(&other) = line.first() else { return Ok(me.map(|(_, id)| id)) };
        self.load_or_blank(other, Role::Waiter)?;
        let number = self.loaded.get(&other).map_or(0, |record| record.number);
        Ok(Some(me.map_or(other, |me| me.min((number, other)).1)))
    }

    /// Grants the head while it fits; nobody overtakes it; a dead head is dropped. How many left
    /// the queue.
    pub(super) fn promote(&mut self, mine: Option<Id>) -> Result<u64> {
        let mut passed = 0;
        while let Some(id) = self.head(mine)? {
            if passed == BOUND as u64 {
                self.more = true;
                break;
            }
            let now = self.now;
            let Some(record) = self.loaded.get(&id) else { break };
            if Some(id) != mine && record.expires_at <= now {
                self.remove(id);
            } else if self.header.used + record.weight <= self.header.capacity {
                self.grant(id, Some(id) == mine);
            } else {
                break;
            }
            passed += 1;
        }
        Ok(passed)
    }

    pub(super) fn grant(&mut self, id: Id, to_caller: bool) {
        let fence = self.tick();
        let Some(record) = self.loaded.get_mut(&id) else { return };
        // The caller learns of its grant by the answer; the others have to renew theirs.
        let lease = if to_caller { record.ttl } else { record.ttl.min(record.handoff_ttl) };
        record.role = Role::Holder;
        record.number = fence;
        record.expires_at = self.now.after(lease);
        self.header.holders += 1;
        self.header.waiters -= 1;
        self.header.used += record.weight;
        if !to_caller && !record.inbox.is_empty() {
            let push = Push {
                id,
                fence: Fence(fence),
                now: self.now,
                expiry: record.expires_at,
                state_key: self.keys.state.clone(),
            };
            self.pushes.push((record.inbox.clone(), push.encode()));
        }
        self.touch(id);
    }

    /// The holder whose lease ends first: when to look again, and whom to name. Of two that end
    /// together it is the one that was there before, then the one that was granted first.
    pub(super) fn next_holder(&mut self) -> Result<(Span, Vec<u8>)> {
        let holds = |id: &Id| self.loaded.get(id).is_none_or(|r| r.role == Role::Holder);
        let first = if self.queued {
            let set = self.space.sorted_set(&self.keys.holders)?;
            let mut ids = set.into_iter().flat_map(|set| set.iter());
            ids.find_map(|(id, _)| Id::parse(id).filter(holds))
        } else {
            self.loaded.keys().copied().find(holds)
        };
        if let Some(first) = first {
            self.record(first)?;
        }
        let record = |id: &Id| self.loaded.get(id).filter(|r| r.role == Role::Holder);
        let holders = first.iter().chain(&self.touched).filter_map(record);
        let first = holders.min_by_key(|record| record.expires_at);
        Ok(first.map_or((Span::ZERO, Vec::new()), |record| {
            (record.expires_at.since(self.now), record.label.clone())
        }))
    }
}
