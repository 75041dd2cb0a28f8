//! What of an address space belongs into a core dump: core(5), "Controlling which mappings are
//! written to the core dump".

use alloc::sync::Arc;

use abi::memory::Protection;
use bitflags::bitflags;

use crate::machine::Page;

use super::address_space::AddressSpace;
use super::area::{Area, AreaFlags, Backing, PAGE, Share};
use super::fault::Wanted;
use super::object::Object;

bitflags! {
    /// /proc/PID/coredump_filter: which kinds of areas are dumped.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct DumpFilter: u32 {
        /// Private areas without a file, and changed pages of those with one.
        const ANONYMOUS_PRIVATE = 1 << 0;
        /// Shared areas without a file that has a name.
        const ANONYMOUS_SHARED = 1 << 1;
        /// Private areas of files.
        const FILE_PRIVATE = 1 << 2;
        /// Shared areas of files.
        const FILE_SHARED = 1 << 3;
        /// The first page of areas where an ELF file begins.
        const ELF_HEADERS = 1 << 4;
        /// Private areas of huge pages.
        const HUGE_PRIVATE = 1 << 5;
        /// Shared areas of huge pages.
        const HUGE_SHARED = 1 << 6;
        /// Private areas of DAX files.
        const DAX_PRIVATE = 1 << 7;
        /// Shared areas of DAX files.
        const DAX_SHARED = 1 << 8;
    }
}

impl Default for DumpFilter {
    fn default() -> Self {
        Self::ANONYMOUS_PRIVATE | Self::ANONYMOUS_SHARED | Self::ELF_HEADERS | Self::HUGE_PRIVATE
    }
}

impl AddressSpace {
    /// How many bytes from its start on of `area` belong into a core dump.
    pub(crate) fn dumped_len(&self, area: &Area, filter: DumpFilter) -> u64 {
        let whole = area.range.end - area.range.start;
        if area.flags.contains(AreaFlags::DONT_DUMP) {
            return 0;
        }
        let is_whole = match (&area.backing, area.share) {
            (Backing::Object(Object::Pages(_), _), _) => true,
            (Backing::Object(Object::File { inode, .. }, _), Share::Shared) => {
                let has_name = inode.metadata().is_ok_and(|metadata| metadata.links > 0);
                let kind = match has_name {
                    true => DumpFilter::FILE_SHARED,
                    false => DumpFilter::ANONYMOUS_SHARED,
                };
                filter.contains(kind)
            }
            (Backing::Object(Object::Memory(_), _), _) | (Backing::Anonymous, Share::Shared) => {
                filter.contains(DumpFilter::ANONYMOUS_SHARED)
            }
            (Backing::Anonymous, Share::Private) => filter.contains(DumpFilter::ANONYMOUS_PRIVATE),
            (Backing::Object(Object::File { .. }, _), Share::Private) => {
                filter.contains(DumpFilter::FILE_PRIVATE)
                    || (filter.contains(DumpFilter::ANONYMOUS_PRIVATE)
                        && self.resident(&area.range).1 > 0)
            }
        };
        if is_whole {
            return whole;
        }
        let is_header = filter.contains(DumpFilter::ELF_HEADERS) && self.begins_elf_file(area);
        if is_header { PAGE } else { 0 }
    }

    /// Whether the area begins with the header of an ELF file.
    fn begins_elf_file(&self, area: &Area) -> bool {
        let begins = matches!(&area.backing, Backing::Object(Object::File { .. }, 0));
        if !begins || !area.protection.contains(Protection::READ) {
            return false;
        }
        let mut magic = [0; 4];
        self.dumped_page(area, area.range.start).is_some_and(|page| {
            page.read(0, &mut magic);
            magic == *b"\x7fELF"
        })
    }

    /// The page at `address` in `area`; `None` where only zeros are, or nothing can be read.
    pub(crate) fn dumped_page(&self, area: &Area, address: u64) -> Option<Arc<dyn Page>> {
        {
            let state = self.state.lock();
            if let Some(resident) = state.pages.get(address) {
                let is_zeros =
                    state.zeros.as_ref().is_some_and(|zeros| Arc::ptr_eq(zeros, &resident.page));
                return (!is_zeros).then(|| resident.page.clone());
            }
        }
        match &area.backing {
            Backing::Anonymous => None,
            Backing::Object(object, _) => {
                let index = area.object_offset(address) / PAGE;
                object.page(index, area.share, Wanted::Read).ok().flatten()
            }
        }
    }
}
