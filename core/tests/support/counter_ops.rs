//! Makes up counter operations for two servers side by side.

use comity::counter::{Answer, FlushStamp, Op, SlotId, Tally, Token, Totals, Verb};

use super::Rng;
use super::pair::{Difference, Pair};

pub(crate) const KEY: &str = "comity:1:counter:{hits}";
/// Beyond this many slots Redis gives a hash in parts of its own.
const MOST: usize = 40;

/// Makes up operations.
pub(crate) struct CounterOps {
    rng: Rng,
    slots: Vec<(SlotId, Tally)>,
    /// Slots that are gone may have a straggler.
    old: Vec<(SlotId, Tally)>,
    resets: Vec<(u128, u64)>,
    version: u64,
    epoch: u64,
    totals: Totals,
}

impl CounterOps {
    pub(crate) fn new(seed: u64) -> Self {
        let (slots, old, resets) = (Vec::new(), Vec::new(), Vec::new());
        let totals = Totals::default();
        Self { rng: Rng::new(seed), slots, old, resets, version: 0, epoch: 0, totals }
    }

    pub(crate) fn step(&mut self, pair: &mut Pair) -> Result<(), Difference> {
        let rng = &mut self.rng;
        if rng.chance(300) {
            let (low, high) = if rng.chance(150) { (1, 260_000_000_000) } else { (1, 2_000_000) };
            pair.advance(rng.between(low, high))?;
        }
        if rng.chance(8) {
            pair.flush_scripts();
        }
        let op = self.operation(pair.now);
        let reply = pair.counter(KEY, &op)?;
        let answer = Answer::decode(&reply).ok_or_else(|| format!("not an answer: {reply:?}"))?;
        self.version = answer.view.version.0;
        (self.epoch, self.totals) = (answer.view.epoch, answer.view.totals);
        if let Verb::Joined(incarnation) = answer.verb {
            let owner = self.rng.pick(&[1, 2, self.rng.clone().bits128()]);
            self.slots.push((SlotId { owner, incarnation }, Tally::ZERO));
            if self.slots.len() > MOST {
                let gone = self.rng.index(self.slots.len());
                let gone = self.slots.swap_remove(gone);
                self.old.push(gone);
                // Retired in any case, so that the hash stays small.
                let (id, tally) = gone;
                let (flush_stamp, known) = (FlushStamp::REPLAY, Tally::ZERO);
                let op = Op::Retire { id, tally, flush_stamp, known };
                pair.counter(KEY, &op)?;
            }
        }
        Ok(())
    }

    fn operation(&mut self, now: u64) -> Op {
        let rng = &mut self.rng;
        if self.slots.is_empty() || rng.chance(60) {
            return Op::Join;
        }
        if rng.chance(20) {
            // One that the server has lost: it comes from ahead of all that it has issued.
            let incarnation = now + rng.below(9_000_000);
            let (id, tally) = (SlotId { owner: rng.bits128(), incarnation }, Tally { p: 1, n: 0 });
            self.slots.push((id, tally));
            return Op::Add { id, tally, flush_stamp: FlushStamp(now), known: Tally::ZERO };
        }
        if rng.chance(10) {
            // At the bound of what may come from ahead of its clock, and beyond.
            let incarnation = now + 3_600_000_000 + rng.pick(&[0, 1, 1 << 50]);
            let (id, tally) = (SlotId { owner: rng.bits128(), incarnation }, Tally { p: 1, n: 0 });
            let (flush_stamp, known) = (FlushStamp(now), Tally::ZERO);
            return rng.pick(&[
                Op::Add { id, tally, flush_stamp, known },
                Op::Retire { id, tally, flush_stamp, known },
                Op::Fold { id, tally, flush_stamp, known },
            ]);
        }
        if rng.chance(30) {
            // Of a peer counter: it cannot be retired, and no incarnation comes after it.
            let id = SlotId { owner: rng.below(3).into(), incarnation: SlotId::PEER };
            let tally = Tally { p: rng.below(1 << 40), n: rng.below(9) };
            return match rng.chance(300) {
                true => {
                    Op::Retire { id, tally, flush_stamp: FlushStamp::REPLAY, known: Tally::ZERO }
                }
                false => Op::Add { id, tally, flush_stamp: FlushStamp::REPLAY, known: Tally::ZERO },
            };
        }
        let at = rng.index(self.slots.len());
        let own = FlushStamp(now + rng.below(3));
        let flush_stamp = rng.pick(&[own, own, own, FlushStamp::REPLAY]);
        // What the owner knows is what is there, or less where a copy of it has counted.
        let last = self.slots[at].1;
        let known = rng.pick(&[last, last, Tally { n: last.n / 2, ..last }, Tally::ZERO]);
        match rng.below(100) {
            0..40 => {
                let edges = [1, 2, 10_000_000, 1 << 53, 1 << 60];
                let (up, down) = (rng.pick(&edges), rng.pick(&[0, 0, 1, 9_999_999]));
                let (id, tally) = &mut self.slots[at];
                let told = *tally;
                *tally = Tally { p: tally.p.saturating_add(up), n: tally.n.saturating_add(down) };
                let tally = rng.pick(&[*tally, *tally, *tally, told, Tally { p: up, n: 0 }]);
                Op::Add { id: *id, tally, flush_stamp, known }
            }
            40..52 => {
                let (id, tally) = self.slots[at];
                if rng.chance(400) {
                    let gone = self.slots.swap_remove(at);
                    self.old.push(gone);
                }
                let tally = rng.pick(&[tally, tally, Tally::ZERO]);
                rng.pick(&[
                    Op::Retire { id, tally, flush_stamp, known },
                    Op::Fold { id, tally, flush_stamp, known: tally },
                ])
            }
            52..66 if !self.old.is_empty() => {
                let (id, tally) = rng.pick(&self.old);
                let known = tally;
                let tally = Tally { p: tally.p.saturating_add(rng.below(2)), ..tally };
                match rng.below(10) {
                    0..2 => Op::Retire { id, tally, flush_stamp, known },
                    2 => Op::Fold { id, tally, flush_stamp, known },
                    3 => Op::Get { id: Some(id) },
                    _ => Op::Add { id, tally, flush_stamp, known },
                }
            }
            52..74 => {
                let known = Some(self.slots[at].0);
                Op::Get { id: rng.pick(&[None, known, known, known]) }
            }
            74..84 => {
                if self.resets.is_empty() || rng.chance(500) {
                    let before = self.epoch.saturating_sub(u64::from(rng.chance(200)));
                    self.resets.push((rng.bits128(), before));
                }
                let last = self.resets.len() - 1;
                let (op, epoch) = self.resets[last.saturating_sub(rng.index(12))];
                Op::Reset { op, epoch, id: rng.pick(&[None, Some(self.slots[at].0)]) }
            }
            84..92 => Op::Scan { cursor: 0 },
            _ => {
                let version = Token(rng.pick(&[self.version, self.version.saturating_sub(1)]));
                Op::Fix { version, totals: self.totals }
            }
        }
    }
}
