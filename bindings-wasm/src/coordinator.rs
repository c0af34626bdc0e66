//! The border of the core, but for counters and transactions.

use alloc::vec::Vec;

use comity::coordinator::{self, Config};
use comity::event::CallId;
use comity::lock::{Fence, LockId, LockOptions};
use comity::redis::{Command, Failure, NodeChange, NodeId, Origin, RequestId, Route};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::{Result, outcome, unpacked};
use crate::event;
use crate::pack::{Reader, Writer, number, whole};
use crate::reply;
use crate::ring::RawRing;

/// A coordinator.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawCoordinator {
    pub(crate) core: coordinator::Coordinator,
}

pub(crate) const fn at(now: f64) -> Time {
    Time::from_micros(whole(now))
}

pub(crate) const fn span(us: f64) -> Span {
    Span::from_micros(whole(us))
}

/// Nodes as `[id, weight as 8 bytes]`.
pub(crate) fn specs(packed: &[u8]) -> Option<Vec<NodeSpec>> {
    Reader::new(packed).each(|bytes| {
        let id = bytes.bytes()?;
        Some(NodeSpec::new(id, u32::try_from(bytes.wide()?).ok()?))
    })
}

#[wasm_bindgen]
#[allow(missing_docs, reason = "js/core/coordinator.ts has the documentation")]
impl RawCoordinator {
    /// # Errors
    /// As thrown.
    #[wasm_bindgen(constructor)]
    pub fn new(
        nodes: &[u8],
        prefix: &[u8],
        timeout: f64,
        push: bool,
        entropy: &[u8],
        now: f64,
    ) -> Result<RawCoordinator> {
        let nodes = unpacked(specs(nodes))?;
        let seed: [u8; 32] = unpacked(entropy.try_into().ok())?;
        let config = Config { nodes, prefix: prefix.to_vec(), timeout: span(timeout), push };
        let core = outcome(coordinator::Coordinator::new(config, seed, at(now)))?;
        Ok(Self { core })
    }

    /// # Errors
    /// As thrown.
    #[allow(clippy::too_many_arguments, reason = "an object would cost as much as the call")]
    pub fn lock_acquire(
        &mut self,
        name: &[u8],
        ttl: f64,
        wait: Option<f64>,
        renew: bool,
        max_hold: Option<f64>,
        label: &[u8],
        now: f64,
    ) -> Result<f64> {
        let options = LockOptions {
            ttl: span(ttl),
            wait: wait.map(span),
            renew,
            max_hold: max_hold.map(span),
            label: label.to_vec(),
        };
        Ok(number(outcome(self.core.lock_acquire(name, options, at(now)))?.0))
    }

    /// # Errors
    /// As thrown.
    pub fn lock_release(&mut self, lock: f64, now: f64) -> Result<()> {
        outcome(self.core.lock_release(LockId(whole(lock)), at(now)))
    }

    pub fn lock_cancel(&mut self, lock: f64, now: f64) {
        self.core.lock_cancel(LockId(whole(lock)), at(now));
    }

    /// # Errors
    /// As thrown.
    pub fn lock_renew(&mut self, lock: f64, ttl: Option<f64>, now: f64) -> Result<()> {
        outcome(self.core.lock_renew(LockId(whole(lock)), ttl.map(span), at(now)))
    }

    #[must_use]
    pub fn lock_is_held(&self, lock: f64, now: f64) -> bool {
        self.core.lock_is_held(LockId(whole(lock)), at(now))
    }

    #[must_use]
    pub fn lock_valid_until(&self, lock: f64) -> Option<f64> {
        self.core.lock_valid_until(LockId(whole(lock))).map(|until| number(until.as_micros()))
    }

    /// # Errors
    /// As thrown.
    pub fn lock_inspect(&mut self, name: &[u8], now: f64) -> Result<f64> {
        called(self.core.lock_inspect(name, at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn fence_check(&mut self, resource: &[u8], fence: f64, now: f64) -> Result<f64> {
        called(self.core.fence_check(resource, Fence(whole(fence)), at(now)))
    }

    /// # Errors
    /// As thrown.
    pub fn check_nodes(&mut self, now: f64) -> Result<Vec<f64>> {
        let calls = outcome(self.core.check_nodes(at(now)))?;
        Ok(calls.into_iter().map(|call| number(call.0)).collect())
    }

    /// # Errors
    /// As thrown.
    pub fn handle_reply(&mut self, request: f64, packed: &[u8], now: f64) -> Result<()> {
        let reply = unpacked(reply::read(&mut Reader::new(packed)))?;
        self.core.handle_reply(RequestId(whole(request)), &reply, at(now));
        Ok(())
    }

    pub fn handle_failure(&mut self, request: f64, sent: bool, now: f64) {
        let failure = if sent { Failure::OutcomeUnknown } else { Failure::NotSent };
        self.core.handle_failure(RequestId(whole(request)), failure, at(now));
    }

    pub fn handle_node(&mut self, node: u32, change: u8, now: f64) {
        let change = match change {
            0 => NodeChange::Connected,
            1 => NodeChange::Lost,
            2 => NodeChange::PushReady,
            _ => NodeChange::PushLost,
        };
        self.core.handle_node(NodeId(node), change, at(now));
    }

    pub fn handle_unreachable(&mut self, node: u32, reason: &str, lasting: bool, now: f64) {
        self.core.handle_unreachable(NodeId(node), reason, lasting, at(now));
    }

    pub fn handle_refused(&mut self, node: u32, text: &str, now: f64) {
        self.core.handle_refused(NodeId(node), text.as_bytes(), at(now));
    }

    pub fn handle_message(&mut self, node: u32, channel: &[u8], payload: &[u8], now: f64) {
        self.core.handle_message(NodeId(node), channel, payload, at(now));
    }

    pub fn handle_clock_gap(&mut self, now: f64) {
        self.core.handle_clock_gap(at(now));
    }

    pub fn handle_timeout(&mut self, now: f64) {
        self.core.handle_timeout(at(now));
    }

    /// The next command, packed; nothing if there is none.
    pub fn poll_command(&mut self) -> Option<Vec<u8>> {
        self.core.poll_command().map(|command| packed(&command))
    }

    pub fn poll_command_for(&mut self, node: u32) -> Option<Vec<u8>> {
        self.core.poll_command_for(NodeId(node)).map(|command| packed(&command))
    }

    /// The next event, packed; nothing if there is none.
    pub fn poll_event(&mut self) -> Option<Vec<u8>> {
        self.core.poll_event().map(|event| event::write(&event))
    }

    #[must_use]
    pub fn next_deadline(&self) -> Option<f64> {
        self.core.next_deadline().map(|deadline| number(deadline.as_micros()))
    }

    /// Names and numbers.
    #[must_use]
    pub fn stats(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.each(self.core.stats().fields().into_iter(), |out, (name, count)| {
            out.bytes(name.as_bytes()).number(count);
        });
        out.finish()
    }

    pub fn close(&mut self, now: f64) {
        self.core.close(at(now));
    }

    #[must_use]
    pub fn ring(&self) -> RawRing {
        RawRing::of(self.core.ring().clone())
    }

    #[must_use]
    pub fn node_id(&self, node: u32) -> Option<Vec<u8>> {
        self.core.node_id(NodeId(node)).map(<[u8]>::to_vec)
    }

    #[must_use]
    pub fn inbox(&self) -> Vec<u8> {
        self.core.inbox().to_vec()
    }
}

/// The number of a call.
pub(crate) fn called(call: comity::error::Result<CallId>) -> Result<f64> {
    Ok(number(outcome(call)?.0))
}

/// A command: request, node, route, deadline, origin, words.
fn packed(command: &Command) -> Vec<u8> {
    let length: usize = command.argv.iter().map(|word| word.len() + 4).sum();
    let mut out = Writer::with_capacity(length + 40);
    out.number(command.request.0).number(command.node.0.into());
    out.byte(routed(command.route)).number(command.deadline.as_micros());
    let origin = match command.origin {
        Origin::Operation(number) => Some(number),
        Origin::Background => None,
    };
    out.option(origin, Writer::number);
    out.each(command.argv.iter(), |out, word| _ = out.bytes(word));
    out.finish()
}

/// In the order of `js/core/coordinator.ts`.
const fn routed(route: Route) -> u8 {
    match route {
        Route::Subscribe => 1,
        Route::Blocking => 2,
        _ => 0,
    }
}
