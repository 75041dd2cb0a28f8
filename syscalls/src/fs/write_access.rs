//! Who writes to a file and who executes it: never both at once. `ETXTBSY` of open(2) and
//! execve(2).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicI64, Ordering};

use abi::Errno;
use abi::fs::FileType;

use crate::error::{Because, Error, Result};

use super::inode::Inode;
use super::mount::{Location, Mount};

/// Counts who writes to an inode, or who executes it.
#[derive(Default)]
pub struct Writers {
    /// Number of open files that write, or, negative, of programs that are executed.
    count: AtomicI64,
}

impl Writers {
    /// One more, in the direction of `step`, which is 1 or -1.
    fn add(&self, step: i64) -> Result<()> {
        let next = |count: i64| (count * step >= 0).then_some(count + step);
        let added = self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        added.map(drop).map_err(|_| busy())
    }

    fn remove(&self, step: i64) {
        self.count.fetch_sub(step, Ordering::SeqCst);
    }
}

fn busy() -> Error {
    Errno::ETXTBSY.because("a program cannot be written while it is executed")
}

/// The right to write to a regular file: while it exists, the file is not executed, and its
/// mount does not become read-only.
pub(crate) struct WriteAccess {
    inode: Arc<dyn Inode>,
    mount: Arc<Mount>,
}

impl WriteAccess {
    /// Takes the right, where the file is a regular one.
    ///
    /// # Errors
    /// `EROFS`; `ETXTBSY` while the file is executed.
    pub(crate) fn begin(location: &Location) -> Result<Option<Self>> {
        let (inode, mount) = (location.inode(), &location.mount);
        if inode.kind() != FileType::Regular {
            return Ok(None);
        }
        mount.begin_write()?;
        if let Some(error) = inode.writers().and_then(|writers| writers.add(1).err()) {
            mount.end_write();
            return Err(error);
        }
        Ok(Some(Self { inode: inode.clone(), mount: mount.clone() }))
    }
}

impl Drop for WriteAccess {
    fn drop(&mut self) {
        self.mount.end_write();
        if let Some(writers) = self.inode.writers() {
            writers.remove(1);
        }
    }
}

/// The right to execute a file: while it exists, nobody opens the file for writing.
pub(crate) struct Executing {
    inode: Arc<dyn Inode>,
}

impl Executing {
    /// Takes the right.
    ///
    /// # Errors
    /// `ETXTBSY` while the file is open for writing.
    pub(crate) fn begin(inode: &Arc<dyn Inode>) -> Result<Self> {
        if let Some(writers) = inode.writers() {
            writers.add(-1).map_err(|_| {
                Errno::ETXTBSY.because("a program cannot be executed while it is written")
            })?;
        }
        Ok(Self { inode: inode.clone() })
    }
}

impl Drop for Executing {
    fn drop(&mut self) {
        if let Some(writers) = self.inode.writers() {
            writers.remove(-1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_and_executions_exclude_each_other() {
        let writers = Writers::default();
        for (step, other) in [(1, -1), (-1, 1)] {
            assert!(writers.add(step).is_ok() && writers.add(step).is_ok());
            assert_eq!(writers.add(other).map_err(|error| error.errno), Err(Errno::ETXTBSY));
            writers.remove(step);
            assert!(writers.add(other).is_err());
            writers.remove(step);
        }
    }
}
