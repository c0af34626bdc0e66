//! The server that a transaction waits for, for the error of one that was not decided in time.

use alloc::format;
use alloc::string::String;
use core::iter::once;

use super::Coordinator;
use super::transaction_calls::Stage;
use crate::error::{Error, ErrorCode};
use crate::redis::{NodeId, readable};
use crate::transaction::{Handle, Reason, TransactionPlan};

impl Coordinator {
    /// The error that a reason is to the user, with the node it is about.
    pub(super) fn transaction_error(
        &self,
        handle: Handle,
        reason: Reason,
        plan: &TransactionPlan,
    ) -> Error {
        let place = reason.place();
        let is_late = place.is_none() && reason != Reason::Cancelled;
        let error = self.why(reason, plan);
        let node = match place.and_then(|place| plan.participant(place)) {
            Some(id) => self.node_named(id),
            None if is_late => self.awaited_by(handle),
            None => None,
        };
        let Some(node) = node else { return error };
        if !is_late {
            return error.at(node);
        }
        let name = readable(self.node_id(node).unwrap_or_default());
        let message = format!("{} ({} server '{name}')", error.message(), self.how_waited(handle));
        Error::new(error.code(), message).at(node)
    }

    /// How a transaction came to wait for a server, up to that server's name.
    fn how_waited(&self, handle: Handle) -> String {
        let call = self.transaction_calls.get(&handle);
        let Some(behind) = call.filter(|waiting| waiting.stage == Stage::Queued) else {
            return "it waited for".into();
        };
        let blocks = |key: &&[u8]| self.key_queues.blocker_of(handle, once(*key)).is_some();
        match behind.keys().find(blocks) {
            Some(key) => {
                let key = readable(key);
                format!("an earlier transaction of this coordinator has key '{key}' and waits for")
            }
            None => "an earlier transaction of this coordinator had its keys and waited for".into(),
        }
    }

    /// The server that a transaction waits for, itself or behind others that want the same keys; of
    /// several one that does not answer.
    pub(super) fn awaited_by(&self, handle: Handle) -> Option<NodeId> {
        let mut of = handle;
        let call = loop {
            let call = self.transaction_calls.get(&of)?;
            match self.key_queues.blocker_of(of, call.keys()) {
                // A blocker has come before, so this ends.
                Some(ahead) if call.stage == Stage::Queued => of = ahead,
                _ => break call,
            }
        };
        let mut awaited = match call.stage {
            Stage::Running(txid) => {
                let entry = self.machines.transactions.get(&txid);
                let ids = entry.map(|entry| entry.machine.awaited()).unwrap_or_default();
                ids.iter().filter_map(|id| self.node_named(id)).collect()
            }
            Stage::Clocks => call.nodes(self, |node| self.clock_of(node).is_none()),
            Stage::Queued => call.nodes(self, |_| true),
            Stage::Pausing { .. } => alloc::vec::Vec::new(),
        };
        awaited.extend(call.delayed_by);
        let silent =
            |node: &&NodeId| self.nodes.get(node.0 as usize).is_some_and(|n| n.is_silent());
        awaited.iter().find(silent).or(awaited.first()).copied()
    }
}

/// The node that kept a transaction from its end, and so those behind it in its queues from their beginning.
pub(super) fn culprit(error: &Error) -> Option<NodeId> {
    use ErrorCode::{Aborted, NoAnswer, OutcomeUnknown, Unreachable};
    let waited = matches!(error.code(), Aborted | NoAnswer | OutcomeUnknown | Unreachable);
    error.node().filter(|_| waited)
}
