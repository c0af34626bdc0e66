//! What has happened on the server, as far as it matters for what may never happen later.

use std::collections::{BTreeMap, BTreeSet};

use comity::lock::Op;
use comity::redis::{Argv, Reply};

use crate::server::{Server, fence_of, op_of};
use crate::support::view::{View, Waiter};

/// An invariant that concerns a step rather than a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Broken {
    Fence,
    Order,
    Repeat,
    Over,
    Counts,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct History {
    last_fence: u64,
    /// Of the ids that hold.
    fences: BTreeMap<Vec<u8>, u64>,
    /// Ids that may never hold again. No run is as long as the server remembers.
    over: BTreeSet<Vec<u8>>,
    /// Whose lease was handed over and not renewed since.
    pub(crate) unclaimed: Option<Vec<u8>>,
    pub(crate) broken: BTreeSet<Broken>,
}

impl History {
    /// Takes note of a command that was executed at `now`.
    pub(crate) fn note(
        &mut self,
        argv: &Argv,
        reply: &Reply,
        old: &View,
        server: &Server,
        now: u64,
    ) {
        let (Some(op), new) = (op_of(argv), server.view()) else { return };
        let (id, acquire, ends) = match &op {
            Op::Acquire(acquire) => (acquire.id, Some(acquire), false),
            Op::Renew { id, .. } => (*id, None, false),
            Op::Release { id, .. } | Op::Cancel { id, .. } => (*id, None, true),
            Op::Inspect => return,
        };
        let id = &id.as_bytes()[..];
        if matches!(op, Op::Renew { .. }) && self.unclaimed.as_deref() == Some(id) {
            self.unclaimed = None;
        }
        let mut broken = Vec::new();
        for holder in &new.holders {
            if let Some(fence) = self.fences.get(&holder.id) {
                if *fence != holder.fence {
                    broken.push(Broken::Fence);
                }
                continue;
            }
            if holder.fence <= self.last_fence {
                broken.push(Broken::Fence);
            }
            self.last_fence = holder.fence;
            self.fences.insert(holder.id.clone(), holder.fence);
            if holder.id != id {
                self.unclaimed = Some(holder.id.clone());
            }
            // Its place: its ticket, if it had one; else it is the last.
            let was = old.waiters.iter().find(|waiter| waiter.id == holder.id);
            let again = acquire.filter(|acquire| acquire.ticket > 0).map(|acquire| acquire.ticket);
            let ticket = was.map(|waiter| waiter.ticket).or(again).unwrap_or(u64::MAX);
            let passed_over = |waiter: &&Waiter| waiter.ticket < ticket && waiter.till > now;
            let waits = |id: &Vec<u8>| new.waiters.iter().any(|waiter| waiter.id == *id);
            if old.waiters.iter().filter(passed_over).any(|waiter| waits(&waiter.id)) {
                broken.push(Broken::Order);
            }
        }
        if let Some(fence) = fence_of(reply)
            && self.fences.get(id) != Some(&fence.0)
        {
            broken.push(Broken::Fence);
        }
        if ends {
            self.over.insert(id.to_vec());
        }
        for left in old.holders.iter().filter(|holder| new.holder(&holder.id).is_none()) {
            self.over.insert(left.id.clone());
        }
        if new.holders.iter().any(|holder| self.over.contains(&holder.id)) {
            broken.push(Broken::Over);
        }
        // Of an id that is over it is enough to know that.
        self.fences.retain(|id, _| !self.over.contains(id));
        if self.unclaimed.as_ref().is_some_and(|id| self.over.contains(id)) {
            self.unclaimed = None;
        }
        if !server.counts_agree() {
            broken.push(Broken::Counts);
        }
        self.broken.extend(broken);
    }
}
