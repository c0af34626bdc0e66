//! The verbs of locks, and letting their machines work.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::dispatch::Read;
use super::machines::{Entries, Entry, Kind, Machines};
use super::node::Node;
use super::queries::QueryKind;
use super::{Coordinator, Lifecycle, Request, Timer, closed};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{CallId, Event};
use crate::keyspace::ServerTime;
use crate::lock::{
    AHEAD, Answer, AnswerKind, ClockSample, Cx, Effect, EndReason, Fence, GuardOp, Id, Lock,
    LockId, LockOptions, NodeView, check_ttl,
};
use crate::machine::{Attempt, Machine, Outcome};
use crate::redis::{Keys, NodeId, Reply, RequestId, readable};
use crate::time::{Span, Time};

/// So many leases that were lost are remembered.
const MAX_LOST: usize = 1 << 16;

/// What the coordinator notes of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LockNotes {
    pub(super) node: NodeId,
    pub(super) state_key: Vec<u8>,
    /// Its last acquisition, if that has not been polled.
    pub(super) unsent: Option<(RequestId, Attempt)>,
    /// Whether it is counted among those that wait at its node.
    waits: bool,
    /// Its id in `locks_by_request`, if it is there.
    id: Option<Id>,
}

impl LockNotes {
    pub(super) const fn new(node: NodeId, state_key: Vec<u8>) -> Self {
        Self { node, state_key, unsent: None, waits: false, id: None }
    }
}

impl Kind for Lock {
    type Id = LockId;
    type Notes = LockNotes;

    const TIMER: fn(LockId) -> Timer = Timer::Lock;
    const ENTRIES: fn(&mut Machines) -> &mut Entries<Self> = |machines| &mut machines.locks;

    fn view(notes: &LockNotes, nodes: &[Node]) -> NodeView {
        let unsent = notes.unsent.map(|(_, attempt)| attempt);
        let node = nodes.get(notes.node.0 as usize);
        node.map(|node| node.view(unsent)).unwrap_or_default()
    }

    fn apply(core: &mut Coordinator, lock: LockId, effects: Vec<Effect>, _: bool) {
        let Some(entry) = core.machines.locks.get(&lock) else { return };
        let (node, state_key) = (entry.notes.node, entry.notes.state_key.clone());
        for effect in effects {
            match effect {
                Effect::Send(send) => core.send_lock(lock, &send),
                Effect::Event(event) => {
                    let event = event.at(node);
                    if let Event::LockLost { lock, error, .. } = &event {
                        core.remember_lost(*lock, error.clone());
                    }
                    core.emit(event);
                }
                Effect::Unsend => {
                    let entry = core.machines.locks.get_mut(&lock);
                    if let Some((request, _)) = entry.and_then(|entry| entry.notes.unsent.take()) {
                        core.take_request(request);
                        core.release_awaiting_script(node, request);
                    }
                }
                Effect::WantPush => core.want_push(node),
                Effect::Withdraw { id, granted } => {
                    let new = LockId(core.next_operation());
                    core.insert(new, LockNotes::new(node, state_key.clone()), true, |cx| {
                        Lock::withdrawing(new, id, granted, cx)
                    });
                }
            }
        }
        core.index_lock(lock);
    }

    fn on_end(core: &mut Coordinator, _: LockId, _: Entry<Self>) {
        core.finish_closing();
    }
}

impl Read for Answer {
    /// Keeps what is in it of the node: its clock and its highest fence.
    fn read(core: &mut Coordinator, pending: &Request, reply: &Reply) -> Outcome<Self> {
        let sent_at = pending.sent_at;
        let outcome = pending.outcome(reply, Answer::decode(reply));
        let node = core.nodes.get_mut(pending.node.0 as usize);
        let (Outcome::Answered(answer, _), Some(node)) = (&outcome, node) else { return outcome };
        let (fence, server_now) = match &answer.kind {
            AnswerKind::Granted { fence, now, .. } | AnswerKind::Renewed { fence, now, .. } => {
                (*fence, Some(*now))
            }
            AnswerKind::Queued { now, .. } | AnswerKind::Unknown { now } => (Fence(0), Some(*now)),
            // The server's clock is ahead of what we took it for.
            AnswerKind::Gone(EndReason::Late) => {
                node.clock_sample = None;
                (Fence(0), None)
            }
            _ => (Fence(0), None),
        };
        node.took(core.now.since(sent_at));
        match server_now {
            Some(now) if fence.0 > now.after(AHEAD).0 => core.stats.excessive_fences += 1,
            _ => node.min_fence = node.min_fence.max(fence),
        }
        if answer.excess {
            core.stats.excessive_fences += 1;
            node.min_fence = Fence(0);
        }
        if let Some(server_now @ ServerTime(_)) = server_now {
            let new = ClockSample { sent_at, server_now };
            node.clock_sample = Some(ClockSample::better(node.clock_sample, new, core.now));
        }
        if answer.nopush && !core::mem::replace(&mut node.publish_denied, true) {
            let message = "the server does not let this client publish to its waiters";
            let error = Error::new(ErrorCode::ServerRefused, message);
            let node = pending.node;
            core.emit(Event::PushUnavailable { node, error: error.at(node) });
        }
        outcome
    }
}

impl Coordinator {
    // Verbs.

    /// Asks for the lock `name`. Leads to `LockGranted` or `LockFailed`, by way of `LockQueued`.
    ///
    /// # Errors
    /// `InvalidArgument`, `LimitExceeded`, `Closed`; nothing is changed.
    pub fn lock_acquire(&mut self, name: &[u8], options: LockOptions, now: Time) -> Result<LockId> {
        self.check_open()?;
        Keys::check_name("lock", name)?;
        options.check()?;
        self.advance_now(now);
        let lock = LockId(self.next_operation());
        let node = self.locate(name)?;
        let notes = LockNotes::new(node, self.keys.lock(name));
        self.insert(lock, notes, false, |cx| Lock::new(lock, name, options, cx));
        self.stats.lock_acquires += 1;
        Ok(lock)
    }

    /// Gives the lock back. Leads to `LockReleased`, `LockLost` or `LockFailed`.
    ///
    /// # Errors
    /// `LockLost` for a lease that has ended, or was given back by a close, as often as it is asked;
    /// `NotHeld`, `Closed`. Nothing is changed.
    pub fn lock_release(&mut self, lock: LockId, now: Time) -> Result<()> {
        self.with_held_lock(lock, now, |machine, cx| machine.release(cx))
    }

    /// Ends the request in any state, giving back what it may hold; legal after its end, too, and
    /// then a lease that was lost is forgotten: of those, the 65,536 latest requests are remembered.
    /// No event follows.
    pub fn lock_cancel(&mut self, lock: LockId, now: Time) {
        self.advance_now(now);
        self.step::<Lock, _>(lock, false, Lock::cancel);
        self.lost.remove(&lock);
    }

    /// Renews the lease at once, to last `ttl` from now if it is given. Leads to a `LockRenewed` that was
    /// `asked` for, `LockLost`, or within [`Config::timeout`](super::Config::timeout) to
    /// `LockNotRenewed`. Of two that are asked for at once, that is of the last one.
    ///
    /// # Errors
    /// `InvalidArgument`; `LockLost` for a lease that has ended, or was given back by a close, as often
    /// as it is asked; `NotHeld`, `Closed`. Nothing is changed.
    pub fn lock_renew(&mut self, lock: LockId, ttl: Option<Span>, now: Time) -> Result<()> {
        ttl.map_or(Ok(()), check_ttl)?;
        self.with_held_lock(lock, now, |machine, cx| machine.renew_now(ttl, cx))
    }

    /// Whether the lock is certainly held at `now`.
    #[must_use]
    pub fn lock_is_held(&self, lock: LockId, now: Time) -> bool {
        self.machines.locks.get(&lock).is_some_and(|entry| entry.machine.is_held(now.max(self.now)))
    }

    /// Until when the lock is certainly held, if it is, unless it is renewed.
    #[must_use]
    pub fn lock_valid_until(&self, lock: LockId) -> Option<Time> {
        self.machines.locks.get(&lock)?.machine.valid_until()
    }

    /// Asks who holds `name` and who waits for it. Leads to `LockInspected` or `CallFailed`.
    ///
    /// # Errors
    /// `InvalidArgument`, `LimitExceeded`, `Closed`; nothing is changed.
    pub fn lock_inspect(&mut self, name: &[u8], now: Time) -> Result<CallId> {
        self.check_open()?;
        Keys::check_name("lock", name)?;
        self.advance_now(now);
        let node = self.locate(name)?;
        let state_key = self.keys.lock(name);
        Ok(self.ask(node, QueryKind::Inspect { state_key }))
    }

    /// Asks the guard of `resource` whether `fence` is at least as high as every one it has seen.
    /// Leads to `FenceChecked` or `CallFailed`.
    ///
    /// # Errors
    /// `InvalidArgument`, `LimitExceeded`, `Closed`; nothing is changed.
    pub fn fence_check(&mut self, resource: &[u8], fence: Fence, now: Time) -> Result<CallId> {
        self.check_open()?;
        Keys::check_name("resource", resource)?;
        if fence.0 >= 1 << 53 {
            return Err(Error::invalid(format!("fence: {} is not below 2^53", fence.0)));
        }
        self.advance_now(now);
        let node = self.locate(resource)?;
        let key = self.keys.fence(resource);
        Ok(self.ask(node, QueryKind::Guard { key, op: GuardOp { fence } }))
    }

    // Workings.

    fn with_held_lock(
        &mut self,
        lock: LockId,
        now: Time,
        verb: impl FnOnce(&mut Lock, &mut Cx<'_>) -> bool,
    ) -> Result<()> {
        if self.lifecycle != Lifecycle::Open {
            return Err(self.lost.get(&lock).cloned().unwrap_or_else(closed));
        }
        self.advance_now(now);
        if self.step::<Lock, _>(lock, false, verb) == Some(true) {
            return Ok(());
        }
        let not_held = || Error::new(ErrorCode::NotHeld, "the lock is not held");
        Err(self.lost.get(&lock).cloned().unwrap_or_else(not_held))
    }

    fn remember_lost(&mut self, lock: LockId, error: Error) {
        self.lost.insert(lock, error);
        let first = self.lost.keys().next().copied().filter(|_| self.lost.len() > MAX_LOST);
        if let Some(first) = first {
            self.lost.remove(&first);
        }
    }

    /// Gives back every lock that is held, which has its own event, and remembers it as lost for later
    /// verbs; ends every wait with `LockFailed`.
    pub(super) fn close_locks(&mut self, error: &Error) {
        for lock in self.machines.locks.keys().copied().collect::<Vec<_>>() {
            let Some(entry) = self.machines.locks.get(&lock) else { continue };
            if entry.machine.is_wanted() {
                let (name, error) = (entry.machine.name().to_vec(), error.clone());
                self.emit(Event::LockFailed { lock, name, error, holder: None });
                self.step::<Lock, _>(lock, true, Lock::cancel);
            } else {
                let words = format!(
                    "lock '{}' was given back when the coordinator was closed",
                    readable(entry.machine.name())
                );
                let error = Error::new(ErrorCode::LockLost, words).at(entry.notes.node);
                let given_back = self.step::<Lock, _>(lock, true, Lock::release) == Some(true);
                if given_back && !self.lost.contains_key(&lock) {
                    self.remember_lost(lock, error);
                }
            }
        }
    }

    /// The time for that is over: what the server has not answered goes untold no longer.
    pub(super) fn drop_locks(&mut self) {
        self.locks_by_request.clear();
        let mut locks = core::mem::take(&mut self.machines.locks);
        let words = "the coordinator was closed, and the release was not confirmed in time";
        let mut untold = Vec::new();
        locks.each_mut(|entry| {
            if let Some(lock) = entry.machine.releasing() {
                untold.push((lock, entry.machine.name().to_vec()));
            }
        });
        for (lock, name) in untold {
            let error = Error::new(ErrorCode::Closed, words);
            self.emit(Event::LockFailed { lock, name, error, holder: None });
        }
    }

    /// Keeps up what is known of a lock by its node and by its id.
    fn index_lock(&mut self, lock: LockId) {
        let Some(Entry { machine, notes, .. }) =
            self.machines.locks.get_mut(&lock).map(Box::as_mut)
        else {
            return;
        };
        let waits = machine.is_waiting();
        if core::mem::replace(&mut notes.waits, waits) != waits
            && let Some(node) = self.nodes.get_mut(notes.node.0 as usize)
        {
            node.waiting = if waits { node.waiting + 1 } else { node.waiting.saturating_sub(1) };
        }
        let id = (!machine.is_done()).then(|| machine.id());
        let old = core::mem::replace(&mut notes.id, id);
        if old != id {
            old.and_then(|old| self.locks_by_request.remove(&old));
            if let Some(new) = id {
                self.locks_by_request.insert(new, lock);
            }
        }
    }
}
