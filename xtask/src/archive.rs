//! The static library as C programs want it: one object that shows the functions of the header and
//! hides everything else, so that it meets no other library's Rust, nor theirs it.

use std::path::Path;

use crate::run::{Failure, Session};

/// What a program that is linked with the archive needs of the system, from what rustc says that Rust's own
/// standard library needs. The unwinder is left out, for a compiler of C brings it in the form that fits:
/// shared, or with `-static` the other one. So is the C library.
pub(crate) fn system_libraries(told: &str) -> String {
    let ours = |word: &&str| !matches!(*word, "-lgcc_s" | "-lunwind" | "-lc");
    told.split_whitespace().filter(ours).collect::<Vec<_>>().join(" ")
}

/// The functions that a header declares: each stands at the end of its declaration's first line,
/// before its parameters.
pub(crate) fn functions(header: &str) -> Vec<&str> {
    let declarations = header.lines().filter(|line| !line.starts_with([' ', '/', '#', '*']));
    let names = declarations.filter_map(|line| {
        let name = line.split_once('(')?.0.rsplit([' ', '*']).next()?;
        name.starts_with("comity_").then_some(name)
    });
    names.collect()
}

/// Makes the archive `to` of what cargo has built in `from`. `more` are archives of which it takes
/// what is missing.
///
/// Only the sections that `functions` lead to are kept, and of their symbols only the functions stay
/// visible. Rust's intermediate code and what debuggers know of the standard library are left out:
/// linkers with a plugin for another version's intermediate code fail on the former.
pub(crate) fn make(
    session: &Session,
    from: &Path,
    more: &[&Path],
    functions: &[&str],
    to: &Path,
) -> Result<(), Failure> {
    let object = to.with_extension("o");
    let roots = functions.iter().flat_map(|name| ["-u", name]);
    session
        .step("ld")
        .args(["-r", "--gc-sections", "--whole-archive"])
        .arg(from)
        .arg("--no-whole-archive")
        .args(more)
        .args(roots)
        .arg("-o")
        .arg(&object)
        .run()?;
    session
        .step("objcopy")
        .args(["--strip-debug", "--remove-section=.llvmbc", "--remove-section=.llvmcmd"])
        .args(["--wildcard", "--keep-global-symbol=comity_*"])
        .arg(&object)
        .run()?;
    session.step("ar").arg("rcs").args([to, &object]).run()?;
    std::fs::remove_file(&object)
        .map_err(|error| Failure::new(format!("{}: {error}", object.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unwinder_is_the_compilers() {
        let told = "-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc\n";
        assert_eq!(system_libraries(told), "-lutil -lrt -lpthread -lm -ldl");
        assert_eq!(system_libraries("-lunwind -lc"), "");
    }

    #[test]
    fn functions_are_found_in_a_header() {
        let header = "\
// comity_nothing(of this)
typedef struct comity_bytes {
    const char *data;
} comity_bytes;
uint32_t comity_ring_node(const comity_ring *ring,
                          comity_bytes *out);
const char *comity_version(void);
";
        assert_eq!(functions(header), ["comity_ring_node", "comity_version"]);
    }
}
