//! Any sequence of calls on the embedded store: no panic, errors change nothing, the table of
//! commands tells the truth, memory is bounded. `core/tests/store/commands_are_total.rs` checks the same
//! of random calls.
#![no_main]

#[path = "../../core/tests/support/checked.rs"]
mod checked;

use comity::memory::MemoryStore;
use comity::time::Time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (mut store, mut bytes) = (MemoryStore::new(), data.iter());
    let mut now = 1_750_000_000_000_000;
    while let Some(argv) = checked::from_bytes(&mut bytes) {
        now += 300_000;
        checked::execute(&mut store, &argv, Time::from_micros(now));
    }
});
