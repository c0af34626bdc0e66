//! What users and operators do in the counter's world, and what happens to its processes and its
//! server.

use std::cmp::Reverse;

use comity::counter::{Freshness, Tally};
use comity::redis::{NodeChange, NodeId};
use comity::time::Span;

use super::counter_process::{Process, least, plus};
use super::counter_world::{Happening, SECOND, World};

/// What users and operators do besides counting, in a thousand steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acts {
    pub(crate) reset: u64,
    pub(crate) audit: u64,
    /// A clean close, and a new opening.
    pub(crate) close: u64,
    /// A crash, and a new start from what was written down, on one machine or on two.
    pub(crate) crash: u64,
    /// A second process starts from a copy of what a living one has written down.
    pub(crate) copy: u64,
    /// A running process is cloned with all its memory.
    pub(crate) clone: u64,
    /// The server is replaced by what it was some seconds before.
    pub(crate) failover: u64,
}

impl World {
    pub(super) fn act(&mut self, who: u64) {
        let again = 1 + self.rng.below(60_000);
        let Some(process) = self.processes.get_mut(&who) else { return };
        let now = process.at(self.now);
        let counter = process.counter;
        let (up, acts) = (self.rng.chance(700), self.acts);
        let amount = self.rng.pick(&[1, 1, 1, 2, 1_000, 1 << 40]);
        let signed = if up { amount } else { -amount };
        let before = process.co.counter_value(counter, now).expect("open").value;
        if process.co.counter_add(counter, signed, now).is_ok() {
            let more = Tally {
                p: if up { amount.cast_unsigned() } else { 0 },
                n: if up { 0 } else { amount.cast_unsigned() },
            };
            process.counted = plus(process.counted, more);
            self.issued = plus(self.issued, more);
            // C9: own counts are in the value at once.
            let after = process.co.counter_value(counter, now).expect("open").value;
            assert_eq!(after - before, i128::from(signed), "C9: own counts show");
        }
        if self.rng.chance(200)
            && let Ok(call) = process.co.counter_flush(counter, now)
        {
            process.flushes.insert(call, process.counted);
        }
        if self.rng.chance(100) {
            let how = self.rng.pick(&[Freshness::Fresh, Freshness::AtLeast(process.token)]);
            drop(process.co.counter_read(counter, how, now));
        }
        if self.rng.chance(acts.reset) {
            drop(process.co.counter_reset(counter, None, now));
        }
        if self.rng.chance(acts.audit) {
            let prune = self.rng.pick(&[None, Some(SECOND), Some(8 * SECOND)]);
            drop(process.co.counter_audit(counter, prune.map(Span::from_micros), now));
        }
        if self.rng.chance(acts.close) {
            process.co.close(now);
            self.pump(who);
            return self.start(None);
        }
        self.pump(who);
        if self.rng.chance(acts.crash) {
            self.crash(who);
            return;
        }
        self.plan(who, again, Happening::Act);
        if self.rng.chance(acts.copy) && self.processes.len() < 8 {
            let process = self.processes.get_mut(&who).expect("it acts");
            let bytes = process.co.counter_snapshot(counter).expect("open");
            self.start(Some(&bytes));
        }
        // The one limit: units that have no slot yet are in both copies, and are counted by both.
        if self.rng.chance(acts.clone)
            && self.processes.len() < 8
            && self.processes[&who].unnamed(self.now).is_zero()
        {
            self.clone_process(who);
        }
        if self.rng.chance(acts.failover) && !self.older.is_empty() {
            self.fail_over();
        }
    }

    /// The process is gone without a word; what was written down is taken up, perhaps twice.
    pub(crate) fn crash(&mut self, who: u64) {
        let Some(process) = self.processes.remove(&who) else { return };
        let now = process.at(self.now);
        let pending =
            process.co.counter_value(process.counter, now).map_or(Tally::ZERO, |v| v.pending);
        self.bury(&process);
        let Process { counted, journaled, disk, .. } = process;
        let Some((bytes, written)) = disk.filter(|_| journaled) else {
            self.open = plus(self.open, pending);
            return self.start(None);
        };
        // Whatever was counted since may be lost, if it is not acknowledged.
        self.open = plus(self.open, least(counted.since(written), pending));
        self.start(Some(&bytes));
        if self.rng.chance(300) && self.processes.len() < 8 {
            self.start(Some(&bytes));
        }
    }

    /// What a process was told to be safe stays so when it is gone.
    pub(super) fn bury(&mut self, process: &Process) {
        let acknowledged = process.acknowledged();
        let gone = if process.journaled { &mut self.gone_journaled } else { &mut self.gone };
        *gone = plus(*gone, acknowledged);
    }

    /// Both go on from here. Whatever has come in already may be read by both.
    fn clone_process(&mut self, who: u64) {
        let ahead = 1 + self.rng.below(3 * SECOND);
        let copy = self.processes[&who].cloned(ahead);
        let unread = if self.rng.chance(500) { self.replies_to(who) } else { Vec::new() };
        self.count += 1;
        let who = self.count;
        self.processes.insert(who, copy);
        for (after, reply) in unread {
            self.plan(who, after, reply);
        }
        self.plan(who, 1, Happening::Act);
        self.pump(who);
    }

    fn replies_to(&self, who: u64) -> Vec<(u64, Happening)> {
        let to_it = self.heap.iter().filter(|Reverse((.., whose))| *whose == who);
        let replies = to_it.filter_map(|Reverse((at, number, _))| {
            let Happening::Reply { request, reply } = self.happenings.get(number)? else {
                return None;
            };
            let (request, reply) = (*request, reply.clone());
            Some((at - self.now, Happening::Reply { request, reply }))
        });
        replies.collect()
    }

    fn fail_over(&mut self) {
        let before = self.view().totals;
        self.store = self.rng.pick(&self.older);
        self.older.clear();
        let after = self.view().totals;
        self.forgotten.p += before.p - after.p;
        self.forgotten.n += before.n - after.n;
        for process in self.processes.values_mut() {
            let now = process.at(self.now);
            process.co.handle_node(NodeId(0), NodeChange::Connected, now);
        }
        for who in self.processes.keys().copied().collect::<Vec<_>>() {
            self.pump(who);
        }
    }
}
