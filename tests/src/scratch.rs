//! Temporary directories that vanish with their owner.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A fresh, empty directory; removed with its content on drop.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a directory where temporary files go.
    ///
    /// # Errors
    /// When no directory can be made.
    pub fn new() -> io::Result<Self> {
        Self::inside(&std::env::temp_dir())
    }

    /// Makes a directory on a tmpfs, where there is one: what programs observe on the native
    /// side has to come from the file system that Birgus has.
    ///
    /// # Errors
    /// When no directory can be made.
    pub fn on_tmpfs() -> io::Result<Self> {
        let shared_memory = Path::new("/dev/shm");
        if shared_memory.is_dir() { Self::inside(shared_memory) } else { Self::new() }
    }

    fn inside(base: &Path) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("birgus-test-{}-{number}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into the directory and returns its path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, content)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A directory that is left behind harms nobody; the test's result matters more.
        let _ = fs::remove_dir_all(&self.path);
    }
}
