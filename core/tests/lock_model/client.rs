//! One client of the model: a real coordinator, its clock, its user, and what is on its way
//! between it and the server.

use comity::coordinator::{Config, Coordinator};
use comity::event::Event;
use comity::lock::{LockId, LockOptions};
use comity::redis::{Argv, Command, NodeChange, NodeId, Reply, RequestId, Route};
use comity::ring::NodeSpec;
use comity::time::Time;

pub(crate) const NODE: NodeId = NodeId(0);
/// The lock that all clients want, and its state key.
pub(crate) const NAME: &[u8] = b"job";
pub(crate) const STATE: &[u8] = b"comity:1:lock:{job}";

/// A client's clock. Where it begins means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Clock {
    /// How much faster than the server's it runs, in parts per million.
    pub(crate) ppm: i64,
}

impl Clock {
    const ORIGIN: u64 = 7_000_000_000;

    /// What it shows at the true time `now`.
    pub(crate) fn at(self, now: u64) -> Time {
        Time::from_micros(Self::ORIGIN + (now as i64 + now as i64 * self.ppm / 1_000_000) as u64)
    }

    /// The first true moment at which it shows `time`.
    pub(crate) fn when(self, time: Time) -> u64 {
        let run = time.as_micros().saturating_sub(Self::ORIGIN);
        let guess = run as i64 * 1_000_000 / (1_000_000 + self.ppm);
        let mut now = (guess as u64).saturating_sub(3);
        while self.at(now) < time {
            now += 1;
        }
        now
    }
}

/// A command that its driver has not given up.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) request: RequestId,
    /// When the driver gives up, in true time.
    pub(crate) deadline: u64,
    pub(crate) route: Route,
    pub(crate) argv: Argv,
    /// Once the server has executed it.
    pub(crate) reply: Option<Reply>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    /// None after a crash.
    pub(crate) co: Option<Coordinator>,
    pub(crate) clock: Clock,
    /// How often its user may still ask for the lock.
    pub(crate) asks: u8,
    /// The request that its user has to do with, from asking to the last event.
    pub(crate) lock: Option<LockId>,
    /// What it was granted, if it knows; kept when it crashes.
    pub(crate) fence: Option<u64>,
    /// All ids under which it has asked.
    pub(crate) ids: Vec<Vec<u8>>,
    pub(crate) subscribed: bool,
    pub(crate) flights: Vec<Flight>,
    /// Grants published to it that have not arrived.
    pub(crate) pushes: Vec<Vec<u8>>,
}

impl Client {
    pub(crate) fn new(seed: u8, ppm: i64, asks: u8, subscribed: bool) -> Self {
        let clock = Clock { ppm };
        let config = Config::new(vec![NodeSpec::new("n", 1)]);
        let mut co = Coordinator::new(config, [seed; 32], clock.at(0)).expect("sound arguments");
        if subscribed {
            co.handle_node(NODE, NodeChange::PushReady, clock.at(0));
        }
        let (flights, pushes, ids) = (Vec::new(), Vec::new(), Vec::new());
        let co = Some(co);
        Self { co, clock, asks, lock: None, fence: None, ids, subscribed, flights, pushes }
    }

    /// Lets `input` work on the coordinator, sends what it then wants sent, and tells its user
    /// what happened. Whether the user was told that the lock is given back.
    pub(crate) fn input(&mut self, now: u64, input: impl FnOnce(&mut Coordinator, Time)) -> bool {
        let mut released = false;
        let Some(co) = &mut self.co else { return released };
        input(co, self.clock.at(now));
        while let Some(command) = co.poll_command() {
            let Command { request, deadline, route, argv, .. } = command;
            if argv.get(9) == Some(&b"ACQ"[..]) {
                let id = argv.get(10).unwrap_or_default().to_vec();
                if !self.ids.contains(&id) {
                    self.ids.push(id);
                }
            }
            let deadline = self.clock.when(deadline).max(now);
            self.flights.push(Flight { request, deadline, route, argv, reply: None });
        }
        while let Some(event) = co.poll_event() {
            match event {
                Event::LockGranted { lock, fence, .. } if Some(lock) == self.lock => {
                    self.fence = Some(fence.0);
                }
                Event::LockReleased { lock, .. }
                | Event::LockLost { lock, .. }
                | Event::LockFailed { lock, .. }
                    if Some(lock) == self.lock =>
                {
                    released |= matches!(event, Event::LockReleased { .. });
                    (self.lock, self.fence) = (None, None);
                }
                _ => {}
            }
        }
        released
    }

    pub(crate) fn ask(&mut self, options: LockOptions, now: u64) {
        self.asks -= 1;
        let (Some(co), now) = (&mut self.co, self.clock.at(now)) else { return };
        self.lock = Some(co.lock_acquire(NAME, options, now).expect("sound arguments"));
    }

    pub(crate) fn is_held(&self, now: u64) -> bool {
        let held = |(co, lock): (&Coordinator, LockId)| co.lock_is_held(lock, self.clock.at(now));
        self.co.as_ref().zip(self.lock).is_some_and(held)
    }

    /// Until when it believes to hold the lock, in true time.
    pub(crate) fn valid_until(&self) -> Option<u64> {
        let until = self.co.as_ref()?.lock_valid_until(self.lock?)?;
        Some(self.clock.when(until))
    }

    /// When its timer falls due, in true time.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.co.as_ref()?.next_deadline().map(|deadline| self.clock.when(deadline))
    }

    /// Its user has stopped without a word, and so has it.
    pub(crate) fn crash(&mut self) {
        (self.co, self.lock, self.subscribed, self.asks) = (None, None, false, 0);
        self.flights.clear();
        self.pushes.clear();
    }
}
