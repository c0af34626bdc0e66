//! Python: the virtual environment in `.venv`, and the wheel built for it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::run::{Failure, Session, Step};
use crate::setup::{self, Need};

/// What builds the wheel.
pub(crate) const BUILD: &[&str] = &["maturin>=1.9,<2"];
/// The client library that the drivers speak through.
pub(crate) const CLIENT: &[&str] = &["redis>=6.4"];
/// Locks of others, to be measured against.
pub(crate) const PEERS: &[&str] = &["hiredis>=3.1", "python-redis-lock>=4"];
/// What checks the Python package.
pub(crate) const CHECKS: &[&str] = &["hiredis>=3.1", "mypy>=1.15", "ruff>=0.11"];
/// The servers and workers in which applications are tried.
pub(crate) const APPS: &[&str] =
    &["celery>=5.4", "fastapi>=0.115", "gunicorn>=22", "rq>=2", "uvicorn>=0.30"];
/// What runs the tests.
pub(crate) const RUNNER: &[&str] = &["pytest>=8.3", "pytest-timeout>=2.3", "pytest-xdist>=3.8"];
/// The oldest supported client library, without its optional parser.
pub(crate) const OLDEST: &[&str] = &["redis==6.4.0"];

/// The package's folder.
pub(crate) const PACKAGE: &str = "bindings-python";

/// The tests in that folder which need the C library as well, and so are run with its own.
pub(crate) const BESIDE_C: &str = "tests/test_c_redis.py";

/// Supported versions 3.x, the newest first.
const MINORS: [u32; 5] = [14, 13, 12, 11, 10];

/// Prints the version and whether a virtual environment can be made. Asking `ensurepip` for its
/// version finds its bundled files too; Debian packages both apart from Python.
const PROBE: &str = "\
import sys
try:
    import ensurepip, venv
    ready = bool(ensurepip.version())
except Exception:
    ready = False
print(sys.implementation.name, sys.version_info[0], sys.version_info[1], ready)";

/// A Python that can make virtual environments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    program: String,
    minor: u32,
}

/// The newest supported Python of this machine that can make virtual environments.
pub(crate) fn newest(session: &Session) -> Option<Interpreter> {
    // Being on the PATH is not enough: version managers put programs there that only complain.
    let ask = |program: &str| session.step(program).args(["-c", PROBE]).ask();
    candidates().into_iter().filter_map(|program| read_probe(&program, &ask(&program)?)).fold(
        None,
        |best: Option<Interpreter>, next| match best {
            Some(best) if best.minor >= next.minor => Some(best),
            _ => Some(next),
        },
    )
}

fn candidates() -> Vec<String> {
    let named = MINORS.iter().map(|minor| format!("python3.{minor}"));
    named.chain(["python3".into(), "python".into()]).collect()
}

fn read_probe(program: &str, answer: &str) -> Option<Interpreter> {
    let words: Vec<&str> = answer.split_whitespace().collect();
    let ["cpython", "3", minor, "True"] = words[..] else { return None };
    let minor = minor.parse().ok().filter(|minor| MINORS.contains(minor))?;
    Some(Interpreter { program: program.into(), minor })
}

/// Whether a task may install system packages when Python cannot make virtual environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    MayInstall,
    HandsOff,
}

/// A virtual environment.
pub(crate) struct Venv {
    folder: PathBuf,
}

impl Venv {
    /// The repository's `.venv`, made or made anew where needed, with `requirements` installed.
    pub(crate) fn ready(
        session: &mut Session,
        system: System,
        requirements: &[&[&str]],
    ) -> Result<Self, Failure> {
        if newest(session).is_none() {
            match system {
                System::MayInstall => setup::ensure(session, &[Need::PythonVenv])?,
                System::HandsOff => {
                    let hint = setup::hint(session, &[Need::PythonVenv]);
                    return Err(Failure::needs_a_person(hint));
                }
            }
        }
        Self::in_folder(session, ".venv", requirements)
    }

    /// An environment with the oldest supported client library. It lies inside `.venv`, so that
    /// one folder is all there is to ignore or to delete.
    pub(crate) fn oldest(session: &mut Session) -> Result<Self, Failure> {
        Self::in_folder(session, ".venv/oldest", &[OLDEST, RUNNER])
    }

    fn in_folder(
        session: &mut Session,
        folder: &str,
        requirements: &[&[&str]],
    ) -> Result<Self, Failure> {
        let venv = Self { folder: session.root().join(folder) };
        session.stage(&format!("python: packages in {folder}"), |session| {
            let Some(interpreter) = newest(session) else {
                return Err(Failure::needs_a_person(setup::hint(session, &[Need::PythonVenv])));
            };
            if !venv.is_of(session, &interpreter) {
                venv.make(session, &interpreter)?;
            }
            venv.install(session, &requirements.concat())
        })?;
        Ok(venv)
    }

    /// One of the environment's own programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// A command of one of the environment's own programs, which finds no package elsewhere.
    pub(crate) fn step(&self, session: &Session, program: &str) -> Step {
        ["PYTHONPATH", "PYTHONHOME", "MYPYPATH", "VIRTUAL_ENV"]
            .into_iter()
            .fold(session.step(self.program(program)), Step::without_env)
    }

    /// Whether the environment exists, works, and was made by this version of Python.
    fn is_of(&self, session: &Session, interpreter: &Interpreter) -> bool {
        let config = fs::read_to_string(self.folder.join("pyvenv.cfg")).unwrap_or_default();
        made_by(&config) == Some(interpreter.minor)
            && self.step(session, "python").args(["-c", "import pip"]).ask().is_some()
    }

    fn make(&self, session: &Session, interpreter: &Interpreter) -> Result<(), Failure> {
        if self.folder.exists() {
            println!("making {} anew for Python 3.{}", self.folder.display(), interpreter.minor);
            fs::remove_dir_all(&self.folder).map_err(|error| {
                Failure::new(format!("cannot remove {}: {error}", self.folder.display()))
            })?;
        }
        session.step(&interpreter.program).args(["-m", "venv"]).arg(&self.folder).run()
    }

    /// Installs those of `requirements` that this environment was not yet given.
    fn install(&self, session: &Session, requirements: &[&str]) -> Result<(), Failure> {
        let stamp = self.folder.join("requirements-installed.txt");
        let installed = fs::read_to_string(&stamp).unwrap_or_default();
        let missing = missing(&installed, requirements);
        if missing.is_empty() {
            println!("nothing to install");
            return Ok(());
        }
        println!("installing with pip: {}", missing.join(", "));
        self.pip(session).arg("--upgrade").args(&missing).run()?;
        fs::write(&stamp, format!("{installed}{}\n", missing.join("\n")))
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", stamp.display())))
    }

    fn pip(&self, session: &Session) -> Step {
        let words =
            ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
        self.step(session, "python").args(words)
    }

    /// Builds the wheel into `dist/` with this environment's maturin; returns its path.
    pub(crate) fn build_wheel(&self, session: &Session) -> Result<PathBuf, Failure> {
        let dist = session.root().join("dist");
        self.maturin(session, &["build", "--release"], &dist)
            .arg("--interpreter")
            .arg(self.program("python"))
            .run()?;
        newest_wheel(&dist)
            .ok_or_else(|| Failure::new("maturin succeeded, but there is no wheel in dist/"))
    }

    /// Builds the package with a feature of its crate and installs it into a folder of its own, which
    /// is returned.
    pub(crate) fn install_beside(
        &self,
        session: &Session,
        feature: &str,
    ) -> Result<PathBuf, Failure> {
        let folder = session.root().join("target").join(feature);
        let _ = fs::remove_dir_all(&folder);
        self.maturin(session, &["build", "--release", "--features", feature], &folder)
            .arg("--interpreter")
            .arg(self.program("python"))
            .run()?;
        let wheel = newest_wheel(&folder)
            .ok_or_else(|| Failure::new("maturin succeeded, but there is no wheel"))?;
        let site = folder.join("site");
        self.pip(session).args(["--no-deps", "--target"]).arg(&site).arg(wheel).run()?;
        Ok(site)
    }

    /// Builds the source distribution into `dist/` with this environment's maturin.
    pub(crate) fn build_sdist(&self, session: &Session) -> Result<(), Failure> {
        self.maturin(session, &["sdist"], &session.root().join("dist")).run()
    }

    pub(crate) fn maturin(&self, session: &Session, words: &[&str], out: &Path) -> Step {
        let manifest = format!("{PACKAGE}/Cargo.toml");
        let step = self.step(session, "maturin").args(words);
        step.args(["--manifest-path", &manifest, "--out"]).arg(out)
    }

    /// Installs the wheel and makes sure that it is what `import comity` finds: the source folder
    /// lacks the compiled part, and testing it by accident would test nothing that users get.
    pub(crate) fn install_wheel(&self, session: &Session, wheel: &Path) -> Result<(), Failure> {
        self.pip(session).args(["--force-reinstall", "--no-deps"]).arg(wheel).run()?;
        let code = "import comity; print(comity.__file__)";
        let found = self.step(session, "python").args(["-c", code]).ask();
        let Some(found) = found else {
            return Err(Failure::new("the wheel is installed, but `import comity` fails"));
        };
        let found = Path::new(found.trim());
        println!("`import comity` finds {}", found.display());
        match (found.canonicalize(), self.folder.canonicalize()) {
            (Ok(found), Ok(folder)) if found.starts_with(&folder) => Ok(()),
            _ => Err(Failure::new("`import comity` does not find the wheel that was installed")),
        }
    }
}

/// An environment with `requirements` and the wheel of this tree.
pub(crate) fn ready_with_wheel(
    session: &mut Session,
    requirements: &[&[&str]],
) -> Result<Venv, Failure> {
    let venv = Venv::ready(session, System::MayInstall, requirements)?;
    install_fresh_wheel(session, &venv)?;
    Ok(venv)
}

/// The stages "build the wheel" and "install it".
pub(crate) fn install_fresh_wheel(session: &mut Session, venv: &Venv) -> Result<PathBuf, Failure> {
    let wheel = session.stage("python: build the wheel", |session| venv.build_wheel(session))?;
    session.stage("python: install the wheel", |session| venv.install_wheel(session, &wheel))?;
    Ok(wheel)
}

/// The minor version in the text of a `pyvenv.cfg`, for Python 3.
fn made_by(config: &str) -> Option<u32> {
    let (_, version) = config
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| matches!(key.trim(), "version" | "version_info"))?;
    let mut parts = version.trim().split('.');
    (parts.next() == Some("3")).then(|| parts.next()?.parse().ok())?
}

/// The requirements that are not among the lines of `installed`, each once.
fn missing<'a>(installed: &str, requirements: &[&'a str]) -> Vec<&'a str> {
    let mut seen: BTreeSet<&str> = installed.lines().collect();
    requirements.iter().copied().filter(|requirement| seen.insert(requirement)).collect()
}

/// The wheel of ours in `folder` that was written last; earlier versions may lie there too.
fn newest_wheel(folder: &Path) -> Option<PathBuf> {
    let wheels = fs::read_dir(folder).ok()?.filter_map(Result::ok).filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("comity-") && name.ends_with(".whl")
    });
    let written =
        |entry: &fs::DirEntry| -> Option<SystemTime> { entry.metadata().ok()?.modified().ok() };
    wheels.max_by_key(written).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_supported_python_that_makes_environments_is_taken() {
        let found = Interpreter { program: "python3".into(), minor: 12 };
        assert_eq!(read_probe("python3", "cpython 3 12 True\n"), Some(found));
        for answer in [
            "cpython 3 12 False",
            "cpython 3 9 True",
            "cpython 3 15 True",
            "cpython 2 12 True",
            "pypy 3 11 True",
            "",
            "command not found",
        ] {
            assert_eq!(read_probe("python3", answer), None, "{answer}");
        }
    }

    #[test]
    fn newer_pythons_are_asked_first() {
        assert_eq!(candidates()[0], "python3.14");
        assert_eq!(candidates()[4], "python3.10");
    }

    #[test]
    fn the_maker_of_an_environment_is_read() {
        assert_eq!(made_by("home = /usr/bin\nversion = 3.11.2\n"), Some(11));
        assert_eq!(made_by("version_info = 3.13.0.final.0\n"), Some(13));
        assert_eq!(made_by("version = 2.7.18\n"), None);
        assert_eq!(made_by(""), None);
    }

    #[test]
    fn pip_is_asked_only_for_what_is_missing() {
        assert_eq!(missing("", &["a>=1", "b"]), ["a>=1", "b"]);
        assert_eq!(missing("a>=1\nb\n", &["b", "a>=1"]), [""; 0]);
        assert_eq!(missing("a>=1\n", &["a>=2", "a>=2"]), ["a>=2"]);
    }
}
