//! Which machine, or what else, it is for that something has come of a command.

use super::machines::Kind;
use super::{Coordinator, ReplyTarget, Request};
use crate::counter::{self, Counter};
use crate::error::Error;
use crate::lock::Lock;
use crate::machine::{Attempt, Failed, Outcome, Refused};
use crate::redis::{NodeId, Reply};
use crate::stamp::Seen;
use crate::transaction::{Recovery, Replication, Sweeper, Transaction};

/// What has come of a command.
pub(super) enum Input<'a> {
    Reply(&'a Request, &'a Reply),
    Failed(Failed),
    Refused(Refused),
    /// It was not executed, and is to be sent again.
    Again,
}

/// What a machine is answered.
pub(super) trait Read: Sized {
    /// What a reply means, of which is kept what it shows of its server.
    fn read(core: &mut Coordinator, pending: &Request, reply: &Reply) -> Outcome<Self>;
}

impl Read for counter::Answer {
    fn read(_: &mut Coordinator, pending: &Request, reply: &Reply) -> Outcome<Self> {
        pending.outcome(reply, Self::decode(reply))
    }
}

impl Coordinator {
    pub(super) fn dispatch(
        &mut self,
        target: ReplyTarget,
        node: NodeId,
        background: bool,
        input: Input<'_>,
    ) {
        match target {
            ReplyTarget::Lock(id, of) => self.hand::<Lock>(id, of, background, input),
            ReplyTarget::Counter(id, of) => self.hand::<Counter>(id, of, background, input),
            ReplyTarget::Transaction(id, of) => self.hand::<Transaction>(id, of, background, input),
            ReplyTarget::Recovery(id, of) => self.hand::<Recovery>(id, of, background, input),
            ReplyTarget::Sweep(id, of) => self.hand::<Sweeper>(id, of, background, input),
            ReplyTarget::Confirm(id, of) => self.hand::<Replication>(id, of, true, input),
            ReplyTarget::Wait(id, of) => match input {
                Input::Reply(_, reply) => self.on_wait_reply(id, of, reply),
                Input::Again => {}
                _ => self.hand::<Replication>(id, of, true, input),
            },
            ReplyTarget::Query(call) => match input {
                Input::Reply(_, reply) => self.on_query_reply(call, background, reply),
                Input::Again => self.resend_query(call, background),
                _ => input.trouble(|error, lasting| self.on_query_failed(call, error, !lasting)),
            },
            ReplyTarget::Stamp(round) => match input {
                Input::Reply(_, reply) => self.on_stamp_reply(round, node, reply),
                _ => input.trouble(|error, lasting| {
                    self.on_seen(round, node, Seen::Missing { error, lasting });
                }),
            },
            ReplyTarget::Subscription => match input {
                Input::Reply(_, Reply::Error(text)) => {
                    self.on_push_failed(node, Refused::of(text).error);
                }
                Input::Reply(..) => self.on_push_ready(node),
                _ => input.trouble(|error, _| self.on_push_failed(node, error)),
            },
            ReplyTarget::Time(_) => match input {
                Input::Reply(pending, reply) => self.on_time_reply(pending, reply),
                _ => input.trouble(|error, lasting| self.on_no_clock(node, &error, lasting)),
            },
        }
    }

    fn hand<M: Kind>(&mut self, id: M::Id, of: Attempt, background: bool, input: Input<'_>) {
        let outcome = match input {
            Input::Reply(pending, reply) => M::Answer::read(self, pending, reply),
            Input::Failed(failed) => Outcome::Failed(failed),
            Input::Refused(refused) => Outcome::Refused(refused),
            Input::Again => {
                self.step::<M, _>(id, background, |machine, cx| machine.on_script_missing(of, cx));
                return;
            }
        };
        self.step::<M, _>(id, background, |machine, cx| machine.on_outcome(of, outcome, cx));
    }
}

impl Input<'_> {
    /// It was not executed.
    pub(super) const fn refused(error: Error, transient: bool) -> Self {
        Self::Refused(Refused::new(error, transient, false))
    }

    /// Hands an error to `what`, and whether it stays.
    fn trouble(self, what: impl FnOnce(Error, bool)) {
        match self {
            Self::Failed(Failed { error, lasting, .. }) => what(error, lasting),
            Self::Refused(Refused { error, transient, .. }) => what(error, !transient),
            Self::Reply(..) | Self::Again => {}
        }
    }
}
