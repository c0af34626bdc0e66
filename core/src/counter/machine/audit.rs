//! Compares the totals with the sum of all slots, part by part, and retires slots that were silent for long.

use alloc::vec::Vec;

use super::{Answer, Op, SlotId, Tally, Token};
use crate::counter::{Audit, FlushStamp, Part, Totals, Verb};
use crate::table::Table;
use crate::time::Span;

/// How often the slots are read again because the counter has changed meanwhile.
const TRIES: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Scan { cursor: u64 },
    Fix { totals: Totals },
    Prune,
}

/// An audit under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Auditing {
    /// A slot that was not raised for so long is retired.
    prune: Option<Span>,
    step: Step,
    tries: u32,
    /// The version of the first part.
    version: Option<Token>,
    /// What was counted in each slot, and what is to be known of it. A slot may come in two parts.
    slots: Table<SlotId, (Tally, Kind)>,
    /// The slots to be retired.
    idle: Vec<SlotId>,
    found: Audit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Live,
    /// Live, and to be retired.
    Idle,
    Retired,
}

/// Whether an audit is over.
pub(super) enum Scan {
    Goes,
    Done(Audit),
}

impl Auditing {
    pub(super) fn new(prune: Option<Span>) -> Self {
        Self {
            prune,
            step: Step::Scan { cursor: 0 },
            tries: 0,
            version: None,
            slots: Table::new(),
            idle: Vec::new(),
            found: Audit::default(),
        }
    }

    pub(super) fn op(&self) -> Op {
        match self.step {
            Step::Scan { cursor } => Op::Scan { cursor },
            Step::Fix { totals } => Op::Fix { version: self.version.unwrap_or_default(), totals },
            Step::Prune => match self.idle.last() {
                Some(id) => Op::Retire {
                    id: *id,
                    tally: Tally::ZERO,
                    flush_stamp: FlushStamp::REPLAY,
                    known: Tally::ZERO,
                },
                None => Op::Get { id: None },
            },
        }
    }

    pub(super) fn on_answer(&mut self, answer: &Answer, own: Option<SlotId>) -> Scan {
        match (self.step, &answer.verb) {
            (Step::Scan { .. }, Verb::Part(part)) => self.on_part(part, answer, own),
            (Step::Fix { totals }, Verb::Fixed) => {
                self.found.compared = true;
                // `answer` has the totals after the correction; the difference was kept before.
                debug_assert_eq!(answer.view.totals, totals);
                self.prune_next()
            }
            (Step::Fix { .. }, _) => {
                self.found.corrected = 0;
                self.again()
            }
            (Step::Prune, verb) => {
                if self.idle.pop().is_some() && *verb == Verb::Retired {
                    self.found.pruned += 1;
                    self.found.live = self.found.live.saturating_sub(1);
                    self.found.retired += 1;
                }
                self.prune_next()
            }
            (Step::Scan { .. }, _) => Scan::Done(self.found),
        }
    }

    fn on_part(&mut self, part: &Part, answer: &Answer, own: Option<SlotId>) -> Scan {
        let version = answer.view.version;
        let first = *self.version.get_or_insert(version);
        for slot in &part.slots {
            let silent = Span::from_micros(part.now_us.saturating_sub(slot.stamp));
            let idle = self.prune.is_some_and(|prune| silent >= prune);
            let others = Some(slot.id) != own && !slot.id.is_peer();
            let kind = match slot.retired {
                true => Kind::Retired,
                false if idle && others => Kind::Idle,
                false => Kind::Live,
            };
            self.slots.insert(slot.id, (slot.tally, kind));
        }
        if first != version && self.tries < TRIES {
            return self.again();
        }
        if part.cursor != 0 {
            self.step = Step::Scan { cursor: part.cursor };
            return Scan::Goes;
        }
        let of_kind = |kind| self.slots.iter().filter(move |(_, (_, it))| *it == kind);
        self.found.retired = of_kind(Kind::Retired).count() as u64;
        self.found.live = self.slots.len() as u64 - self.found.retired;
        self.idle = of_kind(Kind::Idle).map(|(id, _)| *id).collect();
        if first != version {
            return self.prune_next();
        }
        let folded = part.folded;
        let sums = self.slots.values().fold(folded, |sum, (tally, _)| Totals {
            p: sum.p.saturating_add(u128::from(tally.p)),
            n: sum.n.saturating_add(u128::from(tally.n)),
        });
        self.found.compared = true;
        let totals = answer.view.totals;
        if sums == totals {
            return self.prune_next();
        }
        self.found.corrected = sums.since(totals).unwrap_or(i128::MAX);
        self.step = Step::Fix { totals: sums };
        Scan::Goes
    }

    fn again(&mut self) -> Scan {
        self.tries += 1;
        self.version = None;
        self.slots.clear();
        self.idle.clear();
        self.found = Audit::default();
        self.step = Step::Scan { cursor: 0 };
        Scan::Goes
    }

    fn prune_next(&mut self) -> Scan {
        self.step = Step::Prune;
        if self.idle.is_empty() { Scan::Done(self.found) } else { Scan::Goes }
    }
}
