//! Ordered maps that share their code.
//!
//! A B-tree is compiled anew for every type that it holds, which is five kilobytes of WebAssembly
//! each time. Here there is one over numbers and one over byte strings. They say at which place of a
//! slab the entry is, so that what goes up and down the tree is small, too.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};

/// What a [`Table`] is sorted by.
pub(crate) trait Key: Copy {
    /// Different for different keys, and in their order.
    fn words(self) -> [u64; 3];
}

/// Ids that are counted.
macro_rules! counted {
    ($($id:path),*) => {$(
        impl Key for $id {
            fn words(self) -> [u64; 3] {
                [self.0, 0, 0]
            }
        }
    )*};
}

counted!(
    crate::lock::LockId,
    crate::counter::CounterId,
    crate::event::CallId,
    crate::redis::RequestId,
    crate::transaction::Handle
);

impl Key for crate::redis::NodeId {
    fn words(self) -> [u64; 3] {
        [self.0.into(), 0, 0]
    }
}

impl Key for crate::transaction::Txid {
    fn words(self) -> [u64; 3] {
        [self.session(), self.slot().into(), self.seq()]
    }
}

impl Key for crate::counter::SlotId {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of 128 bits")]
    fn words(self) -> [u64; 3] {
        [(self.owner >> 64) as u64, self.owner as u64, self.incarnation]
    }
}

impl Key for crate::lock::Id {
    fn words(self) -> [u64; 3] {
        let mut padded = [0; 24];
        padded[..22].copy_from_slice(self.as_bytes());
        let (words, _) = padded.as_chunks::<8>();
        [0, 1, 2].map(|word| u64::from_be_bytes(words[word]))
    }
}

/// Values at places that stay the same, which are used again.
#[derive(Clone)]
struct Slab<V> {
    values: Vec<Option<V>>,
    free: Vec<usize>,
}

impl<V> Slab<V> {
    const fn new() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }

    fn put(&mut self, value: V) -> usize {
        if let Some(place) = self.free.pop()
            && let Some(free) = self.values.get_mut(place)
        {
            *free = Some(value);
            return place;
        }
        self.values.push(Some(value));
        self.values.len() - 1
    }

    fn get(&self, place: usize) -> Option<&V> {
        self.values.get(place)?.as_ref()
    }

    fn get_mut(&mut self, place: usize) -> Option<&mut V> {
        self.values.get_mut(place)?.as_mut()
    }

    fn take(&mut self, place: usize) -> Option<V> {
        let value = self.values.get_mut(place)?.take();
        self.free.push(place);
        // Memory is given back at the latest when nothing is left.
        if self.free.len() == self.values.len() && self.values.capacity() > 1_024 {
            *self = Self::new();
        }
        value
    }
}

/// A map that is iterated in the order of its keys.
#[derive(Clone)]
pub(crate) struct Table<K, V> {
    places: BTreeMap<[u64; 3], usize>,
    entries: Slab<(K, V)>,
}

impl<K: Key, V> Table<K, V> {
    pub(crate) const fn new() -> Self {
        Self { places: BTreeMap::new(), entries: Slab::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.places.contains_key(&key.words())
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let place = self.places.get(&key.words())?;
        self.entries.get(*place).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.places.get(&key.words())?;
        self.entries.get_mut(*place).map(|(_, value)| value)
    }

    /// Puts the value in the place of the one that was there.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let place = self.entries.put((key, value));
        if let Some(old) = self.places.insert(key.words(), place) {
            self.entries.take(old);
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.places.remove(&key.words())?;
        self.entries.take(place).map(|(_, value)| value)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let places = self.places.values();
        places.filter_map(|place| self.entries.get(*place)).map(|(key, value)| (key, value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(crate) fn each_mut(&mut self, mut visit: impl FnMut(&mut V)) {
        for place in self.places.values() {
            if let Some((_, value)) = self.entries.get_mut(*place) {
                visit(value);
            }
        }
    }
}

impl<K: Key, V> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Key, V> FromIterator<(K, V)> for Table<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut table = Self::new();
        entries.into_iter().for_each(|(key, value)| table.insert(key, value));
        table
    }
}

// At which places the entries are makes no difference.
impl<K: Key, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.places.keys().eq(other.places.keys()) && self.values().eq(other.values())
    }
}

impl<K: Key, V: Eq> Eq for Table<K, V> {}

impl<K: Key, V: Hash> Hash for Table<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.places.keys().for_each(|key| key.hash(state));
        self.values().for_each(|value| value.hash(state));
    }
}

impl<K: Key + fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The same for names, which are byte strings.
#[derive(Clone)]
pub(crate) struct Names<V> {
    places: BTreeMap<Vec<u8>, usize>,
    values: Slab<V>,
}

impl<V> Names<V> {
    pub(crate) fn contains_key(&self, name: &[u8]) -> bool {
        self.places.contains_key(name)
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&V> {
        self.values.get(*self.places.get(name)?)
    }

    pub(crate) fn get_mut(&mut self, name: &[u8]) -> Option<&mut V> {
        self.values.get_mut(*self.places.get(name)?)
    }

    /// Adds a name that is not there.
    pub(crate) fn add(&mut self, name: Vec<u8>, value: V) {
        self.places.insert(name, self.values.put(value));
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<V> {
        let place = self.places.remove(name)?;
        self.values.take(place)
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&V>)> {
        self.places.iter().map(|(name, place)| (name.as_slice(), self.values.get(*place)))
    }
}

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), values: Slab::new() }
    }
}

impl<V: PartialEq> PartialEq for Names<V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<V: Eq> Eq for Names<V> {}

impl<V: Hash> Hash for Names<V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.places.len().hash(state);
        self.iter().for_each(|entry| entry.hash(state));
    }
}

impl<V: fmt::Debug> fmt::Debug for Names<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::SlotId;
    use crate::event::CallId;
    use crate::lock::Id;
    use crate::transaction::Txid;

    /// Numbers that look random.
    fn numbers() -> impl Iterator<Item = u64> {
        let next = |last: &u64| Some(last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        core::iter::successors(Some(7), next).map(|number| number >> 33)
    }

    #[test]
    fn a_table_holds_what_a_map_does_in_the_same_order() {
        let (mut table, mut map) = (Table::new(), BTreeMap::new());
        for number in numbers().take(20_000) {
            let (key, value) = (CallId(number % 97), number);
            match number % 7 {
                0..3 => assert_eq!(table.remove(&key), map.remove(&key)),
                _ => {
                    table.insert(key, value);
                    map.insert(key, value);
                }
            }
            assert_eq!(table.get(&key), map.get(&key));
            assert_eq!((table.len(), table.first()), (map.len(), map.first_key_value()));
        }
        assert!(table.iter().eq(map.iter()));
        assert!(table.entries.values.len() <= 97, "places are used again");
    }

    #[test]
    fn where_the_entries_are_makes_no_difference() {
        let table = |keys: [u64; 3]| keys.map(|key| (CallId(key), key)).into_iter().collect();
        let (one, other): (Table<_, _>, Table<_, _>) = (table([1, 2, 3]), table([3, 1, 2]));
        assert_eq!(one, other);
        assert_ne!(one, table([1, 2, 4]));
    }

    #[test]
    fn a_table_that_was_large_gives_its_memory_back() {
        let mut table: Table<_, _> = (0..10_000).map(|key| (CallId(key), key)).collect();
        (0..10_000).for_each(|key| assert_eq!(table.remove(&CallId(key)), Some(key)));
        assert_eq!(table.entries.values.capacity() + table.entries.free.capacity(), 0);
    }

    #[test]
    fn keys_are_in_the_order_of_their_words() {
        fn check<K: Key + Ord>(keys: impl Iterator<Item = Option<K>>) {
            let keys: Vec<K> = keys.take(500).flatten().collect();
            let pairs = keys.iter().zip(keys.iter().rev());
            pairs.for_each(|(a, b)| assert_eq!(a.cmp(b), a.words().cmp(&b.words())));
        }
        let wide = |number: u64| u128::from(number) << (number % 97);
        check(numbers().map(|number| Some(Id::from_bits(wide(number)))));
        check(numbers().map(|n| Some(SlotId { owner: wide(n) >> 60, incarnation: n % 5 })));
        check(numbers().map(|n| Txid::new(n % 3, u8::try_from(n % 64).ok()?, n)));
    }

    #[test]
    fn names_hold_what_was_added() {
        let mut names = Names::default();
        names.add(b"b".to_vec(), 1);
        names.add(b"a".to_vec(), 2);
        assert_eq!((names.get(b"a"), names.get(b"c")), (Some(&2), None));
        assert_eq!((names.remove(b"b"), names.remove(b"b")), (Some(1), None));
        assert!(!names.contains_key(b"b"));
        *names.get_mut(b"a").unwrap() += 1;
        let mut same = Names::default();
        same.add(b"a".to_vec(), 3);
        assert_eq!(names, same);
    }
}
