//! What Linux keeps for each thread, and programs share among the threads of a process as a
//! rule: descriptors, the view of the tree of files, credentials.
//!
//! A thread without a part of its own has that of its process. The descriptors and the view of
//! files part by clone(2) without `CLONE_FILES` or `CLONE_FS`, and by unshare(2). Credentials
//! always part: those of the process are its first thread's, and C libraries let all threads
//! change theirs together.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::process::CloneFlags;
use spin::{Mutex, Once};

use crate::context::Context;
use crate::error::Result;
use crate::fs::{FdTable, FsContext};

use super::{Credentials, Process, Thread};

/// What a thread has apart from its process.
#[derive(Default)]
pub(super) struct Apart {
    files: Once<Box<FdTable>>,
    paths: Once<Box<FsContext>>,
    /// `None` for the first thread, whose credentials are those of the process.
    credentials: Mutex<Option<Arc<Credentials>>>,
}

impl Thread {
    /// Its descriptors.
    #[must_use]
    pub fn files(&self) -> &FdTable {
        self.apart.files.get().map_or(&self.process().files, |files| files)
    }

    /// Its root and working directory, and its umask.
    #[must_use]
    pub fn paths(&self) -> &FsContext {
        self.apart.paths.get().map_or(&self.process().paths, |paths| paths)
    }

    /// Who it is and what it may do.
    #[must_use]
    pub fn credentials(&self) -> Arc<Credentials> {
        let own = self.apart.credentials.lock().clone();
        own.unwrap_or_else(|| self.process().credentials())
    }

    /// Changes who it is and what it may do.
    ///
    /// # Errors
    /// Those of `change`; nothing changes then.
    pub(crate) fn change_credentials<T>(
        &self,
        change: impl FnOnce(&mut Credentials) -> Result<T>,
    ) -> Result<T> {
        let old = self.credentials();
        let mut new = (*old).clone();
        let value = change(&mut new)?;
        if !new.is_as_visible_as(&old) {
            let mut properties = self.process().properties.lock();
            properties.is_dumpable = false;
            properties.parent_death_signal = 0;
        }
        let new = Arc::new(new);
        match &mut *self.apart.credentials.lock() {
            Some(own) => *own = new,
            None => self.process().set_credentials(new),
        }
        Ok(value)
    }

    /// Its credentials are those of the process from now on: it takes the number of the process.
    pub(super) fn join_credentials(&self) {
        let own = self.apart.credentials.lock().take();
        if let Some(own) = own {
            self.process().set_credentials(own);
        }
    }

    /// Gives a new thread of the same process what it has of its own, as `flags` say.
    pub(super) fn part(&self, parent: &Self, flags: CloneFlags) {
        *self.apart.credentials.lock() = Some(parent.credentials());
        if !flags.contains(CloneFlags::FILES) {
            self.keep_files(parent.files().duplicate());
        } else if let Some(files) = parent.apart.files.get() {
            self.keep_files(files.share());
        }
        if !flags.contains(CloneFlags::FS) {
            self.apart.paths.call_once(|| Box::new(parent.paths().duplicate()));
        } else if let Some(paths) = parent.apart.paths.get() {
            self.apart.paths.call_once(|| Box::new(paths.share()));
        }
    }

    fn keep_files(&self, files: FdTable) {
        self.process().has_parted.store(true, Ordering::Relaxed);
        self.apart.files.call_once(|| Box::new(files));
    }

    /// Makes its descriptors its own: unshare(2), execve(2).
    pub(crate) fn part_from_files(&self) {
        if self.apart.files.is_completed() || self.process().thread_count() == 1 {
            self.files().separate();
            return;
        }
        self.keep_files(self.process().files.duplicate());
        self.close_what_nobody_uses();
    }

    /// Makes its view of files its own: unshare(2).
    pub(crate) fn part_from_paths(&self) {
        if self.apart.paths.is_completed() || self.process().thread_count() == 1 {
            self.paths().separate();
        } else {
            self.apart.paths.call_once(|| Box::new(self.process().paths.duplicate()));
        }
    }

    /// Gives back what it has of its own, at its end.
    pub(super) fn leave_own(&self) {
        self.set_namespaces(self.system().first_namespaces.clone());
        if let Some(paths) = self.apart.paths.get() {
            paths.leave(self.system().vfs.root().clone());
        }
        if let Some(files) = self.apart.files.get() {
            self.close_all(files);
        } else {
            self.close_what_nobody_uses();
        }
    }

    /// Closes the descriptors of the process when all threads that live have others.
    fn close_what_nobody_uses(&self) {
        let process = self.process();
        if process.has_parted.load(Ordering::Relaxed)
            && process.threads().iter().all(|thread| thread.apart.files.is_completed())
        {
            self.close_all(&process.files);
        }
    }

    /// Ends the use of these descriptors of the process.
    pub(super) fn close_all(&self, files: &FdTable) {
        // The last descriptor of a file may have something to do, also for the host.
        for open in files.leave() {
            // Nobody is left to be told of an error.
            let _ = crate::fs::close(self.system(), self.process(), files, &open);
        }
    }
}

impl Process {
    /// Its first thread, or what remains of it: that one's descriptors, view of files and
    /// credentials are what others see of the process.
    #[must_use]
    pub(crate) fn first_thread(&self) -> Option<Arc<Thread>> {
        self.remains().or_else(|| self.threads().into_iter().next())
    }
}

impl Context<'_> {
    /// The caller's descriptors.
    #[must_use]
    pub fn files(&self) -> &FdTable {
        self.thread.files()
    }

    /// The caller's root and working directory, and its umask.
    #[must_use]
    pub fn paths(&self) -> &FsContext {
        self.thread.paths()
    }

    /// Who the caller is and what it may do.
    #[must_use]
    pub fn credentials(&self) -> Arc<Credentials> {
        self.thread.credentials()
    }

    /// Changes who the caller is and what it may do.
    ///
    /// # Errors
    /// Those of `change`; nothing changes then.
    pub(crate) fn change_credentials<T>(
        &self,
        change: impl FnOnce(&mut Credentials) -> Result<T>,
    ) -> Result<T> {
        self.thread.change_credentials(change)
    }
}
