//! Calls that wait for something of a counter.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::audit::{Auditing, Scan};
use super::{Answer, Counter, Cx, Effect, Freshness, Op, Tally, Token};
use crate::counter::{MAX_WAITERS, Verb};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{CallId, Event};
use crate::machine::Attempt;
use crate::time::{Span, Time};

/// So many resets are remembered by the server: as far ahead may its count be for a repeated one.
const REMEMBERED: u64 = 8;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Waiter {
    /// When it has failed.
    pub(super) limit: Time,
    pub(super) pending: Pending,
    /// Why it was not served yet.
    pub(super) trouble: Option<Error>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pending {
    /// All up to this is safe.
    Flush {
        upto: Tally,
    },
    /// An answer to something sent after this, and of at least this point.
    Read {
        after: Attempt,
        least: Token,
    },
    /// The value is zero. The epoch is asked for first where it is not known.
    Reset {
        op: u128,
        epoch: Option<u64>,
        exact: bool,
    },
    Audit(Box<Auditing>),
}

impl Waiter {
    const fn audits(&self) -> bool {
        matches!(self.pending, Pending::Audit(_))
    }
}

impl Pending {
    /// Whether it waits for an answer of whatever kind.
    pub(super) const fn reads(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Reset { epoch: None, .. })
    }
}

/// What of all that was counted is safe.
struct Safe {
    journaled: Option<Tally>,
    settled: Option<Tally>,
}

impl Safe {
    fn holds(&self, upto: Tally) -> bool {
        [self.journaled, self.settled].into_iter().flatten().any(|safe| upto.is_within(safe))
    }
}

impl Counter {
    fn wait(&mut self, call: CallId, pending: Pending, cx: &mut Cx<'_>) -> Result<()> {
        if self.waiters.len() >= MAX_WAITERS {
            return Err(Error::limit(alloc::format!(
                "{MAX_WAITERS} calls wait on this counter, which is the limit"
            )));
        }
        // The pause after what came to nothing earlier is none of this call's: the server may be back.
        (self.retry, self.failures) = (None, 0);
        if matches!(pending, Pending::Flush { .. }) {
            self.held = None;
        }
        self.waiters.insert(call, Waiter { limit: cx.now + cx.timeout, pending, trouble: None });
        self.work(cx);
        Ok(())
    }

    /// Waits until all that was counted is safe.
    pub(crate) fn flush(&mut self, call: CallId, cx: &mut Cx<'_>) -> Result<()> {
        if self.safe().holds(self.total) {
            let (counter, name, node) = self.located();
            cx.effects.push(Effect::Event(Event::CounterFlushed { call, counter, name, node }));
            return Ok(());
        }
        self.wait(call, Pending::Flush { upto: self.total }, cx)
    }

    pub(crate) fn read(&mut self, call: CallId, how: Freshness, cx: &mut Cx<'_>) -> Result<()> {
        let Freshness::AtLeast(least) = how else {
            return self.wait(call, Pending::Read { after: self.attempts, least: Token(0) }, cx);
        };
        if self.server_view.is_some_and(|seen| seen.view.version >= least) {
            cx.effects.push(self.read_answer(call, cx.now));
            return Ok(());
        }
        self.wait(call, Pending::Read { after: self.attempts, least }, cx)
    }

    pub(crate) fn reset(
        &mut self,
        call: CallId,
        epoch: Option<u64>,
        cx: &mut Cx<'_>,
    ) -> Result<()> {
        // Copies of a process draw alike: two resets are told apart by their moments then.
        let op = cx.entropy.bits128() ^ u128::from(cx.now.as_micros());
        let known = self.server_view.map(|seen| seen.view.epoch);
        self.wait(call, Pending::Reset { op, epoch: epoch.or(known), exact: epoch.is_some() }, cx)
    }

    pub(crate) fn audit(
        &mut self,
        call: CallId,
        prune: Option<Span>,
        cx: &mut Cx<'_>,
    ) -> Result<()> {
        self.wait(call, Pending::Audit(Box::new(Auditing::new(prune))), cx)
    }

    /// What a call of its own sends next.
    pub(super) fn op_of(&self, call: CallId) -> Option<Op> {
        match &self.waiters.get(&call)?.pending {
            Pending::Reset { op, epoch, .. } => {
                let id = self.active.as_ref().map(|own| own.id);
                Some(Op::Reset { op: *op, epoch: epoch.unwrap_or(0), id })
            }
            Pending::Audit(auditing) => Some(auditing.op()),
            Pending::Flush { .. } | Pending::Read { .. } => None,
        }
    }

    /// An answer to a call's own operation.
    pub(super) fn on_call_answer(&mut self, call: CallId, answer: &Answer, cx: &mut Cx<'_>) {
        let own = self.active.as_ref().map(|own| own.id);
        let (counter, name, node) = self.located();
        let Some(waiter) = self.waiters.get_mut(&call) else { return };
        let effect = match (&mut waiter.pending, &answer.verb) {
            (Pending::Reset { .. }, Verb::Reset(epoch)) => {
                Effect::Event(Event::CounterReset { call, counter, name, node, epoch: *epoch })
            }
            (Pending::Reset { epoch: Some(epoch), exact, .. }, Verb::Conflict) => {
                let now = answer.view.epoch;
                // If it had been executed, the server would still remember it.
                if !*exact && now.checked_sub(*epoch).is_some_and(|past| past < REMEMBERED) {
                    *epoch = now;
                    return;
                }
                let message = alloc::format!("the counter is at epoch {now}, not {epoch}");
                Effect::Failed { call, error: Error::new(ErrorCode::InvalidState, message) }
            }
            (Pending::Audit(auditing), _) => match auditing.on_answer(answer, own) {
                Scan::Goes => {
                    waiter.limit = cx.now + cx.timeout;
                    return;
                }
                Scan::Done(audit) => {
                    // There may be room now.
                    self.held = None;
                    Effect::Event(Event::CounterAudited { call, counter, name, node, audit })
                }
            },
            _ => return,
        };
        self.waiters.remove(&call);
        cx.effects.push(effect);
    }

    /// Gives resets that were called without an epoch the one that is now known.
    pub(super) fn set_epoch(&mut self, now: u64) {
        self.waiters.each_mut(|waiter| {
            if let Pending::Reset { epoch: epoch @ None, .. } = &mut waiter.pending {
                *epoch = Some(now);
            }
        });
    }

    fn read_answer(&self, call: CallId, now: Time) -> Effect {
        let (counter, name, node) = self.located();
        match self.value(now) {
            Ok(value) => Effect::Event(Event::CounterRead { call, counter, name, node, value }),
            Err(error) => Effect::Failed { call, error },
        }
    }

    /// Whether nothing of earlier lives and of peer counters is left to be sent.
    fn is_settled(&self) -> bool {
        self.leaving.is_empty() && self.merging.is_empty()
    }

    fn safe(&self) -> Safe {
        let acknowledged = self.acknowledged();
        Safe {
            journaled: self.options.is_journaled().then_some(self.journaled),
            // Parts of the total: their sum cannot pass it.
            settled: self.is_settled().then_some(Tally {
                p: self.base.p + acknowledged.p,
                n: self.base.n + acknowledged.n,
            }),
        }
    }

    /// Ends the flushes whose units are safe.
    pub(super) fn serve(&mut self, cx: &mut Cx<'_>) {
        let safe = self.safe();
        let done = self.waiters.iter().filter(|(_, waiter)| match waiter.pending {
            Pending::Flush { upto } => safe.holds(upto),
            _ => false,
        });
        for call in done.map(|(call, _)| *call).collect::<Vec<_>>() {
            self.waiters.remove(&call);
            let (counter, name, node) = self.located();
            cx.effects.push(Effect::Event(Event::CounterFlushed { call, counter, name, node }));
        }
    }

    /// Ends the reads that waited for an answer as recent as this attempt's.
    pub(super) fn serve_reads(&mut self, attempt: Attempt, version: Token, cx: &mut Cx<'_>) {
        let done = self.waiters.iter().filter_map(|(call, waiter)| match waiter.pending {
            Pending::Read { after, least } if attempt > after => Some((*call, least)),
            _ => None,
        });
        for (call, least) in done.collect::<Vec<_>>() {
            self.waiters.remove(&call);
            if version < least {
                let message = "the server has lost what was counted up to this token";
                let error = Error::new(ErrorCode::InvalidState, message);
                cx.effects.push(Effect::Failed { call, error });
            } else {
                cx.effects.push(self.read_answer(call, cx.now));
            }
        }
    }

    /// When the first of them has failed. All wait equally long, so that the first comes first; but the
    /// time of an audit begins anew with each answer.
    pub(super) fn next_limit(&self) -> Option<Time> {
        let mut limit = None;
        for waiter in self.waiters.values() {
            limit = Some(limit.map_or(waiter.limit, |limit: Time| limit.min(waiter.limit)));
            if !waiter.audits() {
                break;
            }
        }
        limit
    }

    pub(super) fn expire_waiters(&mut self, cx: &mut Cx<'_>) {
        let silent = || Error::new(ErrorCode::NoAnswer, "the server did not answer in time");
        let now = cx.now;
        let over = |waiter: &Waiter| now >= waiter.limit;
        let first = self.waiters.iter().take_while(|(_, waiter)| waiter.audits() || over(waiter));
        let over = first.filter(|(_, waiter)| over(waiter));
        for (call, own) in over.map(|(call, w)| (*call, w.trouble.clone())).collect::<Vec<_>>() {
            let error = own.or_else(|| self.trouble.clone()).unwrap_or_else(silent);
            self.fail(call, error, cx);
        }
    }

    pub(super) fn fail_waiters(
        &mut self,
        which: impl Fn(&Pending) -> bool,
        error: &Error,
        cx: &mut Cx<'_>,
    ) {
        let failed = self.waiters.iter().filter(|(_, waiter)| which(&waiter.pending));
        for call in failed.map(|(call, _)| *call).collect::<Vec<_>>() {
            self.fail(call, error.clone(), cx);
        }
    }

    pub(super) fn fail(&mut self, call: CallId, error: Error, cx: &mut Cx<'_>) {
        if self.waiters.remove(&call).is_some() {
            cx.effects.push(Effect::Failed { call, error });
        }
    }
}
