//! System calls on a directory of the host, whose server is [`FakeHost`].

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::string::String;

use abi::fs::{Device, FileType, Mode, RenameFlags, Stat};
use abi::{Errno, PAGE_SIZE};

use super::{Owner, Share};
use crate::fake::kit::{self, Kit};
use crate::fake::ninep::{FakeHost, Mood, text};
use crate::fs::mount::MountAccess;
use crate::fs::{DirectoryEntry, NewInode, NewKind};
use crate::machine::{ExitStatus, Machine};
use crate::process::family_tests::run;

const O_RDWR: u64 = 2;
const O_CREAT: u64 = 0o100;
const O_EXCL: u64 = 0o200;
const O_TRUNC: u64 = 0o1000;
const O_APPEND: u64 = 0o2000;
const AT_FDCWD: u64 = -100_i64 as u64;

/// A process that sees a directory of the host at /tmp.
struct Guest {
    // Dropped in this order: the share speaks to the host until its end.
    kit: Kit,
    host: Arc<FakeHost>,
}

fn guest() -> Guest {
    guest_with(MountAccess::ReadWrite)
}

fn guest_with(access: MountAccess) -> Guest {
    let host = FakeHost::new("h");
    let kit = kit::process();
    kit.machine.add_channel(host.clone());
    let machine: Arc<dyn Machine> = kit.machine.clone();
    let owner = fs::metadata(host.path("")).map(|own| Owner { user: own.uid(), group: own.gid() });
    let device = kit.system.vfs.new_device();
    let (share, root) =
        Share::connect(&machine, host.clone(), device, owner.unwrap(), access).expect("a share");
    kit.system.vfs.shares.add(share);
    kit.system.vfs.mount_in_root("tmp", root, "9p", 0).expect("a mount");
    Guest { kit, host }
}

impl Guest {
    fn call(&self, name: &str, arguments: &[u64]) -> Result<u64, Errno> {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        self.kit.call(name, all)
    }

    fn open(&self, path: &str, flags: u64) -> Result<u64, Errno> {
        self.call("openat", &[AT_FDCWD, self.kit.string(path), flags, 0o644])
    }

    fn write(&self, fd: u64, bytes: &[u8]) -> Result<u64, Errno> {
        self.call("write", &[fd, self.kit.put(bytes), bytes.len() as u64])
    }

    fn read_at(&self, fd: u64, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let room = self.kit.room(len);
        let done = self.call("pread64", &[fd, room, len as u64, offset])?;
        Ok(self.kit.get(room, done as usize))
    }

    fn stat(&self, path: &str) -> Result<Stat, Errno> {
        let room = self.kit.room(size_of::<Stat>());
        self.call("stat", &[self.kit.string(path), room])?;
        Ok(self.kit.get_value(room))
    }

    fn fstat(&self, fd: u64) -> Stat {
        let room = self.kit.room(size_of::<Stat>());
        self.call("fstat", &[fd, room]).expect("an open file");
        self.kit.get_value(room)
    }

    fn paths(&self, name: &str, one: &str, other: &str) -> Result<u64, Errno> {
        self.call(name, &[self.kit.string(one), self.kit.string(other)])
    }

    /// The names in a directory.
    fn names(&self, path: &str) -> Vec<String> {
        let fd = self.open(path, 0).unwrap();
        let open = self.kit.process.files.get(crate::fs::Fd(fd as i32)).unwrap();
        let (mut names, mut from) = (Vec::new(), 0);
        // One by one, so that positions count.
        loop {
            let (start, mut more) = (from, false);
            let mut each = |entry: DirectoryEntry<'_>| {
                names.push(String::from_utf8(entry.name.to_vec()).unwrap());
                (from, more) = (entry.next, true);
                false
            };
            open.file.inode().read_directory(&self.kit.context(), start, &mut each).unwrap();
            if !more {
                return names;
            }
        }
    }

    /// Lets attributes grow old.
    fn wait(&self) {
        self.kit.machine.advance(1_000_000_000);
    }
}

#[test]
fn what_one_side_writes_the_other_reads() {
    let guest = guest();
    fs::write(guest.host.path("a"), "from the host").unwrap();
    let fd = guest.open("/tmp/a", O_RDWR).unwrap();
    assert_eq!(guest.read_at(fd, 5, 100).unwrap(), b"the host");
    assert_eq!(guest.write(fd, b"FROM").unwrap(), 4);
    assert_eq!(text(&guest.host.path("a")), "FROM the host");
    assert_eq!(guest.call("fsync", &[fd]), Ok(0));
    fs::write(guest.host.path("a"), "again").unwrap();
    assert_eq!(guest.read_at(fd, 0, 100).unwrap(), b"again");
    assert_eq!(guest.read_at(fd, 5, 100).unwrap(), b"");
    assert_eq!(guest.read_at(fd, 1 << 40, 1).unwrap(), b"");
}

#[test]
fn long_reads_and_writes_take_several_messages() {
    let guest = guest();
    let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    let fd = guest.open("/tmp/long", O_CREAT | O_RDWR).unwrap();
    assert_eq!(guest.write(fd, &bytes), Ok(300_000));
    assert_eq!(fs::read(guest.host.path("long")).unwrap(), bytes);
    assert_eq!(guest.read_at(fd, 1000, 300_000).unwrap(), bytes[1000..]);
    assert_eq!(guest.fstat(fd).size, 300_000);
}

#[test]
fn flags_of_open_create_cut_and_append() {
    let guest = guest();
    assert_eq!(guest.open("/tmp/x", O_RDWR), Err(Errno::ENOENT));
    let fd = guest.open("/tmp/x", O_CREAT | O_EXCL | O_RDWR).unwrap();
    assert_eq!(guest.open("/tmp/x", O_CREAT | O_EXCL | O_RDWR), Err(Errno::EEXIST));
    guest.write(fd, b"12345").unwrap();
    let more = guest.open("/tmp/x", O_APPEND | O_RDWR).unwrap();
    fs::write(guest.host.path("x"), "123456789").unwrap();
    guest.write(more, b"!").unwrap();
    assert_eq!(text(&guest.host.path("x")), "123456789!");
    guest.open("/tmp/x", O_TRUNC | O_RDWR).unwrap();
    assert_eq!(guest.fstat(fd).size, 0);
    guest.call("ftruncate", &[fd, 3]).unwrap();
    assert_eq!(fs::read(guest.host.path("x")).unwrap(), [0; 3]);
}

#[test]
fn modes_times_and_owners_are_the_hosts() {
    let guest = guest();
    let path = guest.kit.string("/tmp/m");
    let fd = guest.call("openat", &[AT_FDCWD, path, O_CREAT | 1, 0o444]).unwrap();
    guest.write(fd, b"a new file may be written whatever its mode").unwrap();
    assert_eq!(guest.stat("/tmp/m").unwrap().mode, 0o100_444);
    assert_eq!(guest.stat("/tmp/m").unwrap().uid, 0);
    guest.call("chmod", &[path, 0o640]).unwrap();
    let on_host = || fs::metadata(guest.host.path("m")).unwrap();
    assert_eq!(on_host().permissions().mode() & 0o7777, 0o640);
    guest.call("chown", &[path, 0, 0]).unwrap();
    let times = [1_i64, 500, 77, 9];
    guest.call("utimensat", &[AT_FDCWD, path, guest.kit.put_value(&times), 0]).unwrap();
    assert_eq!((on_host().atime(), on_host().mtime(), on_host().mtime_nsec()), (1, 77, 9));
    assert_eq!(guest.stat("/tmp/m").unwrap().mtime, 77);
    assert_eq!(guest.stat("/tmp/m").unwrap().ino, on_host().ino());
}

#[test]
fn names_come_go_and_move() {
    let guest = guest();
    let string = |text: &str| guest.kit.string(text);
    guest.call("mkdir", &[string("/tmp/d"), 0o755]).unwrap();
    assert_eq!(guest.call("mkdir", &[string("/tmp/d"), 0o755]), Err(Errno::EEXIST));
    let fd = guest.open("/tmp/d/f", O_CREAT | O_RDWR).unwrap();
    guest.write(fd, b"f").unwrap();
    guest.paths("link", "/tmp/d/f", "/tmp/hard").unwrap();
    guest.paths("symlink", "d/f", "/tmp/soft").unwrap();
    assert_eq!(guest.stat("/tmp/soft").unwrap().nlink, 2);
    assert_eq!(guest.stat("/tmp/hard").unwrap().ino, guest.fstat(fd).ino);
    let room = guest.kit.room(16);
    assert_eq!(guest.call("readlink", &[string("/tmp/soft"), room, 16]), Ok(3));
    assert_eq!(guest.call("rmdir", &[string("/tmp/d")]), Err(Errno::ENOTEMPTY));
    guest.paths("rename", "/tmp/d", "/tmp/e").unwrap();
    assert_eq!(guest.stat("/tmp/d/f").map(drop), Err(Errno::ENOENT));
    assert_eq!(text(&guest.host.path("e/f")), "f");
    assert_eq!(guest.names("/tmp"), ["e", "hard", "soft"]);
    guest.call("unlink", &[string("/tmp/e/f")]).unwrap();
    guest.call("rmdir", &[string("/tmp/e")]).unwrap();
    assert_eq!(guest.stat("/tmp/hard").unwrap().nlink, 1);
    assert_eq!(guest.fstat(fd).nlink, 1);
    let flags = u64::from(RenameFlags::EXCHANGE.bits());
    let exchange = [AT_FDCWD, string("/tmp/hard"), AT_FDCWD, string("/tmp/soft"), flags];
    assert_eq!(guest.call("renameat2", &exchange), Err(Errno::EINVAL));
}

#[test]
fn a_file_that_lost_its_name_lives_on_while_it_is_open() {
    let guest = guest();
    let fd = guest.open("/tmp/gone", O_CREAT | O_RDWR).unwrap();
    guest.write(fd, b"0123456789").unwrap();
    guest.call("unlink", &[guest.kit.string("/tmp/gone")]).unwrap();
    assert!(!guest.host.path("gone").exists());
    assert_eq!((guest.fstat(fd).nlink, guest.fstat(fd).size), (0, 10));
    guest.call("ftruncate", &[fd, 4]).unwrap();
    guest.call("ftruncate", &[fd, 6]).unwrap();
    assert_eq!(guest.read_at(fd, 0, 100).unwrap(), b"0123\0\0");
    guest.call("pwrite64", &[fd, guest.kit.put(b"x"), 1, 8]).unwrap();
    assert_eq!(guest.read_at(fd, 0, 100).unwrap(), b"0123\0\0\0\0x");
    guest.call("fchmod", &[fd, 0o600]).unwrap();
    assert_eq!(guest.fstat(fd).mode & 0o7777, 0o600);
    // Another file of that name is another file.
    let other = guest.open("/tmp/gone", O_CREAT | O_RDWR).unwrap();
    assert_eq!(guest.fstat(other).size, 0);
    assert_eq!(guest.fstat(fd).size, 9);
}

#[test]
fn a_file_that_was_replaced_is_not_the_one_that_replaced_it() {
    let guest = guest();
    fs::write(guest.host.path("old"), "old").unwrap();
    fs::write(guest.host.path("new"), "newer").unwrap();
    let old = guest.open("/tmp/old", 0).unwrap();
    guest.paths("rename", "/tmp/new", "/tmp/old").unwrap();
    guest.wait();
    assert_eq!(guest.read_at(old, 0, 9).unwrap(), b"old");
    assert_eq!((guest.fstat(old).size, guest.fstat(old).nlink), (3, 0));
    assert_eq!(guest.stat("/tmp/old").unwrap().size, 5);
    // The same, done by the host.
    let old = guest.open("/tmp/old", 0).unwrap();
    fs::write(guest.host.path("other"), "by the host").unwrap();
    fs::rename(guest.host.path("other"), guest.host.path("old")).unwrap();
    guest.wait();
    let new = guest.open("/tmp/old", 0).unwrap();
    assert_eq!(guest.read_at(old, 0, 99).unwrap(), b"newer");
    assert_eq!(guest.fstat(old).size, 5);
    assert_eq!(guest.read_at(new, 0, 99).unwrap(), b"by the host");
}

#[test]
fn a_directory_is_listed_whatever_its_length() {
    let guest = guest();
    let mut expected = Vec::new();
    for number in 0..700 {
        let name = std::format!("{number:03}-{}", "n".repeat(40));
        fs::write(guest.host.path(&name), "").unwrap();
        expected.push(name);
    }
    assert_eq!(guest.names("/tmp"), expected);
}

#[test]
fn mappings_and_reads_agree() {
    let guest = guest();
    fs::write(guest.host.path("map"), vec![b'a'; PAGE_SIZE + 10]).unwrap();
    let fd = guest.open("/tmp/map", O_RDWR).unwrap();
    let len = 3 * PAGE_SIZE as u64;
    let map = |protection: u64, flags: u64| guest.call("mmap", &[0, len, protection, flags, fd, 0]);
    let (private, shared) = (map(3, 2).unwrap(), map(1, 1).unwrap());
    let page = PAGE_SIZE as u64;
    for address in [private, shared] {
        assert_eq!(guest.kit.get(address + page + 8, 4), b"aa\0\0");
        let beyond = guest.kit.process.memory().read(address + 2 * page, &mut [0]);
        assert!(beyond.is_err());
    }
    guest.kit.set(private, b"own");
    guest.call("pwrite64", &[fd, guest.kit.put(b"WRITTEN"), 7, 2]).unwrap();
    assert_eq!(guest.kit.get(shared, 10), b"aaWRITTENa");
    assert_eq!(guest.kit.get(private, 10), b"ownaaaaaaa");
    assert_eq!(guest.read_at(fd, 0, 10).unwrap(), b"aaWRITTENa");
    // What the host writes is seen when the file is opened again.
    fs::write(guest.host.path("map"), "by the host").unwrap();
    guest.open("/tmp/map", 0).unwrap();
    assert_eq!(guest.kit.get(shared, 12), b"by the host\0");
    // The name may go: the mapping stays.
    let other = guest.call("mmap", &[0, page, 1, 1, fd, 0]).unwrap();
    guest.call("unlink", &[guest.kit.string("/tmp/map")]).unwrap();
    assert_eq!(guest.kit.get(other, 11), b"by the host");
}

#[test]
fn what_is_written_to_shared_mappings_gets_to_the_host() {
    let guest = guest();
    let page = PAGE_SIZE as u64;
    fs::write(guest.host.path("map"), vec![b'a'; 3 * PAGE_SIZE + 10]).unwrap();
    let fd = guest.open("/tmp/map", O_RDWR).unwrap();
    let map = || guest.call("mmap", &[0, 5 * page, 3, 1, fd, 0]).unwrap();
    let (one, other) = (map(), map());
    let private = guest.call("mmap", &[0, 5 * page, 3, 2, fd, 0]).unwrap();
    let on_host = |at: u64, len: usize| {
        let bytes = fs::read(guest.host.path("map")).unwrap();
        assert_eq!(bytes.len(), 3 * PAGE_SIZE + 10);
        bytes[at as usize..][..len].to_vec()
    };
    assert_eq!(guest.kit.get(other, 2), b"aa");
    guest.kit.set(one + 1, b"bcd");
    // All that map it see it at once, and so does who reads it, which the host then knows.
    assert_eq!(guest.kit.get(other, 5), b"abcda");
    assert_eq!(guest.kit.get(private, 5), b"abcda");
    assert_eq!(on_host(0, 4), b"aaaa");
    assert_eq!(guest.read_at(fd, 0, 5).unwrap(), b"abcda");
    assert_eq!(on_host(0, 5), b"abcda");
    // It is noted again each time; what is only looked at is not written.
    guest.kit.set(other + page, b"msync");
    guest.kit.set(one + 3 * page + 8, b"beyond the end");
    assert_eq!(guest.kit.get(one + 2 * page, 1), b"a");
    assert_eq!(guest.call("msync", &[one, 4 * page, 4]), Ok(0));
    assert_eq!(on_host(page, 6), b"msynca");
    assert_eq!(on_host(3 * page + 8, 2), b"be");
    // A write and a mapping that write to the same page lose nothing of each other.
    guest.kit.set(one + 100, b"mapped");
    guest.call("pwrite64", &[fd, guest.kit.put(b"written"), 7, 200]).unwrap();
    guest.kit.set(one + 300, b"again");
    assert_eq!(guest.kit.get(other + 200, 7), b"written");
    assert_eq!(guest.call("fsync", &[fd]), Ok(0));
    assert_eq!([on_host(100, 6), on_host(200, 7), on_host(300, 5)].concat(), b"mappedwrittenagain");
    // The end of the mapping, or of the memory, is enough.
    guest.kit.set(one + 400, b"unmapped");
    assert_eq!(guest.call("munmap", &[one, 5 * page]), Ok(0));
    assert_eq!(on_host(400, 8), b"unmapped");
    guest.kit.set(other + 500, b"after close");
    assert_eq!(guest.call("close", &[fd]), Ok(0));
    assert_eq!(guest.call("unlink", &[guest.kit.string("/tmp/none")]), Err(Errno::ENOENT));
    let fd = guest.open("/tmp/map", 0).unwrap();
    assert_eq!(guest.read_at(fd, 500, 11).unwrap(), b"after close");
    let read_only = guest.call("mmap", &[0, page, 1, 1, fd, 0]).unwrap();
    assert_eq!(guest.call("mprotect", &[read_only, page, 3]), Err(Errno::EACCES));
    guest.kit.set(other + 600, b"exit");
    let empty = guest.kit.system.empty_memory();
    guest.kit.process.set_memory(empty.clone());
    assert_eq!(on_host(600, 4), b"exit");
}

#[test]
fn a_mapping_that_cannot_be_written_back_says_so_when_it_is_synced() {
    let guest = guest();
    fs::write(guest.host.path("map"), vec![b'a'; PAGE_SIZE]).unwrap();
    let fd = guest.open("/tmp/map", O_RDWR).unwrap();
    let at = guest.call("mmap", &[0, PAGE_SIZE as u64, 3, 1, fd, 0]).unwrap();
    guest.kit.set(at, b"b");
    guest.host.set_mood(Mood::Dead);
    assert_eq!(guest.call("fsync", &[fd]), Err(Errno::EIO));
    guest.host.set_mood(Mood::Answering);
    assert_eq!(guest.call("fsync", &[fd]), Ok(0));
    assert!(text(&guest.host.path("map")).starts_with("ba"));
    assert_eq!(guest.kit.get(at, 2), b"ba");
}

#[test]
fn fids_are_given_back_and_nothing_leaks() {
    let guest = guest();
    let before = guest.host.fids();
    for number in 0..400 {
        fs::write(guest.host.path(&std::format!("{number}")), "x").unwrap();
        let fd = guest.open(&std::format!("/tmp/{number}"), 0).unwrap();
        guest.read_at(fd, 0, 1).unwrap();
        guest.call("close", &[fd]).unwrap();
    }
    // What is kept for the next time is bounded.
    assert!(guest.host.fids() < before + 300, "{} fids", guest.host.fids());
    let Guest { kit, host } = guest;
    let machine = kit.machine.clone();
    drop(kit);
    drop(machine);
    assert_eq!(host.fids(), 0);
}

#[test]
fn a_server_that_is_dead_or_silent_is_eio() {
    let guest = guest();
    fs::write(guest.host.path("f"), "f").unwrap();
    let fd = guest.open("/tmp/f", O_RDWR).unwrap();
    guest.host.set_mood(Mood::Silent);
    let before = guest.kit.machine_time();
    assert_eq!(guest.read_at(fd, 0, 1), Err(Errno::EIO));
    let waited = guest.kit.machine_time() - before;
    assert_eq!(waited, super::client::PATIENCE_NS);
    // It is not waited for again.
    assert_eq!(guest.open("/tmp/f", 0), Err(Errno::EIO));
    assert_eq!(guest.kit.machine_time() - before, waited);
    guest.host.set_mood(Mood::Dead);
    assert_eq!(guest.read_at(fd, 0, 1), Err(Errno::EIO));
    assert_eq!(guest.write(fd, b"x"), Err(Errno::EIO));
    assert_eq!(guest.call("fsync", &[fd]), Err(Errno::EIO));
    assert_eq!(guest.call("close", &[fd]), Ok(0));
}

#[test]
fn nothing_a_server_says_is_believed() {
    for seed in 1..300 {
        let guest = guest();
        fs::create_dir(guest.host.path("d")).unwrap();
        fs::write(guest.host.path("f"), vec![b'f'; 5000]).unwrap();
        let fd = guest.open("/tmp/f", O_RDWR).unwrap();
        guest.host.set_mood(Mood::Confused(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)));
        let string = |text: &str| guest.kit.string(text);
        for _ in 0..3 {
            let _ = guest.read_at(fd, 0, 6000);
            let _ = guest.write(fd, b"some bytes");
            let _ = guest.stat("/tmp/f");
            let _ = guest.open("/tmp/new", O_CREAT | O_RDWR);
            let _ = guest.call("getdents64", &[fd, guest.kit.room(4096), 4096]);
            let _ = guest.open("/tmp/d", 0).map(|directory| {
                guest.call("getdents64", &[directory, guest.kit.room(4096), 4096])
            });
            let _ = guest
                .call("mmap", &[0, 8192, 1, 1, fd, 0])
                .map(|address| guest.kit.process.memory().read(address, &mut [0; 8192]));
            let _ = guest.paths("rename", "/tmp/new", "/tmp/d/x");
            let _ = guest.paths("symlink", "x", "/tmp/l");
            let _ = guest.call("readlink", &[string("/tmp/l"), guest.kit.room(64), 64]);
            let _ = guest.call("unlink", &[string("/tmp/d/x")]);
            let _ = guest.call("statfs", &[string("/tmp"), guest.kit.room(120)]);
            let _ = guest.call("ftruncate", &[fd, 100]);
        }
    }
}

#[test]
fn a_server_of_another_protocol_is_refused() {
    let host = FakeHost::new("h");
    host.set_mood(Mood::Dead);
    let kit = kit::process();
    let machine: Arc<dyn Machine> = kit.machine.clone();
    let (device, access) = (Device::new(0, 99), MountAccess::ReadWrite);
    let connected = Share::connect(&machine, host, device, Owner::default(), access);
    assert_eq!(connected.map(drop).unwrap_err().errno, Errno::EIO);
}

#[test]
fn files_of_others_keep_their_owners_and_special_files_are_refused_as_the_host_does() {
    let guest = guest();
    let root = guest.kit.system.vfs.mounts.mounts();
    let root = root.last().unwrap().root().inode().clone();
    let mode = Mode::from_bits_retain(0o600);
    let kind = NewKind::Special(FileType::Fifo, Device::default());
    let new = NewInode { kind, mode, owner: 0, group: 0 };
    assert_eq!(root.create(b"fifo", &new).map(drop).unwrap_err().errno, Errno::EOPNOTSUPP);
    let usage = root.file_system().usage();
    assert_eq!((usage.pages, usage.free_pages, usage.inodes), (2000, 1000, 70));
}

#[test]
fn what_is_only_read_is_asked_for_once_a_second() {
    let guest = guest_with(MountAccess::ReadOnly);
    fs::create_dir_all(guest.host.path("a/b")).unwrap();
    fs::write(guest.host.path("a/b/file"), "one").unwrap();
    assert_eq!(guest.stat("/tmp/a/b/file").unwrap().size, 3);
    assert_eq!(guest.stat("/tmp/a/none"), Err(Errno::ENOENT));
    let asked = guest.host.requests();
    for _ in 0..10 {
        assert_eq!(guest.stat("/tmp/a/b/file").unwrap().size, 3);
        assert_eq!(guest.stat("/tmp/a/none"), Err(Errno::ENOENT));
    }
    assert_eq!(guest.host.requests(), asked);
    fs::write(guest.host.path("a/none"), "there").unwrap();
    fs::write(guest.host.path("new"), "another").unwrap();
    fs::rename(guest.host.path("new"), guest.host.path("a/b/file")).unwrap();
    // Who opens it gets what is there now.
    let fd = guest.open("/tmp/a/b/file", 0).unwrap();
    assert_eq!(guest.read_at(fd, 0, 100).unwrap(), b"another");
    assert_eq!(guest.fstat(fd).size, 7);
    guest.wait();
    assert_eq!(guest.stat("/tmp/a/none").unwrap().size, 5);
    fs::remove_dir_all(guest.host.path("a")).unwrap();
    guest.wait();
    assert_eq!(guest.stat("/tmp/a/b/file"), Err(Errno::ENOENT));
}

#[test]
fn directories_are_trusted_for_a_moment_and_files_are_asked_for() {
    let guest = guest();
    fs::create_dir_all(guest.host.path("a/b/c")).unwrap();
    fs::write(guest.host.path("a/b/c/file"), "one").unwrap();
    assert_eq!(guest.stat("/tmp/a/b/c/file").unwrap().size, 3);
    let asked = guest.host.requests();
    assert_eq!(guest.stat("/tmp/a/b/c/file").unwrap().size, 3);
    // It is walked to, looked at, and the fid of before is given back.
    assert_eq!(guest.host.requests(), asked + 3);
    fs::remove_file(guest.host.path("a/b/c/file")).unwrap();
    assert_eq!(guest.stat("/tmp/a/b/c/file"), Err(Errno::ENOENT));
    fs::write(guest.host.path("a/b/c/file"), "again").unwrap();
    assert_eq!(guest.stat("/tmp/a/b/c/file").unwrap().size, 5);
    // Another directory in its place.
    fs::rename(guest.host.path("a/b"), guest.host.path("a/old")).unwrap();
    assert_eq!(guest.stat("/tmp/a/b/c/file"), Err(Errno::ENOENT));
    fs::create_dir_all(guest.host.path("a/b/c")).unwrap();
    fs::write(guest.host.path("a/b/c/file"), "new").unwrap();
    assert_eq!(guest.stat("/tmp/a/b/c/file").unwrap().size, 3);
    // What the guest changes is true at once.
    let (b, other) = ("/tmp/a/b", "/tmp/a/other");
    assert_eq!(guest.paths("rename", b, other), Ok(0));
    assert_eq!(guest.stat("/tmp/a/b/c"), Err(Errno::ENOENT));
    assert_eq!(guest.stat("/tmp/a/other/c/file").unwrap().size, 3);
    assert_eq!(guest.paths("rename", "/tmp/a/old", b), Ok(0));
    // What the host has moved is known to be elsewhere after a while.
    guest.wait();
    assert_eq!(guest.stat("/tmp/a/b/c/file").unwrap().size, 5);
}

/// A child opens a file while the server is silent, and is sent `signal` after two seconds.
/// Returns how it ended, as wait4(2) tells, and how long that took in all.
fn sent_while_it_waits(signal: u64) -> (u64, u64) {
    let guest = guest();
    fs::write(guest.host.path("a"), "text").unwrap();
    let (path, times) =
        (guest.kit.string("/tmp/a"), guest.kit.put(&[2_u64, 0].map(u64::to_le_bytes).concat()));
    let (host, room) = (guest.host.clone(), guest.kit.room(8));
    let ended = Arc::new(AtomicU64::new(0));
    let seen = ended.clone();
    let status = run(&guest.kit, move |application| {
        host.set_mood(Mood::Silent);
        let child = application.fork("fork", &[], move |child| {
            child.call("openat", &[AT_FDCWD, path, 0]);
            child.call("exit_group", &[7]);
        });
        application.call("nanosleep", &[times, 0]);
        application.call("kill", &[child, signal]);
        application.call("wait4", &[child, room, 0, 0]);
        let mut status = [0; 4];
        application.load(room, &mut status);
        seen.store(u64::from(u32::from_le_bytes(status)), Ordering::Relaxed);
        host.set_mood(Mood::Answering);
        application.call("exit_group", &[0]);
    });
    assert_eq!(status, Some(ExitStatus::Exited(0)));
    (ended.load(Ordering::Relaxed), guest.kit.machine_time())
}

#[test]
fn a_signal_that_ends_the_process_ends_its_wait_for_the_server() {
    const SECOND: u64 = 1_000_000_000;
    for (signal, status) in [(9, 9), (15, 15), (2, 2)] {
        let (ended, time) = sent_while_it_waits(signal);
        assert_eq!(ended, status);
        assert!(time < 3 * SECOND, "{time} ns");
    }
    // One that does not is no reason: the call fails when the server has been silent for long.
    let (ended, time) = sent_while_it_waits(17);
    assert_eq!(ended, 7 << 8);
    assert!(time > 100 * SECOND);
}
