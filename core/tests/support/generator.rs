//! Makes up lock operations for two servers side by side.

use comity::keyspace::ServerTime;
use comity::lock::{Acquire, Fence, GuardOp, Id, Op};
use comity::redis::{LockKeys, Reply};
use comity::time::Span;

use super::Rng;
use super::pair::{Difference, Pair};
use super::resp::{bytes, items};

/// A mutex, a semaphore, a mutex without faults, so that it is idle in between, and one that goes from
/// hand to hand.
pub(crate) const NAMES: [&str; 4] =
    ["comity:1:lock:{a}", "comity:1:lock:{b c}", "comity:1:lock:{calm}", "comity:1:lock:{hand}"];
const LABELS: [&[u8]; 5] = [b"", b"worker 1", b"a,b,,c", b"nul\0,\xff", "gr\u{fc}n".as_bytes()];
const INBOXES: [&[u8]; 3] = [b"comity:1:inbox:x", b"a,b,:1:inbox:y", b""];
const IDS: usize = 6;

/// One of the requests that the operations are about.
#[derive(Clone)]
struct Request {
    id: Id,
    ticket: u64,
}

/// Makes up operations.
pub(crate) struct Generator {
    rng: Rng,
    requests: [Vec<Request>; 4],
    capacity: u32,
    fence: u64,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut fresh = || Request { id: Id::from_bits(rng.bits128()), ticket: 0 };
        let requests = NAMES.map(|_| (0..IDS).map(|_| fresh()).collect());
        Self { rng, requests, capacity: 3, fence: 0 }
    }

    pub(crate) fn step(&mut self, pair: &mut Pair) -> Result<(), Difference> {
        let rng = &mut self.rng;
        if rng.chance(400) {
            let steps = [(1, 1_000), (1, 1_000), (1_000, 50_000), (50_000, 3_000_000)];
            let (low, high) = if rng.chance(40) { (1, 90_000_000) } else { rng.pick(&steps) };
            pair.advance(rng.between(low, high))?;
        }
        let which = rng.pick(&[0, 0, 1, 1, 2, 3, 3, 3]);
        let name = NAMES[which];
        match rng.below(1_000) {
            0..8 if which != 2 => pair.lose_key(name, rng.below(5) as usize),
            8..12 => pair.flush_scripts(),
            12..40 => {
                self.fence += 1;
                let fence = Fence(self.fence + rng.below(10));
                pair.guard("comity:1:fence:{r}", GuardOp { fence })?;
            }
            _ => {
                let slot = rng.below(IDS as u64) as usize;
                if rng.chance(if which == 3 { 20 } else { 150 }) {
                    let fresh = Request { id: Id::from_bits(rng.bits128()), ticket: 0 };
                    let Request { id, .. } =
                        std::mem::replace(&mut self.requests[which][slot], fresh);
                    // Some are left behind, to expire.
                    if rng.chance(800) {
                        pair.lock(name, &Op::Cancel { id, clean: true })?;
                    }
                }
                let holder = self.holder(pair).filter(|_| which == 3 && self.rng.chance(500));
                let kind = match holder {
                    Some(_) => self.rng.between(50, 81),
                    None if which == 3 => self.rng.below(60),
                    None => self.rng.below(100),
                };
                let slot = holder.unwrap_or(slot);
                let op = self.operation(which, slot, pair.now, kind);
                let reply = pair.lock(name, &op)?;
                let verb = bytes(items(&reply).first().unwrap_or(&Reply::Nil));
                // Who has had it comes again.
                if which == 3 && (verb == b"GONE" || verb == b"LOST" || verb == b"RELEASED") {
                    let bits = self.rng.bits128();
                    self.requests[which][slot] = Request { id: Id::from_bits(bits), ticket: 0 };
                }
                if verb == b"QUEUED" {
                    let ticket = String::from_utf8_lossy(bytes(&items(&reply)[1])).parse();
                    self.requests[which][slot].ticket = ticket.expect("a ticket is a number");
                }
            }
        }
        Ok(())
    }

    /// Who holds the lock that goes from hand to hand.
    fn holder(&self, pair: &Pair) -> Option<usize> {
        let keys = LockKeys::of_state(NAMES[3].as_bytes());
        let (id, _) = pair.store.keyspace().sorted_set(&keys.holders).ok()??.iter().next()?;
        self.requests[3].iter().position(|request| request.id.as_bytes() == id)
    }

    /// An operation; `kind` of a hundred is how it is chosen.
    fn operation(&mut self, which: usize, slot: usize, now: u64, kind: u64) -> Op {
        let rng = &mut self.rng;
        let Request { id, ticket } = self.requests[which][slot];
        let ttl = rng.pick(&[50, 400, 2_000, 2_000, 30_000]);
        let ttl = if rng.chance(5) { 86_400_000 } else { ttl };
        let ttl = Span::from_micros(ttl * 1_000 + rng.below(1_000));
        let ttl = if which == 2 { Span::from_secs(600) } else { ttl };
        let ttl = if which == 3 && rng.chance(900) { Span::from_secs(30) } else { ttl };
        let clean = which == 2 || rng.chance(if which == 3 { 980 } else { 600 });
        match kind {
            0..50 => {
                if which == 1 && rng.chance(30) {
                    self.capacity = 5 - self.capacity;
                }
                let capacity = [1, self.capacity, 1, 1][which];
                Op::Acquire(Acquire {
                    id,
                    capacity: if rng.chance(20) { capacity + 1 } else { capacity },
                    weight: if which == 1 { rng.between(1, 2) as u32 } else { 1 },
                    ttl,
                    handoff_ttl: Span::from_millis(rng.pick(&[20, 2_000])),
                    waiter_ttl: Span::from_millis(rng.pick(&[100, 10_000])),
                    wait: rng.chance(800),
                    ticket: rng.pick(&[0, ticket, ticket, ticket + rng.clone().below(1_000_000)]),
                    inbox: rng.pick(&INBOXES).to_vec(),
                    min_fence: Fence(match rng.below(40) {
                        0 => rng.pick(&[now + 3_600_000_001, (1 << 53) - 1]),
                        1..8 => now - 5,
                        8..16 => now + rng.below(9_000_000),
                        _ => 0,
                    }),
                    not_after: ServerTime(rng.pick(&[0, 0, now - 1, now, now + 1_000_000])),
                    label: rng.pick(&LABELS).to_vec(),
                })
            }
            50..68 => Op::Renew { id, ttl },
            68..82 => Op::Release { id, clean },
            82..94 => Op::Cancel { id, clean },
            _ => Op::Inspect,
        }
    }
}
