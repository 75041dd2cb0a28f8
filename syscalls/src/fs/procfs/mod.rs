//! The proc file system: proc(5).
