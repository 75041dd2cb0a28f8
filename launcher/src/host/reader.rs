//! The thread that reads standard input, which may be the terminal: on request only, so that
//! nothing is taken from the file before the guest asked for it.

use super::Notice;
use super::output::wait;
use rustix::event::PollFlags;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

/// Most bytes that one request reads.
pub(super) const LARGEST_READ: usize = 64 * 1024;

/// The file, and whether a read is under way.
pub(super) struct Reader {
    requests: Sender<usize>,
    reading: bool,
}

impl Reader {
    /// Starts the thread, which tells with [`Notice::Read`].
    pub(super) fn start(file: OwnedFd, notices: SyncSender<Notice>) -> Self {
        let (requests, orders) = mpsc::channel();
        thread::spawn(move || serve(&file, &orders, &notices));
        Self { requests, reading: false }
    }

    /// Asks for at most `max` bytes, unless a read is already under way.
    pub(super) fn request(&mut self, max: usize) {
        if !self.reading && max > 0 {
            self.reading = self.requests.send(max.min(LARGEST_READ)).is_ok();
        }
    }

    /// Takes note of a [`Notice::Read`].
    pub(super) fn arrived(&mut self) {
        self.reading = false;
    }
}

fn serve(file: &OwnedFd, requests: &Receiver<usize>, notices: &SyncSender<Notice>) {
    let mut buffer = vec![0; LARGEST_READ];
    while let Ok(max) = requests.recv() {
        let result = read(file, &mut buffer[..max]).map(|len| buffer[..len].to_vec());
        let last = result.as_ref().map_or(true, Vec::is_empty);
        if notices.send(Notice::Read(result)).is_err() || last {
            return;
        }
    }
}

/// Reads once, also from a descriptor that somebody made non-blocking.
fn read(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::read(file, &mut *buffer) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(file, PollFlags::IN)?,
            result => return result,
        }
    }
}
