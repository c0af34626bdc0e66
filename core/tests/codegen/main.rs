//! What the languages have of the tables of events and of errors is what these say.
//!
//! `cargo xtask codegen` writes all of it anew: it runs this test with `COMITY_BLESS=1`.

mod c;
mod python;
mod typescript;
mod words;

use std::path::{Path, PathBuf};
use std::{env, fs};

use comity::event::SCHEMA;

/// Compares a file of the repository with what it should be, or writes it.
#[track_caller]
fn expect(path: &str, generated: impl FnOnce(&str) -> String) {
    let path = repository().join(path);
    let found = fs::read_to_string(&path).unwrap_or_default();
    let generated = generated(&found);
    if env::var_os("COMITY_BLESS").is_some() && generated != found {
        fs::write(&path, &generated).expect("the folder exists");
    } else {
        assert!(generated == found, "{}: `cargo xtask codegen` writes it anew", path.display());
    }
}

fn repository() -> PathBuf {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    core.parent().expect("the core has a folder").to_owned()
}

#[test]
fn the_constants_of_c_are_up_to_date() {
    expect("bindings-c/src/event/kinds.rs", |_| c::kinds(&SCHEMA));
}

#[test]
fn the_codes_of_c_are_up_to_date() {
    expect("bindings-c/src/status/codes.rs", |_| c::codes());
}

#[test]
fn the_codes_of_javascript_are_up_to_date() {
    expect("bindings-wasm/js/codes.ts", |_| typescript::codes());
}

#[test]
fn the_stub_of_python_is_up_to_date() {
    expect("bindings-python/comity/_core.pyi", |stub| python::stub(&SCHEMA, stub));
}

#[test]
fn the_words_of_python_are_up_to_date() {
    expect("bindings-python/src/event.txt", |_| python::words(&SCHEMA));
}

#[test]
fn the_types_and_readers_of_javascript_are_up_to_date() {
    expect("bindings-wasm/js/core/events.ts", |_| typescript::events(&SCHEMA));
}

/// Numbers are for good: one that is taken away is not used again.
#[test]
fn each_event_has_a_number_and_a_name_of_its_own() {
    let mut last = 0;
    for event in SCHEMA.events {
        assert_eq!(event.kind.name, words::snake(event.variant));
        assert!(event.kind.number > last, "{}: in the order of the numbers", event.variant);
        last = event.kind.number;
    }
    assert!(SCHEMA.events.len() > 30);
}

/// By these four a binding finds the one who waits.
#[test]
fn an_event_that_is_the_last_says_of_what() {
    for event in SCHEMA.events.iter().filter(|event| event.kind.is_last) {
        let subjects = ["lock", "call", "counter", "transaction"];
        let has = |name: &&str| event.fields.iter().any(|field| field.name == *name);
        assert!(subjects.iter().any(has), "{}", event.variant);
    }
}
