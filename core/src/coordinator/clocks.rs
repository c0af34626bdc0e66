//! What the servers' clocks show: the `not_after` of a transaction is a moment of theirs.

use alloc::vec::Vec;

use super::transaction_calls::{Stage, TransactionCall};
use super::{Coordinator, Request, Timer};
use crate::error::{Error, ErrorCode};
use crate::keyspace::ServerTime;
use crate::machine::Refused;
use crate::redis::{NodeId, Reply, parse_number};
use crate::time::{Span, Time};
use crate::transaction::{Handle, Reason};

/// What is known of a server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Clock {
    Unknown,
    Asked,
    /// What it showed when a command was sent that was answered with it.
    Known {
        sent_at: Time,
        showed: ServerTime,
    },
}

impl Coordinator {
    /// The node with this id in the ring. One that is alone has had other ids.
    pub(super) fn node_named(&self, id: &[u8]) -> Option<NodeId> {
        if self.nodes.len() == 1 {
            return Some(NodeId(0));
        }
        let at = self.ring.nodes().binary_search_by(|spec| spec.id.as_slice().cmp(id)).ok()?;
        u32::try_from(at).ok().map(NodeId)
    }

    /// What the clock of a server shows now, as far as is known.
    pub(super) fn clock_of(&self, node: NodeId) -> Option<ServerTime> {
        match self.nodes.get(node.0 as usize)?.clock {
            Clock::Known { sent_at, showed } => Some(showed.after(self.now.since(sent_at))),
            Clock::Unknown | Clock::Asked => None,
        }
    }

    pub(super) fn forget_clock(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(node.0 as usize)
            && matches!(node.clock, Clock::Known { .. })
        {
            node.clock = Clock::Unknown;
        }
    }

    pub(super) fn on_clock(&mut self, node: NodeId, sent_at: Time, showed: ServerTime) {
        if let Some(node) = self.nodes.get_mut(node.0 as usize) {
            node.clock = Clock::Known { sent_at, showed };
        }
    }

    pub(super) fn ask_clock(&mut self, node: NodeId, for_whom: Handle) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        if state.clock == Clock::Unknown {
            state.clock = Clock::Asked;
            self.send_time(node, for_whom);
        }
    }

    pub(super) fn on_time_reply(&mut self, pending: &Request, reply: &Reply) {
        let number = |reply: &Reply| match reply {
            Reply::Bulk(text) => parse_number(text),
            _ => None,
        };
        let showed = match reply {
            Reply::Array(parts) => match parts.as_slice() {
                [seconds, micros] => number(seconds).zip(number(micros)),
                _ => None,
            },
            _ => None,
        };
        let Some((seconds, micros)) = showed else {
            let (error, transient) = match reply {
                Reply::Error(text) => {
                    let Refused { error, transient, .. } = Refused::of(text);
                    (error, transient)
                }
                _ => {
                    let message = "the server does not tell its time";
                    (Error::new(ErrorCode::Unsupported, message), false)
                }
            };
            return self.on_no_clock(pending.node, &error.at(pending.node), !transient);
        };
        let showed = ServerTime(seconds.saturating_mul(1_000_000).saturating_add(micros));
        self.on_clock(pending.node, pending.sent_at, showed);
        self.begin_those_at_clocks(pending.background);
    }

    /// The clock is asked for again soon if a transaction still needs it; transactions that need it fail at
    /// once if waiting does not help.
    pub(super) fn on_no_clock(&mut self, node: NodeId, error: &Error, lasting: bool) {
        let id = self.id_in_ring(node).unwrap_or_default().to_vec();
        let waits = |u: &TransactionCall| u.stage == Stage::Clocks && u.place_of(&id).is_some();
        let waiting = self.transaction_calls.iter().filter(|(_, call)| waits(call));
        for handle in waiting.map(|(handle, _)| *handle).collect::<Vec<_>>() {
            if let Some(call) = self.transaction_calls.get_mut(&handle) {
                call.trouble = Some(error.clone().after(call.trouble.take()));
            }
            if lasting {
                self.fail_transaction_call(handle, Reason::TimedOut);
            }
        }
        let pause = Span::from_millis(20);
        let at = self.now + pause + self.entropy.jitter(pause);
        self.timers.insert(at, Timer::Clock(node));
    }

    pub(super) fn on_clock_timeout(&mut self, node: NodeId) {
        if let Some(state) = self.nodes.get_mut(node.0 as usize)
            && state.clock == Clock::Asked
        {
            state.clock = Clock::Unknown;
        }
        self.begin_those_at_clocks(true);
    }

    fn begin_those_at_clocks(&mut self, background: bool) {
        let waiting = self.transaction_calls.iter().filter(|(_, u)| u.stage == Stage::Clocks);
        for handle in waiting.map(|(handle, _)| *handle).collect::<Vec<_>>() {
            self.begin(handle, background);
            self.reschedule_transaction_call(handle);
        }
    }
}
