//! A command on its way to a server.

use super::{Argv, NodeId};
use crate::time::Time;

/// Names one attempt to execute one command. Never used again by the same coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RequestId(pub u64);

/// How a command reaches its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// Over a connection to the command's node.
    Node,
    /// Over the node's push connection, which the driver opens for it. A confirmed subscription
    /// is reported as [`NodeChange::PushReady`](super::NodeChange), a failed one as a failure or
    /// an error reply.
    Subscribe,
    /// Over a connection to the command's node that serves this route alone, for a command of it
    /// blocks the connection. All commands of this route that are ready for a node leave in one write
    /// on one connection, in their order: each waits for what those before it have written there. Any
    /// that cannot is [`NotSent`](super::Failure); none is ever sent on another connection. A driver
    /// that has no such connection reports all of them as not sent.
    Blocking,
}

/// Whom a command serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The operation with this number: a lock, a counter, a call or a transaction. Somebody waits
    /// for it, or is being told how it has ended, and may take this along.
    Operation(u64),
    /// Nobody waits: renewals, heartbeats, cleaning up. May be left to a thread of the driver's own.
    Background,
}

/// One Redis command: send it once, before `deadline`, and report its reply or failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// Comes back with the reply or the failure.
    pub request: RequestId,
    /// The node it is for.
    pub node: NodeId,
    /// How it gets there.
    pub route: Route,
    /// Whom it serves.
    pub origin: Origin,
    /// When the driver gives up on it, connecting included.
    pub deadline: Time,
    /// Its words.
    pub argv: Argv,
}
