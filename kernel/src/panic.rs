//! The end of a kernel that is wrong: a report to the host and the serial port.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::boot::channel::{ExitStatus, LogLevel};

use crate::drivers::{host, serial};
use crate::power;

static PANICKING: AtomicBool = AtomicBool::new(false);

/// Text of a fixed size: a panic may come from the allocator.
struct Report {
    text: [u8; 1024],
    len: usize,
}

impl Write for Report {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let len = part.len().min(self.text.len() - self.len);
        self.text[self.len..self.len + len].copy_from_slice(&part.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    x86_64::instructions::interrupts::disable();
    if PANICKING.swap(true, Ordering::Relaxed) {
        serial::write(b"panic while panicking\r\n");
        power::off();
    }
    let mut report = Report { text: [0; 1024], len: 0 };
    // The report takes what fits.
    let _ = write!(report, "kernel panic: {}", info.message());
    if let Some(location) = info.location() {
        let _ = write!(report, " ({}:{})", location.file(), location.line());
    }
    let text = &report.text[..report.len];
    serial::write(text);
    serial::write(b"\r\n");
    // SAFETY: interrupts are off and nothing returns from here.
    unsafe { host::take_over() };
    host::log(LogLevel::Error, text);
    host::exit(ExitStatus::KernelFailure);
    power::off();
}
