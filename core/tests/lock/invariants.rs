//! The invariants of the queued lock under a bad network, many seeds each. A failure names the
//! seed; `COMITY_SEED` runs that one alone.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

use std::collections::BTreeMap;

use crate::support::client::Workload;
use crate::support::harness::{SECOND, World};
use crate::support::network::Faults;
use crate::support::view::assert_at_rest;
use crate::support::{Rng, for_seeds};
use comity::event::Event;
use comity::keyspace::ServerTime;

#[test]
fn i1_to_i4_i7_i8_i12_i14_hold_whatever_the_network_does() {
    let mut operations: BTreeMap<String, u64> = BTreeMap::new();
    let (mut grants, mut handed_over) = (0, 0);
    for_seeds("any faults", 500, |seed| {
        let mut rng = Rng::new(seed);
        let (faults, workload) = (Faults::swarm(&mut rng), Workload::swarm(&mut rng));
        let mut world = World::new(seed, workload, faults);
        world.run(120 * SECOND);
        world.wind_down();
        // I9: nobody holds, nobody waits, and all of it ends by itself.
        world.run(200 * SECOND);
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

/// Waits that end by themselves only, leases that are never cut.
fn patient(clients: usize) -> Workload {
    Workload {
        clients,
        names: 1,
        ttl_ms: vec![3_000, 30_000],
        hold_ms: 5_000,
        waits_s: vec![None],
        keeps: true,
        ..Workload::usual()
    }
}

fn events(world: &World, wanted: impl Fn(&Event) -> bool) -> usize {
    let all = world.clients.iter().flat_map(|client| &client.events);
    all.filter(|(_, event)| wanted(event)).count()
}

#[test]
fn i5_a_free_lock_is_granted_soon_though_every_push_is_lost() {
    // The heartbeat with its jitter, and two round trips of two ways each.
    let bound = 3_300_000 + 4 * 20_000;
    let mut longest = 0;
    for_seeds("all pushes lost", 60, |seed| {
        let faults = Faults { lost_push: 1_000, delay_us: (20_000, 20_000), ..Faults::NONE };
        let mut world = World::new(seed, patient(4), faults);
        world.run(20 * SECOND);
        // One client dies with what it holds.
        world.crash(0);
        world.run(100 * SECOND);
        longest = longest.max(world.ledger.longest_free);
        assert!(world.ledger.longest_free <= bound, "I5: free for {longest} us");
        world.wind_down();
    });
    println!("the longest that a lock was free while somebody waited: {longest} us");
}

#[test]
fn i5_a_lost_push_costs_a_heartbeat_and_not_the_lease() {
    let mut grants = 0;
    for_seeds("some pushes lost", 60, |seed| {
        let faults = Faults { lost_push: 400, ..Faults::NONE };
        let workload = Workload { ttl_ms: vec![30_000], ..patient(3) };
        let mut world = World::new(seed, workload, faults);
        world.run(120 * SECOND);
        world.wind_down();
        grants += events(&world, |event| matches!(event, Event::LockGranted { .. }));
        let lost = events(&world, |event| matches!(event, Event::LockLost { .. }));
        assert_eq!(lost, 0, "a lease was lost though its holder renewed it");
    });
    println!("{grants} grants");
}

#[test]
fn nothing_is_lost_and_nobody_fails_where_nothing_goes_wrong() {
    for_seeds("no faults", 40, |seed| {
        let mut world = World::new(seed, patient(4), Faults::NONE);
        world.run(120 * SECOND);
        world.wind_down();
        let bad =
            |event: &Event| matches!(event, Event::LockLost { .. } | Event::LockFailed { .. });
        assert_eq!(events(&world, bad), 0);
        assert!(events(&world, |event| matches!(event, Event::LockReleased { .. })) > 20);
        // A hand-over takes one way for the release and one for the push: never a heartbeat.
        assert!(world.ledger.longest_free <= 20_000, "{}", world.ledger.longest_free);
    });
}

#[test]
fn a_clean_close_leaves_nothing_behind() {
    for_seeds("close", 200, |seed| {
        let mut rng = Rng::new(seed);
        let (faults, workload) = (Faults::swarm(&mut rng), Workload::swarm(&mut rng));
        let mut world = World::new(seed, workload, faults);
        world.run(rng.between(1, 20) * SECOND);
        // What was on its way before may still arrive; what is sent from now on is answered.
        (world.faults, world.winding_down) = (Faults::NONE, true);
        world.run(60 * SECOND);
        let closed_at = world.now;
        world.close_all();
        world.run(6 * SECOND);
        for (who, client) in world.clients.iter().enumerate().filter(|(_, c)| c.co.is_some()) {
            let closed = client.events.iter().filter(|(_, event)| *event == Event::Closed);
            let closed: Vec<u64> = closed.map(|(at, _)| *at).collect();
            assert_eq!(closed.len(), 1, "client {who}: Closed comes once");
            assert!(closed[0] <= closed_at + 5_100_000, "client {who}: {closed:?}");
            assert!(client.open.is_empty(), "client {who} has open locks: {:?}", client.open);
            let co = client.co.as_ref().expect("filtered");
            assert_eq!(co.next_deadline(), None, "client {who} has nothing more to do");
        }
        // Clients that died are gone by the end of their leases.
        world.run(60 * SECOND);
        world.assert_reaped();
    });
}
