//! Programs of the host that tests call: `sh`, `cp`, `mkfs.ext4`.
//!
//! Only names say which: a word of the test's program that is the name of a program in the
//! host's usual folders.

use goblin::elf::program_header::PT_LOAD;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs are looked for, on the host and in the guest; the first wins.
pub const FOLDERS: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Largest program that is brought along, in bytes.
const LARGEST: u64 = 4 << 20;

/// What ends a command in a shell's words.
const SEPARATORS: &[u8] = b"|;&()`\n";

/// The programs of the host.
#[derive(Debug, Default)]
pub struct Tools {
    paths: HashMap<Vec<u8>, PathBuf>,
}

impl Tools {
    /// Looks at folders.
    #[must_use]
    pub fn find<'a>(folders: impl Iterator<Item = &'a Path>) -> Self {
        let mut paths = HashMap::new();
        for entry in folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
            let is_program = |found: &fs::Metadata| {
                found.is_file() && found.permissions().mode() & 0o111 != 0 && found.len() <= LARGEST
            };
            if fs::metadata(entry.path()).is_ok_and(|found| is_program(&found)) {
                paths.entry(entry.file_name().as_bytes().to_vec()).or_insert(entry.path());
            }
        }
        Self { paths }
    }

    /// The programs that a program with this content names.
    #[must_use]
    pub fn named_in(&self, content: &[u8]) -> BTreeSet<PathBuf> {
        let words: Box<dyn Iterator<Item = &[u8]>> = if content.starts_with(b"#!") {
            Box::new(content.split(|byte| !is_of_a_name(*byte)))
        } else {
            Box::new(strings(content).flat_map(commands))
        };
        let named = words.filter_map(|word| self.paths.get(word).cloned());
        named.chain(self.composed_in(content)).collect()
    }

    /// The programs whose names a program puts together: `mkfs.%s`, where it has the other part
    /// of the name, too.
    fn composed_in(&self, content: &[u8]) -> Vec<PathBuf> {
        const PLACE: &[u8] = b"%s";
        let all: BTreeSet<&[u8]> = strings(content).collect();
        let starts = all.iter().filter_map(|text| text.strip_suffix(PLACE));
        let starts: Vec<_> = starts
            .filter(|start| start.len() > 1 && start.iter().all(|&b| is_of_a_name(b)))
            .collect();
        let is_composed = |name: &[u8]| {
            starts
                .iter()
                .any(|start| name.strip_prefix(*start).is_some_and(|end| all.contains(end)))
        };
        let found = self.paths.iter().filter(|(name, _)| is_composed(name));
        found.map(|(_, path)| path.clone()).collect()
    }
}

/// The parts of an ELF file that are in memory when it runs, so that the names of its symbols
/// and its types do not pass for those of programs. All of any other file.
fn loaded(content: &[u8]) -> Vec<&[u8]> {
    let Ok(elf) = goblin::elf::Elf::parse(content) else { return vec![content] };
    let loads = elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD);
    loads.filter_map(|header| content.get(header.file_range())).collect()
}

/// The strings of a program, which end with NUL.
pub(super) fn strings(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let pieces = loaded(content).into_iter().flat_map(|part| part.split(|&byte| byte == 0));
    pieces.map(|piece| {
        // What stands before a string is not always a NUL.
        let text = piece.iter().rposition(|byte| !(0x20..0x7f).contains(byte) && *byte != b'\n');
        &piece[text.map_or(0, |at| at + 1)..]
    })
}

/// The names of the programs in a command for a shell, and the last component of a path.
fn commands(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| SEPARATORS.contains(byte)).filter_map(|command| {
        let word = command.split(|&byte| byte == b' ').find(|word| !word.is_empty())?;
        word.rsplit(|&byte| byte == b'/').next().filter(|name| name.len() > 1)
    })
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._+-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_symbols_are_none_of_programs() {
        let own = fs::read("/proc/self/exe").unwrap();
        let parts = loaded(&own);
        assert!(parts.len() > 1);
        assert!(parts.iter().map(|part| part.len()).sum::<usize>() < own.len());
        assert_eq!(loaded(b"\x7fELF"), [b"\x7fELF"]);
        assert_eq!(loaded(b"text"), [b"text"]);
    }

    #[test]
    fn programs_are_found_by_their_names_in_strings_commands_and_scripts() {
        let root = std::env::temp_dir().join(format!("birgus-ltp-tools-{}", std::process::id()));
        let (first, second) = (root.join("first"), root.join("second"));
        for (folder, names) in [(&first, &["cp", "sh"][..]), (&second, &["cp", "mkfs.ext4", "wc"])]
        {
            fs::create_dir_all(folder).unwrap();
            for name in names {
                fs::write(folder.join(name), "").unwrap();
                fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        fs::write(first.join("data"), "").unwrap();
        let tools = Tools::find([first.as_path(), &second, Path::new("/none")].into_iter());
        let named = |content: &[u8]| -> Vec<String> {
            let paths = tools.named_in(content);
            paths
                .iter()
                .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
                .collect()
        };
        assert_eq!(named(b"mkfs.%s\0ext2\0ext4\0"), ["second/mkfs.ext4"]);
        assert_eq!(named(b"mkfs.%s\0%s\0"), [""; 0]);
        assert_eq!(named(b"x\0/bin/sh\0\xffmkfs.ext4\0data\0"), ["first/sh", "second/mkfs.ext4"]);
        assert_eq!(named(b"cp -r %s %s\0a cp\0scp\0"), ["first/cp"]);
        assert_eq!(named(b"cat x | wc -l; sh y\0"), ["first/sh", "second/wc"]);
        assert_eq!(named(b"#!/bin/sh\nexec cp $1 x\n"), ["first/cp", "first/sh"]);
        assert!(named(b"").is_empty());
        fs::remove_dir_all(&root).unwrap();
    }
}
