//! Entries of the static tree.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::FileType;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::Link;
use crate::process::{Process, Thread};

use super::ProcFs;
use super::text::Text;

/// A name in the tree.
pub(super) struct Entry {
    /// The name.
    pub(super) name: &'static str,
    /// Permission bits.
    pub(super) mode: u16,
    /// What is behind it.
    pub(super) kind: Kind,
}

/// Writes the text of a file.
pub(super) type Show = fn(&Subject<'_>, &mut Text) -> Result<()>;

/// Does what writing the text to a file means.
pub(super) type Store = fn(&Subject<'_>, &[u8]) -> Result<()>;

/// Answers a request with its argument.
pub(super) type Ask = fn(&Subject<'_>, u32, u64) -> Result<Outcome>;

/// What is behind an entry.
pub(super) enum Kind {
    /// A directory with these entries.
    Directory(&'static [Entry]),
    /// The root directory: these entries, and a directory for each process.
    Root(&'static [Entry]),
    /// A directory for each thread of the process.
    Tasks,
    /// A directory with something for each descriptor of the process.
    Descriptors(Descriptors),
    /// A file that can be read.
    File(Show),
    /// The memory of the process.
    Memory,
    /// Which pages of the process are in memory.
    PageMap,
    /// A file that can be read, and asked with ioctl(2).
    Asked(Show, Ask),
    /// A file of what the process has mounted, whose changes can be waited for.
    Mounts(Show),
    /// A file that can be read and written.
    Setting(Show, Store),
    /// A symbolic link.
    Link(fn(&Subject<'_>) -> Result<Link>),
}

/// What a directory has for each descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Descriptors {
    /// A symbolic link to the open file: `fd`.
    Links,
    /// A file with its state: `fdinfo`.
    States,
}

impl Entry {
    pub(super) const fn directory(name: &'static str, entries: &'static [Self]) -> Self {
        Self { name, mode: 0o555, kind: Kind::Directory(entries) }
    }

    pub(super) const fn file(name: &'static str, show: Show) -> Self {
        Self { name, mode: 0o444, kind: Kind::File(show) }
    }

    pub(super) const fn mounts(name: &'static str, show: Show) -> Self {
        Self { name, mode: 0o444, kind: Kind::Mounts(show) }
    }

    pub(super) const fn setting(name: &'static str, show: Show, store: Store) -> Self {
        Self { name, mode: 0o644, kind: Kind::Setting(show, store) }
    }

    pub(super) const fn link(name: &'static str, follow: fn(&Subject<'_>) -> Result<Link>) -> Self {
        Self { name, mode: 0o777, kind: Kind::Link(follow) }
    }

    /// The type that stat(2) shows.
    pub(super) const fn file_type(&self) -> FileType {
        match self.kind {
            Kind::Directory(_) | Kind::Root(_) | Kind::Tasks | Kind::Descriptors(_) => {
                FileType::Directory
            }
            Kind::File(_)
            | Kind::Asked(..)
            | Kind::Mounts(_)
            | Kind::Memory
            | Kind::PageMap
            | Kind::Setting(..) => FileType::Regular,
            Kind::Link(_) => FileType::SymbolicLink,
        }
    }
}

/// In whose directory something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The process.
    pub(super) process: u32,
    /// The thread, where it is in the directory of one.
    pub(super) thread: Option<u32>,
}

/// What a file is about, and who asks.
pub(super) struct Subject<'a> {
    /// Who asks.
    pub(super) cx: &'a Context<'a>,
    /// The file system.
    pub(super) file_system: &'a ProcFs,
    /// The process in whose directory the file is; the one that asks, where it is in none.
    pub(super) process: Arc<Process>,
    /// The thread in whose directory it is, or the first of the process.
    pub(super) thread: Arc<Thread>,
}

impl Subject<'_> {
    /// The number of a process, thread, group or session as the file system shows it; 0 for
    /// one that it does not show.
    pub(super) fn shown(&self, id: u32) -> u32 {
        self.file_system.pids.shown(id)
    }

    /// The numbers that it has there and in the namespaces within, to that of the process.
    pub(super) fn shown_inwards(&self, id: u32) -> Vec<u32> {
        self.file_system.pids.shown_inwards(&self.process.pid_namespace, id)
    }
}

impl<'a> Subject<'a> {
    /// Finds process and thread.
    ///
    /// # Errors
    /// `ESRCH` when they have ended.
    pub(super) fn find(
        cx: &'a Context<'a>,
        file_system: &'a ProcFs,
        owner: Option<Owner>,
    ) -> Result<Self> {
        let (process, thread) = match owner {
            None => (cx.process.clone(), caller(cx)?),
            Some(owner) => {
                let process = find_process(cx, owner.process)?;
                let thread = find_thread(cx, &process, owner.thread)?;
                (process, thread)
            }
        };
        Ok(Self { cx, file_system, process, thread })
    }
}

/// The process with this number, or the one whose thread has it.
///
/// # Errors
/// `ESRCH`.
pub(super) fn find_process(cx: &Context<'_>, id: u32) -> Result<Arc<Process>> {
    if cx.process.id() == id {
        return Ok(cx.process.clone());
    }
    cx.system.processes.of_task(id).ok_or_else(|| Errno::ESRCH.because("there is no such process"))
}

fn caller(cx: &Context<'_>) -> Result<Arc<Thread>> {
    let caller = cx.thread.downgrade().upgrade();
    caller.ok_or_else(|| Errno::ESRCH.because("the thread has ended"))
}

/// The thread of `process` with this number, or its first one.
///
/// # Errors
/// `ESRCH`.
pub(super) fn find_thread(
    cx: &Context<'_>,
    process: &Arc<Process>,
    id: Option<u32>,
) -> Result<Arc<Thread>> {
    let wanted = id.unwrap_or_else(|| process.id());
    if cx.thread.id() == wanted {
        return caller(cx);
    }
    let threads = process.threads();
    let found = threads.into_iter().chain(process.remains()).find(|thread| thread.id() == wanted);
    found.ok_or_else(|| Errno::ESRCH.because("there is no such thread"))
}
