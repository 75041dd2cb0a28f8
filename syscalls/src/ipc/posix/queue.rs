//! A queue: messages by priority, and who is told when one comes.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{FileType, Mode, OpenFlags};
use abi::ipc::posix::QueueAttributes;
use abi::signal::{Signal, si, sigev};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{
    Change, File, FileSystem, Inode, Metadata, OpenFile, PollEvents, PseudoFileSystem, Timestamp,
};
use crate::process::Process;
use crate::signal::info;
use crate::wait::{Interruption, WaitQueue};

use super::Accounts;
use super::file::QueueFile;

/// What stat(2) tells as the size of a queue, in bytes (`FILENT_SIZE` of Linux).
const FILE_SIZE: u64 = 80;

/// What a queue costs its user, until it is gone.
pub(super) struct Account {
    accounts: Arc<Accounts>,
    user: u32,
    bytes: u64,
}

impl Account {
    /// Charges `user` for a queue.
    ///
    /// # Errors
    /// `EMFILE` when that is more than `limit`.
    pub(super) fn open(
        accounts: &Arc<Accounts>,
        user: u32,
        bytes: u64,
        limit: u64,
    ) -> Result<Self> {
        let mut used = accounts.lock();
        let total = used.get(&user).copied().unwrap_or(0).saturating_add(bytes);
        if total > limit {
            return Err(Errno::EMFILE.because("RLIMIT_MSGQUEUE is reached"));
        }
        used.insert(user, total);
        Ok(Self { accounts: accounts.clone(), user, bytes })
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut used = self.accounts.lock();
        let left = used.get(&self.user).map_or(0, |total| total - self.bytes);
        if left == 0 {
            used.remove(&self.user);
        } else {
            used.insert(self.user, left);
        }
    }
}

/// How a process is told that a message has come to an empty queue: mq_notify(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notification {
    /// Not at all.
    Nothing,
    /// By a signal with a value.
    Signal(Signal, u64),
}

/// Somebody who is to be told.
struct Registered {
    process: Weak<Process>,
    id: u32,
    notification: Notification,
}

/// A queue of messages.
pub(crate) struct PosixQueue {
    name: Vec<u8>,
    max_messages: u64,
    /// Longest message, in bytes.
    message_len: u64,
    state: Mutex<State>,
    metadata: Mutex<Metadata>,
    /// Woken when a message has come or gone.
    pub(super) changed: WaitQueue,
    _account: Account,
}

#[derive(Default)]
struct State {
    /// By priority; none is empty.
    messages: BTreeMap<u32, VecDeque<Vec<u8>>>,
    count: u64,
    bytes: u64,
    /// How many wait for a message.
    receivers: usize,
    registered: Option<Registered>,
}

impl State {
    fn take(&mut self) -> Option<(Vec<u8>, u32)> {
        let mut highest = self.messages.last_entry()?;
        let priority = *highest.key();
        let message = highest.get_mut().pop_front();
        if highest.get().is_empty() {
            highest.remove();
        }
        let message = message?;
        self.count -= 1;
        self.bytes -= message.len() as u64;
        Some((message, priority))
    }
}

impl PosixQueue {
    pub(super) fn new(
        cx: &Context<'_>,
        name: &[u8],
        (max_messages, message_len): (u64, u64),
        mode: Mode,
        number: u64,
        account: Account,
    ) -> Self {
        let who = cx.credentials();
        let now = Timestamp::from_ns(cx.system.machine.wall_clock_ns());
        let metadata = Metadata {
            owner: who.users.file_system,
            group: who.groups.file_system,
            size: FILE_SIZE,
            accessed: now,
            modified: now,
            changed: now,
            created: now,
            ..Metadata::new(number, FileType::Regular, mode)
        };
        Self {
            name: name.to_vec(),
            max_messages,
            message_len,
            state: Mutex::default(),
            metadata: Mutex::new(metadata),
            changed: WaitQueue::new(),
            _account: account,
        }
    }

    /// Its size, and how full it is.
    pub(crate) fn attributes(&self) -> QueueAttributes {
        QueueAttributes {
            flags: 0,
            max_messages: self.max_messages.cast_signed(),
            message_len: self.message_len.cast_signed(),
            messages: self.state.lock().count.cast_signed(),
            reserved: [0; 4],
        }
    }

    /// Longest message, in bytes.
    pub(crate) fn message_len(&self) -> u64 {
        self.message_len
    }

    /// What it is waited for.
    pub(super) fn poll(&self) -> PollEvents {
        let count = self.state.lock().count;
        let mut events = PollEvents::empty();
        events.set(PollEvents::IN | PollEvents::RDNORM, count > 0);
        events.set(PollEvents::OUT | PollEvents::WRNORM, count < self.max_messages);
        events
    }

    /// What a read of it tells.
    pub(super) fn describe(&self) -> alloc::string::String {
        let state = self.state.lock();
        let (notify, signal, process) = match &state.registered {
            None => (0, 0, 0),
            Some(Registered { id, notification: Notification::Nothing, .. }) => {
                (sigev::NONE, 0, *id)
            }
            Some(Registered { id, notification: Notification::Signal(signal, _), .. }) => {
                (sigev::SIGNAL, signal.number(), *id)
            }
        };
        alloc::format!(
            "QSIZE:{:<10} NOTIFY:{notify:<5} SIGNO:{signal:<5} NOTIFY_PID:{process:<6}\n",
            state.bytes
        )
    }

    /// Sends a message, and waits for room for it until the monotonic deadline.
    ///
    /// # Errors
    /// Those of mq_timedsend(3).
    pub(crate) fn send(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        message: Vec<u8>,
        priority: u32,
        deadline_ns: Option<u64>,
    ) -> Result<()> {
        let mut message = Some(message);
        let sent = self.wait(cx, open, deadline_ns, || self.try_send(cx, &mut message, priority));
        sent?;
        self.changed.wake(PollEvents::IN | PollEvents::RDNORM);
        Ok(())
    }

    fn try_send(
        &self,
        cx: &Context<'_>,
        message: &mut Option<Vec<u8>>,
        priority: u32,
    ) -> Result<Option<()>> {
        let mut state = self.state.lock();
        if state.count >= self.max_messages {
            return Ok(None);
        }
        let Some(message) = message.take() else {
            return Ok(Some(()));
        };
        let (was_empty, len) = (state.count == 0, message.len() as u64);
        let queue = state.messages.entry(priority).or_default();
        queue.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        queue.push_back(message);
        state.count += 1;
        state.bytes += len;
        // Who waits for it is not told of it by a signal.
        let is_news = was_empty && state.receivers == 0;
        let registered = if is_news { state.registered.take() } else { None };
        drop(state);
        if let Some(registered) = registered {
            registered.notify(cx);
        }
        Ok(Some(()))
    }

    /// Receives the oldest message of the highest priority, and waits for one until the
    /// monotonic deadline.
    ///
    /// # Errors
    /// Those of mq_timedreceive(3).
    pub(crate) fn receive(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        deadline_ns: Option<u64>,
    ) -> Result<(Vec<u8>, u32)> {
        self.state.lock().receivers += 1;
        let received = self.wait(cx, open, deadline_ns, || Ok(self.state.lock().take()));
        self.state.lock().receivers -= 1;
        if received.is_ok() {
            self.changed.wake(PollEvents::OUT | PollEvents::WRNORM);
        }
        received
    }

    fn wait<T>(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        deadline_ns: Option<u64>,
        mut ready: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        if open.is_nonblocking() {
            return ready()?.ok_or_else(|| Errno::EAGAIN.because("it would block"));
        }
        let done = cx.wait_until(&[&self.changed], deadline_ns, Interruption::Restart, ready)?;
        done.ok_or_else(|| Errno::ETIMEDOUT.because("it was not possible in time"))
    }

    /// Lets the caller be told once when a message comes to the empty queue; with `None`, not
    /// any more.
    ///
    /// # Errors
    /// `EBUSY` when somebody is to be told already.
    pub(crate) fn notify(
        &self,
        cx: &Context<'_>,
        notification: Option<Notification>,
    ) -> Result<()> {
        let Some(notification) = notification else {
            self.forget(cx.process);
            return Ok(());
        };
        let mut state = self.state.lock();
        if state.registered.as_ref().is_some_and(|one| one.process.strong_count() > 0) {
            return Err(Errno::EBUSY.because("somebody is to be told already"));
        }
        let process = Arc::downgrade(cx.process);
        state.registered = Some(Registered { process, id: cx.process.id(), notification });
        Ok(())
    }

    /// The process is not to be told any more: it has closed a descriptor of the queue.
    pub(crate) fn forget(&self, process: &Process) {
        let mut state = self.state.lock();
        if state.registered.as_ref().is_some_and(|one| one.id == process.id()) {
            state.registered = None;
        }
    }
}

impl Registered {
    fn notify(&self, cx: &Context<'_>) {
        let (Some(process), Notification::Signal(signal, value)) =
            (self.process.upgrade(), self.notification)
        else {
            return;
        };
        let user = cx.credentials().users.real;
        let user = process.credentials().namespace.shown_user(user);
        let sender = (process.pid_namespace.shown(cx.process.id()), user);
        let mut info = info::user(signal, si::MESGQ, sender.0, sender.1);
        info.fields[1] = value;
        // One that is too many is lost, as on Linux.
        let _ = process.send_signal(signal, info);
    }
}

impl Inode for PosixQueue {
    fn kind(&self) -> FileType {
        FileType::Regular
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(*self.metadata.lock())
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(PseudoFileSystem::MESSAGE_QUEUES)
    }

    fn name_without_path(&self) -> Vec<u8> {
        [b"/", self.name.as_slice()].concat()
    }

    fn open(self: Arc<Self>, _: &Context<'_>, _: OpenFlags) -> Result<Arc<dyn File>> {
        Ok(QueueFile::new(self))
    }

    fn change(&self, change: &Change) -> Result<()> {
        self.metadata.lock().apply(change);
        Ok(())
    }
}
