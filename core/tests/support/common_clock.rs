//! One clock for a real server and the embedded store.
//!
//! The server's clock cannot be set. It runs copies of the scripts that read their clock from a
//! key, and after every step of the clock each key gets the life that the embedded store gives it.

use comity::keyspace::ServerTime;
use comity::memory::MemoryStore;
use comity::redis::Argv;

use super::resp::Client;

/// Where the copies of the scripts read their clock.
pub(crate) const CLOCK: &str = "test:clock";
/// A key that ends sooner than this could end in the middle of a comparison.
const SLACK_MS: u64 = 3_000;

/// Moves the clock of both to `now`, or beyond the end of any key that would come soon after: by
/// `beyond_ms`, which is more than an end may be off. Returns what it shows then.
pub(crate) fn set(redis: &mut Client, store: &mut MemoryStore, now: u64, beyond_ms: u64) -> u64 {
    let old: Vec<Vec<u8>> = store.keyspace().iter().map(|(key, ..)| key.to_vec()).collect();
    let mut now = now;
    loop {
        store.keyspace_mut().set_now(ServerTime(now));
        let soon = ServerTime(now + SLACK_MS * 1_000);
        let ends = store.keyspace().iter().filter_map(|(.., expiry)| expiry);
        match ends.filter(|expiry| *expiry <= soon).max() {
            Some(end) => now = end.0 + beyond_ms * 1_000,
            None => break,
        }
    }
    let (seconds, rest) = (now / 1_000_000, now % 1_000_000);
    let clock = ["RPUSH", CLOCK, &seconds.to_string(), &rest.to_string()];
    let mut commands: Vec<Argv> =
        vec![["DEL", CLOCK].into_iter().collect(), clock.into_iter().collect()];
    for key in old {
        commands.push(match store.keyspace().ttl_ms(&key) {
            Some(ms) => {
                let ms = ms.to_string();
                [b"PEXPIRE", key.as_slice(), ms.as_bytes()].into_iter().collect()
            }
            None if store.keyspace().exists(&key) => {
                [b"PERSIST", key.as_slice()].into_iter().collect()
            }
            None => [b"DEL", key.as_slice()].into_iter().collect(),
        });
    }
    redis.pipeline(&commands);
    now
}
