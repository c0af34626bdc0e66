//! What is explored, which properties hold in every state, and how it is told what was explored.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use comity::lock::LockOptions;
use comity::time::Span;
use stateright::{Checker as _, HasDiscoveries, Model as _, Path, Property};

use crate::client::Client;
use crate::history::Broken;
use crate::rest::{Unrest, come_to_rest};
use crate::server::Mechanism;
use crate::world::{Budget, State, Step};

pub(crate) const I1: &str = "I1 no more is held than there is";
pub(crate) const I2: &str = "I2 no two believe that they hold it";
pub(crate) const I3: &str = "I3 fences rise, and an id has one";
pub(crate) const I4: &str = "I4 nobody alive is passed over";
pub(crate) const I5: &str = "I5 every waiter gets its turn in time";
pub(crate) const I6: &str = "I6 the same id once more changes nothing";
pub(crate) const I7: &str = "I7 what is over stays over";
pub(crate) const I8: &str = "I8 nobody believes beyond the server's expiry";
pub(crate) const I9: &str = "I9 in the end nothing is left";
pub(crate) const I10: &str = "I10 the counts are those of the records";
pub(crate) const I12: &str = "I12 nobody hangs";

/// A mutex.
const CAPACITY: u64 = 1;

/// What is explored.
#[derive(Clone, Debug)]
pub(crate) struct Lock {
    pub(crate) name: &'static str,
    /// For each client how often its user asks for the lock, and how long it waits for it.
    pub(crate) users: Vec<(u8, Option<Span>)>,
    /// The beginnings: for each client, how much faster than the server's its clock runs, in
    /// parts per million.
    pub(crate) clocks: Vec<Vec<i64>>,
    pub(crate) ttl: Span,
    pub(crate) renew: bool,
    /// Whether push connections are open from the beginning.
    pub(crate) subscribed: bool,
    pub(crate) faults: Budget,
    /// When time stops, in microseconds; from there all has to come to rest.
    pub(crate) horizon: u64,
    pub(crate) without: Option<Mechanism>,
}

impl Lock {
    /// Clients with true clocks whose users ask once, wait as long as it takes, and want their
    /// leases of 3 s renewed.
    pub(crate) fn of(name: &'static str, clients: usize) -> Self {
        Self {
            name,
            users: vec![(1, None); clients],
            clocks: vec![vec![0; clients]],
            ttl: Span::from_secs(3),
            renew: true,
            subscribed: true,
            faults: Budget::default(),
            horizon: 0,
            without: None,
        }
    }

    pub(crate) fn options(&self, who: usize) -> LockOptions {
        LockOptions {
            ttl: self.ttl,
            wait: self.users[who].1,
            renew: self.renew,
            ..LockOptions::default()
        }
    }

    /// Explores every state; all properties must hold.
    pub(crate) fn assert_holds(self) {
        let (found, ends) = self.explore(&[]);
        if let Some((name, path)) = found.into_iter().next() {
            panic!("{name}\n{}", told(&path));
        }
        assert!(ends > 0, "no run came to its end");
    }

    /// Explores until all the properties in `wanted` are found broken, which they must be; and
    /// shows that they hold with the mechanism in place.
    pub(crate) fn assert_broken_without(self, mechanism: Mechanism, wanted: &[&'static str]) {
        let (found, _) = Self { without: Some(mechanism), ..self.clone() }.explore(wanted);
        for name in wanted {
            let path = found.iter().find_map(|(found, path)| (found == name).then_some(path));
            let path = path.unwrap_or_else(|| panic!("without {mechanism:?}, yet: {name}"));
            say(&format!("{name}\n{}", told(path)));
        }
        self.assert_holds();
    }

    fn explore(self, wanted: &[&'static str]) -> (Vec<Discovery>, u64) {
        let started = Instant::now();
        let enough = match wanted {
            [] => HasDiscoveries::Any,
            _ => HasDiscoveries::AllOf(wanted.iter().copied().collect::<BTreeSet<_>>()),
        };
        let (name, without) = (self.name, self.without);
        let model = Model { lock: self, tally: Tally::default() };
        let checker = model.checker().finish_when(enough).spawn_bfs().join();
        let found: Vec<Discovery> = checker.discoveries().into_iter().collect();
        let tally = &checker.model().tally;
        say(&format!(
            "lock model, {name}{}: {} states by {} steps, depth {}, {:.1} s; {tally}",
            without.map_or(String::new(), |without| format!(", without {without:?}")),
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            started.elapsed().as_secs_f64(),
        ));
        let ends = tally.ends.load(Ordering::Relaxed);
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
        Some(step) => format!("  {:>9} us  {}\n", state.now, state.describe(*step)),
        None => format!("{state:?}\n"),
    };
    steps.iter().map(line).collect()
}

/// A property that does not hold, and the way to where it does not.
type Discovery = (&'static str, Path<State, Step>);

/// The model proper.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) lock: Lock,
    pub(crate) tally: Tally,
}

/// Counts what has happened on all the steps, so that it shows what was explored.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    by_reply: AtomicU64,
    by_push: AtomicU64,
    strays: AtomicU64,
    ends: AtomicU64,
}

impl Tally {
    fn count(&self, step: Step, before: &State, after: &State) {
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let clients = || before.clients.iter().zip(&after.clients);
        if clients().any(|(old, new)| old.fence.is_none() && new.fence.is_some()) {
            add(if matches!(step, Step::Push { .. }) { &self.by_push } else { &self.by_reply });
        }
        if matches!(step, Step::Stray { .. }) {
            add(&self.strays);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [by_reply, by_push, strays, ends] =
            [&self.by_reply, &self.by_push, &self.strays, &self.ends]
                .map(|counter| counter.load(Ordering::Relaxed));
        write!(
            f,
            "grants by {by_reply} replies and {by_push} pushes, {strays} stragglers, {ends} ends"
        )
    }
}

impl stateright::Model for Model {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        self.lock.clocks.iter().map(|clocks| State::beginning(&self.lock, clocks)).collect()
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        state.steps(&self.lock, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        state.step(&self.lock, step);
        self.tally.count(step, last, &state);
        if state.is_quiet() && state.next(&self.lock).is_none() {
            self.tally.ends.fetch_add(1, Ordering::Relaxed);
            state.unrest = come_to_rest(&self.lock, &state).err();
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn sound(state: &State, broken: Broken) -> bool {
            !state.history.broken.contains(&broken)
        }
        vec![
            Property::always(I1, |_, state: &State| {
                state.server.view().weight(state.now) <= CAPACITY
            }),
            Property::always(I2, |_, state: &State| {
                state.clients.iter().filter(|client| client.is_held(state.now)).count() <= 1
            }),
            Property::always(I3, |_, state: &State| sound(state, Broken::Fence)),
            Property::always(I4, |_, state: &State| sound(state, Broken::Order)),
            Property::always(I5, |_, state: &State| {
                !matches!(state.unrest, Some(Unrest::NoTurn(_)))
            }),
            Property::always(I6, |_, state: &State| sound(state, Broken::Repeat)),
            Property::always(I7, |_, state: &State| sound(state, Broken::Over)),
            Property::always(I8, |_, state: &State| believes_rightly(state)),
            Property::always(I9, |_, state: &State| !matches!(state.unrest, Some(Unrest::Left(_)))),
            Property::always(I10, |_, state: &State| sound(state, Broken::Counts)),
            Property::always(I12, |_, state: &State| {
                let hangs = |client: &Client| client.lock.is_some() && client.deadline().is_none();
                !state.clients.iter().any(|client| hangs(client))
                    && !matches!(state.unrest, Some(Unrest::NoEnd))
            }),
        ]
    }
}

/// What is believed is so on the server, and ends before the server ends it.
fn believes_rightly(state: &State) -> bool {
    state.clients.iter().filter(|client| client.is_held(state.now)).all(|client| {
        let mut holders = state.server.view().holders.iter();
        holders.any(|holder| {
            Some(holder.fence) == client.fence
                && holder.till > state.now
                && Some(holder.till) >= client.valid_until()
        })
    })
}
