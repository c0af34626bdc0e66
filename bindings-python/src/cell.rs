//! What one counter has counted: numbers that many threads raise without a lock.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};

use comity::counter::{CounterId, CounterOptions, Durability, Tally};

/// Two numbers that only rise.
#[derive(Default)]
struct Numbers {
    p: AtomicU64,
    n: AtomicU64,
}

impl Numbers {
    fn read(&self) -> Tally {
        Tally { p: self.p.load(SeqCst), n: self.n.load(SeqCst) }
    }
}

/// Who may still count.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Open,
    Closed,
    /// Here, in the child of a fork, nobody: the counter is the parent's.
    Foreign,
}

/// Nothing was counted.
pub(crate) enum Refused {
    Overflow,
    /// Beyond the units that may be unacknowledged, as far as is known here.
    Full,
}

pub(crate) struct Cell {
    pub(crate) id: CounterId,
    pub(crate) name: Vec<u8>,
    pub(crate) options: CounterOptions,
    /// Since the opening. As high as can be once nobody may count any more.
    counted: Numbers,
    /// What the core knows of it. Written while the core is locked.
    told: Numbers,
    /// From so many units on, who counts has to tell the core.
    quiet: AtomicU64,
    /// Beyond so many units nobody counts.
    limit: AtomicU64,
    state: AtomicU8,
}

impl Cell {
    pub(crate) fn new(id: CounterId, name: &[u8], options: CounterOptions) -> Self {
        Self {
            id,
            name: name.to_vec(),
            options,
            counted: Numbers::default(),
            told: Numbers::default(),
            quiet: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
            state: AtomicU8::new(State::Open as u8),
        }
    }

    /// Counts up by `up` and down by `down`, or neither. Whether the core has to be told now.
    #[inline]
    pub(crate) fn add(&self, up: u64, down: u64) -> Result<bool, Refused> {
        if down == 0 {
            return self.raise(&self.counted.p, &self.counted.n, up);
        }
        if up == 0 {
            return self.raise(&self.counted.n, &self.counted.p, down);
        }
        let Tally { p, n } = self.counted.read();
        let sum = p.checked_add(up).zip(n.checked_add(down)).ok_or(Refused::Overflow)?;
        if sum.0.saturating_add(sum.1) > self.limit.load(SeqCst) {
            return Err(Refused::Full);
        }
        let first = self.raise(&self.counted.p, &self.counted.n, up)?;
        Ok(self.raise(&self.counted.n, &self.counted.p, down)? || first)
    }

    #[inline]
    fn raise(&self, one: &AtomicU64, other: &AtomicU64, by: u64) -> Result<bool, Refused> {
        let mut old = one.load(SeqCst);
        loop {
            let new = old.checked_add(by).ok_or(Refused::Overflow)?;
            let units = new.saturating_add(other.load(SeqCst));
            if units > self.limit.load(SeqCst) {
                return Err(Refused::Full);
            }
            match one.compare_exchange_weak(old, new, SeqCst, SeqCst) {
                // After the addition: who collects looks in the other order.
                Ok(_) => return Ok(units >= self.quiet.load(SeqCst) && by > 0),
                Err(seen) => old = seen,
            }
        }
    }

    /// All that was counted. Call with the core locked.
    pub(crate) fn read(&self) -> Tally {
        match self.state() {
            State::Open => self.counted.read(),
            State::Closed | State::Foreign => self.told.read(),
        }
    }

    /// What of it the core was not told. Call with the core locked.
    pub(crate) fn untold(&self) -> Tally {
        self.read().since(self.told.read())
    }

    /// The core is told this.
    pub(crate) fn tell(&self, tally: Tally) {
        self.told.p.store(tally.p, SeqCst);
        self.told.n.store(tally.n, SeqCst);
    }

    /// From here on whoever counts tells the core.
    pub(crate) fn listen(&self) {
        self.quiet.store(0, SeqCst);
    }

    /// The core will ask by itself, unless half of what may be unacknowledged is counted before.
    pub(crate) fn hush(&self) {
        let half = self.max_units() / 2;
        self.quiet.store(self.counted.read().units().saturating_add(half.max(1)), SeqCst);
    }

    /// So many units more may be counted than the core was told.
    pub(crate) fn allow(&self, room: u64) {
        self.limit.store(self.told.read().units().saturating_add(room), SeqCst);
    }

    pub(crate) const fn max_units(&self) -> u64 {
        match self.options.durability {
            Durability::Batched { max_units, .. } => max_units,
            Durability::Sync | Durability::Journaled { .. } => u64::MAX,
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.state.load(SeqCst) {
            0 => State::Open,
            1 => State::Closed,
            _ => State::Foreign,
        }
    }

    /// Nobody counts any more; gives what was counted before. Call with the core locked.
    pub(crate) fn shut(&self, state: State) -> Tally {
        if self.state.swap(state as u8, SeqCst) == State::Open as u8 {
            // Whoever is in the middle of an addition finds the number changed, and then too high.
            let [p, n] = [&self.counted.p, &self.counted.n].map(|one| one.swap(u64::MAX, SeqCst));
            self.tell(Tally { p, n });
        }
        self.told.read()
    }
}
