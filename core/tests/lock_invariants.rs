//! The invariants of the queued lock under a bad network, many seeds each. A failure names the
//! seed; `COMITY_SEED` runs that one alone.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use comity::keyspace::ServerTime;
use support::Rng;
use support::harness::{SECOND, Workload, World};
use support::network::Faults;
use support::view::assert_at_rest;

/// Runs `scenario` for many seeds, or for the one of `COMITY_SEED`.
fn for_seeds(name: &str, seeds: u64, mut scenario: impl FnMut(u64)) {
    let given = std::env::var("COMITY_SEED").ok().and_then(|text| text.parse().ok());
    let range = given.map_or(0..seeds, |seed: u64| seed..seed + 1);
    let count = range.end - range.start;
    for seed in range {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
            println!("{name}: COMITY_SEED={seed}");
            resume_unwind(panic);
        }
    }
    println!("{name}: {count} runs");
}

#[test]
fn i1_to_i4_i7_i8_i12_i14_hold_whatever_the_network_does() {
    let mut operations: BTreeMap<String, u64> = BTreeMap::new();
    let (mut grants, mut handed_over) = (0, 0);
    for_seeds("any faults", 400, |seed| {
        let faults = Faults::swarm(&mut Rng::new(seed));
        let mut world = World::new(seed, Workload::usual(), faults);
        world.run(120 * SECOND);
        world.wind_down();
        // I9: nobody holds, nobody waits, and all of it ends by itself.
        world.run(130 * SECOND);
        let now = ServerTime(world.server_now());
        world.store.keyspace_mut().set_now(now);
        assert_at_rest(world.store.keyspace());
        grants += world.ledger.grants;
        handed_over += world.ledger.handed_over;
        for (verb, count) in &world.ledger.operations {
            *operations.entry(verb.clone()).or_default() += count;
        }
    });
    println!("{grants} grants, {handed_over} of them handed over; answers: {operations:?}");
}
