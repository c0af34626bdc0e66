//! A lock that nobody holds leaves its server within three minutes, however long it was held.

use crate::support::desk::{Desk, NAME};
use comity::lock::LockOptions;
use comity::time::Span;

#[test]
fn a_lease_of_a_day_leaves_nothing_for_a_day() {
    for shortened in [None, Some(1), Some(59), Some(61), Some(86_400)] {
        let mut desk = Desk::new();
        let mut co = desk.coordinator(1);
        let options = LockOptions { ttl: Span::from_secs(86_400), ..LockOptions::default() };
        let lock = co.lock_acquire(NAME, options, desk.now).expect("sound arguments");
        desk.run(&mut co);
        if let Some(seconds) = shortened {
            desk.now = desk.now + Span::from_secs(1);
            let ttl = Some(Span::from_secs(seconds));
            co.lock_renew(lock, ttl, desk.now).expect("it is held");
            desk.run(&mut co);
        }
        co.lock_release(lock, desk.now).expect("it is held");
        desk.run(&mut co);
        let left = desk.store.keyspace().ttl_ms(b"comity:1:lock:{job}").expect("it ends");
        assert!(left <= 180_000, "renewed for {shortened:?} s, it is kept for {left} ms");
    }
}
