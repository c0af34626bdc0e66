//! The transcripts in `tests/transcripts`, which every language replays: written here, and compared.

mod lines;
mod record;
mod scenarios;

use std::path::Path;
use std::{env, fs};

use record::Recorder;

fn expect(name: &str, scenario: fn() -> Recorder) {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = core.join("../tests/transcripts").join(name).with_extension("jsonl");
    let found = scenario().finish();
    if env::var_os("COMITY_BLESS").is_some() {
        fs::write(&path, found).expect("the folder exists");
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    for (at, (found, written)) in found.lines().zip(written.lines()).enumerate() {
        assert_eq!(found, written, "{}, line {}", path.display(), at + 1);
    }
    assert_eq!(found.lines().count(), written.lines().count(), "{}", path.display());
}

#[test]
fn locks() {
    expect("locks", scenarios::locks);
}

#[test]
fn lost_leases() {
    expect("lost_leases", scenarios::lost_leases);
}

#[test]
fn transactions() {
    expect("transactions", scenarios::transactions);
}

#[test]
fn counters() {
    expect("counters", scenarios::counters);
}
