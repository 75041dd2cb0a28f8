//! The host's files that the guest writes to.
//!
//! Each file has a thread that may block in write(2) as long as the file's reader likes; the
//! guest's credit bounds what waits for it. Streams that lead to one file (`2>&1`) share a
//! thread, so that they keep their order.

use super::Notice;
use abi::boot::channel::Stream;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

/// Whose bytes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The program's, on this stream.
    Program(Stream),
    /// Birgus's own words.
    Report,
    /// The trace, where it has a file of its own.
    Trace,
}

impl Origin {
    const COUNT: usize = 6;

    fn index(self) -> usize {
        match self {
            Self::Program(stream) => stream as usize,
            Self::Report => 4,
            Self::Trace => 5,
        }
    }
}

/// Device and inode number of a file.
type Identity = (u64, u64);

/// Files that are one and the same.
type Files = Vec<(Origin, OwnedFd)>;

enum Order {
    Write(Origin, Vec<u8>),
    /// Close the file, so that its reader sees the end.
    Close(Origin),
}

/// All files that the guest writes to.
pub(super) struct Outputs {
    writers: [Option<Sender<Order>>; Origin::COUNT],
    backlog: [usize; Origin::COUNT],
}

impl Outputs {
    /// Starts the threads. They tell with [`Notice::Written`] and [`Notice::WriteFailed`].
    pub(super) fn start(files: Files, notices: &SyncSender<Notice>) -> Self {
        let mut groups: Vec<(Option<Identity>, Files)> = Vec::new();
        for (origin, file) in files {
            let identity = rustix::fs::fstat(&file).ok().map(|stat| (stat.st_dev, stat.st_ino));
            match groups.iter_mut().find(|(known, _)| identity.is_some() && *known == identity) {
                Some((_, group)) => group.push((origin, file)),
                None => groups.push((identity, vec![(origin, file)])),
            }
        }
        let mut outputs = Self { writers: Default::default(), backlog: Default::default() };
        for (_, group) in groups {
            let (sender, orders) = mpsc::channel();
            for (origin, _) in &group {
                outputs.writers[origin.index()] = Some(sender.clone());
            }
            let notices = notices.clone();
            thread::spawn(move || Writer { files: group, notices }.serve(&orders));
        }
        outputs
    }

    /// Writes in the order of the calls, some time later.
    pub(super) fn write(&mut self, origin: Origin, bytes: Vec<u8>) {
        if let Some(writer) = &self.writers[origin.index()] {
            let len = bytes.len();
            // A writer ends only when this end of its queue is gone.
            if writer.send(Order::Write(origin, bytes)).is_ok() {
                self.backlog[origin.index()] += len;
            }
        }
    }

    /// Closes the file after what was written before.
    pub(super) fn close(&mut self, origin: Origin) {
        if let Some(writer) = self.writers[origin.index()].take() {
            let _ = writer.send(Order::Close(origin));
        }
    }

    /// Takes note that a writer has dealt with `len` bytes.
    pub(super) fn written(&mut self, origin: Origin, len: usize) {
        let backlog = &mut self.backlog[origin.index()];
        *backlog = backlog.saturating_sub(len);
    }

    /// Bytes that wait to be written for one origin.
    pub(super) fn backlog(&self, origin: Origin) -> usize {
        self.backlog[origin.index()]
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_idle(&self) -> bool {
        self.backlog.iter().all(|&len| len == 0)
    }
}

struct Writer {
    files: Files,
    notices: SyncSender<Notice>,
}

impl Writer {
    fn serve(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let told = match order {
                Order::Close(origin) => {
                    self.files.retain(|(known, _)| *known != origin);
                    Ok(())
                }
                Order::Write(origin, bytes) => self.write(origin, &bytes),
            };
            if told.is_err() {
                return;
            }
        }
    }

    /// Writes, and drops the file when that fails: later bytes for it go nowhere. The error
    /// says that nobody listens for notices any more.
    fn write(&mut self, origin: Origin, bytes: &[u8]) -> Result<(), mpsc::SendError<Notice>> {
        let file = self.files.iter().find(|(known, _)| *known == origin);
        if let Some((_, file)) = file
            && let Err(error) = write_all(file, bytes)
        {
            self.files.retain(|(known, _)| *known != origin);
            self.notices.send(Notice::WriteFailed(origin, error))?;
        }
        self.notices.send(Notice::Written(origin, bytes.len()))
    }
}

/// Writes everything, also to a descriptor that somebody made non-blocking.
fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(file, PollFlags::OUT)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until a descriptor is ready, or has failed.
pub(super) fn wait(file: &impl AsFd, flags: PollFlags) -> Result<(), Errno> {
    match poll(&mut [PollFd::new(file, flags)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}
