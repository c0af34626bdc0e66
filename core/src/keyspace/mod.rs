//! The small Redis data model behind the embedded store: typed values with expiry.
//!
//! Every call takes the moment at which it happens; what has expired by then is gone. The server
//! halves of the protocols are written over these methods, as the Lua scripts are over Redis, and
//! so are the commands that [`command`] executes.

pub mod command;
mod float;
mod sorted_set;
mod value;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

pub use sorted_set::{Score, SortedSet};
use value::Collection;
pub use value::{Hash, List, Set, Value};

use crate::time::Span;

/// The key holds a value of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WrongType;

/// Fails with [`WrongType`] only.
pub type Result<T> = core::result::Result<T, WrongType>;

/// A moment of the server's clock, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ServerTime(pub u64);

impl ServerTime {
    /// The moment `span` later.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_micros()))
    }

    /// The span since `earlier`, zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span::from_micros(self.0.saturating_sub(earlier.0))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    value: Value,
    /// Gone at this moment.
    expiry: Option<ServerTime>,
}

/// Keys and their values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Keyspace {
    entries: BTreeMap<Vec<u8>, Entry>,
    now: ServerTime,
}

impl Keyspace {
    /// No keys.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new(), now: ServerTime(0) }
    }

    /// The moment at which the following calls happen.
    pub const fn set_now(&mut self, now: ServerTime) {
        self.now = now;
    }

    /// The moment at which calls happen.
    #[must_use]
    pub const fn now(&self) -> ServerTime {
        self.now
    }

    fn live(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expiry.is_none_or(|at| at > self.now))
    }

    fn live_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.purge(key);
        self.entries.get_mut(key)
    }

    /// Forgets `key` if it has expired.
    fn purge(&mut self, key: &[u8]) {
        if self.live(key).is_none() {
            self.entries.remove(key);
        }
    }

    /// Every live key with its value and expiry, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Value, Option<ServerTime>)> {
        let live = self.entries.iter().filter(|(_, e)| e.expiry.is_none_or(|at| at > self.now));
        live.map(|(key, entry)| (key.as_slice(), &entry.value, entry.expiry))
    }

    /// Removes everything that has expired, so that memory is bounded by what is live.
    pub fn purge_all(&mut self) {
        let now = self.now;
        self.entries.retain(|_, entry| entry.expiry.is_none_or(|at| at > now));
    }

    /// `EXISTS` of one key.
    #[must_use]
    pub fn exists(&self, key: &[u8]) -> bool {
        self.live(key).is_some()
    }

    /// What is at `key`.
    #[must_use]
    pub fn value(&self, key: &[u8]) -> Option<&Value> {
        self.live(key).map(|entry| &entry.value)
    }

    /// `DEL` of one key: whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        self.purge(key);
        self.entries.remove(key).is_some()
    }

    /// `PTTL`: the remaining life in milliseconds rounded as Redis does, if it ends.
    #[must_use]
    pub fn ttl_ms(&self, key: &[u8]) -> Option<u64> {
        let expiry = self.live(key)?.expiry?;
        Some(expiry.since(self.now).as_micros() / 1_000)
    }

    /// `PEXPIRE`: whether the key was there.
    pub fn expire_ms(&mut self, key: &[u8], ms: u64) -> bool {
        let expiry = self.now.after(Span::from_millis(ms));
        self.live_mut(key).map(|entry| entry.expiry = Some(expiry)).is_some()
    }

    /// `GET`.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        match self.live(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::String(bytes)) => Ok(Some(bytes)),
            Some(_) => Err(WrongType),
        }
    }

    /// `SET` with `PX`, or without expiry.
    pub fn set(&mut self, key: &[u8], value: Vec<u8>, ttl_ms: Option<u64>) {
        let expiry = ttl_ms.map(|ms| self.now.after(Span::from_millis(ms)));
        self.put(key, Value::String(value), expiry);
    }

    fn put(&mut self, key: &[u8], value: Value, expiry: Option<ServerTime>) {
        self.entries.insert(key.to_vec(), Entry { value, expiry });
    }

    /// `SET` with `KEEPTTL`.
    pub fn set_keeping_expiry(&mut self, key: &[u8], value: Vec<u8>) {
        let expiry = self.live(key).and_then(|entry| entry.expiry);
        self.put(key, Value::String(value), expiry);
    }

    /// The hash at `key`, for reading.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn hash(&self, key: &[u8]) -> Result<Option<&Hash>> {
        self.collection(key)
    }

    /// The sorted set at `key`, for reading.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn sorted_set(&self, key: &[u8]) -> Result<Option<&SortedSet>> {
        self.collection(key)
    }

    /// Lets `change` work on the hash at `key`, made if missing and removed if empty afterwards.
    ///
    /// # Errors
    /// The key holds another type; nothing is changed.
    pub fn with_hash<T>(&mut self, key: &[u8], change: impl FnOnce(&mut Hash) -> T) -> Result<T> {
        self.with(key, change)
    }

    /// Lets `change` work on the sorted set at `key`, made if missing and removed if empty afterwards.
    ///
    /// # Errors
    /// The key holds another type; nothing is changed.
    pub fn with_sorted_set<T>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut SortedSet) -> T,
    ) -> Result<T> {
        self.with(key, change)
    }

    fn collection<C: Collection>(&self, key: &[u8]) -> Result<Option<&C>> {
        self.live(key).map(|entry| C::of(&entry.value).ok_or(WrongType)).transpose()
    }

    fn with<C: Collection, T>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut C) -> T,
    ) -> Result<T> {
        let entry = self.entry(key, || C::default().into_value());
        let collection = C::of_mut(&mut entry.value).ok_or(WrongType)?;
        let result = change(collection);
        if collection.is_empty() {
            self.entries.remove(key);
        }
        Ok(result)
    }

    /// The string at `key`, made if missing, with its expiry as it was.
    fn string_mut(&mut self, key: &[u8]) -> Result<&mut Vec<u8>> {
        match &mut self.entry(key, || Value::String(Vec::new())).value {
            Value::String(bytes) => Ok(bytes),
            _ => Err(WrongType),
        }
    }

    fn entry(&mut self, key: &[u8], make: impl FnOnce() -> Value) -> &mut Entry {
        self.purge(key);
        self.entries.entry(key.to_vec()).or_insert_with(|| Entry { value: make(), expiry: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_expired_is_gone_for_every_call() {
        let mut space = Keyspace::new();
        space.set(b"a", b"1".to_vec(), Some(10));
        space.set_now(ServerTime(9_999));
        assert_eq!(space.get(b"a"), Ok(Some(&b"1"[..])));
        assert_eq!(space.ttl_ms(b"a"), Some(0));
        space.set_now(ServerTime(10_000));
        assert_eq!(space.get(b"a"), Ok(None));
        assert!(!space.exists(b"a") && !space.delete(b"a") && !space.expire_ms(b"a", 5));
        assert_eq!(space.iter().count(), 0);
        space.with_hash(b"a", |h| h.insert(b"f".to_vec(), b"v".to_vec())).expect("a new hash");
        assert_eq!(space.ttl_ms(b"a"), None);
    }

    #[test]
    fn types_do_not_mix_and_empty_collections_vanish() {
        let mut space = Keyspace::new();
        space.set(b"s", b"x".to_vec(), None);
        assert_eq!(space.with_hash(b"s", |_| ()), Err(WrongType));
        assert_eq!(space.sorted_set(b"s"), Err(WrongType));
        assert_eq!(space.with_sorted_set(b"z", |_| ()), Ok(()));
        assert!(!space.exists(b"z"));
    }
}
