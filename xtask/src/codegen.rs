//! `cargo xtask codegen`: what the languages have of the core's tables.
//!
//! The tests that compare it write it.

use crate::run::{Failure, Session};

/// The files in Rust, Python and TypeScript, then the header, which is made from those in Rust.
const GENERATORS: [[&str; 4]; 2] =
    [["-p", "comity", "--test", "codegen"], ["-p", "comity-c", "--test", "header"]];

/// Writes all of them anew.
pub(crate) fn run(session: &mut Session) -> Result<(), Failure> {
    session.stage("codegen: write", |session| {
        GENERATORS.iter().try_for_each(|words| {
            session.step("cargo").arg("test").args(*words).env("COMITY_BLESS", "1").run()
        })
    })
}
