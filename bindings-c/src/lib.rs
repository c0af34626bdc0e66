//! comity for c.
