//! The push connections: opened when somebody waits, tried again where they fail.

use super::node::Push as PushState;
use super::{Coordinator, Timer};
use crate::error::Error;
use crate::event::Event;
use crate::lock::Lock;
use crate::machine::Backoff;
use crate::redis::NodeId;
use crate::time::Span;

/// Before a push connection is tried again.
const RESUBSCRIBE: Backoff = Backoff { first: Span::from_millis(100), longest: Span::from_secs(5) };

impl Coordinator {
    pub(super) fn on_push_ready(&mut self, node: NodeId) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        if state.push == PushState::Ready {
            return;
        }
        let before = core::mem::replace(&mut state.push, PushState::Ready);
        state.push_failures = 0;
        if let PushState::Opening(request) = before {
            // Its answer is this change.
            self.take_request(request);
        }
        self.emit(Event::PushReady { node });
        // A grant published before the subscription was not heard.
        self.every(|entry| entry.notes.node == node, Lock::on_push_ready);
    }

    pub(super) fn on_push_failed(&mut self, node: NodeId, error: Error) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        if state.push == PushState::Failed {
            return;
        }
        state.push = PushState::Failed;
        state.push_failures += 1;
        let at = self.now + RESUBSCRIBE.pause(state.push_failures, &mut self.entropy);
        self.timers.insert(at, Timer::Subscribe(node));
        self.emit(Event::PushUnavailable { node, error: error.at(node) });
        self.every(|entry| entry.notes.node == node, Lock::on_push_lost);
    }

    pub(super) fn on_subscribe_timeout(&mut self, node: NodeId) {
        let waited_for = self
            .machines
            .locks
            .values()
            .any(|entry| entry.notes.node == node && entry.machine.is_waiting());
        if let Some(state) = self.nodes.get_mut(node.0 as usize)
            && state.push == PushState::Failed
        {
            state.push = PushState::Off;
            if waited_for {
                self.want_push(node);
            }
        }
    }
}
