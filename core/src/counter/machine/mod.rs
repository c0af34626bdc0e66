//! The client side of one counter: the states of `counter/mod.rs`, moved by answers, failures, time
//! and the user's verbs.

mod answer;
mod audit;
mod previous;
mod send;
mod wait;

use alloc::vec::Vec;

use self::wait::{Pending, Waiter};
use super::{
    Answer, CounterId, CounterOptions, CounterValue, Durability, FlushStamp, Freshness, MAX_SLOTS,
    Op, PreviousSlot, PreviousSlots, SlotId, Tally, Token, Verb, View, journal,
};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{CallId, Event};
use crate::machine::{Attempt, Failed, Machine, Outcome, Outgoing, Refused};
use crate::redis::NodeId;
use crate::table::Table;
use crate::time::{Span, Time};

/// Flushes that fall due within this span leave in one write.
const GRID: Span = Span::from_millis(10);
/// How often a slot is sent again though nothing was counted: a server that lost it has it back.
const RESYNC: Span = Span::from_secs(60);

pub(crate) type Cx<'a> = crate::machine::Cx<'a, Effect>;

/// What a machine wants done.
pub(crate) enum Effect {
    Send(Outgoing<Op>),
    Event(Event),
    /// A call came to nothing.
    Failed {
        call: CallId,
        error: Error,
    },
    /// Ask the host for its tally.
    Ask,
}

/// The slot in use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ActiveSlot {
    id: SlotId,
    /// What the server has answered that it has.
    acknowledged: Tally,
    /// What was handed out to be restored, and may come back from anywhere.
    exported: Tally,
    /// What was sent and not answered; sent again as it is until it is.
    in_flight: Option<(Tally, FlushStamp)>,
}

/// What is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Task {
    Join,
    Flush,
    /// Raise and retire a slot of an earlier life.
    Leave(SlotId),
    /// Raise and retire the own slot.
    Retire,
    /// Fold the own slot, of which all is acknowledged and nothing was handed out.
    Fold,
    Read,
    /// A step of a call's own: a reset or an audit.
    Call(CallId),
}

impl Task {
    /// Whether it sends nothing of what was counted.
    const fn asks(self) -> bool {
        matches!(self, Self::Read | Self::Call(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Sent {
    attempt: Attempt,
    task: Task,
}

/// The server's part of the value, from one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ServerView {
    view: View,
    sent_at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lifecycle {
    Open,
    Closing { until: Time },
    Done,
}

/// One counter of this client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Counter {
    counter: CounterId,
    name: Vec<u8>,
    owner: u128,
    options: CounterOptions,
    lifecycle: Lifecycle,
    /// All that was counted since the opening.
    total: Tally,
    /// What of it was counted before the slot in use, or the next one, began.
    base: Tally,
    active: Option<ActiveSlot>,
    /// Slots of earlier lives: each is raised and retired.
    leaving: PreviousSlots,
    /// Slots of peer counters: each is raised.
    merging: PreviousSlots,
    server_view: Option<ServerView>,
    sent: Option<Sent>,
    attempts: Attempt,
    waiters: Table<CallId, Waiter>,
    /// When what is pending is flushed.
    due: Option<Time>,
    /// It is due now.
    urgent: bool,
    /// Since when something is pending.
    pending_since: Option<Time>,
    /// When the last flush left: what it does not carry was counted later.
    flushed_at: Option<Time>,
    /// When the slot is sent again though nothing was counted.
    resync_at: Option<Time>,
    /// Not before this moment is anything sent again.
    retry: Option<Time>,
    /// Nor what was counted, which the server has refused.
    held: Option<Time>,
    failures: u32,
    /// Why the last command came to nothing.
    trouble: Option<Error>,
    /// `CounterRefused` was emitted, and nothing was accepted since.
    refused: bool,
    /// The total in the journal that the host has still to write down.
    journal: Option<Tally>,
    /// The total that is written down.
    journaled: Tally,
}

impl Counter {
    pub(crate) fn new(
        counter: CounterId,
        name: &[u8],
        options: CounterOptions,
        leaving: PreviousSlots,
        cx: &mut Cx<'_>,
    ) -> Self {
        let mut machine = Self {
            counter,
            name: name.to_vec(),
            owner: cx.entropy.bits128(),
            options,
            lifecycle: Lifecycle::Open,
            total: Tally::ZERO,
            base: Tally::ZERO,
            active: None,
            leaving: PreviousSlots::new(),
            merging: PreviousSlots::new(),
            server_view: None,
            sent: None,
            attempts: 0,
            waiters: Table::new(),
            due: None,
            urgent: false,
            pending_since: None,
            flushed_at: None,
            resync_at: None,
            retry: None,
            held: None,
            failures: 0,
            trouble: None,
            refused: false,
            journal: None,
            journaled: Tally::ZERO,
        };
        machine.sort(leaving);
        cx.background = true;
        machine.work(cx);
        machine
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.lifecycle, Lifecycle::Open)
    }

    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// The number and the name of the counter, for its events.
    fn named(&self) -> (CounterId, Vec<u8>) {
        (self.counter, self.name.to_vec())
    }

    /// The same with the node, which the coordinator puts in: see `Event::at`.
    fn located(&self) -> (CounterId, Vec<u8>, NodeId) {
        (self.counter, self.name.to_vec(), NodeId(0))
    }

    /// What the slot in use has to hold.
    const fn own_now(&self) -> Tally {
        self.total.since(self.base)
    }

    /// What the server has answered that it has of the slot in use.
    fn acknowledged(&self) -> Tally {
        self.active.as_ref().map_or(Tally::ZERO, |own| own.acknowledged)
    }

    /// What was counted and is not acknowledged, of this life and of earlier ones.
    pub(crate) fn pending(&self) -> Tally {
        let own = self.own_now().since(self.acknowledged());
        self.leaving
            .values()
            .chain(self.merging.values())
            .map(|saved| saved.tally.since(saved.acknowledged))
            .fold(own, |sum, part| Tally {
                p: sum.p.saturating_add(part.p),
                n: sum.n.saturating_add(part.n),
            })
    }

    /// How many units more may be unacknowledged.
    pub(crate) fn room(&self) -> u64 {
        match self.options.max_units() {
            u64::MAX => u64::MAX,
            limit => limit.saturating_sub(self.own_now().since(self.acknowledged()).units()),
        }
    }

    fn is_pending(&self) -> bool {
        self.own_now() != self.acknowledged()
    }

    /// When the slot in use is to be compared with the server's, if anything was counted.
    fn next_resync(&self) -> Option<Time> {
        self.resync_at.filter(|_| !self.own_now().is_zero())
    }

    // The user's verbs.

    /// Counts.
    pub(crate) fn add(&mut self, amount: i64, cx: &mut Cx<'_>) -> Result<()> {
        let mut total = self.total;
        total.add(amount)?;
        let limit = self.options.max_units();
        if limit < u64::MAX && total.since(self.total).units() > self.room() {
            let message = alloc::format!(
                "more than {limit} units would be unacknowledged, which is the limit: the server \
                 does not keep up"
            );
            return Err(Error::new(ErrorCode::LimitExceeded, message));
        }
        self.advance(total, cx);
        Ok(())
    }

    /// All that was counted since the opening is `total` now. A lower one changes nothing.
    pub(crate) fn advance(&mut self, total: Tally, cx: &mut Cx<'_>) {
        self.total = self.total.max(total);
        if !self.is_pending() || self.lifecycle == Lifecycle::Done {
            return;
        }
        self.pending_since.get_or_insert(cx.now);
        let many =
            self.own_now().since(self.acknowledged()).units() >= self.options.max_units() / 2;
        if many || self.options.durability == Durability::Sync {
            self.urgent = true;
        }
        // A host that has reported a tally reports no more before it is asked.
        if self.due.is_none() && (!self.urgent || self.options.collected) {
            let delay = self.options.max_delay();
            let due = self.pending_since.max(self.flushed_at).unwrap_or(cx.now) + delay;
            self.due = Some(due.on_grid(GRID.min(delay)).max(cx.now));
        }
        self.work(cx);
    }

    /// The host's answer to being asked: its tally, which is flushed at once.
    pub(crate) fn collect(&mut self, total: Tally, cx: &mut Cx<'_>) {
        self.total = self.total.max(total);
        if self.is_pending() && self.lifecycle != Lifecycle::Done {
            self.pending_since.get_or_insert(cx.now);
            self.urgent = true;
            self.work(cx);
        }
    }

    pub(crate) fn value(&self, now: Time) -> Result<CounterValue> {
        let seen = self.server_view.unwrap_or(ServerView { view: View::default(), sent_at: now });
        let known = self.server_view.is_some();
        let View { own, totals, zero, epoch, version } = seen.view;
        let server = totals.since(zero);
        // What of an earlier life is not acknowledged is not in the totals, as far as is known.
        // What a peer counter holds may be in them: it shows once it is acknowledged.
        let earlier = self.leaving.values();
        let leaving = earlier
            .map(|saved| saved.tally.value() - if known { saved.acknowledged.value() } else { 0 });
        let here = self.own_now().value() - own.value() + leaving.sum::<i128>();
        let value = server
            .and_then(|server| server.checked_add(here))
            .ok_or_else(|| Error::new(ErrorCode::Overflow, "the value is beyond 128 bits"))?;
        Ok(CounterValue {
            value,
            staleness: self.server_view.map(|seen| now.since(seen.sent_at)),
            token: version,
            epoch,
            pending: self.pending(),
            oldest_pending: self.pending_since.map(|since| now.since(since)),
        })
    }

    /// The host has written down the last journal.
    pub(crate) fn journaled(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some(total) = self.journal.take() else { return false };
        self.journaled = total;
        self.serve(cx);
        self.work(cx);
        true
    }

    /// Flushes what is pending, folds or retires the slot, and is done by `until`.
    pub(crate) fn close(&mut self, cx: &mut Cx<'_>) {
        if self.lifecycle == Lifecycle::Open {
            self.lifecycle = Lifecycle::Closing { until: cx.now + cx.timeout };
            self.retry = None;
            let error = Error::new(ErrorCode::Closed, "the counter was closed");
            self.fail_waiters(|pending| !matches!(pending, Pending::Flush { .. }), &error, cx);
            self.work(cx);
        }
    }

    /// Is done now, whatever is still pending.
    pub(crate) fn give_up(&mut self, cx: &mut Cx<'_>) {
        if self.lifecycle == Lifecycle::Done {
            return;
        }
        let error =
            Error::new(ErrorCode::Closed, "the counter was closed before the server answered");
        self.fail_waiters(|_| true, &error, cx);
        if self.options.is_journaled() && !self.pending().is_zero() {
            self.write_journal(cx);
        }
        self.lifecycle = Lifecycle::Done;
        let (counter, name, node) = self.located();
        let unacknowledged = self.pending();
        let closed = Event::CounterClosed { counter, name, node, unacknowledged };
        cx.effects.push(Effect::Event(closed));
    }

    // Time and connections.

    /// The node may be another server now: the slot is sent again soon, in case it was lost.
    pub(crate) fn on_reconnected(&mut self, cx: &mut Cx<'_>) {
        if self.active.is_some() && !self.own_now().is_zero() {
            let soon = cx.now + cx.entropy.jitter(Span::from_secs(1));
            self.resync_at = Some(self.resync_at.map_or(soon, |resync_at| resync_at.min(soon)));
        }
    }
}

impl Machine for Counter {
    type Answer = Answer;
    type Effect = Effect;
    type Node = ();

    fn is_done(&self) -> bool {
        matches!(self.lifecycle, Lifecycle::Done)
    }

    fn deadline(&self) -> Option<Time> {
        let limit = match self.lifecycle {
            Lifecycle::Open => None,
            Lifecycle::Closing { until } => Some(until),
            Lifecycle::Done => return None,
        };
        let waiters = self.next_limit();
        // A command on its way moves things by its end, and a pause comes before all else. Nothing is
        // sent, and so nothing compared, before a refusal's pause is over.
        let resync_at = self
            .next_resync()
            .map(|resync_at| self.held.map_or(resync_at, |held| resync_at.max(held)));
        let idle =
            [self.retry.or(resync_at), self.held].map(|at| at.filter(|_| self.sent.is_none()));
        [limit, waiters, self.due].into_iter().chain(idle).flatten().min()
    }

    fn on_outcome(&mut self, attempt: Attempt, outcome: Outcome<Answer>, cx: &mut Cx<'_>) {
        let Some(sent) = self.sent.filter(|sent| sent.attempt == attempt) else { return };
        if self.is_done() {
            return;
        }
        self.sent = None;
        match outcome {
            Outcome::Answered(answer, sent_at)
                if matches!(answer.verb, Verb::Full | Verb::Ahead) =>
            {
                self.trouble = None;
                self.on_no_slot(sent, &answer, sent_at, cx);
            }
            Outcome::Answered(answer, sent_at) => {
                (self.failures, self.trouble) = (0, None);
                self.refused &= sent.task.asks();
                self.on_answer(sent, &answer, sent_at, cx);
            }
            Outcome::Failed(Failed { error, lasting: true, .. }) => {
                self.fail_waiters(|_| true, &error, cx);
                self.on_not_taken(error, cx);
                self.back_off(cx);
            }
            Outcome::Failed(Failed { error, .. })
            | Outcome::Refused(Refused { error, transient: true, .. }) => {
                self.waiters.each_mut(|waiter| {
                    waiter.trouble = Some(error.clone().after(waiter.trouble.take()));
                });
                self.trouble = Some(error);
                self.back_off(cx);
            }
            Outcome::Refused(Refused { error, .. }) => self.on_refused(sent.task, error, cx),
        }
        self.work(cx);
    }

    fn on_script_missing(&mut self, attempt: Attempt, cx: &mut Cx<'_>) {
        if let Some(sent) = self.sent.filter(|sent| sent.attempt == attempt) {
            self.sent = None;
            self.send(sent.task, cx);
        }
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        if let Lifecycle::Closing { until } = self.lifecycle
            && cx.now >= until
        {
            return self.give_up(cx);
        }
        self.expire_waiters(cx);
        if self.due.is_some_and(|due| cx.now >= due) {
            self.due = None;
            if self.options.collected {
                cx.effects.push(Effect::Ask);
            } else {
                self.urgent = true;
            }
        }
        self.work(cx);
    }
}
