//! Who the process is.

use crate::context::Context;
use crate::error::Result;

/// getpid(2): the number of the process.
///
/// # Differences from Linux
/// None.
pub(crate) fn getpid(cx: &Context<'_>) -> Result<u32> {
    Ok(cx.process.id())
}
