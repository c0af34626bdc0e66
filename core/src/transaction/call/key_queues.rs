//! Transactions of one coordinator that want the same keys start one after the other, in the order in
//! which they came. A conflict at a server would cost them round trips.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::table::Names;
use crate::transaction::{Handle, Mode};

/// The queue of each key that transactions of one coordinator want.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct KeyQueues {
    keys: Names<Queue>,
}

/// The transactions that want one key. Handles rise, so both lists are sorted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Queue {
    /// Every transaction, and whether it only reads the key.
    all: VecDeque<(Handle, bool)>,
    writers: VecDeque<Handle>,
}

impl Queue {
    fn push(&mut self, transaction: Handle, shared: bool) {
        self.all.push_back((transaction, shared));
        if !shared {
            self.writers.push_back(transaction);
        }
    }

    /// Whether no transaction is before it, but for readers before a reader.
    fn may_start(&self, transaction: Handle) -> bool {
        match self.writers.front() {
            Some(writer) if *writer < transaction => false,
            Some(writer) if *writer == transaction => {
                self.all.front().is_some_and(|(first, _)| *first == transaction)
            }
            _ => true,
        }
    }

    /// A transaction before it that keeps it from starting; none if it may start.
    fn blocker_of(&self, transaction: Handle) -> Option<Handle> {
        let writer = self.writers.front().copied().filter(|writer| *writer <= transaction)?;
        let first = if writer == transaction { self.all.front()?.0 } else { writer };
        Some(first).filter(|first| *first < transaction)
    }

    /// Removes a transaction, and gives those that may start only now.
    fn remove(&mut self, transaction: Handle) -> impl Iterator<Item = Handle> {
        let at = self.all.binary_search_by_key(&transaction, |(who, _)| *who);
        let removed = at.ok().and_then(|at| self.all.remove(at).map(|(_, shared)| (at, shared)));
        let mut freed = 0..0;
        if let Some((at, shared)) = removed {
            if !shared && let Ok(at) = self.writers.binary_search(&transaction) {
                self.writers.remove(at);
            }
            let first_writer = self.writers.front().copied();
            if first_writer.is_some() && first_writer == self.all.front().map(|(who, _)| *who) {
                freed = 0..1;
            } else if !shared {
                // Readers behind a writer; those before it had their turn.
                let behind = self.all.iter().skip(at);
                let readers = behind.take_while(|(who, _)| first_writer.is_none_or(|w| *who < w));
                freed = at..at + readers.count();
            }
        }
        self.all.range(freed).map(|(who, _)| *who)
    }
}

impl KeyQueues {
    /// Appends a transaction to the queue of each of its keys.
    pub(crate) fn join<'a>(
        &mut self,
        transaction: Handle,
        keys: impl Iterator<Item = (&'a [u8], Mode)>,
    ) {
        for (key, mode) in keys {
            if !self.keys.contains_key(key) {
                self.keys.add(key.to_vec(), Queue::default());
            }
            if let Some(queue) = self.keys.get_mut(key) {
                queue.push(transaction, mode == Mode::Shared);
            }
        }
    }

    /// Whether no transaction is before it at any of its keys, but for readers before readers.
    pub(crate) fn may_start<'a>(
        &self,
        transaction: Handle,
        mut keys: impl Iterator<Item = &'a [u8]>,
    ) -> bool {
        keys.all(|key| self.keys.get(key).is_none_or(|queue| queue.may_start(transaction)))
    }

    /// A transaction before it at one of its keys that keeps it from starting.
    pub(crate) fn blocker_of<'a>(
        &self,
        transaction: Handle,
        mut keys: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Handle> {
        keys.find_map(|key| self.keys.get(key)?.blocker_of(transaction))
    }

    /// Removes a transaction from the queues of its keys, and gives those that may now be able to start.
    pub(crate) fn leave<'a>(
        &mut self,
        transaction: Handle,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<Handle> {
        let mut behind = Vec::new();
        for key in keys {
            let Some(queue) = self.keys.get_mut(key) else { continue };
            for who in queue.remove(transaction) {
                if let Err(place) = behind.binary_search(&who) {
                    behind.insert(place, who);
                }
            }
            if queue.all.is_empty() {
                self.keys.remove(key);
            }
        }
        behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(queues: &mut KeyQueues, number: u64, keys: &[(&str, Mode)]) -> bool {
        queues.join(Handle(number), keys.iter().map(|(key, mode)| (key.as_bytes(), *mode)));
        queues.may_start(Handle(number), keys.iter().map(|(key, _)| key.as_bytes()))
    }

    #[test]
    fn transactions_on_the_same_keys_start_in_the_order_of_their_calls() {
        let mut queues = KeyQueues::default();
        assert!(join(&mut queues, 1, &[("a", Mode::Write), ("b", Mode::Shared)]));
        assert!(!join(&mut queues, 2, &[("a", Mode::Shared)]));
        assert!(join(&mut queues, 3, &[("b", Mode::Shared)]));
        assert!(!join(&mut queues, 4, &[("b", Mode::Exclusive)]));
        assert!(!join(&mut queues, 5, &[("b", Mode::Shared)]), "a reader does not pass a writer");
        assert!(join(&mut queues, 6, &[("c", Mode::Write)]));
        let keys = |keys: &'static [&str]| keys.iter().map(|key| key.as_bytes());
        assert_eq!(queues.leave(Handle(1), keys(&["a", "b"])), [Handle(2)], "3 may start already");
        assert!(queues.may_start(Handle(2), keys(&["a"])));
        assert!(!queues.may_start(Handle(4), keys(&["b"])));
        assert_eq!(queues.leave(Handle(3), keys(&["b"])), [Handle(4)]);
        assert_eq!(queues.leave(Handle(4), keys(&["b"])), [Handle(5)]);
        assert!(join(&mut queues, 7, &[("b", Mode::Shared)]));
        assert!(!join(&mut queues, 8, &[("b", Mode::Write)]));
        assert!(!join(&mut queues, 9, &[("b", Mode::Shared)]));
        assert!(!join(&mut queues, 10, &[("b", Mode::Write)]));
        assert_eq!(
            queues.leave(Handle(7), keys(&["b"])),
            [],
            "a transaction that may start already is not given again"
        );
        assert_eq!(queues.leave(Handle(8), keys(&["b"])), [Handle(9)], "a writer that gives up");
        assert_eq!(queues.leave(Handle(9), keys(&["b"])), []);
        queues.leave(Handle(2), keys(&["a"]));
        assert_eq!(queues.leave(Handle(5), keys(&["b"])), [Handle(10)]);
        queues.leave(Handle(10), keys(&["b"]));
        queues.leave(Handle(6), keys(&["c"]));
        assert_eq!(queues, KeyQueues::default());
    }
}
