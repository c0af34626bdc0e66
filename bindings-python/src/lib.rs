//! comity for python.
