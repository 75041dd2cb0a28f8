//! mount(2) and umount2(2), and what flags of mounts forbid.

use std::string::String;
use std::vec::Vec;

use abi::Errno;
use abi::fs::MountFlags as M;

use crate::fake::kit::{self, Kit};

const O_RDONLY: u64 = 0;
const O_WRONLY: u64 = 1;
const O_RDWR: u64 = 2;
const O_CREAT: u64 = 0o100;
const MNT_DETACH: u64 = 2;
const MNT_EXPIRE: u64 = 4;

struct Fixture(Kit);

impl Fixture {
    /// A root directory with `a/x`, `b` and the file `f`.
    fn new() -> Self {
        let fixture = Self(kit::process());
        for name in ["/a", "/a/x", "/b"] {
            assert_eq!(fixture.call("mkdir", name, [0o755, 0, 0]), Ok(0));
        }
        fixture.make("/f");
        fixture
    }

    fn call(&self, name: &str, path: &str, [one, two, three]: [u64; 3]) -> Result<u64, Errno> {
        self.0.call(name, [self.0.string(path), one, two, three, 0, 0])
    }

    fn open(&self, path: &str, flags: u64) -> Result<u64, Errno> {
        self.call("open", path, [flags, 0o644, 0])
    }

    fn close(&self, fd: u64) {
        assert_eq!(self.0.call("close", [fd, 0, 0, 0, 0, 0]), Ok(0));
    }

    fn make(&self, path: &str) {
        let fd = self.open(path, O_CREAT | O_WRONLY).unwrap();
        self.close(fd);
    }

    fn is(&self, path: &str) -> bool {
        self.call("access", path, [0; 3]).is_ok()
    }

    fn mount(
        &self,
        source: &str,
        target: &str,
        kind: &str,
        flags: M,
        data: &str,
    ) -> Result<u64, Errno> {
        let [source, target, kind, data] =
            [source, target, kind, data].map(|text| self.0.string(text));
        self.0.call("mount", [source, target, kind, flags.bits().into(), data, 0])
    }

    fn tmpfs(&self, target: &str, flags: M, data: &str) {
        assert_eq!(self.mount("none", target, "tmpfs", flags, data), Ok(0));
    }

    fn bind(&self, source: &str, target: &str) -> Result<u64, Errno> {
        self.mount(source, target, "", M::BIND, "")
    }

    fn unmount(&self, target: &str, flags: u64) -> Result<u64, Errno> {
        self.call("umount2", target, [flags, 0, 0])
    }

    /// What a file of /proc says.
    fn read(&self, path: &str) -> String {
        let fd = self.open(path, O_RDONLY).unwrap();
        let room = self.0.room(4096);
        let len = self.0.call("read", [fd, room, 4096, 0, 0, 0]).unwrap();
        self.close(fd);
        String::from_utf8(self.0.get(room, len as usize)).unwrap()
    }

    /// The lines of /proc/mounts whose mount point is `path`.
    fn shown(&self, path: &str) -> Vec<String> {
        let mounts = self.read("/proc/mounts");
        let of_path = |line: &&str| line.split(' ').nth(1) == Some(path);
        mounts.lines().filter(of_path).map(String::from).collect()
    }
}

#[test]
fn what_is_mounted_hides_what_is_there_until_it_is_unmounted() {
    let fixture = Fixture::new();
    fixture.tmpfs("/a", M::NOSUID | M::NODEV, "size=64k,mode=700");
    assert!(!fixture.is("/a/x"));
    fixture.make("/a/new");
    assert_eq!(
        fixture.shown("/a"),
        ["none /a tmpfs rw,nosuid,nodev,relatime,size=64k,mode=700 0 0"]
    );
    assert_eq!(fixture.call("rmdir", "/a", [0; 3]), Err(Errno::EBUSY));
    let fd = fixture.open("/a/new", O_RDONLY).unwrap();
    assert_eq!(fixture.unmount("/a", 0), Err(Errno::EBUSY));
    fixture.close(fd);
    assert_eq!(fixture.unmount("/a/new", 0), Err(Errno::EINVAL));
    assert_eq!(fixture.unmount("/a", 0), Ok(0));
    assert_eq!(fixture.unmount("/a", 0), Err(Errno::EINVAL));
    assert!(fixture.is("/a/x") && !fixture.is("/a/new"));
}

#[test]
fn a_file_system_takes_no_more_than_its_size() {
    let fixture = Fixture::new();
    fixture.tmpfs("/a", M::empty(), "size=8k,nr_inodes=3");
    fixture.make("/a/one");
    let fd = fixture.open("/a/one", O_RDWR).unwrap();
    let room = fixture.0.room(16384);
    assert_eq!(fixture.0.call("write", [fd, room, 16384, 0, 0, 0]), Ok(8192));
    assert_eq!(fixture.0.call("write", [fd, room, 1, 0, 0, 0]), Err(Errno::ENOSPC));
    fixture.make("/a/two");
    assert_eq!(fixture.open("/a/three", O_CREAT | O_RDWR), Err(Errno::ENOSPC));
    let remount = |data: &str| fixture.mount("", "/a", "", M::REMOUNT, data);
    assert_eq!(remount("size=4k"), Err(Errno::EINVAL));
    assert_eq!(remount("size=16k"), Ok(0));
    assert_eq!(fixture.0.call("write", [fd, room, 16384, 0, 0, 0]), Ok(8192));
}

#[test]
fn a_bind_mount_shows_the_same_files_with_flags_of_its_own() {
    let fixture = Fixture::new();
    assert_eq!(fixture.bind("/a", "/b"), Ok(0));
    fixture.make("/a/y");
    assert!(fixture.is("/b/y"));
    // Mounts on one of them are not seen in the other.
    fixture.tmpfs("/a/x", M::empty(), "");
    fixture.make("/a/x/deep");
    assert!(!fixture.is("/b/x/deep"));
    let only_this = M::REMOUNT | M::BIND | M::RDONLY;
    assert_eq!(fixture.mount("", "/b", "", only_this, ""), Ok(0));
    assert_eq!(fixture.open("/b/y", O_WRONLY), Err(Errno::EROFS));
    assert_eq!(fixture.open("/b/z", O_WRONLY | O_CREAT), Err(Errno::EROFS));
    assert_eq!(fixture.call("mkdir", "/b/z", [0o755, 0, 0]), Err(Errno::EROFS));
    assert_eq!(fixture.call("unlink", "/b/y", [0; 3]), Err(Errno::EROFS));
    assert_eq!(fixture.call("truncate", "/b/y", [0; 3]), Err(Errno::EROFS));
    assert_eq!(fixture.call("access", "/b/y", [2, 0, 0]), Err(Errno::EROFS));
    fixture.make("/a/z");
    let info = fixture.read("/proc/self/mountinfo");
    let line = info.lines().find(|line| line.contains(" /b ")).unwrap();
    assert!(line.contains(" /a /b ro,relatime - tmpfs rootfs rw"), "{line}");
    // From one mount to another is not the same file system.
    let (from, to) = (fixture.0.string("/a/z"), fixture.0.string("/b/w"));
    assert_eq!(fixture.0.call("rename", [from, to, 0, 0, 0, 0]), Err(Errno::EXDEV));
}

#[test]
fn a_recursive_bind_takes_what_is_mounted_below() {
    let fixture = Fixture::new();
    fixture.tmpfs("/a/x", M::empty(), "");
    fixture.make("/a/x/deep");
    assert_eq!(fixture.mount("/a", "/b", "", M::BIND | M::REC, ""), Ok(0));
    assert!(fixture.is("/b/x/deep"));
    assert_eq!(fixture.unmount("/b", 0), Err(Errno::EBUSY));
    assert_eq!(fixture.unmount("/b", MNT_DETACH), Ok(0));
    assert!(!fixture.is("/b/x") && fixture.is("/a/x/deep"));
    // Into itself, it does not go on for ever.
    assert_eq!(fixture.mount("/", "/b", "", M::BIND | M::REC, ""), Ok(0));
    assert!(fixture.is("/b/a/x/deep") && fixture.is("/b/b") && !fixture.is("/b/b/a"));
}

#[test]
fn a_file_is_mounted_on_a_file_only() {
    let fixture = Fixture::new();
    fixture.make("/a/g");
    assert_eq!(fixture.bind("/f", "/b"), Err(Errno::ENOTDIR));
    assert_eq!(fixture.bind("/b", "/f"), Err(Errno::ENOTDIR));
    assert_eq!(fixture.bind("/a/g", "/f"), Ok(0));
    assert_eq!(fixture.call("unlink", "/f", [0; 3]), Err(Errno::EBUSY));
    let fd = fixture.open("/f", O_WRONLY).unwrap();
    assert_eq!(fixture.0.call("write", [fd, fixture.0.put(b"crab"), 4, 0, 0, 0]), Ok(4));
    assert_eq!(fixture.read("/a/g"), "crab");
    fixture.close(fd);
    assert_eq!(fixture.unmount("/f", 0), Ok(0));
    assert_eq!(fixture.read("/f"), "");
}

#[test]
fn a_file_system_becomes_read_only_when_nobody_writes() {
    let fixture = Fixture::new();
    fixture.tmpfs("/a", M::empty(), "");
    assert_eq!(fixture.bind("/a", "/b"), Ok(0));
    fixture.make("/a/y");
    let fd = fixture.open("/a/y", O_RDWR).unwrap();
    let remount = |flags: M| fixture.mount("", "/b", "", M::REMOUNT | flags, "");
    assert_eq!(remount(M::RDONLY), Err(Errno::EBUSY));
    fixture.close(fd);
    assert_eq!(remount(M::RDONLY), Ok(0));
    assert_eq!(fixture.open("/a/y", O_RDWR), Err(Errno::EROFS));
    assert_eq!(fixture.shown("/a"), ["none /a tmpfs ro,relatime 0 0"]);
    assert_eq!(remount(M::NOATIME), Ok(0));
    assert_eq!(fixture.shown("/b"), ["none /b tmpfs rw,noatime 0 0"]);
    assert!(fixture.open("/a/y", O_RDWR).is_ok());
    assert_eq!(fixture.mount("", "/a/y", "", M::REMOUNT, ""), Err(Errno::EINVAL));
}

#[test]
fn devices_and_links_can_be_forbidden() {
    let fixture = Fixture::new();
    fixture.tmpfs("/a", M::NODEV | M::NOSYMFOLLOW, "");
    let null = (1 << 8) | 3;
    assert_eq!(fixture.call("mknod", "/a/null", [0o020_666, null, 0]), Ok(0));
    assert_eq!(fixture.open("/a/null", O_RDONLY), Err(Errno::EACCES));
    let link = [fixture.0.string("/f"), fixture.0.string("/a/link"), 0, 0, 0, 0];
    assert_eq!(fixture.0.call("symlink", link), Ok(0));
    assert_eq!(fixture.open("/a/link", O_RDONLY), Err(Errno::ELOOP));
    assert!(fixture.open("/dev/null", O_RDONLY).is_ok());
}

#[test]
fn what_is_mounted_moves_but_not_into_itself() {
    let fixture = Fixture::new();
    fixture.tmpfs("/a", M::empty(), "");
    assert_eq!(fixture.call("mkdir", "/a/in", [0o755, 0, 0]), Ok(0));
    let to = |source: &str, target: &str| fixture.mount(source, target, "", M::MOVE, "");
    assert_eq!(to("/a", "/a/in"), Err(Errno::ELOOP));
    assert_eq!(to("/a/in", "/b"), Err(Errno::EINVAL));
    assert_eq!(to("/", "/b"), Err(Errno::EINVAL));
    assert_eq!(to("/a", "/b"), Ok(0));
    assert!(fixture.is("/a/x") && fixture.is("/b/in"));
    assert_eq!(fixture.call("chdir", "/b/in", [0; 3]), Ok(0));
    assert!(fixture.is("../../f"));
}

#[test]
fn who_uses_what_was_detached_keeps_it() {
    let fixture = Fixture::new();
    fixture.tmpfs("/a", M::empty(), "");
    fixture.make("/a/y");
    let fd = fixture.open("/a/y", O_RDWR).unwrap();
    assert_eq!(fixture.unmount("/a", MNT_DETACH), Ok(0));
    assert!(!fixture.is("/a/y"));
    assert_eq!(fixture.0.call("write", [fd, fixture.0.put(b"x"), 1, 0, 0, 0]), Ok(1));
    fixture.close(fd);
}

#[test]
fn a_mount_expires_when_nobody_comes_by() {
    let fixture = Fixture::new();
    fixture.tmpfs("/a", M::empty(), "");
    let expire = || fixture.unmount("/a", MNT_EXPIRE);
    assert_eq!(fixture.unmount("/a", MNT_EXPIRE | MNT_DETACH), Err(Errno::EINVAL));
    assert_eq!(expire(), Err(Errno::EAGAIN));
    assert!(fixture.is("/a"));
    assert_eq!(expire(), Err(Errno::EAGAIN));
    assert_eq!(expire(), Ok(0));
}

#[test]
fn nonsense_is_refused() {
    let fixture = Fixture::new();
    let mount = |kind: &str, flags: M, data: &str| fixture.mount("x", "/a", kind, flags, data);
    assert_eq!(mount("ext5", M::empty(), ""), Err(Errno::ENODEV));
    assert_eq!(mount("ext4", M::empty(), ""), Err(Errno::ENOENT));
    assert_eq!(fixture.mount("", "/a", "ext4", M::empty(), ""), Err(Errno::EINVAL));
    assert_eq!(fixture.mount("/f", "/a", "ext4", M::empty(), ""), Err(Errno::ENOTBLK));
    assert_eq!(mount("tmpfs", M::empty(), "color=red"), Err(Errno::EINVAL));
    assert_eq!(mount("proc", M::empty(), "color=red"), Err(Errno::EINVAL));
    assert_eq!(mount("", M::SHARED, ""), Err(Errno::EINVAL));
    assert_eq!(mount("", M::SHARED | M::SLAVE, ""), Err(Errno::EINVAL));
    assert_eq!(mount("", M::PRIVATE, ""), Err(Errno::EINVAL));
    assert_eq!(fixture.mount("x", "/f", "tmpfs", M::empty(), ""), Err(Errno::ENOTDIR));
    assert_eq!(fixture.mount("x", "/none", "tmpfs", M::empty(), ""), Err(Errno::ENOENT));
    assert_eq!(fixture.unmount("/", MNT_DETACH), Err(Errno::EBUSY));
    assert_eq!(fixture.mount("", "/", "", M::UNBINDABLE, ""), Ok(0));
    assert_eq!(fixture.bind("/a", "/b"), Err(Errno::EINVAL));
    assert_eq!(fixture.mount("", "/", "", M::PRIVATE | M::REC, ""), Ok(0));
    assert_eq!(fixture.bind("/a", "/b"), Ok(0));
    // A file system of which there is one is not mounted twice on the same place.
    assert_eq!(mount("devtmpfs", M::empty(), ""), Ok(0));
    assert_eq!(mount("devtmpfs", M::empty(), ""), Err(Errno::EBUSY));
    assert!(fixture.is("/a/null"));
    assert_eq!(fixture.0.call("setuid", [1, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(fixture.unmount("/a", 0), Err(Errno::EPERM));
    assert_eq!(mount("tmpfs", M::empty(), ""), Err(Errno::EPERM));
}
