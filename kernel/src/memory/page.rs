//! Counted pages: what the personality holds of physical memory.

use alloc::sync::Arc;
use core::ptr::NonNull;

use abi::PAGE_SIZE;
use syscalls::machine::{OutOfMemory, Page};
use x86_64::PhysAddr;

use super::{direct_map, frames, physical};

/// A page of memory; the last drop frees the frame, unless it is there for ever.
pub(crate) struct FramePage {
    frame: PhysAddr,
    owned: bool,
}

/// A new page of zeros for the application.
///
/// # Errors
/// [`OutOfMemory`] when only the kernel's reserve is left.
pub(crate) fn allocate() -> Result<Arc<dyn Page>, OutOfMemory> {
    let frame = frames::allocate_for_application().ok_or(OutOfMemory)?;
    // SAFETY: the frame is ours.
    unsafe { zero(frame) };
    Ok(Arc::new(FramePage { frame, owned: true }))
}

/// A new page for the application with the content of `page`.
///
/// # Errors
/// As [`allocate`].
pub(crate) fn copy(page: &dyn Page) -> Result<Arc<dyn Page>, OutOfMemory> {
    let frame = frames::allocate_for_application().ok_or(OutOfMemory)?;
    let from = PhysAddr::new_truncate(page.frame() * PAGE_SIZE as u64);
    // SAFETY: the new frame is ours, and a page's frame lies in the direct map. The application
    // may change it at the same time; a copy by instructions that do not care reads one or the
    // other byte.
    unsafe { super::copy::plain(direct_map(frame), direct_map(from), PAGE_SIZE) };
    Ok(Arc::new(FramePage { frame, owned: true }))
}

/// The page that `bytes` of the boot archive or the kernel's image lie in; `None` unless they
/// are one whole page.
pub(crate) fn of_static(bytes: &'static [u8]) -> Option<Arc<dyn Page>> {
    let start = NonNull::from(bytes).cast::<u8>();
    let whole = bytes.len() == PAGE_SIZE && (start.as_ptr() as usize).is_multiple_of(PAGE_SIZE);
    whole.then(|| Arc::new(FramePage { frame: physical(start), owned: false }) as Arc<dyn Page>)
}

/// Fills a frame with zeros.
///
/// # Safety
/// Nobody else uses the frame.
unsafe fn zero(frame: PhysAddr) {
    // SAFETY: by the caller.
    unsafe {
        core::arch::asm!(
            "rep stosq",
            inout("rcx") PAGE_SIZE / 8 => _,
            inout("rdi") direct_map(frame) => _,
            in("rax") 0_u64,
            options(nostack, preserves_flags),
        );
    }
}

impl FramePage {
    fn bytes(&self) -> *mut u8 {
        direct_map(self.frame)
    }
}

impl Page for FramePage {
    fn frame(&self) -> u64 {
        self.frame.as_u64() / PAGE_SIZE as u64
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        assert!(offset <= PAGE_SIZE && to.len() <= PAGE_SIZE - offset, "read beyond a page");
        // SAFETY: inside the frame. The application may change it at the same time; a copy by
        // instructions that do not care reads one or the other byte.
        unsafe { super::copy::plain(to.as_mut_ptr(), self.bytes().add(offset), to.len()) };
    }

    fn write(&self, offset: usize, from: &[u8]) {
        assert!(offset <= PAGE_SIZE && from.len() <= PAGE_SIZE - offset, "write beyond a page");
        // SAFETY: as in `read`.
        unsafe { super::copy::plain(self.bytes().add(offset), from.as_ptr(), from.len()) };
    }
}

impl Drop for FramePage {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: this was the last handle, and whoever mapped the page has unmapped it.
            unsafe { frames::free(self.frame) };
        }
    }
}
