//! The proofs that the model would notice: each takes one mechanism out of the server or the client, and
//! shows that the same model holds with it.

use comity::time::Span;

use crate::MS;
use crate::model::{I2, I3, I5, I6, I7, I8, Lock};
use crate::server::Mechanism;
use crate::world::Budget;

#[test]
fn without_tombstones_a_straggler_brings_back_what_is_over() {
    let faults = Budget { faults: 2, strays: 1, cancels: 1, ..Budget::default() };
    Lock { faults, ..Lock::of("a straggler and a cancellation", 2) }
        .assert_broken_without(Mechanism::Tombstones, &[I7]);
}

#[test]
fn without_the_claim_a_dead_waiter_costs_a_whole_lease() {
    let faults = Budget { faults: 1, crashes: 1, ..Budget::default() };
    Lock { faults, ttl: Span::from_secs(30), ..Lock::of("a crash", 3) }
        .assert_broken_without(Mechanism::Claim, &[I5]);
}

#[test]
fn if_the_same_id_were_not_the_same_request_a_repetition_would_take_the_lock_from_its_holder() {
    let faults = Budget { faults: 1, strays: 1, ..Budget::default() };
    // The second client is there again when the first one's straggler arrives.
    let users = vec![(1, None), (2, None)];
    Lock { users, faults, horizon: 100 * MS, ..Lock::of("a repetition", 2) }
        .assert_broken_without(Mechanism::SameId, &[I2, I3, I6]);
}

#[test]
fn without_the_allowance_for_drift_a_slow_clock_believes_too_long() {
    let clocks = vec![vec![-9_999, 0]];
    Lock { clocks, renew: false, horizon: 3_200 * MS, ..Lock::of("a slow clock", 2) }
        .assert_broken_without(Mechanism::Drift, &[I2, I8]);
}
