//! Control registers and what the processor can do.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};

use spin::Once;
use syscalls::machine::Processor;
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::registers::model_specific::{FsBase, Msr};
use x86_64::registers::xcontrol::{XCr0, XCr0Flags};

use super::extended_state::read_mxcsr_mask;
use crate::machine::PROCESSORS;

/// What the processor can do, as far as the kernel cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    /// `rdfsbase` and its family work.
    pub fsgsbase: bool,
    /// `xsave` works; otherwise `fxsave`.
    pub xsave: bool,
    /// Components of the extended state in use (XCR0).
    pub components: u64,
    /// Length of the extended state in the standard format, in bytes.
    pub extended_state_len: usize,
    /// The bits that MXCSR has.
    pub mxcsr_mask: u32,
    /// `rdrand` works.
    pub rdrand: bool,
    /// `rdseed` works.
    pub rdseed: bool,
    /// CPUID leaf 1, EDX.
    pub leaf_1_edx: u32,
}

/// `AT_HWCAP2`: applications may use `rdfsbase` and its family.
const HWCAP2_FSGSBASE: u64 = 1 << 1;

impl Features {
    /// What of it applications may know.
    pub(crate) fn processor(&self) -> Processor {
        Processor {
            hwcap: u64::from(self.leaf_1_edx),
            hwcap2: if self.fsgsbase { HWCAP2_FSGSBASE } else { 0 },
            extended_state_len: self.extended_state_len,
            extended_state_components: self.components,
            mxcsr_mask: self.mxcsr_mask,
            count: PROCESSORS,
        }
    }
}

static FEATURES: Once<Features> = Once::new();

/// What this processor can do.
pub(crate) fn features() -> &'static Features {
    FEATURES.get().expect("the processor is set up first")
}

/// Switches on what the kernel and applications use.
///
/// # Safety
/// At boot, before application code runs.
pub(crate) unsafe fn enable_features() {
    let leaf_1 = __cpuid(1);
    let leaf_7 = if __cpuid(0).eax >= 7 { Some(__cpuid_count(7, 0)) } else { None };
    let fsgsbase = leaf_7.is_some_and(|leaf| leaf.ebx & 1 != 0);
    let xsave = leaf_1.ecx & (1 << 26) != 0;
    let mut flags = Cr4::read();
    flags.set(Cr4Flags::FSGSBASE, fsgsbase);
    flags.set(Cr4Flags::OSXSAVE, xsave);
    // SAFETY: the processor has the features that are switched on.
    unsafe { Cr4::write(flags) };
    let components = if xsave { enable_components() } else { 3 };
    FEATURES.call_once(|| Features {
        fsgsbase,
        xsave,
        components,
        extended_state_len: if xsave { __cpuid_count(0xd, 0).ebx as usize } else { 512 },
        // SAFETY: every processor of 64 bits has it, and the boot code has switched it on.
        mxcsr_mask: unsafe { read_mxcsr_mask() },
        rdrand: leaf_1.ecx & (1 << 30) != 0,
        rdseed: leaf_7.is_some_and(|leaf| leaf.ebx & (1 << 18) != 0),
        leaf_1_edx: leaf_1.edx,
    });
}

/// Switches on x87, SSE, AVX and AVX-512 as far as the processor has them.
fn enable_components() -> u64 {
    let leaf = __cpuid_count(0xd, 0);
    let supported = XCr0Flags::from_bits_truncate(u64::from(leaf.eax) | u64::from(leaf.edx) << 32);
    let mut wanted = XCr0Flags::X87 | XCr0Flags::SSE;
    let avx512 = XCr0Flags::OPMASK | XCr0Flags::ZMM_HI256 | XCr0Flags::HI16_ZMM;
    if supported.contains(XCr0Flags::AVX) {
        wanted |= XCr0Flags::AVX;
        if supported.contains(avx512) {
            wanted |= avx512;
        }
    }
    // SAFETY: the processor supports these, and OSXSAVE is on.
    unsafe { XCr0::write(wanted) };
    wanted.bits()
}

/// The FS base of the application that runs.
pub(crate) fn fs_base() -> u64 {
    if !features().fsgsbase {
        return FsBase::read().as_u64();
    }
    let base;
    // SAFETY: CR4.FSGSBASE is on.
    unsafe { asm!("rdfsbase {}", out(reg) base, options(nostack, nomem, preserves_flags)) };
    base
}

/// Sets the FS base.
pub(crate) fn set_fs_base(base: u64) {
    if !features().fsgsbase {
        return FsBase::write(VirtAddr::new_truncate(base));
    }
    // SAFETY: CR4.FSGSBASE is on; the kernel does not use FS.
    unsafe { asm!("wrfsbase {}", in(reg) base, options(nostack, nomem, preserves_flags)) };
}

/// Reads a model-specific register that the processor has.
///
/// # Safety
/// It exists.
pub(crate) unsafe fn read_msr(number: u32) -> u64 {
    // SAFETY: by the caller.
    unsafe { Msr::new(number).read() }
}

/// Writes a model-specific register.
///
/// # Safety
/// It exists, and the value is what the kernel wants of it.
pub(crate) unsafe fn write_msr(number: u32, value: u64) {
    // SAFETY: by the caller.
    unsafe { Msr::new(number).write(value) };
}
