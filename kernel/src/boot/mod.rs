//! The PVH boot protocol (Xen's `arch-x86/hvm/start_info.h`): from the first instruction in
//! 32-bit mode to [`crate::main`] in 64-bit mode, and what the loader says about the machine.

mod command_line;
mod entry;
mod start_info;

pub(crate) use command_line::{CommandLine, DebugAction, MmioDevice};
pub(crate) use start_info::{MemoryRegion, StartInfo};
