//! The files that an entry needs, so that its machine gets those and no others.
//!
//! The program itself; the programs of the suite's `testcases/bin` that it may execute, which
//! are those whose names it contains as a whole string or as the end of a path, and theirs;
//! its directory in `testcases/data`. Around them the users and groups that tests look for.

use crate::Error;
use crate::escape::escaped_os;
use crate::image::{Body, Node, Source, Tree};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Users that tests look for.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
    bin:x:2:2:bin:/bin:/usr/sbin/nologin\n\
    nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";

/// Groups that tests look for.
const GROUP: &str = "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\ntty:x:5:\nusers:x:100:\n\
    nogroup:x:65534:\n";

/// Largest helper that is brought along, in bytes.
const LARGEST_HELPER: u64 = 4 << 20;

/// An installed suite.
#[derive(Debug)]
pub struct Suite {
    root: PathBuf,
    /// The programs, with their lengths in bytes.
    programs: HashMap<Vec<u8>, u64>,
}

impl Suite {
    /// Looks at the suite that is installed in `root`.
    ///
    /// # Errors
    /// It has no `testcases/bin`.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let cannot = |error| Error::io(format_args!("--suite {}", escaped_os(root)), &error);
        let root = root.canonicalize().map_err(cannot)?;
        let bin = root.join("testcases/bin");
        let entries = fs::read_dir(&bin)
            .map_err(|error| Error::io(format_args!("cannot read {}", escaped_os(&bin)), &error))?;
        let mut programs = HashMap::new();
        for entry in entries {
            let entry = entry.map_err(cannot)?;
            if let Ok(metadata) = fs::metadata(entry.path())
                && metadata.is_file()
            {
                programs.insert(entry.file_name().as_bytes().to_vec(), metadata.len());
            }
        }
        Ok(Self { root, programs })
    }

    /// Its directory, on the host and in the guest.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of its programs.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.root.join("testcases/bin")
    }

    /// Whether it has a program.
    #[must_use]
    pub fn has(&self, program: &str) -> bool {
        self.programs.contains_key(program.as_bytes())
    }

    /// The root file system for one program of the suite.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn files_for(&self, program: &str) -> io::Result<Tree> {
        let mut tree = Tree::default();
        for name in self.closure(program)? {
            let path = self.programs().join(OsStr::from_bytes(&name));
            add_file(&mut tree, &path)?;
        }
        add_directory(&mut tree, &self.root.join("testcases/data").join(program))?;
        add(&mut tree, Path::new("/etc/passwd"), Node::file(0o644, PASSWD))?;
        add(&mut tree, Path::new("/etc/group"), Node::file(0o644, GROUP))?;
        Ok(tree)
    }

    /// The program, and every program that is named in one that is brought along.
    fn closure(&self, program: &str) -> io::Result<BTreeSet<Vec<u8>>> {
        let mut found = BTreeSet::from([program.as_bytes().to_vec()]);
        let mut pending = vec![program.as_bytes().to_vec()];
        while let Some(name) = pending.pop() {
            let bytes = fs::read(self.programs().join(OsStr::from_bytes(&name)))?;
            for named in names(&bytes) {
                if let Some((known, &len)) = self.programs.get_key_value(named)
                    && len <= LARGEST_HELPER
                    && found.insert(known.clone())
                {
                    pending.push(known.clone());
                }
            }
        }
        Ok(found)
    }
}

/// The last components of all NUL-terminated strings of a program.
fn names(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == 0).filter_map(|piece| {
        // What stands before a string is not always a NUL.
        let text = piece.iter().rposition(|byte| !(0x20..0x7f).contains(byte));
        let text = &piece[text.map_or(0, |at| at + 1)..];
        text.rsplit(|&byte| byte == b'/').next().filter(|name| name.len() > 2)
    })
}

fn add_file(tree: &mut Tree, path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let mut node = Node::file(0o755, Vec::new());
    node.body = Body::File(Source::Host(path.canonicalize()?, metadata.len()));
    add(tree, path, node)
}

/// Adds a directory with the files in it; nothing where there is none.
fn add_directory(tree: &mut Tree, path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if fs::metadata(&path)?.is_file() {
            add_file(tree, &path)?;
        }
    }
    Ok(())
}

fn add(tree: &mut Tree, path: &Path, node: Node) -> io::Result<()> {
    tree.add(path, node).map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_whole_and_at_the_end_of_paths() {
        let bytes = b"\x7fELF\x01\0child\0%s/other_child\0a grand child\0x\0ab\xffthird\0";
        let found: Vec<_> = names(bytes).map(|name| name.escape_ascii().to_string()).collect();
        assert_eq!(found, ["child", "other_child", "a grand child", "third"]);
    }

    #[test]
    fn a_program_brings_what_it_names_and_no_more() {
        let root = std::env::temp_dir().join(format!("birgus-ltp-files-{}", std::process::id()));
        let bin = root.join("testcases/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(root.join("testcases/data/one")).unwrap();
        fs::write(bin.join("one"), b"..\0two_child\0").unwrap();
        fs::write(bin.join("two_child"), b"three\0one\0").unwrap();
        fs::write(bin.join("three"), b"").unwrap();
        fs::write(bin.join("four"), b"one\0").unwrap();
        fs::write(root.join("testcases/data/one/file"), b"data").unwrap();
        let suite = Suite::open(&root).unwrap();
        let tree = suite.files_for("one").unwrap();
        let names: Vec<String> = tree
            .nodes()
            .filter(|(_, node)| matches!(node.body, Body::File(_)))
            .filter_map(|(path, _)| Some(String::from_utf8_lossy(path).rsplit_once('/')?.1.into()))
            .collect();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(names, ["group", "passwd", "one", "three", "two_child", "file"]);
        assert!(suite.has("four") && !suite.has("five"));
    }
}
