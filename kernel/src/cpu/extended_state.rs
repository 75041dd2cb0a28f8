//! The extended state of applications: x87, SSE, AVX, AVX-512 (SDM volume 1, chapter 13).

use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::Layout;
use core::arch::x86_64::{_fxrstor64, _fxsave64, _xrstor64, _xsave64};
use core::ptr::NonNull;

use syscalls::machine::InvalidState;

use super::registers::features;

const LEGACY_LEN: usize = 512;
const HEADER_LEN: usize = 64;
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
const XMM: usize = 160;
/// The header's XSTATE_BV, relative to the header.
const COMPONENT_SSE: u64 = 2;

/// A buffer for the extended state in the standard format.
pub(crate) struct ExtendedState {
    buffer: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its buffer.
unsafe impl Send for ExtendedState {}
// SAFETY: shared references only read.
unsafe impl Sync for ExtendedState {}

impl ExtendedState {
    /// The state a program starts with; `None` when there is no memory for it.
    pub(crate) fn try_initial() -> Option<Self> {
        let len = features().extended_state_len.max(LEGACY_LEN + HEADER_LEN);
        let layout = Layout::from_size_align(len, 64).expect("a few KiB are a valid layout");
        // SAFETY: the layout is not empty.
        let buffer = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        let mut state = Self { buffer, layout };
        state.reset();
        Some(state)
    }

    /// Makes it the state a program starts with again.
    pub(crate) fn reset(&mut self) {
        let bytes = self.bytes_mut();
        bytes.fill(0);
        bytes[..2].copy_from_slice(&0x37f_u16.to_le_bytes());
        bytes[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80_u32.to_le_bytes());
    }

    /// Saves the processor's registers.
    pub(crate) fn save(&mut self) {
        // SAFETY: the buffer is large enough and aligned for either instruction.
        unsafe {
            if features().xsave {
                xsave(self.buffer.as_ptr());
            } else {
                fxsave(self.buffer.as_ptr());
            }
        }
    }

    /// Loads the processor's registers.
    pub(crate) fn load(&self) {
        // SAFETY: the buffer holds what `save` wrote, or what `import` has checked.
        unsafe {
            if features().xsave {
                xrstor(self.buffer.as_ptr());
            } else {
                fxrstor(self.buffer.as_ptr());
            }
        }
    }

    /// Puts xmm registers that were saved elsewhere in their place.
    pub(crate) fn set_xmm(&mut self, xmm: &[[u8; 16]; 16]) {
        let bytes = self.bytes_mut();
        bytes[XMM..XMM + 256].copy_from_slice(xmm.as_flattened());
        if features().xsave {
            bytes[LEGACY_LEN] |= COMPONENT_SSE as u8;
        }
    }

    /// The xmm registers; zero where the state says that they are initial.
    pub(crate) fn xmm(&self) -> [[u8; 16]; 16] {
        let mut xmm = [[0; 16]; 16];
        if !features().xsave || u64::from(self.bytes()[LEGACY_LEN]) & COMPONENT_SSE != 0 {
            xmm.as_flattened_mut().copy_from_slice(&self.bytes()[XMM..XMM + 256]);
        }
        xmm
    }

    /// The state in the standard format.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer is ours and initialised.
        unsafe { core::slice::from_raw_parts(self.buffer.as_ptr(), self.layout.size()) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the buffer is ours and initialised.
        unsafe { core::slice::from_raw_parts_mut(self.buffer.as_ptr(), self.layout.size()) }
    }

    /// Takes a state that the application may have changed.
    ///
    /// # Errors
    /// [`InvalidState`] when the processor would refuse it (SDM volume 1, 13.8); nothing
    /// changed.
    pub(crate) fn import(&mut self, from: &[u8]) -> Result<(), InvalidState> {
        let processor = features().processor();
        processor.check_extended_state(from)?;
        let len = processor.extended_state_len;
        let bytes = self.bytes_mut();
        bytes[..len].copy_from_slice(&from[..len]);
        // The processor ignores it; who looks at the state shall see the true one.
        bytes[MXCSR_MASK..MXCSR_MASK + 4].copy_from_slice(&processor.mxcsr_mask.to_le_bytes());
        Ok(())
    }
}

/// The bits that MXCSR has (SDM volume 1, 11.6.6).
///
/// # Safety
/// The processor has `fxsave`, which is switched on.
pub(super) unsafe fn read_mxcsr_mask() -> u32 {
    /// That of the first processors with SSE, which say zero.
    const DEFAULT: u32 = 0xffbf;
    #[repr(C, align(16))]
    struct Area([u8; LEGACY_LEN]);
    let mut area = Area([0; LEGACY_LEN]);
    // SAFETY: by the caller; the area is large enough and aligned.
    unsafe { fxsave(area.0.as_mut_ptr()) };
    let mask = area.0[MXCSR_MASK..].first_chunk().copied().map(u32::from_le_bytes);
    mask.filter(|&mask| mask != 0).unwrap_or(DEFAULT)
}

#[target_feature(enable = "xsave")]
unsafe fn xsave(to: *mut u8) {
    // SAFETY: by the caller.
    unsafe { _xsave64(to, u64::MAX) };
}

#[target_feature(enable = "xsave")]
unsafe fn xrstor(from: *const u8) {
    // SAFETY: by the caller.
    unsafe { _xrstor64(from, u64::MAX) };
}

#[target_feature(enable = "fxsr")]
unsafe fn fxsave(to: *mut u8) {
    // SAFETY: by the caller.
    unsafe { _fxsave64(to) };
}

#[target_feature(enable = "fxsr")]
unsafe fn fxrstor(from: *const u8) {
    // SAFETY: by the caller.
    unsafe { _fxrstor64(from) };
}

impl Drop for ExtendedState {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.buffer.as_ptr(), self.layout) };
    }
}
