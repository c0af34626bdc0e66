//! When a lease ends on our own clock.
//!
//! A server says how long a lease lasts on *its* clock. What we know of the relation between the
//! two clocks is one exchange: the server's `now` was read after we sent the command. So a moment
//! of the server is on our clock at the earliest `sent_at + (moment - server_now)`, and the two
//! clocks may drift apart by 1 % on the way there. Taking the earliest keeps a lease from being
//! believed longer than the server honours it.

use crate::keyspace::ServerTime;
use crate::time::{Span, Time};

/// Clocks are assumed to run at most this much apart: one part in a hundred.
const DRIFT: (u64, u64) = (1, 100);
/// And to be read no better than this.
const GRANULARITY: Span = Span::from_millis(2);

/// One exchange with a server whose answer had its clock's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClockSample {
    /// When we sent the command.
    pub sent_at: Time,
    /// The server's clock when it executed it.
    pub server_now: ServerTime,
}

/// What is taken off a span measured on another clock: 1 % and 2 ms.
const fn drift(span: Span) -> Span {
    Span::from_micros(span.part(DRIFT.0, DRIFT.1).as_micros() + GRANULARITY.as_micros())
}

impl ClockSample {
    /// The moment on our clock until which something that ends at `expiry` certainly lasts.
    #[must_use]
    pub fn valid_until(self, expiry: ServerTime) -> Time {
        let span = expiry.since(self.server_now);
        self.sent_at + (span - drift(span))
    }

    /// The latest that the server's clock can show at `now`.
    #[must_use]
    pub fn latest_server_time(self, now: Time) -> ServerTime {
        let span = now.since(self.sent_at);
        self.server_now.after(span + drift(span))
    }

    /// The one of two exchanges that proves more of a lease to come; `new` if the server's clock
    /// has stepped ahead since `old`, seen at `now`.
    #[must_use]
    pub fn better(old: Option<Self>, new: Self, now: Time) -> Self {
        let Some(old) = old else { return new };
        if new.server_now > old.latest_server_time(now) {
            return new;
        }
        let reach = new.server_now.max(old.server_now).after(Span::from_secs(1));
        if old.valid_until(reach) > new.valid_until(reach) { old } else { new }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn clock_sample(sent_at: u64, server_now: u64) -> ClockSample {
        ClockSample { sent_at: Time::from_micros(sent_at), server_now: ServerTime(server_now) }
    }

    #[test]
    fn a_lease_is_shortened_by_one_percent_and_two_milliseconds() {
        let until = clock_sample(1_000, 5_000_000).valid_until(ServerTime(15_000_000));
        assert_eq!(until, Time::from_micros(1_000 + 10_000_000 - 100_000 - 2_000));
        assert_eq!(clock_sample(1_000, 9).valid_until(ServerTime(5)), Time::from_micros(1_000));
    }

    #[test]
    fn the_better_anchor_has_the_shorter_trip_or_the_later_moment() {
        let now = Time::from_micros(3_000_000);
        let slow = clock_sample(0, 1_000_000);
        let fast = clock_sample(900_000, 1_500_000);
        assert_eq!(ClockSample::better(Some(slow), fast, now), fast);
        let late = clock_sample(2_000_000, 2_000_000);
        assert_eq!(ClockSample::better(Some(fast), late, now), late);
        let slower = clock_sample(1_000_000, 2_400_000);
        assert_eq!(ClockSample::better(Some(fast), slower, now), fast);
        let stepped_ahead = clock_sample(1_000_000, 60_000_000);
        assert_eq!(ClockSample::better(Some(fast), stepped_ahead, now), stepped_ahead);
    }
}
