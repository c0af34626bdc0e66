//! A server's outage, from the first sign of it to its next answer that is no error: each is reported once,
//! whatever failed for it.

use super::input::LATE;
use super::{Coordinator, Lifecycle, ReplyTarget};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::redis::{Failure, NodeId, RequestId};

impl Coordinator {
    /// The host reports that there is no answer to `request`. One that was not answered by its deadline is
    /// a sign that its server is away. One that came to nothing otherwise may be the host's own doing,
    /// which has not said why: two of them are, one behind the other.
    pub(super) fn on_reported_failure(&mut self, request: RequestId, failure: Failure) {
        let Some(request) = self.requests.get(&request).filter(|request| request.polled) else {
            return;
        };
        // A `WAIT` is meant to take its time.
        if matches!(request.target, ReplyTarget::Wait(..) | ReplyTarget::Confirm(..)) {
            return;
        }
        let (node, sent_at, deadline) = (request.node, request.sent_at, request.deadline);
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        // The reason was reported before; or there was more to send than could be sent in time.
        let explained = state.is_explained() || state.is_reached_since(sent_at);
        if failure == Failure::NotSent && explained {
            return;
        }
        // It answers others, more slowly than it is asked.
        let half = sent_at + deadline.since(sent_at).part(1, 2);
        if failure == Failure::OutcomeUnknown && state.is_heard_since(half) {
            return;
        }
        // A host that comes late was busy elsewhere.
        let due = self.now >= deadline && self.now.since(deadline) < LATE;
        if due || state.suspect(sent_at, self.now) {
            let error = match failure {
                Failure::OutcomeUnknown if due => (ErrorCode::NoAnswer, "no answer in time"),
                Failure::OutcomeUnknown => (ErrorCode::NoAnswer, "the connection was lost"),
                Failure::NotSent => (ErrorCode::Unreachable, "no connection was made"),
            };
            self.on_outage(node, Error::new(error.0, error.1));
        }
    }

    /// A sign that a server is away.
    pub(super) fn on_outage(&mut self, node: NodeId, error: Error) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        if self.lifecycle == Lifecycle::Open && state.begin_outage(&error, self.now) {
            let waiting = state.waiting;
            self.emit(Event::NodeDown { node, error: error.at(node), waiting });
        }
    }

    /// A server has refused to connect, or a command as it would refuse any other: it does not serve.
    /// That it has too many clients says nothing of the connections there are.
    pub(super) fn on_refusing(&mut self, node: NodeId, error: Error, connects: bool) {
        let timeout = self.timeout;
        let Some(state) = self.nodes.get(node.0 as usize) else { return };
        if !(connects && state.is_answering(timeout, self.now)) {
            self.on_outage(node, error);
        }
    }

    /// A server has answered, and with no error: it serves.
    pub(super) fn on_answering(&mut self, node: NodeId) {
        let state = self.nodes.get_mut(node.0 as usize);
        if let Some(since) = state.and_then(super::Node::end_outage) {
            self.emit(Event::NodeUp { node, outage: self.now.since(since) });
        }
    }
}
