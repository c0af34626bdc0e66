//! Every state that a few clients, recoveries and participants can come to, within bounds, over a
//! network that loses, repeats and delays: the clients and the recoveries are the real machines.
//!
//! Time does not pass: whatever could be due may happen at any moment, recovery included. In each
//! state all clients may die; what is then recovered must agree with what their users were told.
#![allow(clippy::cast_possible_truncation, reason = "the model's numbers are small")]

mod kept;
mod model;
mod mutants;
mod mutate;
mod mutation;
mod rest;
mod scenario;
mod server;
mod step;
mod world;

use comity::transaction::PrepareOrder;
use scenario::{Budget, Scenario};

/// Any one fault of each kind, but only so many together.
pub(crate) const fn faults(faults: u8) -> Budget {
    Budget {
        faults,
        losses: 1,
        strays: 1,
        crashes: 1,
        limits: 1,
        timers: 1,
        recoveries: 2,
        resolves: 0,
        late: 0,
        sweeps: 0,
    }
}

#[test]
fn two_participants_and_two_recoveries() {
    Scenario::new("2 x 2", 2, faults(1)).helpers(2).with(0, "a b", "", "").assert_holds();
}

#[test]
fn three_participants_and_a_recovery() {
    let budget = Budget { recoveries: 1, ..faults(1) };
    Scenario::new("3 x 1", 3, budget).with(0, "a b c", "", "").assert_holds();
}

#[test]
fn two_that_overlap_and_one_of_them_in_one_script() {
    let budget = Budget { recoveries: 1, ..faults(1) };
    Scenario::new("overlapping", 2, budget)
        .with(0, "a b", "", "")
        .with(1, "b", "", "")
        .assert_holds();
}

#[test]
fn a_snapshot_and_a_crash_and_a_recovery() {
    let budget = Budget { losses: 0, strays: 0, limits: 0, recoveries: 1, ..faults(1) };
    Scenario::new("snapshot", 2, budget)
        .with(0, "a b", "", "")
        .with(1, "", "a b", "")
        .assert_holds();
}

#[test]
fn a_slot_that_is_used_again() {
    let budget = Budget { recoveries: 1, ..faults(1) };
    Scenario::new("a slot used twice", 2, budget)
        .with(0, "a b", "", "")
        .with(0, "b", "", "")
        .assert_holds();
}

#[test]
fn what_is_swept_when_the_time_is_over() {
    let budget = Budget { recoveries: 1, late: 1, sweeps: 1, limits: 0, ..faults(1) };
    Scenario::new("swept", 2, budget).with(0, "a b", "", "").assert_holds();
}

#[test]
fn what_is_resolved_before_it_was_heard_of() {
    let budget = Budget { recoveries: 0, resolves: 1, ..faults(1) };
    Scenario::new("resolved", 2, budget).with(0, "b", "", "").with(0, "a b", "", "").assert_holds();
}

#[test]
fn what_is_resolved_when_the_time_is_over() {
    let budget = Budget {
        recoveries: 0,
        resolves: 1,
        late: 1,
        sweeps: 1,
        losses: 0,
        timers: 0,
        ..faults(1)
    };
    Scenario::new("resolved late", 1, budget)
        .with(0, "a", "", "")
        .with(0, "a", "", "")
        .assert_holds();
}

#[test]
fn what_replicas_are_to_have_and_a_slot_that_is_used_again() {
    let budget = Budget { recoveries: 1, ..faults(1) };
    Scenario::new("replicas", 2, budget)
        .durable()
        .with(0, "a b", "", "")
        .with(0, "b", "", "")
        .assert_holds();
}

#[test]
fn two_that_wait_for_each_others_keys() {
    let budget = Budget { recoveries: 0, crashes: 0, timers: 3, ..faults(1) };
    Scenario::new("waiting", 2, budget)
        .ordered(0, "a b", "", "", PrepareOrder::Waiting)
        .ordered(1, "b a", "", "", PrepareOrder::Waiting)
        .assert_holds();
}

#[test]
fn two_that_read_what_the_other_writes() {
    let budget = Budget { faults: 0, recoveries: 1, ..faults(0) };
    Scenario::new("write skew", 2, budget)
        .with(0, "a", "", "b")
        .with(1, "b", "", "a")
        .assert_holds();
}

/// Any two.
const fn two_faults(recoveries: u8) -> Budget {
    Budget { losses: 2, strays: 2, limits: 2, timers: 2, recoveries, ..faults(2) }
}

#[test]
fn two_participants_a_recovery_and_any_two_faults() {
    Scenario::new("2 x 1, two faults", 2, two_faults(1)).with(0, "a b", "", "").assert_holds();
}

// The same further out: `cargo test --release -p comity --test transaction_model -- --ignored`.

#[test]
#[ignore = "millions of states"]
fn two_participants_two_recoveries_and_any_two_faults() {
    let scenario = Scenario::new("2 x 2, two faults", 2, two_faults(2)).helpers(2);
    scenario.with(0, "a b", "", "").assert_holds();
}
