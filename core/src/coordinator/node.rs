//! What a coordinator knows of one node.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Owner;
use super::clocks::Clock;
use crate::entropy::Entropy;
use crate::lock::{Anchor, Cx, Effect, Fence};
use crate::redis::{Command, RequestId, Script};
use crate::time::{Span, Time, request_timeout};
use crate::transaction::replication::Replication;

/// The push connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Push {
    /// Nobody has needed it yet.
    Off,
    /// Being opened by this request.
    Opening(RequestId),
    Ready,
    /// To be tried again.
    Failed,
}

/// Whether a server has a script.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Loaded {
    /// Until it says otherwise.
    Assumed,
    /// It said that it has not: the next command brings the text.
    Missing,
    /// This request brings it; the others wait for its end.
    Loading { by: RequestId, parked: Vec<Owner> },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) queue: VecDeque<Command>,
    pub(super) anchor: Option<Anchor>,
    pub(super) floor: Fence,
    pub(super) push: Push,
    pub(super) push_failures: u32,
    /// A grant could not be published: said once.
    pub(super) mute: bool,
    pub(super) clock: Clock,
    pub(super) replication: Replication,
    /// What the timers know of it.
    pub(super) replication_due: Option<Time>,
    pub(super) scripts: [Loaded; Script::ALL.len()],
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            anchor: None,
            floor: Fence(0),
            push: Push::Off,
            push_failures: 0,
            mute: false,
            clock: Clock::Unknown,
            replication: Replication::default(),
            replication_due: None,
            scripts: [const { Loaded::Assumed }; Script::ALL.len()],
        }
    }

    pub(super) fn is_push_ready(&self) -> bool {
        self.push == Push::Ready
    }
    /// What one of its locks works with during one input.
    pub(super) fn cx<'a>(
        &self,
        now: Time,
        timeout: Span,
        inbox: &'a [u8],
        entropy: &'a mut Entropy,
        effects: &'a mut Vec<Effect>,
        background: bool,
    ) -> Cx<'a> {
        Cx {
            now,
            entropy,
            effects,
            anchor: self.anchor,
            push_ready: self.is_push_ready(),
            floor: self.floor,
            inbox,
            timeout,
            request_timeout: request_timeout(timeout),
            background,
        }
    }
}
