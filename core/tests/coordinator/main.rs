//! What holds for every verb: bounds, outages, refusals, and that no input is one too many.

#[path = "../support/mod.rs"]
mod support;

mod architecture_page;
mod border_is_total;
mod cluster_refused;
mod node_connection;
mod node_outage;
mod node_refuses;
mod scripts_bounded;
mod unreachable_says_why;
mod verbs_end_in_time;
mod work_is_not_repeated;
