//! Members ordered by score, then by their bytes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// A double in an order-preserving form that can be hashed and compared exactly. Never a NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Score(u64);

const SIGN: u64 = 1 << 63;

impl Score {
    /// The score `value`; none for a NaN. Negative zero is zero.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        let bits = (value + 0.0).to_bits();
        let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
        (!value.is_nan()).then_some(Self(ordered))
    }

    /// A whole number as a score, exact up to 2^53.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn from_number(number: u64) -> Self {
        Self((number as f64).to_bits() | SIGN)
    }

    /// The double.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from_bits(if self.0 & SIGN == 0 { !self.0 } else { self.0 & !SIGN })
    }

    /// The whole number it holds, zero for a negative one.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn number(self) -> u64 {
        // A cast from a double saturates.
        self.value() as u64
    }
}

/// A sorted set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct SortedSet {
    scores: BTreeMap<Vec<u8>, Score>,
    order: BTreeSet<(Score, Vec<u8>)>,
}

impl SortedSet {
    /// `ZCARD`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether it has no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// `ZSCORE`.
    #[must_use]
    pub fn score(&self, member: &[u8]) -> Option<Score> {
        self.scores.get(member).copied()
    }

    /// `ZADD` of one member: whether it is new.
    pub fn add(&mut self, member: &[u8], score: Score) -> bool {
        let old = self.scores.insert(member.to_vec(), score);
        if let Some(old) = old {
            self.order.remove(&(old, member.to_vec()));
        }
        self.order.insert((score, member.to_vec()));
        old.is_none()
    }

    /// `ZREM` of one member: whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let Some(score) = self.scores.remove(member) else { return false };
        self.order.remove(&(score, member.to_vec()))
    }

    /// `ZRANGEBYSCORE -inf limit LIMIT 0 most`, and `ZREM` of these.
    pub fn remove_up_to(&mut self, limit: Score, most: usize) {
        for _ in 0..most {
            let Some((score, member)) = self.order.first().cloned() else { break };
            if score > limit {
                break;
            }
            self.remove(&member);
        }
    }

    /// Members and scores, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], Score)> {
        self.order.iter().map(|(score, member)| (member.as_slice(), *score))
    }

    /// `ZRANK`. Takes time in proportion to the rank.
    #[must_use]
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.order.range(..(score, member.to_vec())).count())
    }

    /// `ZCOUNT -inf (limit`.
    #[must_use]
    pub fn count_below(&self, limit: Score) -> usize {
        self.order.range(..(limit, Vec::new())).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_keep_the_order_of_doubles() {
        let values = [f64::NEG_INFINITY, -1e300, -1.5, -0.0, 1e-300, 2.0, 9_007_199_254_740_992.0];
        let scores: Vec<Score> = values.into_iter().filter_map(Score::new).collect();
        assert_eq!(scores.len(), values.len());
        assert!(scores.is_sorted());
        for (score, value) in scores.iter().zip(values) {
            assert!((score.value() - value).abs() <= 0.0 || value.is_infinite());
        }
        assert_eq!(Score::new(f64::NAN), None);
        assert_eq!(Score::from_number(1_700_000_000_123_456).number(), 1_700_000_000_123_456);
    }

    #[test]
    fn members_are_ordered_by_score_then_bytes() {
        let mut set = SortedSet::default();
        for (member, score) in [(b"b", 2), (b"a", 2), (b"c", 1)] {
            assert!(set.add(member, Score::from_number(score)));
        }
        assert!(!set.add(b"c", Score::from_number(3)));
        let order: Vec<&[u8]> = set.iter().map(|(member, _)| member).collect();
        assert_eq!(order, [b"a", b"b", b"c"]);
        assert_eq!(set.count_below(Score::from_number(3)), 2);
        set.remove_up_to(Score::from_number(2), 1);
        assert_eq!(set.len(), 2);
        set.remove_up_to(Score::from_number(2), 9);
        assert_eq!(set.len(), 1);
    }
}
