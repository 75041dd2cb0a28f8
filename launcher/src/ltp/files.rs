//! The files that an entry needs, so that its machine gets those and no others.
//!
//! The program itself; the programs of the suite's `testcases/bin` that it may execute, which
//! are those whose names it contains as a whole string or as the end of a path, and theirs;
//! the [`tools`](super::tools) of the host that they name; its directory in `testcases/data`.
//! Around them the users and groups that tests look for.

use super::tools::{self, Tools, strings};
use crate::Error;
use crate::escape::escaped_os;
use crate::image::{Body, Node, Source, Tree};
use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where tests find what Birgus says of itself as a kernel's configuration says it.
pub(super) const CONFIGURATION_PATH: &str = "/etc/kernel.config";

/// What tests cannot find out otherwise: the format of records of processes.
const CONFIGURATION: &str = "CONFIG_BSD_PROCESS_ACCT=y\nCONFIG_BSD_PROCESS_ACCT_V3=y\n";

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

/// How the names of the other suite's programs end.
pub const POSIX_TEST: &[u8] = b".run-test";

/// How deep the other suite's programs may lie below its folder.
const DEEPEST: usize = 4;

/// Which suite it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The Linux Test Project's tests of system calls.
    #[default]
    Ltp,
    /// The conformance tests of its open_posix_testsuite.
    Posix,
}

/// An installed suite.
#[derive(Debug)]
pub struct Suite {
    root: PathBuf,
    kind: Kind,
    /// The programs by what names them, with their lengths in bytes: LTP's by their names,
    /// the other suite's by their paths below the root.
    programs: HashMap<Vec<u8>, u64>,
    tools: Tools,
}

/// What a machine needs for some programs.
#[derive(Debug, Default)]
pub struct Needed {
    /// The files of the suite, users and groups.
    pub tree: Tree,
    /// Programs of the host.
    pub tools: BTreeSet<PathBuf>,
}

impl Suite {
    /// Looks at the suite that is installed in `root`.
    ///
    /// # Errors
    /// It has no `testcases/bin`, or no `conformance`.
    pub fn open(root: &Path, kind: Kind) -> Result<Self, Error> {
        let cannot = |error| Error::io(escaped_os(root), &error);
        let root = root.canonicalize().map_err(cannot)?;
        let tools = Tools::find(tools::FOLDERS.iter().map(Path::new));
        let mut suite = Self { root, kind, programs: HashMap::new(), tools };
        let folder = suite.folder();
        suite.look(&folder, 0).map_err(|error| {
            Error::io(format_args!("cannot read {}", escaped_os(&folder)), &error)
        })?;
        Ok(suite)
    }

    /// The folder of its programs.
    fn folder(&self) -> PathBuf {
        self.root.join(match self.kind {
            Kind::Ltp => "testcases/bin",
            Kind::Posix => "conformance",
        })
    }

    /// Takes the programs of a folder.
    fn look(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let name = match self.kind {
                Kind::Ltp => path.file_name().map(OsStr::as_bytes),
                Kind::Posix => {
                    path.strip_prefix(&self.root).ok().map(|path| path.as_os_str().as_bytes())
                }
            };
            let Some(name) = name else { continue };
            if metadata.is_file() && (self.kind == Kind::Ltp || name.ends_with(POSIX_TEST)) {
                self.programs.insert(name.to_vec(), metadata.len());
            } else if metadata.is_dir() && self.kind == Kind::Posix && depth < DEEPEST {
                self.look(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Its directory, on the host and in the guest.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Which suite it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it has a program.
    #[must_use]
    pub fn has(&self, program: &str) -> bool {
        self.programs.contains_key(program.as_bytes())
    }

    /// The names of its programs, in order.
    #[must_use]
    pub fn programs(&self) -> Vec<String> {
        let name = |name: &Vec<u8>| String::from_utf8(name.clone()).ok();
        let mut names: Vec<String> = self.programs.keys().filter_map(name).collect();
        names.sort_unstable();
        names
    }

    /// The path of a program, on the host and in the guest.
    #[must_use]
    pub fn path(&self, program: &str) -> PathBuf {
        self.path_of(program.as_bytes())
    }

    fn path_of(&self, program: &[u8]) -> PathBuf {
        let program = OsStr::from_bytes(program);
        match self.kind {
            Kind::Ltp => self.folder().join(program),
            Kind::Posix => self.root.join(program),
        }
    }

    /// Where tests look for programs, as `PATH` says it.
    #[must_use]
    pub fn search_path(&self) -> OsString {
        let own = match self.kind {
            Kind::Ltp => Some(self.folder()),
            Kind::Posix => None,
        };
        let folders = own.into_iter().chain(tools::FOLDERS.iter().map(PathBuf::from));
        let folders: Vec<OsString> = folders.map(PathBuf::into_os_string).collect();
        folders.join(OsStr::new(":"))
    }

    /// What a machine needs for these programs.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn needed<'a>(&self, programs: impl Iterator<Item = &'a str>) -> io::Result<Needed> {
        let mut needed = Needed::default();
        // Open to all, also where the suite lies below it.
        add(&mut needed.tree, Path::new("/tmp"), Node::directory(0o1777))?;
        let programs: BTreeSet<&str> = programs.collect();
        for name in self.closure(&programs, &mut needed.tools)? {
            add_file(&mut needed.tree, &self.path_of(&name))?;
        }
        for program in programs.iter().filter(|_| self.kind == Kind::Ltp) {
            add_directory(&mut needed.tree, &self.root.join("testcases/data").join(program))?;
        }
        add(&mut needed.tree, Path::new("/etc/passwd"), Node::file(0o644, PASSWD))?;
        add(&mut needed.tree, Path::new("/etc/group"), Node::file(0o644, GROUP))?;
        add(&mut needed.tree, Path::new(CONFIGURATION_PATH), Node::file(0o644, CONFIGURATION))?;
        Ok(needed)
    }

    /// The programs, and every program that is named in one that is brought along.
    fn closure(
        &self,
        programs: &BTreeSet<&str>,
        tools: &mut BTreeSet<PathBuf>,
    ) -> io::Result<BTreeSet<Vec<u8>>> {
        let mut pending: Vec<Vec<u8>> =
            programs.iter().map(|program| program.as_bytes().to_vec()).collect();
        let mut found: BTreeSet<Vec<u8>> = pending.iter().cloned().collect();
        while let Some(name) = pending.pop() {
            let bytes = fs::read(self.path_of(&name))?;
            for named in names(&bytes) {
                if let Some((known, &len)) = self.programs.get_key_value(named)
                    && len <= LARGEST_HELPER
                    && found.insert(known.clone())
                {
                    pending.push(known.clone());
                }
            }
            tools.extend(self.tools.named_in(&bytes));
        }
        self.tools_of_scripts(tools)?;
        Ok(found)
    }

    /// Adds the programs that scripts among the programs of the host name.
    fn tools_of_scripts(&self, tools: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        let mut pending: Vec<PathBuf> = tools.iter().cloned().collect();
        while let Some(path) = pending.pop() {
            let mut start = [0; 2];
            let mut file = fs::File::open(&path)?;
            if file.read(&mut start)? < start.len() || &start != b"#!" {
                continue;
            }
            for named in self.tools.named_in(&fs::read(&path)?) {
                if tools.insert(named.clone()) {
                    pending.push(named);
                }
            }
        }
        Ok(())
    }
}

/// The last components of all strings of a program, which may be the name of another.
fn names(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    strings(bytes)
        .filter_map(|text| text.rsplit(|&byte| byte == b'/').next())
        .filter(|name| name.len() > 2)
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

/// Adds a file to a tree.
pub(super) fn add(tree: &mut Tree, path: &Path, node: Node) -> io::Result<()> {
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
        let suite = Suite::open(&root, Kind::Ltp).unwrap();
        let tree = suite.needed(["one"].into_iter()).unwrap().tree;
        let names: Vec<String> = tree
            .nodes()
            .filter(|(_, node)| matches!(node.body, Body::File(_)))
            .filter_map(|(path, _)| Some(String::from_utf8_lossy(path).rsplit_once('/')?.1.into()))
            .collect();
        // The suite of this test lies below it.
        assert_eq!(tree.find(Path::new("/tmp")).unwrap().1.mode & 0o7777, 0o1777);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(
            names,
            ["group", "kernel.config", "passwd", "one", "three", "two_child", "file"]
        );
        assert!(suite.has("four") && !suite.has("five"));
    }
}
