//! Scripts that a server does not have, and who is sent again once it has them, or answers again.

use super::node::Loaded;
use super::{Coordinator, Owner, Request, Timer};
use crate::redis::{NodeId, RequestId};

impl Coordinator {
    /// One command per node brings the text, the others wait for it.
    pub(super) fn on_script_missing(&mut self, pending: &Request) {
        let (Some(script), Some(node)) =
            (pending.script, self.nodes.get_mut(pending.node.0 as usize))
        else {
            return;
        };
        match &mut node.scripts[script as usize] {
            Loaded::Loading { parked, .. } => parked.push(pending.owner),
            loaded => {
                *loaded = Loaded::Missing;
                self.resend(pending.owner, pending.background);
            }
        }
    }

    pub(super) fn resend(&mut self, owner: Owner, background: bool) {
        match owner {
            Owner::Lock(lock, attempt) => {
                self.with_lock(lock, background, |machine, cx| {
                    machine.on_script_missing(attempt, cx);
                });
            }
            Owner::Counter(counter, attempt) => {
                self.with_counter(counter, background, |machine, cx| {
                    machine.on_script_missing(attempt, cx);
                });
            }
            Owner::Call(call) => self.resend_call(call, background),
            Owner::Transaction(txid, attempt) => {
                self.with_transaction(txid, background, |m, cx| m.on_script_missing(attempt, cx));
            }
            Owner::Recovery(txid, attempt) => {
                self.with_recovery(txid, background, |m, cx| m.on_script_missing(attempt, cx));
            }
            Owner::Sweep(call, attempt) => {
                self.with_sweep(call, background, |m, cx| m.on_script_missing(attempt, cx));
            }
            Owner::Confirm(node, attempt) => {
                self.with_replication(node, |m, cx| m.on_script_missing(attempt, cx));
            }
            Owner::Wait(..) | Owner::Time(_) | Owner::Stamp(_) | Owner::Subscription => {}
        }
    }

    /// Whether this request brings a script.
    pub(super) fn is_loading(&self, node: NodeId, request: RequestId) -> bool {
        let scripts = self.nodes.get(node.0 as usize).map_or(&[][..], |node| &node.scripts);
        scripts.iter().any(|loaded| matches!(loaded, Loaded::Loading { by, .. } if *by == request))
    }

    /// Whatever came of the command that brought a script: the others may try now.
    pub(super) fn unpark(&mut self, node: NodeId, request: RequestId) {
        let Some(node) = self.nodes.get_mut(node.0 as usize) else { return };
        let loading = node
            .scripts
            .iter_mut()
            .find(|loaded| matches!(loaded, Loaded::Loading { by, .. } if *by == request));
        let Some(loaded) = loading else { return };
        if let Loaded::Loading { parked, .. } = core::mem::replace(loaded, Loaded::Assumed) {
            for owner in parked {
                self.resend(owner, true);
            }
        }
    }

    /// Lets somebody find out whether a silent server answers again. Whoever it was for may be gone.
    pub(super) fn on_probe_timeout(&mut self, node: NodeId) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        state.probe_indexed = None;
        if let Some(owner) = state.unpark_one() {
            self.resend(owner, true);
        }
        self.index_probe(node);
    }

    pub(super) fn index_probe(&mut self, node: NodeId) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        let due = state.probe_due();
        self.timers.adjust(Timer::Probe(node), &mut state.probe_indexed, due);
    }
}
