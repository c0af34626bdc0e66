//! What the machines of locks, counters and transactions have in common.

use alloc::vec::Vec;

use crate::entropy::Entropy;
use crate::error::Error;
use crate::redis::Failure;
use crate::time::{Span, Time, request_timeout};

/// One transmission of an operation of one machine; counts up.
pub type Attempt = u64;

/// A state machine without I/O: inputs in, effects out.
pub(crate) trait Machine: Sized {
    /// What its commands are answered.
    type Answer;
    /// What it wants done.
    type Effect;
    /// What it has to know of its node.
    type Node: Default;

    fn is_done(&self) -> bool;

    /// The moment at which `on_timeout` has something to do.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// What came of `attempt`; nothing if it is not one that is waited for.
    fn on_outcome(
        &mut self,
        attempt: Attempt,
        outcome: Outcome<Self::Answer>,
        cx: &mut CxOf<'_, Self>,
    );

    /// The server lacks the script: the same again, which brings it.
    fn on_script_missing(&mut self, attempt: Attempt, cx: &mut CxOf<'_, Self>);

    fn on_timeout(&mut self, _: &mut CxOf<'_, Self>) {}
}

/// A command that a machine wants sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Outgoing<Op> {
    pub(crate) attempt: Attempt,
    pub(crate) op: Op,
    pub(crate) deadline: Time,
    pub(crate) background: bool,
}

/// Why there is no answer to an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    /// Whether it may have been executed.
    pub(crate) failure: Failure,
    /// For the user.
    pub(crate) error: Error,
    /// Waiting does not help: whoever waits for the node is told at once.
    pub(crate) lasting: bool,
}

/// The server refused to execute an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// For the user, with the server's words.
    pub(crate) error: Error,
    /// It may pass by itself soon.
    pub(crate) transient: bool,
    /// The server would refuse any command now.
    pub(crate) away: bool,
    /// It passes when a failover or a disk is done, which may take long.
    pub(crate) passes: bool,
    /// The script may have been executed in part.
    pub(crate) executed: bool,
}

impl Refused {
    pub(crate) const fn new(error: Error, transient: bool, executed: bool) -> Self {
        Self { error, transient, away: false, passes: false, executed }
    }
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Outcome<Answer> {
    /// And when what was answered had been sent.
    Answered(Answer, Time),
    Failed(Failed),
    Refused(Refused),
}

/// A pause after a failure: the first, doubled with each one up to the longest.
#[derive(Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) first: Span,
    pub(crate) longest: Span,
}

impl Backoff {
    /// The pause after so many failures: half of it, and a random part of the other half.
    pub(crate) fn pause(self, failures: u32, entropy: &mut Entropy) -> Span {
        let doubled = self.first.as_micros() << failures.saturating_sub(1).min(10);
        let half = Span::from_micros(doubled).min(self.longest).part(1, 2);
        half + entropy.jitter(half)
    }
}

/// What `M` works with during one input.
pub(crate) type CxOf<'a, M> = Cx<'a, <M as Machine>::Effect, <M as Machine>::Node>;

/// What a machine works with during one input.
pub(crate) struct Cx<'a, Effect, Node = ()> {
    pub(crate) now: Time,
    pub(crate) entropy: &'a mut Entropy,
    /// What it wants done.
    pub(crate) effects: &'a mut Vec<Effect>,
    /// How long a server may be out of reach before somebody is told.
    pub(crate) timeout: Span,
    /// How long one command may take.
    pub(crate) request_timeout: Span,
    /// Whether what is sent now answers a call of the user, or the clock.
    pub(crate) background: bool,
    /// What it has to know of its node.
    pub(crate) node: Node,
}

impl<'a, Effect, Node> Cx<'a, Effect, Node> {
    pub(crate) fn new(
        now: Time,
        timeout: Span,
        entropy: &'a mut Entropy,
        effects: &'a mut Vec<Effect>,
        background: bool,
        node: Node,
    ) -> Self {
        let request_timeout = request_timeout(timeout);
        Self { now, entropy, effects, timeout, request_timeout, background, node }
    }
}
