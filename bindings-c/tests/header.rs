//! The checked-in header is what the crate says. `COMITY_BLESS=1 cargo test -p comity-c` rewrites it.

use std::path::Path;
use std::{env, fs};

use cbindgen::{Builder, Config, DocumentationStyle, Language, ParseConfig, Style};
use comity::error::ErrorCode;

fn generate(crate_folder: &Path) -> String {
    let config = Config {
        language: Language::C,
        cpp_compat: true,
        style: Style::Type,
        documentation_style: DocumentationStyle::C,
        usize_is_size_t: true,
        include_guard: Some("COMITY_H".into()),
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        header: Some(
            "/* comity for C. Generated from the crate comity-c: do not edit.\n *\n \
             * Functions that can fail return COMITY_OK or a COMITY_ERROR_ code, and write their\n \
             * outputs only if they return COMITY_OK; comity_last_error() has the words. */"
                .into(),
        ),
        parse: ParseConfig::default(),
        ..Config::default()
    };
    let mut header = Vec::new();
    Builder::new()
        .with_src(crate_folder.join("src/lib.rs"))
        .with_src(crate_folder.join("src/status.rs"))
        .with_src(crate_folder.join("src/ring.rs"))
        .with_config(config)
        .generate()
        .expect("the sources parse")
        .write(&mut header);
    let header = String::from_utf8(header).expect("a header is text");
    // What only makes sense in Rust's documentation.
    header
        .replace("# Safety\n\n ", "The caller makes sure of this: ")
        .replace("[`", "")
        .replace("`]", "")
        .replace('`', "")
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

#[test]
fn the_header_has_every_error_code() {
    let header = include_str!("../include/comity.h");
    assert!(!ErrorCode::ALL.is_empty());
    for code in ErrorCode::ALL {
        let mut name = String::from("COMITY_ERROR");
        for letter in code.name().chars() {
            if letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        let line = format!("#define {name} {}", code.number());
        assert!(header.lines().any(|found| found == line), "no line: {line}");
    }
    let codes = header.lines().filter(|line| line.starts_with("#define COMITY_ERROR_")).count();
    assert_eq!(codes, ErrorCode::ALL.len());
}
