//! One client of the harness, its clock, and how its user behaves.

use std::collections::BTreeMap;

use comity::coordinator::Coordinator;
use comity::event::Event;
use comity::lock::LockId;
use comity::time::Time;

use super::Rng;

pub(crate) struct Client {
    /// None after a crash.
    pub(crate) co: Option<Coordinator>,
    pub(crate) origin: u64,
    /// How much faster its clock runs, in parts per million.
    pub(crate) ppm: i64,
    /// How long its clock has stood still.
    pub(crate) stood: u64,
    pub(crate) asleep_until: u64,
    pub(crate) subscribed: bool,
    pub(crate) wake: Option<u64>,
    /// Locks that have not come to their last event, with name and fence.
    pub(crate) open: BTreeMap<LockId, (Vec<u8>, Option<u64>)>,
    pub(crate) events: Vec<(u64, Event)>,
}

impl Client {
    pub(crate) fn local(&self, now: u64) -> Time {
        let run = i128::from(now - self.stood);
        let run = run + run * i128::from(self.ppm) / 1_000_000;
        Time::from_micros(self.origin + run as u64)
    }

    /// The first true moment at which the client's clock shows `time`.
    pub(crate) fn true_time(&self, time: Time) -> u64 {
        let run = i128::from(time.as_micros().saturating_sub(self.origin));
        let guess = (run * 1_000_000 / i128::from(1_000_000 + self.ppm)) as u64;
        let mut now = (guess + self.stood).saturating_sub(3).max(self.stood);
        while self.local(now) < time {
            now += 1;
        }
        now
    }
}

/// How the clients behave.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) clients: usize,
    pub(crate) names: u64,
    pub(crate) ttl_ms: Vec<u64>,
    pub(crate) hold_ms: u64,
    pub(crate) waits_s: Vec<Option<u64>>,
    /// Clocks run at most this much fast or slow.
    pub(crate) ppm: u64,
    pub(crate) push: bool,
    /// Every lease is renewed as it is, until it is given back.
    pub(crate) keeps: bool,
    /// How long a user waits between two deeds, at most.
    pub(crate) idle_ms: u64,
}

impl Workload {
    pub(crate) fn usual() -> Self {
        Self {
            clients: 4,
            names: 2,
            ttl_ms: vec![60, 500, 3_000, 30_000],
            hold_ms: 1_500,
            waits_s: vec![None, Some(0), Some(1), Some(20)],
            ppm: 5_000,
            push: true,
            keeps: false,
            idle_ms: 2_000,
        }
    }

    /// One kind of many, so that runs differ.
    pub(crate) fn swarm(rng: &mut Rng) -> Self {
        Self {
            clients: rng.between(2, 5) as usize,
            names: rng.between(1, 2),
            ttl_ms: if rng.chance(300) { vec![500, 30_000] } else { Self::usual().ttl_ms },
            hold_ms: rng.pick(&[100, 1_500, 20_000]),
            push: rng.chance(850),
            ..Self::usual()
        }
    }
}
