//! `cargo xtask dist`: what is given to others, in `dist/`.

use crate::python::{self, System, Venv};
use crate::run::{Failure, Session};

/// Builds the wheel and the source distribution.
pub(crate) fn run(session: &mut Session) -> Result<(), Failure> {
    let venv = Venv::ready(session, System::MayInstall, &[python::BUILD])?;
    let wheel = session.stage("python: build the wheel", |session| venv.build_wheel(session))?;
    session.stage("python: build the source distribution", |session| venv.build_sdist(session))?;
    println!("\nthe wheel is {}", wheel.display());
    Ok(())
}
