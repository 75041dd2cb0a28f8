//! The calls on files with arguments that make no sense, in an order that makes none either:
//! they fail, and nothing panics.

use std::vec::Vec;

use abi::fs::AT_FDCWD;

use crate::fake::kit::{self, BAD_ADDRESS};
use crate::fs::tmpfs::tests::Random;

/// Calls that never wait with the arguments that [`argument`] gives.
const CALLS: [&str; 66] = [
    "read",
    "write",
    "pread64",
    "pwrite64",
    "readv",
    "writev",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "open",
    "openat",
    "openat2",
    "creat",
    "close",
    "lseek",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "ioctl",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat2",
    "statfs",
    "fstatfs",
    "truncate",
    "ftruncate",
    "fallocate",
    "fsync",
    "sendfile",
    "copy_file_range",
    "getdents",
    "getdents64",
    "getcwd",
    "chdir",
    "fchdir",
    "chroot",
    "mkdir",
    "mkdirat",
    "symlink",
    "symlinkat",
    "readlink",
    "readlinkat",
    "link",
    "linkat",
    "unlink",
    "rmdir",
    "unlinkat",
    "rename",
    "renameat2",
    "chmod",
    "fchmodat2",
    "chown",
    "fchownat",
    "utimensat",
    "utimes",
    "futimesat",
    "memfd_create",
    "close_range",
    "listxattr",
    "fadvise64",
];

/// An argument that somebody may well pass, or may not.
fn argument(random: &mut Random, addresses: &[u64]) -> u64 {
    const NUMBERS: [u64; 24] = [
        0,
        1,
        2,
        3,
        4,
        5,
        8,
        24,
        64,
        0x41,
        0x42,
        0x100,
        0x1000,
        0x200,
        0x400,
        0o1102,
        4095,
        4097,
        0x41_0002,
        1 << 31,
        1 << 32,
        u64::MAX,
        i64::MAX as u64,
        AT_FDCWD as u64,
    ];
    match random.below(8) {
        0..3 => addresses[random.below(addresses.len() as u64) as usize],
        3 => BAD_ADDRESS.wrapping_mul(random.below(3)),
        4 | 5 => random.below(8),
        _ => NUMBERS[random.below(NUMBERS.len() as u64) as usize],
    }
}

#[test]
fn no_arguments_make_a_call_panic() {
    let mut succeeded = 0;
    for seed in 1..60 {
        let kit = kit::process();
        let mut random = Random::new(seed);
        kit.call("chdir", [kit.string("/tmp"), 0, 0, 0, 0, 0]).unwrap();
        let paths = ["a", "b", "a/b", "b/../a", ".", "..", "/", "a/", "", "b/a/c", "/dev/zero"];
        let mut addresses: Vec<_> = paths.iter().map(|path| kit.string(path)).collect();
        addresses.push(kit.put(&[0; 4096]));
        addresses.push(kit.put_value(&[1_i64, 5, -1, 7]));
        for path in ["a", "c", "d"] {
            kit.call("creat", [kit.string(path), 0o644, 0, 0, 0, 0]).unwrap();
        }
        for _ in 0..400 {
            let name = CALLS[random.below(CALLS.len() as u64) as usize];
            let arguments = core::array::from_fn(|_| argument(&mut random, &addresses));
            succeeded += u32::from(kit.call(name, arguments).is_ok());
        }
        assert!(kit.machine.exit_status().is_none(), "the process has ended");
    }
    assert!(succeeded > 1000, "only {succeeded} calls went past their checks");
}
