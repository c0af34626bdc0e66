//! `cargo xtask soak`: the fault runs at full length. Their short forms are in the tests.

use crate::python::{self, Venv};
use crate::run::{Failure, Session};
use crate::setup::{self, Need};

/// What is run for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// Bad networks in virtual time, with many more seeds.
    Seeds,
    /// The models whose states are counted in millions.
    Models,
    /// A storm of faults over locks on a real server.
    Storm,
    /// Money that moves between real servers while processes are killed.
    Bank,
    /// Verbs in the middle of verbs, by signals and by the collector.
    Interrupted,
    /// A history of transactions over a bad network, and whether it is serializable.
    History,
}

impl Run {
    pub(crate) const ALL: [(&str, Self); 6] = [
        ("seeds", Self::Seeds),
        ("models", Self::Models),
        ("storm", Self::Storm),
        ("bank", Self::Bank),
        ("interrupted", Self::Interrupted),
        ("history", Self::History),
    ];
}

/// How many times as many seeds as the tests have.
const SEEDS: &str = "40";
/// How many faults a storm has.
const FAULTS: &str = "20000";
/// How long money moves.
const BANK_SECONDS: &str = "600";
/// How often each kind of interruption is tried.
const INTERRUPTED: u32 = 30;
/// How long the history is.
const HISTORY_SECONDS: &str = "300";

/// Makes each of `runs` at full length; the first failure ends it.
pub(crate) fn run(session: &mut Session, runs: &[Run]) -> Result<(), Failure> {
    runs.iter().try_for_each(|run| match run {
        Run::Seeds => core(session, "soak: seeds", &[("COMITY_SOAK", SEEDS)], &[]),
        Run::Models => core(session, "soak: models", &[], &["--ignored"]),
        Run::Storm => pytest(session, "storm", &[("COMITY_STORM_FAULTS", FAULTS)], 1),
        Run::Bank => pytest(session, "bank", &[("COMITY_BANK_SECONDS", BANK_SECONDS)], 1),
        Run::Interrupted => pytest(session, "interrupted", &[], INTERRUPTED),
        Run::History => history(session),
    })
}

type Variables<'a> = &'a [(&'a str, &'a str)];

fn core(
    session: &mut Session,
    name: &str,
    variables: Variables<'_>,
    words: &[&str],
) -> Result<(), Failure> {
    // Some of these tests compare with a real server.
    setup::ensure(session, &[Need::RedisServer])?;
    session.stage(name, |session| {
        let step = session.step("cargo").args(["test", "--release", "-p", "comity", "--tests"]);
        let step = step.args(["--", "--nocapture"]).args(words);
        variables.iter().fold(step, |step, (name, value)| step.env(name, value)).run()
    })
}

fn pytest(
    session: &mut Session,
    name: &str,
    variables: Variables<'_>,
    times: u32,
) -> Result<(), Failure> {
    let venv = ready(session)?;
    session.stage(&format!("soak: {name}"), |session| {
        (0..times).try_for_each(|_| {
            let test = format!("{}/tests/test_{name}_redis.py", python::PACKAGE);
            let step = venv.step(session, "pytest").args(["-q", "--import-mode=importlib", "-s"]);
            let step = step.arg(test);
            variables.iter().fold(step, |step, (name, value)| step.env(name, value)).run()
        })
    })
}

fn history(session: &mut Session) -> Result<(), Failure> {
    let venv = ready(session)?;
    session.stage("soak: history", |session| {
        let out = session.target().join("history.jsonl");
        let script = format!("{}/tests/stress/history.py", python::PACKAGE);
        let step = venv.step(session, "python").args([&script, "--seconds", HISTORY_SECONDS]);
        step.arg("--out").arg(out).run()
    })
}

/// A server, and an environment with the wheel of this tree.
pub(crate) fn ready(session: &mut Session) -> Result<Venv, Failure> {
    setup::ensure(session, &[Need::RedisServer])?;
    python::ready_with_wheel(session, &[python::BUILD, python::CLIENT, python::RUNNER])
}
