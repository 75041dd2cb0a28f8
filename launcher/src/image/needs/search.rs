//! Where a library may be: the places the dynamic linker looks at (ld.so(8)).

use super::cache::Cache;
use loader::elf::Dynamic;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The dynamic linker, by whose rules libraries are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linker {
    /// That of the GNU C library.
    Glibc,
    /// That of musl.
    Musl,
}

impl Linker {
    /// The one that this interpreter is.
    pub(super) fn of_interpreter(path: &[u8]) -> Self {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        if name.starts_with(b"ld-musl-") { Self::Musl } else { Self::Glibc }
    }

    /// Directories without any configuration; not every one is known to every build.
    fn directories(self) -> &'static [&'static str] {
        match self {
            Self::Glibc => &[
                "/lib/x86_64-linux-gnu",
                "/usr/lib/x86_64-linux-gnu",
                "/lib64",
                "/usr/lib64",
                "/lib",
                "/usr/lib",
            ],
            Self::Musl => &["/lib", "/usr/local/lib", "/usr/lib"],
        }
    }

    /// Whether the linker itself is the library with this name.
    pub(super) fn provides(self, name: &[u8]) -> bool {
        self == Self::Musl && (name == b"libc.so" || name.starts_with(b"libc.musl-"))
    }
}

/// A program or library that needs others.
#[derive(Debug)]
pub(super) struct Object {
    /// Its path in the guest, without symbolic links.
    pub(super) path: PathBuf,
    /// What it says.
    pub(super) dynamic: Dynamic,
    /// Which of the objects needed it; `None` for the program.
    pub(super) needed_by: Option<usize>,
}

impl Object {
    pub(super) fn new(path: &Path, dynamic: Dynamic, needed_by: Option<usize>) -> Self {
        Self { path: path.to_owned(), dynamic, needed_by }
    }

    /// Its directory (`$ORIGIN`).
    fn origin(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

/// What is the same for all libraries of a program.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) linker: Linker,
    /// The program's `LD_LIBRARY_PATH`.
    pub(super) library_path: Option<&'a OsStr>,
    /// The program's working directory.
    pub(super) working_directory: &'a Path,
    pub(super) cache: &'a Cache,
}

/// Subdirectories with libraries for newer processors, the newest first: what the machine has
/// is seen only there.
const PROCESSORS: [&str; 3] =
    ["glibc-hwcaps/x86-64-v4", "glibc-hwcaps/x86-64-v3", "glibc-hwcaps/x86-64-v2"];

impl Search<'_> {
    /// Where the library `name` may be that `objects[by]` needs, in the order of preference.
    /// Those in one list are the same library for different processors.
    pub(super) fn places(&self, name: &[u8], objects: &[Object], by: usize) -> Vec<Vec<PathBuf>> {
        let file = Path::new(OsStr::from_bytes(name));
        if name.contains(&b'/') {
            return vec![vec![self.working_directory.join(file)]];
        }
        let mut places: Vec<_> = self
            .directories(objects, by)
            .iter()
            .map(|folder| self.variants(folder, file))
            .collect();
        if !objects[by].dynamic.no_default_places {
            places.push(self.cache.paths(name).to_vec());
            let folders = self.linker.directories();
            places.extend(folders.iter().map(|folder| self.variants(Path::new(folder), file)));
        }
        places
    }

    fn variants(&self, folder: &Path, file: &Path) -> Vec<PathBuf> {
        let processors: &[&str] = if self.linker == Linker::Glibc { &PROCESSORS } else { &[] };
        let special = processors.iter().map(|processor| folder.join(processor).join(file));
        special.chain([folder.join(file)]).collect()
    }

    /// The directories that the objects and the environment name.
    fn directories(&self, objects: &[Object], by: usize) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let object = &objects[by];
        let mut next = Some(by).filter(|_| object.dynamic.runpath.is_none());
        while let Some(at) = next {
            let Object { dynamic, needed_by, .. } = &objects[at];
            if let (Some(list), None) = (&dynamic.rpath, &dynamic.runpath) {
                found.extend(self.expand(list, objects[at].origin()));
            }
            next = *needed_by;
        }
        if let Some(list) = self.library_path {
            let list = list.as_bytes();
            found.extend(
                list.split(|&byte| byte == b';')
                    .flat_map(|list| self.expand(list, objects[0].origin())),
            );
        }
        if let Some(list) = &object.dynamic.runpath {
            found.extend(self.expand(list, object.origin()));
        }
        found
    }

    /// The directories of a list, their dynamic string tokens replaced.
    fn expand(&self, list: &[u8], origin: &Path) -> Vec<PathBuf> {
        // Which of the two `$LIB` stands for is decided when the linker is built.
        let libs = ["lib/x86_64-linux-gnu", "lib64"];
        let folders = list.split(|&byte| byte == b':');
        let mut found = Vec::new();
        for folder in folders {
            let folder = replace(folder, "ORIGIN", origin.as_os_str().as_bytes());
            let folder = replace(&folder, "PLATFORM", b"x86_64");
            for lib in libs {
                let folder = replace(&folder, "LIB", lib.as_bytes());
                let path = self.working_directory.join(OsStr::from_bytes(&folder));
                if found.last() != Some(&path) {
                    found.push(path);
                }
            }
        }
        found
    }
}

/// Replaces `$NAME` and `${NAME}`.
fn replace(text: &[u8], name: &str, value: &[u8]) -> Vec<u8> {
    let forms = [format!("${{{name}}}"), format!("${name}")];
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let form = forms.iter().find_map(|form| rest.strip_prefix(form.as_bytes()));
        match form {
            Some(after) => {
                out.extend_from_slice(value);
                rest = after;
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(origin: &str, rpath: Option<&str>, runpath: Option<&str>) -> Object {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let dynamic =
            Dynamic { rpath: rpath.map(bytes), runpath: runpath.map(bytes), ..Dynamic::default() };
        Object::new(&Path::new(origin).join("file"), dynamic, None)
    }

    fn bases(objects: &[Object], by: usize, library_path: Option<&str>) -> Vec<String> {
        let cache = Cache::default();
        let search = Search {
            linker: Linker::Glibc,
            library_path: library_path.map(OsStr::new),
            working_directory: Path::new("/w"),
            cache: &cache,
        };
        let places = search.places(b"liba.so", objects, by);
        let last = places.iter().filter_map(|variants| variants.last());
        last.map(|path| path.parent().unwrap().display().to_string()).collect()
    }

    #[test]
    fn the_order_is_that_of_ld_so() {
        let program = object("/p", Some("$ORIGIN/r:rel"), None);
        let library = Object { needed_by: Some(0), ..object("/l", Some("/lr"), None) };
        let with_runpath =
            Object { needed_by: Some(1), ..object("/m", Some("/mr"), Some("${ORIGIN}")) };
        let objects = [program, library, with_runpath];
        let start = |by, path| -> Vec<String> {
            let mut all = bases(&objects, by, path);
            let defaults = all.iter().position(|path| path == "/lib/x86_64-linux-gnu");
            all.truncate(defaults.unwrap());
            all
        };
        assert_eq!(start(0, None), ["/p/r", "/w/rel"]);
        assert_eq!(start(1, Some("/e")), ["/lr", "/p/r", "/w/rel", "/e"]);
        assert_eq!(start(2, Some("/e:;$ORIGIN")), ["/e", "/w", "/p", "/m"]);
    }

    #[test]
    fn tokens_are_replaced_where_they_stand() {
        assert_eq!(replace(b"$ORIGIN/../${ORIGIN}$x$", "ORIGIN", b"/o"), b"/o/..//o$x$");
        let objects = [object("/p", None, Some("/x/$LIB"))];
        let all = bases(&objects, 0, None);
        assert_eq!(all[..2], ["/x/lib/x86_64-linux-gnu", "/x/lib64"]);
    }

    #[test]
    fn a_library_may_refuse_the_default_places() {
        let mut objects = [object("/p", None, Some("/r"))];
        objects[0].dynamic.no_default_places = true;
        assert_eq!(bases(&objects, 0, None), ["/r"]);
    }

    #[test]
    fn musl_is_its_own_library() {
        let linker = Linker::of_interpreter(b"/lib/ld-musl-x86_64.so.1");
        assert!(linker.provides(b"libc.so") && linker.provides(b"libc.musl-x86_64.so.1"));
        assert!(!linker.provides(b"libz.so.1"));
        let linker = Linker::of_interpreter(b"/lib64/ld-linux-x86-64.so.2");
        assert!(!linker.provides(b"libc.so"));
    }
}
