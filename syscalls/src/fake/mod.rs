//! A machine of plain Rust, for tests.
