//! The coordinator's one source of randomness, seeded by the host.

use core::hash::{Hash, Hasher};

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::time::Span;

/// A seeded CSPRNG. The same seed gives the same sequence on every platform.
#[derive(Debug, PartialEq, Eq)]
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

impl Clone for Entropy {
    /// For a clone of the coordinator, which goes on from the same place.
    fn clone(&self) -> Self {
        let mut rng = ChaCha8Rng::from_seed(self.0.get_seed());
        rng.set_word_pos(self.0.get_word_pos());
        Self(rng)
    }
}

impl Hash for Entropy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.get_seed().hash(state);
        self.0.get_word_pos().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_a_seed_never_changes() {
        let mut entropy = Entropy::new([7; 32]);
        let drawn = [(); 3].map(|()| entropy.bits128());
        let known = [
            75_925_582_777_666_538_785_978_686_712_460_690_406,
            98_970_245_639_901_707_791_541_636_573_739_809_705,
            239_786_739_452_744_729_238_304_684_390_466_148_082,
        ];
        assert_eq!(drawn, known);
    }

    #[test]
    fn a_clone_goes_on_from_the_same_place() {
        let mut entropy = Entropy::new([9; 32]);
        for _ in 0..40 {
            entropy.jitter(Span::from_secs(1));
            let mut clone = entropy.clone();
            assert_eq!(clone, entropy);
            assert_eq!(clone.bits128(), entropy.bits128());
        }
    }
}
