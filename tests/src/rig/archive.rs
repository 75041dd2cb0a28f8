//! The rig's root file system.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is in a directory of Python's library and not needed to run programs.
const DISPENSABLE: [&str; 2] = ["__pycache__", "test"];

/// A newc archive (cpio(5)) that is being written, with the directories that its files need.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    directories: Vec<String>,
    files: Vec<String>,
    entries: u32,
}

impl Archive {
    /// A file of the host with the libraries that it needs, or a directory.
    pub(super) fn bring(&mut self, path: &str, host: &Path) -> io::Result<()> {
        if host.is_dir() {
            for entry in fs::read_dir(host)? {
                let host = entry?.path();
                let name = host.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if host.exists() && !DISPENSABLE.contains(&name.as_str()) {
                    self.bring(&format!("{path}/{name}"), &host)?;
                }
            }
            return Ok(());
        }
        self.copy(path, host)?;
        for library in libraries(host)? {
            let path = library.to_string_lossy().trim_start_matches('/').to_owned();
            if !self.files.contains(&path) {
                self.copy(&path, &library)?;
            }
        }
        Ok(())
    }

    /// A file of the host.
    pub(super) fn copy(&mut self, path: &str, host: &Path) -> io::Result<()> {
        let mode = fs::metadata(host)?.permissions().mode();
        self.file(path, mode & 0o777, &fs::read(host)?);
        Ok(())
    }

    /// A file with these contents.
    pub(super) fn file(&mut self, path: &str, mode: u32, contents: &[u8]) {
        self.make_parents(path);
        self.files.push(path.to_owned());
        self.entry(path, 0o100_000 | mode, (0, 0), contents);
    }

    /// A device.
    pub(super) fn node(&mut self, path: &str, mode: u32, device: (u32, u32)) {
        self.make_parents(path);
        self.entry(path, mode, device, b"");
    }

    fn make_parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            let directory = path[..end].to_owned();
            if !self.directories.contains(&directory) {
                self.entry(&directory, 0o40_755, (0, 0), b"");
                self.directories.push(directory);
            }
        }
    }

    fn entry(&mut self, name: &str, mode: u32, (major, minor): (u32, u32), contents: &[u8]) {
        let len = u32::try_from(contents.len()).expect("a file of an archive is below 4 GiB");
        self.entries += 1;
        let name_len = name.len() as u32 + 1;
        let fields = [self.entries, mode, 0, 0, 1, 0, len, 0, 0, major, minor, name_len, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes().chain([0]));
        self.pad();
        self.bytes.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The archive's bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), b"");
        self.bytes
    }
}

/// The libraries of a program, its interpreter among them; none where it is static or no program.
fn libraries(program: &Path) -> io::Result<Vec<PathBuf>> {
    let mut magic = [0; 4];
    io::Read::read(&mut fs::File::open(program)?, &mut magic)?;
    if &magic != b"\x7fELF" {
        return Ok(Vec::new());
    }
    let found = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    let paths = text.lines().filter_map(|line| {
        line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from)
    });
    Ok(paths.collect())
}
