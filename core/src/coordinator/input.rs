//! What comes in: replies, failures, messages, changes of connections, time.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::dispatch::Input;
use super::locks::LockNotes;
use super::{Coordinator, ReplyTarget, Request, Timer};
use crate::counter::Counter;
use crate::error::{Error, ErrorCode};
use crate::lock::{AHEAD, Lock, LockId, Push};
use crate::machine::{Failed, Refused};
use crate::redis::{Failure, NodeChange, NodeId, Reply, RequestId};
use crate::stamp;
use crate::time::{Span, Time};
use crate::transaction::{Recovery, Replication, Sweeper, Transaction};

/// A host that comes so long after what was due was busy elsewhere.
pub(super) const LATE: Span = Span::from_millis(100);

/// The bytes of the reason of [`Coordinator::handle_unreachable`] that messages repeat.
pub const MAX_REASON: usize = 512;

impl Coordinator {
    /// A reply to `request`.
    pub fn handle_reply(&mut self, request: RequestId, reply: &Reply, now: Time) {
        self.advance_now(now);
        if let Reply::Error(text) = reply
            && Refused::is_of_connection(text)
            && let Some(node) = self.requests.get(&request).map(|pending| pending.node)
        {
            self.handle_refused(node, text, now);
            return self.fail_request(request, Failure::NotSent);
        }
        let Some(pending) = self.take_request(request) else {
            self.stats.ignored += 1;
            return;
        };
        self.stats.replies += 1;
        let released = self.on_heard(pending.node, reply);
        self.on_reply(request, &pending, reply);
        self.reschedule_probe(pending.node);
        for target in released {
            self.dispatch(target, pending.node, true, Input::Again);
        }
    }

    /// Notes that the server of a reply answers, or refuses. Gives the targets that awaited its answer.
    fn on_heard(&mut self, node: NodeId, reply: &Reply) -> VecDeque<ReplyTarget> {
        if let Reply::Error(text) = reply
            && let Refused { error, away: true, .. } = Refused::of(text)
        {
            self.on_refusing(node, error, false);
            return VecDeque::new();
        }
        let state = self.nodes.get_mut(node.0 as usize);
        let released = state.map(|state| state.set_heard(self.now)).unwrap_or_default();
        if !matches!(reply, Reply::Error(_)) {
            self.on_answering(node);
        }
        released
    }

    fn on_reply(&mut self, request: RequestId, pending: &Request, reply: &Reply) {
        if let Reply::Error(text) = reply {
            self.stats.refusals += 1;
            // To the command that brought the text it is a refusal like any other.
            let missing = Refused::is_no_script(text) && pending.script.is_some();
            if missing && !self.is_loading(pending.node, request) {
                self.on_script_missing(pending);
                return;
            }
        }
        if let Some(found) = stamp::refusal(reply) {
            self.on_other_stamp(request, pending, found);
            return self.release_awaiting_script(pending.node, request);
        }
        let input = Input::Reply(pending, reply);
        self.dispatch(pending.target, pending.node, pending.background, input);
        self.release_awaiting_script(pending.node, request);
    }

    /// There is no reply to `request`, and there will be none.
    pub fn handle_failure(&mut self, request: RequestId, failure: Failure, now: Time) {
        self.advance_now(now);
        self.on_reported_failure(request, failure);
        self.fail_request(request, failure);
    }

    /// No connection to `node` can be made, or the one there was broke under what was asked, for this
    /// `reason` in the host's words ("connection refused"): they stand in the message of every
    /// `Unreachable` of the node until it is connected or answers, and in that of the `NodeDown` that
    /// begins with it. Told before the requests that fail for it; of a longer text the first
    /// [`MAX_REASON`] bytes count, and control characters are escaped. A connection that breaks while nothing is asked is none of this.
    ///
    /// A `lasting` one does not pass by waiting, like a name that does not exist or a certificate that
    /// is not trusted: the verbs whose requests fail then end at once, and not at their time.
    pub fn handle_unreachable(&mut self, node: NodeId, reason: &str, lasting: bool, now: Time) {
        self.advance_now(now);
        if let Some(state) = self.nodes.get_mut(node.0 as usize) {
            let reason = state.set_unreachable(reason, lasting);
            self.on_outage(node, Error::new(ErrorCode::Unreachable, reason));
        }
    }

    /// The server of `node` refuses a connection with this error reply ("WRONGPASS ...", "ERR max number
    /// of clients reached"), in its set-up or in place of its first answer: nothing was sent. Told before
    /// the requests that fail for it as [`Failure::NotSent`]: their error then is a `ServerRefused` with
    /// these words, until the node is connected or answers. Unless the server answers on another
    /// connection it is an outage, and a `NodeDown` repeats the words.
    ///
    /// Whether it passes is known here: operations that may wait do, and the others fail at once.
    pub fn handle_refused(&mut self, node: NodeId, text: &[u8], now: Time) {
        self.advance_now(now);
        let Refused { error, transient, .. } = Refused::of(text);
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        self.stats.refusals += 1;
        state.set_refusing(error.clone(), !transient);
        self.on_refusing(node, error, true);
    }

    /// Something happened to the connections to `node`.
    pub fn handle_node(&mut self, node: NodeId, change: NodeChange, now: Time) {
        self.advance_now(now);
        if self.lifecycle == super::Lifecycle::Closed {
            return;
        }
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        match change {
            NodeChange::Connected => {
                state.set_reached(self.now);
                self.every(|entry| entry.notes.node == node, Counter::on_reconnected);
            }
            // What answers next may be another server with another clock.
            NodeChange::Lost => {
                state.set_lost(self.now);
                state.clock_sample = None;
                self.forget_clock(node);
            }
            NodeChange::PushReady => {
                self.on_answering(node);
                self.on_push_ready(node);
            }
            NodeChange::PushLost => {
                state.clock_sample = None;
                let error = Error::new(ErrorCode::Unreachable, "the push connection was lost");
                self.on_push_failed(node, error);
            }
        }
    }

    /// A message on the push connection of `node`.
    pub fn handle_message(&mut self, node: NodeId, channel: &[u8], payload: &[u8], now: Time) {
        self.advance_now(now);
        let push = Push::decode(payload).filter(|_| *channel == *self.inbox);
        let (Some(push), Some(state)) = (push, self.nodes.get_mut(node.0 as usize)) else {
            self.stats.ignored += 1;
            return;
        };
        // Ahead of what the clock sample allows: the server's clock was moved.
        if state.clock_sample.is_some_and(|sample| push.now > sample.latest_server_time(self.now)) {
            state.clock_sample = None;
        }
        // Nothing but the server's own clock says how high a fence can be.
        let latest = state.clock_sample.map(|sample| sample.latest_server_time(self.now));
        match latest.map(|latest| latest.after(AHEAD)) {
            Some(highest) if push.fence.0 <= highest.0 => {
                state.min_fence = state.min_fence.max(push.fence);
            }
            Some(_) => self.stats.excessive_fences += 1,
            None => {}
        }
        self.stats.pushes += 1;
        if let Some(lock) = self.locks_by_request.get(&push.id).copied() {
            self.step::<Lock, _>(lock, true, |machine, cx| machine.on_push(&push, cx));
        } else if self.keys.is_lock(&push.state_key) && self.lifecycle != super::Lifecycle::Closed {
            // A grant that nobody here remembers would keep the others waiting.
            let lock = LockId(self.next_operation());
            self.insert(lock, LockNotes::new(node, push.state_key), true, |cx| {
                Lock::withdrawing(lock, push.id, false, cx)
            });
        }
    }

    /// The host slept or its clock jumped: every lease is unproven until the server confirms it.
    pub fn handle_clock_gap(&mut self, now: Time) {
        self.advance_now(now);
        // What is on its way was sent before the gap: its answer would prove a lease for longer
        // than it lasts.
        let mut asleep = Vec::new();
        let of_lock = |request: &Request| matches!(request.target, ReplyTarget::Lock(..));
        let sent = self.requests.iter().filter(|(_, request)| of_lock(request));
        for (request, polled) in sent.map(|(id, r)| (*id, r.polled)).collect::<Vec<_>>() {
            let failure = if polled { Failure::OutcomeUnknown } else { Failure::NotSent };
            self.fail_request(request, failure);
        }
        for (number, node) in (0..).zip(&mut self.nodes) {
            node.clock_sample = None;
            asleep.push(NodeId(number));
        }
        for node in asleep {
            self.forget_clock(node);
        }
        self.every(|_| true, Lock::on_clock_gap);
    }

    /// Time has passed: does everything that was due at `now` or before. Early, late or twice is
    /// harmless.
    ///
    /// Nothing falls due but here. A host that was held up hands in what has arrived meanwhile first,
    /// and nothing that was answered in time is taken for late.
    pub fn handle_timeout(&mut self, now: Time) {
        self.advance_now(now);
        while let Some(timer) = self.timers.pop(self.now) {
            match timer {
                Timer::Lock(lock) => self.on_due::<Lock>(lock),
                Timer::Counter(counter) => self.on_due::<Counter>(counter),
                Timer::Query(call) => self.on_query_timeout(call),
                Timer::TransactionCall(handle) => self.on_transaction_call_timeout(handle),
                Timer::Transaction(txid) => self.on_due::<Transaction>(txid),
                Timer::Recovery(txid) => self.on_due::<Recovery>(txid),
                Timer::Replication(node) => self.on_due::<Replication>(node),
                Timer::Sweep(call) => self.on_due::<Sweeper>(call),
                Timer::Clock(node) => self.on_clock_timeout(node),
                Timer::Probe(node) => self.on_probe_timeout(node),
                Timer::Subscribe(node) => self.on_subscribe_timeout(node),
                Timer::Request(request) => self.on_request_timeout(request),
                Timer::Close => {
                    self.drop_locks();
                    self.every(|_| true, Counter::give_up);
                    self.drop_transactions();
                    self.finish_closing();
                }
            }
        }
    }

    /// Moves the clock. An earlier `now` than before counts as the same moment, and one from 2^63 on
    /// as the last before.
    pub(super) fn advance_now(&mut self, now: Time) {
        self.now = self.now.max(now.min(Time::LAST));
    }

    fn on_request_timeout(&mut self, id: RequestId) {
        let now = self.now;
        let Some(request) = self.requests.get_mut(&id) else { return };
        // A host that comes late may have the answer at hand and not have read it: once more.
        let first = request.limit == request.deadline + super::DRIVER_GRACE;
        if request.polled && first && now.since(request.limit) >= LATE {
            request.limit = now + super::DRIVER_GRACE;
            self.timers.insert(request.limit, Timer::Request(id));
            return;
        }
        let (node, polled) = (request.node, request.polled);
        // What waits for nothing but our own backlog is not lost yet.
        if !polled
            && self.waits_to_leave(id)
            && let Some(until) = self.answers_until(node)
            && let Some(request) = self.requests.get_mut(&id)
        {
            request.limit = until;
            self.timers.insert(until, Timer::Request(id));
            return;
        }
        let failure = if polled { Failure::OutcomeUnknown } else { Failure::NotSent };
        self.on_reported_failure(id, failure);
        self.fail_request(id, failure);
    }

    pub(super) fn take_request(&mut self, request: RequestId) -> Option<Request> {
        let pending = self.requests.remove(&request)?;
        self.timers.remove(pending.limit, Timer::Request(request));
        Some(pending)
    }

    pub(super) fn fail_request(&mut self, request: RequestId, failure: Failure) {
        let Some(pending) = self.take_request(request) else {
            self.stats.ignored += 1;
            return;
        };
        match failure {
            Failure::NotSent => self.stats.not_sent += 1,
            Failure::OutcomeUnknown => self.stats.outcome_unknown += 1,
        }
        let Some(node) = self.nodes.get_mut(pending.node.0 as usize) else { return };
        node.set_silent(self.now);
        // One that was not given out was behind others.
        let held_up = !pending.polled || node.is_reached_since(pending.sent_at);
        let failed = node.failed(failure, held_up, pending.node);
        let input = match failed {
            Failed { error, lasting, .. } if error.code() == ErrorCode::ServerRefused => {
                Input::refused(error, !lasting)
            }
            failed => Input::Failed(failed),
        };
        self.dispatch(pending.target, pending.node, pending.background, input);
        self.release_awaiting_script(pending.node, request);
    }
}
