//! What answers and failures mean in each state.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::{Asked, Cx, Effect, Extension, Lease, Lock, Outage, Sent, State};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::keyspace::ServerTime;
use crate::lock::{AnswerKind, ClockSample, EndReason, Fence};
use crate::machine::Attempt;
use crate::redis::readable;
use crate::time::Time;

impl Lock {
    /// Whether a failure of the server does not end the wait: a queued request waits out its absence.
    pub(super) const fn waits_on(&self) -> bool {
        self.has_queued && !matches!(self.state, State::Releasing { .. })
    }

    /// What was sent is not answered before something else is done, which `error` is about: it is said
    /// if the wait ends first.
    pub(crate) fn is_held_up(&mut self, error: Error) {
        if let Some(outage) = &mut self.outage {
            outage.error.get_or_insert(error);
        }
    }

    pub(super) fn on_failure(
        &mut self,
        sent: &Sent,
        error: Error,
        transient: bool,
        cx: &mut Cx<'_>,
    ) {
        self.failures += 1;
        let elsewhere = error.code() == ErrorCode::RingMismatch;
        // What ends a lease, in words.
        let over = match error.code() {
            ErrorCode::WrongType => Some("the key was overwritten with another type".to_string()),
            ErrorCode::RingMismatch => Some(error.message().to_string()),
            _ => None,
        };
        let outage = self.outage.get_or_insert(Outage { since: cx.now, error: None });
        let error = error.after(outage.error.take());
        outage.error = Some(error.clone());
        let limit = outage.since + cx.timeout;
        let next_send_at = cx.now + self.backoff(cx);
        let give_up = !transient || (next_send_at >= limit && !self.waits_on());
        match self.state {
            State::Acquiring | State::Waiting | State::Confirming | State::Releasing { .. }
                if give_up =>
            {
                let granted = !matches!(self.state, State::Acquiring | State::Waiting);
                let error = self.outage.take().and_then(|t| t.error).unwrap_or(error);
                match over {
                    Some(why) if granted => self.lose(&why, cx),
                    _ => self.fail(error, cx),
                }
                if elsewhere {
                    // A server of another ring gives nothing back.
                    self.state = State::Done;
                } else {
                    self.end(granted, cx);
                }
            }
            State::Held(_) | State::Renewing(_) | State::Unverified(_) if over.is_some() => {
                self.lose(&over.unwrap_or_default(), cx);
                self.state = State::Done;
            }
            State::Ending { .. } if over.is_some() => self.state = State::Done,
            State::Done => {}
            _ => {
                self.next_send_at = Some(
                    self.next_send_at.map_or(next_send_at, |planned| planned.min(next_send_at)),
                );
                let failed = |extension: Extension| {
                    sent.attempt >= extension.since && !transient || next_send_at >= extension.limit
                };
                let lives = self.lease().is_some_and(|lease| cx.now < lease.valid_until);
                if lives && self.extension.is_some_and(failed) {
                    self.not_renewed(error, cx);
                }
            }
        }
    }

    pub(super) fn on_answer(
        &mut self,
        sent: &Sent,
        kind: AnswerKind,
        sent_at: Time,
        cx: &mut Cx<'_>,
    ) {
        let asked = sent.asked;
        if let AnswerKind::Layout(form) = &kind {
            let message = format!(
                "lock '{}': its state has a layout '{}' that this version does not know",
                readable(&self.name),
                form.escape_ascii()
            );
            let error = Error::new(ErrorCode::Unsupported, message);
            return self.on_failure(sent, error, false, cx);
        }
        match self.state.clone() {
            State::Acquiring | State::Waiting => self.on_acquire_answer(kind, sent_at, cx),
            State::Confirming => match kind {
                AnswerKind::Renewed { fence, now, expiry }
                | AnswerKind::Granted { fence, now, expiry } => {
                    self.leased(fence, ClockSample { sent_at, server_now: now }, expiry, cx);
                }
                AnswerKind::Lost(_) => self.restart(cx),
                AnswerKind::Queued { .. } if asked == Asked::Renew => {
                    self.state = State::Waiting;
                    self.next_send_at = Some(cx.now);
                }
                _ => {}
            },
            State::Held(lease) | State::Renewing(lease) | State::Unverified(lease) => match kind {
                AnswerKind::Renewed { now, expiry, .. } => {
                    let valid_until = ClockSample { sent_at, server_now: now }.valid_until(expiry);
                    self.renewed(lease, sent.attempt, valid_until, cx);
                }
                AnswerKind::Lost(why) => self.lost(why, cx),
                // The server has forgotten the grant: it is the state of an earlier moment.
                AnswerKind::Queued { .. } if asked == Asked::Renew => {
                    self.lost(EndReason::Unknown, cx);
                }
                // Anything else answers an acquisition from before the grant.
                _ => {}
            },
            State::Releasing { valid_until, repeated } if asked == Asked::Withdraw => match kind {
                AnswerKind::Released => self.released(cx),
                // An earlier, unanswered release may have been the one that ended it.
                AnswerKind::Unknown { .. } if repeated && cx.now < valid_until => self.released(cx),
                AnswerKind::Unknown { .. } => self.lost(EndReason::Unknown, cx),
                AnswerKind::Lost(why) => self.lost(why, cx),
                _ => {}
            },
            State::Ending { .. } if asked == Asked::Withdraw => match kind {
                AnswerKind::Released
                | AnswerKind::Cancelled
                | AnswerKind::WasGranted
                | AnswerKind::Unknown { .. } => {
                    self.state = State::Done;
                }
                AnswerKind::Lost(_) => self.end_unless_clean(cx),
                _ => {}
            },
            _ => {}
        }
    }

    fn on_acquire_answer(&mut self, kind: AnswerKind, sent_at: Time, cx: &mut Cx<'_>) {
        match kind {
            AnswerKind::Granted { fence, now, expiry } => {
                self.leased(fence, ClockSample { sent_at, server_now: now }, expiry, cx);
            }
            AnswerKind::Queued { ticket, next, rank, holder, .. } => {
                self.holder.clone_from(&holder);
                if self.state == State::Acquiring {
                    let (lock, name) = (self.lock, self.name.clone());
                    let event = Event::LockQueued { lock, name, rank, holder };
                    cx.effects.push(Effect::Event(event));
                }
                self.state = State::Waiting;
                self.ticket = ticket;
                self.has_queued = true;
                cx.effects.push(Effect::WantPush);
                self.next_send_at = Some(cx.now + self.heartbeat(next, rank, cx));
            }
            AnswerKind::Busy { holder, .. } => {
                self.holder = holder;
                let error = self.timed_out();
                self.fail(error, cx);
                self.end_unless_clean(cx);
            }
            // It was only this attempt that came too late: the next one keeps the place.
            AnswerKind::Gone(EndReason::Late) => {
                self.failures += 1;
                self.next_send_at = Some(cx.now + self.backoff(cx));
            }
            AnswerKind::Gone(_) => self.restart(cx),
            AnswerKind::Capacity(capacity) => {
                let message = format!(
                    "lock '{}' is in use with capacity {capacity}, not 1",
                    readable(&self.name)
                );
                self.fail(Error::new(ErrorCode::InvalidState, message), cx);
                self.end_unless_clean(cx);
            }
            _ => {}
        }
    }

    pub(super) fn timed_out(&self) -> Error {
        let who = if self.holder.is_empty() {
            alloc::string::String::from("held by somebody else")
        } else {
            format!("held by '{}'", readable(&self.holder))
        };
        self.not_granted(&who)
    }

    /// The same, where nothing is known of the lock.
    pub(super) fn unanswered(&self) -> Error {
        self.not_granted("the server has not answered yet")
    }

    fn not_granted(&self, why: &str) -> Error {
        let name = readable(&self.name);
        Error::new(ErrorCode::LockTimeout, format!("lock '{name}' was not granted in time: {why}"))
    }

    /// A grant in an answer, whose end can be placed on our clock.
    fn leased(
        &mut self,
        fence: Fence,
        clock_sample: ClockSample,
        expiry: ServerTime,
        cx: &mut Cx<'_>,
    ) {
        let valid_until = clock_sample.valid_until(expiry);
        if valid_until > cx.now {
            self.granted(fence, valid_until, cx);
            // A grant of an earlier moment, perhaps a short hand-off whose push was lost.
            if expiry.since(clock_sample.server_now) < self.options.ttl {
                self.send_again(cx);
            }
        } else {
            // Slept past it: give it back, and ask anew.
            cx.effects.push(Effect::Withdraw { id: self.id, granted: true });
            (self.maybe_in_flight, self.sent) = (false, Vec::new());
            self.restart(cx);
        }
    }

    pub(super) fn granted(&mut self, fence: Fence, valid_until: Time, cx: &mut Cx<'_>) {
        let lease = Lease { fence, valid_until, granted_at: cx.now, overdue: false };
        self.state = State::Held(lease);
        self.plan_renewal(cx);
        let (lock, name) = (self.lock, self.name.clone());
        cx.effects.push(Effect::Event(Event::LockGranted { lock, name, fence, valid_until }));
    }

    fn renewed(&mut self, mut lease: Lease, attempt: Attempt, valid_until: Time, cx: &mut Cx<'_>) {
        lease.valid_until = match self.state {
            // What was known before the gap came from a clock that has stood still since.
            State::Unverified(_) => valid_until,
            _ => lease.valid_until.max(valid_until),
        };
        let valid_until = lease.valid_until;
        if valid_until <= cx.now {
            // Over, unless another renewal on its way proves more.
            if let State::Held(known) | State::Renewing(known) | State::Unverified(known) =
                &mut self.state
            {
                known.valid_until = valid_until;
            }
            return;
        }
        lease.overdue = false;
        let asked = self.extension.is_some_and(|extension| attempt >= extension.since);
        if self.extension.is_some() && !asked {
            // By itself, before the user asked: what comes of that is still waited for.
            self.state = State::Renewing(lease);
        } else {
            (self.state, self.extension) = (State::Held(lease), None);
            self.plan_renewal(cx);
        }
        let (lock, name) = (self.lock, self.name.clone());
        cx.effects.push(Effect::Event(Event::LockRenewed { lock, name, valid_until, asked }));
    }

    fn lost(&mut self, why: EndReason, cx: &mut Cx<'_>) {
        self.lose(
            match why {
                EndReason::Expired => "it expired on the server",
                EndReason::Finished => "it was given back",
                EndReason::Late | EndReason::Unknown => "the server knows nothing of it",
            },
            cx,
        );
        self.end_unless_clean(cx);
    }

    fn released(&mut self, cx: &mut Cx<'_>) {
        let (lock, name) = (self.lock, self.name.clone());
        cx.effects.push(Effect::Event(Event::LockReleased { lock, name }));
        self.state = State::Done;
    }
}
