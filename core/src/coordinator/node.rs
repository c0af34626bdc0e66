//! What a coordinator knows of one node.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::ReplyTarget;
use super::clocks::Clock;
use super::input::MAX_REASON;
use super::outbox::Outbox;
use crate::error::{Error, ErrorCode};
use crate::lock::{ClockSample, Fence, NodeView};
use crate::machine::{Attempt, Failed};
use crate::redis::{Failure, NodeId, RequestId, Script, shown};
use crate::time::{Span, Time};

/// The waiters at a node ask at most once in the first span, all together, and each of them at least once
/// in the second.
const BEAT: (Span, Span) = (Span::from_millis(1), Span::from_secs(18));

/// Answers that take a multiple of this make heartbeats so many times rarer.
const BUSY: Span = Span::from_millis(50);

/// How long a lease handed over by push lasts until its first renewal: four round trips, at least and at
/// most these.
const HANDOFF_TTL: (Span, Span) = (Span::from_secs(2), Span::from_secs(10));

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

/// Why there is no connection to the server of a node: what its host says, or the server's own words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Unreachable {
    error: Error,
    lasting: bool,
}

/// A server that did not answer of late: of what nobody waits for one command a second is sent, and the
/// rest when something is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Silence {
    /// When the next may be sent.
    next: Time,
    awaiting_answer: VecDeque<ReplyTarget>,
}

/// Why a command was not sent to a server that answers.
const HELD_UP: &str = "the command was not sent in time: too many commands wait for the server, or this \
                       process was busy";

const AWAY: &str = "the server could not be reached";

const PROBE: Span = Span::from_secs(1);

/// Whether a server has a script.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ScriptState {
    /// Until it answers otherwise.
    Assumed,
    /// It has answered that it has not: the next command brings the text.
    Missing,
    /// This request brings it; the others wait for its end.
    Loading { by: RequestId, awaiting_script: Vec<ReplyTarget> },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    /// Where a push can reach its waiters.
    inbox: Option<Arc<[u8]>>,
    pub(super) outbox: Outbox,
    pub(super) clock_sample: Option<ClockSample>,
    pub(super) min_fence: Fence,
    pub(super) push: Push,
    pub(super) push_failures: u32,
    /// A grant could not be published: `PushUnavailable` is emitted once.
    pub(super) publish_denied: bool,
    pub(super) clock: Clock,
    unreachable: Option<Unreachable>,
    /// When it last answered anything.
    heard: Option<Time>,
    /// When a connection to it was last lost.
    lost_at: Option<Time>,
    /// Since when it does not answer, and why, as of the `NodeDown` that was emitted.
    outage: Option<(Time, String)>,
    /// When something came to nothing first since it was reached, and it is not known whose doing that
    /// was.
    suspected_at: Option<Time>,
    /// When it was last connected to, or answered.
    reached_at: Option<Time>,
    /// How many lock requests wait in queues here.
    pub(super) waiting: u64,
    /// How long an answer took of late.
    pub(super) trip: Span,
    silence: Option<Silence>,
    /// When its timer goes off, if it has one.
    pub(super) probe_scheduled_at: Option<Time>,
    pub(super) scripts: [ScriptState; Script::ALL.len()],
    /// The last request before the server was known to have this client's stamp.
    pub(super) stamped: RequestId,
}

impl Node {
    pub(super) fn new(inbox: Option<Arc<[u8]>>) -> Self {
        Self {
            inbox,
            outbox: Outbox::default(),
            clock_sample: None,
            min_fence: Fence(0),
            push: Push::Off,
            push_failures: 0,
            publish_denied: false,
            clock: Clock::Unknown,
            unreachable: None,
            heard: None,
            lost_at: None,
            outage: None,
            suspected_at: None,
            reached_at: None,
            waiting: 0,
            trip: Span::ZERO,
            silence: None,
            probe_scheduled_at: None,
            scripts: [const { ScriptState::Assumed }; Script::ALL.len()],
            stamped: RequestId(0),
        }
    }

    /// It cannot be reached, for this reason. Gives it as messages repeat it.
    pub(super) fn set_unreachable(&mut self, reason: &str, lasting: bool) -> String {
        let reason = shown(reason, MAX_REASON);
        let error = Error::new(ErrorCode::Unreachable, format!("{AWAY}: {reason}"));
        self.unreachable = Some(Unreachable { error, lasting });
        reason
    }

    /// It refuses connections, in the words of this error.
    pub(super) fn set_refusing(&mut self, error: Error, lasting: bool) {
        self.unreachable = Some(Unreachable { error, lasting });
    }

    /// Whether it is known why there is no connection.
    pub(super) const fn is_explained(&self) -> bool {
        self.unreachable.is_some()
    }

    /// A connection to it was lost.
    pub(super) const fn set_lost(&mut self, now: Time) {
        self.lost_at = Some(now);
    }

    /// Whether there is a connection, as far as can be known, on which it answers: it has within
    /// `timeout`, and since one was lost.
    pub(super) fn is_answering(&self, timeout: Span, now: Time) -> bool {
        self.answers_until(timeout, now).is_some() && self.heard > self.lost_at
    }

    /// It was reached.
    pub(super) fn set_reached(&mut self, now: Time) {
        (self.unreachable, self.suspected_at) = (None, None);
        self.reached_at = Some(now);
    }

    /// It has answered. Gives the targets that awaited that.
    pub(super) fn set_heard(&mut self, now: Time) -> VecDeque<ReplyTarget> {
        self.heard = Some(now);
        self.set_reached(now);
        self.silence.take().map(|silence| silence.awaiting_answer).unwrap_or_default()
    }

    /// Until when it counts as one that answers, if it does: for `timeout` after its last answer.
    pub(super) fn answers_until(&self, timeout: Span, now: Time) -> Option<Time> {
        self.heard.map(|heard| heard + timeout).filter(|until| *until > now)
    }

    /// Whether it has answered anything at `since` or later.
    pub(super) fn is_heard_since(&self, since: Time) -> bool {
        self.heard.is_some_and(|at| at >= since)
    }

    /// Whether it was reached at `since` or later.
    pub(super) fn is_reached_since(&self, since: Time) -> bool {
        self.reached_at.is_some_and(|at| at >= since)
    }

    /// What was sent at `sent_at` came to nothing. Whether something that was sent before it had, too.
    pub(super) fn suspect(&mut self, sent_at: Time, now: Time) -> bool {
        sent_at > *self.suspected_at.get_or_insert(now)
    }

    /// A sign of an outage. Whether it is the first.
    pub(super) fn begin_outage(&mut self, error: &Error, now: Time) -> bool {
        let first = self.outage.is_none();
        // That nothing was sent is no reason for that.
        let reason = if error.code() == ErrorCode::NoAnswer { error.message() } else { "" };
        self.outage.get_or_insert_with(|| (now, reason.into()));
        first
    }

    /// It has answered. Gives the moment since which it had not, if a `NodeDown` was emitted.
    pub(super) fn end_outage(&mut self) -> Option<Time> {
        self.outage.take().map(|(since, _)| since)
    }

    /// It has not answered.
    pub(super) fn set_silent(&mut self, now: Time) {
        let begun = || Silence { next: now + PROBE, awaiting_answer: VecDeque::new() };
        self.silence.get_or_insert_with(begun);
    }

    /// Whether it has failed to answer since it last answered.
    pub(super) const fn is_silent(&self) -> bool {
        self.silence.is_some()
    }

    /// Whether a command that nobody waits for may be sent now; if not, its target awaits an answer.
    pub(super) fn admits(&mut self, target: ReplyTarget, now: Time) -> bool {
        let Some(silence) = &mut self.silence else { return true };
        if now < silence.next {
            silence.awaiting_answer.push_back(target);
            return false;
        }
        silence.next = now + PROBE;
        true
    }

    /// When one of the targets that await an answer is sent again, to find out whether the server answers.
    pub(super) fn probe_due(&self) -> Option<Time> {
        let silence =
            self.silence.as_ref().filter(|silence| !silence.awaiting_answer.is_empty())?;
        Some(silence.next)
    }

    /// The next target that awaits an answer, to be sent again.
    pub(super) fn release_one(&mut self) -> Option<ReplyTarget> {
        self.silence.as_mut()?.awaiting_answer.pop_front()
    }

    /// The failure of a command without an answer. `held_up`: nothing but what the host had to do
    /// besides kept it from being sent, unless the server is away.
    pub(super) fn failed(&self, failure: Failure, held_up: bool, node: NodeId) -> Failed {
        let silent = "the server did not answer in time";
        let outage = self.outage.as_ref().filter(|(since, _)| !self.is_reached_since(*since));
        let silence = outage.map(|(_, reason)| reason).filter(|reason| !reason.is_empty());
        let unreachable = |why: &str| Error::new(ErrorCode::Unreachable, why);
        let error = match (failure, &self.unreachable, silence) {
            (Failure::OutcomeUnknown, ..) => Error::new(ErrorCode::NoAnswer, silent),
            (Failure::NotSent, Some(known), _) => known.error.clone(),
            (Failure::NotSent, None, Some(reason)) => unreachable(&format!("{AWAY}: {reason}")),
            (Failure::NotSent, None, None) => unreachable(if held_up { HELD_UP } else { AWAY }),
        };
        let lasting = failure == Failure::NotSent
            && self.unreachable.as_ref().is_some_and(|unreachable| unreachable.lasting);
        Failed { failure, error: error.at(node), lasting }
    }

    pub(super) fn is_push_ready(&self) -> bool {
        self.push == Push::Ready
    }

    /// An answer has come `trip` after its command was rendered: a backlog of the host counts.
    pub(super) fn took(&mut self, trip: Span) {
        self.trip = trip.max(self.trip.part(7, 8));
    }

    /// How often each of its waiters asks. Where answers take long, they are less of what is asked.
    fn beat(&self) -> Span {
        let slower = (self.trip.as_micros() / BUSY.as_micros()).max(1);
        BEAT.0.part(self.waiting.saturating_mul(slower), 1)
    }

    /// What one of its locks has to know of it.
    pub(super) fn view(&self, unsent: Option<Attempt>) -> NodeView {
        NodeView {
            clock_sample: self.clock_sample,
            push_ready: self.is_push_ready(),
            min_fence: self.min_fence,
            inbox: self.inbox.clone(),
            handoff_ttl: HANDOFF_TTL.0.max(self.trip.part(4, 1)).min(HANDOFF_TTL.1),
            beat: self.beat().min(BEAT.1),
            trip: self.trip,
            unsent,
        }
    }
}
