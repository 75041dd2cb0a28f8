//! The `birgus` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(birgus::command::main(std::env::args_os().skip(1)))
}
