//! The vDSO: a shared object that the kernel maps into every program, with which the C
//! library reads the time without a system call (vdso(7)).
//!
//! The object itself is `object/vdso.rs`, built by this package's build script; here is its
//! image. It has one loaded segment and no relocations, and finds the time page
//! (`abi::time_page`) in the page right before it.
#![no_std]
#![forbid(unsafe_code)]

/// Bytes that begin at the start of a page.
#[repr(C, align(4096))]
struct PageAligned<T>(T);

const LEN: usize = include_bytes!(env!("BIRGUS_VDSO")).len();

static IMAGE: PageAligned<[u8; LEN]> = PageAligned(*include_bytes!(env!("BIRGUS_VDSO")));

/// The image: whole pages, to be mapped in this order, readable and executable.
#[must_use]
pub fn image() -> &'static [u8] {
    &IMAGE.0
}
