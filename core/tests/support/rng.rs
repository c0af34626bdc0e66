//! A small seeded generator, so that a printed seed brings a run back.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index of something with `len` items, which is not empty.
    pub(crate) const fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number of `from..=to`.
    pub(crate) const fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True `of` times in a thousand.
    pub(crate) const fn chance(&mut self, of: u64) -> bool {
        self.below(1_000) < of
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())].clone()
    }

    pub(crate) fn bits128(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    pub(crate) fn bytes32(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.next() as u8)
    }
}

/// The seed of a run: `COMITY_SEED`, or a fixed one.
pub(crate) fn seed() -> u64 {
    given().unwrap_or(20_260_101)
}

fn given() -> Option<u64> {
    env::var("COMITY_SEED").ok().and_then(|text| text.parse().ok())
}

/// How many times as many seeds there are as a test asks for: `COMITY_SOAK`, or once.
fn times() -> u64 {
    let given = env::var("COMITY_SOAK").ok().and_then(|text| text.parse().ok());
    given.filter(|times| *times > 0).unwrap_or(1)
}

/// Runs `scenario` for many seeds, or for the one of `COMITY_SEED`.
pub(crate) fn for_seeds(name: &str, seeds: u64, mut scenario: impl FnMut(u64)) {
    let range = given().map_or(0..seeds * times(), |seed| seed..seed + 1);
    let count = range.end - range.start;
    for seed in range {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
            println!("{name}: COMITY_SEED={seed}");
            resume_unwind(panic);
        }
    }
    println!("{name}: {count} runs");
}
