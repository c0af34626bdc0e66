//! The client side of one lock request: the states of `lock/mod.rs`, moved by answers, failures,
//! pushes, time and the user's verbs.

use alloc::sync::Arc;
use alloc::vec::Vec;

mod answer;
mod send;

use send::POLL;

use super::lease::ClockSample;
use super::{Answer, Fence, Id, LockId, LockOptions, Op, Push};
use crate::error::Error;
use crate::event::Event;
use crate::machine::{Attempt, Failed, Machine, Outcome, Outgoing, Refused};
use crate::redis::{Failure, readable};
use crate::time::{Span, Time};

pub(crate) type Cx<'a> = crate::machine::Cx<'a, Effect, NodeView>;

/// What a machine has to know of its node.
#[derive(Default)]
pub(crate) struct NodeView {
    pub(crate) clock_sample: Option<ClockSample>,
    /// Whether the node's push connection is subscribed.
    pub(crate) push_ready: bool,
    /// The highest fence seen on the node.
    pub(crate) min_fence: Fence,
    /// Where a push can reach it.
    pub(crate) inbox: Option<Arc<[u8]>>,
    /// How long a lease handed over by push is to last until its first renewal.
    pub(crate) handoff_ttl: Span,
    /// How often a waiter may ask at most, by the number of those that wait.
    pub(crate) beat: Span,
    /// How long an answer took of late.
    pub(crate) trip: Span,
    /// Its attempt to acquire that has not left yet.
    pub(crate) unsent: Option<Attempt>,
}

/// What a machine wants done.
pub(crate) enum Effect {
    Send(Outgoing<Op>),
    Event(Event),
    /// The acquisition that has not left is not to leave.
    Unsend,
    /// Somebody waits: open the push connection.
    WantPush,
    /// Withdraw this id in the background.
    Withdraw {
        id: Id,
        granted: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Lease {
    fence: Fence,
    valid_until: Time,
    granted_at: Time,
    /// `valid_until` has passed, and a renewal that may have come in time is not answered yet.
    overdue: bool,
}

/// A renewal that the user waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Extension {
    /// When it has failed.
    limit: Time,
    /// The first attempt that was made for it: an answer to an earlier one says nothing of it.
    since: Attempt,
    /// How long a lease lasted before it.
    ttl: Span,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Acquiring,
    Waiting,
    Confirming,
    Held(Lease),
    Renewing(Lease),
    Unverified(Lease),
    Releasing { valid_until: Time, repeated: bool },
    Ending { granted: bool, until: Time },
    Done,
}

/// What an attempt asked for, so that its answer is not taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Acquire,
    Renew,
    /// Release or cancel.
    Withdraw,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sent {
    attempt: Attempt,
    asked: Asked,
}

/// Since when a server has not answered, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Outage {
    since: Time,
    error: Option<Error>,
}

/// One lock request of this client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lock {
    lock: LockId,
    name: Vec<u8>,
    id: Id,
    options: LockOptions,
    state: State,
    ticket: u64,
    /// Its request has stood in the queue: from then on only its own wait bounds it.
    has_queued: bool,
    /// When the user stops waiting.
    wait_until: Option<Time>,
    /// When to send next.
    next_send_at: Option<Time>,
    sent: Vec<Sent>,
    attempts: Attempt,
    /// An acquisition under this id may still be on its way to the server.
    maybe_in_flight: bool,
    /// How many attempts under this id may have been executed.
    sends: u32,
    /// The label of the holder in the way, as last heard.
    holder: Vec<u8>,
    outage: Option<Outage>,
    extension: Option<Extension>,
    failures: u32,
    polls: u32,
}

impl Lock {
    pub(crate) fn new(lock: LockId, name: &[u8], options: LockOptions, cx: &mut Cx<'_>) -> Self {
        let wait = options.wait.filter(|wait| *wait > Span::ZERO);
        let mut machine = Self::idle(lock, Id::from_bits(cx.entropy.bits128()), options);
        machine.name = name.to_vec();
        machine.wait_until = wait.map(|wait| cx.now + wait);
        machine.acquire(cx);
        machine
    }

    /// A machine that only withdraws an id, in the background.
    pub(crate) fn withdrawing(lock: LockId, id: Id, granted: bool, cx: &mut Cx<'_>) -> Self {
        let mut machine = Self::idle(lock, id, LockOptions::default());
        (machine.maybe_in_flight, machine.sends) = (true, 1);
        machine.end(granted, cx);
        machine
    }

    const fn idle(lock: LockId, id: Id, options: LockOptions) -> Self {
        Self {
            lock,
            name: Vec::new(),
            id,
            options,
            state: State::Acquiring,
            ticket: 0,
            has_queued: false,
            wait_until: None,
            next_send_at: None,
            sent: Vec::new(),
            attempts: 0,
            maybe_in_flight: false,
            sends: 0,
            holder: Vec::new(),
            outage: None,
            extension: None,
            failures: 0,
            polls: 0,
        }
    }

    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    pub(crate) const fn id(&self) -> Id {
        self.id
    }

    /// Whether the user still has to do with it.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.state, State::Ending { .. } | State::Done)
    }

    /// Whether the user waits for a grant.
    pub(crate) const fn is_wanted(&self) -> bool {
        matches!(self.state, State::Acquiring | State::Waiting | State::Confirming)
    }

    /// Its number, if the user waits for the answer to a release.
    pub(crate) const fn releasing(&self) -> Option<LockId> {
        match self.state {
            State::Releasing { .. } => Some(self.lock),
            _ => None,
        }
    }

    /// Whether its user waits for more than one answer.
    pub(crate) fn is_patient(&self) -> bool {
        self.options.wait != Some(Span::ZERO)
    }

    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    pub(crate) fn is_held(&self, now: Time) -> bool {
        matches!(&self.state, State::Held(lease) | State::Renewing(lease) if now < lease.valid_until)
    }

    pub(crate) const fn valid_until(&self) -> Option<Time> {
        match &self.state {
            State::Held(lease) | State::Renewing(lease) => Some(lease.valid_until),
            _ => None,
        }
    }

    const fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Held(lease) | State::Renewing(lease) | State::Unverified(lease) => Some(lease),
            _ => None,
        }
    }

    // The user's verbs.

    pub(crate) fn release(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.expire(cx) {
            return true;
        }
        // The answer says whether an overdue lease had ended by now.
        let Some(lease) = self.lease() else { return false };
        self.state = State::Releasing { valid_until: lease.valid_until, repeated: false };
        (self.outage, self.extension) = (None, None);
        self.withdraw(true, cx);
        true
    }

    pub(crate) fn cancel(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Ending { .. } | State::Done => {}
            State::Acquiring | State::Waiting => self.end(false, cx),
            _ => self.end(true, cx),
        }
    }

    /// Renews at once, with a new length if one is given.
    pub(crate) fn renew_now(&mut self, ttl: Option<Span>, cx: &mut Cx<'_>) -> bool {
        if self.expire(cx) {
            return true;
        }
        match &self.state {
            State::Held(lease) | State::Renewing(lease) => {
                self.state = State::Renewing(lease.clone());
            }
            // The answer proves it, as that of the renewal on its way would.
            State::Unverified(_) => {}
            _ => return false,
        }
        let (limit, since) = (cx.now + cx.timeout, self.attempts + 1);
        let waits = Extension { limit, since, ttl: self.options.ttl };
        self.extension.get_or_insert(waits).since = since;
        self.outage = None;
        self.options.ttl = ttl.unwrap_or(self.options.ttl);
        self.renew(cx);
        true
    }

    // Time.

    /// Ends a lease that is over; whether it did. One whose renewal is not answered is in doubt until it
    /// is: a host that was busy elsewhere may have the answer at hand and not have read it.
    pub(super) fn expire(&mut self, cx: &mut Cx<'_>) -> bool {
        let in_doubt = self.sent.iter().any(|sent| sent.asked == Asked::Renew);
        let (State::Held(lease) | State::Renewing(lease) | State::Unverified(lease)) =
            &mut self.state
        else {
            return false;
        };
        if cx.now < lease.valid_until {
            return false;
        }
        if in_doubt {
            (lease.overdue, self.next_send_at) = (true, None);
            return false;
        }
        self.lose("it was not renewed in time", cx);
        self.end(true, cx);
        true
    }

    /// Sends what the state is waiting for: again, or for the first time.
    fn send_again(&mut self, cx: &mut Cx<'_>) {
        match self.state.clone() {
            State::Acquiring | State::Waiting => self.acquire(cx),
            State::Held(lease) | State::Renewing(lease) => {
                self.state = State::Renewing(lease);
                self.renew(cx);
            }
            State::Confirming | State::Unverified(_) => self.renew(cx),
            State::Releasing { valid_until, .. } => {
                self.state = State::Releasing { valid_until, repeated: true };
                self.withdraw(true, cx);
            }
            State::Ending { granted, .. } => self.withdraw(granted, cx),
            State::Done => {}
        }
    }

    pub(crate) fn on_clock_gap(&mut self, cx: &mut Cx<'_>) {
        if let State::Held(lease) | State::Renewing(lease) = &self.state {
            self.state = State::Unverified(lease.clone());
            self.renew(cx);
        }
    }

    // Pushes.

    pub(crate) fn on_push_ready(&mut self, cx: &mut Cx<'_>) {
        if self.state == State::Waiting {
            self.acquire(cx);
        }
    }

    pub(crate) fn on_push_lost(&mut self, cx: &mut Cx<'_>) {
        if self.state == State::Waiting {
            self.polls = 0;
            self.next_send_at = Some(cx.now + cx.entropy.jitter(POLL.0));
        }
    }

    pub(crate) fn on_push(&mut self, push: &Push, cx: &mut Cx<'_>) {
        if !matches!(self.state, State::Acquiring | State::Waiting) {
            return;
        }
        let valid_until =
            cx.node.clock_sample.map(|clock_sample| clock_sample.valid_until(push.expiry));
        // A hand-off that could end before its renewal arrives is not held before that is answered.
        match valid_until.filter(|until| *until > cx.now + cx.node.trip) {
            Some(valid_until) => {
                self.granted(push.fence, valid_until, cx);
                // The hand-off is short: the first renewal makes the lease full.
                self.send_again(cx);
            }
            None => {
                self.state = State::Confirming;
                self.renew(cx);
            }
        }
    }
}

impl Machine for Lock {
    type Answer = Answer;
    type Effect = Effect;
    type Node = NodeView;

    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn deadline(&self) -> Option<Time> {
        let own = match &self.state {
            State::Acquiring | State::Waiting | State::Confirming => self.wait_until,
            State::Held(lease) | State::Renewing(lease) | State::Unverified(lease) => {
                let ends = (!lease.overdue).then_some(lease.valid_until);
                let limit = self.extension.map(|extension| extension.limit);
                ends.into_iter().chain(limit).min()
            }
            State::Releasing { .. } => None,
            State::Ending { until, .. } => Some(*until),
            State::Done => return None,
        };
        [own, self.next_send_at].into_iter().flatten().min()
    }

    fn on_outcome(&mut self, attempt: Attempt, outcome: Outcome<Answer>, cx: &mut Cx<'_>) {
        let Some(place) = self.sent.iter().position(|sent| sent.attempt == attempt) else { return };
        let sent = self.sent.remove(place);
        match outcome {
            Outcome::Answered(answer, sent_at) => {
                (self.outage, self.failures) = (None, 0);
                let more = answer.more;
                self.on_answer(&sent, answer.kind, sent_at, cx);
                match self.state {
                    _ if !more => {}
                    State::Done => {
                        cx.effects.push(Effect::Withdraw { id: self.id, granted: true });
                    }
                    _ => self.next_send_at = Some(cx.now),
                }
            }
            Outcome::Failed(Failed { failure, error, lasting }) => {
                match failure {
                    Failure::NotSent => self.sends = self.sends.saturating_sub(1),
                    Failure::OutcomeUnknown => self.maybe_in_flight |= sent.asked == Asked::Acquire,
                }
                let error = error.about(format_args!("lock '{}'", readable(&self.name)));
                self.on_failure(&sent, error, !lasting || self.waits_on(), cx);
            }
            Outcome::Refused(Refused { error, transient, passes, executed, .. }) => {
                match executed {
                    false => self.sends = self.sends.saturating_sub(1),
                    true => self.maybe_in_flight |= sent.asked == Asked::Acquire,
                }
                self.on_failure(&sent, error, transient || (passes && self.waits_on()), cx);
            }
        }
        if self.expire(cx) {
            return;
        }
        // An answer that says nothing to this state must not leave it without a next step.
        let steps = self.next_send_at.is_some() || !self.sent.is_empty();
        if !steps && !self.is_done() && self.lease().is_none() {
            self.next_send_at = Some(cx.now + self.backoff(cx));
        }
    }

    fn on_script_missing(&mut self, attempt: Attempt, cx: &mut Cx<'_>) {
        if let Some(place) = self.sent.iter().position(|sent| sent.attempt == attempt) {
            self.sent.remove(place);
            self.sends = self.sends.saturating_sub(1);
            match self.state {
                // Not a repetition: nothing has been executed yet.
                State::Releasing { .. } => self.withdraw(true, cx),
                _ => self.send_again(cx),
            }
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.expire(cx) {
            return;
        }
        match &self.state {
            State::Acquiring | State::Waiting | State::Confirming
                if self.wait_until.is_some_and(|until| cx.now >= until) =>
            {
                let outage = self.outage.as_ref().and_then(|outage| outage.error.clone());
                let error = outage.unwrap_or_else(|| match self.state {
                    State::Acquiring if !self.has_queued => self.unanswered(),
                    _ => self.timed_out(),
                });
                let granted = matches!(self.state, State::Confirming);
                self.fail(error, cx);
                self.end(granted, cx);
                return;
            }
            State::Ending { until, .. } if cx.now >= *until => {
                self.state = State::Done;
                return;
            }
            State::Held(_) | State::Renewing(_) | State::Unverified(_)
                if self.extension.is_some_and(|extension| cx.now >= extension.limit) =>
            {
                self.not_renewed_in_time(cx);
            }
            _ => {}
        }
        if self.next_send_at.is_some_and(|next_send_at| cx.now >= next_send_at) {
            self.next_send_at = None;
            self.send_again(cx);
        }
    }
}
