//! Memory mappings: mmap(2), mprotect(2), mremap(2), madvise(2), msync(2), mlock2(2),
//! mlockall(2), and what /proc tells of them; values of `asm-generic/mman.h`, `asm/mman.h`.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags! {
    /// What may be done with memory: `PROT_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Protection: u32 {
        /// Loads.
        const READ = 0x1;
        /// Stores.
        const WRITE = 0x2;
        /// Instruction fetches.
        const EXEC = 0x4;
        /// Atomic operations; without meaning on x86-64.
        const SEM = 0x8;
        /// mprotect(2): from the start of the growing area.
        const GROWSDOWN = 0x0100_0000;
        /// mprotect(2): to the end of an area that grows upwards, of which there are none.
        const GROWSUP = 0x0200_0000;
        const _ = !0;
    }
}

bitflags! {
    /// How memory is mapped: `MAP_*`. The bits of [`MapFlags::TYPE`] are a number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct MapFlags: u32 {
        /// Changes are seen by others.
        const SHARED = 0x01;
        /// Changes are the process's own.
        const PRIVATE = 0x02;
        /// Exactly at this address, in place of what is there.
        const FIXED = 0x10;
        /// Memory of zeros, no file.
        const ANONYMOUS = 0x20;
        /// In the first 2 GiB.
        const BIT32 = 0x40;
        /// Grows downwards by page faults below it.
        const GROWSDOWN = 0x100;
        /// Ignored by Linux.
        const DENYWRITE = 0x800;
        /// Ignored by Linux.
        const EXECUTABLE = 0x1000;
        /// Locked as by mlock(2).
        const LOCKED = 0x2000;
        /// No memory is set apart for it.
        const NORESERVE = 0x4000;
        /// All pages are there at once.
        const POPULATE = 0x8000;
        /// With `POPULATE`: only those that are in memory already.
        const NONBLOCK = 0x1_0000;
        /// For a stack; no effect on Linux.
        const STACK = 0x2_0000;
        /// Huge pages from the pool.
        const HUGETLB = 0x4_0000;
        /// Synchronous faults of persistent memory.
        const SYNC = 0x8_0000;
        /// As `FIXED`, but fails where something is.
        const FIXED_NOREPLACE = 0x10_0000;
        const _ = !0;
    }
}

impl MapFlags {
    /// The bits that say what kind of mapping it is.
    pub const TYPE: Self = Self::from_bits_retain(0x0f);

    /// As `SHARED`, but unknown flags are refused.
    pub const SHARED_VALIDATE: Self = Self::SHARED.union(Self::PRIVATE);

    /// All flags that are older than `MAP_SHARED_VALIDATE`, which refuses others.
    pub const LEGACY: Self = Self::from_bits_retain(0x0f_f973 & !0x8_0000);
}

bitflags! {
    /// How mremap(2) moves: `MREMAP_*`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct RemapFlags: u32 {
        /// The mapping may get another address.
        const MAYMOVE = 1;
        /// It gets this address.
        const FIXED = 2;
        /// The old address stays mapped, empty.
        const DONTUNMAP = 4;
        const _ = !0;
    }
}

bitflags! {
    /// What msync(2) does: `MS_*`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct SyncFlags: u32 {
        /// Starts writing.
        const ASYNC = 1;
        /// Other mappings of the file see what was written.
        const INVALIDATE = 2;
        /// Waits until it is written.
        const SYNC = 4;
        const _ = !0;
    }
}

bitflags! {
    /// What mlock2(2) does: `MLOCK_*`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct LockFlags: u32 {
        /// Pages are locked when they are first used.
        const ONFAULT = 1;
        const _ = !0;
    }
}

bitflags! {
    /// What mlockall(2) locks: `MCL_*`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct LockAllFlags: u32 {
        /// All that is mapped now.
        const CURRENT = 1;
        /// All that will be mapped.
        const FUTURE = 2;
        /// Pages are locked when they are first used.
        const ONFAULT = 4;
        const _ = !0;
    }
}

/// How memory will be used: `MADV_*` of madvise(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum Advice {
    Normal = 0,
    Random = 1,
    Sequential = 2,
    WillNeed = 3,
    DontNeed = 4,
    Free = 8,
    Remove = 9,
    DontFork = 10,
    DoFork = 11,
    Mergeable = 12,
    Unmergeable = 13,
    HugePage = 14,
    NoHugePage = 15,
    DontDump = 16,
    DoDump = 17,
    WipeOnFork = 18,
    KeepOnFork = 19,
    Cold = 20,
    PageOut = 21,
    PopulateRead = 22,
    PopulateWrite = 23,
    DontNeedLocked = 24,
    Collapse = 25,
}

impl Advice {
    /// All of them with their manual names.
    pub const NAMES: &[(Self, &str)] = &[
        (Self::Normal, "MADV_NORMAL"),
        (Self::Random, "MADV_RANDOM"),
        (Self::Sequential, "MADV_SEQUENTIAL"),
        (Self::WillNeed, "MADV_WILLNEED"),
        (Self::DontNeed, "MADV_DONTNEED"),
        (Self::Free, "MADV_FREE"),
        (Self::Remove, "MADV_REMOVE"),
        (Self::DontFork, "MADV_DONTFORK"),
        (Self::DoFork, "MADV_DOFORK"),
        (Self::Mergeable, "MADV_MERGEABLE"),
        (Self::Unmergeable, "MADV_UNMERGEABLE"),
        (Self::HugePage, "MADV_HUGEPAGE"),
        (Self::NoHugePage, "MADV_NOHUGEPAGE"),
        (Self::DontDump, "MADV_DONTDUMP"),
        (Self::DoDump, "MADV_DODUMP"),
        (Self::WipeOnFork, "MADV_WIPEONFORK"),
        (Self::KeepOnFork, "MADV_KEEPONFORK"),
        (Self::Cold, "MADV_COLD"),
        (Self::PageOut, "MADV_PAGEOUT"),
        (Self::PopulateRead, "MADV_POPULATE_READ"),
        (Self::PopulateWrite, "MADV_POPULATE_WRITE"),
        (Self::DontNeedLocked, "MADV_DONTNEED_LOCKED"),
        (Self::Collapse, "MADV_COLLAPSE"),
    ];

    /// The advice with this number, or `None` where there is none.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::NAMES.iter().map(|&(advice, _)| advice).find(|&advice| advice as i32 == number)
    }
}

bitflags! {
    /// What an area must be, and is: `PROCMAP_QUERY_*` of `linux/fs.h`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AreaQueryFlags: u64 {
        /// It can be read.
        const READABLE = 0x01;
        /// It can be written.
        const WRITABLE = 0x02;
        /// It can be executed.
        const EXECUTABLE = 0x04;
        /// Others see changes.
        const SHARED = 0x08;
        /// Only asked for: where none holds the address, the next one does.
        const COVERING_OR_NEXT = 0x10;
        /// Only asked for: it shows a file.
        const FILE_BACKED = 0x20;
        const _ = !0;
    }
}

/// `struct procmap_query`: a question to /proc/PID/maps, and its answer.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AreaQuery {
    /// Length of the caller's structure, in bytes.
    pub size: u64,
    /// Wanted [`AreaQueryFlags`].
    pub query_flags: u64,
    /// The address that is asked for.
    pub query_address: u64,
    /// First address of the area.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Its [`AreaQueryFlags`].
    pub flags: u64,
    /// Size of its pages in bytes.
    pub page_size: u64,
    /// Offset in the file in bytes.
    pub offset: u64,
    /// Number of the file's inode; 0 without a file.
    pub inode: u64,
    /// Major number of the file's device.
    pub device_major: u32,
    /// Minor number of it.
    pub device_minor: u32,
    /// Room for the name, and its length with the NUL; 0 without a name.
    pub name_size: u32,
    /// Room for the build ID, and its length.
    pub build_id_size: u32,
    /// Where to write the name.
    pub name_address: u64,
    /// Where to write the build ID.
    pub build_id_address: u64,
}

/// Request of ioctl(2) on /proc/PID/maps, for [`AreaQuery`].
pub const PROCMAP_QUERY: u32 = 0xc068_6611;

const _: () = assert!(size_of::<AreaQuery>() == 0x68);

bitflags! {
    /// The upper bits of a word of /proc/PID/pagemap; below them is the number of the frame.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PageMapFlags: u64 {
        /// Nobody else maps the page.
        const EXCLUSIVE = 1 << 56;
        /// Writes to it are watched: userfaultfd(2).
        const GUARDED = 1 << 57;
        /// It is a page of a file, or of shared memory.
        const FILE = 1 << 61;
        /// It is in memory.
        const PRESENT = 1 << 63;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general;

    #[test]
    fn values_are_those_of_the_kernel_headers() {
        assert_eq!(MapFlags::BIT32.bits(), general::MAP_32BIT);
        assert_eq!(MapFlags::SYNC.bits(), general::MAP_SYNC);
        assert_eq!(MapFlags::FIXED_NOREPLACE.bits(), general::MAP_FIXED_NOREPLACE);
        assert_eq!(MapFlags::SHARED_VALIDATE.bits(), general::MAP_SHARED_VALIDATE);
        assert_eq!(MapFlags::TYPE.bits(), general::MAP_TYPE);
        assert_eq!(Advice::from_number(general::MADV_COLLAPSE as i32), Some(Advice::Collapse));
        assert_eq!(Advice::from_number(5), None);
        assert_eq!(Protection::GROWSUP.bits(), general::PROT_GROWSUP);
    }
}
