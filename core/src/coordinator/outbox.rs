//! Commands that have been rendered and not been polled.

use alloc::collections::VecDeque;

use crate::redis::Command;

/// How much depends on a command's leaving soon: the first leave first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A lease ends without it.
    Keeps,
    /// Others wait for what it gives back.
    Frees,
    Usual,
}

/// The commands for one node, in the order in which they leave: a backlog of new requests costs
/// nobody a lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Outbox([VecDeque<Command>; 3]);

impl Outbox {
    /// Whether it is the only one.
    pub(super) fn push(&mut self, urgency: Urgency, command: Command) -> bool {
        let only = self.0.iter().all(VecDeque::is_empty);
        self.0[urgency as usize].push_back(command);
        only
    }

    pub(super) fn pop(&mut self) -> Option<Command> {
        self.0.iter_mut().find_map(VecDeque::pop_front)
    }

    /// Lets the last of the usual ones leave next.
    pub(super) fn hasten(&mut self) {
        let usual = &mut self.0[Urgency::Usual as usize];
        if let Some(last) = usual.pop_back() {
            usual.push_front(last);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(VecDeque::clear);
    }
}
