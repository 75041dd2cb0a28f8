//! What a program that sees the host's `/usr` finds of this machine besides.
//!
//! - the accounts of the system, without those of people and without passwords
//! - the names of services, protocols, shells and kinds of files
//! - its configuration, `/etc/NAME` for a program `NAME`, as far as everybody may read it
//! - the directories in which installed programs keep what they write, empty
//!
//! So that `birgus run nginx` finds its configuration, its user and the place for its logs.
//! All of it are copies: what the program writes there ends with the machine.

use super::bring::bring;
use super::copy::node_of;
use super::tree::{Node, Tree};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What belongs to what is in `/usr`.
const FILES: [&str; 4] = ["/etc/mime.types", "/etc/protocols", "/etc/services", "/etc/shells"];

/// Where programs keep what they write.
const STATE: [&str; 4] = ["/run", "/var/cache", "/var/lib", "/var/log"];

/// Directories that are symbolic links on most systems; as on the host.
const LINKS: [&str; 2] = ["/var/lock", "/var/run"];

/// Numbers of users and groups below this are the system's (login.defs(5), `UID_MIN`).
const FIRST_OF_PEOPLE: u32 = 1000;

/// `nobody` and `nogroup`.
const NOBODY: u32 = 65534;

/// How deep configurations are copied.
const DEPTH: usize = 8;

/// Permission bits for everybody else.
const OTHERS_READ: u32 = 0o004;
const OTHERS_ENTER: u32 = 0o005;

/// Adds it for the program at this path.
pub(super) fn fill(tree: &mut Tree, program: &Path) {
    for (path, numbers) in [("/etc/passwd", Field::User), ("/etc/group", Field::Group)] {
        if let Ok(text) = fs::read_to_string(path) {
            let _ = tree.add(path, Node::file(0o644, accounts(&text, numbers)));
        }
    }
    for path in FILES {
        // Only where the host has it.
        let _ = bring(tree, Path::new(path));
    }
    for path in LINKS {
        if let Ok(target) = fs::read_link(path) {
            let _ = tree.add(path, Node::link(target));
        }
    }
    STATE.iter().for_each(|path| directories(tree, Path::new(path)));
    if let Some(name) = program.file_name() {
        configuration(tree, name);
    }
}

/// Which of the two tables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    User,
    Group,
}

/// The lines of passwd(5) or group(5) that are the system's.
fn accounts(text: &str, kind: Field) -> String {
    let of_system = |line: &&str| {
        let number = line.split(':').nth(2).and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|number| number < FIRST_OF_PEOPLE || number == NOBODY)
    };
    let mut kept = String::new();
    for line in text.lines().filter(of_system) {
        let mut fields: Vec<&str> = line.split(':').collect();
        // A password, on systems without shadow(5).
        fields[1] = "x";
        // Members may be people.
        if kind == Field::Group && fields.len() > 3 {
            fields[3] = "";
        }
        kept.push_str(&fields.join(":"));
        kept.push('\n');
    }
    kept
}

/// Makes the directories in a directory of the host, empty.
fn directories(tree: &mut Tree, folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir()
            && let Ok(node) = node_of(&path, &metadata)
        {
            // What the user brought stays.
            let _ = tree.add(&path, node);
        }
    }
}

/// Copies `/etc/NAME` and `/etc/NAME.conf`, whichever there are.
fn configuration(tree: &mut Tree, name: &OsStr) {
    let mut with_suffix = name.to_owned();
    with_suffix.push(".conf");
    for name in [name, &with_suffix] {
        // What cannot be read is missing there.
        let _ = copy(tree, &Path::new("/etc").join(name), DEPTH);
    }
}

fn copy(tree: &mut Tree, path: &Path, depth: usize) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    let needed = if kind.is_dir() { OTHERS_ENTER } else { OTHERS_READ };
    let is_open = kind.is_symlink() || metadata.mode() & needed == needed;
    let is_known = kind.is_symlink() || kind.is_dir() || kind.is_file();
    if depth == 0 || !is_open || !is_known || tree.add(path, node_of(path, &metadata)?).is_err() {
        return Ok(());
    }
    if kind.is_dir() {
        for entry in fs::read_dir(path)?.flatten() {
            // One that has gone is missing there as well.
            let _ = copy(tree, &entry.path(), depth - 1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_people_and_passwords_stay_here() {
        let text = "root:$6$abc:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n\
                    ada:x:1000:1000::/home/ada:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nbroken\n";
        let expected = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n\
                        nobody:x:65534:65534::/:/bin/false\n";
        assert_eq!(accounts(text, Field::User), expected);
        let groups = "adm:x:4:ada,root\nada:x:1000:\n";
        assert_eq!(accounts(groups, Field::Group), "adm:x:4:\n");
    }

    #[test]
    fn the_configuration_is_copied_as_far_as_everybody_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("birgus-system-{}", std::process::id()));
        fs::create_dir_all(folder.join("inner")).unwrap();
        for (name, mode) in [("inner/open", 0o644), ("secret", 0o600)] {
            fs::write(folder.join(name), name).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut tree = Tree::default();
        copy(&mut tree, &folder, DEPTH).unwrap();
        assert!(tree.find(&folder.join("inner/open")).is_some());
        assert!(tree.find(&folder.join("secret")).is_none());
        fs::remove_dir_all(&folder).unwrap();
    }
}
