//! The coordinator's one source of randomness, seeded by the host.

use core::hash::{Hash, Hasher};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::time::Span;

/// A seeded CSPRNG. The same seed gives the same sequence on every platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entropy(ChaCha8Rng);

impl Entropy {
    /// From 32 bytes of the host's CSPRNG. Two coordinators must never share a seed.
    #[must_use]
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// 128 random bits.
    pub(crate) fn bits128(&mut self) -> u128 {
        u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64())
    }

    /// A uniform number below `bound`, to within 2^-64; zero where `bound` is zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        // The high half of a 64 x 64 bit product fits 64 bits.
        (wide >> 64) as u64
    }

    /// A uniform part of `span`, so that many clients do not act at the same moment.
    pub(crate) fn jitter(&mut self, span: Span) -> Span {
        Span::from_micros(self.below(span.as_micros()))
    }
}

impl Hash for Entropy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.get_seed().hash(state);
        self.0.get_word_pos().hash(state);
    }
}
