//! Transactions: all of it or nothing on every server, whatever fails on the way.

#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod border;
mod clocks;
mod cluster;
mod differential;
mod forbidden;
mod full_memory;
mod in_doubt;
mod in_line;
mod invariants;
mod kept;
mod misnamed;
mod names_server;
mod recorded_replies;
mod replicas;
mod rollback;
mod scripts;
mod sweep;
mod unheard;
mod unreadable;
