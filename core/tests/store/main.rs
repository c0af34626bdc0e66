//! The embedded store, the scripts and the snapshots' bytes beside what a real server does.

#[path = "../../build/minify.rs"]
mod minify;
#[path = "../support/mod.rs"]
mod support;

mod commands_are_total;
mod commands_differential;
mod commands_page;
mod differential;
mod differential_mutants;
mod scripts;
mod snapshot_bytes;
