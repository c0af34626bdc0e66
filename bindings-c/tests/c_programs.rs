//! The tests in C: each `tests/*.c` is compiled strictly against the checked-in header, linked with the
//! library, and run. `CC` is the compiler, `CFLAGS` are more words for it, and `COMITY_RUNNER` is what
//! the programs are run under, such as valgrind with its options.
#![cfg(unix)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};

const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo puts what it builds for this test, the libraries among it.
fn built() -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    test.parent().expect("a file is in a folder").to_owned()
}

/// A folder where the shared library has the names that linkers and programs look for.
fn installed() -> String {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lib");
    fs::create_dir_all(&library).expect("the folder above exists");
    for name in ["libcomity.so", concat!("libcomity.so.", env!("CARGO_PKG_VERSION"))] {
        let link = library.join(name);
        let _ = fs::remove_file(&link);
        symlink(built().join("libcomity_c.so"), link).expect("nothing is in the way");
    }
    library.to_string_lossy().into_owned()
}

fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder().join("tests")).expect("the folder of this file");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut sources: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "c")).collect();
    sources.sort();
    assert!(sources.len() > 1);
    sources
}

/// The words in a variable of the environment.
fn words(variable: &str) -> Vec<String> {
    let text = env::var(variable).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// A strict compilation.
fn compiler() -> Command {
    let mut command = Command::new(env::var("CC").unwrap_or_else(|_| "cc".into()));
    command.arg("-std=c99").args(STRICT).args(words("CFLAGS"));
    command.arg("-I").arg(folder().join("include"));
    command
}

/// Compiles a program, links it with `library`, and runs it.
fn try_out(source: &Path, library: &[String], name: &str) {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut compiler = compiler();
    compiler.arg(format!("-DCOMITY_EXPECTED_VERSION=\"{}\"", env!("CARGO_PKG_VERSION")));
    if cfg!(debug_assertions) {
        compiler.arg("-DCOMITY_DEBUG_LIBRARY");
    }
    run(compiler.arg(source).args(library).args(["-lpthread", "-ldl", "-lm", "-o"]).arg(&program));
    let runner = words("COMITY_RUNNER");
    let mut command = match runner.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
        None => Command::new(&program),
    };
    assert_eq!(run(&mut command), "ok\n");
}

#[test]
fn the_programs_end_well_with_the_shared_library() {
    let installed = installed();
    let library = [format!("-L{installed}"), format!("-Wl,-rpath,{installed}"), "-lcomity".into()];
    let sources = sources();
    let next = AtomicUsize::new(0);
    // Each thread takes the next one; a panic in one of them is the test's.
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = source.file_stem().expect("a file has a name").to_string_lossy();
                    try_out(source, &library, &name);
                }
            });
        }
    });
}

#[test]
fn a_program_ends_well_with_the_static_library() {
    let library = built().join("libcomity_c.a").to_string_lossy().into_owned();
    try_out(&folder().join("tests/lock_memory.c"), &[library], "lock_static");
}
