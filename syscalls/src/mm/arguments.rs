//! How the types of memory calls come out of registers, and how the tracer shows them.

use core::fmt::{self, Write};

use abi::memory::{LockAllFlags, LockFlags, MapFlags, Protection, RemapFlags, SyncFlags};
use bitflags::Flags;

use crate::args::Argument;
use crate::context::Context;
use crate::error::Result;
use crate::user::UserPtr;

/// A number that the tracer shows as an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(u64);

impl Address {
    /// The number.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl Argument for Address {
    fn from_register(raw: u64) -> Result<Self> {
        Ok(Self(raw))
    }

    fn show(raw: u64, cx: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
        UserPtr::<u8>::show(raw, cx, out)
    }
}

/// Flags as strace(1) shows them: `MAP_PRIVATE|MAP_ANONYMOUS`, or `none` where none is set.
fn show_flags<T: Flags<Bits = u32>>(
    raw: u64,
    prefix: &str,
    none: &str,
    out: &mut dyn Write,
) -> fmt::Result {
    let flags = T::from_bits_retain(raw as u32);
    let mut left = raw as u32;
    let mut separator = "";
    for (name, flag) in flags.iter_names() {
        write!(out, "{separator}{prefix}{name}")?;
        left &= !flag.bits();
        separator = "|";
    }
    match (left, separator) {
        (0, "") => out.write_str(none),
        (0, _) => Ok(()),
        _ => write!(out, "{separator}{left:#x}"),
    }
}

/// Implements [`Argument`] for flags: type, prefix of the names, what no flag is called.
macro_rules! flag_arguments {
    ($($flags:ty, $prefix:literal, $none:literal;)*) => {$(
        impl Argument for $flags {
            fn from_register(raw: u64) -> Result<Self> {
                Ok(Self::from_bits_retain(raw as u32))
            }

            fn show(raw: u64, _: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
                show_flags::<Self>(raw, $prefix, $none, out)
            }
        }
    )*};
}

flag_arguments! {
    Protection, "PROT_", "PROT_NONE";
    MapFlags, "MAP_", "0";
    RemapFlags, "MREMAP_", "0";
    SyncFlags, "MS_", "0";
    LockFlags, "MLOCK_", "0";
    LockAllFlags, "MCL_", "0";
}
