//! The client side of one lock request: the states of `mod.rs`, moved by answers, failures,
//! pushes, time and the user's verbs.

use alloc::format;
use alloc::vec::Vec;

use super::lease::Anchor;
use super::{Acquire, Answer, Body, Fence, Id, LockId, LockOptions, Op, Push, Why};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::keyspace::ServerTime;
use crate::redis::{Failure, readable};
use crate::time::{Span, Time};

/// A lease handed over by push lasts this long until its first renewal, well above four round trips.
const CLAIM: Span = Span::from_secs(2);
/// A waiter that is silent for this long is passed over.
const LIVE: Span = Span::from_secs(10);
/// How often a waiter asks where no push can reach it: at first, and in the end.
const POLL: (Span, Span) = (Span::from_millis(50), Span::from_millis(500));
/// The first pause after a failure, doubled each time up to the second.
const BACKOFF: (Span, Span) = (Span::from_millis(20), Span::from_millis(500));
/// How long an id is taken back in the background. By then its last straggler is dead: no driver
/// may keep a command for longer.
const ENDING: Span = Span::from_secs(60);
/// Waiters this near to the head also ask when the holder's lease should end.
const NEAR: u64 = 3;

/// One transmission of an operation of one lock; counts up.
pub(crate) type Attempt = u32;

/// What a machine works with during one input.
pub(crate) struct Cx<'a> {
    pub(crate) now: Time,
    pub(crate) entropy: &'a mut Entropy,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) anchor: Option<Anchor>,
    /// Whether the node's push connection is subscribed.
    pub(crate) push_ready: bool,
    /// The highest fence seen on the node.
    pub(crate) floor: Fence,
    pub(crate) inbox: &'a [u8],
    /// How long a server may be out of reach before the user is told.
    pub(crate) timeout: Span,
    /// How long one command may take.
    pub(crate) request_timeout: Span,
    /// Whether what is sent now answers a call of the user, or the clock.
    pub(crate) background: bool,
}

/// What a machine wants done.
pub(crate) enum Effect {
    Send {
        attempt: Attempt,
        op: Op,
        deadline: Time,
        background: bool,
    },
    Event(Event),
    /// Somebody waits: open the push connection.
    WantPush,
    /// Take this id back in the background.
    TakeBack {
        id: Id,
        granted: bool,
    },
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Answered {
        answer: Answer,
        sent_at: Time,
    },
    Failed(Failure),
    /// The server refused to execute it. Whether to try again may change by itself.
    Refused {
        error: Error,
        transient: bool,
        executed: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Lease {
    fence: Fence,
    valid_until: Time,
    granted_at: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Acquiring,
    Waiting,
    Claiming,
    Held(Lease),
    Renewing(Lease),
    Unproven(Lease),
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
    TakeBack,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sent {
    attempt: Attempt,
    asked: Asked,
}

/// Since when a server has not answered, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Trouble {
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
    /// When the user stops waiting.
    wait_until: Option<Time>,
    /// When to send next.
    wake: Option<Time>,
    sent: Vec<Sent>,
    attempts: Attempt,
    /// An acquisition under this id may still be on its way to the server.
    unclean: bool,
    /// Something under this id may have been executed.
    known_to_server: bool,
    trouble: Option<Trouble>,
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

    /// A machine that only takes back an id, in the background.
    pub(crate) fn taking_back(lock: LockId, id: Id, granted: bool, cx: &mut Cx<'_>) -> Self {
        let mut machine = Self::idle(lock, id, LockOptions::default());
        (machine.unclean, machine.known_to_server) = (true, true);
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
            wait_until: None,
            wake: None,
            sent: Vec::new(),
            attempts: 0,
            unclean: false,
            known_to_server: false,
            trouble: None,
            failures: 0,
            polls: 0,
        }
    }

    pub(crate) const fn id(&self) -> Id {
        self.id
    }

    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether the user still has to do with it.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.state, State::Ending { .. } | State::Done)
    }

    /// Whether the user waits for a grant or for the answer to a release.
    pub(crate) const fn is_pending(&self) -> bool {
        !self.is_over() && self.lease().is_none()
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
            State::Held(lease) | State::Renewing(lease) | State::Unproven(lease) => Some(lease),
            _ => None,
        }
    }

    /// The moment at which `handle_timeout` has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let own = match &self.state {
            State::Acquiring | State::Waiting | State::Claiming => self.wait_until,
            State::Held(lease) | State::Renewing(lease) | State::Unproven(lease) => {
                Some(lease.valid_until)
            }
            State::Releasing { .. } => None,
            State::Ending { until, .. } => Some(*until),
            State::Done => return None,
        };
        [own, self.wake].into_iter().flatten().min()
    }

    // What goes out.

    fn send(&mut self, op: Op, cx: &mut Cx<'_>) {
        self.attempts += 1;
        self.wake = None;
        self.known_to_server = true;
        let trouble = self.trouble.get_or_insert(Trouble { since: cx.now, error: None });
        let limit = trouble.since + cx.timeout;
        let mut deadline = cx.now + cx.request_timeout;
        if let Some(lease) = self.lease() {
            deadline = deadline.min(lease.valid_until);
        } else if !self.is_over() {
            deadline = deadline.min(limit).max(cx.now + BACKOFF.0);
        }
        let asked = match op {
            Op::Acquire(_) => Asked::Acquire,
            Op::Renew { .. } => Asked::Renew,
            Op::Release { .. } | Op::Cancel { .. } | Op::Inspect => Asked::TakeBack,
        };
        self.sent.push(Sent { attempt: self.attempts, asked });
        let background = cx.background;
        cx.effects.push(Effect::Send { attempt: self.attempts, op, deadline, background });
    }

    fn acquire(&mut self, cx: &mut Cx<'_>) {
        let not_after = cx
            .anchor
            .map_or(ServerTime(0), |anchor| anchor.latest_server_time(cx.now + cx.request_timeout));
        let op = Op::Acquire(Acquire {
            id: self.id,
            capacity: 1,
            weight: 1,
            ttl: self.options.ttl,
            claim: CLAIM,
            live: LIVE,
            wait: self.options.wait != Some(Span::ZERO),
            ticket: self.ticket,
            inbox: cx.inbox.to_vec(),
            floor: cx.floor,
            not_after,
            label: self.options.label.clone(),
        });
        self.send(op, cx);
    }

    fn renew(&mut self, cx: &mut Cx<'_>) {
        self.send(Op::Renew { id: self.id, ttl: self.options.ttl }, cx);
    }

    fn is_clean(&self) -> bool {
        !self.unclean && !self.sent.iter().any(|sent| sent.asked == Asked::Acquire)
    }

    fn take_back(&mut self, granted: bool, cx: &mut Cx<'_>) {
        let (id, clean) = (self.id, self.is_clean());
        let op = if granted { Op::Release { id, clean } } else { Op::Cancel { id, clean } };
        self.send(op, cx);
    }

    // Ends.

    /// Leaves the rest to the background: until the server has answered, the id may hold the lock.
    fn end(&mut self, granted: bool, cx: &mut Cx<'_>) {
        self.trouble = None;
        if !self.known_to_server {
            self.state = State::Done;
            return;
        }
        self.state = State::Ending { granted, until: cx.now + ENDING };
        cx.background = true;
        self.take_back(granted, cx);
    }

    /// The server has said that the id is over; only a straggler could bring it back.
    fn end_if_unclean(&mut self, cx: &mut Cx<'_>) {
        if self.is_clean() {
            self.state = State::Done;
        } else {
            self.end(false, cx);
        }
    }

    fn fail(&mut self, error: Error, holder: Option<Vec<u8>>, cx: &mut Cx<'_>) {
        cx.effects.push(Effect::Event(Event::LockFailed { lock: self.lock, error, holder }));
    }

    fn lose(&mut self, why: &str, cx: &mut Cx<'_>) {
        let error = Error::new(
            ErrorCode::LockLost,
            format!("the lease of lock '{}' has ended: {why}", readable(&self.name)),
        );
        cx.effects.push(Effect::Event(Event::LockLost { lock: self.lock, error }));
    }

    /// A new request in place of one that cannot be granted any more, within the same wait.
    fn restart(&mut self, cx: &mut Cx<'_>) {
        if !self.is_clean() {
            cx.effects.push(Effect::TakeBack { id: self.id, granted: false });
        }
        self.id = Id::from_bits(cx.entropy.bits128());
        self.state = State::Acquiring;
        (self.ticket, self.unclean, self.known_to_server) = (0, false, false);
        self.sent.clear();
        self.failures += 1;
        self.wake = Some(cx.now + self.backoff(cx));
    }

    fn backoff(&self, cx: &mut Cx<'_>) -> Span {
        let doubled = BACKOFF.0.as_micros() << self.failures.saturating_sub(1).min(10);
        let pause = Span::from_micros(doubled).min(BACKOFF.1);
        pause.part(1, 2) + cx.entropy.jitter(pause.part(1, 2))
    }

    // The user's verbs.

    pub(crate) fn release(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some(lease) = self.lease() else { return false };
        self.state = State::Releasing { valid_until: lease.valid_until, repeated: false };
        self.trouble = None;
        self.take_back(true, cx);
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
        let (State::Held(lease) | State::Renewing(lease)) = &self.state else { return false };
        self.state = State::Renewing(lease.clone());
        self.options.ttl = ttl.unwrap_or(self.options.ttl);
        self.renew(cx);
        true
    }

    // Time.

    pub(crate) fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        if let Some(lease) = self.lease()
            && cx.now >= lease.valid_until
        {
            self.lose("it was not renewed in time", cx);
            self.end(true, cx);
            return;
        }
        match &self.state {
            State::Acquiring | State::Waiting | State::Claiming
                if self.wait_until.is_some_and(|until| cx.now >= until) =>
            {
                let trouble = self.trouble.as_ref().and_then(|trouble| trouble.error.clone());
                let error = trouble.unwrap_or_else(|| self.timed_out(&[]));
                let granted = matches!(self.state, State::Claiming);
                self.fail(error, None, cx);
                self.end(granted, cx);
                return;
            }
            State::Ending { until, .. } if cx.now >= *until => {
                self.state = State::Done;
                return;
            }
            _ => {}
        }
        if self.wake.is_some_and(|wake| cx.now >= wake) {
            self.wake = None;
            self.send_again(cx);
        }
    }

    /// Sends what the state is waiting for: again, or for the first time.
    fn send_again(&mut self, cx: &mut Cx<'_>) {
        match self.state.clone() {
            State::Acquiring | State::Waiting => self.acquire(cx),
            State::Held(lease) | State::Renewing(lease) => {
                self.state = State::Renewing(lease);
                self.renew(cx);
            }
            State::Claiming | State::Unproven(_) => self.renew(cx),
            State::Releasing { valid_until, .. } => {
                self.state = State::Releasing { valid_until, repeated: true };
                self.take_back(true, cx);
            }
            State::Ending { granted, .. } => self.take_back(granted, cx),
            State::Done => {}
        }
    }

    pub(crate) fn on_clock_gap(&mut self, cx: &mut Cx<'_>) {
        if let State::Held(lease) | State::Renewing(lease) = &self.state {
            self.state = State::Unproven(lease.clone());
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
            self.wake = Some(cx.now + cx.entropy.jitter(POLL.0));
        }
    }

    pub(crate) fn on_push(&mut self, push: &Push, cx: &mut Cx<'_>) {
        if !matches!(self.state, State::Acquiring | State::Waiting) {
            return;
        }
        let valid_until = cx.anchor.map(|anchor| anchor.valid_until(push.expiry));
        match valid_until.filter(|until| *until > cx.now) {
            Some(valid_until) => {
                self.granted(push.fence, valid_until, cx);
                // The claim is short: the first renewal makes the lease full.
                self.send_again(cx);
            }
            None => {
                self.state = State::Claiming;
                self.renew(cx);
            }
        }
    }

    // Answers and failures.

    /// What came of `attempt`; nothing if it is not one that is waited for.
    pub(crate) fn on_outcome(&mut self, attempt: Attempt, outcome: Outcome, cx: &mut Cx<'_>) {
        let Some(place) = self.sent.iter().position(|sent| sent.attempt == attempt) else { return };
        let sent = self.sent.remove(place);
        match outcome {
            Outcome::Answered { answer, sent_at } => {
                (self.trouble, self.failures) = (None, 0);
                let more = answer.more;
                self.on_answer(sent.asked, answer.body, sent_at, cx);
                match self.state {
                    _ if !more => {}
                    State::Done => {
                        cx.effects.push(Effect::TakeBack { id: self.id, granted: true });
                    }
                    _ => self.wake = Some(cx.now),
                }
            }
            Outcome::Failed(failure) => {
                if sent.asked == Asked::Acquire && failure == Failure::OutcomeUnknown {
                    self.unclean = true;
                }
                let (code, what) = match failure {
                    Failure::NotSent => (ErrorCode::Unreachable, "could not be reached"),
                    Failure::OutcomeUnknown => (ErrorCode::NoAnswer, "did not answer in time"),
                };
                let error =
                    Error::new(code, format!("lock '{}': the server {what}", readable(&self.name)));
                self.on_failure(error, true, cx);
            }
            Outcome::Refused { error, transient, executed } => {
                if sent.asked == Asked::Acquire && executed {
                    self.unclean = true;
                }
                self.on_failure(error, transient, cx);
            }
        }
        // An answer that says nothing to this state must not leave it without a next step.
        let steps = self.wake.is_some() || !self.sent.is_empty();
        if !steps && !self.is_done() && self.lease().is_none() {
            self.wake = Some(cx.now + self.backoff(cx));
        }
    }

    /// The command was not executed for want of the script: send it once more, as it should be.
    pub(crate) fn on_script_missing(&mut self, attempt: Attempt, cx: &mut Cx<'_>) {
        if let Some(place) = self.sent.iter().position(|sent| sent.attempt == attempt) {
            self.sent.remove(place);
            match self.state {
                // Not a repetition: nothing has been executed yet.
                State::Releasing { .. } => self.take_back(true, cx),
                _ => self.send_again(cx),
            }
        }
    }

    fn on_failure(&mut self, error: Error, transient: bool, cx: &mut Cx<'_>) {
        self.failures += 1;
        let lasting = error.code() != ErrorCode::WrongType;
        // Keep the words of a refusal: they say more than that a later attempt went unanswered.
        let trouble = self.trouble.get_or_insert(Trouble { since: cx.now, error: None });
        let refused = matches!(&trouble.error, Some(old) if old.code() == ErrorCode::ServerRefused);
        if !refused || error.code() == ErrorCode::ServerRefused {
            trouble.error = Some(error.clone());
        }
        let limit = trouble.since + cx.timeout;
        let wake = cx.now + self.backoff(cx);
        let give_up = !transient || wake >= limit;
        match self.state {
            State::Acquiring | State::Waiting | State::Claiming | State::Releasing { .. }
                if give_up =>
            {
                let granted = !matches!(self.state, State::Acquiring | State::Waiting);
                let error = self.trouble.take().and_then(|t| t.error).unwrap_or(error);
                if lasting || !granted {
                    self.fail(error, None, cx);
                } else {
                    self.lose("the key was overwritten with another type", cx);
                }
                self.end(granted, cx);
            }
            State::Held(_) | State::Renewing(_) | State::Unproven(_) if !lasting => {
                self.lose("the key was overwritten with another type", cx);
                self.state = State::Done;
            }
            State::Ending { .. } if !lasting => self.state = State::Done,
            State::Done => {}
            _ => self.wake = Some(self.wake.map_or(wake, |planned| planned.min(wake))),
        }
    }

    fn on_answer(&mut self, asked: Asked, body: Body, sent_at: Time, cx: &mut Cx<'_>) {
        if let Body::Layout(form) = &body {
            let message = format!(
                "lock '{}': its state has a layout '{}' that this version does not know",
                readable(&self.name),
                form.escape_ascii()
            );
            return self.on_failure(Error::new(ErrorCode::Unsupported, message), false, cx);
        }
        match self.state.clone() {
            State::Acquiring | State::Waiting => self.on_acquire_answer(body, sent_at, cx),
            State::Claiming => match body {
                Body::Renewed { fence, now, expiry } | Body::Granted { fence, now, expiry } => {
                    self.leased(fence, Anchor { sent_at, server_now: now }, expiry, cx);
                }
                Body::Lost(_) => self.restart(cx),
                Body::Queued { .. } if asked == Asked::Renew => {
                    self.state = State::Waiting;
                    self.wake = Some(cx.now);
                }
                _ => {}
            },
            State::Held(lease) | State::Renewing(lease) | State::Unproven(lease) => match body {
                Body::Renewed { now, expiry, .. } => {
                    self.renewed(
                        lease,
                        Anchor { sent_at, server_now: now }.valid_until(expiry),
                        cx,
                    );
                }
                Body::Lost(why) => self.lost(why, cx),
                // The server has forgotten the grant: it is the state of an earlier moment.
                Body::Queued { .. } if asked == Asked::Renew => self.lost(Why::Unknown, cx),
                // Anything else answers an acquisition from before the grant.
                _ => {}
            },
            State::Releasing { valid_until, repeated } if asked == Asked::TakeBack => match body {
                Body::Released => self.released(cx),
                // An earlier, unanswered release may have been the one that ended it.
                Body::Unknown { .. } if repeated && cx.now < valid_until => self.released(cx),
                Body::Unknown { .. } => self.lost(Why::Unknown, cx),
                Body::Lost(why) => self.lost(why, cx),
                _ => {}
            },
            State::Ending { .. } if asked == Asked::TakeBack => match body {
                Body::Released | Body::Cancelled | Body::WasGranted | Body::Unknown { .. } => {
                    self.state = State::Done;
                }
                Body::Lost(_) => self.end_if_unclean(cx),
                _ => {}
            },
            _ => {}
        }
    }

    fn on_acquire_answer(&mut self, body: Body, sent_at: Time, cx: &mut Cx<'_>) {
        match body {
            Body::Granted { fence, now, expiry } => {
                self.leased(fence, Anchor { sent_at, server_now: now }, expiry, cx);
            }
            Body::Queued { ticket, next, rank, holder, .. } => {
                if self.state == State::Acquiring {
                    let lock = self.lock;
                    cx.effects.push(Effect::Event(Event::LockQueued { lock, rank, holder }));
                }
                self.state = State::Waiting;
                self.ticket = ticket;
                cx.effects.push(Effect::WantPush);
                self.wake = Some(cx.now + self.heartbeat(next, rank, cx));
            }
            Body::Busy { holder, .. } => {
                let error = self.timed_out(&holder);
                self.fail(error, Some(holder), cx);
                self.end_if_unclean(cx);
            }
            Body::Gone(_) => self.restart(cx),
            Body::Capacity(capacity) => {
                let message = format!(
                    "lock '{}' is in use with capacity {capacity}, not 1",
                    readable(&self.name)
                );
                self.fail(Error::new(ErrorCode::InvalidState, message), None, cx);
                self.end_if_unclean(cx);
            }
            _ => {}
        }
    }

    fn timed_out(&self, holder: &[u8]) -> Error {
        let name = readable(&self.name);
        let who = if holder.is_empty() {
            alloc::string::String::from("held by somebody else")
        } else {
            format!("held by '{}'", readable(holder))
        };
        Error::new(ErrorCode::LockTimeout, format!("lock '{name}' was not granted in time: {who}"))
    }

    /// When to ask again while waiting.
    fn heartbeat(&mut self, next: Span, rank: u64, cx: &mut Cx<'_>) -> Span {
        let regular = if cx.push_ready {
            LIVE.part(3, 10)
        } else {
            self.polls += 1;
            Span::from_micros(POLL.0.as_micros() << self.polls.min(8)).min(POLL.1)
        };
        let regular = regular + cx.entropy.jitter(regular.part(1, 10));
        if rank >= NEAR {
            return regular;
        }
        let free = next + Span::from_millis(1 + 5 * rank) + cx.entropy.jitter(Span::from_millis(5));
        regular.min(free)
    }

    /// A grant whose end the server has just told us.
    fn leased(&mut self, fence: Fence, anchor: Anchor, expiry: ServerTime, cx: &mut Cx<'_>) {
        let valid_until = anchor.valid_until(expiry);
        if valid_until > cx.now {
            self.granted(fence, valid_until, cx);
            // A grant of an earlier moment, perhaps a short claim whose push was lost.
            if expiry.since(anchor.server_now) < self.options.ttl {
                self.send_again(cx);
            }
        } else {
            // Slept past it: give it back, and ask anew.
            cx.effects.push(Effect::TakeBack { id: self.id, granted: true });
            (self.unclean, self.sent) = (false, Vec::new());
            self.restart(cx);
        }
    }

    fn granted(&mut self, fence: Fence, valid_until: Time, cx: &mut Cx<'_>) {
        self.state = State::Held(Lease { fence, valid_until, granted_at: cx.now });
        self.plan_renewal(cx);
        cx.effects.push(Effect::Event(Event::LockGranted { lock: self.lock, fence, valid_until }));
    }

    fn renewed(&mut self, mut lease: Lease, valid_until: Time, cx: &mut Cx<'_>) {
        lease.valid_until = match self.state {
            // What was known before the gap was told by a clock that has stood still since.
            State::Unproven(_) => valid_until,
            _ => lease.valid_until.max(valid_until),
        };
        let valid_until = lease.valid_until;
        self.state = State::Held(lease);
        self.plan_renewal(cx);
        cx.effects.push(Effect::Event(Event::LockRenewed { lock: self.lock, valid_until }));
    }

    fn plan_renewal(&mut self, cx: &mut Cx<'_>) {
        let third = self.options.ttl.part(1, 3);
        let at = cx.now + (third - cx.entropy.jitter(third.part(1, 5)));
        let ends = self.lease().zip(self.options.max_hold);
        let within = ends.is_none_or(|(lease, max_hold)| at < lease.granted_at + max_hold);
        self.wake = (self.options.renew && within).then_some(at);
    }

    fn lost(&mut self, why: Why, cx: &mut Cx<'_>) {
        self.lose(
            match why {
                Why::Expired => "it expired on the server",
                Why::Finished => "it was given back",
                Why::Late | Why::Unknown => "the server knows nothing of it",
            },
            cx,
        );
        self.end_if_unclean(cx);
    }

    fn released(&mut self, cx: &mut Cx<'_>) {
        cx.effects.push(Effect::Event(Event::LockReleased { lock: self.lock }));
        self.state = State::Done;
    }
}
