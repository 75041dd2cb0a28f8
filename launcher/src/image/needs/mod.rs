//! What a program needs to start: its interpreter, its libraries, and for a script the
//! program that executes it, all at the paths they have on the host.
//!
//! Only names decide what is brought; the dynamic linker inside does the rest.
//! - [`Needs`]: brings programs with all they need
//! - [`search`]: where a library may be
//! - [`cache`]: the dynamic linker's cache
//! - [`later`]: what C libraries load by name once they run

mod cache;
mod later;
mod search;

use super::bring::bring;
use super::tree::{Body, Node, Source, Tree};
use crate::error::reason;
use crate::escape::{escaped, escaped_os};
use cache::Cache;
use loader::elf::{Dynamic, Image, ReadError};
use loader::script::{MAX_SCRIPTS, START_LEN, Script};
use search::{Linker, Object, Search};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where ldconfig(8) puts its cache.
const CACHE: &str = "/etc/ld.so.cache";

/// Whether files of the host may be brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// They may.
    Shared,
    /// The user gave the guest a root of its own: what it has not is not there.
    Hidden,
}

/// Why a file cannot be executed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It, or what executes it, is not there.
    NotFound(String),
    /// It is there and is no program.
    NotExecutable(String),
}

impl Refusal {
    fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound(reason(error)),
            _ => Self::NotExecutable(reason(error)),
        }
    }

    /// The refusal of what this interpreter was to execute.
    fn of_interpreter(self, path: &Path) -> Self {
        let text = |reason| format!("its interpreter {}: {reason}", escaped_os(path));
        match self {
            Self::NotFound(reason) => Self::NotFound(text(reason)),
            Self::NotExecutable(reason) => Self::NotExecutable(text(reason)),
        }
    }
}

/// Brings programs with all they need.
pub(super) struct Needs<'a> {
    tree: &'a mut Tree,
    host: Host,
    environment: &'a [(OsString, OsString)],
    working_directory: &'a Path,
    cache: Option<Cache>,
    /// Programs that have all they need.
    done: HashSet<PathBuf>,
    /// One of them is dynamically linked.
    has_dynamic: bool,
    /// Libraries that were not found, each with the program or library that needs it.
    missing: Vec<(Vec<u8>, PathBuf)>,
}

impl<'a> Needs<'a> {
    pub(super) fn new(
        tree: &'a mut Tree,
        host: Host,
        environment: &'a [(OsString, OsString)],
        working_directory: &'a Path,
    ) -> Self {
        let (cache, done, missing) = (None, HashSet::new(), Vec::new());
        let has_dynamic = false;
        Self { tree, host, environment, working_directory, cache, done, has_dynamic, missing }
    }

    /// Whether one of the programs so far is dynamically linked.
    pub(super) fn has_dynamic(&self) -> bool {
        self.has_dynamic
    }

    /// What was not found, in one line.
    pub(super) fn missing(&self) -> Option<String> {
        let (name, by) = self.missing.first()?;
        let (name, by) = (escaped(name), escaped_os(by));
        let more = match self.missing.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        Some(format!("the library {name}, which {by} needs, was not found{more}"))
    }

    /// Brings the program at a path and all that it needs to start.
    ///
    /// # Errors
    /// [`Refusal`] when it cannot be executed. Libraries that are not found are noted.
    pub(super) fn program(&mut self, path: &Path) -> Result<(), Refusal> {
        self.program_within(path, MAX_SCRIPTS)
    }

    /// The same for a program that `scripts` scripts may still stand before.
    fn program_within(&mut self, path: &Path, scripts: usize) -> Result<(), Refusal> {
        let found = self.file(path).map_err(|error| Refusal::of_io(&error))?;
        if found.mode & 0o111 == 0 {
            return Err(Refusal::NotExecutable("Permission denied".into()));
        }
        if self.done.contains(&found.path) {
            return Ok(());
        }
        let mut start = [0; START_LEN];
        let len = usize::try_from(found.len).map_or(START_LEN, |len| len.min(START_LEN));
        found.file.read_exact_at(&mut start[..len], 0).map_err(|error| Refusal::of_io(&error))?;
        match Script::parse(&start[..len]) {
            Some(Ok(script)) if scripts > 0 => self.script(&script, scripts - 1),
            Some(Ok(_)) => Err(Refusal::NotExecutable("too many scripts in a row".into())),
            Some(Err(error)) => Err(Refusal::NotExecutable(error.to_string())),
            None => self.elf(&found),
        }?;
        self.done.insert(found.path);
        Ok(())
    }

    fn script(&mut self, script: &Script<'_>, scripts: usize) -> Result<(), Refusal> {
        let interpreter = self.working_directory.join(OsStr::from_bytes(script.interpreter));
        self.program_within(&interpreter, scripts)
            .map_err(|refusal| refusal.of_interpreter(&interpreter))?;
        if let Some(name) = later::program_of_env(script) {
            // It may be a name that only the script's author knows how to use.
            let _ = self.program_in_path(OsStr::from_bytes(name), scripts);
        }
        Ok(())
    }

    /// Brings a program that will be looked for in the guest's `PATH`.
    fn program_in_path(&mut self, name: &OsStr, scripts: usize) -> Result<(), Refusal> {
        let path = self.variable("PATH").unwrap_or_default();
        for folder in path.as_bytes().split(|&byte| byte == b':') {
            let file = self.working_directory.join(OsStr::from_bytes(folder)).join(name);
            match self.program_within(&file, scripts) {
                Err(Refusal::NotFound(_)) => {}
                other => return other,
            }
        }
        Err(Refusal::NotFound(format!("{} is not in PATH", escaped_os(name))))
    }

    fn elf(&mut self, program: &Found) -> Result<(), Refusal> {
        let mut read_at =
            |offset: u64, buffer: &mut [u8]| program.file.read_exact_at(buffer, offset);
        let image = Image::read(program.len, &mut read_at).map_err(refusal_of_elf)?;
        let Some(interpreter) = image.interpreter() else { return Ok(()) };
        self.has_dynamic = true;
        let path = self.working_directory.join(OsStr::from_bytes(interpreter));
        self.interpreter(&path).map_err(|refusal| refusal.of_interpreter(&path))?;
        let dynamic = Dynamic::read(program.len, &mut read_at).map_err(refusal_of_elf)?;
        self.libraries(program, dynamic.unwrap_or_default(), Linker::of_interpreter(interpreter));
        Ok(())
    }

    fn interpreter(&mut self, path: &Path) -> Result<(), Refusal> {
        let found = self.file(path).map_err(|error| Refusal::of_io(&error))?;
        let mut read_at = |offset: u64, buffer: &mut [u8]| found.file.read_exact_at(buffer, offset);
        Image::read(found.len, &mut read_at).map_err(refusal_of_elf).map(drop)
    }

    /// Brings the libraries that the program and its libraries need.
    fn libraries(&mut self, program: &Found, dynamic: Dynamic, linker: Linker) {
        let cache = self.cache.take().unwrap_or_else(|| self.read_cache(linker));
        let preloaded = later::preloaded(self.variable("LD_PRELOAD").unwrap_or_default());
        let library_path = self.variable("LD_LIBRARY_PATH").map(OsStr::to_owned);
        let search = Search {
            linker,
            library_path: library_path.as_deref(),
            working_directory: self.working_directory,
            cache: &cache,
        };
        let mut objects = vec![Object::new(&program.path, dynamic, None)];
        objects[0].dynamic.needed.extend(preloaded);
        let mut names: HashSet<Vec<u8>> = HashSet::new();
        let mut at = 0;
        while at < objects.len() {
            for name in objects[at].dynamic.needed.clone() {
                if linker.provides(&name) || !names.insert(name.clone()) {
                    continue;
                }
                if !self.library(&search, &name, &mut objects, at) {
                    self.missing.push((name, objects[at].path.clone()));
                }
            }
            at += 1;
            if at == objects.len() && names.contains(later::GNU_C_LIBRARY) {
                let more = later::libraries(self.text("/etc/nsswitch.conf").as_deref());
                let more = more.into_iter().filter(|name| names.insert(name.clone()));
                for name in more.collect::<Vec<_>>() {
                    self.library(&search, &name, &mut objects, 0);
                }
            }
        }
        self.cache = Some(cache);
    }

    /// Brings the library that `objects[by]` needs, in all its variants for different
    /// processors; whether there is one.
    fn library(
        &mut self,
        search: &Search<'_>,
        name: &[u8],
        objects: &mut Vec<Object>,
        by: usize,
    ) -> bool {
        for variants in search.places(name, objects, by) {
            let before = objects.len();
            for path in variants {
                let Some((found, dynamic)) = self.shared_object(&path) else { continue };
                objects.push(Object::new(&found.path, dynamic, Some(by)));
            }
            if objects.len() > before {
                return true;
            }
        }
        false
    }

    /// The library for this processor at a path.
    fn shared_object(&mut self, path: &Path) -> Option<(Found, Dynamic)> {
        if self.host == Host::Shared && self.tree.find(path).is_none() {
            // Before it is brought: other files are passed over by the dynamic linker.
            read_dynamic(&File::open(path).ok()?)?;
        }
        let found = self.file(path).ok()?;
        let dynamic = read_dynamic(&found.file)?;
        Some((found, dynamic))
    }

    fn read_cache(&mut self, linker: Linker) -> Cache {
        if linker == Linker::Musl {
            return Cache::default();
        }
        let found = self.file(Path::new(CACHE)).ok();
        let bytes = found.and_then(|found| fs::read(found.host).ok());
        Cache::parse(&bytes.unwrap_or_default())
    }

    /// The text of a file of the guest.
    fn text(&self, path: &str) -> Option<Vec<u8>> {
        match self.tree.find(Path::new(path))? {
            (_, Node { body: Body::File(Source::Bytes(bytes)), .. }) => Some(bytes.clone()),
            (_, Node { body: Body::File(Source::Host(host, _)), .. }) => fs::read(host).ok(),
            _ => None,
        }
    }

    fn variable(&self, name: &str) -> Option<&'a OsStr> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str())
    }

    /// The file at a path, brought if the guest has none.
    fn file(&mut self, path: &Path) -> io::Result<Found> {
        if self.tree.find(path).is_none() && self.host == Host::Shared {
            if !fs::metadata(path)?.is_file() {
                return Err(io::Error::other("it is not a regular file"));
            }
            bring(self.tree, path)?;
        }
        let (path, node) = self.tree.find(path).ok_or(rustix::io::Errno::NOENT)?;
        match &node.body {
            Body::File(Source::Host(host, len)) => Ok(Found {
                file: File::open(host)?,
                host: host.clone(),
                len: *len,
                mode: node.mode,
                path,
            }),
            Body::File(Source::Bytes(_)) => Err(io::Error::other("it is made by Birgus")),
            Body::Directory => Err(io::ErrorKind::IsADirectory.into()),
            _ => Err(io::Error::other("it is not a regular file")),
        }
    }
}

/// A file that the guest has.
struct Found {
    /// Its path in the guest, without symbolic links.
    path: PathBuf,
    /// Its path on the host.
    host: PathBuf,
    file: File,
    len: u64,
    mode: u32,
}

fn read_dynamic(file: &File) -> Option<Dynamic> {
    let len = file.metadata().ok().filter(fs::Metadata::is_file)?.len();
    let mut read_at = |offset: u64, buffer: &mut [u8]| file.read_exact_at(buffer, offset);
    Dynamic::read(len, &mut read_at).ok().flatten()
}

fn refusal_of_elf(error: ReadError<io::Error>) -> Refusal {
    match error {
        ReadError::Elf(error) => Refusal::NotExecutable(error.to_string()),
        ReadError::Io(error) => Refusal::of_io(&error),
    }
}
