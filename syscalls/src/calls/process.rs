//! The life and the properties of a process.

use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::machine::ExitStatus;

/// _exit(2), the system call `exit`: ends the thread.
///
/// # Differences from Linux
/// None.
pub(crate) fn exit(cx: &Context<'_>, status: i32) -> Result<Outcome> {
    cx.process.set_status_of_last_thread(status);
    Ok(Outcome::Ended)
}

/// exit_group(2): ends the process.
///
/// # Differences from Linux
/// None.
pub(crate) fn exit_group(cx: &Context<'_>, status: i32) -> Result<Outcome> {
    cx.process.begin_exit(ExitStatus::Exited(status));
    Ok(Outcome::Ended)
}
