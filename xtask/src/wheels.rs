//! The wheels that pip installs without a compiler: for each C library and processor of Linux one, cross-compiled
//! with zig, which brings the C libraries of all of them in every version.

use std::path::{Path, PathBuf};

use crate::python::{self, System, Venv};
use crate::run::{Failure, Session};
use crate::setup;

/// What builds them: zig comes as a package of Python.
const CROSS: &[&str] = &["ziglang>=0.13", "auditwheel>=6.2"];

/// Prints where zig lies.
const ZIG: &str = "import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).with_name('zig'))";

/// A system that wheels are made for.
struct Platform {
    target: &'static str,
    /// The oldest system of its kind that the wheel is to run on, as pip calls it.
    tag: &'static str,
}

/// Rust's own standard library asks for glibc 2.17; musl has been compatible since 1.2.
const PLATFORMS: [Platform; 4] = [
    Platform { target: "x86_64-unknown-linux-gnu", tag: "manylinux_2_17_x86_64" },
    Platform { target: "aarch64-unknown-linux-gnu", tag: "manylinux_2_17_aarch64" },
    Platform { target: "x86_64-unknown-linux-musl", tag: "musllinux_1_2_x86_64" },
    Platform { target: "aarch64-unknown-linux-musl", tag: "musllinux_1_2_aarch64" },
];

/// Those that every test builds: each processor, each C library, and the one that runs here, once.
const TRIED: [usize; 2] = [0, 3];

/// Builds and checks them all, in `dist/`.
pub(crate) fn dist(session: &mut Session) -> Result<(), Failure> {
    build_all(session, &PLATFORMS.iter().collect::<Vec<_>>())
}

/// Builds and checks as few as show what a change may break.
pub(crate) fn test(session: &mut Session) -> Result<(), Failure> {
    build_all(session, &TRIED.map(|index| &PLATFORMS[index]))
}

fn build_all(session: &mut Session, platforms: &[&Platform]) -> Result<(), Failure> {
    let venv = Venv::ready(session, System::MayInstall, &[python::BUILD, CROSS])?;
    let zig = venv.step(session, "python").args(["-c", ZIG]).ask();
    let zig =
        zig.ok_or_else(|| Failure::new("the package ziglang is installed, but has no zig"))?;
    for platform in platforms {
        setup::ensure_target(session, platform.target).map_err(Failure::new)?;
        session.stage(&format!("python: the wheel for {}", platform.tag), |session| {
            let wheel = build(session, &venv, zig.trim(), platform)?;
            audit(session, &venv, platform, &wheel)
        })?;
    }
    run_native(session, &venv, platforms)
}

fn build(
    session: &Session,
    venv: &Venv,
    zig: &str,
    platform: &Platform,
) -> Result<PathBuf, Failure> {
    let (policy, _) = platform.tag.split_at(platform.tag.len() - architecture(platform).len() - 1);
    let words = ["build", "--release", "--zig", "--target", platform.target];
    let dist = session.root().join("dist");
    // The first comes out of the source distribution, which therefore is known to build.
    let from: &[&str] = if platform.tag == PLATFORMS[0].tag { &["--sdist"] } else { &[] };
    venv.maturin(session, &words, &dist)
        .args(["--compatibility", policy])
        .args(from)
        .env("CARGO_ZIGBUILD_ZIG_PATH", zig)
        // What is unpacked elsewhere shares what is compiled here.
        .env("CARGO_TARGET_DIR", &session.target().to_string_lossy())
        .run()?;
    wheel(session, platform)
        .ok_or_else(|| Failure::new(format!("maturin has built no wheel for {}", platform.tag)))
}

fn architecture(platform: &Platform) -> &'static str {
    platform.target.split_once('-').map_or(platform.target, |(architecture, _)| architecture)
}

/// The wheel of this version for a platform, where it was built. A wheel may have several tags.
fn wheel(session: &Session, platform: &Platform) -> Option<PathBuf> {
    let entries = std::fs::read_dir(session.root().join("dist")).ok()?;
    let version = format!("comity-{}-", env!("CARGO_PKG_VERSION"));
    let names = entries.filter_map(Result::ok).map(|entry| entry.path());
    names.into_iter().find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&version) && name.ends_with(".whl") && name.contains(platform.tag)
    })
}

/// What the extension asks of its system is what the name of the wheel promises.
fn audit(session: &Session, venv: &Venv, platform: &Platform, wheel: &Path) -> Result<(), Failure> {
    if platform.target.ends_with("musl") {
        return audit_musl(session, venv, platform, wheel);
    }
    let told = venv.step(session, "auditwheel").arg("show").arg(wheel).read()?;
    if told.split(|c: char| c.is_whitespace() || "\"',.".contains(c)).any(|w| w == platform.tag) {
        return Ok(());
    }
    let tag = platform.tag;
    Err(Failure::new(format!("{} is not for {tag}; auditwheel says:\n{told}", wheel.display())))
}

/// auditwheel looks for musl's library among those of the machine it runs on, so this is read by hand: the
/// extension is for the right processor and needs the C library and nothing else, in no version.
fn audit_musl(
    session: &Session,
    venv: &Venv,
    platform: &Platform,
    wheel: &Path,
) -> Result<(), Failure> {
    let folder = session.target().join("wheels").join(platform.target);
    venv.step(session, "python").args(["-m", "zipfile", "-e"]).args([wheel, &folder]).run()?;
    let extension = folder.join("comity/_core.abi3.so");
    let told = session.step("readelf").args(["--wide", "-h", "-d", "-V"]).arg(extension).read()?;
    let needed = told.lines().filter(|line| line.contains("(NEEDED)"));
    let libc = format!("[libc.musl-{}.so.1]", architecture(platform));
    let foreign = |line: &&str| !line.ends_with("[libc.so]") && !line.ends_with(&libc);
    let machine = architecture(platform).replace('_', "-").to_lowercase();
    if needed.into_iter().any(|line| foreign(&line))
        || told.contains("GLIBC")
        || !told.lines().any(|l| l.contains("Machine:") && l.to_lowercase().contains(&machine))
    {
        let tag = platform.tag;
        return Err(Failure::new(format!("{} is not for {tag}:\n{told}", wheel.display())));
    }
    Ok(())
}

/// The wheel of this machine's own kind runs an example; of the others it is said that they do not.
fn run_native(session: &mut Session, venv: &Venv, platforms: &[&Platform]) -> Result<(), Failure> {
    for platform in platforms {
        let name = format!("python: run the wheel for {}", platform.tag);
        let native = architecture(platform) == std::env::consts::ARCH
            && platform.target.ends_with(if cfg!(target_env = "musl") { "musl" } else { "gnu" });
        let Some(wheel) = wheel(session, platform).filter(|_| native) else {
            session
                .skip(&name, "no Python of that kind runs here; its tags and symbols are checked");
            continue;
        };
        session.stage(&name, |session| {
            venv.install_wheel(session, &wheel)?;
            let example = format!("{}/examples/lock.py", python::PACKAGE);
            venv.step(session, "python").arg(example).run()
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_meet_each_processor_and_each_c_library() {
        let tried = TRIED.map(|index| PLATFORMS[index].target);
        for platform in &PLATFORMS {
            let (processor, library) = platform.target.split_once('-').expect("a target");
            assert!(tried.iter().any(|target| target.starts_with(processor)), "{processor}");
            assert!(tried.iter().any(|target| target.ends_with(library)), "{library}");
        }
    }

    #[test]
    fn tags_name_the_processor_of_the_target() {
        for platform in &PLATFORMS {
            assert!(platform.tag.ends_with(architecture(platform)), "{}", platform.tag);
            let musl = platform.target.ends_with("musl");
            assert_eq!(platform.tag.starts_with("musllinux"), musl, "{}", platform.tag);
        }
    }
}
