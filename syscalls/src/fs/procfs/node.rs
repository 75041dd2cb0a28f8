//! Inodes of the proc file system.

use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{FileType, Mode, OpenFlags};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::directory::Directory;
use crate::fs::{
    Change, DirectoryEntry, Fd, File, FileSystem, Inode, Link, Metadata, NewInode, OpenFile,
};
use crate::process::Process;

use super::ProcFs;
use super::descriptors;
use super::entry::{Descriptors, Entry, Kind, Owner, Subject, find_process, find_thread};
use super::file::ProcFile;
use super::memory;
use super::page_map;
use super::process::{PROCESS, THREAD};
use super::root::ROOT;

/// Number of the root directory's inode.
const ROOT_NUMBER: u64 = 1;

/// Positions of entries with a number for a name start here.
const NUMBERED: u64 = 1 << 32;

/// An inode.
pub(super) struct Node {
    file_system: Arc<ProcFs>,
    number: u64,
    what: What,
    owner: Option<Owner>,
    /// User and group to whom it belongs.
    users: (u32, u32),
    /// The process of the owner: later, another one may have its number.
    process: Weak<Process>,
}

/// What an inode is.
#[derive(Clone, Copy)]
enum What {
    /// An entry of the static tree.
    Entry(&'static Entry),
    /// What a directory has for this descriptor, with its permission bits.
    Descriptor(Fd, Descriptors, u16),
}

impl Node {
    /// The root directory.
    pub(super) fn root(file_system: Arc<ProcFs>) -> Arc<dyn Inode> {
        let (number, what) = (ROOT_NUMBER, What::Entry(&ROOT));
        Arc::new(Self {
            file_system,
            number,
            what,
            owner: None,
            users: (0, 0),
            process: Weak::new(),
        })
    }

    pub(super) fn proc_fs(&self) -> &ProcFs {
        &self.file_system
    }

    pub(super) fn owner(&self) -> Option<Owner> {
        self.owner
    }

    /// The process whose directory this is.
    pub(super) fn process(&self) -> Option<Weak<Process>> {
        match self.what {
            What::Entry(entry) if core::ptr::eq(entry, &raw const PROCESS) => {
                Some(self.process.clone())
            }
            _ => None,
        }
    }

    fn child(
        &self,
        cx: &Context<'_>,
        name: &[u8],
        what: What,
        owner: Option<Owner>,
    ) -> Arc<dyn Inode> {
        let number = child_number(self.number, name);
        let process = owner.and_then(|owner| find_process(cx, owner.process).ok());
        let users = process.as_deref().map_or((0, 0), users);
        let process = process.as_ref().map_or_else(Weak::new, Arc::downgrade);
        let file_system = self.file_system.clone();
        Arc::new(Self { file_system, number, what, owner, users, process })
    }

    pub(super) fn subject<'a>(&'a self, cx: &'a Context<'a>) -> Result<Subject<'a>> {
        Subject::find(cx, &self.file_system, self.owner)
    }

    /// Fails with `ESRCH` when it is in the directory of a process or thread that is gone.
    fn check_owner(&self, cx: &Context<'_>) -> Result<()> {
        self.owner.map_or(Ok(()), |_| self.subject(cx).map(drop))
    }

    fn entries(&self) -> &'static [Entry] {
        match self.what {
            What::Entry(Entry { kind: Kind::Directory(entries) | Kind::Root(entries), .. }) => {
                entries
            }
            _ => &[],
        }
    }

    /// The numbers that are names in this directory, in ascending order.
    fn numbers(&self, cx: &Context<'_>) -> Result<Vec<u32>> {
        let What::Entry(entry) = self.what else {
            return Ok(Vec::new());
        };
        let mut numbers: Vec<u32> = match entry.kind {
            Kind::Root(_) => {
                let others = cx.system.processes.all();
                let all = others.iter().map(|process| process.id()).chain([cx.process.id()]);
                self.shown(all)
            }
            Kind::Tasks => {
                let subject = self.subject(cx)?;
                let threads = subject.process.threads();
                self.shown(threads.iter().map(|thread| thread.id()).chain([subject.thread.id()]))
            }
            Kind::Descriptors(_) => {
                let open = self.subject(cx)?.thread.files().open_descriptors();
                open.iter().filter_map(|fd| u32::try_from(fd.0).ok()).collect()
            }
            _ => return Ok(Vec::new()),
        };
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// The numbers of processes or threads that the file system shows.
    fn shown(&self, ids: impl Iterator<Item = u32>) -> Vec<u32> {
        ids.map(|id| self.file_system.pids.shown(id)).filter(|&shown| shown != 0).collect()
    }

    /// The type of the entries that have numbers for names.
    fn numbered_type(&self) -> FileType {
        match self.what {
            What::Entry(Entry { kind: Kind::Descriptors(Descriptors::Links), .. }) => {
                FileType::SymbolicLink
            }
            What::Entry(Entry { kind: Kind::Descriptors(Descriptors::States), .. }) => {
                FileType::Regular
            }
            _ => FileType::Directory,
        }
    }

    /// The entry whose name is this number.
    fn lookup_number(&self, cx: &Context<'_>, name: &[u8], number: u32) -> Result<Arc<dyn Inode>> {
        let What::Entry(entry) = self.what else {
            return Err(no_entry());
        };
        match entry.kind {
            Kind::Root(_) => {
                let number = self.file_system.pids.outside(number).ok_or_else(no_entry)?;
                let process = find_process(cx, number).map_err(|_| no_entry())?;
                let thread = (process.id() != number).then_some(number);
                let owner = Owner { process: process.id(), thread };
                Ok(self.child(cx, name, What::Entry(&PROCESS), Some(owner)))
            }
            Kind::Tasks => {
                let number = self.file_system.pids.outside(number).ok_or_else(no_entry)?;
                let process = self.subject(cx)?.process;
                find_thread(cx, &process, Some(number)).map_err(|_| no_entry())?;
                let owner = Owner { process: process.id(), thread: Some(number) };
                Ok(self.child(cx, name, What::Entry(&THREAD), Some(owner)))
            }
            Kind::Descriptors(form) => {
                let fd = Fd(i32::try_from(number).map_err(|_| no_entry())?);
                let open = self.open_descriptor(cx, fd)?;
                let mode = descriptors::mode(form, open.access_mode());
                Ok(self.child(cx, name, What::Descriptor(fd, form, mode), self.owner))
            }
            _ => Err(no_entry()),
        }
    }

    fn open_descriptor(&self, cx: &Context<'_>, fd: Fd) -> Result<Arc<OpenFile>> {
        self.subject(cx)?.thread.files().get(fd).map_err(|_| no_entry())
    }
}

impl Inode for Node {
    fn kind(&self) -> FileType {
        match self.what {
            What::Entry(entry) => entry.file_type(),
            What::Descriptor(_, Descriptors::Links, _) => FileType::SymbolicLink,
            What::Descriptor(_, Descriptors::States, _) => FileType::Regular,
        }
    }

    fn metadata(&self) -> Result<Metadata> {
        let mode = match self.what {
            What::Entry(entry) => entry.mode,
            What::Descriptor(_, _, mode) => mode,
        };
        let time = self.file_system.booted();
        Ok(Metadata {
            accessed: time,
            modified: time,
            changed: time,
            created: time,
            block_size: 1024,
            owner: self.users.0,
            group: self.users.1,
            ..Metadata::new(self.number, self.kind(), Mode::from_bits_retain(mode))
        })
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        self.file_system.clone()
    }

    fn change(&self, change: &Change) -> Result<()> {
        if *change == Change::default() {
            return Ok(());
        }
        Err(Errno::EPERM.because("the file system does not store this"))
    }

    fn can_be_mounted_on(&self) -> bool {
        !matches!(self.what, What::Descriptor(..))
    }

    fn truncate(&self, _len: u64) -> Result<()> {
        // What O_TRUNC does to files that are written as a whole: nothing.
        Ok(())
    }

    fn open(self: Arc<Self>, cx: &Context<'_>, _flags: OpenFlags) -> Result<Arc<dyn File>> {
        self.check_owner(cx)?;
        match self.what {
            What::Entry(entry) => match entry.kind {
                Kind::File(show) => Ok(ProcFile::new(self, show, None)),
                Kind::Mounts(show) => {
                    let mounts = self.subject(cx)?.process.paths.mounts();
                    Ok(ProcFile::of_mounts(self, show, mounts))
                }
                Kind::Asked(show, ask) => Ok(ProcFile::asked(self, show, ask)),
                Kind::Memory => memory::open(cx, self),
                Kind::PageMap => page_map::open(cx, self),
                Kind::Setting(show, store) => Ok(ProcFile::new(self, show, Some(store))),
                Kind::Link(_) => Err(Errno::ELOOP.because("a symbolic link")),
                _ => Ok(Directory::open(self)),
            },
            What::Descriptor(fd, Descriptors::States, _) => Ok(descriptors::open_state(self, fd)),
            What::Descriptor(_, Descriptors::Links, _) => {
                Err(Errno::ELOOP.because("a symbolic link"))
            }
        }
    }

    fn lookup(&self, cx: &Context<'_>, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if self.kind() != FileType::Directory {
            return Err(Errno::ENOTDIR.because("not a directory"));
        }
        self.check_owner(cx)?;
        if let Some(entry) = self.entries().iter().find(|entry| entry.name.as_bytes() == name) {
            return Ok(self.child(cx, name, What::Entry(entry), self.owner));
        }
        let number = parse_number(name).ok_or_else(no_entry)?;
        self.lookup_number(cx, name, number)
    }

    fn read_directory(
        &self,
        cx: &Context<'_>,
        from: u64,
        each: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        if self.kind() != FileType::Directory {
            return Err(Errno::ENOTDIR.because("not a directory"));
        }
        for (next, entry) in (1..).zip(self.entries()) {
            let name = entry.name.as_bytes();
            let number = child_number(self.number, name);
            let shown = DirectoryEntry { name, number, kind: entry.file_type(), next };
            if next > from && !each(shown) {
                return Ok(());
            }
        }
        let kind = self.numbered_type();
        for id in self.numbers(cx)? {
            let name: String = format!("{id}");
            let number = child_number(self.number, name.as_bytes());
            let next = NUMBERED + u64::from(id);
            if next > from && !each(DirectoryEntry { name: name.as_bytes(), number, kind, next }) {
                return Ok(());
            }
        }
        Ok(())
    }

    // As on Linux, not even a name is found that something new could have.
    fn create(&self, _: &[u8], _: &NewInode<'_>) -> Result<Arc<dyn Inode>> {
        Err(no_entry())
    }

    fn link(&self, _: &[u8], _: &Arc<dyn Inode>) -> Result<()> {
        Err(no_entry())
    }

    fn read_link(&self, cx: &Context<'_>) -> Result<Vec<u8>> {
        match self.follow(cx)? {
            Link::Path(path) => Ok(path),
            Link::Location(location) => Ok(location.shown_path(&cx.paths().root())),
        }
    }

    fn follow(&self, cx: &Context<'_>) -> Result<Link> {
        match self.what {
            What::Entry(Entry { kind: Kind::Link(follow), .. }) => follow(&self.subject(cx)?),
            What::Descriptor(fd, Descriptors::Links, _) => {
                Ok(Link::Location(self.open_descriptor(cx, fd)?.location().clone()))
            }
            _ => Err(Errno::EINVAL.because("not a symbolic link")),
        }
    }
}

/// To whom the directory of a process belongs: whoever it acts as, and the superuser where it is
/// not to be looked into.
fn users(process: &Process) -> (u32, u32) {
    let who = process.credentials();
    let is_open = process.properties.lock().is_dumpable;
    if is_open { (who.users.effective, who.groups.effective) } else { (0, 0) }
}

fn no_entry() -> Error {
    Errno::ENOENT.because("there is no such entry")
}

/// The number of the inode `name` in the directory whose number is `parent`: a hash (FNV-1a),
/// so that the same path always has the same number.
fn child_number(parent: u64, name: &[u8]) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    let bytes = parent.to_le_bytes().into_iter().chain(name.iter().copied());
    let hash = bytes.fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    // The highest bit would make it negative in an ino_t of some languages.
    hash >> 1
}

/// The number that `name` is in decimal, written as the kernel would.
fn parse_number(name: &[u8]) -> Option<u32> {
    if name.len() > 1 && name[0] == b'0' {
        return None;
    }
    let is_number = !name.is_empty() && name.iter().all(u8::is_ascii_digit);
    is_number.then(|| core::str::from_utf8(name).ok()?.parse().ok()).flatten()
}
