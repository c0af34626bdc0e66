//! The checked-in header is what the crate says. `COMITY_BLESS=1 cargo test -p comity-c` rewrites it.

use std::path::Path;
use std::{env, fs};

use cbindgen::{Builder, Config, DocumentationStyle, ExportConfig, Language, Style};
use comity::coordinator::Stats;
use comity::error::ErrorCode;

/// What holds for all of it.
const HEAD: &str = "\
/* comity for C. Generated from the crate comity-c: do not edit.
 *
 * Status. Functions that can fail return COMITY_OK or a COMITY_ERROR_ code, and write their outputs
 * only if they return COMITY_OK; comity_last_error() has the words. Every function of a handle
 * returns COMITY_ERROR_INVALID_ARGUMENT for NULL; COMITY_ERROR_INTERNAL if it meets a bug, after
 * which the handle is dead; and COMITY_ERROR_INVALID_STATE for a dead handle, which can only be freed.
 *
 * Pointers. A pointer to bytes, elements or words points to as many as its length or count says, and
 * may be NULL if there are none. Inputs are read during the call only and copied where they are kept.
 * Outputs point to a place that can be written, which need not be initialised.
 *
 * Handles. What _new or another function gives is freed with the _free of its kind, once; NULL is fine.
 * A freed handle must not be used: debug builds of the library recognise most of them.
 *
 * Borrowed outputs, such as a comity_command or comity_bytes, are valid as long as their function
 * says, and never longer than their handle.
 *
 * Threads. One thread at a time may use a handle, any thread; a comity_ring may be used by many. Debug
 * builds of the library return COMITY_ERROR_INVALID_STATE where they meet two at once.
 *
 * Processes. In the child of a fork every function of a comity_coordinator or comity_connection that was
 * made before returns COMITY_ERROR_INVALID_STATE: its leases are the parent's, and so is its stream. Free
 * it and make a new one.
 *
 * Options. A struct of options is filled by its _init function, which takes its sizeof, and changed
 * after that, so that a program runs with a library of another version.
 *
 * Time. Every now_us is microseconds since an origin that the host chooses, from a clock that never
 * runs backwards and goes on during suspend where there is one (CLOCK_BOOTTIME), and is below 2^63:
 * COMITY_ERROR_INVALID_ARGUMENT otherwise. An earlier one than before counts as the same moment.
 * Moments that come out are on the same clock.
 *
 * Text is UTF-8. Names, keys and values are any bytes. */
";

fn generate(crate_folder: &Path) -> String {
    let config = Config {
        language: Language::C,
        cpp_compat: true,
        style: Style::Both,
        documentation_style: DocumentationStyle::C99,
        usize_is_size_t: true,
        include_guard: Some("COMITY_H".into()),
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        header: Some(HEAD.trim_end().into()),
        // Functions of the system are not ours to declare: its own headers do, and differently in C++.
        export: ExportConfig { exclude: vec!["pthread_atfork".into()], ..ExportConfig::default() },
        ..Config::default()
    };
    let mut header = Vec::new();
    Builder::new()
        .with_src(crate_folder.join("src/lib.rs"))
        .with_config(config)
        .generate()
        .expect("the sources parse")
        .write(&mut header);
    let header = String::from_utf8(header).expect("a header is text");
    // Every type has a name without `struct` as well, which is shorter to read.
    let (types, functions) = header.split_once("extern \"C\" {").expect("a part for C++");
    format!("{types}extern \"C\" {{{}", functions.replace("struct comity_", "comity_"))
}

#[test]
fn the_header_is_up_to_date() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = crate_folder.join("include/comity.h");
    let generated = generate(crate_folder);
    if env::var_os("COMITY_BLESS").is_some() {
        fs::write(&path, &generated).expect("the folder exists");
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(generated == checked_in, "COMITY_BLESS=1 cargo test -p comity-c rewrites the header");
}

/// `LockTimeout` as `LOCK_TIMEOUT`.
fn screaming(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

/// The lines of the header that define a constant whose name begins so.
fn defined(header: &str, prefix: &str) -> usize {
    let prefix = format!("#define {prefix}");
    header.lines().filter(|line| line.starts_with(&prefix)).count()
}

/// A declaration of the system's own function fits no system header in every standard of C++.
#[test]
fn the_header_declares_only_what_is_comitys() {
    let header = include_str!("../include/comity.h");
    let (types, functions) = header.split_once("extern \"C\" {").expect("a part for C++");
    // Each declaration is a paragraph of its own, its comment in front.
    let declared = functions.split(';').filter_map(|declaration| {
        let code = declaration.lines().filter(|line| !line.starts_with("//"));
        let code: String = code.collect();
        let name = code.split_once('(')?.0.rsplit([' ', '*']).next()?.to_owned();
        Some(name)
    });
    let mut count = 0;
    for name in declared {
        assert!(name.starts_with("comity_"), "{name} is not comity's to declare");
        count += 1;
    }
    assert!(count > 100, "{count} functions were found");
    let macros = types.lines().filter_map(|line| line.strip_prefix("#define "));
    for name in macros {
        assert!(name.starts_with("COMITY_"), "{name} is not comity's to define");
    }
}

#[test]
fn the_header_has_every_error_code() {
    let header = include_str!("../include/comity.h");
    assert!(!ErrorCode::ALL.is_empty());
    for code in ErrorCode::ALL {
        let line = format!("#define COMITY_ERROR_{} {}", screaming(code.name()), code.number());
        assert!(header.lines().any(|found| found == line), "no line: {line}");
    }
    assert_eq!(defined(header, "COMITY_ERROR_"), ErrorCode::ALL.len());
}

#[test]
fn the_header_has_every_counter_of_the_statistics() {
    let header = include_str!("../include/comity.h");
    let body = header.split_once("typedef struct comity_statistics {").expect("it is there").1;
    let body = body.split_once('}').expect("it ends").0;
    let fields: Vec<&str> = body
        .lines()
        .filter_map(|line| line.trim().strip_prefix("uint64_t ")?.strip_suffix(';'))
        .collect();
    let names: Vec<&str> = Stats::default().fields().iter().map(|(name, _)| *name).collect();
    assert_eq!(fields, names, "in the order of the core");
}
