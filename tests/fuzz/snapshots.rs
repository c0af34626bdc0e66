//! Any bytes as a snapshot of each kind: no panic, and what is accepted is canonical, merges and
//! restores. The checksum would stop nearly all of them, so they are read as they are, with a checksum
//! that is right, and as the body of a whole snapshot. `core/tests/store/snapshot_bytes.rs` checks the same
//! of the vectors and of what is near them: those are the seeds, see `core/tests/support/snapshots.rs`.
#![no_main]
#![allow(clippy::cast_possible_truncation, reason = "the checks are shared with the tests")]
#![allow(dead_code, reason = "the tests use more of it")]

#[path = "../../core/tests/support/snapshots.rs"]
mod snapshots;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    snapshots::check(data);
    snapshots::check(&snapshots::resealed(data));
    if let Some((kind, body)) = data.split_first() {
        snapshots::check(&snapshots::sealed(1 + kind % 3, body));
    }
});
