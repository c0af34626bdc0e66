//! Every state that a few clients, recoveries and participants can come to, within bounds, over a
//! network that loses, repeats and delays: the clients and the recoveries are the real machines.
//!
//! Time does not pass: whatever could be due may happen at any moment, recovery included. In each
//! state all clients may die; what is then recovered must agree with what their users were told.
#![allow(clippy::cast_possible_truncation, reason = "the model's numbers are small")]

mod kept;
mod model;
mod mutate;
mod mutation;
mod rest;
mod scenario;
mod server;
mod world;

use scenario::{Budget, Scenario};

/// Any one fault of each kind, but only so many together.
const fn faults(faults: u8) -> Budget {
    Budget {
        faults,
        losses: 1,
        strays: 1,
        crashes: 1,
        limits: 1,
        timers: 2,
        recoveries: 2,
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
