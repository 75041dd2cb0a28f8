//! What a thread must look at before it returns to the application.

use core::sync::atomic::{AtomicU32, Ordering};

/// Reasons not to return to the application at once: one word, so that the way back tests
/// all of them with one load.
#[derive(Default)]
pub(crate) struct Attention {
    reasons: AtomicU32,
}

impl Attention {
    /// A signal is to be delivered.
    pub(crate) const SIGNAL: u32 = 1;
    /// The process ends.
    pub(crate) const EXIT: u32 = 2;
    /// The signal mask of before the call is to be restored.
    pub(crate) const MASK: u32 = 4;
    /// System calls are traced.
    pub(crate) const TRACE: u32 = 8;
    /// The process stops.
    pub(crate) const STOP: u32 = 16;
    /// Another thread traces this one: it always leaves the kernel by the long way.
    pub(crate) const TRACED: u32 = 32;
    /// The tracer wants it to stop.
    pub(crate) const TRAP: u32 = 64;
    /// The registers may not be those of the entry any more: a tracer had them.
    pub(crate) const REGISTERS: u32 = 128;
    /// Requests of its own can go on: io_uring(7).
    pub(crate) const REQUESTS: u32 = 256;
    /// Those that end a wait which a signal may end.
    pub(crate) const INTERRUPTIONS: u32 = Self::SIGNAL | Self::EXIT | Self::STOP | Self::TRAP;

    /// Whether one of these reasons holds.
    pub(crate) fn has(&self, reasons: u32) -> bool {
        self.reasons.load(Ordering::SeqCst) & reasons != 0
    }

    /// Whether any reason but tracing holds.
    pub(crate) fn is_needed(&self) -> bool {
        self.has(!Self::TRACE)
    }

    /// Adds reasons.
    pub(crate) fn set(&self, reasons: u32) {
        self.reasons.fetch_or(reasons, Ordering::SeqCst);
    }

    /// Removes reasons.
    pub(crate) fn clear(&self, reasons: u32) {
        self.reasons.fetch_and(!reasons, Ordering::SeqCst);
    }
}
