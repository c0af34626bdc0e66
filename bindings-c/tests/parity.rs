//! The header has all that the core has, and the tests in C call all that the header has.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use comity::event::{Kind, SCHEMA};

const HEADER: &str = include_str!("../include/comity.h");

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let code = HEADER.lines().filter(|line| !line.starts_with("//") && !line.starts_with(" *"));
    let functions = code.filter_map(|line| {
        let (before, _) = line.split_once('(')?;
        let name = before.rsplit([' ', '*']).next()?;
        name.starts_with("comity_").then(|| name.to_owned())
    });
    let functions: BTreeSet<String> = functions.collect();
    assert!(functions.len() > 90, "{functions:?}");
    functions
}

/// The functions of the library that a source in C calls.
fn called(source: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for (at, _) in source.match_indices("comity_") {
        let rest = &source[at..];
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        if !source[..at].ends_with(word) && rest[end..].starts_with('(') {
            names.insert(rest[..end].to_owned());
        }
    }
    names
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

/// The variants of an enum in a source of the core.
fn variants(source: &str, name: &str) -> Vec<String> {
    let body = source.split_once(&format!("pub enum {name} {{\n")).expect("the enum is there").1;
    let body = body.split_once("\n}").expect("it ends").0;
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    variants.map(|line| line.trim_end_matches([',', '{', ' ']).to_owned()).collect()
}

/// The public methods of the core in a source.
fn methods(source: &str) -> Vec<String> {
    let mut methods = Vec::new();
    let mut hidden = false;
    for line in source.lines().map(str::trim_start) {
        let signature = line.strip_prefix("pub fn ").or_else(|| line.strip_prefix("pub const fn "));
        let name = signature.and_then(|signature| signature.split(['(', '<']).next());
        methods.extend(name.filter(|_| !hidden).map(str::to_owned));
        // Other attributes may stand between.
        hidden = line == "#[doc(hidden)]" || (hidden && line.starts_with(['#', '/']));
    }
    assert!(!methods.is_empty());
    methods
}

/// The numbers of the kinds and the outcomes are generated from the core's table, and the header from
/// them.
#[test]
fn every_kind_of_event_and_outcome_is_in_the_header() {
    for kind in Kind::ALL {
        let line = format!("#define COMITY_EVENT_{} {}", kind.name.to_uppercase(), kind.number);
        assert!(HEADER.lines().any(|found| found == line), "no line {line}");
    }
    for each in SCHEMA.outcomes {
        let (name, number) = (each.outcome.name().to_uppercase(), each.outcome.number());
        let line = format!("#define COMITY_OUTCOME_{name} {number}");
        assert!(HEADER.lines().any(|found| found == line), "no line {line}");
    }
}

#[test]
fn every_route_is_in_the_header() {
    let routes = variants(&read("../core/src/redis/command.rs"), "Route");
    for route in &routes {
        let line = format!("#define COMITY_ROUTE_{} ", screaming(route));
        assert!(HEADER.contains(&line), "no line {line}");
    }
    let defined = HEADER.lines().filter(|line| line.starts_with("#define COMITY_ROUTE_"));
    assert_eq!(defined.count(), routes.len());
}

#[test]
fn every_verb_of_the_coordinator_is_in_the_header() {
    let declared = declared();
    let sources = ["mod", "input", "output", "locks", "counters", "transaction_calls"];
    for source in sources {
        for verb in methods(&read(&format!("../core/src/coordinator/{source}.rs"))) {
            let name = match verb.as_str() {
                "new" => "comity_coordinator_new".into(),
                "ring" => "comity_coordinator_ring".into(),
                _ => format!("comity_{verb}"),
            };
            assert!(declared.contains(&name), "{verb} of the core is not in the header");
        }
    }
}

#[test]
fn every_step_of_a_connection_is_in_the_header() {
    let declared = declared();
    for method in methods(&read("../core/src/coordinator/connection.rs")) {
        let name = match method.as_str() {
            // The host has said them, or that there is a stream.
            "node" | "route" | "is_connected" => continue,
            "ended" => "why",
            other => other,
        };
        let name = format!("comity_connection_{name}");
        assert!(declared.contains(&name), "{method} of a connection is not in the header");
    }
}

#[test]
fn all_of_the_ring_and_the_peer_counter_is_in_the_header() {
    let declared = declared();
    for source in ["mod", "change"] {
        for method in methods(&read(&format!("../core/src/ring/{source}.rs"))) {
            let name = match method.as_str() {
                "with_config" => "new",
                // By comity_ring_nodes and comity_ring_len.
                "get" | "node_id" | "is_empty" => "nodes",
                // For the bindings themselves: no other language has such iterators.
                "lookup_each" => "lookup_batch",
                other => other,
            };
            let name = format!("comity_ring_{name}");
            assert!(declared.contains(&name), "{method} of the ring is not in the header");
        }
    }
    let peer = read("../core/src/crdt/pn_counter.rs");
    let peer = peer.split_once("impl PNCounter").expect("it is there").1;
    for method in methods(peer) {
        let name = match method.as_str() {
            "to_bytes" => "snapshot",
            "join" => "merge",
            other => other,
        };
        let name = format!("comity_pn_counter_{name}");
        assert!(declared.contains(&name), "{method} of the peer counter is not in the header");
    }
}

#[test]
fn the_programs_in_c_call_every_function() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("the folder of this file") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "c" || ending == "h") {
            names.extend(called(&fs::read_to_string(path).expect("text")));
        }
    }
    let declared = declared();
    let missing: Vec<_> = declared.difference(&names).collect();
    assert!(missing.is_empty(), "no program calls {missing:?}");
    // Names and versions take no pointer.
    let wrongly = called(&read("tests/bad_arguments.c"));
    let missing: Vec<_> = declared
        .difference(&wrongly)
        .filter(|name| !name.ends_with("_name"))
        .filter(|name| !["comity_version", "comity_last_error"].contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "bad_arguments.c does not call {missing:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_shared_library_exports_what_the_header_declares() {
    let test = env::current_exe().expect("a test has a path");
    let library = test.with_file_name("libcomity_c.so");
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library).output();
    let output = output.expect("binutils are installed");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let exported: BTreeSet<String> =
        text.lines().filter_map(|line| line.rsplit(' ').next()).map(str::to_owned).collect();
    assert_eq!(exported, declared());
}
