//! What the commands need from the machine, and how it is got.
//!
//! Only what a command needs is installed, after saying so. As root on Debian and its descendants
//! that is done here; everyone else is told the line to run, and the exit code is 3. `sudo` is
//! never called: whether to become root is the person's decision.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::apt;
use crate::run::{Failure, Session};

/// Something from outside the repository, other than Rust, a C compiler and Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The program `redis-server`, on the `PATH` of the commands.
    RedisServer,
    /// Python's `venv` with `ensurepip`, which Debian packages apart from Python.
    PythonVenv,
    /// The program `clang`.
    Clang,
    /// The program `valgrind`.
    Valgrind,
    /// Debian's compiler for its browsers, which builds for WebAssembly where there is no rustup.
    RustWeb,
    /// The sources of its standard library.
    RustWebSource,
    /// The program `cmake`.
    Cmake,
    /// The program `pkg-config`.
    PkgConfig,
    /// The header and the library of hiredis.
    Hiredis,
    /// The program `webdis`, Redis over HTTP.
    Webdis,
    /// The browser `chromium`.
    Chromium,
    /// The compiler wrapper `musl-gcc`.
    Musl,
    /// The program `openssl`, by which tests make their certificates.
    Openssl,
    /// The headers and the libraries of OpenSSL.
    OpensslLibrary,
}

impl Need {
    /// The Debian package that has it.
    ///
    /// For the server this is `redis-tools`: Debian builds one binary that acts by the name it is
    /// called by, and `redis-tools` ships it as `redis-check-rdb`. The package `redis-server` adds
    /// a link and a service on port 6379. The link is made here instead.
    fn package(self) -> &'static str {
        match self {
            Self::RedisServer => "redis-tools",
            Self::PythonVenv => "python3-venv",
            Self::Clang => "clang",
            Self::Valgrind => "valgrind",
            Self::RustWeb => "rustc-web",
            Self::RustWebSource => "rust-web-src",
            Self::Cmake => "cmake",
            Self::PkgConfig => "pkg-config",
            Self::Hiredis => "libhiredis-dev",
            Self::Webdis => "webdis",
            Self::Chromium => "chromium",
            Self::Musl => "musl-tools",
            Self::Openssl => "openssl",
            Self::OpensslLibrary => "libssl-dev",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::RedisServer => "the program redis-server",
            Self::PythonVenv => "a Python from 3.10 to 3.14 with venv and ensurepip",
            Self::Clang => "the compiler clang",
            Self::Valgrind => "the program valgrind",
            Self::RustWeb => "a Rust compiler for WebAssembly",
            Self::RustWebSource => "the sources of Rust's standard library",
            Self::Cmake => "the program cmake",
            Self::PkgConfig => "the program pkg-config",
            Self::Hiredis => "the library hiredis with its headers",
            Self::Webdis => "the program webdis",
            Self::Chromium => "the browser chromium",
            Self::Musl => "the C library musl with musl-gcc",
            Self::Openssl => "the program openssl",
            Self::OpensslLibrary => "the library OpenSSL with its headers",
        }
    }
}

/// Packages that bring a service, which would start now and at every boot: nobody who runs tests
/// asked for that. They are unpacked into the folder for tools instead.
const UNPACKED: [&str; 1] = ["webdis"];

/// How this machine gets packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Installer {
    /// Debian or a descendant, as root: they are installed here.
    Apt,
    /// Debian or a descendant, as somebody else.
    AptOfRoot,
    /// Any other system.
    Unknown,
}

/// What to do about missing packages.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Nothing,
    Install(Vec<&'static str>),
    /// Ask the person for it, with this text.
    Tell(String),
}

/// Makes sure that everything in `needs` is there.
pub(crate) fn ensure(session: &mut Session, needs: &[Need]) -> Result<(), Failure> {
    let missing: Vec<Need> =
        needs.iter().copied().filter(|need| !is_there(session, *need)).collect();
    match decide(&missing, installer(session)) {
        Decision::Nothing => Ok(()),
        Decision::Tell(text) => Err(Failure::needs_a_person(text)),
        Decision::Install(packages) => {
            session.stage("set-up: system packages", |session| {
                for need in &missing {
                    println!("{} is missing", need.text());
                }
                println!("installing with apt-get: {}", packages.join(", "));
                let (unpacked, installed): (Vec<&str>, Vec<&str>) =
                    packages.iter().partition(|package| UNPACKED.contains(package));
                apt::install(session, &installed)?;
                unpacked
                    .iter()
                    .try_for_each(|package| apt::unpack(session, package, &tools(session)))
            })?;
            match missing.iter().find(|need| !is_there(session, **need)) {
                None => Ok(()),
                Some(need) => Err(Failure::needs_a_person(format!(
                    "{} is still missing although the package {} is installed; please install it",
                    need.text(),
                    need.package()
                ))),
            }
        }
    }
}

/// What to tell a person who has to provide `needs`, on this machine.
pub(crate) fn hint(session: &Session, needs: &[Need]) -> String {
    // As root the task could install them itself, but was not allowed to: the line is the same.
    let installer = match installer(session) {
        Installer::Apt => Installer::AptOfRoot,
        other => other,
    };
    match decide(needs, installer) {
        Decision::Tell(text) => text,
        Decision::Nothing | Decision::Install(_) => String::new(),
    }
}

fn decide(missing: &[Need], installer: Installer) -> Decision {
    if missing.is_empty() {
        return Decision::Nothing;
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package()).collect();
    let texts: Vec<&str> = missing.iter().map(|need| need.text()).collect();
    let texts = texts.join(" and ");
    match installer {
        Installer::Apt => Decision::Install(packages),
        Installer::AptOfRoot => Decision::Tell(format!(
            "this needs {texts}. Run this as root, then try again:\n\n    \
             apt-get update && apt-get install -y --no-install-recommends {}\n",
            packages.join(" ")
        )),
        Installer::Unknown => Decision::Tell(format!(
            "this needs {texts}. Install it with your system's package manager, then try again."
        )),
    }
}

fn installer(session: &Session) -> Installer {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let root = session.step("id").arg("-u").ask().is_some_and(|id| id.trim() == "0");
    if !is_debian(&release) || session.find("apt-get").is_none() {
        Installer::Unknown
    } else if root {
        Installer::Apt
    } else {
        Installer::AptOfRoot
    }
}

/// Whether the text of `os-release(5)` names Debian, or a system made from it.
fn is_debian(release: &str) -> bool {
    release.lines().filter_map(|line| line.split_once('=')).any(|(key, value)| {
        matches!(key, "ID" | "ID_LIKE")
            && value.trim_matches('"').split_whitespace().any(|id| id == "debian")
    })
}

fn is_there(session: &mut Session, need: Need) -> bool {
    match need {
        Need::RedisServer => session.find("redis-server").is_some() || link_redis_server(session),
        Need::PythonVenv => crate::python::newest(session).is_some(),
        Need::Clang => session.find("clang").is_some(),
        Need::Valgrind => session.find("valgrind").is_some(),
        Need::RustWeb => Path::new("/usr/bin/rustc").is_file(),
        Need::RustWebSource => Path::new("/usr/lib/rustlib/src/rust/library").is_dir(),
        Need::Cmake => session.find("cmake").is_some(),
        Need::PkgConfig => session.find("pkg-config").is_some(),
        Need::Hiredis => {
            session.step("pkg-config").args(["--exists", "hiredis >= 0.14"]).ask().is_some()
        }
        Need::Webdis => session.find("webdis").is_some() || find_unpacked(session, "webdis"),
        Need::Chromium => session.find("chromium").is_some(),
        Need::Musl => session.find("musl-gcc").is_some(),
        Need::Openssl => session.find("openssl").is_some(),
        Need::OpensslLibrary => {
            session.step("pkg-config").args(["--exists", "openssl >= 1.1"]).ask().is_some()
        }
    }
}

/// Where programs lie that are on the `PATH` of the commands alone.
fn tools(session: &Session) -> PathBuf {
    session.target().join("tools")
}

/// Whether `program` was unpacked here, by an earlier run or just now.
fn find_unpacked(session: &mut Session, program: &str) -> bool {
    let folder = tools(session).join(program).join("usr/bin");
    let there = folder.join(program).is_file();
    if there {
        session.put_first_on_path(&folder);
    }
    there
}

/// Makes `redis-server` from the binary of `redis-tools`, if that is installed.
fn link_redis_server(session: &mut Session) -> bool {
    let Some(binary) = session.find("redis-check-rdb") else { return false };
    let folder = tools(session);
    let link = folder.join("redis-server");
    if fs::create_dir_all(&folder).is_err() {
        return false;
    }
    // A link of an earlier run may point to a binary that has gone.
    let _ = fs::remove_file(&link);
    if symlink(&binary, &link).is_err() {
        return false;
    }
    // A build of Redis whose programs are separate would be something else than a server.
    if session.step(&link).arg("--version").ask().is_some_and(|text| says_server(&text)) {
        session.put_first_on_path(&folder);
        true
    } else {
        let _ = fs::remove_file(&link);
        false
    }
}

fn says_server(version: &str) -> bool {
    let version = version.to_lowercase();
    version.starts_with("redis server") || version.starts_with("valkey server")
}

/// Makes sure that cargo's command `name` is there, which rustup's smallest profile leaves out.
pub(crate) fn ensure_cargo_command(session: &mut Session, name: &str) -> Result<(), Failure> {
    if session.step("cargo").args([name, "--version"]).ask().is_some() {
        return Ok(());
    }
    let component = if name == "fmt" { "rustfmt" } else { name };
    session.stage(&format!("set-up: {component}"), |session| {
        session.step("rustup").args(["component", "add", component]).run()
    })
}

/// Makes sure that the standard libraries of `target` are there; an error is the reason why not.
pub(crate) fn ensure_target(session: &mut Session, target: &str) -> Result<(), String> {
    let has = |session: &Session| {
        let folder = session.step("rustc").args(["--print", "target-libdir", "--target", target]);
        folder.ask().is_some_and(|folder| Path::new(folder.trim()).is_dir())
    };
    if has(session) {
        return Ok(());
    }
    if session.find("rustup").is_none() {
        return Err(format!("the target {target} is missing and there is no rustup to add it"));
    }
    println!("\nthe target {target} is missing, adding it with rustup");
    let added = session.step("rustup").args(["target", "add", target]).run();
    if added.is_ok() && has(session) {
        Ok(())
    } else {
        Err(format!("`rustup target add {target}` failed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_left_alone() {
        for installer in [Installer::Apt, Installer::AptOfRoot, Installer::Unknown] {
            assert_eq!(decide(&[], installer), Decision::Nothing);
        }
    }

    #[test]
    fn only_what_is_missing_is_installed() {
        let server = decide(&[Need::RedisServer], Installer::Apt);
        assert_eq!(server, Decision::Install(vec!["redis-tools"]));
        let both = decide(&[Need::RedisServer, Need::PythonVenv], Installer::Apt);
        assert_eq!(both, Decision::Install(vec!["redis-tools", "python3-venv"]));
    }

    #[test]
    fn nobody_but_root_installs() {
        let Decision::Tell(text) = decide(&[Need::RedisServer], Installer::AptOfRoot) else {
            panic!("only root may install");
        };
        assert!(text.contains("apt-get install -y --no-install-recommends redis-tools"));
        assert!(!text.contains("sudo"));
        let Decision::Tell(text) = decide(&[Need::PythonVenv], Installer::Unknown) else {
            panic!("without apt there is nothing to install with");
        };
        assert!(!text.contains("apt-get"));
    }

    #[test]
    fn debian_and_its_descendants_are_known() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_debian("ID=pop\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("NAME=\"not debian\"\nID=fedora\nID_LIKE=\"rhel centos\"\n"));
        assert!(!is_debian(""));
    }

    #[test]
    fn a_server_is_known_by_its_version() {
        assert!(says_server("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0"));
        assert!(says_server("Valkey server v=8.0.1 sha=00000000:0"));
        assert!(!says_server("redis-check-rdb 7.0.15"));
    }
}
