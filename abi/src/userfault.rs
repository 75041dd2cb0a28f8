//! Page faults that the application resolves itself: userfaultfd(2), ioctl_userfaultfd(2);
//! structures and values of `linux/userfaultfd.h`.

use bitflags::bitflags;
use linux_raw_sys::general;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of `uffdio_api.api`.
pub const UFFD_API: u64 = general::UFFD_API as u64;

/// Flag of userfaultfd(2): only faults of the application itself are reported.
pub const UFFD_USER_MODE_ONLY: u32 = general::UFFD_USER_MODE_ONLY;

bitflags! {
    /// What a descriptor tells and does: `UFFD_FEATURE_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Features: u64 {
        /// Writes to protected pages are reported as such.
        const PAGEFAULT_FLAG_WP = general::UFFD_FEATURE_PAGEFAULT_FLAG_WP as u64;
        /// A child gets a descriptor of its own.
        const EVENT_FORK = general::UFFD_FEATURE_EVENT_FORK as u64;
        /// Moves by mremap(2) are reported.
        const EVENT_REMAP = general::UFFD_FEATURE_EVENT_REMAP as u64;
        /// Pages given back by madvise(2) are reported.
        const EVENT_REMOVE = general::UFFD_FEATURE_EVENT_REMOVE as u64;
        /// Missing pages of shared memory and tmpfs are reported.
        const MISSING_SHMEM = general::UFFD_FEATURE_MISSING_SHMEM as u64;
        /// Unmapping is reported.
        const EVENT_UNMAP = general::UFFD_FEATURE_EVENT_UNMAP as u64;
        /// Faults are `SIGBUS`, and not reported.
        const SIGBUS = general::UFFD_FEATURE_SIGBUS as u64;
        /// Reports name the thread.
        const THREAD_ID = general::UFFD_FEATURE_THREAD_ID as u64;
        /// Pages of shared memory that are there but not mapped are reported.
        const MINOR_SHMEM = general::UFFD_FEATURE_MINOR_SHMEM as u64;
        /// Reports have the address of the access, not of its page.
        const EXACT_ADDRESS = general::UFFD_FEATURE_EXACT_ADDRESS as u64;
        /// There is `UFFDIO_POISON`.
        const POISON = general::UFFD_FEATURE_POISON as u64;
        /// There is `UFFDIO_MOVE`.
        const MOVE = general::UFFD_FEATURE_MOVE as u64;
        const _ = !0;
    }
}

bitflags! {
    /// Which faults of a range are reported: `UFFDIO_REGISTER_MODE_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RegisterModes: u64 {
        /// Those of pages that are not there.
        const MISSING = general::UFFDIO_REGISTER_MODE_MISSING as u64;
        /// Writes to pages that are protected.
        const WP = general::UFFDIO_REGISTER_MODE_WP as u64;
        /// Those of pages of shared memory that are there, but not mapped.
        const MINOR = general::UFFDIO_REGISTER_MODE_MINOR as u64;
        const _ = !0;
    }
}

bitflags! {
    /// How a request fills or protects pages: `UFFDIO_*_MODE_*`, which agree as far as they
    /// mean the same.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FillModes: u64 {
        /// Who waits for the pages is not woken. Of `UFFDIO_WRITEPROTECT`, the bit is
        /// [`protect::DONTWAKE`].
        const DONTWAKE = 1;
        /// The pages are protected against writing.
        const WP = 2;
        const _ = !0;
    }
}

/// `UFFDIO_WRITEPROTECT_MODE_*`.
pub mod protect {
    /// The pages become protected; otherwise they become writable.
    pub const WP: u64 = 1;
    /// Who waits for the pages is not woken.
    pub const DONTWAKE: u64 = 2;
}

/// `UFFDIO_MOVE_MODE_*`.
pub mod moving {
    /// Who waits for the pages is not woken.
    pub const DONTWAKE: u64 = 1;
    /// Pages that are not there are passed over.
    pub const ALLOW_SRC_HOLES: u64 = 2;
}

bitflags! {
    /// What a fault was: `UFFD_PAGEFAULT_FLAG_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FaultFlags: u64 {
        /// A write.
        const WRITE = general::UFFD_PAGEFAULT_FLAG_WRITE as u64;
        /// To a protected page.
        const WP = general::UFFD_PAGEFAULT_FLAG_WP as u64;
        /// Of a page that is there, but not mapped.
        const MINOR = general::UFFD_PAGEFAULT_FLAG_MINOR as u64;
    }
}

/// `UFFD_EVENT_*`.
pub mod event {
    use linux_raw_sys::general;

    /// A page fault: flags, address, thread.
    pub const PAGEFAULT: u8 = general::UFFD_EVENT_PAGEFAULT as u8;
    /// A child: its descriptor.
    pub const FORK: u8 = general::UFFD_EVENT_FORK as u8;
    /// A move: from, to, length.
    pub const REMAP: u8 = general::UFFD_EVENT_REMAP as u8;
    /// Pages given back: start, end.
    pub const REMOVE: u8 = general::UFFD_EVENT_REMOVE as u8;
    /// A range unmapped: start, end.
    pub const UNMAP: u8 = general::UFFD_EVENT_UNMAP as u8;
}

/// `struct uffd_msg`: what is read from a descriptor.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Message {
    /// One of [`event`].
    pub event: u8,
    /// Zero.
    pub reserved: [u8; 7],
    /// What the event says it is.
    pub arguments: [u64; 3],
}

const _: () = assert!(size_of::<Message>() == size_of::<general::uffd_msg>());

/// `struct uffdio_api`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Api {
    /// [`UFFD_API`].
    pub api: u64,
    /// Wanted [`Features`]; all that there are, in the answer.
    pub features: u64,
    /// In the answer: which requests there are, one bit for each number.
    pub ioctls: u64,
}

/// `struct uffdio_range`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UserRange {
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// `struct uffdio_register`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Register {
    /// Of what.
    pub range: UserRange,
    /// [`RegisterModes`].
    pub mode: u64,
    /// In the answer: which requests there are for the range, one bit for each number.
    pub ioctls: u64,
}

/// `struct uffdio_copy` and `struct uffdio_move`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Transfer {
    /// Address to fill.
    pub to: u64,
    /// Address to take from.
    pub from: u64,
    /// Length in bytes.
    pub len: u64,
    /// How.
    pub mode: u64,
    /// In the answer: how many bytes, or a negated error number.
    pub done: i64,
}

/// `struct uffdio_zeropage`, `struct uffdio_continue` and `struct uffdio_poison`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Fill {
    /// What.
    pub range: UserRange,
    /// How.
    pub mode: u64,
    /// In the answer: how many bytes, or a negated error number.
    pub done: i64,
}

/// `struct uffdio_writeprotect`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WriteProtect {
    /// What.
    pub range: UserRange,
    /// [`protect`].
    pub mode: u64,
}

const _: () = assert!(size_of::<Api>() == size_of::<general::uffdio_api>());
const _: () = assert!(size_of::<Register>() == size_of::<general::uffdio_register>());
const _: () = assert!(size_of::<Transfer>() == size_of::<general::uffdio_copy>());
const _: () = assert!(size_of::<Transfer>() == size_of::<general::uffdio_move>());
const _: () = assert!(size_of::<Fill>() == size_of::<general::uffdio_zeropage>());
const _: () = assert!(size_of::<Fill>() == size_of::<general::uffdio_continue>());
const _: () = assert!(size_of::<Fill>() == size_of::<general::uffdio_poison>());
const _: () = assert!(size_of::<WriteProtect>() == size_of::<general::uffdio_writeprotect>());

/// Requests of ioctl(2).
pub mod request {
    use super::{Api, Fill, Register, Transfer, UserRange, WriteProtect};

    /// Numbers of the requests, for the answers' `ioctls`.
    pub mod number {
        use linux_raw_sys::general;

        /// `UFFDIO_REGISTER`.
        pub const REGISTER: u32 = general::_UFFDIO_REGISTER;
        /// `UFFDIO_UNREGISTER`.
        pub const UNREGISTER: u32 = general::_UFFDIO_UNREGISTER;
        /// `UFFDIO_WAKE`.
        pub const WAKE: u32 = general::_UFFDIO_WAKE;
        /// `UFFDIO_COPY`.
        pub const COPY: u32 = general::_UFFDIO_COPY;
        /// `UFFDIO_ZEROPAGE`.
        pub const ZEROPAGE: u32 = general::_UFFDIO_ZEROPAGE;
        /// `UFFDIO_MOVE`.
        pub const MOVE: u32 = general::_UFFDIO_MOVE;
        /// `UFFDIO_WRITEPROTECT`.
        pub const WRITEPROTECT: u32 = general::_UFFDIO_WRITEPROTECT;
        /// `UFFDIO_CONTINUE`.
        pub const CONTINUE: u32 = general::_UFFDIO_CONTINUE;
        /// `UFFDIO_POISON`.
        pub const POISON: u32 = general::_UFFDIO_POISON;
        /// `UFFDIO_API`.
        pub const API: u32 = general::_UFFDIO_API;
    }

    /// Type of the requests.
    const TYPE: u32 = linux_raw_sys::general::UFFDIO << 8;
    const READ: u32 = 2 << 30;
    const READ_WRITE: u32 = 3 << 30;

    const fn of<T>(direction: u32, number: u32) -> u32 {
        direction | (size_of::<T>() as u32) << 16 | TYPE | number
    }

    /// Says what is wanted, and asks what there is.
    pub const UFFDIO_API: u32 = of::<Api>(READ_WRITE, number::API);
    /// Begins to report the faults of a range.
    pub const UFFDIO_REGISTER: u32 = of::<Register>(READ_WRITE, number::REGISTER);
    /// Ends that.
    pub const UFFDIO_UNREGISTER: u32 = of::<UserRange>(READ, number::UNREGISTER);
    /// Wakes who waits for pages.
    pub const UFFDIO_WAKE: u32 = of::<UserRange>(READ, number::WAKE);
    /// Fills missing pages with a copy.
    pub const UFFDIO_COPY: u32 = of::<Transfer>(READ_WRITE, number::COPY);
    /// Fills missing pages with zeros.
    pub const UFFDIO_ZEROPAGE: u32 = of::<Fill>(READ_WRITE, number::ZEROPAGE);
    /// Moves pages to where pages are missing.
    pub const UFFDIO_MOVE: u32 = of::<Transfer>(READ_WRITE, number::MOVE);
    /// Protects pages against writing, or no longer.
    pub const UFFDIO_WRITEPROTECT: u32 = of::<WriteProtect>(READ_WRITE, number::WRITEPROTECT);
    /// Maps pages of shared memory that are there.
    pub const UFFDIO_CONTINUE: u32 = of::<Fill>(READ_WRITE, number::CONTINUE);
    /// Makes accesses to missing pages fail.
    pub const UFFDIO_POISON: u32 = of::<Fill>(READ_WRITE, number::POISON);

    /// Of /dev/userfaultfd: makes a descriptor.
    pub const USERFAULTFD_IOC_NEW: u32 = TYPE;
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::ioctl;

    #[test]
    fn requests_are_those_of_the_kernel_headers() {
        assert_eq!(request::UFFDIO_API, ioctl::UFFDIO_API);
        assert_eq!(request::UFFDIO_REGISTER, ioctl::UFFDIO_REGISTER);
        assert_eq!(request::UFFDIO_UNREGISTER, ioctl::UFFDIO_UNREGISTER);
        assert_eq!(request::UFFDIO_WAKE, ioctl::UFFDIO_WAKE);
        assert_eq!(request::UFFDIO_COPY, ioctl::UFFDIO_COPY);
        assert_eq!(request::UFFDIO_ZEROPAGE, ioctl::UFFDIO_ZEROPAGE);
        assert_eq!(request::UFFDIO_WRITEPROTECT, ioctl::UFFDIO_WRITEPROTECT);
        assert_eq!(request::UFFDIO_CONTINUE, ioctl::UFFDIO_CONTINUE);
        assert_eq!(request::UFFDIO_POISON, 0xc020_aa08);
        assert_eq!(request::UFFDIO_MOVE, 0xc028_aa05);
        assert_eq!(request::USERFAULTFD_IOC_NEW, 0xaa00);
    }
}
