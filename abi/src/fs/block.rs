//! Block devices and loop devices: requests of ioctl(2), and what they exchange. Source:
//! `linux/fs.h`, `linux/loop.h`, loop(4). Field names are those of the headers, without their
//! prefix.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The unit in which sizes of block devices are told, in bytes.
pub const SECTOR_SIZE: u64 = 512;

/// Requests that every block device knows.
pub mod request {
    #![allow(missing_docs)]
    pub const BLKROSET: u32 = 0x125d;
    pub const BLKROGET: u32 = 0x125e;
    pub const BLKRRPART: u32 = 0x125f;
    pub const BLKGETSIZE: u32 = 0x1260;
    pub const BLKFLSBUF: u32 = 0x1261;
    pub const BLKRASET: u32 = 0x1262;
    pub const BLKRAGET: u32 = 0x1263;
    pub const BLKFRASET: u32 = 0x1264;
    pub const BLKFRAGET: u32 = 0x1265;
    pub const BLKSSZGET: u32 = 0x1268;
    pub const BLKDISCARD: u32 = 0x1277;
    pub const BLKIOMIN: u32 = 0x1278;
    pub const BLKIOOPT: u32 = 0x1279;
    pub const BLKALIGNOFF: u32 = 0x127a;
    pub const BLKPBSZGET: u32 = 0x127b;
    pub const BLKDISCARDZEROES: u32 = 0x127c;
    pub const BLKROTATIONAL: u32 = 0x127e;
    pub const BLKZEROOUT: u32 = 0x127f;
    pub const BLKBSZGET: u32 = 0x8008_1270;
    pub const BLKBSZSET: u32 = 0x4008_1271;
    pub const BLKGETSIZE64: u32 = 0x8008_1272;
    pub const BLKGETDISKSEQ: u32 = 0x8008_1280;
}

/// Loop devices: loop(4).
pub mod loops {
    use super::{FromBytes, Immutable, IntoBytes, KnownLayout};
    use bitflags::bitflags;

    /// Major number of `/dev/loopN`.
    pub const MAJOR: u32 = 7;
    /// Minor number of `/dev/loop-control`, a miscellaneous device.
    pub const CONTROL_MINOR: u32 = 237;
    /// Major number of miscellaneous devices.
    pub const CONTROL_MAJOR: u32 = 10;
    /// Length of a name, with its NUL, in bytes.
    pub const NAME_LEN: usize = 64;

    #[allow(missing_docs)]
    pub mod request {
        pub const LOOP_SET_FD: u32 = 0x4c00;
        pub const LOOP_CLR_FD: u32 = 0x4c01;
        pub const LOOP_SET_STATUS: u32 = 0x4c02;
        pub const LOOP_GET_STATUS: u32 = 0x4c03;
        pub const LOOP_SET_STATUS64: u32 = 0x4c04;
        pub const LOOP_GET_STATUS64: u32 = 0x4c05;
        pub const LOOP_CHANGE_FD: u32 = 0x4c06;
        pub const LOOP_SET_CAPACITY: u32 = 0x4c07;
        pub const LOOP_SET_DIRECT_IO: u32 = 0x4c08;
        pub const LOOP_SET_BLOCK_SIZE: u32 = 0x4c09;
        pub const LOOP_CONFIGURE: u32 = 0x4c0a;
        pub const LOOP_CTL_ADD: u32 = 0x4c80;
        pub const LOOP_CTL_REMOVE: u32 = 0x4c81;
        pub const LOOP_CTL_GET_FREE: u32 = 0x4c82;
    }

    bitflags! {
        /// `lo_flags`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct LoopFlags: u32 {
            /// Nothing can be written.
            const READ_ONLY = 1;
            /// The file is let go when the device is closed for the last time.
            const AUTOCLEAR = 4;
            /// Partitions are looked for.
            const PARTSCAN = 8;
            /// The file is read and written without caches.
            const DIRECT_IO = 16;
        }
    }

    /// `struct loop_info`.
    #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    #[allow(missing_docs)]
    pub struct LoopInfo {
        pub number: i32,
        pub pad: u32,
        pub device: u64,
        pub inode: u64,
        pub rdevice: u64,
        pub offset: i32,
        pub encrypt_type: i32,
        pub encrypt_key_size: i32,
        pub flags: u32,
        pub name: [u8; NAME_LEN],
        pub encrypt_key: [u8; 32],
        pub init: [u64; 2],
        pub reserved: [u8; 4],
        pub end: u32,
    }

    /// `struct loop_info64`.
    #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    #[allow(missing_docs)]
    pub struct LoopInfo64 {
        pub device: u64,
        pub inode: u64,
        pub rdevice: u64,
        /// Where the device begins in the file, in bytes.
        pub offset: u64,
        /// How long the device is at most, in bytes; 0 where only the file limits it.
        pub sizelimit: u64,
        pub number: u32,
        pub encrypt_type: u32,
        pub encrypt_key_size: u32,
        pub flags: u32,
        pub file_name: [u8; NAME_LEN],
        pub crypt_name: [u8; NAME_LEN],
        pub encrypt_key: [u8; 32],
        pub init: [u64; 2],
    }

    /// `struct loop_config`.
    #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    #[allow(missing_docs)]
    pub struct LoopConfig {
        pub fd: u32,
        /// In bytes; 0 for the usual one.
        pub block_size: u32,
        pub info: LoopInfo64,
        pub reserved: [u64; 8],
    }

    const _: () = {
        assert!(size_of::<LoopInfo>() == 168);
        assert!(size_of::<LoopInfo64>() == 232);
        assert!(size_of::<LoopConfig>() == 304);
    };
}
