//! Letting the lock machines work, and doing what they want done.

use alloc::vec::Vec;

use super::call::request_timeout;
use super::{Coordinator, LockEntry, Timer};
use crate::lock::{Cx, Effect, Lock, LockId};
use crate::redis::NodeId;

impl Coordinator {
    /// Adds a machine that `make` starts.
    pub(super) fn add_lock(
        &mut self,
        lock: LockId,
        node: NodeId,
        state_key: Vec<u8>,
        background: bool,
        make: impl FnOnce(&mut Cx<'_>) -> Lock,
    ) {
        let mut effects = Vec::new();
        let Some(machine) = self.with_cx(node, background, &mut effects, make) else { return };
        self.locks.insert(lock, LockEntry { machine, node, state_key, indexed: None });
        self.settle(lock, effects);
    }

    /// Lets `step` work on a lock, and does what the lock then wants done.
    pub(super) fn with_lock<T>(
        &mut self,
        lock: LockId,
        background: bool,
        step: impl FnOnce(&mut Lock, &mut Cx<'_>) -> T,
    ) -> Option<T> {
        let mut effects = Vec::new();
        let mut entry = self.locks.remove(&lock)?;
        let result =
            self.with_cx(entry.node, background, &mut effects, |cx| step(&mut entry.machine, cx));
        self.locks.insert(lock, entry);
        self.settle(lock, effects);
        result
    }

    pub(super) fn with_cx<T>(
        &mut self,
        node: NodeId,
        background: bool,
        effects: &mut Vec<Effect>,
        step: impl FnOnce(&mut Cx<'_>) -> T,
    ) -> Option<T> {
        let node = self.nodes.get(node.0 as usize)?;
        let mut cx = Cx {
            now: self.now,
            entropy: &mut self.entropy,
            effects,
            anchor: node.anchor,
            push_ready: node.is_push_ready(),
            floor: node.floor,
            inbox: if self.push { &self.inbox } else { b"" },
            timeout: self.timeout,
            request_timeout: request_timeout(self.timeout),
            background,
        };
        Some(step(&mut cx))
    }

    /// Does what a lock wants done, and keeps the index and the timers as they should be.
    pub(super) fn settle(&mut self, lock: LockId, effects: Vec<Effect>) {
        let Some(entry) = self.locks.get(&lock) else { return };
        let (node, state_key) = (entry.node, entry.state_key.clone());
        for effect in effects {
            match effect {
                Effect::Send { attempt, op, deadline, background } => {
                    self.send_lock(lock, attempt, &op, deadline, background);
                }
                Effect::Event(event) => {
                    self.stats.count(&event);
                    self.events.push_back(event);
                }
                Effect::WantPush => self.want_push(node),
                Effect::TakeBack { id, granted } => {
                    let new = LockId(self.next_operation());
                    self.add_lock(new, node, state_key.clone(), true, |cx| {
                        Lock::taking_back(new, id, granted, cx)
                    });
                }
            }
        }
        self.index(lock);
    }

    pub(super) fn index(&mut self, lock: LockId) {
        let Some(entry) = self.locks.get_mut(&lock) else { return };
        let done = entry.machine.is_done();
        let wanted = (!done).then(|| (entry.machine.id(), entry.machine.deadline()));
        let old = core::mem::replace(&mut entry.indexed, wanted);
        if old != wanted {
            if let Some((id, deadline)) = old {
                if wanted.is_none_or(|(new, _)| new != id) {
                    self.ids.remove(&id);
                }
                if let Some(deadline) = deadline {
                    self.timers.remove(&(deadline, Timer::Lock(lock)));
                }
            }
            if let Some((id, deadline)) = wanted {
                self.ids.insert(id, lock);
                if let Some(deadline) = deadline {
                    self.timers.insert((deadline, Timer::Lock(lock)));
                }
            }
        }
        if done {
            self.locks.remove(&lock);
            self.finish_closing();
        }
    }
}
