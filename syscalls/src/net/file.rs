//! Sockets as files.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{FileType, Mode, OpenFlags};
use abi::net::{MessageFlags, request};
use abi::signal::Signal;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::{
    Change, File, FileSystem, Inode, Metadata, OpenFile, PollEvents, PseudoFileSystem, Timestamp,
};
use crate::io::{Sink, Source};
use crate::user::UserPtr;
use crate::wait::WaitQueue;

use super::registry::Entry;
use super::{Kind, Outgoing, Socket, requests};

/// A socket that descriptors refer to.
pub(crate) struct SocketFile {
    socket: Arc<dyn Socket>,
    inode: Arc<dyn Inode>,
    /// Keeps it among the sockets that are open.
    _entry: Entry,
}

/// The open file of a new socket; `flags` may have `O_NONBLOCK`.
pub(crate) fn open(cx: &Context<'_>, socket: Arc<dyn Socket>, flags: OpenFlags) -> Arc<OpenFile> {
    let inode = Arc::new(SocketInode::new(cx));
    let Metadata { number, owner, .. } = *inode.metadata.lock();
    let entry = cx.system.sockets.open.add(number, owner, &socket);
    let file = SocketFile { socket, inode, _entry: entry };
    Arc::new(OpenFile::new(Arc::new(file), flags | OpenFlags::RDWR))
}

/// Sends, with `SIGPIPE` where Linux raises it.
///
/// # Errors
/// Those of sendmsg(2).
pub(crate) fn send(
    cx: &Context<'_>,
    socket: &dyn Socket,
    from: &mut dyn Source,
    how: Outgoing,
) -> Result<usize> {
    let is_silent = how.flags.contains(MessageFlags::NOSIGNAL);
    let sent = socket.send(cx, from, how);
    if let Err(error) = &sent
        && error.errno == Errno::EPIPE
        && socket.raises_pipe_signal()
        && !is_silent
    {
        cx.thread.raise(Signal::SIGPIPE);
    }
    sent
}

/// The flags of a call on `open` that has no flags of its own.
fn flags_of(open: &OpenFile) -> MessageFlags {
    if open.is_nonblocking() { MessageFlags::DONTWAIT } else { MessageFlags::empty() }
}

impl File for SocketFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn read(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        // Unlike recv(2), read(2) of nothing neither waits nor takes a message.
        if to.remaining() == 0 {
            return Ok(0);
        }
        self.socket.receive(cx, to, flags_of(open)).map(|received| received.len)
    }

    fn write(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        send(cx, &*self.socket, from, Outgoing { flags: flags_of(open), ..Outgoing::default() })
    }

    fn readable_bytes(&self) -> Result<usize> {
        self.socket.receivable_bytes()
    }

    fn ioctl(&self, cx: &Context<'_>, number: u32, argument: u64) -> Result<Outcome> {
        match number {
            request::OUTQ => {
                let count = i32::try_from(self.socket.unreceived_bytes()?).unwrap_or(i32::MAX);
                UserPtr::new(argument).write(cx, &count)?;
                Ok(().into())
            }
            request::AT_MARK if self.socket.kind() == Kind::Stream => {
                // There is no urgent data.
                UserPtr::new(argument).write(cx, &0_u32)?;
                Ok(().into())
            }
            _ => match requests::ioctl(cx, self.socket.family(), number, argument) {
                Some(answered) => answered.map(Outcome::from),
                None => Err(Errno::ENOTTY.because("the socket does not know this request")),
            },
        }
    }

    fn poll(&self) -> PollEvents {
        self.socket.poll()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.socket.wait_queue())
    }

    fn socket(&self) -> Option<&Arc<dyn Socket>> {
        Some(&self.socket)
    }
}

/// What fstat(2) sees of a socket.
struct SocketInode {
    metadata: Mutex<Metadata>,
}

impl SocketInode {
    fn new(cx: &Context<'_>) -> Self {
        let who = cx.credentials();
        let now = Timestamp::from_ns(cx.system.machine.wall_clock_ns());
        let number = cx.system.sockets.next_number();
        let metadata = Metadata {
            owner: who.users.file_system,
            group: who.groups.file_system,
            accessed: now,
            modified: now,
            changed: now,
            created: now,
            ..Metadata::new(number, FileType::Socket, Mode::ALL)
        };
        Self { metadata: Mutex::new(metadata) }
    }
}

impl Inode for SocketInode {
    fn kind(&self) -> FileType {
        FileType::Socket
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(*self.metadata.lock())
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(PseudoFileSystem::SOCKETS)
    }

    fn name_without_path(&self) -> Vec<u8> {
        format!("socket:[{}]", self.metadata.lock().number).into_bytes()
    }

    fn change(&self, change: &Change) -> Result<()> {
        let mut metadata = self.metadata.lock();
        metadata.mode = change.mode.unwrap_or(metadata.mode);
        metadata.owner = change.owner.unwrap_or(metadata.owner);
        metadata.group = change.group.unwrap_or(metadata.group);
        metadata.accessed = change.accessed.unwrap_or(metadata.accessed);
        metadata.modified = change.modified.unwrap_or(metadata.modified);
        Ok(())
    }
}
