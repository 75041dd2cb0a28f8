//! Domains on the fake machine, by the calls of landlock(7).

use abi::Errno;
use abi::fs::{AT_FDCWD, OpenFlags};
use abi::landlock::{AccessFs, AccessNet, NetPort, PathBeneath, RulesetAttr, Scope, rule};

use crate::fake::kit::{self, BAD_ADDRESS, Kit};

use super::{Domain, Handled, Ruleset};

const HERE: u64 = AT_FDCWD as u64;

fn create(kit: &Kit, attributes: RulesetAttr) -> Result<u64, Errno> {
    let at = kit.put_value(&attributes);
    kit.call("landlock_create_ruleset", [at, size_of::<RulesetAttr>() as u64, 0, 0, 0, 0])
}

fn of_files(access: AccessFs) -> RulesetAttr {
    RulesetAttr { handled_access_fs: access.bits(), ..RulesetAttr::default() }
}

fn open(kit: &Kit, path: &str, flags: OpenFlags) -> Result<u64, Errno> {
    kit.call("openat", [HERE, kit.string(path), flags.bits().into(), 0o600, 0, 0])
}

fn allow(kit: &Kit, ruleset: u64, path: &str, access: AccessFs) -> Result<u64, Errno> {
    let parent_fd = open(kit, path, OpenFlags::PATH)? as i32;
    let access = access.bits();
    let allowed_access = [access as u32, (access >> 32) as u32];
    let at = kit.put_value(&PathBeneath { allowed_access, parent_fd });
    let kind = u64::from(rule::PATH_BENEATH);
    kit.call("landlock_add_rule", [ruleset, kind, at, 0, 0, 0])
}

fn restrict(kit: &Kit, ruleset: u64) -> Result<u64, Errno> {
    kit.call("landlock_restrict_self", [ruleset, 0, 0, 0, 0, 0])
}

fn mkdir(kit: &Kit, path: &str) {
    kit.call("mkdir", [kit.string(path), 0o755, 0, 0, 0, 0]).expect("a directory");
}

fn make(kit: &Kit, path: &str) {
    open(kit, path, OpenFlags::CREAT).expect("a file");
}

fn rename(kit: &Kit, old: &str, new: &str) -> Result<u64, Errno> {
    kit.call("rename", [kit.string(old), kit.string(new), 0, 0, 0, 0])
}

fn handled(scope: Scope) -> Handled {
    Handled { scope, ..Handled::default() }
}

#[test]
fn the_version_is_told_and_bad_rulesets_are_refused() {
    let kit = kit::process();
    let call = |at, size, flags| kit.call("landlock_create_ruleset", [at, size, flags, 0, 0, 0]);
    assert_eq!(call(0, 0, 1), Ok(6));
    assert_eq!(call(0, 8, 1), Err(Errno::EINVAL));
    assert_eq!(call(0, 8, 0), Err(Errno::EFAULT));
    assert_eq!(call(0, 7, 0), Err(Errno::EINVAL));
    assert_eq!(call(0, 4097, 0), Err(Errno::E2BIG));
    let long = kit.put_value(&[1_u64, 0, 0, 1]);
    assert_eq!(call(long, 32, 0), Err(Errno::E2BIG));
    assert_eq!(call(long, 24, 0).map(drop), Ok(()));
    assert_eq!(create(&kit, RulesetAttr::default()), Err(Errno::ENOMSG));
    let unknown = RulesetAttr { handled_access_net: 4, ..RulesetAttr::default() };
    assert_eq!(create(&kit, unknown), Err(Errno::EINVAL));
}

#[test]
fn bad_rules_are_refused() {
    let kit = kit::process();
    drop(kit.file("f", b"crab"));
    let ruleset = create(&kit, of_files(AccessFs::READ_FILE | AccessFs::READ_DIR)).unwrap();
    assert_eq!(allow(&kit, ruleset, "/f", AccessFs::empty()), Err(Errno::ENOMSG));
    assert_eq!(allow(&kit, ruleset, "/f", AccessFs::EXECUTE), Err(Errno::EINVAL));
    assert_eq!(allow(&kit, ruleset, "/f", AccessFs::READ_DIR), Err(Errno::EINVAL));
    assert_eq!(allow(&kit, ruleset, "/f", AccessFs::READ_FILE), Ok(0));
    let file = open(&kit, "/f", OpenFlags::empty()).unwrap();
    assert_eq!(allow(&kit, file, "/f", AccessFs::READ_FILE), Err(Errno::EBADFD));
    assert_eq!(allow(&kit, 99, "/f", AccessFs::READ_FILE), Err(Errno::EBADF));
    assert_eq!(restrict(&kit, file), Err(Errno::EBADFD));
    let add = |kind, at, flags| kit.call("landlock_add_rule", [ruleset, kind, at, flags, 0, 0]);
    assert_eq!(add(1, BAD_ADDRESS, 0), Err(Errno::EFAULT));
    assert_eq!(add(1, BAD_ADDRESS, 1), Err(Errno::EINVAL));
    assert_eq!(add(3, BAD_ADDRESS, 0), Err(Errno::EINVAL));
    let own = PathBeneath { allowed_access: [4, 0], parent_fd: ruleset as i32 };
    assert_eq!(add(1, kit.put_value(&own), 0), Err(Errno::EBADFD));
}

#[test]
fn ports_of_rules_are_those_of_tcp() {
    let kit = kit::process();
    let net = AccessNet::BIND_TCP.bits();
    let attributes = RulesetAttr { handled_access_net: net, ..RulesetAttr::default() };
    let ruleset = create(&kit, attributes).unwrap();
    let add = |allowed_access, port| {
        let at = kit.put_value(&NetPort { allowed_access, port });
        kit.call("landlock_add_rule", [ruleset, rule::NET_PORT.into(), at, 0, 0, 0])
    };
    assert_eq!(add(net, 65_536), Err(Errno::EINVAL));
    assert_eq!(add(AccessNet::CONNECT_TCP.bits(), 80), Err(Errno::EINVAL));
    assert_eq!((add(0, 80), add(net, 80)), (Err(Errno::ENOMSG), Ok(0)));
    assert_eq!(restrict(&kit, ruleset), Ok(0));
    let socket = kit.call("socket", [2, 1, 0, 0, 0, 0]).unwrap();
    let bind = |port: u16| {
        let [high, low] = port.to_be_bytes();
        let address = [2, 0, high, low, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        kit.call("bind", [socket, kit.put(&address), 16, 0, 0, 0])
    };
    assert_eq!(bind(81), Err(Errno::EACCES));
    assert_eq!(bind(80), Ok(0));
}

#[test]
fn files_are_opened_where_a_rule_of_every_layer_allows_it() {
    let kit = kit::process();
    mkdir(&kit, "/a");
    mkdir(&kit, "/a/b");
    make(&kit, "/a/b/f");
    make(&kit, "/f");
    let before = open(&kit, "/f", OpenFlags::RDWR).unwrap();
    let handled = AccessFs::READ_FILE | AccessFs::WRITE_FILE | AccessFs::TRUNCATE;
    let ruleset = create(&kit, of_files(handled)).unwrap();
    assert_eq!(allow(&kit, ruleset, "/a", AccessFs::READ_FILE), Ok(0));
    assert_eq!(allow(&kit, ruleset, "/a/b", AccessFs::WRITE_FILE), Ok(0));
    assert_eq!(restrict(&kit, ruleset), Ok(0));
    let writable = open(&kit, "/a/b/f", OpenFlags::RDWR).expect("allowed by two rules");
    assert_eq!(open(&kit, "/f", OpenFlags::empty()), Err(Errno::EACCES));
    assert!(
        open(&kit, "/f", OpenFlags::PATH).is_ok() && open(&kit, "/", OpenFlags::empty()).is_ok()
    );
    assert_eq!(kit.call("ftruncate", [writable, 0, 0, 0, 0, 0]), Err(Errno::EACCES));
    assert_eq!(kit.call("ftruncate", [before, 0, 0, 0, 0, 0]), Ok(0));
    let truncate = open(&kit, "/a/b/f", OpenFlags::WRONLY | OpenFlags::TRUNC);
    assert_eq!(truncate, Err(Errno::EACCES));
    let next = create(&kit, of_files(AccessFs::READ_FILE)).unwrap();
    assert_eq!(restrict(&kit, next), Ok(0));
    assert_eq!(open(&kit, "/a/b/f", OpenFlags::RDWR), Err(Errno::EACCES));
    assert!(open(&kit, "/a/b/f", OpenFlags::WRONLY).is_ok());
}

#[test]
fn files_change_their_directory_only_where_they_get_no_more_rights() {
    let kit = kit::process();
    for path in ["/one", "/two", "/none", "/more"] {
        mkdir(&kit, path);
    }
    make(&kit, "/one/f");
    let ruleset = create(&kit, of_files(AccessFs::EXECUTE | AccessFs::REFER)).unwrap();
    for path in ["/one", "/two"] {
        assert_eq!(allow(&kit, ruleset, path, AccessFs::REFER), Ok(0));
    }
    let all = AccessFs::REFER | AccessFs::EXECUTE;
    assert_eq!(allow(&kit, ruleset, "/more", all), Ok(0));
    assert_eq!(restrict(&kit, ruleset), Ok(0));
    assert_eq!(rename(&kit, "/one/f", "/two/f"), Ok(0));
    assert_eq!(rename(&kit, "/two/f", "/none/f"), Err(Errno::EXDEV));
    assert_eq!(rename(&kit, "/two/f", "/more/f"), Err(Errno::EXDEV));
    assert_eq!(rename(&kit, "/two/f", "/two/g"), Ok(0));
    let remove = create(&kit, of_files(AccessFs::REMOVE_FILE | AccessFs::REFER)).unwrap();
    assert_eq!(allow(&kit, remove, "/", AccessFs::REFER), Ok(0));
    assert_eq!(restrict(&kit, remove), Ok(0));
    assert_eq!(rename(&kit, "/two/g", "/one/g"), Err(Errno::EACCES));
    let link = [kit.string("/two/g"), kit.string("/one/g"), 0, 0, 0, 0];
    assert_eq!(kit.call("link", link), Ok(0));
}

#[test]
fn a_ruleset_that_says_nothing_of_referring_forbids_it() {
    let kit = kit::process();
    mkdir(&kit, "/one");
    make(&kit, "/one/f");
    let ruleset = create(&kit, of_files(AccessFs::EXECUTE)).unwrap();
    assert_eq!(allow(&kit, ruleset, "/", AccessFs::EXECUTE), Ok(0));
    assert_eq!(restrict(&kit, ruleset), Ok(0));
    assert_eq!(rename(&kit, "/one/f", "/f"), Err(Errno::EXDEV));
    let mount = [kit.string("none"), kit.string("/one"), kit.string("tmpfs"), 0, 0, 0];
    assert_eq!(kit.call("mount", mount), Err(Errno::EPERM));
}

#[test]
fn what_has_no_name_has_the_rights_of_its_directory() {
    let kit = kit::process();
    mkdir(&kit, "/one");
    let ruleset = create(&kit, of_files(AccessFs::WRITE_FILE)).unwrap();
    assert_eq!(allow(&kit, ruleset, "/one", AccessFs::WRITE_FILE), Ok(0));
    assert_eq!(restrict(&kit, ruleset), Ok(0));
    let flags = OpenFlags::TMPFILE_BIT | OpenFlags::DIRECTORY | OpenFlags::WRONLY;
    assert!(open(&kit, "/one", flags).is_ok());
    assert_eq!(open(&kit, "/tmp", flags), Err(Errno::EACCES));
    assert!(kit.call("memfd_create", [kit.string("m"), 0, 0, 0, 0, 0]).is_ok());
}

#[test]
fn there_are_sixteen_layers_at_most() {
    let kit = kit::process();
    let ruleset = create(&kit, of_files(AccessFs::EXECUTE)).unwrap();
    for _ in 0..16 {
        assert_eq!(restrict(&kit, ruleset), Ok(0));
    }
    assert_eq!(restrict(&kit, ruleset), Err(Errno::E2BIG));
}

#[test]
fn a_scope_is_left_by_nobody_below_it_and_looked_into_from_above() {
    let signal = Ruleset::new(handled(Scope::SIGNAL));
    let other = Ruleset::new(handled(Scope::ABSTRACT_UNIX_SOCKET));
    let outer = Domain::NONE.restricted_by(&signal).unwrap();
    let inner = outer.restricted_by(&other).unwrap();
    let sibling = Domain::NONE.restricted_by(&signal).unwrap();
    let reaches = |from: &Domain, to: &Domain| from.check_reach(to, Scope::SIGNAL).is_ok();
    assert!(reaches(&outer, &inner) && reaches(&inner, &outer));
    assert!(!reaches(&outer, &sibling) && !reaches(&inner, &Domain::NONE));
    assert!(reaches(&Domain::NONE, &inner));
    assert!(inner.check_reach(&outer, Scope::ABSTRACT_UNIX_SOCKET).is_err());
    assert!(outer.check_trace(&inner).is_ok() && inner.check_trace(&outer).is_err());
    assert!(Domain::NONE.check_trace(&outer).is_ok() && outer.check_trace(&sibling).is_err());
}

#[test]
fn rules_that_come_later_hold_for_those_who_come_later() {
    let kit = kit::process();
    make(&kit, "/f");
    let ruleset = Ruleset::new(Handled { fs: AccessFs::READ_FILE, ..Handled::default() });
    let before = Domain::NONE.restricted_by(&ruleset).unwrap();
    let root = kit.system.vfs.root();
    ruleset.allow_beneath(root, AccessFs::READ_FILE).unwrap();
    let after = Domain::NONE.restricted_by(&ruleset).unwrap();
    let allows =
        |domain: &Domain| !super::path::allowed(domain, root, AccessFs::READ_FILE).is_empty();
    assert!(!allows(&before) && allows(&after) && before != after);
}
