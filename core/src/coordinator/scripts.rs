//! Scripts that a server does not have, and commands that are sent again once it has them, or answers
//! again.

use super::node::ScriptState;
use super::{Coordinator, ReplyTarget, Request, Timer};
use crate::counter::Counter;
use crate::lock::Lock;
use crate::machine::Machine;
use crate::redis::{NodeId, RequestId};
use crate::transaction::commit::Transaction;
use crate::transaction::recovery::Recovery;
use crate::transaction::replication::Replication;
use crate::transaction::sweep::Sweeper;

impl Coordinator {
    /// One command per node brings the text, the others wait for it.
    pub(super) fn on_script_missing(&mut self, pending: &Request) {
        let (Some(script), Some(node)) =
            (pending.script, self.nodes.get_mut(pending.node.0 as usize))
        else {
            return;
        };
        match &mut node.scripts[script as usize] {
            ScriptState::Loading { awaiting_script, .. } => awaiting_script.push(pending.target),
            loaded => {
                *loaded = ScriptState::Missing;
                self.resend(pending.target, pending.background);
            }
        }
    }

    pub(super) fn resend(&mut self, target: ReplyTarget, background: bool) {
        match target {
            ReplyTarget::Lock(lock, attempt) => {
                self.step::<Lock, _>(lock, background, |machine, cx| {
                    machine.on_script_missing(attempt, cx);
                });
            }
            ReplyTarget::Counter(counter, attempt) => {
                self.step::<Counter, _>(counter, background, |machine, cx| {
                    machine.on_script_missing(attempt, cx);
                });
            }
            ReplyTarget::Query(call) => self.resend_query(call, background),
            ReplyTarget::Transaction(txid, attempt) => {
                self.step::<Transaction, _>(txid, background, |machine, cx| {
                    machine.on_script_missing(attempt, cx);
                });
            }
            ReplyTarget::Recovery(txid, attempt) => {
                self.step::<Recovery, _>(txid, background, |machine, cx| {
                    machine.on_script_missing(attempt, cx);
                });
            }
            ReplyTarget::Sweep(call, attempt) => {
                self.step::<Sweeper, _>(call, background, |machine, cx| {
                    machine.on_script_missing(attempt, cx);
                });
            }
            ReplyTarget::Confirm(node, attempt) => {
                self.step::<Replication, _>(node, true, |machine, cx| {
                    machine.on_script_missing(attempt, cx);
                });
            }
            ReplyTarget::Wait(..)
            | ReplyTarget::Time(_)
            | ReplyTarget::Stamp(_)
            | ReplyTarget::Subscription => {}
        }
    }

    /// Whether this request brings a script.
    pub(super) fn is_loading(&self, node: NodeId, request: RequestId) -> bool {
        let scripts = self.nodes.get(node.0 as usize).map_or(&[][..], |node| &node.scripts);
        scripts
            .iter()
            .any(|loaded| matches!(loaded, ScriptState::Loading { by, .. } if *by == request))
    }

    /// Sends the commands again that awaited the script of this request, whatever came of that.
    pub(super) fn release_awaiting_script(&mut self, node: NodeId, request: RequestId) {
        let Some(node) = self.nodes.get_mut(node.0 as usize) else { return };
        let loading = node
            .scripts
            .iter_mut()
            .find(|loaded| matches!(loaded, ScriptState::Loading { by, .. } if *by == request));
        let Some(loaded) = loading else { return };
        if let ScriptState::Loading { awaiting_script, .. } =
            core::mem::replace(loaded, ScriptState::Assumed)
        {
            for target in awaiting_script {
                self.resend(target, true);
            }
        }
    }

    /// Sends one command again, to find out whether a silent server answers. Its target may be gone.
    pub(super) fn on_probe_timeout(&mut self, node: NodeId) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        state.probe_scheduled_at = None;
        if let Some(target) = state.release_one() {
            self.resend(target, true);
        }
        self.reschedule_probe(node);
    }

    pub(super) fn reschedule_probe(&mut self, node: NodeId) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        let due = state.probe_due();
        self.timers.adjust(Timer::Probe(node), &mut state.probe_scheduled_at, due);
    }
}
