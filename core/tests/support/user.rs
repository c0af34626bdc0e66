//! What the users of the harness's clients do, and their bad luck.

use comity::event::Event;
use comity::lock::LockOptions;
use comity::time::{Span, Time};

use super::harness::{Ending, Happening, SECOND, World};

impl World {
    pub(super) fn on_event(&mut self, who: usize, event: &Event) {
        match event {
            Event::LockGranted { lock, fence, .. } => {
                let Some(open) = self.clients[who].open.get_mut(lock) else { return };
                open.1 = Some(fence.0);
                let after = self.rng.below(1 + 1_000 * self.workload.hold_ms);
                let how = match self.rng.below(10) {
                    0 => Ending::Cancel,
                    _ => Ending::Release,
                };
                let lock = *lock;
                if !self.workload.keeps && self.rng.chance(200) {
                    let ms = self.rng.pick(&self.workload.ttl_ms);
                    let renew = Happening::End { lock, how: Ending::Renew(ms) };
                    self.plan(who, after / 2, renew);
                }
                self.plan(who, after, Happening::End { lock, how });
            }
            Event::LockLost { lock, .. }
            | Event::LockReleased { lock, .. }
            | Event::LockFailed { lock, .. } => {
                let open = self.clients[who].open.remove(lock);
                assert!(open.is_some(), "a second last event: {event:?}");
            }
            _ => {}
        }
    }

    /// One step of a client's user, and of its bad luck.
    pub(super) fn act(&mut self, who: usize, now: Time) {
        if self.winding_down {
            return;
        }
        let again = self.rng.below(1 + 1_000 * self.workload.idle_ms);
        self.plan(who, again, Happening::Act);
        let (faults, rng) = (self.faults, &mut self.rng);
        if rng.chance(faults.crash) {
            return self.crash(who);
        }
        if rng.chance(faults.push_break) {
            self.clients[who].subscribed = false;
            let delay = faults.delay(rng);
            return self.plan(who, delay, Happening::PushLost);
        }
        let stands = rng.chance(faults.clock_gap);
        if stands || rng.chance(faults.pause) {
            let pause = if rng.chance(500) { rng.below(SECOND) } else { rng.below(40 * SECOND) };
            self.clients[who].asleep_until = self.now + pause;
            let clock_stood = if stands { pause } else { 0 };
            return self.plan(who, pause, Happening::Resume { clock_stood });
        }
        if self.clients[who].open.len() >= 3 {
            return;
        }
        let name = format!("lock {}", rng.below(self.workload.names)).into_bytes();
        let options = LockOptions {
            ttl: Span::from_millis(rng.pick(&self.workload.ttl_ms)),
            wait: rng.pick(&self.workload.waits_s).map(Span::from_secs),
            renew: self.workload.keeps || rng.chance(800),
            max_hold: (!self.workload.keeps && rng.chance(200)).then(|| Span::from_secs(1)),
            label: format!("client {who}").into_bytes(),
        };
        let impatient = rng.chance(80).then(|| rng.below(3 * SECOND));
        let Some(co) = self.clients[who].co.as_mut() else { return };
        let lock = co.lock_acquire(&name, options, now).expect("sound arguments");
        self.clients[who].open.insert(lock, (name, None));
        if let Some(after) = impatient {
            self.plan(who, after, Happening::End { lock, how: Ending::Cancel });
        }
    }
}
