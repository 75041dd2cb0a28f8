//! The vDSO and its time page: what every program has in its address space to read the time.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::PAGE_SIZE;
use abi::time_page::TimePage;
use spin::Once;
use syscalls::machine::Page;
use x86_64::PhysAddr;

use crate::memory::{direct_map, page};
use crate::{machine, time};

/// The time page and the image, from the first time that somebody asks for them.
static PAGES: Once<Arc<[Arc<dyn Page>]>> = Once::new();

/// The time page, then the pages of the image; none where there was no memory for the time
/// page.
pub(crate) fn pages() -> Arc<[Arc<dyn Page>]> {
    PAGES.call_once(|| make().unwrap_or_default().into()).clone()
}

fn make() -> Option<Vec<Arc<dyn Page>>> {
    let time_page = page::allocate().ok()?;
    let frame = PhysAddr::new_truncate(time_page.frame() * PAGE_SIZE as u64);
    // SAFETY: the page is never freed, for `PAGES` holds it for ever, and it is aligned. Its
    // zeros are a time page. Applications have it read-only, and nobody else gets to it.
    let published: &'static TimePage = unsafe { &*direct_map(frame).cast() };
    let image = vdso::image().chunks(PAGE_SIZE).map(page::of_static);
    let pages = core::iter::once(Some(time_page)).chain(image).collect::<Option<Vec<_>>>()?;
    published.publish_processors(machine::PROCESSORS);
    time::publish_to(published);
    Some(pages)
}
