//! What `docs/architecture.md` and the README name is there, and they name all modules of the core.

use std::path::Path;

const PAGE: &str = include_str!("../../../docs/architecture.md");
const README: &str = include_str!("../../../README.md");
const LIB: &str = include_str!("../../src/lib.rs");

/// What stands between backticks and looks like a path.
fn paths(page: &str) -> impl Iterator<Item = &str> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains('/') || text.ends_with(".rs"))
}

fn modules() -> impl Iterator<Item = &'static str> {
    LIB.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    })
}

#[test]
fn every_path_of_the_page_is_there() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = core.parent().expect("the core has a folder");
    // These are of each primitive.
    let folders = ["", "lock", "counter", "transaction"].map(|name| core.join("src").join(name));
    let places = || folders.iter().map(|folder| folder.as_path()).chain([repository]);
    let missing = |path: &&str| !places().any(|place| place.join(path).exists());
    let missing: Vec<&str> = paths(PAGE).filter(missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(paths(PAGE).count() > 60);
}

#[test]
fn the_pages_name_every_module() {
    for module in modules() {
        let (folder, file) = (format!("`{module}/"), format!("`{module}.rs`"));
        assert!(PAGE.contains(&folder) || PAGE.contains(&file), "{module}");
        assert!(README.contains(&format!("`{module}`")), "{module} is not in the README");
    }
    assert!(modules().count() > 15);
}
