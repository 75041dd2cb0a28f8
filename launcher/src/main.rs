//! The `birgus` command.
fn main() {}
