//! The C library as it is given to others: a folder that works wherever it is unpacked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::archive;
use crate::run::{Failure, Session};
use crate::setup;

/// The crate's folder.
pub(crate) const CRATE: &str = "bindings-c";
/// The version of the library, which is the version of everything here.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

const DESCRIPTION: &str =
    "Embeddable coordination core: ring, fenced lock, transactions and counters over Redis";

/// What was built.
pub(crate) struct Package {
    /// The folder, as whoever unpacks the archive has it.
    pub(crate) prefix: PathBuf,
    /// The archive.
    pub(crate) archive: PathBuf,
}

/// Builds the library in release mode for `target`, or for this machine, and packs it, with all that a C
/// programmer needs of it.
pub(crate) fn pack(session: &mut Session, target: Option<&str>) -> Result<Package, Failure> {
    let mut built = session.target();
    let mut crossing: &[&str] = &[];
    let words;
    let target = if let Some(target) = target {
        setup::ensure_target(session, target).map_err(Failure::new)?;
        built.push(target);
        words = ["--target", target];
        crossing = &words;
        target.to_owned()
    } else {
        host(session)?
    };
    built.push("release");
    session.stage("c: build the library", |session| {
        // Without the form that Rust programs link: for its sake the others would not be optimised
        // across crates.
        let forms = if Shared::of(&target).is_some() { "staticlib,cdylib" } else { "staticlib" };
        session
            .step("cargo")
            .args(["rustc", "--release", "-p", "comity-c", "--lib", "--crate-type", forms])
            .args(crossing)
            .run()
    })?;
    session.stage("c: pack it", |session| {
        let name = format!("comity-{VERSION}-{target}");
        let parent = session.target().join("package");
        let prefix = parent.join(&name);
        lay_out(session, &prefix, &built, &target)?;

        let dist = session.root().join("dist");
        fs::create_dir_all(&dist).map_err(|error| about(&dist, &error))?;
        let archive = dist.join(format!("{name}.tar.gz"));
        // By name, without owners and with the time of the commit, so that the same sources are
        // the same archive.
        let committed = session.step("git").args(["log", "-1", "--format=%ct"]).ask();
        let time = format!("--mtime=@{}", committed.as_deref().unwrap_or("0").trim());
        session
            .step("tar")
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", &time, "-czf"])
            .args([&archive, Path::new("-C"), &parent, Path::new(&name)])
            .run()?;
        Ok(Package { prefix, archive })
    })
}

/// What rustc builds for where nothing else is said.
fn host(session: &Session) -> Result<String, Failure> {
    let told = session.step("rustc").arg("-vV").ask().unwrap_or_default();
    told.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Failure::new("rustc -vV does not say what it builds for"))
}

/// Puts every file in its place under `prefix`, which is made anew.
fn lay_out(session: &Session, prefix: &Path, built: &Path, target: &str) -> Result<(), Failure> {
    if prefix.exists() {
        fs::remove_dir_all(prefix).map_err(|error| about(prefix, &error))?;
    }
    let home = session.root().join(CRATE);
    let header = home.join("include/comity.h");
    copy(&header, &prefix.join("include/comity.h"))?;
    copy_folder(&home.join("adapters"), &prefix.join("include/comity/adapters"))?;
    copy_folder(&home.join("examples"), &prefix.join("examples"))?;

    let archive = prefix.join("lib/libcomity.a");
    make_room(&archive)?;
    lay_out_static(session, &built.join("libcomity_c.a"), &read(&header)?, target, &archive)?;
    let shared = Shared::of(target);
    if let Some(shared) = &shared {
        copy(&built.join(shared.built), &prefix.join("lib").join(&shared.file))?;
        let link = prefix.join("lib").join(shared.link);
        symlink(&shared.file, &link).map_err(|error| about(&link, &error))?;
    }

    let libraries = archive::system_libraries(&rust_libraries(session, target)?);
    let name = |name: fn(&Shared) -> &String| shared.as_ref().map_or("", |shared| name(shared));
    let words = [
        ("@VERSION@", VERSION),
        ("@DESCRIPTION@", DESCRIPTION),
        ("@TARGET@", target),
        ("@POINTER_BYTES@", pointer_bytes(target)),
        ("@STATIC_LIBS@", &libraries),
        ("@STATIC_LIBS_LIST@", &libraries.replace(' ', ";")),
        ("@SHARED_FILE@", name(|shared| &shared.file)),
        ("@SONAME@", name(|shared| &shared.name)),
    ];
    for (template, place) in [
        ("comity.pc.in", "lib/pkgconfig/comity.pc"),
        ("comity-config.cmake.in", "lib/cmake/comity/comity-config.cmake"),
        ("comity-config-version.cmake.in", "lib/cmake/comity/comity-config-version.cmake"),
        ("CMakeLists.txt.in", "CMakeLists.txt"),
    ] {
        let text = read(&home.join("packaging").join(template))?;
        write(&prefix.join(place), &fill_in(&text, &words))?;
    }

    copy(&home.join("README.md"), &prefix.join("README.md"))?;
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&session.root().join(licence), &prefix.join(licence))?;
    }
    write(&prefix.join("LICENSES-THIRD-PARTY"), &third_party(session)?)
}

/// The static library: as cargo has built it where the linker is not that of ELF.
fn lay_out_static(
    session: &Session,
    built: &Path,
    header: &str,
    target: &str,
    archive: &Path,
) -> Result<(), Failure> {
    if target.contains("apple") {
        return copy(built, archive);
    }
    let functions = archive::functions(header);
    if !target.contains("musl") {
        return archive::make(session, built, &[], &functions, archive);
    }
    // The unwinder of a compiler that was made for another C library does not fit.
    let libraries = session.step("rustc").args(["--print", "target-libdir", "--target", target]);
    let libraries =
        libraries.ask().ok_or_else(|| Failure::new("rustc does not know the target"))?;
    let unwinder = Path::new(libraries.trim()).join("self-contained/libunwind.a");
    archive::make(session, built, &[&unwinder], &functions, archive)
}

/// The bytes of a pointer, as CMake wants them.
fn pointer_bytes(target: &str) -> &'static str {
    let narrow = ["i586", "i686", "arm", "thumb"];
    if narrow.iter().any(|architecture| target.starts_with(architecture)) { "4" } else { "8" }
}

/// How the shared library is called on a system.
#[derive(Debug, PartialEq, Eq)]
struct Shared {
    /// By cargo.
    built: &'static str,
    /// The file in the package.
    file: String,
    /// What a linker looks for; it points to the file.
    link: &'static str,
    /// What programs that are linked with it look for.
    name: String,
}

impl Shared {
    /// None for musl, whose programs are linked statically: Rust makes no shared libraries for it.
    fn of(target: &str) -> Option<Self> {
        if target.contains("apple") {
            let file = format!("libcomity.{VERSION}.dylib");
            let name = format!("@rpath/{file}");
            Some(Self { built: "libcomity_c.dylib", file, link: "libcomity.dylib", name })
        } else if target.contains("musl") {
            None
        } else {
            let file = format!("libcomity.so.{VERSION}");
            Some(Self { built: "libcomity_c.so", name: file.clone(), file, link: "libcomity.so" })
        }
    }
}

/// What Rust's standard library needs of the system, as rustc says.
fn rust_libraries(session: &Session, target: &str) -> Result<String, Failure> {
    let folder = session.target().join("package");
    let source = folder.join("empty.rs");
    write(&source, "")?;
    let told = session
        .step("rustc")
        .args(["--crate-type=staticlib", "--print=native-static-libs=libraries.txt"])
        .args(["--out-dir=.", "--target", target])
        .arg("empty.rs")
        .within(&folder.to_string_lossy())
        .ask()
        .and_then(|_| fs::read_to_string(folder.join("libraries.txt")).ok());
    told.ok_or_else(|| Failure::new("rustc does not tell what its libraries need"))
}

/// The licences of the crates that are linked into the library.
fn third_party(session: &Session) -> Result<String, Failure> {
    let unknown = || Failure::new("cargo does not tell which crates the library is made of");
    let tree =
        ["tree", "-p", "comity-c", "-e", "normal", "--prefix", "none", "--format", "{p} {l}"];
    let crates = session.step("cargo").args(tree).ask().ok_or_else(unknown)?;
    let metadata = ["metadata", "--format-version", "1", "--locked"];
    let metadata = session.step("cargo").args(metadata).ask().ok_or_else(unknown)?;

    let mut text = String::from(
        "The library contains the Rust standard library (MIT OR Apache-2.0, \
         https://github.com/rust-lang/rust) and these crates:\n",
    );
    let mut lines: Vec<&str> = crates.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    for line in lines {
        let Some((name, version, licence)) = read_crate(line) else { continue };
        let folder = folder_of(&metadata, name, version).ok_or_else(unknown)?;
        text.push_str(&format!("\n\n== {name} {version}, {licence}\n"));
        for file in files(&folder)? {
            let called = file.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
            if ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"]
                .iter()
                .any(|word| called.starts_with(word))
            {
                text.push_str(&format!("\n-- {called}\n\n{}", read(&file)?));
            }
        }
    }
    Ok(text)
}

/// Name, version and licence of a crate from elsewhere, as `cargo tree` prints them: ours have a
/// path behind the version.
fn read_crate(line: &str) -> Option<(&str, &str, &str)> {
    let mut words = line.splitn(3, ' ');
    let (name, version, licence) = (words.next()?, words.next()?, words.next()?);
    let version = version.strip_prefix('v')?;
    (!licence.starts_with('(')).then_some((name, version, licence.trim_end_matches(" (*)")))
}

/// Where a crate's sources lie, from what `cargo metadata` prints.
fn folder_of(metadata: &str, name: &str, version: &str) -> Option<PathBuf> {
    let end = format!("/{name}-{version}/Cargo.toml\"");
    let end_at = metadata.find(&end)? + end.len() - "/Cargo.toml\"".len();
    let start = metadata[..end_at].rfind('"')? + 1;
    Some(PathBuf::from(&metadata[start..end_at]))
}

/// `text` with every word of `words` replaced by what stands for it.
fn fill_in(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    for path in files(from)? {
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() { copy_folder(&path, &to)? } else { copy(&path, &to)? }
    }
    Ok(())
}

/// What lies in a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| about(folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|e| e.path()).collect();
    paths.sort();
    Ok(paths)
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    make_room(to)?;
    fs::copy(from, to).map(|_| ()).map_err(|error| about(from, &error))
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| about(path, &error))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    make_room(path)?;
    fs::write(path, text).map_err(|error| about(path, &error))
}

fn make_room(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| about(folder, &error))
}

fn about(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_library_is_called_as_the_system_wants_it() {
        let linux = Shared::of("x86_64-unknown-linux-gnu").expect("there is one");
        assert_eq!(linux.file, format!("libcomity.so.{VERSION}"));
        assert_eq!(linux.name, linux.file);
        let apple = Shared::of("aarch64-apple-darwin").expect("there is one");
        assert_eq!(apple.name, format!("@rpath/libcomity.{VERSION}.dylib"));
        assert_eq!(Shared::of("x86_64-unknown-linux-musl"), None);
    }

    #[test]
    fn crates_from_elsewhere_are_read() {
        let line = "hmac-sha1-compact v1.1.9 ISC";
        assert_eq!(read_crate(line), Some(("hmac-sha1-compact", "1.1.9", "ISC")));
        let line = "zerocopy v0.8.63 BSD-2-Clause OR Apache-2.0 OR MIT (*)";
        assert_eq!(read_crate(line).expect("it is one").2, "BSD-2-Clause OR Apache-2.0 OR MIT");
        assert_eq!(read_crate("comity v0.1.0 (/home/a/core) MIT OR Apache-2.0"), None);
    }

    #[test]
    fn the_folder_of_a_crate_is_found() {
        let metadata = r#"{"x":"/a/b-1.0.1/Cargo.toml","y":"/r/src/b-1.0.0/Cargo.toml"}"#;
        assert_eq!(folder_of(metadata, "b", "1.0.0"), Some(PathBuf::from("/r/src/b-1.0.0")));
        assert_eq!(folder_of(metadata, "c", "1.0.0"), None);
    }

    #[test]
    fn templates_are_filled_in() {
        assert_eq!(fill_in("@A@ and @B@, @A@", &[("@A@", "1"), ("@B@", "2")]), "1 and 2, 1");
    }
}
