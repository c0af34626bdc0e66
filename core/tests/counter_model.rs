//! Every order of events of a small world: two owners, one pruner, lost, late and repeated commands,
//! closes and new openings, crashes and restores of the same saved bytes on both. The owners are real coordinators, the server
//! is the real one. And the proof that the checker would notice: the same with one rule broken each.
//!
//! States are compared as they are, with entropy and clocks. An owner's clock moves only where it waits
//! to try again.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

use std::collections::BTreeMap;
use std::sync::Arc;

use comity::coordinator::{Config, Coordinator};
use comity::counter::{
    Answer, CounterId, CounterOptions, Durability, FlushStamp, Freshness, Op, SlotId, Tally, Verb,
    execute,
};
use comity::event::Event;
use comity::keyspace::{Keyspace, ServerTime};
use comity::redis::{Failure, RequestId};
use comity::ring::NodeSpec;
use comity::time::{Span, Time};
use stateright::{Checker, HasDiscoveries, Model, Property};

const NAME: &[u8] = b"c";
const KEY: &[u8] = b"comity:1:counter:{c}";

const C4: &str = "C4: the totals are the sum of all slots";
const C6: &str = "C6: never more than was counted";
const VALUE: &str = "C6: no value is more than was counted";
const C7: &str = "C7: at rest all is counted but what was lost";
const REPORTS: &str = "C7: nothing is reported lost where no bytes were restored";

/// The rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    SumForMaximum,
    RetiredRefused,
    IncarnationReused,
    ValueWithoutOwnSlot,
    FoldedForgotten,
}

/// How often each may still happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Budget {
    adds: u8,
    reads: u8,
    /// Commands that come late or never, and whose sender gives up.
    strays: u8,
    /// Commands that are executed, and once more later.
    repeats: u8,
    crashes: u8,
    prunes: u8,
    /// Closes, each with an opening anew.
    closes: u8,
}

/// A network that is slow and repeats itself.
const NETWORK: Budget =
    Budget { adds: 3, reads: 1, strays: 1, repeats: 1, crashes: 0, prunes: 1, closes: 0 };
/// Crashes, and the same bytes restored on both.
const CRASHES: Budget =
    Budget { adds: 2, reads: 0, strays: 1, repeats: 0, crashes: 2, prunes: 1, closes: 0 };
/// Short lives on a slow network.
const CLOSES: Budget =
    Budget { adds: 2, reads: 0, strays: 1, repeats: 1, crashes: 0, prunes: 0, closes: 1 };
/// Short lives, of which some end by a crash.
const SHORT: Budget =
    Budget { adds: 2, reads: 0, strays: 1, repeats: 0, crashes: 1, prunes: 0, closes: 1 };

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Owner {
    co: Coordinator,
    counter: CounterId,
    now: Time,
    /// What is on its way. There is never more than one.
    flight: Option<(RequestId, Op)>,
    /// What is written down, and how much was counted since.
    saved: Option<Vec<u8>>,
    since: u64,
    closing: bool,
    /// It is closed, and so much was not acknowledged.
    closed: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    server: Arc<Keyspace>,
    owners: [Arc<Owner>; 2],
    /// Commands that nobody waits for. They may never arrive.
    network: Vec<Op>,
    left: Budget,
    issued: u64,
    /// What crashes may have lost, at most; and what was reported.
    lost: u64,
    reported: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Action {
    Add(usize),
    Read(usize),
    /// The command is executed and answered.
    Exchange(usize),
    /// The same, and it is executed once more later.
    Repeat(usize),
    /// The owner gives it up; it may be executed later.
    Stray(usize),
    Arrive(usize),
    /// The owner has waited before it tries again.
    Wake(usize),
    Save(usize),
    /// The owner is gone, and begins again from what the first owner has saved.
    Crash(usize),
    Prune(SlotId),
    /// The owner closes, and begins again when it is closed.
    Close(usize),
}

struct Small(Mutation, Budget);

impl Owner {
    fn new(seed: u8, bytes: Option<&[u8]>, now: Time) -> Self {
        let config = Config::new(vec![NodeSpec::new("n", 1)]);
        let mut co = Coordinator::new(config, [seed; 32], now).expect("sound");
        let options = CounterOptions { durability: Durability::Sync, collected: false };
        let counter = match bytes {
            Some(bytes) => co.counter_restore(NAME, options, bytes, now),
            None => co.counter_open(NAME, options, now),
        };
        let counter = counter.expect("sound");
        let (flight, saved, closing, closed) = (None, None, false, None);
        Self { co, counter, now, flight, saved, since: 0, closing, closed }
    }

    fn pending(&self) -> Tally {
        self.co.counter_value(self.counter, self.now).expect("it is open").pending
    }

    fn value(&self) -> i128 {
        self.co.counter_value(self.counter, self.now).expect("it is open").value
    }

    /// What was saved now would be; none while something is pending that has no slot.
    fn bytes(&self) -> Option<Vec<u8>> {
        let named = self.pending().is_zero() || self.slot().is_some();
        named.then(|| self.co.clone().counter_snapshot(self.counter).expect("it is open"))
    }

    /// The slot that its flush is on its way to.
    fn slot(&self) -> Option<SlotId> {
        match &self.flight {
            Some((_, Op::Add { id, .. } | Op::Retire { id, .. } | Op::Fold { id, .. })) => {
                Some(*id)
            }
            Some((_, Op::Get { id })) => *id,
            _ => None,
        }
    }

    /// Takes what it wants sent; how much it reports lost.
    fn pump(&mut self) -> u64 {
        if let Some(command) = self.co.poll_command() {
            let op = Op::decode(command.argv.iter().skip(5)).expect("a counter's operation");
            assert!(self.flight.is_none(), "one at a time");
            self.flight = Some((command.request, op));
        }
        let mut reported = 0;
        while let Some(event) = self.co.poll_event() {
            match event {
                Event::CounterLost { lost, .. } => reported += lost.units(),
                Event::CounterClosed { unacknowledged, .. } => {
                    self.closed = Some(unacknowledged.units());
                }
                _ => {}
            }
        }
        reported
    }
}

impl World {
    /// Lets `input` work on an owner.
    fn input(&mut self, who: usize, input: impl FnOnce(&mut Owner)) {
        let owner = Arc::make_mut(&mut self.owners[who]);
        input(owner);
        self.reported += owner.pump();
        if let Some(unacknowledged) = owner.closed {
            self.lost += unacknowledged;
            let seed = 10 * self.left.closes + 100 + u8::try_from(who).expect("two");
            let saved = owner.saved.take();
            *owner = Owner::new(seed, None, owner.now);
            owner.saved = saved;
        }
    }

    fn slots(&self) -> Vec<SlotId> {
        let answer = ask(&self.server, &Op::Scan { cursor: 0 });
        let Verb::Part(part) = answer.verb else { return Vec::new() };
        part.slots.iter().filter(|slot| !slot.retired).map(|slot| slot.id).collect()
    }
}

fn ask(server: &Keyspace, op: &Op) -> Answer {
    execute(&mut server.clone(), KEY, op).expect("a hash")
}

impl Small {
    fn execute(&self, server: &mut Arc<Keyspace>, op: &Op) -> Answer {
        let server = Arc::make_mut(server);
        let mut op = op.clone();
        if let Op::Add { id, tally, .. } | Op::Retire { id, tally, .. } = &mut op {
            let stored = ask(server, &Op::Get { id: Some(*id) });
            if self.0 == Mutation::SumForMaximum {
                tally.p += stored.view.own.p;
            }
            if self.0 == Mutation::RetiredRefused && stored.verb == Verb::Retired {
                return stored;
            }
        }
        let mut answer = execute(server, KEY, &op).expect("a hash");
        if self.0 == Mutation::FoldedForgotten {
            let forget = |hash: &mut BTreeMap<Vec<u8>, Vec<u8>>| {
                hash.retain(|field, _| !matches!(field[..], [_, b'0'..b'4']));
            };
            server.with_hash(KEY, forget).expect("a hash");
        }
        if let (Mutation::IncarnationReused, Verb::Joined(number)) = (self.0, &mut answer.verb) {
            *number = 5;
        }
        if self.0 == Mutation::ValueWithoutOwnSlot && matches!(op, Op::Get { .. }) {
            // The totals of this answer, with the slot as it was before.
            answer.view.own.p = answer.view.own.p.saturating_sub(1);
        }
        answer
    }

    fn exchange(&self, world: &mut World, who: usize) -> Option<Op> {
        let (request, op) = world.owners[who].flight.clone()?;
        let reply = self.execute(&mut world.server, &op).encode();
        world.input(who, |owner| {
            owner.flight = None;
            owner.co.handle_reply(request, &reply, owner.now);
        });
        Some(op)
    }
}

impl Model for Small {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut server = Keyspace::new();
        server.set_now(ServerTime(1));
        let owner = |seed| Arc::new(Owner::new(seed, None, Time::from_micros(1_000)));
        vec![World {
            server: Arc::new(server),
            owners: [owner(1), owner(2)],
            network: Vec::new(),
            left: self.1.clone(),
            issued: 0,
            lost: 0,
            reported: 0,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let left = &world.left;
        for (who, owner) in world.owners.iter().enumerate() {
            if left.adds > 0 && !owner.closing {
                actions.push(Action::Add(who));
            }
            if left.closes > 0 && !owner.closing {
                actions.push(Action::Close(who));
            }
            if owner.flight.is_some() {
                actions.push(Action::Exchange(who));
                if left.repeats > 0 {
                    actions.push(Action::Repeat(who));
                }
                if left.strays > 0 {
                    actions.push(Action::Stray(who));
                }
            } else if owner.closing || !owner.pending().is_zero() {
                actions.push(Action::Wake(who));
            } else if left.reads > 0 {
                actions.push(Action::Read(who));
            }
            if left.crashes > 0 {
                // Both begin again from the one file there is: on two machines, or twice on one.
                actions.push(Action::Crash(who));
                let bytes = if who == 0 && !owner.closing { owner.bytes() } else { None };
                if bytes.is_some() && bytes != owner.saved {
                    actions.push(Action::Save(who));
                }
            }
        }
        if left.prunes > 0 {
            actions.extend(world.slots().into_iter().map(Action::Prune));
        }
        actions.extend((0..world.network.len()).map(Action::Arrive));
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Add(who) => {
                world.left.adds -= 1;
                world.issued += 1;
                world.input(who, |owner| {
                    owner.since += 1;
                    owner.co.counter_add(owner.counter, 1, owner.now).expect("few");
                });
            }
            Action::Read(who) => {
                world.left.reads -= 1;
                world.input(who, |owner| {
                    let read = owner.co.counter_read(owner.counter, Freshness::Fresh, owner.now);
                    read.expect("it is open");
                });
            }
            Action::Exchange(who) => {
                self.exchange(&mut world, who)?;
            }
            Action::Repeat(who) => {
                world.left.repeats -= 1;
                let op = self.exchange(&mut world, who)?;
                world.network.push(op);
            }
            Action::Stray(who) => {
                world.left.strays -= 1;
                let (request, op) = world.owners[who].flight.clone()?;
                world.network.push(op);
                world.input(who, |owner| {
                    owner.flight = None;
                    owner.co.handle_failure(request, Failure::OutcomeUnknown, owner.now);
                });
            }
            Action::Arrive(at) => {
                let op = world.network.remove(at);
                self.execute(&mut world.server, &op);
            }
            Action::Wake(who) => world.input(who, |owner| {
                owner.now = owner.co.next_deadline().unwrap_or(owner.now + Span::from_secs(1));
                owner.co.handle_timeout(owner.now);
            }),
            Action::Close(who) => {
                world.left.closes -= 1;
                world.input(who, |owner| {
                    owner.closing = true;
                    owner.co.counter_close(owner.counter, owner.now).expect("it is open");
                });
            }
            Action::Save(who) => {
                world.input(who, |owner| {
                    let bytes = owner.co.counter_snapshot(owner.counter).expect("it is open");
                    (owner.saved, owner.since) = (Some(bytes), 0);
                });
            }
            Action::Crash(who) => {
                world.left.crashes -= 1;
                let saved = world.owners[0].saved.clone();
                let old = &world.owners[who];
                // What is in the file will be taken up again, if it is the own one.
                let since = if who == 0 && saved.is_some() { old.since } else { u64::MAX };
                world.lost += since.min(old.pending().p);
                let seed = 10 * world.left.crashes + 3 + u8::try_from(who).expect("two");
                let mut owner = Owner::new(seed, saved.as_deref(), old.now);
                if who == 0 {
                    owner.saved = saved;
                }
                world.owners[who] = Arc::new(owner);
                world.input(who, |_| ());
            }
            Action::Prune(id) => {
                world.left.prunes -= 1;
                let (tally, flush_stamp, known) = (Tally::ZERO, FlushStamp::REPLAY, Tally::ZERO);
                self.execute(&mut world.server, &Op::Retire { id, tally, flush_stamp, known });
            }
        }
        world.network.sort_by_key(|op| format!("{op:?}"));
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn total(world: &World) -> u128 {
            ask(&world.server, &Op::Get { id: None }).view.totals.p
        }
        vec![
            Property::always(C6, |_, world: &World| total(world) <= u128::from(world.issued)),
            Property::always(VALUE, |_, world: &World| {
                world.owners.iter().all(|owner| owner.value() <= i128::from(world.issued))
            }),
            Property::always(C4, |_, world: &World| {
                let answer = ask(&world.server, &Op::Scan { cursor: 0 });
                let Verb::Part(part) = answer.verb else { return false };
                let sum: u128 = part.slots.iter().map(|slot| u128::from(slot.tally.p)).sum();
                sum + part.folded.p == answer.view.totals.p
            }),
            Property::always(C7, |_, world: &World| {
                let rests = |owner: &Arc<Owner>| owner.pending().is_zero();
                let told = world.lost + world.reported;
                !world.owners.iter().all(rests)
                    || total(world) + u128::from(told) >= u128::from(world.issued)
            }),
            Property::always(REPORTS, |model: &Self, world: &World| {
                world.reported == 0 || world.left.crashes < model.1.crashes
            }),
        ]
    }
}

fn holds(budget: Budget) {
    let started = std::time::Instant::now();
    let checker = Small(Mutation::None, budget).checker().threads(2).spawn_bfs().join();
    println!(
        "{} states, {} of them different, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        started.elapsed().as_secs_f64(),
    );
    checker.assert_properties();
    assert!(checker.unique_state_count() > 10_000);
}

#[test]
fn no_order_of_events_breaks_the_counter() {
    holds(NETWORK);
}

#[test]
fn no_order_of_closes_breaks_the_counter() {
    holds(CLOSES);
}

#[test]
fn no_order_of_closes_and_crashes_breaks_the_counter() {
    holds(SHORT);
}

#[test]
fn no_order_of_crashes_and_restores_breaks_the_counter() {
    holds(CRASHES);
}

/// The proofs that the model would notice.
mod mutants {
    use super::*;

    fn finds(mutation: Mutation, property: &'static str) {
        finds_in(NETWORK, mutation, property);
    }

    fn finds_in(budget: Budget, mutation: Mutation, property: &'static str) {
        let enough = HasDiscoveries::AllOf([property].into());
        let checker = Small(mutation, budget).checker().threads(2).finish_when(enough);
        let checker = checker.spawn_bfs().join();
        let found = checker.discoveries();
        println!("{mutation:?}: {:?} in {} states", found.keys(), checker.unique_state_count());
        assert!(found.contains_key(property), "{mutation:?} is not noticed");
    }

    #[test]
    fn a_sum_in_place_of_the_maximum_is_noticed() {
        finds(Mutation::SumForMaximum, C6);
    }

    #[test]
    fn a_retired_slot_that_is_refused_is_noticed() {
        finds(Mutation::RetiredRefused, C7);
    }

    #[test]
    fn an_incarnation_that_is_reused_is_noticed() {
        finds(Mutation::IncarnationReused, REPORTS);
    }

    #[test]
    fn a_folded_id_that_is_forgotten_is_noticed() {
        finds_in(CLOSES, Mutation::FoldedForgotten, C6);
    }

    #[test]
    fn a_value_without_the_own_slot_of_the_same_answer_is_noticed() {
        finds(Mutation::ValueWithoutOwnSlot, VALUE);
    }
}
