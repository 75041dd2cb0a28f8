//! Arguments that name files of the host which the program does not see.
//!
//! `birgus run cat notes.txt` fails, because the guest has no `notes.txt`; natively it works.
//! So when a program fails, the user is told of such an argument.

use super::tree::Tree;
use crate::escape::escaped_os;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the kernel makes, whatever the tree has.
const MADE_BY_THE_KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];

/// The first of the arguments that names a file or directory of the host and nothing of the
/// guest, as a hint of what to do.
pub(super) fn hint(
    tree: &Tree,
    arguments: &[OsString],
    working_directory: &Path,
) -> Option<String> {
    arguments.iter().find_map(|argument| {
        let name = file_name(argument)?;
        let guest = working_directory.join(name);
        let made = MADE_BY_THE_KERNEL.iter().any(|folder| guest.starts_with(folder));
        if made || tree.find(&guest).is_some() || !Path::new(name).exists() {
            return None;
        }
        let host = std::path::absolute(name).unwrap_or_else(|_| PathBuf::from(name));
        let (name, host, guest) = (escaped_os(name), escaped_os(&host), escaped_os(&guest));
        Some(format!(
            "the program does not see this machine's {name}: to show it, say -v {host}:{guest}:ro"
        ))
    })
}

/// What of an argument could name a file: all of it, or the value of an option
/// (`--file=NAME`, `if=NAME`).
fn file_name(argument: &OsStr) -> Option<&OsStr> {
    let bytes = argument.as_bytes();
    let value = bytes.iter().position(|&byte| byte == b'=').map(|equals| &bytes[equals + 1..]);
    let name = match (bytes.first(), value) {
        (Some(b'-'), None) | (None, _) => return None,
        (_, Some(value)) => value,
        (_, None) => bytes,
    };
    (!name.is_empty()).then(|| OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Node;

    fn hint_for(arguments: &[&str]) -> Option<String> {
        let mut tree = Tree::default();
        tree.add("/etc/hosts", Node::file(0o644, "")).unwrap();
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        hint(&tree, &arguments, Path::new("/work"))
    }

    #[test]
    fn a_file_that_only_the_host_has_is_named_with_the_option_that_shows_it() {
        let told = hint_for(&["-n", "missing", "/etc/hosts", "/etc/passwd"]).unwrap();
        assert!(told.ends_with("-v /etc/passwd:/etc/passwd:ro"), "{told}");
        assert!(hint_for(&["--file=/etc/passwd"]).is_some());
        let here = std::env::current_dir().unwrap();
        let told = hint_for(&["Cargo.toml"]).unwrap();
        assert!(told.ends_with(&format!("-v {}/Cargo.toml:/work/Cargo.toml:ro", here.display())));
    }

    #[test]
    fn what_the_guest_has_or_the_host_has_not_is_not_mentioned() {
        for argument in
            ["/etc/hosts", "/dev/null", "/proc/self/exe", "", "-", "--", "no such", "x="]
        {
            assert_eq!(hint_for(&[argument]), None, "{argument}");
        }
    }
}
