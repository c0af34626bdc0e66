//! Scripts that a server does not have, and commands that are sent again once it has them, or answers
//! again.

use super::dispatch::Input;
use super::node::ScriptState;
use super::{Coordinator, Request, Timer};
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
            ScriptState::Loading { awaiting_script, .. } => awaiting_script.push(pending.target),
            loaded => {
                *loaded = ScriptState::Missing;
                self.dispatch(pending.target, pending.node, pending.background, Input::Again);
            }
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
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        let loading = state
            .scripts
            .iter_mut()
            .find(|loaded| matches!(loaded, ScriptState::Loading { by, .. } if *by == request));
        let Some(loaded) = loading else { return };
        if let ScriptState::Loading { awaiting_script, .. } =
            core::mem::replace(loaded, ScriptState::Assumed)
        {
            for target in awaiting_script {
                self.dispatch(target, node, true, Input::Again);
            }
        }
    }

    /// Sends one command again, to find out whether a silent server answers. Its target may be gone.
    pub(super) fn on_probe_timeout(&mut self, node: NodeId) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        state.probe_scheduled_at = None;
        if let Some(target) = state.release_one() {
            self.dispatch(target, node, true, Input::Again);
        }
        self.reschedule_probe(node);
    }

    pub(super) fn reschedule_probe(&mut self, node: NodeId) {
        let Some(state) = self.nodes.get_mut(node.0 as usize) else { return };
        let due = state.probe_due();
        self.timers.adjust(Timer::Probe(node), &mut state.probe_scheduled_at, due);
    }
}
