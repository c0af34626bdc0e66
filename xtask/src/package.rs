//! The stages of `cargo xtask test c` that use the library as others do: unpacked from its archive in a
//! folder of its own, by the lines of its README, and by its examples.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use crate::archive;
use crate::c::{SANITIZERS, VALGRIND};
use crate::library::{self, CRATE};
use crate::python::{self, System, Venv};
use crate::redis::Server;
use crate::run::{Failure, Session, Step};
use crate::setup::{self, Need};

/// Compilers and what makes them strict, in both languages.
const COMPILERS: [(&str, &str); 4] = [
    ("gcc", "-std=c99"),
    ("clang", "-std=c99"),
    ("g++", "-x c++ -std=c++17"),
    ("clang++", "-x c++ -std=c++17"),
];
const STRICT: &str = "-D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror -pedantic";

/// The examples whose output is that of `tests/examples`.
const EXAMPLES: [&str; 4] = ["ring", "lock", "transaction", "counter"];

/// Where the newest hiredis is built. What is compiled before that finds the system's.
const NEWEST: &str = "hiredis";

/// An unpacked archive; it is gone when this value is dropped.
struct Unpacked {
    folder: PathBuf,
    prefix: PathBuf,
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Unpacked {
    /// Unpacks where nothing of the repository is near.
    fn unpack(session: &Session, package: &library::Package) -> Result<Self, Failure> {
        let folder = env::temp_dir().join(format!("comity-package-{}", process::id()));
        fs::create_dir_all(&folder).map_err(|error| Failure::new(error.to_string()))?;
        let name = package.prefix.file_name().unwrap_or_default();
        let unpacked = Self { prefix: folder.join(name), folder };
        session
            .step("tar")
            .arg("-xzf")
            .args([&package.archive, Path::new("-C")])
            .arg(&unpacked.folder)
            .run()?;
        Ok(unpacked)
    }

    /// A shell command in the folder that finds this package.
    fn shell(&self, session: &Session, line: &str) -> Step {
        let prefix = self.prefix.to_string_lossy();
        session
            .step("sh")
            .args(["-c", line])
            .within(&self.folder.to_string_lossy())
            .env("PKG_CONFIG_PATH", &format!("{prefix}/lib/pkgconfig:{NEWEST}"))
            .env("LD_LIBRARY_PATH", &format!("{prefix}/lib"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    }
}

/// Packs the library, unpacks it elsewhere and uses it from there.
pub(crate) fn test(session: &mut Session) -> Result<(), Failure> {
    let package = library::pack(session, None)?;
    let unpacked = session.stage("c: unpack it", |session| Unpacked::unpack(session, &package))?;
    let server = Server::start(session)?;
    session.stage("c: the README", |session| readme(session, &unpacked, &server))?;
    session.stage("c: what its libraries show", |session| visible(session, &unpacked.prefix))?;
    session.stage("c: CMake", |session| cmake(session, &unpacked, &package))?;
    session.stage("c: examples, adapters", |session| {
        examples(session, &unpacked, &server, "", "")?;
        adapters(session, &unpacked, "", "")
    })?;
    session.stage("c: the same under valgrind", |session| {
        let known = session.root().join(CRATE).join("tests/valgrind.supp");
        let runner = format!("{VALGRIND} --suppressions='{}'", known.display());
        examples(session, &unpacked, &server, "", &runner)?;
        adapters(session, &unpacked, "", &runner)
    })?;
    session.stage("c: the same with sanitizers", |session| {
        examples(session, &unpacked, &server, SANITIZERS, "")?;
        adapters(session, &unpacked, SANITIZERS, "")
    })?;
    musl(session, &unpacked)?;
    beside_python(session, &unpacked)
}

/// Every program of the README, linked by the lines that follow it, says what the README says.
fn readme(session: &Session, unpacked: &Unpacked, server: &Server) -> Result<(), Failure> {
    let path = session.root().join(CRATE).join("README.md");
    let text = fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let (mut program, mut output, mut lines) = ("", "", 0);
    for (language, block) in blocks(&text) {
        match language {
            "c" => program = block,
            "text" => output = block,
            "sh" => {
                let program = program.replace("6379", &server.port().to_string());
                unpacked.write("app.c", &program)?;
                for (compiler, flags) in COMPILERS {
                    let strict = format!("{compiler} {flags} {STRICT} ");
                    // The language of what comes first is not that of the libraries behind it.
                    let line = block.trim().replacen("cc ", &strict, 1);
                    let line = line.replacen("app.c ", "app.c -x none ", 1);
                    unpacked.shell(session, &format!("{line} -o app")).run()?;
                    same(&unpacked.shell(session, "./app").read()?, output)?;
                }
                lines += 1;
            }
            _ => {}
        }
    }
    if lines == 5 { Ok(()) } else { Err(Failure::new(format!("{lines} lines that link, not 5"))) }
}

/// The fenced blocks of a text in Markdown, each with its language.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut pieces = text.split("```");
    while let (Some(_), Some(block)) = (pieces.next(), pieces.next()) {
        if let Some((language, block)) = block.split_once('\n') {
            found.push((language.trim(), block));
        }
    }
    found
}

/// Where a project has the library from, and what it says of its form: the words for CMake, and whether
/// the program is to be linked with the shared one.
const CMAKE: [(&str, &str, bool); 7] = [
    ("found", "", true),
    ("found-static", "-DCOMITY_USE_STATIC_LIBS=ON", false),
    ("found-built-static", "-DBUILD_SHARED_LIBS=OFF", false),
    ("found-built-shared", "-DBUILD_SHARED_LIBS=ON", true),
    ("found-shared", "-DBUILD_SHARED_LIBS=OFF -DCOMITY_USE_STATIC_LIBS=OFF", true),
    ("fetched-archive", "-DFETCHED=ARCHIVE -DBUILD_SHARED_LIBS=OFF", false),
    ("fetched-folder", "-DFETCHED=FOLDER", true),
];

/// `find_package` and FetchContent give the library, shared and static.
fn cmake(
    session: &Session,
    unpacked: &Unpacked,
    package: &library::Package,
) -> Result<(), Failure> {
    let project = session.root().join(CRATE).join("tests/cmake");
    for (folder, words, shared) in CMAKE {
        let words = words
            .replace("ARCHIVE", &package.archive.to_string_lossy())
            .replace("FOLDER", &unpacked.prefix.to_string_lossy());
        let line = format!(
            "cmake -S '{}' -B {folder} -DCMAKE_PREFIX_PATH='{}' {words} && \
             cmake --build {folder} && {folder}/app",
            project.display(),
            unpacked.prefix.display()
        );
        unpacked.shell(session, &line).run()?;
        let line = format!("readelf -d {folder}/app");
        let linked = unpacked.shell(session, &line).read()?.contains("libcomity.so");
        if linked != shared {
            let which = if linked { "shared" } else { "static" };
            return Err(Failure::new(format!("{folder}: it was linked with the {which} library")));
        }
    }
    // A version that this one does not serve is not found.
    let line = format!(
        "! cmake -S '{}' -B other -DCMAKE_PREFIX_PATH='{}' -DWANTED=0.0 2>/dev/null >/dev/null",
        project.display(),
        unpacked.prefix.display()
    );
    unpacked.shell(session, &line).run()
}

/// The static library shows the functions of its header and nothing else.
fn visible(session: &Session, prefix: &Path) -> Result<(), Failure> {
    let archive = prefix.join("lib/libcomity.a");
    let read = |flag: &str| session.step("nm").args(["-g", flag]).arg(&archive).read();
    let names = |table: &str| -> BTreeSet<String> {
        table
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(_, name)| name.into())
            .collect()
    };
    let header = prefix.join("include/comity.h");
    let header = fs::read_to_string(&header)
        .map_err(|error| Failure::new(format!("{}: {error}", header.display())))?;
    let declared: BTreeSet<String> =
        archive::functions(&header).into_iter().map(str::to_owned).collect();
    same(&format!("{:#?}", names(&read("--defined-only")?)), &format!("{declared:#?}"))?;
    match names(&read("--undefined-only")?).iter().find(|name| name.starts_with("comity_")) {
        Some(name) => Err(Failure::new(format!("{name} is declared, and nowhere defined"))),
        None => Ok(()),
    }
}

/// A program of the README runs where there is no shared library at all: with `-static`, and with musl.
fn musl(session: &mut Session, unpacked: &Unpacked) -> Result<(), Failure> {
    let target = format!("{}-unknown-linux-musl", env::consts::ARCH);
    setup::ensure(session, &[Need::Musl])?;
    let package = library::pack(session, Some(&target))?;
    session.stage("c: a program with musl", |session| {
        visible(session, &package.prefix)?;
        let source = session.root().join(CRATE).join("tests/lock_memory.c");
        let prefix = package.prefix.display();
        let line = format!(
            "musl-gcc -std=c99 {STRICT} -static '{}' -DCOMITY_EXPECTED_VERSION='\"{}\"' \
             $(PKG_CONFIG_PATH='{prefix}/lib/pkgconfig' pkg-config --static --cflags --libs comity) \
             -o musl",
            source.display(),
            library::VERSION,
        );
        unpacked.shell(session, &line).run()?;
        same(&unpacked.shell(session, "./musl").read()?, "ok\n")
    })
}

/// The examples of the package say on the embedded store and on a server what they say in every language.
fn examples(
    session: &Session,
    unpacked: &Unpacked,
    server: &Server,
    flags: &str,
    runner: &str,
) -> Result<(), Failure> {
    for example in EXAMPLES {
        let expected = session.root().join(format!("tests/examples/{example}.txt"));
        let expected = fs::read_to_string(&expected)
            .map_err(|error| Failure::new(format!("{}: {error}", expected.display())))?;
        let source = unpacked.prefix.join(format!("examples/{example}.c"));
        build(session, unpacked, &source, example, "comity", flags)?;
        let line = format!("{runner} ./{example}");
        same(&unpacked.shell(session, line.trim()).read()?, &expected)?;
        if example != "ring" {
            let line = format!("{line} --redis 127.0.0.1:{}", server.port());
            same(&unpacked.shell(session, line.trim()).read()?, &expected)?;
        }
    }
    Ok(())
}

/// The adapters meet every fault that a server can play.
fn adapters(
    session: &Session,
    unpacked: &Unpacked,
    flags: &str,
    runner: &str,
) -> Result<(), Failure> {
    for (program, packages) in [("adapter", "comity hiredis"), ("socket", "comity")] {
        let source = session.root().join(CRATE).join(format!("tests/redis/{program}.c"));
        build(session, unpacked, &source, program, packages, flags)?;
        let line = format!("{runner} ./{program}");
        same(&unpacked.shell(session, line.trim()).read()?, "ok\n")?;
    }
    Ok(())
}

/// Compiles a program strictly, with what pkg-config says of `packages`.
fn build(
    session: &Session,
    unpacked: &Unpacked,
    source: &Path,
    program: &str,
    packages: &str,
    flags: &str,
) -> Result<(), Failure> {
    let line = format!(
        "cc -std=c99 {STRICT} {flags} '{}' $(pkg-config --cflags --libs {packages}) -o {program}",
        source.display()
    );
    unpacked.shell(session, &line).run()
}

/// Clients in C and in Python meet on real servers, and those in C meet what networks do: with the
/// system's hiredis in RESP2, then with the newest in RESP3.
fn beside_python(session: &mut Session, unpacked: &Unpacked) -> Result<(), Failure> {
    let requirements = [python::BUILD, python::CLIENT, python::RUNNER];
    let venv = Venv::ready(session, System::MayInstall, &requirements)?;
    python::install_fresh_wheel(session, &venv)?;
    session.stage("c: beside Python on real servers", |session| {
        pytest(session, &venv, unpacked).run()
    })?;
    session.stage("c: the newest hiredis", |session| newest_hiredis(session, &venv, unpacked))?;
    session.stage("c: the adapters, in RESP3", |session| {
        adapters(session, unpacked, SANITIZERS, "")?;
        let folder = unpacked.folder.join(NEWEST);
        pytest(session, &venv, unpacked)
            .env("COMITY_C_HIREDIS", &folder.to_string_lossy())
            .env("COMITY_C_SETUP", "HELLO 3")
            .run()
    })
}

fn pytest(session: &Session, venv: &Venv, unpacked: &Unpacked) -> Step {
    venv.step(session, "pytest")
        .args(["-q", "--import-mode=importlib", "-n", "4", "--dist", "worksteal"])
        .arg(format!("{}/{}", python::PACKAGE, python::BESIDE_C))
        .env("COMITY_C_PREFIX", &unpacked.prefix.to_string_lossy())
        .env("COMITY_C_FLAGS", SANITIZERS)
}

/// Builds the hiredis that its package for Python brings along: Debian's is older than RESP3.
fn newest_hiredis(session: &Session, venv: &Venv, unpacked: &Unpacked) -> Result<(), Failure> {
    let folder = unpacked.folder.join(NEWEST);
    venv.step(session, "python")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
        .args(["--no-deps", "--no-binary", ":all:", "hiredis>=3.1", "--dest"])
        .arg(&folder)
        .run()?;
    let sources = "alloc.c async.c hiredis.c net.c read.c sds.c sockcompat.c";
    let line = format!(
        "cd {NEWEST} && tar -xzf hiredis-*.tar.gz --strip-components=1 && mkdir include && \
         ln -s ../vendor/hiredis include/hiredis && cd vendor/hiredis && \
         cc -O1 -w -c {sources} && ar rcs ../../libhiredis.a *.o"
    );
    unpacked.shell(session, &line).run()?;
    let here = folder.display();
    let text = format!(
        "Name: hiredis\nDescription: the newest\nVersion: 1\nLibs: {here}/libhiredis.a\n\
         Cflags: -isystem {here}/include\n"
    );
    unpacked.write(&format!("{NEWEST}/hiredis.pc"), &text)
}

fn same(found: &str, expected: &str) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    Err(Failure::new(format!("this was printed:\n{found}\ninstead of this:\n{expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found() {
        let text = "a\n```c\nint x;\n```\nb\n```\nplain\n```\n";
        assert_eq!(blocks(text), [("c", "int x;\n"), ("", "plain\n")]);
    }
}
