//! Every state that a few clients, recoveries and participants can come to, within bounds, over a
//! network that loses, repeats and delays: the clients and the recoveries are the real machines.
//!
//! Time does not pass: whatever could be due may happen at any moment, recovery included. In each
//! state all clients may die; what is then recovered must agree with what their users were told.
#![allow(clippy::cast_possible_truncation, reason = "the model's numbers are small")]

mod model;
mod mutate;
mod mutation;
mod rest;
mod scenario;
mod server;
mod world;

use scenario::{Budget, Scenario};

#[test]
fn two_participants_and_two_recoveries() {
    let budget = Budget {
        losses: 1,
        strays: 1,
        crashes: 1,
        limits: 1,
        timers: 1,
        recoveries: 2,
        ..Budget::default()
    };
    Scenario::new("2 x 2", 2, budget).helpers(2).with(0, "a b", "", "").assert_holds();
}
