//! What is explored, which properties hold in every state, and how it is told what was explored.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use stateright::{Checker as _, HasDiscoveries, Model as _, Path, Property};

use crate::mutation::Mutation;
use crate::rest::{Unrest, come_to_rest};
use crate::scenario::Scenario;
use crate::world::{Broken, Step, Told, World};

pub(crate) const A: &str = "(a) applied everywhere or nowhere";
pub(crate) const B: &str = "(b) applied once at most";
pub(crate) const C: &str = "(c) what the user was told holds";
pub(crate) const D: &str = "(d), (f) what was read is that of a serial order in real time";
pub(crate) const E: &str = "(e) in the end nothing is left";
pub(crate) const G: &str = "(g) one outcome for one transaction";
pub(crate) const ENDS: &str = "recovery ends";
pub(crate) const WHOLE: &str = "nothing is damaged";

/// A state, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) unrest: Option<Unrest>,
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
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State { world: World::beginning(&self.scenario), unrest: None }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        state.world.steps(&self.scenario, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut world = last.world.clone();
        world.step(&self.scenario, step);
        for (old, new) in last.world.runs.iter().zip(&world.runs) {
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
        let unrest = come_to_rest(&self.scenario, &world).err();
        Some(State { world, unrest })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! never {
            ($name:expr, $unrest:pat) => {
                Property::always($name, |_, state: &State| !matches!(state.unrest, Some($unrest)))
            };
        }
        vec![
            never!(A, Unrest::Half),
            never!(B, Unrest::Twice),
            never!(C, Unrest::Told),
            never!(D, Unrest::Order),
            never!(E, Unrest::Left),
            never!(ENDS, Unrest::NoEnd),
            Property::always(G, |_, state: &State| state.world.broken != Some(Broken::TwoOutcomes)),
            Property::always(WHOLE, |_, state: &State| {
                !matches!(state.world.broken, Some(Broken::Damaged | Broken::Failed))
            }),
        ]
    }
}

impl Scenario {
    /// Explores every state; all properties must hold.
    pub(crate) fn assert_holds(self) {
        let (found, ends) = self.explore(&[]);
        if let Some((name, path)) = found.into_iter().next() {
            panic!("{name}\n{}", told(&path));
        }
        assert!(ends > 0, "no run came to its end");
    }

    /// Explores until one of the properties in `wanted` is found broken, which must be; and shows
    /// that all hold as it is.
    pub(crate) fn assert_broken_by(self, mutation: Mutation, wanted: &[&'static str]) {
        let (found, _) = Self { mutation: Some(mutation), ..self.clone() }.explore(wanted);
        let found = found.into_iter().find(|(name, _)| wanted.contains(name));
        let (name, path) = found.unwrap_or_else(|| panic!("with {mutation:?}, yet: {wanted:?}"));
        say(&format!("{name}\n{}", told(&path)));
        self.assert_holds();
    }

    fn explore(self, wanted: &[&'static str]) -> (Vec<Discovery>, u64) {
        let started = Instant::now();
        let enough = match wanted {
            [] => HasDiscoveries::Any,
            _ => HasDiscoveries::AnyOf(wanted.iter().copied().collect::<BTreeSet<_>>()),
        };
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
fn told(path: &Path<State, Step>) -> String {
    let steps = path.clone().into_vec();
    let line = |(state, step): &(State, Option<Step>)| match step {
        Some(step) => format!("  {}\n", state.world.describe(*step)),
        None => format!("{state:?}\n"),
    };
    steps.iter().map(line).collect()
}

/// A property that does not hold, and the way to where it does not.
type Discovery = (&'static str, Path<State, Step>);
