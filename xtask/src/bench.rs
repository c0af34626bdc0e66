//! `cargo xtask bench`: comity and its peers, measured in one process.

use crate::js;
use crate::python::{self, System, Venv};
use crate::run::{Failure, Session};
use crate::setup::{self, Need};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Lookups on the ring against a binary search.
    Ring,
    /// Many locks held by one coordinator.
    Locks,
    /// The counter against the crdts crate.
    Counter,
    /// The lock through Python against redis-py's.
    Lock,
    /// The counter through Python against redis-py's `incr`.
    Count,
    /// Ring, counter and lock through JavaScript against their peers from npm.
    Js,
}

impl Subject {
    pub(crate) const ALL: [(&str, Self); 6] = [
        ("ring", Self::Ring),
        ("locks", Self::Locks),
        ("counter", Self::Counter),
        ("lock", Self::Lock),
        ("count", Self::Count),
        ("js", Self::Js),
    ];
}

/// Runs the benchmarks of `subjects`.
pub(crate) fn run(session: &mut Session, subjects: &[Subject]) -> Result<(), Failure> {
    subjects.iter().try_for_each(|subject| match subject {
        Subject::Ring => core(session, "ring"),
        Subject::Locks => core(session, "locks"),
        Subject::Counter => core(session, "counter"),
        Subject::Lock => lock(session),
        Subject::Count => count(session),
        Subject::Js => js(session),
    })
}

fn core(session: &mut Session, name: &str) -> Result<(), Failure> {
    session.stage(&format!("bench: {name}"), |session| {
        session.step("cargo").args(["bench", "-p", "comity", "--bench", name]).run()
    })
}

fn lock(session: &mut Session) -> Result<(), Failure> {
    setup::ensure(session, &[Need::RedisServer])?;
    let requirements = [python::BUILD, python::CLIENT, python::PEERS];
    let venv = Venv::ready(session, System::MayInstall, &requirements)?;
    python::install_fresh_wheel(session, &venv)?;
    session.stage("bench: lock", |session| {
        let script = format!("{}/benches/lock.py", python::PACKAGE);
        venv.step(session, "python").arg(script).run()
    })
}

fn js(session: &mut Session) -> Result<(), Failure> {
    js::build(session)?;
    setup::ensure(session, &[Need::RedisServer, Need::Webdis])?;
    session.stage("bench: js", |session| {
        let native = ["bench", "--quiet", "-p", "comity-wasm", "--bench", "native"];
        let native = session.step("cargo").args(native).ask().unwrap_or_default();
        let native = native.trim();
        let step = session.step("node").arg("benches/run.mjs").within(js::PACKAGE);
        step.env("COMITY_NATIVE_NS", native).run()
    })
}

fn count(session: &mut Session) -> Result<(), Failure> {
    setup::ensure(session, &[Need::RedisServer])?;
    let venv =
        Venv::ready(session, System::MayInstall, &[python::BUILD, python::CLIENT, python::PEERS])?;
    // Beside the environment: its extension has methods that no wheel has.
    let site = session.stage("python: build for the benchmark", |session| {
        venv.install_beside(session, "bench")
    })?;
    session.stage("bench: count", |session| {
        let script = format!("{}/benches/counter.py", python::PACKAGE);
        venv.step(session, "python").arg(script).env("PYTHONPATH", &site.to_string_lossy()).run()
    })
}
