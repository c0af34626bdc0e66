//! The stages of `cargo xtask test c`.

use crate::package;
use crate::run::{Failure, Session};
use crate::setup::{self, Need};
use crate::test::cargo_stage;

/// What a sanitizer checks in the programs in C; what it finds ends them.
pub(crate) const SANITIZERS: &str =
    "-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all";

/// Any error and any lost memory fails; what is still reachable at the end is not lost.
pub(crate) const VALGRIND: &str = "valgrind --quiet --error-exitcode=99 --leak-check=full \
     --errors-for-leak-kinds=definite,indirect,possible";

/// Tests the library from Rust and from C: plainly, with the other compiler, with sanitizers, under
/// valgrind and under Miri; then what is packed of it.
pub(crate) fn test(session: &mut Session) -> Result<(), Failure> {
    setup::ensure(
        session,
        &[
            Need::Clang,
            Need::Valgrind,
            Need::Cmake,
            Need::PkgConfig,
            Need::Hiredis,
            Need::Openssl,
            Need::OpensslLibrary,
            Need::RedisServer,
        ],
    )?;
    cargo_stage(session, "c: tests", &["test", "-p", "comity-c"])?;
    programs(session, "c: programs with clang", &[("CC", "clang")])?;
    session.stage("c: the header in C++ with clang", |session| {
        let words = ["test", "-p", "comity-c", "--test", "cpp"];
        session.step("cargo").args(words).env("CXX", "clang++").run()
    })?;
    programs(session, "c: programs with sanitizers", &[("CFLAGS", SANITIZERS)])?;
    programs(session, "c: programs under valgrind", &[("COMITY_RUNNER", VALGRIND)])?;
    miri(session)?;
    package::test(session)
}

/// Lets Miri watch the functions, where it is there: toolchains that are stable do not have it.
fn miri(session: &mut Session) -> Result<(), Failure> {
    let name = "c: functions under Miri";
    if session.step("cargo").args(["miri", "--version"]).ask().is_none() {
        session.skip(name, "this toolchain has no Miri");
        return Ok(());
    }
    let words = ["miri", "test", "-p", "comity-c", "--lib", "--test", "border"];
    cargo_stage(session, name, &words)
}

/// Builds and runs the programs in C in another way.
fn programs(session: &mut Session, name: &str, variables: &[(&str, &str)]) -> Result<(), Failure> {
    session.stage(name, |session| {
        let step = session.step("cargo").args(["test", "-p", "comity-c", "--test", "c_programs"]);
        variables.iter().fold(step, |step, (name, value)| step.env(name, value)).run()
    })
}
