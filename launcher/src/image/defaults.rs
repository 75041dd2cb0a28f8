//! What every program finds: the files that C libraries and ordinary programs look for.
//!
//! Nothing here replaces what the user brought. Where a path leads through something of the
//! user's that is not a directory, the file is left out: the user's root is right.

use super::bring::bring;
use super::tree::{Node, Tree};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// `PATH` of the program.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const DIRECTORIES: [(&str, u32); 8] = [
    ("/home", 0o755),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/usr/bin", 0o755),
    ("/usr/lib", 0o755),
    ("/usr/share", 0o755),
    ("/var/log", 0o755),
    ("/var/tmp", 0o1777),
];

/// The same as [`FILES`] for directories, for every root.
const DIRECTORIES_OF_ANY_ROOT: [(&str, u32); 4] =
    [("/dev", 0o755), ("/proc", 0o555), ("/sys", 0o555), ("/tmp", 0o1777)];

const FILES: [(&str, &str); 5] = [
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    (
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n\
         protocols: files\n",
    ),
    ("/etc/shells", "/bin/sh\n"),
    ("/etc/host.conf", "multi on\n"),
];

/// What a link leads to that the kernel keeps.
const KEPT_BY_THE_KERNEL: [(&str, &str); 1] = [("/etc/resolv.conf", "/proc/net/pnp")];

const FILES_OF_ANY_ROOT: [(&str, &str); 2] = [
    ("/etc/hostname", "birgus\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 birgus\n::1 localhost ip6-localhost\n"),
];

/// Files of the host that programs look for at the same place; those that it has.
const HOST_FILES: [&str; 5] = [
    "/etc/localtime",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/openssl.cnf",
];

/// Directories that are symbolic links into `/usr` on most systems; the paths of shells and
/// interpreters lead through them. As on the host.
const LINKS: [&str; 4] = ["/bin", "/lib", "/lib64", "/sbin"];

/// Where terminal descriptions are, besides the user's own (terminfo(5)).
const TERMINFO: [&str; 4] =
    ["/etc/terminfo", "/lib/terminfo", "/usr/lib/terminfo", "/usr/share/terminfo"];

/// Adds what a root made by Birgus has.
pub(super) fn fill(tree: &mut Tree) {
    for file in HOST_FILES {
        // Only where the host has it.
        let _ = bring(tree, Path::new(file));
    }
    for path in LINKS {
        if let Ok(target) = std::fs::read_link(path) {
            let _ = tree.add(path, Node::link(target));
        }
    }
    directories(tree, &DIRECTORIES);
    files(tree, &FILES);
}

/// Adds what also a root of the user's should have.
pub(super) fn fill_any_root(tree: &mut Tree) {
    directories(tree, &DIRECTORIES_OF_ANY_ROOT);
    files(tree, &FILES_OF_ANY_ROOT);
    for (path, target) in KEPT_BY_THE_KERNEL {
        let _ = tree.add(path, Node::link(target));
    }
}

fn directories(tree: &mut Tree, list: &[(&str, u32)]) {
    for (path, permissions) in list {
        let _ = tree.make_directory(Path::new(path), *permissions);
    }
}

fn files(tree: &mut Tree, list: &[(&str, &str)]) {
    for (path, text) in list {
        let _ = tree.add(path, Node::file(0o644, *text));
    }
}

/// Adds the description of a terminal, if the guest has none and the host has one.
pub(super) fn terminal_description(tree: &mut Tree, name: &OsStr) {
    let Some(&first) = name.as_bytes().first().filter(|_| !name.as_bytes().contains(&b'/')) else {
        return;
    };
    // Two layouts are in use: by the first letter, and by its number.
    let layouts = [format!("{}", char::from(first)), format!("{first:x}")];
    let places =
        |folder: &str| layouts.clone().map(|layout| Path::new(folder).join(layout).join(name));
    if TERMINFO.iter().flat_map(|folder| places(folder)).any(|path| tree.find(&path).is_some()) {
        return;
    }
    for path in TERMINFO.iter().flat_map(|folder| places(folder)) {
        if path.is_file() && bring(tree, &path).is_ok() {
            return;
        }
    }
    let own = std::env::var_os("TERMINFO").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".terminfo"));
    let folders = [own, home];
    let found = folders
        .iter()
        .flatten()
        .flat_map(|folder| layouts.iter().map(|layout| folder.join(layout).join(name)))
        .find_map(|path| std::fs::read(path).ok());
    if let Some(description) = found {
        let path = Path::new(TERMINFO[0]).join(&layouts[0]).join(name);
        let _ = tree.add(path, Node::file(0o644, description));
    }
}
