//! The npm package: the WebAssembly modules, and what is published around it.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::node::Node;
use crate::python;
use crate::run::{Failure, Session};
use crate::setup::{self, Need};

/// The package's folder.
pub(crate) const PACKAGE: &str = "bindings-wasm";
/// What the package is tried with besides: runtimes, bundlers, test runners.
const TOOLS: &str = "bindings-wasm/tests/tools";
/// The target of its modules.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// One of the package's WebAssembly modules, as it is compiled.
struct Module {
    name: &'static str,
    /// What of the bindings is in it.
    feature: &'static str,
    /// Each has its own, and so its own folder: in one folder each would overwrite the other, and
    /// both be built again every time.
    profile: &'static str,
}

const MODULES: [Module; 2] = [
    Module { name: "comity", feature: "coordination", profile: "wasm" },
    Module { name: "store", feature: "store", profile: "wasm-store" },
];

/// What every browser that comity supports knows of WebAssembly; Rust uses no more.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];
/// A second run finds what the first has made possible, and Rust puts nothing at the lowest addresses.
/// By name, what is compiled of one generic function for many types lies together, where a compressor
/// finds it again. Inlining and common expressions make a module larger once it is compressed; names
/// and producers are of no use to a program that loads it.
const SMALL: [&str; 8] = [
    "--reorder-functions-by-name",
    "-Oz",
    "-Oz",
    "--low-memory-unused",
    "--skip-pass=inlining-optimizing",
    "--skip-pass=local-cse",
    "--strip-debug",
    "--strip-producers",
];

/// Builds the package into `dist/` of its folder.
pub(crate) fn build(session: &mut Session) -> Result<Node, Failure> {
    let node = Node::ready(session)?;
    packages(session, &node, PACKAGE)?;
    session.stage("js: compile to WebAssembly", compile)?;
    session.stage("js: make the glue", |session| {
        MODULES.iter().try_for_each(|module| glue(session, module))
    })?;
    session.stage("js: make the modules smaller", |session| {
        MODULES.iter().try_for_each(|module| shrink(session, module.name))
    })?;
    session.stage("js: make the package", |session| {
        session.step("node").arg("pack/package.mjs").within(PACKAGE).run()
    })?;
    Ok(node)
}

/// Puts the package into `dist/`, as it would be published.
pub(crate) fn dist(session: &mut Session) -> Result<(), Failure> {
    let node = build(session)?;
    let archive = pack(session, &node)?;
    println!("\nthe npm package is {}", archive.display());
    Ok(())
}

/// Packs what was built: `dist/comity-<version>.tgz`.
fn pack(session: &mut Session, node: &Node) -> Result<PathBuf, Failure> {
    let folder = session.root().join("dist");
    fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("no dist/: {error}")))?;
    session.stage("js: pack", |session| {
        let npm = node.npm(session).args(["pack", "--silent", "--pack-destination"]).arg(&folder);
        let name = npm.within(PACKAGE).read()?;
        name.lines()
            .last()
            .map(|name| folder.join(name.trim()))
            .filter(|archive| archive.is_file())
            .ok_or_else(|| Failure::new("npm does not say what it has packed"))
    })
}

/// Checks the package's types as a user meets them, and tests it in Node and in a browser, over real
/// servers, with a Python process as the other contender.
pub(crate) fn test(session: &mut Session) -> Result<(), Failure> {
    let node = build(session)?;
    let archive = pack(session, &node)?;
    packages(session, &node, TOOLS)?;
    setup::ensure(session, &[Need::RedisServer, Need::Webdis, Need::Chromium, Need::Openssl])?;
    let venv = python::ready_with_wheel(session, &[python::BUILD, python::CLIENT])?;
    session.stage("js: types", |session| {
        let tool = session.root().join(PACKAGE).join("node_modules/typescript/bin/tsc");
        session.step("node").arg(tool).args(["-p", "tests"]).within(PACKAGE).run()
    })?;
    let python = venv.program("python");
    for (name, folder) in
        [("js: tests in Node", "tests"), ("js: tests in Chromium", "tests/browser")]
    {
        session.stage(name, |session| {
            // By name: versions of Node differ in what they make of a folder or a pattern.
            let tests = tests(&session.root().join(PACKAGE), folder);
            let step = session.step("node").arg("--test").args(tests).within(PACKAGE);
            step.env("COMITY_PYTHON", &python.to_string_lossy())
                .env("COMITY_TARBALL", &archive.to_string_lossy())
                .run()
        })?;
    }
    Ok(())
}

/// The files of tests in a folder of the package.
fn tests(package: &Path, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(package.join(folder)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut tests: Vec<String> = names
        .filter(|name| name.ends_with(".test.mjs"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    tests.sort();
    tests
}

/// Installs the packages that a folder's lock file names.
fn packages(session: &mut Session, node: &Node, place: &str) -> Result<(), Failure> {
    let folder = session.root().join(place);
    if is_newer(&folder.join("node_modules/.package-lock.json"), &folder.join("package-lock.json"))
    {
        return Ok(());
    }
    session.stage("js: install packages", |session| {
        node.npm(session).args(["ci", "--no-audit", "--no-fund"]).within(place).run()
    })
}

/// Compiles every module.
fn compile(session: &mut Session) -> Result<(), Failure> {
    let linker = match setup::ensure_target(session, TARGET) {
        Ok(()) => None,
        Err(reason) => {
            println!("{reason}; Debian's compiler is taken, which builds the standard library");
            setup::ensure(session, &[Need::RustWeb, Need::RustWebSource])?;
            let sysroot = session.step("rustc").args(["--print", "sysroot"]).ask();
            let sysroot = sysroot.ok_or_else(|| Failure::new("rustc does not say where it is"))?;
            Some(lld(Path::new(sysroot.trim())))
        }
    };
    MODULES.iter().try_for_each(|module| {
        let step = session
            .step("cargo")
            .args(["build", "-p", "comity-wasm", "--target", TARGET])
            .args(["--profile", module.profile])
            .args(["--no-default-features", "--features", module.feature]);
        match &linker {
            None => step.run(),
            Some(linker) => step
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                .run(),
        }
    })
}

/// Makes the script that calls a module.
fn glue(session: &Session, module: &Module) -> Result<(), Failure> {
    let target = session.target();
    let compiled = target.join(TARGET).join(module.profile).join("comity_wasm.wasm");
    session
        .step("cargo")
        .args(["run", "--quiet", "--manifest-path", "bindings-wasm/pack/Cargo.toml"])
        .arg("--target-dir")
        .arg(target.join("pack"))
        .arg("--")
        .arg(compiled)
        .arg(raw(session))
        .arg(module.name)
        .run()
}

/// Makes a module as small as it is published, unless it was made already.
fn shrink(session: &Session, name: &str) -> Result<(), Failure> {
    let folder = raw(session);
    let before = folder.join(format!("{name}.large.wasm"));
    let after = folder.join(format!("{name}.wasm"));
    // How it is made is written here.
    let maker = session.root().join("xtask/src/js.rs");
    if is_newer(&after, &before) && is_newer(&after, &maker) {
        return Ok(());
    }
    let tool = session.root().join(PACKAGE).join("node_modules/binaryen/bin/wasm-opt");
    let tool = session.step("node").arg(tool).args(SMALL).args(FEATURES);
    tool.arg(&before).arg("-o").arg(&after).run()
}

/// The folder of what the package is made of.
fn raw(session: &Session) -> PathBuf {
    session.root().join(PACKAGE).join("dist/raw")
}

/// The linker of a toolchain.
fn lld(sysroot: &Path) -> String {
    let host = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    sysroot.join("lib/rustlib").join(host).join("bin/rust-lld").to_string_lossy().into_owned()
}

/// Whether `one` is there and no older than `other`.
fn is_newer(one: &Path, other: &Path) -> bool {
    let age = |file: &Path| fs::metadata(file).and_then(|about| about.modified()).ok();
    age(one).zip(age(other)).is_some_and(|(one, other)| one >= other)
}
