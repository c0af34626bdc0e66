//! Locks: what a coordinator does with one, step by step, and its invariants.

#[path = "../support/mod.rs"]
mod support;

mod backlog;
mod claim_without_anchor;
mod close;
mod comma_in_prefix;
mod damaged_state;
mod excessive_fence;
mod full_memory;
mod idle_state;
mod in_doubt;
mod invariants;
mod late_queued_after_push;
mod lost_is_told;
mod lost_reply;
mod many_waiters;
mod mute;
mod noscript;
mod not_renewed;
mod push_for_unknown_id;
mod refused;
mod release_overtakes_renewal;
mod repeats;
mod slept_past_lease;
mod stalled_host;
mod waiting;
