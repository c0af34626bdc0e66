//! C programs, compiled strictly against the checked-in header, linked with the static library,
//! and run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo puts what it builds for this test, the static library among it.
fn built() -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    test.parent().expect("a file is in a folder").to_owned()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

#[test]
#[cfg(unix)]
fn the_ring_works_from_c() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = built().join("libcomity_c.a");
    assert!(library.exists(), "cargo builds {}", library.display());
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ring_c");
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    run(Command::new(compiler)
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"])
        .arg(format!("-DCOMITY_EXPECTED_VERSION=\"{}\"", env!("CARGO_PKG_VERSION")))
        .arg("-I")
        .arg(crate_folder.join("include"))
        .arg(crate_folder.join("tests/ring.c"))
        .arg(library)
        .args(["-lpthread", "-ldl", "-lm"])
        .arg("-o")
        .arg(&program));
    assert_eq!(run(&mut Command::new(program)), "ok\n");
}
