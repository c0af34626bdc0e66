//! Commands that get no answer: a driver gives each up by its deadline, and says so.
#![allow(clippy::redundant_pub_crate, reason = "some tests take this file alone")]

use comity::coordinator::Coordinator;
use comity::redis::{Command, Failure, RequestId};
use comity::time::Time;

/// The commands of one coordinator that are not answered, and when each is given up.
#[derive(Clone, Default)]
pub(crate) struct Unanswered(Vec<(Time, RequestId)>);

impl Unanswered {
    pub(crate) fn push(&mut self, command: &Command) {
        self.0.push((command.deadline, command.request));
    }

    /// When something happens by itself.
    pub(crate) fn next(&self, co: &Coordinator) -> Option<Time> {
        let given_up = self.0.iter().map(|(at, _)| *at);
        given_up.chain(co.next_deadline()).min()
    }

    /// Has `now` come: what is due is given up, the earliest first.
    pub(crate) fn wake(&mut self, co: &mut Coordinator, now: Time) {
        self.0.sort();
        for (_, request) in self.0.extract_if(.., |(at, _)| *at <= now) {
            co.handle_failure(request, Failure::OutcomeUnknown, now);
        }
        co.handle_timeout(now);
    }
}
