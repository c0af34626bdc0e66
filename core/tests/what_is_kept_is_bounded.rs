//! Messages that nobody takes, and transactions of others that are met, are not kept without end.

use comity::memory::{MAX_MESSAGES, MemoryStore};
use comity::time::Time;

#[test]
fn messages_that_nobody_takes() {
    let mut store = MemoryStore::new();
    let total = MAX_MESSAGES + 1_000;
    for number in 0..total {
        let argv = ["PUBLISH", "c", &number.to_string()].into_iter().collect();
        store.execute(&argv, Time::from_micros(1));
    }
    let left: Vec<_> = std::iter::from_fn(|| store.poll_message()).collect();
    assert_eq!(left.len(), MAX_MESSAGES);
    assert_eq!(left[0].payload, b"1000", "the oldest are gone");
    assert_eq!(left[MAX_MESSAGES - 1].payload, (total - 1).to_string().as_bytes());
}
