//! The programs of `tests/programs`, and how they are built.
//!
//! A program is one C, C++ or Rust source file. Comment lines at its beginning say how it is
//! built and run, with `// KEY: VALUE`:
//! - `build`: the libraries to build it with, `glibc` (the default), `pie` (glibc, static
//!   and position independent) and `musl`
//! - `flags`: more arguments for the compiler
//! - `args`: its arguments, separated by spaces, taken as they are
//! - `env`: one environment variable, `NAME=VALUE`; repeats
//! - `stdin`: that many bytes of a fixed pattern on standard input
//! - `stdout: closed`: standard output is a pipe that nobody reads
//! - `timeout`: seconds for the run in Birgus, [`DEFAULT_LIMIT`] otherwise
//!
//! `NAME.stdin` beside the source is what it gets on standard input.
//!
//! The programs of the folders `boot` and `ltp` are not compared with Linux: the tests of the
//! same names use them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::run::{Given, Stdout};
use crate::target_directory;

/// Time for a run in Birgus, where the source does not say otherwise.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// A library and form to build a program with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// The GNU C library, at a fixed address.
    Glibc,
    /// The GNU C library, position independent.
    Pie,
    /// musl.
    Musl,
}

impl Library {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "glibc" => Some(Self::Glibc),
            "pie" => Some(Self::Pie),
            "musl" => Some(Self::Musl),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Pie => "pie",
            Self::Musl => "musl",
        }
    }
}

/// What the beginning of a source file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `build`
    pub libraries: Vec<Library>,
    /// `flags`
    pub flags: Vec<String>,
    /// `args`
    pub arguments: Vec<String>,
    /// `env`
    pub environment: Vec<String>,
    /// `stdin`, in bytes
    pub stdin_length: usize,
    /// `stdout: closed`
    pub stdout_closed: bool,
    /// `timeout`
    pub limit: Option<Duration>,
}

impl Directives {
    /// Reads the comment lines at the beginning of `source`.
    ///
    /// # Errors
    /// The line that has a known key and a bad value.
    pub fn read(source: &str) -> Result<Self, String> {
        let mut found = Self::default();
        for line in source.lines().map_while(|line| line.strip_prefix("//")) {
            if let Some((key, value)) = line.trim_start().split_once(": ") {
                found.set(key, value).ok_or_else(|| format!("bad directive: {line}"))?;
            }
        }
        if found.libraries.is_empty() {
            found.libraries.push(Library::Glibc);
        }
        Ok(found)
    }

    /// `None` when the value is bad; prose with a colon is no directive.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "build" => {
                self.libraries =
                    value.split_whitespace().map(Library::from_name).collect::<Option<_>>()?;
            }
            "flags" => self.flags = value.split_whitespace().map(str::to_owned).collect(),
            "args" => self.arguments = value.split_whitespace().map(str::to_owned).collect(),
            "env" => self.environment.push(value.contains('=').then(|| value.to_owned())?),
            "stdin" => self.stdin_length = value.parse().ok()?,
            "stdout" => self.stdout_closed = (value == "closed").then_some(true)?,
            "timeout" => self.limit = Some(Duration::from_secs(value.parse().ok()?)),
            _ => {}
        }
        Some(())
    }
}

/// A program with one of its libraries.
#[derive(Clone, Debug)]
pub struct Program {
    /// File name of the source without its extension.
    pub name: String,
    /// How to build it.
    pub library: Library,
    /// How to run it.
    pub directives: Directives,
    source: PathBuf,
}

impl Program {
    /// All programs with all their libraries, ordered by name.
    ///
    /// # Errors
    /// When a source cannot be read or says something strange.
    pub fn all() -> io::Result<Vec<Self>> {
        Self::in_folders(&["", "rust"])
    }

    /// The programs of the folder `open`: where Birgus still differs from Linux.
    ///
    /// # Errors
    /// As [`Program::all`].
    pub fn open() -> io::Result<Vec<Self>> {
        // Without any, there is no folder: git keeps none that is empty.
        match Self::in_folders(&["open"]) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            found => found,
        }
    }

    /// The program of the folder `boot` with this name.
    ///
    /// # Errors
    /// When there is none, or its source cannot be read.
    pub fn for_boot(name: &str) -> io::Result<Self> {
        let found = Self::in_folders(&["boot"])?.into_iter().find(|program| program.name == name);
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no program {name}")))
    }

    /// The program of the folder `ltp` with this name.
    ///
    /// # Errors
    /// When there is none, or its source cannot be read.
    pub fn for_ltp(name: &str) -> io::Result<Self> {
        let found = Self::in_folders(&["ltp"])?.into_iter().find(|program| program.name == name);
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no program {name}")))
    }

    fn in_folders(folders: &[&str]) -> io::Result<Vec<Self>> {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
        let mut sources = Vec::new();
        for folder in folders {
            for entry in fs::read_dir(programs.join(folder))? {
                let path = entry?.path();
                let extension = path.extension().and_then(|extension| extension.to_str());
                if matches!(extension, Some("c" | "cc" | "rs")) {
                    sources.push(path);
                }
            }
        }
        sources.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        let mut all = Vec::new();
        for source in sources {
            let directives = Directives::read(&fs::read_to_string(&source)?)
                .map_err(|error| io::Error::other(format!("{}: {error}", source.display())))?;
            let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            for &library in &directives.libraries {
                let (name, source) = (name.clone(), source.clone());
                all.push(Self { name, library, directives: directives.clone(), source });
            }
        }
        Ok(all)
    }

    /// The test's name: the program's, and its library when it is built with several.
    #[must_use]
    pub fn test_name(&self) -> String {
        if self.directives.libraries.len() == 1 {
            self.name.clone()
        } else {
            format!("{}::{}", self.name, self.library.name())
        }
    }

    /// What it gets on its streams, and `limit` of time.
    ///
    /// # Errors
    /// When its input cannot be read.
    pub fn given(&self, limit: Duration) -> io::Result<Given> {
        let file = self.source.with_extension("stdin");
        let stdin =
            if file.exists() { fs::read(file)? } else { pattern(self.directives.stdin_length) };
        let stdout = if self.directives.stdout_closed { Stdout::Closed } else { Stdout::Collected };
        Ok(Given { stdin, stdout, limit })
    }

    /// Builds the program in the target directory, unless it is newer than its sources and
    /// the runner, and returns its path.
    ///
    /// # Errors
    /// When the compiler is missing or does not accept the program; its words are on
    /// standard error.
    pub fn build(&self) -> io::Result<PathBuf> {
        let directory = target_directory().join("programs").join(self.library.name());
        fs::create_dir_all(&directory)?;
        let output = directory.canonicalize()?.join(&self.name);
        if is_current(&output, self.newest_source()?) {
            return Ok(output);
        }
        // Under a name of its own first: an interrupted compiler leaves no half program, and
        // two tests may build the same one.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let partial = output.with_extension(format!("{}-{number}", process::id()));
        let mut compiler = self.compiler();
        let status = compiler.arg("-o").arg(&partial).arg(&self.source).status();
        let status = status.map_err(|error| {
            let name = compiler.get_program().to_string_lossy().into_owned();
            io::Error::new(error.kind(), format!("{name}: {error} (scripts/test installs it)"))
        })?;
        if !status.success() {
            return Err(io::Error::other(format!("{} does not compile", self.source.display())));
        }
        fs::rename(partial, &output)?;
        Ok(output)
    }

    fn compiler(&self) -> Command {
        let extension = self.source.extension().and_then(|extension| extension.to_str());
        let (compiler, arguments): (_, &[&str]) = match (extension, self.library) {
            (Some("rs"), _) => {
                ("rustc", &["--edition=2024", "-Copt-level=2", "-Ctarget-feature=+crt-static"])
            }
            (Some("cc"), _) => ("g++", &["-std=c++17", "-static", "-O2", "-w"]),
            // Warnings are off: to pass bad addresses is what the programs are for.
            (_, Library::Glibc) => ("gcc", &["-static", "-no-pie", "-O2", "-w"]),
            (_, Library::Pie) => ("gcc", &["-static-pie", "-fPIE", "-O2", "-w"]),
            (_, Library::Musl) => ("musl-gcc", &["-static", "-O2", "-w"]),
        };
        let mut command = Command::new(compiler);
        command.args(arguments).args(&self.directives.flags);
        command
    }

    /// The time of the latest change to anything the program is made from.
    fn newest_source(&self) -> io::Result<SystemTime> {
        let mut newest = fs::metadata(std::env::current_exe()?)?.modified()?;
        let directory = self.source.parent().unwrap_or(Path::new("."));
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path == self.source || path.extension().is_some_and(|extension| extension == "h") {
                newest = newest.max(fs::metadata(path)?.modified()?);
            }
        }
        Ok(newest)
    }
}

fn is_current(output: &Path, newest_source: SystemTime) -> bool {
    let built = fs::metadata(output).and_then(|metadata| metadata.modified());
    built.is_ok_and(|built| built > newest_source)
}

/// `length` bytes in which every portion looks different.
#[must_use]
pub fn pattern(length: usize) -> Vec<u8> {
    // A xorshift generator, so that lost, doubled and swapped portions all show.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_from_the_first_comment_only() {
        let source = "// About: prose.\n// build: pie musl\n// args: a \"b\" *\n// env: A=b c\n\
                      // timeout: 7\n\n// stdin: 5\n";
        let found = Directives::read(source).unwrap();
        assert_eq!(found.libraries, [Library::Pie, Library::Musl]);
        assert_eq!(found.arguments, ["a", "\"b\"", "*"]);
        assert_eq!(found.environment, ["A=b c"]);
        assert_eq!(found.limit, Some(Duration::from_secs(7)));
        assert_eq!((found.stdin_length, found.stdout_closed), (0, false));
    }

    #[test]
    fn a_bad_directive_is_named() {
        let error = Directives::read("// build: libc5\n").unwrap_err();
        assert!(error.contains("libc5"), "{error}");
        assert!(Directives::read("// stdout: open\n").is_err());
        assert!(Directives::read("// env: NAME\n").is_err());
    }

    #[test]
    fn the_default_is_glibc() {
        assert_eq!(Directives::read("int x;\n").unwrap().libraries, [Library::Glibc]);
    }

    #[test]
    fn every_program_has_a_readable_header_and_a_name_of_its_own() {
        let mut names: Vec<_> =
            Program::all().unwrap().iter().map(|program| program.test_name()).collect();
        assert!(names.len() > 50);
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_pattern_has_its_length_and_does_not_repeat() {
        let bytes = pattern(1003);
        assert_eq!(bytes.len(), 1003);
        assert_ne!(bytes[..100], bytes[100..200]);
    }
}
