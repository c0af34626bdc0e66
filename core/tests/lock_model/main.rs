//! Every state that a few clients, one server and a bad network can come to, within bounds: the
//! clients are real coordinators and the server is the real embedded store.
//!
//! States are compared as they are, with counters, entropy and absolute times: leaving those out
//! would merge one state in five at most. Time goes in steps from one moment of interest to the
//! next (a deadline, the end of a lease), freely when nothing is on its way, and otherwise as a
//! fault. What is on its way at one moment arrives in any order. Where time is up, the rest is run
//! without faults, to its end.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "the model's numbers are small"
)]

mod client;
mod history;
mod model;
mod mutants;
mod rest;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod tell;
mod world;

use comity::time::Span;

use model::Lock;
use world::Budget;

/// One of each kind.
const ONE_OF_EACH: Budget = Budget {
    faults: 1,
    losses: 1,
    strays: 1,
    pushes: 1,
    cuts: 1,
    crashes: 1,
    cancels: 1,
    delays: 1,
};

/// Any two.
const ANY_TWO: Budget = Budget {
    faults: 2,
    losses: 2,
    strays: 2,
    pushes: 2,
    cuts: 2,
    crashes: 1,
    cancels: 2,
    delays: 2,
};

const MS: u64 = 1_000;

/// Beyond a lease of 3 s, and the first claim after it.
const BEYOND_A_LEASE: u64 = 4_000 * MS;

fn two_that_renew(name: &'static str) -> Lock {
    Lock { horizon: BEYOND_A_LEASE, faults: ONE_OF_EACH, ..Lock::of(name, 2) }
}

#[test]
fn two_clients_that_renew_and_any_fault() {
    two_that_renew("two clients that renew").assert_holds();
}

#[test]
fn two_clients_and_any_two_faults_at_once() {
    Lock { faults: ANY_TWO, ..Lock::of("two clients, two faults", 2) }.assert_holds();
}

#[test]
fn two_clients_whose_push_connections_are_not_open_yet() {
    let model = Lock::of("two clients, no push yet", 2);
    let (subscribed, renew, horizon) = (false, false, 1_600 * MS);
    Lock { faults: ONE_OF_EACH, subscribed, renew, horizon, ..model }.assert_holds();
}

#[test]
fn two_clients_of_which_one_waits_for_a_second_only() {
    let users = vec![(1, None), (1, Some(Span::from_secs(1)))];
    let model = Lock::of("two clients, one waits for 1 s", 2);
    let (renew, horizon) = (false, 2_000 * MS);
    Lock { users, faults: ONE_OF_EACH, renew, horizon, ..model }.assert_holds();
}

#[test]
fn two_clients_whose_clocks_drift() {
    let clocks = vec![vec![-9_999, 9_999], vec![9_999, -9_999]];
    let faults = Budget { cuts: 0, pushes: 0, cancels: 0, strays: 0, ..ONE_OF_EACH };
    let (renew, horizon) = (false, BEYOND_A_LEASE);
    Lock { clocks, faults, renew, horizon, ..Lock::of("two clocks that drift", 2) }.assert_holds();
}

#[test]
fn two_clients_of_which_one_asks_twice() {
    let users = vec![(2, None), (1, None)];
    let faults = Budget { delays: 0, ..ONE_OF_EACH };
    Lock { users, faults, ..Lock::of("two clients, three requests", 2) }.assert_holds();
}

#[test]
fn three_clients_and_a_crash_a_lost_push_or_a_cancellation() {
    let faults = Budget { losses: 0, strays: 0, cuts: 0, delays: 0, ..ONE_OF_EACH };
    Lock { faults, ..Lock::of("three clients", 3) }.assert_holds();
}

// The same further out: `cargo test --release -p comity --test lock_model -- --ignored`.

#[test]
#[ignore = "millions of states"]
fn two_clients_whose_leases_end_and_any_two_faults() {
    let model = two_that_renew("two clients, two faults over a lease");
    Lock { faults: ANY_TWO, renew: false, ..model }.assert_holds();
}

#[test]
#[ignore = "millions of states"]
fn two_clients_that_renew_and_drift_and_any_fault() {
    let clocks = vec![vec![-9_999, 9_999], vec![9_999, -9_999], vec![-9_999, -9_999]];
    Lock { clocks, ..two_that_renew("two clocks that drift, renewed") }.assert_holds();
}

#[test]
#[ignore = "millions of states"]
fn three_clients_and_any_fault() {
    Lock { faults: ONE_OF_EACH, ..Lock::of("three clients, any fault", 3) }.assert_holds();
}
