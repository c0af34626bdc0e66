//! Who of one coordinator may go: transactions that want the same keys go one after the other, in
//! the order in which they came. Meeting each other at a server would cost them round trips.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Handle, Mode};
use crate::table::Names;

/// The transactions of one coordinator, at each key that they want.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Line {
    keys: Names<VecDeque<(Handle, bool)>>,
}

impl Line {
    /// Lets a transaction join the line at each of its keys.
    pub(crate) fn join<'a>(
        &mut self,
        transaction: Handle,
        keys: impl Iterator<Item = (&'a [u8], Mode)>,
    ) {
        for (key, mode) in keys {
            let one = (transaction, mode == Mode::Shared);
            match self.keys.get_mut(key) {
                Some(line) => line.push_back(one),
                None => self.keys.add(key.to_vec(), VecDeque::from([one])),
            }
        }
    }

    /// Whether nobody is before it at any of its keys, but for readers before readers.
    pub(crate) fn may_go<'a>(
        &self,
        transaction: Handle,
        mut keys: impl Iterator<Item = &'a [u8]>,
    ) -> bool {
        keys.all(|key| {
            let Some(line) = self.keys.get(key) else { return true };
            let Some(at) = line.iter().position(|(who, _)| *who == transaction) else {
                return true;
            };
            at == 0 || line.iter().take(at + 1).all(|(_, shared)| *shared)
        })
    }

    /// It wants its keys no more. Who was behind it may be able to go.
    pub(crate) fn leave<'a>(
        &mut self,
        transaction: Handle,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<Handle> {
        let mut behind = Vec::new();
        for key in keys {
            let Some(line) = self.keys.get_mut(key) else { continue };
            line.retain(|(who, _)| *who != transaction);
            // All readers at the head, or one writer.
            let readers = line.iter().take_while(|(_, shared)| *shared).count();
            for (who, _) in line.iter().take(readers.max(1)) {
                if let Err(place) = behind.binary_search(who) {
                    behind.insert(place, *who);
                }
            }
            if line.is_empty() {
                self.keys.remove(key);
            }
        }
        behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(line: &mut Line, number: u64, keys: &[(&str, Mode)]) -> bool {
        line.join(Handle(number), keys.iter().map(|(key, mode)| (key.as_bytes(), *mode)));
        line.may_go(Handle(number), keys.iter().map(|(key, _)| key.as_bytes()))
    }

    #[test]
    fn who_wants_the_same_goes_in_the_order_of_coming() {
        let mut line = Line::default();
        assert!(join(&mut line, 1, &[("a", Mode::Write), ("b", Mode::Shared)]));
        assert!(!join(&mut line, 2, &[("a", Mode::Shared)]));
        assert!(join(&mut line, 3, &[("b", Mode::Shared)]));
        assert!(!join(&mut line, 4, &[("b", Mode::Exclusive)]));
        assert!(!join(&mut line, 5, &[("b", Mode::Shared)]), "a reader does not pass a writer");
        assert!(join(&mut line, 6, &[("c", Mode::Write)]));
        let keys = |keys: &'static [&str]| keys.iter().map(|key| key.as_bytes());
        assert_eq!(line.leave(Handle(1), keys(&["a", "b"])), [Handle(2), Handle(3)]);
        assert!(line.may_go(Handle(2), keys(&["a"])));
        assert!(!line.may_go(Handle(4), keys(&["b"])));
        assert_eq!(line.leave(Handle(3), keys(&["b"])), [Handle(4)]);
        assert_eq!(line.leave(Handle(4), keys(&["b"])), [Handle(5)]);
        line.leave(Handle(2), keys(&["a"]));
        line.leave(Handle(5), keys(&["b"]));
        line.leave(Handle(6), keys(&["c"]));
        assert_eq!(line, Line::default());
    }
}
