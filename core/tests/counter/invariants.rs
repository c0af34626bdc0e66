//! The invariants of the counter under a bad network, with a ledger of whole units, many seeds
//! each. A failure names the seed; `COMITY_SEED` runs that one alone.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

use crate::support::counter_acts::Acts;
use crate::support::counter_world::World;
use crate::support::network::Faults;
use crate::support::{Rng, for_seeds};
use comity::counter::Durability;
use comity::time::Span;

const SECOND: u64 = 1_000_000;

fn durability(rng: &mut Rng) -> Durability {
    let max_delay = Span::from_millis(rng.pick(&[0, 10, 10, 500]));
    rng.pick(&[
        Durability::Sync,
        Durability::Batched { max_delay, max_units: u64::MAX },
        Durability::Batched { max_delay, max_units: 3_000 },
        Durability::Journaled { max_delay },
    ])
}

fn faults(rng: &mut Rng) -> Faults {
    Faults { crash: 0, pause: 0, clock_gap: 0, ..Faults::swarm(rng) }
}

/// Runs worlds and returns them settled.
fn worlds(name: &str, seeds: u64, acts: Acts, mut each: impl FnMut(&mut World)) {
    let (mut flushed, mut resets, mut audits, mut restores) = (0, 0, 0, 0);
    let (mut lost, mut regressions) = (0, 0);
    for_seeds(name, seeds, |seed| {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let (faults, durability) = (faults(&mut rng), durability(&mut rng));
        let mut world = World::new(seed, faults, acts, durability);
        world.run(20 * SECOND);
        world.settle();
        world.assert_settled();
        each(&mut world);
        flushed += world.flushed;
        (resets, audits) = (resets + world.resets, audits + world.audits);
        (restores, lost) = (restores + world.restores, lost + world.lost);
        regressions += world.regressions;
    });
    println!(
        "{flushed} flushes waited for, {resets} resets, {audits} audits, {restores} restores, \
         {lost} losses reported, {regressions} regressions"
    );
}

#[test]
fn c7_every_unit_is_counted_once_whatever_the_network_does() {
    let acts = Acts { reset: 10, audit: 20, ..Acts::default() };
    worlds("network", 150, acts, |world| {
        // Nobody crashed, and nobody but the owner was told a slot: nothing may be missing.
        assert_eq!((world.lost, world.open.units()), (0, 0));
        let totals = world.view().totals;
        assert_eq!(totals.p, u128::from(world.issued.p));
        assert_eq!(totals.n, u128::from(world.issued.n));
    });
}

#[test]
fn c2_to_c7_hold_through_crashes_restores_copies_and_closes() {
    let acts = Acts { reset: 5, audit: 10, close: 10, crash: 15, copy: 10, ..Acts::default() };
    worlds("crashes", 200, acts, |_| {});
}

#[test]
fn c5_to_c7_a_cloned_process_counts_no_unit_twice_and_hides_none() {
    let acts = Acts { clone: 15, audit: 20, reset: 5, ..Acts::default() };
    let mut conflicts = 0;
    worlds("clones", 150, acts, |world| conflicts += world.lost);
    assert!(conflicts > 20, "{conflicts} conflicts found");
}

#[test]
fn c6_c7_a_failover_is_healed_by_the_living() {
    let acts = Acts { failover: 20, ..Acts::default() };
    let mut regressions = 0;
    worlds("failover", 150, acts, |world| {
        regressions += world.regressions;
        // Everybody is alive: all is given back.
        assert_eq!((world.lost, world.open.units()), (0, 0));
        let totals = world.view().totals;
        assert_eq!(totals.p, u128::from(world.issued.p));
        assert_eq!(totals.n, u128::from(world.issued.n));
    });
    assert!(regressions > 50, "{regressions} regressions found");
}

/// C5 and C7 ask for more here than is promised of copies whose bytes are restored.
#[test]
fn c5_to_c7_hold_through_everything_together() {
    let acts = Acts { reset: 5, audit: 5, close: 5, crash: 10, copy: 5, clone: 5, failover: 10 };
    worlds("everything", 150, acts, |_| {});
}
