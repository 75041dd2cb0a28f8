//! The handlers of the system calls, by topic. Each is called from its row in
//! [`crate::table`] only.

pub(crate) mod identity;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod pipe;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod system;
pub(crate) mod time;
