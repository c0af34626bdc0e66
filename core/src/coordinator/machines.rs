//! Letting the lock machines work, and doing what they want done.

use alloc::boxed::Box;
use alloc::vec::Vec;

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
        let Some(known) = self.nodes.get(node.0 as usize) else { return };
        let inbox: &[u8] = if self.push { &self.inbox } else { b"" };
        let mut cx =
            known.cx(self.now, self.timeout, inbox, &mut self.entropy, &mut effects, background);
        let machine = make(&mut cx);
        let entry = LockEntry { machine, node, state_key, id: None, indexed: None };
        self.locks.insert(lock, Box::new(entry));
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
        let entry = self.locks.get_mut(&lock)?;
        let node = self.nodes.get(entry.node.0 as usize)?;
        let inbox: &[u8] = if self.push { &self.inbox } else { b"" };
        let mut cx =
            node.cx(self.now, self.timeout, inbox, &mut self.entropy, &mut effects, background);
        let result = step(&mut entry.machine, &mut cx);
        self.settle(lock, effects);
        Some(result)
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
        let id = (!done).then(|| entry.machine.id());
        let deadline = entry.machine.deadline().filter(|_| !done);
        self.timers.adjust(Timer::Lock(lock), &mut entry.indexed, deadline);
        if entry.id != id {
            if let Some(old) = core::mem::replace(&mut entry.id, id) {
                self.ids.remove(&old);
            }
            if let Some(new) = id {
                self.ids.insert(new, lock);
            }
        }
        if done {
            self.locks.remove(&lock);
            self.finish_closing();
        }
    }
}
