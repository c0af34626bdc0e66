//! `cargo xtask bench`: comity and its peers, measured in one process.

use crate::python::{self, System, Venv};
use crate::run::{Failure, Session};
use crate::setup::{self, Need};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Lookups on the ring against a binary search.
    Ring,
    /// The lock through Python against redis-py's.
    Lock,
}

impl Subject {
    pub(crate) const ALL: [(&str, Self); 2] = [("ring", Self::Ring), ("lock", Self::Lock)];
}

/// Runs the benchmarks of `subjects`.
pub(crate) fn run(session: &mut Session, subjects: &[Subject]) -> Result<(), Failure> {
    subjects.iter().try_for_each(|subject| match subject {
        Subject::Ring => session.stage("bench: ring", |session| {
            session.step("cargo").args(["bench", "-p", "comity", "--bench", "ring"]).run()
        }),
        Subject::Lock => lock(session),
    })
}

fn lock(session: &mut Session) -> Result<(), Failure> {
    setup::ensure(session, &[Need::RedisServer])?;
    let venv = Venv::ready(session, System::MayInstall, &[python::BUILD, python::CLIENT])?;
    python::install_fresh_wheel(session, &venv)?;
    session.stage("bench: lock", |session| {
        let script = format!("{}/benches/lock.py", python::PACKAGE);
        venv.step(session, "python").arg(script).run()
    })
}
