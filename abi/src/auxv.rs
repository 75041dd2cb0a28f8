//! The auxiliary vector: getauxval(3), `linux/auxvec.h`, System V ABI section 3.4.3.
//!
//! The initial stack builder of `loader` writes these pairs above the environment.

pub use linux_raw_sys::auxvec::*;

/// Value of [`AT_CLKTCK`]: the ticks of times(2) and clock(3) in a second (`USER_HZ`).
pub const CLOCK_TICKS_PER_SECOND: u64 = 100;

/// The string that [`AT_PLATFORM`] points to.
pub const PLATFORM: &[u8] = b"x86_64";

/// Number of random bytes that [`AT_RANDOM`] points to.
pub const RANDOM_LEN: usize = 16;

/// Bit of [`AT_HWCAP2`]: `MONITOR` and `MWAIT` work outside of ring 0
/// (`HWCAP2_RING3MWAIT` of `asm/hwcap2.h`).
pub const HWCAP2_RING3MWAIT: u64 = 1 << 0;

/// Bit of [`AT_HWCAP2`]: `RDFSBASE`, `WRFSBASE` and their kin may be used
/// (`HWCAP2_FSGSBASE` of `asm/hwcap2.h`).
pub const HWCAP2_FSGSBASE: u64 = 1 << 1;
