//! `cargo xtask test`: everything that must hold before a change lands.

use crate::c;
use crate::js;
use crate::python::{self, System, Venv};
use crate::run::{Failure, Session};
use crate::setup::{self, Need};
use crate::wheels;

/// A part of the project that can be tested alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Core,
    C,
    Js,
    Python,
}

impl Part {
    /// In the order in which they run: what fails fastest and matters most comes first.
    pub(crate) const ALL: [(&str, Self); 4] =
        [("core", Self::Core), ("c", Self::C), ("js", Self::Js), ("python", Self::Python)];
}

/// A target without a standard library: what builds for it uses none.
const NO_STD_TARGETS: [&str; 2] = ["wasm32v1-none", js::TARGET];

/// The tests in Python.
const TESTS: &str = "bindings-python/tests";

/// The files of those tests that run with the oldest redis-py as well: what its version can change is how
/// connections are made, kept and refused, what it raises, and what it answers beside comity. All else
/// comity does itself, over connections that it has made by then.
const OF_THE_CLIENT: [&str; 14] = [
    "aio_lock_redis",
    "aio_loops",
    "aio_transport",
    "bad_input",
    "examples_redis",
    "faults_servers_redis",
    "imports",
    "lock_fork_redis",
    "lock_redis",
    "logs_redis",
    "readme_redis",
    "transaction_redis",
    "transport",
    "unreachable_redis",
];

/// Checks and tests `parts`; the first failure ends it.
pub(crate) fn run(session: &mut Session, parts: &[Part]) -> Result<(), Failure> {
    parts.iter().try_for_each(|part| match part {
        Part::Core => core(session),
        Part::C => c::test(session),
        Part::Js => js(session),
        Part::Python => python(session),
    })
}

fn core(session: &mut Session) -> Result<(), Failure> {
    setup::ensure_cargo_command(session, "fmt")?;
    setup::ensure_cargo_command(session, "clippy")?;
    // The differential tests compare the embedded store with a real server.
    setup::ensure(session, &[Need::RedisServer, Need::Openssl])?;

    cargo_stage(session, "core: format", &["fmt", "--all", "--check"])?;
    session.stage("core: lints", |session| {
        session
            .step("cargo")
            .args(["clippy", "--workspace", "--all-targets", "--all-features"])
            .args(["--", "-D", "warnings"])
            .run()
    })?;
    session.stage("core: documentation", |session| {
        // One by one: cargo refuses to document two libraries of one name together.
        ["comity", "comity-c", "comity-wasm", "comity-python"].iter().try_for_each(|package| {
            session
                .step("cargo")
                .args(["doc", "--no-deps", "-p", package])
                .env("RUSTDOCFLAGS", "-D warnings")
                .run()
        })
    })?;
    cargo_stage(session, "core: tests", &["test", "-p", "comity"])?;
    no_std(session)?;
    tokio_example(session)?;
    cargo_stage(session, "core: tests of the task runner", &["test", "-p", "xtask"])
}

/// The example that is a package of its own, for what it is built with.
fn tokio_example(session: &mut Session) -> Result<(), Failure> {
    session.stage("core: the example over tokio", |session| {
        let target = session.target();
        for words in [&["fmt", "--check"][..], &["test"]] {
            let step = session.step("cargo").args(words).within("core/examples/tokio");
            step.env("CARGO_TARGET_DIR", &target.to_string_lossy()).run()?;
        }
        Ok(())
    })
}

/// Builds the core for a target that has no standard library.
fn no_std(session: &mut Session) -> Result<(), Failure> {
    let name = "core: build without std";
    let mut reasons = Vec::new();
    for target in NO_STD_TARGETS {
        match setup::ensure_target(session, target) {
            Ok(()) => {
                return cargo_stage(session, name, &["build", "-p", "comity", "--target", target]);
            }
            Err(reason) => reasons.push(reason),
        }
    }
    session.skip(name, &reasons.join("; "));
    Ok(())
}

fn js(session: &mut Session) -> Result<(), Failure> {
    cargo_stage(session, "js: tests of the border in Rust", &["test", "-p", "comity-wasm"])?;
    js::test(session)
}

fn python(session: &mut Session) -> Result<(), Failure> {
    setup::ensure(session, &[Need::RedisServer])?;
    let requirements =
        [python::BUILD, python::CLIENT, python::CHECKS, python::APPS, python::RUNNER];
    let venv = Venv::ready(session, System::MayInstall, &requirements)?;

    session.stage("python: style", |session| {
        venv.step(session, "ruff").args(["check", python::PACKAGE]).run()?;
        venv.step(session, "ruff").args(["format", "--check", python::PACKAGE]).run()
    })?;
    let wheel = python::install_fresh_wheel(session, &venv)?;
    session.stage("python: types", |session| {
        // In the package's folder, where its configuration is found.
        let mypy = venv.step(session, "mypy").args(["--strict", "comity"]);
        mypy.within(python::PACKAGE).run()?;
        // Not in the package's folder: there the sources, which lack the compiled part, would
        // hide the installed wheel.
        venv.step(session, "python").args(["-m", "mypy.stubtest", "comity"]).run()
    })?;
    session
        .stage("python: tests", |session| pytest(session, &venv, &["-m", "not alone", TESTS]))?;
    session.stage("python: tests that want a quiet machine", |session| {
        pytest(session, &venv, &["-m", "alone", TESTS])
    })?;

    wheels::test(session)?;

    let oldest = Venv::oldest(session)?;
    session.stage("python: tests with the oldest redis-py", |session| {
        oldest.install_wheel(session, &wheel)?;
        let files = OF_THE_CLIENT.map(|name| format!("{TESTS}/test_{name}.py"));
        pytest(session, &oldest, &files.each_ref().map(String::as_str))
    })
}

/// Tests the installed wheel: with this way of importing, and started in the root, pytest puts no
/// folder of the repository on Python's search path.
///
/// Four at a time, on however few processors: the tests wait more than they compute, and none judges by
/// the machine's speed.
fn pytest(session: &Session, venv: &Venv, more: &[&str]) -> Result<(), Failure> {
    venv.step(session, "pytest")
        .args(["-q", "--import-mode=importlib", "-n", "4", "--dist", "worksteal"])
        .args(more)
        .arg(format!("--ignore={}/{}", python::PACKAGE, python::BESIDE_C))
        .run()
}

pub(crate) fn cargo_stage(
    session: &mut Session,
    name: &str,
    words: &[&str],
) -> Result<(), Failure> {
    session.stage(name, |session| session.step("cargo").args(words).run())
}
