//! The machines without a coordinator around them, so that a model checker can drive them.
//!
//! Chance is the same in every call, and time is what the caller says, even if it runs backwards:
//! what differs between two states then makes a difference.

use alloc::vec::Vec;

use super::call::Sessions;
use super::effect::{Cx, Effect, Outcome};
use super::plan::Places;
use super::{
    Answer, Begin, Copied, CopyLimits, Expectation, Recovery, Slot, Task, Transaction,
    TransactionId, TransactionPlan, Txid, Words,
};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorCode, Result};
use crate::machine::{Attempt, Failed, Machine, Refused};
use crate::redis::{Failure, NodeId};
use crate::stamp::Stamp;
use crate::time::{Span, Time};

/// How long one command may take.
pub const REQUEST_TIMEOUT: Span = Span::from_secs(1);
/// How long a recovery goes on without an answer.
pub const TIMEOUT: Span = Span::from_secs(3_600);

fn with_cx<T>(now: Time, effects: &mut Vec<Effect>, step: impl FnOnce(&mut Cx<'_>) -> T) -> T {
    step(&mut Cx {
        now,
        entropy: &mut Entropy::new([0; 32]),
        effects,
        request_timeout: REQUEST_TIMEOUT,
        timeout: TIMEOUT,
        background: false,
        node: (),
    })
}

macro_rules! model {
    ($(#[$doc:meta])* $name:ident of $machine:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name($machine);

        impl $name {
            /// The answer to `attempt`.
            pub fn answered(&mut self, attempt: Attempt, answer: Answer, now: Time) -> Vec<Effect> {
                self.step(now, |m, cx| m.on_outcome(attempt, Outcome::Answered(answer, now), cx))
            }

            /// There is no answer to `attempt`.
            pub fn failed(&mut self, attempt: Attempt, now: Time) -> Vec<Effect> {
                let error = Error::new(ErrorCode::NoAnswer, "no answer");
                let failure = Failure::OutcomeUnknown;
                let outcome = Outcome::Failed(Failed { failure, error, lasting: false });
                self.step(now, |m, cx| m.on_outcome(attempt, outcome, cx))
            }

            /// The server does not take `attempt`, and will not.
            pub fn refused(&mut self, attempt: Attempt, error: Error, now: Time) -> Vec<Effect> {
                let outcome = Outcome::Refused(Refused::new(error, false, true));
                self.step(now, |m, cx| m.on_outcome(attempt, outcome, cx))
            }

            /// The server lacks the script that `attempt` is for.
            pub fn script_missing(&mut self, attempt: Attempt, now: Time) -> Vec<Effect> {
                self.step(now, |m, cx| m.on_script_missing(attempt, cx))
            }

            /// Whether the answer to `attempt` is waited for.
            #[must_use]
            pub fn awaits(&self, attempt: Attempt) -> bool {
                self.0.awaits(attempt)
            }

            /// Time has passed.
            pub fn timeout(&mut self, now: Time) -> Vec<Effect> {
                self.step(now, |m, cx| m.on_timeout(cx))
            }

            /// The moment at which there is something to do.
            #[must_use]
            pub fn deadline(&self) -> Option<Time> {
                self.0.deadline()
            }

            fn step(
                &mut self,
                now: Time,
                step: impl FnOnce(&mut $machine, &mut Cx<'_>),
            ) -> Vec<Effect> {
                let mut effects = Vec::new();
                with_cx(now, &mut effects, |cx| step(&mut self.0, cx));
                effects
            }
        }
    };
}

model! {
    /// The machine of one transaction.
    TransactionMachine of Transaction
}

model! {
    /// The machine of one recovery.
    RecoveryMachine of Recovery
}

impl TransactionMachine {
    /// Begins.
    #[must_use]
    pub fn new(begin: Begin, now: Time) -> (Self, Vec<Effect>) {
        let mut effects = Vec::new();
        let machine = with_cx(now, &mut effects, |cx| Transaction::new(begin, cx));
        (Self(machine), effects)
    }

    /// What is known of the replicas of the participant at `place`.
    pub fn copied(&mut self, place: usize, copied: Copied, now: Time) -> Vec<Effect> {
        self.step(now, |machine, cx| machine.on_copied(place, copied, cx))
    }

    /// Its user gives it up.
    pub fn cancel(&mut self, now: Time) -> Vec<Effect> {
        self.step(now, |machine, cx| machine.cancel(cx))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.0.id()
    }

    /// Whether commands of other transactions on its keys may be sent behind what it has sent.
    #[must_use]
    pub const fn releases_keys(&self) -> bool {
        self.0.releases_keys()
    }

    /// What becomes of its slot, when it is done.
    #[must_use]
    pub const fn slot(&self) -> Option<Slot> {
        self.0.slot()
    }
}

impl RecoveryMachine {
    /// Begins at once.
    #[must_use]
    pub fn new(task: Task, now: Time) -> (Self, Vec<Effect>) {
        let mut effects = Vec::new();
        let machine = with_cx(now, &mut effects, |cx| Recovery::new(task, Span::ZERO, cx));
        (Self(machine), effects)
    }

    /// The participant that `attempt` is for is not known.
    pub fn unknown_node(&mut self, attempt: Attempt, now: Time) -> Vec<Effect> {
        self.step(now, |machine, cx| machine.on_unknown_node(attempt, cx))
    }

    /// The transaction that is recovered.
    #[must_use]
    pub const fn id(&self) -> &TransactionId {
        self.0.id()
    }

    /// A lock was found again, and its holder's patience is over.
    pub fn expedite(&mut self, now: Time) -> Vec<Effect> {
        self.step(now, |machine, cx| machine.expedite(cx))
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.is_done()
    }
}

/// The sessions of one client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct SessionPool(Sessions);

impl SessionPool {
    /// An id that was never used. The first session's number is `seed`'s.
    pub fn take(&mut self, seed: u8) -> Txid {
        self.0.take(&mut Entropy::new([seed; 32]))
    }

    /// Its slot may be used again.
    pub fn give_back(&mut self, txid: Txid) {
        self.0.give_back(txid);
    }

    /// Its slot may be used again a day after its server's clock, which nobody knows, showed.
    pub fn keep(&mut self, txid: Txid) {
        self.0.keep(txid, NodeId(0), None);
    }

    /// Its slot may never be used again.
    pub fn pin(&mut self, txid: Txid) {
        self.0.pin(txid);
    }
}

struct By<F>(F, Stamp);

impl<F: Fn(&[u8]) -> Vec<u8>> Places for By<F> {
    fn participant_of(&self, key: &[u8]) -> Option<Vec<u8>> {
        Some((self.0)(key))
    }

    fn stamp(&self) -> Stamp {
        self.1
    }

    fn is_own(&self, key: &[u8]) -> bool {
        key.starts_with(b"comity:")
    }
}

/// A plan for keys that are where `place` says. Keys that begin with `comity:` are comity's own.
///
/// # Errors
/// As for a transaction of a coordinator.
pub fn plan(
    commands: &[Words],
    expectations: &[Expectation],
    ring: Stamp,
    place: impl Fn(&[u8]) -> Vec<u8>,
) -> Result<TransactionPlan> {
    TransactionPlan::new(commands, expectations, CopyLimits::default(), &By(place, ring))
}
