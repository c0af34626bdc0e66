//! `cargo xtask bench`: comity and its peers, measured in one process.

use std::path::Path;

use crate::js;
use crate::library;
use crate::python::{self, System, Venv};
use crate::redis::Server;
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
    /// Transactions through Python against redis-py's pipelines and locks.
    Transaction,
    /// Ring, counter and lock through JavaScript against their peers from npm.
    Js,
    /// The border of C against Rust, and the lock through hiredis against one by hand.
    C,
}

impl Subject {
    pub(crate) const ALL: [(&str, Self); 8] = [
        ("ring", Self::Ring),
        ("locks", Self::Locks),
        ("counter", Self::Counter),
        ("lock", Self::Lock),
        ("count", Self::Count),
        ("transaction", Self::Transaction),
        ("js", Self::Js),
        ("c", Self::C),
    ];
}

/// Runs the benchmarks of `subjects`.
pub(crate) fn run(session: &mut Session, subjects: &[Subject]) -> Result<(), Failure> {
    subjects.iter().try_for_each(|subject| match subject {
        Subject::Ring => core(session, "ring"),
        Subject::Locks => core(session, "locks"),
        Subject::Counter => core(session, "counter"),
        Subject::Lock => python(session, "lock"),
        Subject::Count => count(session),
        Subject::Transaction => python(session, "transaction"),
        Subject::Js => js(session),
        Subject::C => c(session),
    })
}

fn core(session: &mut Session, name: &str) -> Result<(), Failure> {
    session.stage(&format!("bench: {name}"), |session| {
        session.step("cargo").args(["bench", "-p", "comity", "--bench", name]).run()
    })
}

fn python(session: &mut Session, name: &str) -> Result<(), Failure> {
    setup::ensure(session, &[Need::RedisServer])?;
    let requirements = [python::BUILD, python::CLIENT, python::PEERS];
    let venv = python::ready_with_wheel(session, &requirements)?;
    session.stage(&format!("bench: {name}"), |session| {
        let script = format!("{}/benches/{name}.py", python::PACKAGE);
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

/// How often the two sides of the border of C take turns.
const TURNS: usize = 9;

fn c(session: &mut Session) -> Result<(), Failure> {
    setup::ensure(session, &[Need::RedisServer, Need::PkgConfig, Need::Hiredis])?;
    let prefix = library::pack(session, None)?.prefix;
    session.stage("bench: c", |session| {
        let build = |name: &str| {
            let source = format!("{}/benches/{name}.c", library::CRATE);
            let program = session.target().join(format!("package/{name}"));
            session
                .step("cc")
                .args(["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O2", &source, "-I"])
                .args([prefix.join("include"), prefix.join("lib/libcomity.a")])
                .args(["-lhiredis", "-lpthread", "-ldl", "-lm", "-o"])
                .arg(&program)
                .run()
                .map(|()| program)
        };
        border(session, &build("border")?)?;
        let server = Server::start(session)?;
        let port = server.port().to_string();
        session.step(build("pairs")?).args(["127.0.0.1", &port]).run()
    })
}

/// Measures both sides in turns, so that whatever else the machine does meets both.
fn border(session: &Session, program: &Path) -> Result<(), Failure> {
    let rust = ["bench", "--quiet", "-p", "comity-c", "--bench", "border"];
    // What is built for it is built before the first turn.
    session.step("cargo").args(rust).arg("--no-run").run()?;
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        let sides = [session.step("cargo").args(rust).read()?, session.step(program).read()?];
        turns.push(sides.map(|text| read_figures(&text)));
    }
    for (name, target) in [
        ("no-op", "at most 25 ns more"),
        ("next command", "at most 25 ns more"),
        ("ring lookup", "at most 1.3 times"),
    ] {
        let side = |which: usize| {
            let figures = turns.iter().filter_map(|turn| {
                turn[which].iter().find(|(found, _)| found == name).map(|(_, ns)| *ns)
            });
            median(figures.collect())
        };
        let (rust, c) = (side(0), side(1));
        let more = c - rust;
        let ratio = c / rust;
        println!(
            "{name}: C {c:.1} ns, Rust {rust:.1} ns: {more:+.1} ns, {ratio:.2} times ({target})"
        );
    }
    Ok(())
}

/// The lines `name: nanoseconds` of a text.
fn read_figures(text: &str) -> Vec<(String, f64)> {
    let read = |line: &str| {
        let (name, ns) = line.split_once(": ")?;
        Some((name.to_owned(), ns.trim().parse().ok()?))
    };
    text.lines().filter_map(read).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_their_median_found() {
        let text = "no-op: 3.50\nwhatever\nring lookup: 20\n";
        let figures = [("no-op".to_owned(), 3.5), ("ring lookup".to_owned(), 20.0)];
        assert_eq!(read_figures(text), figures);
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
    }
}
