//! Message queues of POSIX: mq_overview(7).
//!
//! - [`PosixQueues`]: all queues by name, and how much there may be of them
//! - `queue`: one of them, which is also the inode behind its descriptors
//! - `file`: an open queue

mod file;
mod queue;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::fs::{AccessMode, AccessRequest, Mode, OpenFlags};
use abi::ipc::posix::{PRIORITIES, QueueAttributes};
use abi::process::Resource;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Inode, OpenFile, permission};
use crate::process::Capability;

use file::QueueFile;
pub(crate) use queue::{Notification, PosixQueue};

/// Most messages and longest message that anybody may ask for (`HARD_MSGMAX`,
/// `HARD_MSGSIZEMAX`).
const HARD_MAX_MESSAGES: u64 = 65536;
const HARD_MESSAGE_LEN: u64 = 16 << 20;

/// What Linux uses of memory for each message and for each priority that may be in use, in
/// bytes: so much counts for `RLIMIT_MSGQUEUE`.
const BYTES_PER_MESSAGE: u64 = 48;
const BYTES_PER_PRIORITY: u64 = 48;

/// How much there may be: /proc/sys/fs/mqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PosixLimits {
    /// Most messages of a queue, without privilege (`msg_max`).
    pub(crate) max_messages: u64,
    /// Longest message in bytes, without privilege (`msgsize_max`).
    pub(crate) message_len: u64,
    /// What a queue has whose size nobody says (`msg_default`, `msgsize_default`).
    pub(crate) default_messages: u64,
    /// In bytes.
    pub(crate) default_len: u64,
    /// Most queues (`queues_max`).
    pub(crate) queues: u64,
}

impl Default for PosixLimits {
    fn default() -> Self {
        Self {
            max_messages: 10,
            message_len: 8192,
            default_messages: 10,
            default_len: 8192,
            queues: 256,
        }
    }
}

/// How many bytes the queues of each user may hold.
type Accounts = Mutex<BTreeMap<u32, u64>>;

/// All queues.
#[derive(Default)]
pub(crate) struct PosixQueues {
    by_name: Mutex<BTreeMap<Vec<u8>, Arc<PosixQueue>>>,
    accounts: Arc<Accounts>,
    limits: Mutex<PosixLimits>,
    /// How many inodes there have been.
    numbers: AtomicU64,
}

impl PosixQueues {
    /// The limits.
    pub(crate) fn limits(&self) -> PosixLimits {
        *self.limits.lock()
    }

    /// Changes the limits.
    pub(crate) fn change_limits(&self, change: impl FnOnce(&mut PosixLimits)) {
        change(&mut self.limits.lock());
    }

    /// Opens the queue with this name, which is made where `flags` say so.
    ///
    /// # Errors
    /// Those of mq_open(3).
    pub(crate) fn open(
        &self,
        cx: &Context<'_>,
        name: &[u8],
        flags: OpenFlags,
        mode: Mode,
        size: Option<QueueAttributes>,
    ) -> Result<Arc<OpenFile>> {
        check_name(name)?;
        let found = self.by_name.lock().get(name).cloned();
        let queue = match found {
            Some(_) if flags.contains(OpenFlags::CREAT | OpenFlags::EXCL) => {
                return Err(Errno::EEXIST.because("there is a queue with this name"));
            }
            // As on Linux, one who makes a queue may open it for nothing.
            Some(_) if flags.access_mode() == AccessMode::Neither => {
                return Err(Errno::EINVAL.because("neither for sending nor for receiving"));
            }
            Some(queue) => {
                let who = cx.credentials();
                permission::check(&who, &queue.metadata()?, request(flags.access_mode()))?;
                queue
            }
            None if flags.contains(OpenFlags::CREAT) => self.make(cx, name, mode, size)?,
            None => return Err(Errno::ENOENT.because("there is no queue with this name")),
        };
        let kept = OpenFlags::WRONLY | OpenFlags::RDWR | OpenFlags::NONBLOCK;
        Ok(Arc::new(OpenFile::new(QueueFile::new(queue), flags.intersection(kept))))
    }

    fn make(
        &self,
        cx: &Context<'_>,
        name: &[u8],
        mode: Mode,
        size: Option<QueueAttributes>,
    ) -> Result<Arc<PosixQueue>> {
        let limits = self.limits();
        let who = cx.credentials();
        let is_exempt = who.has(Capability::SysResource);
        let (max_messages, message_len) = size_of_queue(&limits, size, is_exempt)?;
        let mut by_name = self.by_name.lock();
        if by_name.len() as u64 >= limits.queues && !is_exempt {
            return Err(Errno::ENOSPC.because("too many queues"));
        }
        let bytes = max_messages * (message_len + BYTES_PER_MESSAGE)
            + max_messages.min(u64::from(PRIORITIES)) * BYTES_PER_PRIORITY;
        let limit = cx.process.limits().current(Resource::MessageQueues);
        let account = queue::Account::open(&self.accounts, who.users.real, bytes, limit)?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let mode = mode.intersection(Mode::ALL).difference(cx.paths().umask());
        let queue = PosixQueue::new(cx, name, (max_messages, message_len), mode, number, account);
        let queue = Arc::new(queue);
        by_name.insert(name.to_vec(), queue.clone());
        Ok(queue)
    }

    /// Takes a queue its name; it goes with the last descriptor.
    ///
    /// # Errors
    /// Those of mq_unlink(3).
    pub(crate) fn unlink(&self, cx: &Context<'_>, name: &[u8]) -> Result<()> {
        check_name(name)?;
        let mut by_name = self.by_name.lock();
        let queue = by_name.get(name);
        let queue = queue.ok_or_else(|| Errno::ENOENT.because("there is no such queue"))?;
        // The names are in a directory of root with a sticky bit.
        permission::check_owner(&cx.credentials(), &queue.metadata()?)?;
        let queue = by_name.remove(name);
        drop(by_name);
        drop(queue);
        Ok(())
    }
}

/// The queue behind a descriptor.
///
/// # Errors
/// `EBADF` when there is none.
pub(crate) fn queue_of(open: &OpenFile) -> Result<&PosixQueue> {
    let inode: &dyn Inode = &**open.file.inode();
    let queue = (inode as &dyn core::any::Any).downcast_ref();
    queue.ok_or_else(|| Errno::EBADF.because("not a message queue"))
}

fn request(mode: AccessMode) -> AccessRequest {
    match mode {
        AccessMode::Read => AccessRequest::READ,
        AccessMode::Write => AccessRequest::WRITE,
        AccessMode::ReadWrite | AccessMode::Neither => AccessRequest::READ | AccessRequest::WRITE,
    }
}

/// Most messages of a new queue and their longest length.
fn size_of_queue(
    limits: &PosixLimits,
    size: Option<QueueAttributes>,
    is_exempt: bool,
) -> Result<(u64, u64)> {
    let Some(size) = size else {
        return Ok((
            limits.default_messages.min(limits.max_messages),
            limits.default_len.min(limits.message_len),
        ));
    };
    let (most, longest) = match is_exempt {
        true => (HARD_MAX_MESSAGES, HARD_MESSAGE_LEN),
        false => (limits.max_messages, limits.message_len),
    };
    let within = |value: i64, max: u64| {
        let value = u64::try_from(value).ok().filter(|value| (1..=max).contains(value));
        value.ok_or_else(|| Errno::EINVAL.because("the size is not possible"))
    };
    Ok((within(size.max_messages, most)?, within(size.message_len, longest)?))
}

/// A name is one component: the C library has taken the slash away that it begins with.
fn check_name(name: &[u8]) -> Result<()> {
    match name {
        b"" => Err(Errno::ENOENT.because("the name is empty")),
        b"." | b".." => Err(Errno::EACCES.because("the name is a directory's")),
        _ if name.contains(&b'/') => Err(Errno::EACCES.because("a slash in the name")),
        _ if name.len() > abi::fs::NAME_MAX => {
            Err(Errno::ENAMETOOLONG.because("the name is too long"))
        }
        _ => Ok(()),
    }
}
