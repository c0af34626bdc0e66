//! Every order of events of a small world: two owners, one pruner, lost and repeated commands,
//! crashes and restores of the same saved slot, over the real server side. And the proof that the checker
//! would notice: the same with one rule broken each.
#![allow(clippy::print_stdout, reason = "the test says how much it has explored")]

use std::collections::BTreeSet;

use comity::counter::{Mark, Op, SlotId, Tally, Verb, execute};
use comity::keyspace::{Keyspace, ServerTime};
use stateright::{Checker, HasDiscoveries, Model, Property};

const KEY: &[u8] = b"c";

/// The rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    SumForMaximum,
    RetiredRefused,
    IncarnationReused,
    ValueWithoutOwnSlot,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Owner {
    id: Option<SlotId>,
    /// What was counted in this life, and what of it the server has answered.
    now: u64,
    acknowledged: u64,
    flight: Option<u64>,
    leaving: Option<(SlotId, u64)>,
    saved: Option<(SlotId, u64)>,
    /// The value as last read.
    value: i128,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    server: Keyspace,
    owners: [Owner; 2],
    /// Whatever was ever sent may arrive, again and late.
    network: BTreeSet<(SlotId, u64, bool)>,
    issued: u64,
    /// What crashes may have lost, at most.
    lost: u64,
    crashes: u8,
    prunes: u8,
    repeats: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Action {
    Add(usize),
    Join(usize),
    /// The command is executed or not, and no reply comes.
    SendInVain(usize),
    Exchange(usize),
    Read(usize),
    Save(usize),
    /// The owner is gone, and begins again from what this owner has saved.
    Crash(usize, usize),
    Arrive((SlotId, u64, bool)),
    Prune(SlotId),
}

struct Small(Mutation);

fn tally(p: u64) -> Tally {
    Tally { p, n: 0 }
}

impl Small {
    fn raise(&self, server: &mut Keyspace, (id, p, retire): (SlotId, u64, bool)) -> Verb {
        let (mut p, mark, known) = (p, Mark(1), tally(p));
        let get = execute(server, KEY, &Op::Get { id: Some(id) }).expect("a hash");
        if self.0 == Mutation::RetiredRefused && get.verb == Verb::Retired {
            return Verb::Retired;
        }
        if self.0 == Mutation::SumForMaximum {
            p += get.view.own.p;
        }
        let op = match retire {
            true => Op::Retire { id, tally: tally(p), mark, known },
            false => Op::Add { id, tally: tally(p), mark, known },
        };
        execute(server, KEY, &op).expect("a hash").verb
    }

    /// What an owner would send next.
    fn command(owner: &mut Owner) -> Option<(SlotId, u64, bool)> {
        if let Some((id, p)) = owner.leaving {
            return Some((id, p, true));
        }
        let id = owner.id?;
        if owner.flight.is_none() && owner.now == owner.acknowledged {
            return None;
        }
        Some((id, *owner.flight.get_or_insert(owner.now), false))
    }
}

impl Model for Small {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut server = Keyspace::new();
        server.set_now(ServerTime(1));
        let (owners, network) = (<[Owner; 2]>::default(), BTreeSet::new());
        let (crashes, prunes, repeats) = (0, 0, 0);
        vec![World { server, owners, network, issued: 0, lost: 0, crashes, prunes, repeats }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (who, owner) in world.owners.iter().enumerate() {
            if world.issued < 3 {
                actions.push(Action::Add(who));
            }
            if owner.id.is_none() && owner.leaving.is_none() && owner.now > 0 {
                actions.push(Action::Join(who));
            }
            if Self::command(&mut owner.clone()).is_some() {
                actions.extend([Action::SendInVain(who), Action::Exchange(who)]);
            }
            if let Some(id) = owner.id {
                actions.push(Action::Read(who));
                if who == 0 && world.crashes < 2 && owner.saved != Some((id, owner.now)) {
                    actions.push(Action::Save(who));
                }
                if who == 0 && world.prunes < 1 {
                    actions.push(Action::Prune(id));
                }
            }
            if world.crashes < 2 {
                // Both begin again from the one file there is: it is restored twice, and on two machines.
                actions.push(Action::Crash(who, 0));
            }
        }
        if world.repeats < 1 {
            actions.extend(world.network.iter().map(|command| Action::Arrive(*command)));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        let World { server, owners, network, issued, lost, crashes, prunes, repeats } = &mut next;
        match action {
            Action::Add(who) => {
                owners[who].now += 1;
                owners[who].value += 1;
                *issued += 1;
            }
            Action::Join(who) => {
                let answer = execute(server, KEY, &Op::Join).expect("a hash");
                let Verb::Joined(mut incarnation) = answer.verb else { return None };
                if self.0 == Mutation::IncarnationReused {
                    incarnation = 5;
                }
                owners[who].id = Some(SlotId { owner: who as u128, incarnation });
            }
            Action::SendInVain(who) => {
                network.insert(Self::command(&mut owners[who])?);
            }
            Action::Exchange(who) => {
                let command = Self::command(&mut owners[who])?;
                let verb = self.raise(server, command);
                let owner = &mut owners[who];
                if command.2 {
                    owner.leaving = None;
                } else {
                    (owner.acknowledged, owner.flight) = (command.1, None);
                    if verb == Verb::Retired {
                        // What is not told yet is told to the retired slot; then there is a new one.
                        owner.leaving =
                            (owner.now != owner.acknowledged).then_some((command.0, owner.now));
                        (owner.id, owner.now, owner.acknowledged) = (None, 0, 0);
                    }
                }
            }
            Action::Read(who) => {
                let owner = &mut owners[who];
                let view = execute(server, KEY, &Op::Get { id: owner.id }).expect("a hash").view;
                let own = match self.0 {
                    Mutation::ValueWithoutOwnSlot => tally(owner.acknowledged),
                    _ => view.own,
                };
                owner.value =
                    view.totals.value().unwrap_or(0) - own.value() + tally(owner.now).value();
            }
            Action::Save(who) => owners[who].saved = owners[who].id.map(|id| (id, owners[who].now)),
            Action::Crash(who, from) => {
                let old = owners[who].clone();
                let saved = owners[from].saved;
                // What will be taken up again: the part of the own slot that is saved.
                let kept = saved.filter(|(id, _)| Some(*id) == old.id).map_or(0, |(_, p)| p);
                *lost += old.now - old.now.min(kept.max(old.acknowledged));
                if old.leaving.is_some() && old.leaving != saved {
                    *lost += old.leaving.map_or(0, |(_, p)| p);
                }
                owners[who] = Owner { leaving: saved, saved: old.saved, ..Owner::default() };
                *crashes += 1;
            }
            Action::Arrive(command) => {
                self.raise(server, command);
                *repeats += 1;
            }
            Action::Prune(id) => {
                let (tally, mark) = (Tally::ZERO, Mark::REPLAY);
                let op = Op::Retire { id, tally, mark, known: Tally::ZERO };
                execute(server, KEY, &op).expect("a hash");
                *prunes += 1;
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn total(world: &World) -> u128 {
            let op = Op::Get { id: None };
            execute(&mut world.server.clone(), KEY, &op).expect("a hash").view.totals.p
        }
        vec![
            Property::always("C6: never more than was counted", |_, world: &World| {
                total(world) <= u128::from(world.issued)
            }),
            Property::always("C6: no value is more than was counted", |_, world: &World| {
                world.owners.iter().all(|owner| owner.value <= i128::from(world.issued))
            }),
            Property::always("C4: the totals are the sum of all slots", |_, world: &World| {
                let mut server = world.server.clone();
                let answer = execute(&mut server, KEY, &Op::Scan { cursor: 0 }).expect("a hash");
                let Verb::Part(part) = answer.verb else { return false };
                let sum: u128 = part.slots.iter().map(|slot| u128::from(slot.tally.p)).sum();
                sum + part.folded.p == answer.view.totals.p
            }),
            Property::always("C7: at rest all is counted but what was lost", |_, world: &World| {
                let rests =
                    |owner: &Owner| owner.leaving.is_none() && owner.now == owner.acknowledged;
                !world.owners.iter().all(rests)
                    || total(world) + u128::from(world.lost) >= u128::from(world.issued)
            }),
        ]
    }
}

#[test]
fn no_order_of_events_breaks_the_counter() {
    let checker = Small(Mutation::None).checker().threads(2).spawn_bfs().join();
    println!(
        "{} states, {} of them different",
        checker.state_count(),
        checker.unique_state_count()
    );
    checker.assert_properties();
    assert!(checker.unique_state_count() > 10_000);
}

fn finds(mutation: Mutation, property: &'static str) {
    let checker = Small(mutation).checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let found = checker.discoveries();
    println!("{mutation:?}: {:?} in {} states", found.keys(), checker.unique_state_count());
    assert!(found.contains_key(property), "{mutation:?} is not noticed");
}

#[test]
fn a_sum_in_place_of_the_maximum_is_noticed() {
    finds(Mutation::SumForMaximum, "C6: never more than was counted");
}

#[test]
fn a_retired_slot_that_is_refused_is_noticed() {
    finds(Mutation::RetiredRefused, "C7: at rest all is counted but what was lost");
}

#[test]
fn an_incarnation_that_is_reused_is_noticed() {
    finds(Mutation::IncarnationReused, "C7: at rest all is counted but what was lost");
}

#[test]
fn a_value_without_the_own_slot_of_the_same_answer_is_noticed() {
    finds(Mutation::ValueWithoutOwnSlot, "C6: no value is more than was counted");
}
