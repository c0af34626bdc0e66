//! What a lock machine sends, when it sends it again, and how it ends.

use alloc::format;

use super::{Asked, Cx, Effect, Lock, Outage, Sent, State};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::keyspace::ServerTime;
use crate::lock::{Acquire, Id, Op};
use crate::machine::{Attempt, Backoff, Outgoing};
use crate::redis::readable;
use crate::time::Span;

/// A lease handed over by push lasts at least this long until its first renewal.
const HANDOFF_TTL: Span = Span::from_secs(2);
/// A waiter that is silent for this long is passed over.
const WAITER_TTL: Span = Span::from_secs(10);
/// How often a waiter asks where no push can reach it: at first, and in the end.
pub(super) const POLL: (Span, Span) = (Span::from_millis(50), Span::from_millis(500));
/// Where no push can announce a grant, a lock is handed over no more often than this.
const TURN: Span = Span::from_millis(50);
/// Between failures.
const BACKOFF: Backoff = Backoff { first: Span::from_millis(20), longest: Span::from_millis(500) };
/// How long an id is withdrawn in the background. By then no late command can be executed: no driver
/// may keep a command for longer.
const ENDING: Span = Span::from_secs(60);
/// Renewals that fall due within this span leave in one write.
const GRID: Span = Span::from_millis(50);
/// Waiters this near to the head ask more often, and when the holder's lease should end.
const NEAR: u64 = 3;

impl Lock {
    pub(super) fn send(&mut self, op: Op, cx: &mut Cx<'_>) {
        self.attempts += 1;
        self.next_send_at = None;
        self.sends += 1;
        let outage = self.outage.get_or_insert(Outage { since: cx.now, error: None });
        let limit = outage.since + cx.timeout;
        let mut deadline = cx.now + cx.request_timeout;
        if let Some(lease) = self.lease().filter(|lease| cx.now < lease.valid_until) {
            deadline = deadline.min(lease.valid_until);
            if let Some(extension) = self.extension {
                deadline = deadline.min(extension.limit).max(cx.now + BACKOFF.first);
            }
        } else if !self.is_over() && !self.waits_on() {
            deadline = deadline.min(limit).max(cx.now + BACKOFF.first);
        }
        let asked = match op {
            Op::Acquire(_) => Asked::Acquire,
            Op::Renew { .. } => Asked::Renew,
            Op::Release { .. } | Op::Cancel { .. } | Op::Inspect => Asked::Withdraw,
        };
        self.sent.push(Sent { attempt: self.attempts, asked });
        let (attempt, background) = (self.attempts, cx.background);
        cx.effects.push(Effect::Send(Outgoing { attempt, op, deadline, background }));
    }

    pub(super) fn acquire(&mut self, cx: &mut Cx<'_>) {
        let not_after = cx.node.clock_sample.map_or(ServerTime(0), |clock_sample| {
            clock_sample.latest_server_time(cx.now + cx.request_timeout)
        });
        let op = Op::Acquire(Acquire {
            id: self.id,
            capacity: 1,
            weight: 1,
            ttl: self.options.ttl,
            handoff_ttl: cx.node.handoff_ttl,
            waiter_ttl: WAITER_TTL.max(cx.node.beat.part(10, 3)),
            wait: self.options.wait != Some(Span::ZERO),
            ticket: self.ticket,
            inbox: cx.node.inbox.as_deref().unwrap_or_default().to_vec(),
            min_fence: cx.node.min_fence,
            not_after,
            label: self.options.label.clone(),
        });
        self.send(op, cx);
    }

    /// An acquisition that has not left, and waited so long for others to leave, is replaced by one as it
    /// would be asked now. That time is not the server's.
    pub(crate) fn ask_anew(&mut self, attempt: Attempt, waited: Span, cx: &mut Cx<'_>) {
        let Some(place) = self.sent.iter().position(|sent| sent.attempt == attempt) else { return };
        self.sent.remove(place);
        self.sends = self.sends.saturating_sub(1);
        if let Some(outage) = &mut self.outage {
            outage.since = outage.since + waited;
        }
        if matches!(self.state, State::Acquiring | State::Waiting) {
            self.acquire(cx);
        }
    }

    pub(super) fn renew(&mut self, cx: &mut Cx<'_>) {
        self.send(Op::Renew { id: self.id, ttl: self.options.ttl }, cx);
    }

    pub(super) fn is_clean(&self) -> bool {
        !self.maybe_in_flight && !self.sent.iter().any(|sent| sent.asked == Asked::Acquire)
    }

    pub(super) fn withdraw(&mut self, granted: bool, cx: &mut Cx<'_>) {
        let (id, clean) = (self.id, self.is_clean());
        let op = if granted { Op::Release { id, clean } } else { Op::Cancel { id, clean } };
        self.send(op, cx);
    }

    /// When to ask again while waiting.
    pub(super) fn heartbeat(&mut self, next: Span, rank: u64, cx: &mut Cx<'_>) -> Span {
        let regular = if cx.node.push_ready {
            // The first in the queue find a grant whose message was lost before its hand-off ends.
            if rank < NEAR { HANDOFF_TTL.part(3, 4) } else { WAITER_TTL.part(3, 10) }
        } else {
            self.polls += 1;
            let often = Span::from_micros(POLL.0.as_micros() << self.polls.min(8)).min(POLL.1);
            // As many have to be served first, each in no less than that.
            let turn = Span::from_micros(TURN.as_micros().saturating_mul(rank));
            if rank < NEAR { often } else { often.max(turn.min(WAITER_TTL.part(3, 10))) }
        };
        // Of many that wait here each asks less often, and is believed alive for longer; the next in line
        // not so seldom that a grant could pass unclaimed.
        let seldom =
            if rank < NEAR { cx.node.beat.min(HANDOFF_TTL.part(3, 4)) } else { cx.node.beat };
        let regular = regular.max(seldom);
        let regular = regular + cx.entropy.jitter(regular.part(1, 10));
        if rank >= NEAR {
            return regular;
        }
        let free = next + Span::from_millis(1 + 5 * rank) + cx.entropy.jitter(Span::from_millis(5));
        regular.min(free)
    }

    /// Sets the next renewal: about a third of the ttl from now, on a grid, so that the renewals of
    /// many locks leave together.
    pub(super) fn plan_renewal(&mut self, cx: &mut Cx<'_>) {
        let third = self.options.ttl.part(1, 3);
        let at = cx.now + (third - cx.entropy.jitter(third.part(1, 5)));
        let at = at.on_grid(GRID.min(third.part(1, 20)));
        let ends = self.lease().zip(self.options.max_hold);
        let within = ends.is_none_or(|(lease, max_hold)| at < lease.granted_at + max_hold);
        self.next_send_at = (self.options.renew && within).then_some(at);
    }

    // Ends.

    /// Leaves the rest to the background: until the server has answered, the id may hold the lock.
    pub(super) fn end(&mut self, granted: bool, cx: &mut Cx<'_>) {
        self.outage = None;
        let unsent =
            cx.node.unsent.filter(|attempt| self.sent.iter().any(|s| s.attempt == *attempt));
        if let Some(unsent) = unsent {
            self.sent.retain(|sent| sent.attempt != unsent);
            cx.effects.push(Effect::Unsend);
            self.sends = self.sends.saturating_sub(1);
        }
        if self.sends == 0 {
            self.state = State::Done;
            return;
        }
        self.state = State::Ending { granted, until: cx.now + ENDING };
        cx.background = true;
        self.withdraw(granted, cx);
    }

    /// The server has answered that the id is over; only a late command could bring it back.
    pub(super) fn end_unless_clean(&mut self, cx: &mut Cx<'_>) {
        if self.is_clean() {
            self.state = State::Done;
        } else {
            self.end(false, cx);
        }
    }

    pub(super) fn fail(&mut self, error: Error, cx: &mut Cx<'_>) {
        let holder = (!self.holder.is_empty()).then(|| self.holder.clone());
        let (lock, name) = (self.lock, self.name.clone());
        cx.effects.push(Effect::Event(Event::LockFailed { lock, name, error, holder }));
    }

    /// Notifies the user that the renewal has failed; the lease lasts as long as before.
    pub(super) fn not_renewed(&mut self, error: Error, cx: &mut Cx<'_>) {
        let Some(extension) = self.extension.take() else { return };
        self.options.ttl = extension.ttl;
        if !self.options.renew
            && let State::Held(lease) | State::Renewing(lease) = &self.state
        {
            (self.state, self.next_send_at) = (State::Held(lease.clone()), None);
        }
        let (lock, name) = (self.lock, self.name.clone());
        cx.effects.push(Effect::Event(Event::LockNotRenewed { lock, name, error }));
    }

    /// The same, when its time is over: what is on its way may have been executed.
    pub(super) fn not_renewed_in_time(&mut self, cx: &mut Cx<'_>) {
        let earlier = self.outage.as_mut().and_then(|outage| outage.error.take());
        let silent = || {
            Error::new(ErrorCode::NoAnswer, "the server did not answer in time")
                .about(format_args!("lock '{}'", readable(&self.name)))
        };
        let under_way = self.sent.iter().any(|sent| sent.asked == Asked::Renew);
        let error = match earlier {
            Some(error) if !under_way => error,
            earlier => silent().after(earlier),
        };
        self.not_renewed(error, cx);
    }

    pub(super) fn lose(&mut self, why: &str, cx: &mut Cx<'_>) {
        let error = Error::new(
            ErrorCode::LockLost,
            format!("the lease of lock '{}' has ended: {why}", readable(&self.name)),
        );
        let (lock, name) = (self.lock, self.name.clone());
        cx.effects.push(Effect::Event(Event::LockLost { lock, name, error }));
    }

    /// A new request in place of one that cannot be granted any more, within the same wait.
    pub(super) fn restart(&mut self, cx: &mut Cx<'_>) {
        if !self.is_clean() {
            cx.effects.push(Effect::Withdraw { id: self.id, granted: false });
        }
        self.id = Id::from_bits(cx.entropy.bits128());
        self.state = State::Acquiring;
        (self.ticket, self.maybe_in_flight, self.sends) = (0, false, 0);
        self.sent.clear();
        self.failures += 1;
        self.next_send_at = Some(cx.now + self.backoff(cx));
    }

    pub(super) fn backoff(&self, cx: &mut Cx<'_>) -> Span {
        BACKOFF.pause(self.failures, cx.entropy)
    }
}
