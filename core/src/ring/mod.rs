//! Placement of keys on nodes.
