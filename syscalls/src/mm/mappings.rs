//! Who maps a file or shared memory: so that pages that it loses disappear there too.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Range;
use core::ptr;

use abi::memory::Protection;
use spin::Mutex;

use super::address_space::{AddressSpace, State};
use super::area::{Area, Backing, Share, page_start, whole_pages};

/// The address spaces that map one object; a file's are kept by its inode
/// ([`crate::fs::Inode::mappings`]).
#[derive(Default)]
pub struct Mappings {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    spaces: Vec<Weak<AddressSpace>>,
    /// How many were ever added.
    added: u64,
}

/// What happens to private copies of pages that a file loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copies {
    /// They stay: a hole was punched.
    Keep,
    /// They go too: the file became shorter.
    Drop,
}

impl Mappings {
    /// Nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self { known: Mutex::new(Known { spaces: Vec::new(), added: 0 }) }
    }

    /// Remembers an address space that is about to map the file.
    pub(super) fn add(&self, memory: &Weak<AddressSpace>) {
        let mut known = self.known.lock();
        if known.spaces.last().is_some_and(|last| last.ptr_eq(memory)) {
            return;
        }
        known.spaces.retain(|space| space.strong_count() > 0 && !space.ptr_eq(memory));
        known.spaces.push(memory.clone());
        known.added += 1;
    }

    /// The file now ends at byte `len`: what was mapped beyond it is no longer there.
    /// Called with no lock held, after the file has changed.
    pub fn cut(&self, len: u64) {
        let end = whole_pages(len).unwrap_or(u64::MAX);
        self.forget(page_start(len)..end, Copies::Keep);
        self.forget(end..u64::MAX, Copies::Drop);
    }

    /// The bytes of `range` are now a hole: mappings must look at the file again. Called with
    /// no lock held, after the file has changed.
    pub fn punch(&self, range: &Range<u64>) {
        let end = whole_pages(range.end).unwrap_or(u64::MAX);
        self.forget(page_start(range.start)..end, Copies::Keep);
    }

    fn forget(&self, range: Range<u64>, copies: Copies) {
        if range.is_empty() {
            return;
        }
        let mut done = None;
        loop {
            let (spaces, added) = self.all();
            // A child that was forked meanwhile may have got pages that were to go.
            if done.replace(added) == Some(added) {
                return;
            }
            for memory in spaces {
                memory.state.lock().forget(&memory, self, &range, copies);
            }
        }
    }

    /// Whether somebody maps the file who writes to it, or could after mprotect(2).
    pub(crate) fn allow_writing(&self) -> bool {
        let (spaces, _) = self.all();
        spaces.iter().any(|memory| {
            let state = memory.state.lock();
            let writable = |area: &Area| {
                area.share == Share::Shared && area.allowed.contains(Protection::WRITE)
            };
            state.areas.iter().any(|area| writable(area) && self.include(area))
        })
    }

    /// How many areas show the file, in all address spaces.
    pub(super) fn areas(&self) -> u64 {
        let (spaces, _) = self.all();
        let areas = spaces.iter().map(|memory| {
            let state = memory.state.lock();
            state.areas.iter().filter(|area| self.include(area)).count() as u64
        });
        areas.sum()
    }

    /// All that map the file now, and how many were ever added.
    fn all(&self) -> (Vec<Arc<AddressSpace>>, u64) {
        let known = self.known.lock();
        (known.spaces.iter().filter_map(Weak::upgrade).collect(), known.added)
    }

    /// Whether `area` maps the file that these are the mappings of.
    fn include(&self, area: &Area) -> bool {
        let Backing::Object(object, _) = &area.backing else {
            return false;
        };
        object.mappings().is_some_and(|mappings| ptr::eq(mappings, self))
    }
}

impl State {
    /// Lets go of the pages with the bytes of `range` of a file.
    fn forget(
        &mut self,
        memory: &AddressSpace,
        file: &Mappings,
        range: &Range<u64>,
        copies: Copies,
    ) {
        // A page that was fetched a moment ago must not be put in place any more.
        self.generation += 1;
        for area in self.areas.iter().filter(|area| file.include(area)) {
            let first = area.object_offset(area.range.start);
            let last = area.object_offset(area.range.end);
            let common = range.start.clamp(first, last)..range.end.clamp(first, last);
            let addresses =
                area.range.start + (common.start - first)..area.range.start + (common.end - first);
            let share = area.share;
            self.pages.release_if(&*memory.space, &addresses, |page| {
                copies == Copies::Drop || share == Share::Shared || !page.own
            });
        }
    }
}
