//! The name of a core dump: core(5), "Naming of core dump files".

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use abi::fs::{AT_FDCWD, FileType, Mode, OpenFlags, ResolveFlags};
use abi::process::Resource;
use abi::time::NS_PER_SECOND;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::open::{self, How};
use crate::fs::{Fd, OpenFile, path, tree};
use crate::mm::{Backing, Object};

use super::Death;

/// Longest pattern, in bytes (`CORENAME_MAX_SIZE` with its NUL).
const MAX_PATTERN: usize = 127;

/// What /proc/sys/kernel says of core dumps.
pub(crate) struct Settings {
    pattern: Mutex<Vec<u8>>,
    adds_id: AtomicBool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { pattern: Mutex::new(b"core".to_vec()), adds_id: AtomicBool::new(false) }
    }
}

impl Settings {
    /// core_pattern.
    pub(crate) fn pattern(&self) -> Vec<u8> {
        self.pattern.lock().clone()
    }

    /// Sets core_pattern.
    ///
    /// # Errors
    /// `EINVAL` for a pattern that is too long, or names a program to pipe dumps to.
    pub(crate) fn set_pattern(&self, pattern: &[u8]) -> Result<()> {
        if pattern.len() > MAX_PATTERN {
            return Err(Errno::EINVAL.because("the pattern is too long"));
        }
        if pattern.starts_with(b"|") {
            return Err(Errno::EINVAL.because("core dumps cannot be piped to a program"));
        }
        *self.pattern.lock() = pattern.to_vec();
        Ok(())
    }

    /// core_uses_pid: whether names without a `%p` get a dot and the number of the process.
    pub(crate) fn adds_id(&self) -> bool {
        self.adds_id.load(Ordering::Relaxed)
    }

    /// Sets core_uses_pid.
    pub(crate) fn set_adds_id(&self, adds: bool) {
        self.adds_id.store(adds, Ordering::Relaxed);
    }
}

impl Context<'_> {
    /// Makes the file for the dump; `None` where no name means that there is none.
    ///
    /// # Errors
    /// Those of open(2); `EPERM` for a file that is not regular, has further names, or is
    /// another user's.
    pub(super) fn open_core(&self, death: &Death<'_>) -> Result<Option<Arc<OpenFile>>> {
        let name = self.core_name(death);
        if name.is_empty() {
            return Ok(None);
        }
        // An absolute name is seen from the root of the system.
        self.thread.part_from_paths();
        if name.starts_with(b"/") {
            self.paths().set_root(self.system.vfs.root().clone());
        }
        // An earlier one goes. Where it cannot, that shows next.
        let _ = self.remove_file(&name);
        let flags = OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::RDWR | OpenFlags::NOFOLLOW;
        let mode = Mode::OWNER_READ | Mode::OWNER_WRITE;
        let how = How { flags, mode, resolve: ResolveFlags::empty() };
        let open = open::open(self, Fd(AT_FDCWD), name, how)?;
        let metadata = open.file.inode().metadata()?;
        let is_own = metadata.owner == self.credentials().users.file_system;
        if metadata.kind != FileType::Regular || metadata.links != 1 || !is_own {
            return Err(Errno::EPERM.because("not a file for a core dump"));
        }
        Ok(Some(open))
    }

    fn remove_file(&self, name: &[u8]) -> Result<()> {
        tree::unlink(self, &path::parent(self, Fd(AT_FDCWD), name.to_vec())?)
    }

    fn core_name(&self, death: &Death<'_>) -> Vec<u8> {
        let pattern = self.system.core_dumps.pattern();
        let mut name = Vec::new();
        let mut has_id = false;
        let mut rest = pattern.iter();
        while let Some(&byte) = rest.next() {
            match byte {
                b'%' => {
                    let Some(&letter) = rest.next() else { break };
                    has_id |= letter == b'p';
                    self.expand(letter, death, &mut name);
                }
                _ => name.push(byte),
            }
        }
        if !has_id && self.system.core_dumps.adds_id() {
            name.extend_from_slice(alloc::format!(".{}", self.process.id()).as_bytes());
        }
        name
    }

    /// Adds what `%` and `letter` stand for; nothing for a letter without a meaning.
    fn expand(&self, letter: u8, death: &Death<'_>, name: &mut Vec<u8>) {
        let who = self.credentials();
        let number = match letter {
            b'%' => return name.push(b'%'),
            b'e' => return put_word(name, &self.thread.name()),
            b'f' => {
                let path = self.program_path();
                let file = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                return put_word(name, file);
            }
            b'E' => return put_word(name, &self.program_path()),
            b'h' => return put_word(name, &self.thread.namespaces().uts.host_name()),
            b'p' | b'P' => u64::from(self.process.id()),
            b'i' | b'I' => u64::from(self.thread.id()),
            b'u' => u64::from(who.users.real),
            b'g' => u64::from(who.groups.real),
            // Only what may be dumped is.
            b'd' => 1,
            b's' => u64::from(death.signal.number()),
            b't' => self.system.machine.wall_clock_ns() / NS_PER_SECOND,
            b'c' => self.process.limits().current(Resource::Core),
            b'C' => 0,
            _ => return,
        };
        name.extend_from_slice(alloc::format!("{number}").as_bytes());
    }

    /// The path of the file that the program was loaded from.
    fn program_path(&self) -> Vec<u8> {
        let memory = self.memory();
        let image = memory.places().map_or(0..0, |places| places.image.clone());
        let path = memory.areas().into_iter().find_map(|area| match area.backing {
            Backing::Object(Object::File { open, .. }, _) if image.contains(&area.range.start) => {
                Some(open.location().shown_path(self.system.vfs.root()))
            }
            _ => None,
        });
        path.unwrap_or_else(|| self.thread.name())
    }
}

/// Adds a word that is to be part of one file name.
fn put_word(name: &mut Vec<u8>, word: &[u8]) {
    let start = name.len();
    name.extend(word.iter().map(|&byte| if byte == b'/' { b'!' } else { byte }));
    if matches!(&name[start..], b"." | b"..") {
        name[start] = b'!';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_within_one_name() {
        let mut name = b"core.".to_vec();
        put_word(&mut name, b"/bin/a");
        assert_eq!(name, b"core.!bin!a");
        let mut name = Vec::new();
        put_word(&mut name, b"..");
        assert_eq!(name, b"!.");
    }

    #[test]
    fn patterns_have_a_length_and_no_program() {
        let settings = Settings::default();
        assert_eq!(settings.set_pattern(&[b'a'; 128]).unwrap_err().errno, Errno::EINVAL);
        assert_eq!(settings.set_pattern(b"|/bin/cat").unwrap_err().errno, Errno::EINVAL);
        settings.set_pattern(b"/tmp/core.%p").unwrap();
        assert_eq!(settings.pattern(), b"/tmp/core.%p");
    }
}
