//! The control channel's two threads: one reads from the guest, one writes to it.

use super::Notice;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

/// Bytes that are read from the guest at once.
const READ: usize = 64 * 1024;

/// The host's end of the control channel.
pub(super) struct Wire {
    outgoing: Sender<Vec<u8>>,
    unsent: usize,
    /// Each permits the reader one read.
    permits: Sender<()>,
}

impl Wire {
    /// Starts the threads, which tell with [`Notice::Received`], [`Notice::Disconnected`] and
    /// [`Notice::Sent`].
    pub(super) fn start(control: UnixStream, notices: &SyncSender<Notice>) -> io::Result<Self> {
        let (outgoing, portions) = mpsc::channel::<Vec<u8>>();
        let (permits, permitted) = mpsc::channel();
        let (reader, told) = (control.try_clone()?, notices.clone());
        thread::spawn(move || read(reader, &permitted, &told));
        let told = notices.clone();
        thread::spawn(move || write(control, &portions, &told));
        let wire = Self { outgoing, unsent: 0, permits };
        wire.permit_read();
        wire.permit_read();
        Ok(wire)
    }

    /// Permits one more read: to be called for each [`Notice::Received`] that is dealt with.
    pub(super) fn permit_read(&self) {
        // Without a reader there is nothing to permit.
        let _ = self.permits.send(());
    }

    /// Sends to the guest, some time later.
    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        let len = bytes.len();
        if len > 0 && self.outgoing.send(bytes).is_ok() {
            self.unsent += len;
        }
    }

    /// Takes note of a [`Notice::Sent`].
    pub(super) fn sent(&mut self, len: usize) {
        self.unsent = self.unsent.saturating_sub(len);
    }

    /// Bytes that the guest has not taken yet.
    pub(super) fn unsent(&self) -> usize {
        self.unsent
    }
}

fn read(mut control: UnixStream, permits: &Receiver<()>, notices: &SyncSender<Notice>) {
    let mut buffer = vec![0; READ];
    while permits.recv().is_ok() {
        let notice = match control.read(&mut buffer) {
            Ok(0) => Notice::Disconnected(None),
            Ok(len) => Notice::Received(buffer[..len].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Notice::Received(Vec::new())
            }
            // QEMU went with bytes for it unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                Notice::Disconnected(None)
            }
            Err(error) => Notice::Disconnected(Some(error)),
        };
        let last = matches!(notice, Notice::Disconnected(_));
        if notices.send(notice).is_err() || last {
            return;
        }
    }
}

/// A failed write needs no notice of its own: the reader sees the same channel close.
fn write(mut control: UnixStream, portions: &Receiver<Vec<u8>>, notices: &SyncSender<Notice>) {
    while let Ok(portion) = portions.recv() {
        if control.write_all(&portion).is_err()
            || notices.send(Notice::Sent(portion.len())).is_err()
        {
            return;
        }
    }
}
