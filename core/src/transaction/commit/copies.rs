//! A transaction that is applied, and whose replicas are waited for.

use alloc::format;
use alloc::vec::Vec;

use super::{Copies, Copying, End, State, Transaction, Vote};
use crate::error::{Error, ErrorCode};
use crate::time::Span;
use crate::transaction::effect::{Cx, Effect};
use crate::transaction::{Copied, Durability};

impl Transaction {
    /// How many replicas have to have it, and for how long they are waited for, if any.
    pub(super) fn durable(&self) -> Option<(u32, Span)> {
        match self.begin.durability {
            Durability::Wait { replicas, timeout } if self.begin.plan.writes() => {
                Some((replicas, timeout))
            }
            _ => None,
        }
    }

    /// Applied everywhere: whether there are replicas to be waited for.
    pub(super) fn replicate(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some((replicas, timeout)) = self.durable() else { return false };
        if self.parts.iter().all(|part| part.copying == Copying::Unasked) {
            self.limit = cx.now + timeout;
        }
        self.state = State::Replicating;
        let until = self.limit;
        for (part, participant) in self.parts.iter_mut().zip(&self.begin.plan.parts) {
            // What nobody knows any more cannot be asked for.
            if part.vote == Vote::Gone && self.begin.plan.parts.len() == 1 {
                part.copying = Copying::Settled;
            }
            if part.copying == Copying::Unasked {
                part.copying = Copying::Asked;
                let to = participant.participant.clone();
                cx.effects.push(Effect::Replicate { to, replicas, until });
            }
        }
        self.parts.iter().any(|part| part.copying == Copying::Asked)
    }

    /// What is known of the replicas of the participant at `place`.
    pub(crate) fn on_copied(&mut self, place: usize, copied: Copied, cx: &mut Cx<'_>) {
        let Some((wanted, _)) = self.durable() else { return };
        let (single, Some(part)) = (self.parts.len() == 1, self.parts.get_mut(place)) else {
            return;
        };
        if part.copying != Copying::Asked {
            return;
        }
        match copied {
            Copied::Replicas { count, last } => {
                part.copies = Copies { replicas: count, error: None };
                if last || count >= wanted {
                    part.copying = Copying::Settled;
                }
            }
            Copied::Failed(error) => part.copies.error = Some(error),
            Copied::Unfinished if !single => {
                (part.end, part.copying) = (End::Open, Copying::Unasked);
                self.state = State::Finishing;
                self.send(place, cx);
            }
            Copied::Unfinished | Copied::Gone => self.damaged(place, cx),
        }
        self.end_if_over(cx);
    }

    /// What is known of all replicas, if somebody wants to know.
    pub(super) fn copies(&self) -> Option<Vec<Copies>> {
        let (wanted, _) = self.durable()?;
        let of = |part: &super::Part| {
            let Copies { replicas, error } = part.copies.clone();
            let few = || {
                let message = format!("{replicas} of {wanted} replicas are known to have it");
                Error::new(ErrorCode::NoAnswer, message)
            };
            let error = (replicas < wanted).then(|| error.unwrap_or_else(few));
            Copies { replicas, error }
        };
        Some(self.parts.iter().map(of).collect())
    }
}
