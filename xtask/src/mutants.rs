//! `cargo xtask mutants`: the tests in which something has a mistake, and another test must find it. They
//! are among all the others; here they are alone, and say how soon each was noticed.

use crate::python;
use crate::run::{Failure, Session};
use crate::soak;

/// What the names of these tests have in them, and of no others.
const NAME: &str = "mutant";

pub(crate) fn run(session: &mut Session) -> Result<(), Failure> {
    let venv = soak::ready(session)?;
    session.stage("mutants: models, scripts", |session| {
        let step = session.step("cargo").args(["test", "-p", "comity", "--tests"]);
        step.args(["--", "--nocapture", NAME]).run()
    })?;
    session.stage("mutants: histories", |session| {
        let step = venv.step(session, "pytest").args(["-q", "--import-mode=importlib", "-k", NAME]);
        step.arg(format!("{}/tests/test_isolation_memory.py", python::PACKAGE)).run()
    })
}
