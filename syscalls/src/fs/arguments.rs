//! How the types of files come out of registers, and how the tracer shows them.

use core::fmt::{self, Write};

use abi::events::{EventFlags, InotifyMask};
use abi::fs::{
    AT_FDCWD, AccessRequest, AtFlags, CloseRangeFlags, FallocateFlags, LockOperation, MemfdFlags,
    Mode, MountFlags, OpenFlags, RenameFlags, SpliceFlags, StatxMask, TransferFlags, UnmountFlags,
};

use abi::io_uring::EnterFlags;
use abi::net::MessageFlags;

use crate::args::Argument;
use crate::context::Context;
use crate::error::Result;

use super::fd_table::Fd;

impl Argument for Fd {
    fn from_register(raw: u64) -> Result<Self> {
        Ok(Self(raw as i32))
    }

    fn show(raw: u64, _: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
        match raw as i32 {
            AT_FDCWD => out.write_str("AT_FDCWD"),
            fd => write!(out, "{fd}"),
        }
    }
}

impl Argument for Mode {
    fn from_register(raw: u64) -> Result<Self> {
        Ok(Self::of(raw as u32))
    }

    fn show(raw: u64, _: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{:#05o}", raw as u32)
    }
}

impl Argument for OpenFlags {
    fn from_register(raw: u64) -> Result<Self> {
        Ok(Self::from_bits_retain(raw as u32))
    }

    fn show(raw: u64, _: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
        let flags = Self::from_bits_retain(raw as u32);
        let mode = Self::WRONLY | Self::RDWR;
        out.write_str(match (flags & mode).bits() {
            0 => "O_RDONLY",
            1 => "O_WRONLY",
            2 => "O_RDWR",
            _ => "O_ACCMODE",
        })?;
        let rest = flags.difference(mode);
        if rest.is_empty() {
            return Ok(());
        }
        out.write_str("|")?;
        show_flags(out, "O_", rest.iter_names().map(|(name, _)| name), unknown(rest))
    }
}

/// Writes names with a prefix, separated by bars, and what has no name.
fn show_flags<'a>(
    out: &mut dyn Write,
    prefix: &str,
    names: impl Iterator<Item = &'a str>,
    unknown: u64,
) -> fmt::Result {
    let mut separator = "";
    for name in names {
        write!(out, "{separator}{prefix}{name}")?;
        separator = "|";
    }
    if unknown != 0 || separator.is_empty() {
        write!(out, "{separator}{unknown:#x}")?;
    }
    Ok(())
}

/// The bits of `flags` that have no name.
fn unknown<F: bitflags::Flags<Bits: Into<u64>>>(flags: F) -> u64 {
    let known: u64 = F::all().bits().into();
    flags.bits().into() & !known
}

/// Implements [`Argument`] for flags: all bits are kept, so that a handler can refuse those
/// that it does not know.
macro_rules! flag_arguments {
    ($($flags:ty, $prefix:literal;)*) => {$(
        impl Argument for $flags {
            fn from_register(raw: u64) -> Result<Self> {
                Ok(Self::from_bits_retain(raw as u32))
            }

            fn show(raw: u64, _: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
                let flags = Self::from_bits_retain(raw as u32);
                let names = flags.iter_names().map(|(name, _)| name);
                show_flags(out, $prefix, names, unknown(flags))
            }
        }
    )*};
}

flag_arguments! {
    EventFlags, "EFD_";
    InotifyMask, "IN_";
    MessageFlags, "MSG_";
    MountFlags, "MS_";
    UnmountFlags, "MNT_";
    SpliceFlags, "SPLICE_F_";
    AtFlags, "AT_";
    AccessRequest, "MAY_";
    RenameFlags, "RENAME_";
    FallocateFlags, "FALLOC_FL_";
    TransferFlags, "RWF_";
    CloseRangeFlags, "CLOSE_RANGE_";
    EnterFlags, "IORING_ENTER_";
    LockOperation, "LOCK_";
    MemfdFlags, "MFD_";
    StatxMask, "STATX_";
}
