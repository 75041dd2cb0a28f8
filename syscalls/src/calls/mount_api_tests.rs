//! Tests of mounting step by step, of what is passed on from mount to mount, and of
//! namespaces.

use abi::Errno;
use abi::fs::mount_api::{MountAttr, MountIdRequest, Statmount, StatmountMask};
use abi::fs::{AT_FDCWD, MountFlags as M};

use crate::fake::kit::{self, Kit};

const HERE: u64 = AT_FDCWD as u64;

struct Fixture(Kit);

impl Fixture {
    /// A root directory with `a`, `b` and `a/in`.
    fn new() -> Self {
        let fixture = Self(kit::process());
        ["/a", "/b", "/a/in"].iter().for_each(|path| fixture.make(path));
        fixture
    }

    fn make(&self, path: &str) {
        assert_eq!(self.0.call("mkdir", [self.0.string(path), 0o755, 0, 0, 0, 0]), Ok(0));
    }

    fn is(&self, path: &str) -> bool {
        self.0.call("access", [self.0.string(path), 0, 0, 0, 0, 0]).is_ok()
    }

    fn mount(&self, source: &str, target: &str, kind: &str, flags: M) -> Result<u64, Errno> {
        let [source, target, kind] = [source, target, kind].map(|text| self.0.string(text));
        self.0.call("mount", [source, target, kind, flags.bits().into(), 0, 0])
    }

    fn unmount(&self, target: &str) -> Result<u64, Errno> {
        self.0.call("umount2", [self.0.string(target), 0, 0, 0, 0, 0])
    }

    /// A tmpfs that is made step by step and mounted nowhere yet.
    fn detached(&self, attributes: u64) -> u64 {
        let kit = &self.0;
        let fs = kit.call("fsopen", [kit.string("tmpfs"), 0, 0, 0, 0, 0]).unwrap();
        let (size, value) = (kit.string("size"), kit.string("64k"));
        assert_eq!(kit.call("fsconfig", [fs, 1, size, value, 0, 0]), Ok(0));
        assert_eq!(kit.call("fsmount", [fs, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("fsconfig", [fs, 6, 0, 0, 0, 0]), Ok(0));
        let mount = kit.call("fsmount", [fs, 0, attributes, 0, 0, 0]).unwrap();
        assert_eq!(kit.call("fsmount", [fs, 0, 0, 0, 0, 0]), Err(Errno::EBUSY));
        assert_eq!(kit.call("close", [fs, 0, 0, 0, 0, 0]), Ok(0));
        mount
    }

    fn attach(&self, mount: u64, target: &str) -> Result<u64, Errno> {
        let [empty, target] = ["", target].map(|text| self.0.string(text));
        self.0.call("move_mount", [mount, empty, HERE, target, 4, 0])
    }

    fn close(&self, fd: u64) {
        assert_eq!(self.0.call("close", [fd, 0, 0, 0, 0, 0]), Ok(0));
    }

    fn unique_id(&self, path: &str) -> u64 {
        let room = self.0.room(256);
        let path = self.0.string(path);
        assert_eq!(self.0.call("statx", [HERE, path, 0, 0x4000, room, 0]), Ok(0));
        self.0.get_value::<abi::fs::Statx>(room).mnt_id
    }

    fn statmount(&self, id: u64, mask: StatmountMask) -> Statmount {
        let request = MountIdRequest { size: 24, mnt_ns_fd: 0, mnt_id: id, param: mask.bits() };
        let (request, room) = (self.0.put_value(&request), self.0.room(1024));
        assert_eq!(self.0.call("statmount", [request, room, 1024, 0, 0, 0]), Ok(0));
        self.0.get_value(room)
    }

    fn mounts(&self) -> usize {
        let request = MountIdRequest { size: 24, mnt_ns_fd: 0, mnt_id: u64::MAX, param: 0 };
        let (request, room) = (self.0.put_value(&request), self.0.room(1024));
        self.0.call("listmount", [request, room, 128, 0, 0, 0]).unwrap() as usize
    }
}

#[test]
fn a_file_system_is_made_and_mounted_step_by_step() {
    let fixture = Fixture::new();
    let before = fixture.mounts();
    let mount = fixture.detached(1 | 8);
    assert_eq!(fixture.mounts(), before);
    assert_eq!(fixture.attach(mount, "/b"), Ok(0));
    assert_eq!(fixture.mounts(), before + 1);
    assert_eq!(fixture.attach(mount, "/a"), Ok(0));
    fixture.close(mount);
    let basic = fixture.statmount(fixture.unique_id("/a"), StatmountMask::MNT_BASIC);
    assert_eq!(basic.mnt_attr, 1 | 8);
    assert_eq!(fixture.unmount("/a"), Ok(0));
    let unused = fixture.detached(0);
    fixture.close(unused);
    assert_eq!(fixture.mounts(), before);
}

#[test]
fn a_copy_of_a_tree_is_attached_above_or_beneath() {
    let fixture = Fixture::new();
    assert_eq!(fixture.mount("none", "/b", "tmpfs", M::empty()), Ok(0));
    fixture.make("/b/top");
    let path = fixture.0.string("/a");
    let tree = fixture.0.call("open_tree", [HERE, path, 1, 0, 0, 0]).unwrap();
    let [empty, target] = ["", "/b"].map(|text| fixture.0.string(text));
    assert_eq!(fixture.0.call("move_mount", [tree, empty, HERE, target, 0x204, 0]), Ok(0));
    fixture.close(tree);
    assert!(fixture.is("/b/top") && !fixture.is("/b/in"));
    assert_eq!(fixture.unmount("/b"), Ok(0));
    assert!(fixture.is("/b/in"));
    let set = MountAttr { attr_set: 1, ..MountAttr::default() };
    let set = fixture.0.put_value(&set);
    assert_eq!(fixture.0.call("mount_setattr", [HERE, target, 0, set, 32, 0]), Ok(0));
    let new = fixture.0.string("/b/new");
    assert_eq!(fixture.0.call("mkdir", [new, 0o700, 0, 0, 0, 0]), Err(Errno::EROFS));
    assert_eq!(fixture.unmount("/b"), Ok(0));
}

#[test]
fn what_is_mounted_on_a_shared_mount_is_seen_by_its_peers_and_slaves() {
    let fixture = Fixture::new();
    assert_eq!(fixture.mount("/a", "/a", "", M::BIND), Ok(0));
    assert_eq!(fixture.mount("", "/a", "", M::SHARED), Ok(0));
    assert_eq!(fixture.mount("/a", "/b", "", M::BIND), Ok(0));
    let shared = fixture.statmount(fixture.unique_id("/b"), StatmountMask::MNT_BASIC);
    assert_eq!(shared.mnt_propagation, u64::from(M::SHARED.bits()));
    assert_eq!(fixture.mount("none", "/a/in", "tmpfs", M::empty()), Ok(0));
    fixture.make("/a/in/x");
    assert!(fixture.is("/b/in/x"));
    assert_eq!(fixture.unmount("/b/in"), Ok(0));
    assert!(!fixture.is("/a/in/x"));
    assert_eq!(fixture.mount("", "/b", "", M::SLAVE), Ok(0));
    let slave = fixture.statmount(fixture.unique_id("/b"), StatmountMask::MNT_BASIC);
    assert_eq!((slave.mnt_master, slave.mnt_peer_group), (shared.mnt_peer_group, 0));
    assert_eq!(fixture.mount("none", "/a/in", "tmpfs", M::empty()), Ok(0));
    fixture.make("/a/in/y");
    assert!(fixture.is("/b/in/y"));
    assert_eq!(fixture.unmount("/b/in"), Ok(0));
    assert!(fixture.is("/a/in/y"));
    assert_eq!(fixture.mount("none", "/b/in", "tmpfs", M::empty()), Ok(0));
    fixture.make("/b/in/z");
    assert!(!fixture.is("/a/in/z"));
    assert_eq!(fixture.unmount("/b/in"), Ok(0));
    assert_eq!(fixture.unmount("/a/in"), Ok(0));
    assert_eq!(fixture.mount("", "/a", "", M::PRIVATE), Ok(0));
    assert_eq!(fixture.unmount("/b"), Ok(0));
    assert_eq!(fixture.unmount("/a"), Ok(0));
}

#[test]
fn a_shared_root_on_itself_doubles_its_mounts() {
    let fixture = Fixture::new();
    assert_eq!(fixture.mount("none", "/a", "tmpfs", M::empty()), Ok(0));
    let root = fixture.0.string("/a");
    assert_eq!(fixture.0.call("chroot", [root, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(fixture.0.call("chdir", [fixture.0.string("/"), 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(fixture.mount("", "/", "", M::SHARED | M::REC), Ok(0));
    for count in [2, 4, 8] {
        assert_eq!(fixture.mount("/", "/", "", M::BIND), Ok(0));
        assert_eq!(fixture.mounts(), count);
    }
    assert_eq!(fixture.unmount("/"), Ok(0));
    assert_eq!(fixture.mounts(), 1);
}

#[test]
fn a_namespace_of_its_own_changes_without_others() {
    let fixture = Fixture::new();
    let shared = fixture.0.system.vfs.mounts.mounts().len();
    assert_eq!(fixture.0.call("unshare", [0x2_0000, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(fixture.mount("none", "/a", "tmpfs", M::empty()), Ok(0));
    assert_eq!(fixture.mounts(), shared + 1);
    assert_eq!(fixture.0.system.vfs.mounts.mounts().len(), shared);
    let [new, old] = ["/a", "/a/old"].map(|text| fixture.0.string(text));
    assert_eq!(fixture.0.call("pivot_root", [new, new, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(fixture.0.call("chroot", [new, 0, 0, 0, 0, 0]), Ok(0));
    ["/new", "/plain"].iter().for_each(|path| fixture.make(path));
    assert_eq!(fixture.mount("none", "/new", "tmpfs", M::empty()), Ok(0));
    fixture.make("/new/old");
    let _ = old;
    let [plain, new, old] = ["/plain", "/new", "/new/old"].map(|text| fixture.0.string(text));
    let pivot = |new: u64, old: u64| fixture.0.call("pivot_root", [new, old, 0, 0, 0, 0]);
    assert_eq!(pivot(plain, plain), Err(Errno::EBUSY));
    assert_eq!(pivot(new, old), Ok(0));
    assert!(fixture.is("/old/plain") && fixture.is("/old/new"));
    assert_eq!(fixture.unmount("/old"), Ok(0));
    assert!(!fixture.is("/old/plain"));
}
