//! The tests in C: each `tests/*.c` is compiled strictly against the checked-in header, linked with the
//! static library, and run. `CC` is the compiler, `CFLAGS` are more words for it, and `COMITY_RUNNER`
//! is what the programs are run under, such as valgrind with its options.
#![cfg(unix)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo puts what it builds for this test, the static library among it.
fn built() -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    test.parent().expect("a file is in a folder").to_owned()
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

#[test]
fn the_programs_in_c_end_well() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = built().join("libcomity_c.a");
    assert!(library.exists(), "cargo builds {}", library.display());
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let (flags, runner) = (words("CFLAGS"), words("COMITY_RUNNER"));
    let mut programs = 0;
    for entry in fs::read_dir(folder.join("tests")).expect("the folder of this file") {
        let source = entry.expect("an entry").path();
        if source.extension().is_none_or(|ending| ending != "c") {
            continue;
        }
        let program = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(source.file_stem().expect("a file has a name"));
        run(Command::new(&compiler)
            .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"])
            .args(&flags)
            .arg(format!("-DCOMITY_EXPECTED_VERSION=\"{}\"", env!("CARGO_PKG_VERSION")))
            .arg("-I")
            .arg(folder.join("include"))
            .arg(source)
            .arg(&library)
            .args(["-lpthread", "-ldl", "-lm", "-o"])
            .arg(&program));
        let mut command = match runner.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&program);
                command
            }
            None => Command::new(&program),
        };
        assert_eq!(run(&mut command), "ok\n");
        programs += 1;
    }
    assert!(programs > 1);
}
