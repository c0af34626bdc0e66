//! What is explored, which properties hold in every state, and how it is told what was explored.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use stateright::{Checker as _, HasDiscoveries, Model as _, Path, Property};

use crate::mutation::Mutation;
use crate::rest::{Unrest, come_to_rest};
use crate::scenario::Scenario;
use crate::step::Step;
use crate::world::{Broken, Told, World};

/// What [`Unrest`] lists, in one pass.
const REST: &str = "(a) to (f) whoever dies now, what others recover agrees with what users know";
const G: &str = "(g) one outcome for one transaction";
const WHOLE: &str = "nothing is damaged";

/// What a mutation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    AtRest(Unrest),
    InAStep(Broken),
}

impl Wrong {
    /// The property that then does not hold.
    const fn property(&self) -> &'static str {
        match self {
            Self::AtRest(_) => REST,
            Self::InAStep(Broken::TwoOutcomes) => G,
            Self::InAStep(_) => WHOLE,
        }
    }
}

pub(crate) struct Model {
    scenario: Scenario,
    tally: Tally,
}

/// Shows what has happened on the way.
#[derive(Debug, Default)]
struct Tally {
    commits: AtomicU64,
    aborts: AtomicU64,
    doubts: AtomicU64,
    ends: AtomicU64,
}

impl stateright::Model for Model {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::beginning(&self.scenario)]
    }

    fn actions(&self, state: &World, steps: &mut Vec<Step>) {
        state.steps(&self.scenario, steps);
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        world.step(&self.scenario, step);
        for (old, new) in last.runs.iter().zip(&world.runs) {
            let (Some(old), Some(new)) = (old, new) else { continue };
            if old.told != new.told {
                let counter = match new.told {
                    Told::Committed(_) => &self.tally.commits,
                    Told::Aborted => &self.tally.aborts,
                    _ => &self.tally.doubts,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
        if world.flights.is_empty() && world.strays.is_empty() {
            self.tally.ends.fetch_add(1, Ordering::Relaxed);
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(REST, |model: &Self, world: &World| {
                come_to_rest(&model.scenario, world).is_ok()
            }),
            Property::always(G, |_, state: &World| state.broken != Some(Broken::TwoOutcomes)),
            Property::always(WHOLE, |_, state: &World| {
                !matches!(state.broken, Some(Broken::Damaged | Broken::Failed | Broken::Slot))
            }),
        ]
    }
}

impl Scenario {
    /// Explores every state; all properties must hold.
    pub(crate) fn assert_holds(self) {
        let (found, ends) = self.explore(HasDiscoveries::Any);
        if let Some((name, path)) = found.into_iter().next() {
            panic!("{name}\n{}", told(&path));
        }
        assert!(ends > 0, "no run came to its end");
    }

    /// Explores until something is found broken, which must be one of `wanted`; and shows that all
    /// holds as it is.
    pub(crate) fn assert_broken_by(self, mutation: Mutation, wanted: &[Wrong]) {
        let mutant = Self { mutation: Some(mutation), ..self.clone() };
        let names: BTreeSet<_> = wanted.iter().map(Wrong::property).collect();
        let (found, _) = mutant.clone().explore(HasDiscoveries::AnyOf(names.clone()));
        let Some((name, path)) = found.into_iter().find(|(name, _)| names.contains(name)) else {
            panic!("with {mutation:?}, yet nothing is broken");
        };
        let last = path.last_state();
        let wrong = match name {
            REST => come_to_rest(&mutant, last).err().map(Wrong::AtRest),
            _ => last.broken.map(Wrong::InAStep),
        };
        let what = format!("{name}: {wrong:?}\n{}", told(&path));
        let expected = wrong.is_some_and(|wrong| wanted.contains(&wrong));
        assert!(expected, "with {mutation:?} not {wanted:?}, but {what}");
        say(&what);
        self.assert_holds();
    }

    fn explore(self, enough: HasDiscoveries) -> (Vec<Discovery>, u64) {
        let started = Instant::now();
        let (name, mutation) = (self.name, self.mutation);
        let model = Model { scenario: self, tally: Tally::default() };
        let checker = model.checker().threads(2).finish_when(enough).spawn_bfs().join();
        let found: Vec<Discovery> = checker.discoveries().into_iter().collect();
        let tally = &checker.model().tally;
        let [commits, aborts, doubts, ends] =
            [&tally.commits, &tally.aborts, &tally.doubts, &tally.ends]
                .map(|counter| counter.load(Ordering::Relaxed));
        say(&format!(
            "transaction model, {name}{}: {} states by {} steps, depth {}, {:.1} s; \
             {commits} commits, {aborts} aborts, {doubts} doubts, {ends} ends",
            mutation.map_or(String::new(), |mutation| format!(", with {mutation:?}")),
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            started.elapsed().as_secs_f64(),
        ));
        (found, ends)
    }
}

/// How much was explored is of interest where all is well, too: past the harness, which would keep
/// it for itself.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The way to a state.
fn told(path: &Path<World, Step>) -> String {
    let steps = path.clone().into_vec();
    let line = |(state, step): &(World, Option<Step>)| match step {
        Some(step) => format!("  {}\n", state.describe(*step)),
        None => format!("{state:?}\n"),
    };
    steps.iter().map(line).collect()
}

/// A property that does not hold, and the way to where it does not.
type Discovery = (&'static str, Path<World, Step>);
