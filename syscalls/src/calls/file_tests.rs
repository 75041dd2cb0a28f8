//! What the calls on files do that no single object can show.

use std::format;
use std::vec;
use std::vec::Vec;

use abi::fs::{AT_FDCWD, Device, Iovec, OpenFlags, Stat, Statfs, Statx, magic};
use abi::process::{Resource, Rlimit};
use abi::{Errno, PAGE_SIZE};

use loader::archive::REGULAR;

use crate::fake::FakeMachine;
use crate::fake::kit::{self, BAD_ADDRESS, Kit};
use crate::fs::tmpfs::tests::{archive, pattern};
use crate::process::Credentials;
use crate::signal::Signal;

const HERE: u64 = AT_FDCWD as u64;
const READ_WRITE: u32 = OpenFlags::RDWR.bits();
const CREATE: u32 = OpenFlags::RDWR.bits() | OpenFlags::CREAT.bits();

/// Nanoseconds of a day.
const DAY_NS: u64 = 24 * 60 * 60 * 1_000_000_000;

type Outcome = Result<u64, Errno>;

fn open(kit: &Kit, path: &str, flags: u32) -> Outcome {
    kit.call("open", [kit.string(path), u64::from(flags), 0o644, 0, 0, 0])
}

fn write(kit: &Kit, fd: u64, bytes: &[u8]) -> Outcome {
    kit.call("write", [fd, kit.put(bytes), bytes.len() as u64, 0, 0, 0])
}

fn read_at(kit: &Kit, fd: u64, offset: u64, len: usize) -> Vec<u8> {
    let buffer = kit.room(len);
    let read = kit.call("pread64", [fd, buffer, len as u64, offset, 0, 0]).unwrap();
    kit.get(buffer, read as usize)
}

fn stat(kit: &Kit, fd: u64) -> Stat {
    let to = kit.room(size_of::<Stat>());
    kit.call("fstat", [fd, to, 0, 0, 0, 0]).unwrap();
    kit.get_value(to)
}

fn vector(kit: &Kit, pieces: &[(u64, u64)]) -> u64 {
    let pieces: Vec<_> = pieces.iter().map(|&(base, len)| Iovec { base, len }).collect();
    kit.put_value(&pieces[..])
}

#[test]
fn vectors_are_written_and_read_in_order() {
    let kit = kit::process();
    let fd = open(&kit, "/tmp/f", CREATE).unwrap();
    let from = vector(&kit, &[(kit.put(b"co"), 2), (0, 0), (kit.put(b"conut"), 5)]);
    assert_eq!(kit.call("writev", [fd, from, 3, 0, 0, 0]), Ok(7));
    let (one, two) = (kit.room(3), kit.room(10));
    let to = vector(&kit, &[(one, 3), (two, 10)]);
    assert_eq!(kit.call("preadv", [fd, to, 2, 1, 0, 0]), Ok(6));
    assert_eq!((kit.get(one, 3), kit.get(two, 3)), (b"oco".to_vec(), b"nut".to_vec()));
    assert_eq!(kit.call("pwritev", [fd, from, 3, 7, 0, 0]), Ok(7));
    assert_eq!(read_at(&kit, fd, 0, 20), b"coconutcoconut");
    let append = kit.call("pwritev2", [fd, from, 1, 0, 0, 0x10]);
    assert_eq!(append, Ok(2));
    assert_eq!(read_at(&kit, fd, 14, 20), b"co");
}

#[test]
fn vectors_that_cannot_be_are_refused() {
    let kit = kit::process();
    let fd = open(&kit, "/tmp/f", CREATE).unwrap();
    let negative = vector(&kit, &[(0, u64::MAX)]);
    assert_eq!(kit.call("writev", [fd, negative, 1, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("writev", [fd, negative, 1025, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("readv", [fd, BAD_ADDRESS, 1, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(kit.call("readv", [99, BAD_ADDRESS, 1, 0, 0, 0]), Err(Errno::EBADF));
    assert_eq!(kit.call("preadv2", [fd, negative, 0, 0, 0, 8]), Err(Errno::EOPNOTSUPP));
}

#[test]
fn a_bad_buffer_is_efault_and_leaves_the_position() {
    let kit = kit::process();
    let fd = open(&kit, "/tmp/f", CREATE).unwrap();
    write(&kit, fd, b"0123456789").unwrap();
    kit.call("lseek", [fd, 2, 0, 0, 0, 0]).unwrap();
    assert_eq!(kit.call("read", [fd, BAD_ADDRESS, 5, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(kit.call("write", [fd, BAD_ADDRESS, 5, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(kit.call("read", [fd, u64::MAX - 2, 5, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(kit.call("lseek", [fd, 0, 1, 0, 0, 0]), Ok(2));
    let end = kit::AREA + kit::AREA_LEN;
    assert_eq!(kit.call("read", [fd, end - 3, 5, 0, 0, 0]), Ok(3));
    assert_eq!(kit.call("lseek", [fd, 0, 1, 0, 0, 0]), Ok(5));
}

#[test]
fn the_memory_devices_do_as_their_manual_says() {
    let kit = kit::process();
    let buffer = kit.put(&[1; 8]);
    let null = open(&kit, "/dev/null", READ_WRITE).unwrap();
    assert_eq!(kit.call("read", [null, buffer, 8, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("write", [null, BAD_ADDRESS, 8, 0, 0, 0]), Ok(8));
    assert_eq!(kit.call("lseek", [null, 100, 0, 0, 0, 0]), Ok(0));
    let zero = open(&kit, "/dev/zero", READ_WRITE).unwrap();
    assert_eq!(kit.call("read", [zero, buffer, 8, 0, 0, 0]), Ok(8));
    assert_eq!(kit.get(buffer, 8), [0; 8]);
    let full = open(&kit, "/dev/full", READ_WRITE).unwrap();
    assert_eq!(kit.call("write", [full, buffer, 8, 0, 0, 0]), Err(Errno::ENOSPC));
    assert_eq!(kit.call("pread64", [full, buffer, 8, 5, 0, 0]), Ok(8));
    let random = open(&kit, "/dev/urandom", READ_WRITE).unwrap();
    assert_eq!(kit.call("read", [random, buffer, 8, 0, 0, 0]), Ok(8));
    assert_ne!(kit.get(buffer, 8), [0; 8]);
    assert_eq!(stat(&kit, null).rdev, Device::new(1, 3).encode());
    assert_eq!(stat(&kit, null).mode, 0o020_666);
}

#[test]
fn a_node_made_by_mknod_is_the_device() {
    let kit = kit::process();
    let mknod = |path, device| kit.call("mknod", [kit.string(path), 0o020_666, device, 0, 0, 0]);
    mknod("/tmp/zero", 0x105).unwrap();
    mknod("/tmp/nothing", 0xfff_ffff).unwrap();
    let zero = open(&kit, "/tmp/zero", 0).unwrap();
    assert_eq!(read_at(&kit, zero, 9, 4), [0; 4]);
    assert_eq!(open(&kit, "/tmp/nothing", 0), Err(Errno::ENXIO));
}

#[test]
fn a_mount_hides_its_point_and_names_do_not_cross_it() {
    let kit = kit::process();
    let call =
        |name, one: &str, two: &str| kit.call(name, [kit.string(one), kit.string(two), 0, 0, 0, 0]);
    assert_eq!(call("rename", "/dev/null", "/tmp/null"), Err(Errno::EXDEV));
    assert_eq!(call("link", "/dev/null", "/tmp/null"), Err(Errno::EXDEV));
    assert_eq!(call("rename", "/dev", "/tmp/dev"), Err(Errno::EBUSY));
    assert_eq!(kit.call("rmdir", [kit.string("/dev"), 0, 0, 0, 0, 0]), Err(Errno::EBUSY));
    kit.call("chdir", [kit.string("/dev/shm"), 0, 0, 0, 0, 0]).unwrap();
    let buffer = kit.room(64);
    assert_eq!(kit.call("getcwd", [buffer, 64, 0, 0, 0, 0]), Ok(9));
    assert_eq!(kit.get(buffer, 9), b"/dev/shm\0");
    let root = open(&kit, "../..", 0).unwrap();
    assert_eq!(stat(&kit, root).ino, stat(&kit, open(&kit, "/", 0).unwrap()).ino);
    let dev = open(&kit, "..", 0).unwrap();
    assert_ne!(stat(&kit, dev).dev, stat(&kit, root).dev);
}

#[test]
fn the_root_that_a_process_was_given_is_left_by_no_path() {
    let kit = kit::process();
    let call = |name, path: &str| kit.call(name, [kit.string(path), 0o755, 0, 0, 0, 0]);
    call("mkdir", "/tmp/jail").unwrap();
    call("chroot", "/tmp/jail").unwrap();
    let buffer = kit.room(64);
    let len = kit.call("getcwd", [buffer, 64, 0, 0, 0, 0]).unwrap();
    assert_eq!(kit.get(buffer, len as usize), b"(unreachable)/\0");
    call("chdir", "/").unwrap();
    call("mkdir", "../../x").unwrap();
    assert!(open(&kit, "/x", 0).is_ok());
}

#[test]
fn a_file_that_outgrows_its_limit_is_efbig_and_a_signal() {
    let kit = kit::process();
    let set = kit.put_value(&(1_u64 << (Signal::SIGXFSZ.number() - 1)));
    kit.call("rt_sigprocmask", [0, set, 0, 8, 0, 0]).unwrap();
    let fd = open(&kit, "/tmp/f", CREATE).unwrap();
    let limit = Rlimit { current: 10, maximum: 10 };
    kit.process.limits().set(Resource::FileSize, limit, &Credentials::root()).unwrap();
    assert_eq!(write(&kit, fd, b"123456789abcd"), Ok(10));
    assert_eq!(write(&kit, fd, b"x"), Err(Errno::EFBIG));
    assert_eq!(kit.call("ftruncate", [fd, 11, 0, 0, 0, 0]), Err(Errno::EFBIG));
    assert_eq!(kit.call("ftruncate", [fd, 9, 0, 0, 0, 0]), Ok(0));
    let pending = kit.room(8);
    kit.call("rt_sigpending", [pending, 8, 0, 0, 0, 0]).unwrap();
    assert_eq!(kit.get(pending, 8), kit.get(set, 8));
}

#[test]
fn descriptors_end_at_their_limit() {
    let kit = kit::process();
    let limit = Rlimit { current: 2, maximum: 4096 };
    kit.process.limits().set(Resource::OpenFiles, limit, &Credentials::root()).unwrap();
    assert_eq!(open(&kit, "/tmp", 0), Ok(0));
    assert_eq!(open(&kit, "/tmp", 0), Ok(1));
    assert_eq!(open(&kit, "/tmp", 0), Err(Errno::EMFILE));
    assert_eq!(kit.call("dup2", [0, 2, 0, 0, 0, 0]), Err(Errno::EBADF));
    assert_eq!(kit.call("fcntl", [0, 0, 2, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("close", [0; 6]), Ok(0));
    assert_eq!(open(&kit, "/tmp", 0), Ok(0));
}

#[test]
fn access_times_are_relative() {
    let kit = kit::process();
    let fd = open(&kit, "/tmp/f", CREATE).unwrap();
    kit.machine.advance(1_000_000_000);
    write(&kit, fd, b"x").unwrap();
    let written = stat(&kit, fd);
    assert_eq!(written.mtime, written.atime + 1);
    kit.machine.advance(1_000_000_000);
    read_at(&kit, fd, 0, 1);
    let read = stat(&kit, fd);
    assert_eq!((read.atime, read.mtime), (written.mtime + 1, written.mtime));
    kit.machine.advance(1_000_000_000);
    read_at(&kit, fd, 0, 1);
    assert_eq!(stat(&kit, fd).atime, read.atime);
    kit.machine.advance(DAY_NS);
    read_at(&kit, fd, 0, 1);
    assert!(stat(&kit, fd).atime > read.atime);
}

#[test]
fn times_are_set_to_what_is_given_or_to_now_or_stay() {
    let kit = kit::process();
    let fd = open(&kit, "/tmp/f", CREATE).unwrap();
    let times = |values: [i64; 4]| kit.call("utimensat", [fd, 0, kit.put_value(&values), 0, 0, 0]);
    assert_eq!(times([5, 6, -7, 8]), Ok(0));
    let Stat { atime, atime_nsec, mtime, mtime_nsec, .. } = stat(&kit, fd);
    assert_eq!((atime, atime_nsec, mtime, mtime_nsec), (5, 6, -7, 8));
    assert_eq!(times([0, 0x3fff_fffe, 0, 0x3fff_ffff]), Ok(0));
    let now = stat(&kit, fd);
    assert_eq!((now.atime, now.mtime), (5, now.ctime));
    assert_eq!(times([0, 1_000_000_000, 0, 0]), Err(Errno::EINVAL));
    let old = kit.put_value(&[11_i64, 999_999, 12, 0]);
    assert_eq!(kit.call("utimes", [kit.string("/tmp/f"), old, 0, 0, 0, 0]), Ok(0));
    assert_eq!(stat(&kit, fd).atime_nsec, 999_999_000);
    let oldest = kit.put_value(&[21_i64, 22]);
    assert_eq!(kit.call("utime", [kit.string("/tmp/f"), oldest, 0, 0, 0, 0]), Ok(0));
    assert_eq!((stat(&kit, fd).atime, stat(&kit, fd).mtime), (21, 22));
}

#[test]
fn statx_and_statfs_tell_what_stat_does_not() {
    let kit = kit::process();
    let to = kit.room(size_of::<Statx>());
    let path = kit.string("/dev");
    assert_eq!(kit.call("statx", [HERE, path, 0, 0xfff, to, 0]), Ok(0));
    let statx: Statx = kit.get_value(to);
    assert_eq!(statx.attributes & abi::fs::records::STATX_ATTR_MOUNT_ROOT, 0x2000);
    assert!(statx.mnt_id > 1 && statx.btime.sec == statx.ctime.sec);
    assert_eq!(kit.call("statx", [HERE, path, 0x6000, 0xfff, to, 0]), Err(Errno::EINVAL));
    let to = kit.room(size_of::<Statfs>());
    assert_eq!(kit.call("statfs", [path, to, 0, 0, 0, 0]), Ok(0));
    let statfs: Statfs = kit.get_value(to);
    assert_eq!(statfs.kind, i64::from(magic::TMPFS_MAGIC));
    assert!(statfs.bfree <= statfs.blocks && statfs.namelen == 255);
}

#[test]
fn a_file_in_memory_has_no_name_and_grows() {
    let kit = kit::process();
    let fd = kit.call("memfd_create", [kit.string("shell"), 1, 0, 0, 0, 0]).unwrap();
    assert_eq!(write(&kit, fd, b"crab"), Ok(4));
    assert_eq!(stat(&kit, fd).nlink, 0);
    assert_eq!(kit.call("fcntl", [fd, 1, 0, 0, 0, 0]), Ok(1));
    let open = kit.process.files.get(crate::fs::Fd(fd as i32)).unwrap();
    assert_eq!(open.location().shown_path(kit.system.vfs.root()), b"/memfd:shell (deleted)");
}

#[test]
fn names_in_use_follow_renames_and_removals() {
    let kit = kit::process();
    let fd = open(&kit, "/tmp/f", CREATE).unwrap();
    let shown = || {
        let open = kit.process.files.get(crate::fs::Fd(fd as i32)).unwrap();
        open.location().shown_path(kit.system.vfs.root())
    };
    assert_eq!(shown(), b"/tmp/f");
    kit.call("rename", [kit.string("/tmp/f"), kit.string("/tmp/g"), 0, 0, 0, 0]).unwrap();
    assert_eq!(shown(), b"/tmp/g");
    kit.call("unlink", [kit.string("/tmp/g"), 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(shown(), b"/tmp/g (deleted)");
    open(&kit, "/tmp/g", CREATE).unwrap();
    assert_eq!(shown(), b"/tmp/g (deleted)");
}

#[test]
fn a_tree_deeper_than_any_stack_can_be_entered_and_left() {
    let kit = kit::process();
    let name = kit.string("d");
    kit.call("chdir", [kit.string("/tmp"), 0, 0, 0, 0, 0]).unwrap();
    for _ in 0..8_000 {
        kit.call("mkdir", [name, 0o755, 0, 0, 0, 0]).unwrap();
        kit.call("chdir", [name, 0, 0, 0, 0, 0]).unwrap();
    }
    let buffer = kit.room(64);
    assert_eq!(kit.call("getcwd", [buffer, 64, 0, 0, 0, 0]), Err(Errno::ERANGE));
    kit.call("chdir", [kit.string("/"), 0, 0, 0, 0, 0]).unwrap();
    let whole = vec!["d"; 2000].join("/");
    assert!(open(&kit, &format!("/tmp/{whole}"), 0).is_ok());
}

#[test]
fn entries_are_listed_once_while_others_come_and_go() {
    let kit = kit::process();
    for name in 0..100 {
        open(&kit, &format!("/tmp/{name:03}"), CREATE).unwrap();
    }
    let directory = open(&kit, "/tmp", 0).unwrap();
    let buffer = kit.room(128);
    let mut names = Vec::new();
    loop {
        let len = kit.call("getdents64", [directory, buffer, 128, 0, 0, 0]).unwrap() as usize;
        let bytes = kit.get(buffer, len);
        let mut at = 0;
        while at < len {
            let reclen = usize::from(u16::from_le_bytes([bytes[at + 16], bytes[at + 17]]));
            let name = bytes[at + 19..at + reclen].split(|&byte| byte == 0).next().unwrap();
            names.push(name.to_vec());
            at += reclen;
        }
        if len == 0 {
            break;
        }
        let last = kit.string([b"/tmp/", &names[names.len() - 1][..]].concat());
        let _ = kit.call("unlink", [last, 0, 0, 0, 0, 0]);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 102);
}

#[test]
fn a_private_mapping_of_the_archive_sees_writes_to_the_file_until_it_is_written() {
    let data = pattern(6 * PAGE_SIZE);
    let archive = archive(&[("f", REGULAR | 0o644, 1, &data)]);
    let kit = kit::with_archive(FakeMachine::new(), archive);
    let fd = open(&kit, "/f", READ_WRITE).unwrap();
    let (private, read_write) = (2, 3);
    let len = 2 * PAGE_SIZE as u64;
    let at = kit.call("mmap", [0, len, read_write, private, fd, 0]).unwrap();
    assert_eq!(kit.get(at, 4), data[..4]);
    kit.call("pwrite64", [fd, kit.put(b"new"), 3, 0, 0, 0]).unwrap();
    assert_eq!(kit.get(at, 3), b"new");
    kit.set(at + 1, b"o");
    kit.call("pwrite64", [fd, kit.put(b"again"), 5, 0, 0, 0]).unwrap();
    assert_eq!(kit.get(at, 3), b"now");
}

#[test]
fn of_the_memory_devices_only_zero_can_be_mapped() {
    let kit = kit::process();
    let map = |path, flags| {
        let fd = open(&kit, path, flags).unwrap();
        kit.call("mmap", [0, PAGE_SIZE as u64, 3, 2, fd, 0])
    };
    let at = map("/dev/zero", READ_WRITE).unwrap();
    kit.set(at, b"crab");
    assert_eq!(kit.get(at, 5), b"crab\0");
    assert_eq!(map("/dev/zero", OpenFlags::WRONLY.bits()), Err(Errno::EACCES));
    assert_eq!(map("/dev/null", READ_WRITE), Err(Errno::ENODEV));
    assert_eq!(map("/tmp", 0), Err(Errno::ENODEV));
}

#[test]
fn advice_is_taken_where_it_makes_sense() {
    let kit = kit::process();
    let fd = open(&kit, "/tmp/f", CREATE).unwrap();
    let null = open(&kit, "/dev/null", READ_WRITE).unwrap();
    let call = |name, arguments: [u64; 4]| {
        let [fd, offset, len, flags] = arguments;
        kit.call(name, [fd, offset, len, flags, 0, 0])
    };
    assert_eq!(call("fadvise64", [fd, 0, 0, 4]), Ok(0));
    assert_eq!(call("fadvise64", [fd, 0, 0, 6]), Err(Errno::EINVAL));
    assert_eq!(call("fadvise64", [99, 0, 0, 0]), Err(Errno::EBADF));
    assert_eq!(call("readahead", [fd, 0, 10, 0]), Ok(0));
    assert_eq!(call("readahead", [null, 0, 10, 0]), Err(Errno::EINVAL));
    assert_eq!(call("sync_file_range", [fd, 0, 0, 7]), Ok(0));
    assert_eq!(call("sync_file_range", [fd, 0, 0, 8]), Err(Errno::EINVAL));
    assert_eq!(call("sync_file_range", [null, 0, 0, 7]), Err(Errno::ESPIPE));
}

#[test]
fn a_file_can_be_sent_to_itself() {
    let kit = kit::process();
    let fd = open(&kit, "/tmp/f", CREATE).unwrap();
    write(&kit, fd, b"shellcrab").unwrap();
    kit.call("lseek", [fd, 5, 0, 0, 0, 0]).unwrap();
    let sent = kit.call("sendfile", [fd, fd, 0, 4, 0, 0]);
    assert_eq!(sent, Ok(4));
    assert_eq!(kit.call("lseek", [fd, 0, 1, 0, 0, 0]), Ok(9));
}
