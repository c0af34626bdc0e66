//! The machines of a coordinator, whatever their kind: each is made and let work here, what it wants done
//! is done, and its timer is moved.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::dispatch::Read;
use super::node::Node;
use super::{Coordinator, Timer};
use crate::counter::Counter;
use crate::lock::Lock;
use crate::machine::{Cx, CxOf, Machine};
use crate::redis::NodeId;
use crate::table::{Key, Table};
use crate::time::Time;
use crate::transaction::{Recovery, Replication, Sweeper, Transaction};

/// All machines.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Machines {
    pub(super) locks: Entries<Lock>,
    pub(super) counters: Entries<Counter>,
    /// Transactions by the ids they run under, until all participants know of the end.
    pub(super) transactions: Entries<Transaction>,
    /// Other clients' transactions that are ended from here.
    pub(super) recoveries: Entries<Recovery>,
    pub(super) sweeps: Entries<Sweeper>,
    /// Of each node.
    pub(super) replications: Entries<Replication>,
}

pub(super) type Entries<M> = Table<<M as Kind>::Id, Box<Entry<M>>>;

/// A kind of machine.
pub(super) trait Kind: Machine<Answer: Read> {
    type Id: Key;
    /// What the coordinator notes of a machine.
    type Notes;

    const TIMER: fn(Self::Id) -> Timer;

    const ENTRIES: fn(&mut Machines) -> &mut Entries<Self>;

    /// What a machine has to know of its node.
    fn view(_notes: &Self::Notes, _nodes: &[Node]) -> Self::Node {
        Self::Node::default()
    }

    /// Does what a machine wants done.
    fn apply(core: &mut Coordinator, id: Self::Id, effects: Vec<Self::Effect>, background: bool);

    /// It is done, and has been removed.
    fn on_end(_core: &mut Coordinator, _id: Self::Id, _entry: Entry<Self>) {}
}

/// A machine, and what the coordinator knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry<M: Kind> {
    pub(super) machine: M,
    pub(super) notes: M::Notes,
    /// When its timer goes off, if it has one.
    scheduled_at: Option<Time>,
}

impl Machines {
    pub(super) fn new(nodes: usize) -> Self {
        let idle = || Entry { machine: Replication::default(), notes: (), scheduled_at: None };
        let replications = (0..).map(|node| (NodeId(node), Box::new(idle()))).take(nodes);
        Self { replications: replications.collect(), ..Self::default() }
    }

    /// How many have to end before a coordinator is closed.
    pub(super) fn under_way(&self) -> usize {
        self.locks.len() + self.counters.len() + self.transactions.len()
    }
}

impl Coordinator {
    /// Adds a machine that `make` starts.
    pub(super) fn insert<M: Kind>(
        &mut self,
        id: M::Id,
        notes: M::Notes,
        background: bool,
        make: impl FnOnce(&mut CxOf<'_, M>) -> M,
    ) {
        let (mut effects, node) = (Vec::new(), M::view(&notes, &self.nodes));
        let entropy = &mut self.entropy;
        let mut cx = Cx::new(self.now, self.timeout, entropy, &mut effects, background, node);
        let entry = Entry { machine: make(&mut cx), notes, scheduled_at: None };
        M::ENTRIES(&mut self.machines).insert(id, Box::new(entry));
        self.apply_effects::<M>(id, effects, background);
    }

    /// Lets `step` work on a machine, and applies its effects.
    pub(super) fn step<M: Kind, T>(
        &mut self,
        id: M::Id,
        background: bool,
        step: impl FnOnce(&mut M, &mut CxOf<'_, M>) -> T,
    ) -> Option<T> {
        let entry = M::ENTRIES(&mut self.machines).get_mut(&id)?;
        let (mut effects, node) = (Vec::new(), M::view(&entry.notes, &self.nodes));
        let entropy = &mut self.entropy;
        let mut cx = Cx::new(self.now, self.timeout, entropy, &mut effects, background, node);
        let result = step(&mut entry.machine, &mut cx);
        self.apply_effects::<M>(id, effects, background);
        Some(result)
    }

    /// Applies the effects of a machine, and reschedules it.
    fn apply_effects<M: Kind>(&mut self, id: M::Id, effects: Vec<M::Effect>, background: bool) {
        M::apply(self, id, effects, background);
        let entries = M::ENTRIES(&mut self.machines);
        let Some(entry) = entries.get_mut(&id) else { return };
        let deadline = entry.machine.deadline();
        self.timers.adjust(M::TIMER(id), &mut entry.scheduled_at, deadline);
        if entry.machine.is_done()
            && let Some(entry) = entries.remove(&id)
        {
            M::on_end(self, id, *entry);
        }
    }

    /// Lets `step` work on every machine for which `wanted` holds, in the order of their ids.
    pub(super) fn every<M: Kind>(
        &mut self,
        wanted: impl Fn(&Entry<M>) -> bool,
        step: impl Fn(&mut M, &mut CxOf<'_, M>),
    ) {
        let all = M::ENTRIES(&mut self.machines).iter().filter(|(_, entry)| wanted(entry));
        for id in all.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.step::<M, _>(id, true, &step);
        }
    }

    /// The timer of a machine has gone off.
    pub(super) fn on_due<M: Kind>(&mut self, id: M::Id) {
        if let Some(entry) = M::ENTRIES(&mut self.machines).get_mut(&id) {
            entry.scheduled_at = None;
        }
        self.step::<M, _>(id, true, M::on_timeout);
    }
}
