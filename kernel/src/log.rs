//! What the kernel says: the `log` crate, to the host.

use alloc::string::ToString;

use abi::boot::channel::LogLevel;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::drivers::host;

struct Logger;

static LOGGER: Logger = Logger;

/// Lets messages up to `level` through.
pub(crate) fn init(level: LevelFilter) {
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = match record.level() {
                Level::Error => LogLevel::Error,
                Level::Warn => LogLevel::Warn,
                Level::Info => LogLevel::Info,
                Level::Debug => LogLevel::Debug,
                Level::Trace => LogLevel::Trace,
            };
            host::log(level, record.args().to_string().as_bytes());
        }
    }

    fn flush(&self) {}
}
