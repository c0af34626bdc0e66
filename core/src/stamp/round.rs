//! The round that stamps servers: asks all of a ring, and stamps those that have no stamp.

use alloc::vec;
use alloc::vec::Vec;

use super::Answer;
use crate::error::Error;

/// What is known of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Seen {
    /// Its answer is waited for.
    Awaited,
    /// It has the client's stamp.
    Ours,
    /// It has none, or one that may be replaced.
    Free,
    /// It belongs to another ring, or is another member of this one.
    Other {
        /// What it has.
        found: Answer,
        /// The server of the ring that it is recorded as.
        twin: Option<usize>,
    },
    /// It did not answer as it should.
    Missing {
        /// Why.
        error: Error,
        /// Waiting does not help.
        lasting: bool,
    },
}

/// How far a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// All are asked.
    Asking,
    /// The first, which had none, is stamped.
    First,
    /// All the others that had none are.
    Rest,
    Over,
}

/// One attempt to stamp the servers of a ring.
///
/// | step | does | next when |
/// | --- | --- | --- |
/// | Asking | asks all | all have the client's stamp or none; else over |
/// | First | stamps the server with the lowest id, if it has none | it has the client's; else over |
/// | Rest | stamps the others that have none | all have answered: over |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Round {
    step: Step,
    /// In the order of the ids.
    seen: Vec<Seen>,
}

impl Round {
    /// All `count` servers are to be asked.
    pub(crate) fn new(count: usize) -> Self {
        Self { step: Step::Asking, seen: vec![Seen::Awaited; count] }
    }

    /// What has come of the question to a server, or of stamping it. Which servers are to be stamped
    /// now.
    pub(crate) fn on_seen(&mut self, server: usize, what: Seen) -> Vec<usize> {
        if let Some(seen) = self.seen.get_mut(server) {
            *seen = what;
        }
        // Whether it is its twin is known when that has answered.
        let other = self.seen.iter().any(|seen| match seen {
            Seen::Other { twin, .. } => !twin.is_some_and(|twin| self.is(twin, &Seen::Awaited)),
            _ => false,
        });
        if other {
            self.step = Step::Over;
        }
        if self.step == Step::Over || self.seen.contains(&Seen::Awaited) {
            return Vec::new();
        }
        let missing = self.seen.iter().any(|seen| matches!(seen, Seen::Missing { .. }));
        let free = |seen: &Seen| *seen == Seen::Free;
        let stamped = match self.step {
            _ if missing => Vec::new(),
            Step::Asking if self.seen.first().is_some_and(free) => vec![0],
            Step::Asking | Step::First => {
                (0..).zip(&self.seen).filter(|(_, seen)| free(seen)).map(|(at, _)| at).collect()
            }
            Step::Rest | Step::Over => Vec::new(),
        };
        self.step = match stamped.as_slice() {
            [] => Step::Over,
            [0] if self.step == Step::Asking => Step::First,
            _ => Step::Rest,
        };
        stamped.iter().for_each(|at| self.seen[*at] = Seen::Awaited);
        stamped
    }

    pub(crate) fn is_over(&self) -> bool {
        self.step == Step::Over
    }

    /// What is known of each server, in the order of their ids.
    pub(crate) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// A server that belongs to another ring, or is another member of this one; whether the client
    /// has met that member, too.
    pub(crate) fn other(&self) -> Option<(usize, &Answer, bool)> {
        (0..).zip(&self.seen).find_map(|(at, seen)| match seen {
            Seen::Other { found, twin } => {
                Some((at, found, twin.is_some_and(|twin| self.is(twin, &Seen::Ours))))
            }
            _ => None,
        })
    }

    fn is(&self, server: usize, what: &Seen) -> bool {
        self.seen.get(server) == Some(what)
    }
}
