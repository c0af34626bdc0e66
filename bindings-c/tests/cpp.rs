//! The checked-in header is one of C++ as well, whatever else a program includes. `CXX` is the compiler.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, thread};

/// The headers of the standard library of C++, up to C++26, and those of POSIX: of them a compiler
/// includes what it has. Not `coroutine`, which is an error where coroutines are off.
const CPP_HEADERS: &str = "\
algorithm any array atomic barrier bit bitset cassert ccomplex cctype cerrno cfenv cfloat charconv \
chrono cinttypes ciso646 climits clocale cmath codecvt compare complex concepts condition_variable \
csetjmp csignal cstdalign cstdarg cstdbool cstddef cstdint cstdio cstdlib cstring ctgmath \
ctime cuchar cwchar cwctype deque exception execution expected filesystem flat_map flat_set format \
forward_list fstream functional future generator initializer_list iomanip ios iosfwd iostream \
istream iterator latch limits list locale map mdspan memory memory_resource mutex new numbers \
numeric optional ostream print queue random ranges ratio regex scoped_allocator semaphore set \
shared_mutex source_location span spanstream sstream stack stacktrace stdexcept stdfloat \
stop_token streambuf string string_view strstream syncstream system_error thread tuple \
type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant vector version \
errno.h fcntl.h poll.h pthread.h signal.h sys/socket.h time.h unistd.h";

/// A program whose includes are these lines.
fn program(name: &str, includes: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = format!("{includes}int main() {{ return comity_version() == nullptr; }}\n");
    fs::write(&source, text).expect("the folder exists");
    source
}

fn check(standard: &str, source: &Path) {
    let mut compiler = Command::new(env::var("CXX").unwrap_or_else(|_| "c++".into()));
    compiler.arg(format!("-std={standard}")).args(["-Wall", "-Wextra", "-Werror", "-pedantic"]);
    // What the standard library deprecates is not the subject.
    compiler.args(["-Wno-deprecated", "-Wno-cpp", "-Wno-#warnings", "-fsyntax-only", "-I"]);
    compiler.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include")).arg(source);
    let output = compiler.output().unwrap_or_else(|error| panic!("{compiler:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler:?}: {}\n{errors}", output.status);
}

#[test]
fn every_header_may_come_before_or_after_it() {
    let others: String = CPP_HEADERS
        .split_whitespace()
        .map(|name| format!("#if __has_include(<{name}>)\n#include <{name}>\n#endif\n"))
        .collect();
    let this = "#include \"comity.h\"\n";
    let first = program("first.cpp", &format!("{this}{others}"));
    let last = program("last.cpp", &format!("{others}{this}"));
    thread::scope(|scope| {
        scope.spawn(|| ["c++11", "c++17", "c++20"].map(|standard| check(standard, &first)));
        scope.spawn(|| ["c++14", "c++2b"].map(|standard| check(standard, &first)));
        scope.spawn(|| check("c++17", &last));
    });
}
