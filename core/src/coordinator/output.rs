//! What goes out: commands, events, the next deadline, counters.

use super::node::{Push, ScriptState};
use super::outbox::Urgency;
use super::queries::{Query, QueryKind};
use super::{Coordinator, Lifecycle, ReplyTarget, Request, Stats, Timer};
use crate::counter::{self, CounterId};
use crate::event::{CallId, Event};
use crate::lock::{Lock, LockId, Op};
use crate::machine::Outgoing;
use crate::redis::{Argv, Command, Failure, LockKeys, NodeId, Origin, RequestId, Route, Script};
use crate::stamp::{self, Stamp};
use crate::time::{Span, Time, request_timeout};
use crate::transaction::{self, Handle};

/// An acquisition that has waited so long to be sent is asked as it would be now.
const STALE: Span = Span::from_millis(100);

impl Coordinator {
    /// The next command to send, of any node: first what keeps a lease, then what gives a lock back,
    /// then the others in the order in which they were asked for. What is too late to be sent is not given out, which may
    /// be the end of what it was for: poll events after commands.
    pub fn poll_command(&mut self) -> Option<Command> {
        while let Some((node, ())) = self.ready.first() {
            let node = *node;
            if let Some(command) = self.poll_command_for(node) {
                return Some(command);
            }
        }
        None
    }

    /// The next command to send to `node`, in the same order. All that are ready should leave in one
    /// write.
    pub fn poll_command_for(&mut self, node: NodeId) -> Option<Command> {
        while let Some(command) = self.nodes.get_mut(node.0 as usize)?.outbox.pop() {
            // Its request has been given up.
            let Some(request) = self.requests.get(&command.request) else { continue };
            if self.now.since(request.sent_at) >= STALE && self.ask_anew(command.request) {
                continue;
            }
            let Some(request) = self.requests.get_mut(&command.request) else { continue };
            request.polled = command.deadline > self.now;
            let (target, polled) = (request.target, request.polled);
            if let ReplyTarget::Lock(lock, _) = target
                && let Some(entry) = self.machines.locks.get_mut(&lock)
                && entry.notes.unsent.is_some_and(|(unsent, _)| unsent == command.request)
            {
                entry.notes.unsent = None;
            }
            if polled {
                return Some(command);
            }
            self.fail_request(command.request, Failure::NotSent);
        }
        self.ready.remove(&node);
        None
    }

    /// Whether a request is an acquisition that has not been polled, of a lock that is waited for.
    pub(super) fn waits_to_leave(&self, request: RequestId) -> bool {
        let Some(ReplyTarget::Lock(lock, _)) =
            self.requests.get(&request).map(|request| request.target)
        else {
            return false;
        };
        self.machines.locks.get(&lock).is_some_and(|entry| {
            let unsent = entry.notes.unsent.is_some_and(|(unsent, _)| unsent == request);
            unsent && entry.machine.is_patient()
        })
    }

    /// Until when the server of a node counts as one that answers, if it does.
    pub(super) fn answers_until(&self, node: NodeId) -> Option<Time> {
        self.nodes.get(node.0 as usize)?.answers_until(self.timeout, self.now)
    }

    /// Puts what an acquisition would ask now in the place of what it asked when it was queued: more was
    /// asked than could be sent, which is not the server's doing. Whether it did.
    fn ask_anew(&mut self, request: RequestId) -> bool {
        let Some(pending) = self.requests.get(&request) else { return false };
        let (ReplyTarget::Lock(lock, attempt), node) = (pending.target, pending.node) else {
            return false;
        };
        let (waited, background) = (self.now.since(pending.sent_at), pending.background);
        if !self.waits_to_leave(request) || self.answers_until(node).is_none() {
            return false;
        }
        self.take_request(request);
        self.release_awaiting_script(node, request);
        if let Some(entry) = self.machines.locks.get_mut(&lock) {
            entry.notes.unsent = None;
        }
        let last = self.request_count;
        self.step::<Lock, _>(lock, background, |machine, cx| machine.ask_anew(attempt, waited, cx));
        if self.request_count > last
            && let Some(node) = self.nodes.get_mut(node.0 as usize)
        {
            node.outbox.hasten();
        }
        true
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call `handle_timeout`, once what has arrived by then is handed in.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Counters of what has been done.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    pub(super) fn send_lock(&mut self, lock: LockId, send: &Outgoing<Op>) {
        let Outgoing { attempt, ref op, deadline, background } = *send;
        let Some(entry) = self.machines.locks.get(&lock) else { return };
        let (node, keys) = (entry.notes.node, LockKeys::of_state(&entry.notes.state_key));
        let target = ReplyTarget::Lock(lock, attempt);
        let request = self.next_request();
        let mut argv = Argv::with_capacity(24, 384 + 6 * keys.state.len());
        self.start_script(Script::Queue, node, request, &mut argv);
        argv.push(b"6");
        for key in keys.in_order() {
            argv.push(key);
        }
        argv.push(&self.stamping.meta);
        op.encode(&mut argv);
        argv.push(self.stamping.text(node));
        let urgency = match op {
            Op::Renew { .. } => Urgency::Keeps,
            Op::Release { .. } | Op::Cancel { .. } => Urgency::Frees,
            Op::Acquire(_) | Op::Inspect => Urgency::Usual,
        };
        if let (Op::Acquire(_), Some(entry)) = (op, self.machines.locks.get_mut(&lock)) {
            entry.notes.unsent = Some((request, attempt));
        }
        let script = Some(Script::Queue);
        self.queue_by(urgency, request, target, node, script, argv, deadline, background);
    }

    pub(super) fn send_counter(&mut self, counter: CounterId, send: &Outgoing<counter::Op>) {
        let Outgoing { attempt, ref op, deadline, background } = *send;
        let Some(entry) = self.machines.counters.get(&counter) else { return };
        let (node, key) = (entry.notes.node, entry.notes.key.clone());
        let request = self.next_request();
        let mut argv = Argv::with_capacity(12, 320 + key.len());
        self.start_script(Script::Counter, node, request, &mut argv);
        argv.push(b"2");
        argv.push(&key);
        argv.push(&self.stamping.meta);
        op.encode(&mut argv);
        argv.push(self.stamping.text(node));
        if matches!(op, counter::Op::Add { .. }) {
            self.stats.counter_flushes += 1;
        }
        let target = ReplyTarget::Counter(counter, attempt);
        self.queue(request, target, node, Some(Script::Counter), argv, deadline, background);
    }

    pub(super) fn send_transaction(
        &mut self,
        target: ReplyTarget,
        node: NodeId,
        op: &transaction::Op,
        deadline: Time,
        background: bool,
    ) {
        let request = self.next_request();
        // Enough for a few operations on a few keys.
        let mut argv = Argv::with_capacity(32, 512);
        self.start_script(op.script(), node, request, &mut argv);
        op.encode(&self.stamping.meta, &mut argv);
        if op.script().goes_by_id() {
            argv.push(Stamp::of_member(self.stamping.text(node)));
        }
        self.queue(request, target, node, Some(op.script()), argv, deadline, background);
    }

    /// Whether a server may be sent now what nobody waits for; if not, it is when it answers.
    pub(super) fn admits(&mut self, node: NodeId, target: ReplyTarget) -> bool {
        let state = self.nodes.get_mut(node.0 as usize);
        let admitted = state.is_some_and(|state| state.admits(target, self.now));
        self.reschedule_probe(node);
        admitted
    }

    /// A `WAIT` of so many whole milliseconds.
    pub(super) fn send_wait(
        &mut self,
        target: ReplyTarget,
        node: NodeId,
        replicas: u32,
        span: Span,
        deadline: Time,
    ) {
        let request = self.next_request();
        let mut argv = Argv::new();
        argv.push(b"WAIT");
        argv.push_number(replicas.into());
        argv.push_number(span.as_micros() / 1_000);
        self.queue(request, target, node, None, argv, deadline, true);
    }

    pub(super) fn send_time(&mut self, node: NodeId, for_whom: Handle) {
        let request = self.next_request();
        let argv = [&b"TIME"[..]].into_iter().collect();
        let deadline = self.now + request_timeout(self.timeout);
        self.queue(request, ReplyTarget::Time(for_whom), node, None, argv, deadline, false);
    }

    pub(super) fn ask(&mut self, node: NodeId, kind: QueryKind) -> CallId {
        let call = CallId(self.next_operation());
        let limit = self.now + self.timeout;
        self.queries.insert(
            call,
            Query { node, kind, limit, wake: None, failures: 0, trouble: None, checked: None },
        );
        self.send_query(call, false);
        call
    }

    pub(super) fn send_query(&mut self, id: CallId, background: bool) {
        let Some(call) = self.queries.get(&id) else { return };
        let (node, script) = (call.node, call.kind.script());
        let deadline = (self.now + request_timeout(self.timeout)).min(call.limit);
        let mut arguments = Argv::new();
        let (meta, stamp) = (&self.stamping.meta, self.stamping.text(node));
        call.kind.encode(&self.inbox, meta, stamp, &mut arguments);
        let request = self.next_request();
        let mut argv = Argv::new();
        self.start_script(script, node, request, &mut argv);
        arguments.iter().for_each(|word| argv.push(word));
        self.queue(request, ReplyTarget::Query(id), node, Some(script), argv, deadline, background);
    }

    pub(super) fn send_stamp(&mut self, round: u32, node: NodeId, op: &stamp::Op) {
        let request = self.next_request();
        // It runs once: by its digest it would be asked for in vain.
        let mut argv = Argv::new();
        argv.push(b"EVAL");
        argv.push(Script::Stamp.text().as_bytes());
        op.encode(&self.stamping.meta, &mut argv);
        self.stats.scripts_sent += 1;
        let deadline = self.now + request_timeout(self.timeout);
        self.queue(request, ReplyTarget::Stamp(round), node, None, argv, deadline, false);
    }

    pub(super) fn want_push(&mut self, node: NodeId) {
        let request = self.next_request();
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        if !self.push || state.push != Push::Off {
            return;
        }
        state.push = Push::Opening(request);
        let argv = [&b"SUBSCRIBE"[..], &self.inbox].into_iter().collect();
        // It takes a connection of its own, and several round trips.
        let deadline = self.now + self.timeout;
        self.queue(request, ReplyTarget::Subscription, node, None, argv, deadline, true);
    }

    /// The last request that was made.
    pub(super) const fn last_request(&self) -> RequestId {
        RequestId(self.request_count)
    }

    const fn next_request(&mut self) -> RequestId {
        self.request_count += 1;
        RequestId(self.request_count)
    }

    /// `EVALSHA` and the digest, or `EVAL` and the text where the server is known to need it.
    fn start_script(&mut self, script: Script, node: NodeId, by: RequestId, argv: &mut Argv) {
        let loaded = self.nodes.get_mut(node.0 as usize);
        let loaded = loaded.map(|node| &mut node.scripts[script as usize]);
        let missing = loaded.filter(|loaded| **loaded == ScriptState::Missing);
        if let Some(loaded) = missing {
            *loaded = ScriptState::Loading { by, awaiting_script: alloc::vec::Vec::new() };
        } else if script != Script::Check {
            argv.push(b"EVALSHA");
            argv.push(script.digest().as_bytes());
            return;
        }
        // The check runs once per connection: it would be asked for by digest in vain.
        self.stats.scripts_sent += 1;
        argv.push(b"EVAL");
        argv.push(script.text().as_bytes());
    }

    #[allow(clippy::too_many_arguments, reason = "each is one field of the request")]
    fn queue(
        &mut self,
        request: RequestId,
        target: ReplyTarget,
        node: NodeId,
        script: Option<Script>,
        argv: Argv,
        deadline: Time,
        background: bool,
    ) {
        let urgency = Urgency::Usual;
        self.queue_by(urgency, request, target, node, script, argv, deadline, background);
    }

    #[allow(clippy::too_many_arguments, reason = "each is one field of the request")]
    fn queue_by(
        &mut self,
        urgency: Urgency,
        request: RequestId,
        target: ReplyTarget,
        node: NodeId,
        script: Option<Script>,
        argv: Argv,
        deadline: Time,
        background: bool,
    ) {
        if self.lifecycle == Lifecycle::Closed {
            return;
        }
        let origin = self.origin(target, background);
        let route = match target {
            ReplyTarget::Subscription => Route::Subscribe,
            ReplyTarget::Confirm(..) | ReplyTarget::Wait(..) => Route::Blocking,
            _ => Route::Node,
        };
        let sent_at = self.now;
        let limit = deadline + super::DRIVER_GRACE;
        let pending =
            Request { target, node, script, sent_at, deadline, limit, background, polled: false };
        self.requests.insert(request, pending);
        self.timers.insert(limit, Timer::Request(request));
        self.stats.commands += 1;
        let command = Command { request, node, route, origin, deadline, argv };
        let state = self.nodes.get_mut(node.0 as usize);
        if state.is_some_and(|state| state.outbox.push(urgency, command)) {
            self.ready.insert(node, ());
        }
    }
    /// The operation that a command of `target` serves.
    pub(super) fn origin(&self, target: ReplyTarget, background: bool) -> Origin {
        match target {
            ReplyTarget::Lock(LockId(number), _)
            | ReplyTarget::Counter(CounterId(number), _)
            | ReplyTarget::Query(CallId(number))
            | ReplyTarget::Sweep(CallId(number), _)
            | ReplyTarget::Time(Handle(number))
                if !background =>
            {
                Origin::Operation(number)
            }
            ReplyTarget::Transaction(txid, _) if !background => {
                let of = self.machines.transactions.get(&txid).map(|entry| entry.notes.handle);
                of.map_or(Origin::Background, |Handle(number)| Origin::Operation(number))
            }
            ReplyTarget::Recovery(txid, _) if !background => self.resolving(txid),
            ReplyTarget::Stamp(_) => self.stamping.origin(),
            _ => Origin::Background,
        }
    }
}
