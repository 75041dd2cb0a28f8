//! The kernel's own words of the command line.

use core::str::FromStr;

use abi::boot::command_line::{ARGUMENTS, DEBUG, LOG_LEVEL, VIRTIO_MMIO_DEVICE, WALL_TIME};
use log::LevelFilter;

/// The command line, as the loader gave it.
#[derive(Clone, Copy)]
pub(crate) struct CommandLine(pub &'static str);

/// Where a virtio-mmio device is: `SIZE@ADDRESS:IRQ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MmioDevice {
    /// Physical address of its registers.
    pub address: u64,
    /// Length of its registers in bytes.
    pub size: usize,
}

/// A failure to provoke at boot (`birgus.debug=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DebugAction {
    /// Panic.
    Panic,
    /// Allocate kernel memory until none is left.
    OutOfMemory,
    /// Stop with interrupts off.
    Hang,
}

impl CommandLine {
    /// The words before `--`.
    fn words(self) -> impl Iterator<Item = &'static str> {
        self.0.split_ascii_whitespace().take_while(|word| *word != ARGUMENTS)
    }

    /// The virtio-mmio devices, also those after `--`, where QEMU puts them.
    pub(crate) fn mmio_devices(self) -> impl Iterator<Item = MmioDevice> {
        self.0
            .split_ascii_whitespace()
            .filter_map(|word| parse_mmio(word.strip_prefix(VIRTIO_MMIO_DEVICE)?))
    }

    /// How much the kernel says; warnings and errors unless told otherwise.
    pub(crate) fn log_level(self) -> LevelFilter {
        self.words()
            .filter_map(|word| LevelFilter::from_str(word.strip_prefix(LOG_LEVEL)?).ok())
            .last()
            .unwrap_or(LevelFilter::Warn)
    }

    /// The time of day at boot, in nanoseconds since 1970 UTC, if the loader told it.
    pub(crate) fn wall_time_ns(self) -> Option<u64> {
        self.words().find_map(|word| word.strip_prefix(WALL_TIME)?.parse().ok())
    }

    /// The failure to provoke, if any.
    pub(crate) fn debug_action(self) -> Option<DebugAction> {
        self.words().find_map(|word| match word.strip_prefix(DEBUG)? {
            "panic" => Some(DebugAction::Panic),
            "out-of-memory" => Some(DebugAction::OutOfMemory),
            "hang" => Some(DebugAction::Hang),
            _ => None,
        })
    }
}

fn parse_mmio(word: &str) -> Option<MmioDevice> {
    let (size, rest) = word.split_once('@')?;
    let (address, _irq) = rest.split_once(':')?;
    let size = match size.strip_suffix(['K', 'k']) {
        Some(kilobytes) => parse_number(kilobytes)?.checked_mul(1024)?,
        None => parse_number(size)?,
    };
    Some(MmioDevice { address: parse_number(address)?, size: usize::try_from(size).ok()? })
}

fn parse_number(digits: &str) -> Option<u64> {
    match digits.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
        None => digits.parse().ok(),
    }
}
