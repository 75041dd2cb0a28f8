//! The program's input: what was read, how much of it the guest wants, and where it ends.

use super::Notice;
use super::reader::Reader;
use super::terminal::Terminal;
use crate::session::Session;
use abi::boot::channel::Stream;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// Keystrokes that are read ahead of the guest's wish, in bytes, so that the [`WayOut`] works
/// even when the guest hangs.
const TYPE_AHEAD: usize = 4096;

/// Standard input on its way to the guest.
pub(super) struct Input {
    /// The stream that it is in the guest: the terminal, or standard input.
    stream: Stream,
    /// `None` once nothing more is wanted, or there is no more.
    reader: Option<Reader>,
    /// What was read and has no credit yet.
    pending: Vec<u8>,
    ended: bool,
    way_out: WayOut,
    in_background: bool,
}

/// What a read of the input means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Bytes, or the end.
    Taken,
    /// The user wants out.
    WayOut,
    /// The file cannot be read, which is its end.
    Failed(Errno),
}

impl Input {
    /// Input from a file, as a stream of the guest.
    pub(super) fn start(stream: Stream, file: OwnedFd, notices: SyncSender<Notice>) -> Self {
        Self {
            stream,
            reader: Some(Reader::start(file, notices)),
            pending: Vec::new(),
            ended: false,
            way_out: WayOut::default(),
            in_background: false,
        }
    }

    /// Sends what there is credit for, and asks for more when there is more credit.
    pub(super) fn supply(&mut self, session: &mut Session, terminal: Option<&Terminal>) {
        let sent = session.send(self.stream, &self.pending);
        self.pending.drain(..sent);
        if self.ended && self.pending.is_empty() {
            session.close(self.stream);
            self.reader = None;
        }
        let Some(reader) = self.reader.as_mut().filter(|_| !self.ended) else { return };
        let mut wanted = session.credit(self.stream);
        if let (Stream::Terminal, Some(terminal)) = (self.stream, terminal) {
            self.in_background = !terminal.may_read();
            if self.in_background {
                return;
            }
            terminal.enter_raw_mode();
            wanted = wanted.max(TYPE_AHEAD);
        }
        reader.request(wanted.saturating_sub(self.pending.len()));
    }

    /// Takes what the reader read.
    pub(super) fn arrived(&mut self, result: Result<Vec<u8>, Errno>) -> Arrival {
        if let Some(reader) = &mut self.reader {
            reader.arrived();
        }
        match result {
            Ok(bytes) => {
                self.ended |= bytes.is_empty();
                if self.stream == Stream::Terminal && self.way_out.typed(&bytes, Instant::now()) {
                    return Arrival::WayOut;
                }
                self.pending.extend_from_slice(&bytes);
                Arrival::Taken
            }
            Err(error) => {
                self.ended = true;
                // So says a terminal that has hung up.
                let hung_up = self.stream == Stream::Terminal && error == Errno::IO;
                if hung_up { Arrival::Taken } else { Arrival::Failed(error) }
            }
        }
    }

    /// The guest closed a stream: if it is this one, nobody wants more of it.
    pub(super) fn closed(&mut self, stream: Stream) {
        if stream == self.stream {
            self.reader = None;
            self.pending.clear();
        }
    }

    /// The terminal's keyboard belongs to another job of the shell, for now.
    pub(super) fn is_in_background(&self) -> bool {
        self.in_background && self.reader.is_some()
    }
}

/// The way out of a program, or a guest, that does not end: a key that is pressed several
/// times ends the virtual machine from a terminal in raw mode, whatever the guest does.
#[derive(Debug, Default)]
struct WayOut(VecDeque<Instant>);

impl WayOut {
    /// `Ctrl-\`
    const KEY: u8 = 0x1c;
    const PRESSES: usize = 3;
    const WITHIN: Duration = Duration::from_secs(2);

    /// Keys were typed. Whether the user wants out.
    fn typed(&mut self, keys: &[u8], now: Instant) -> bool {
        for &key in keys {
            if key == Self::KEY {
                self.0.push_back(now);
            } else {
                self.0.clear();
            }
        }
        self.0.retain(|&pressed| now.saturating_duration_since(pressed) <= Self::WITHIN);
        self.0.len() >= Self::PRESSES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_is_one_key_three_times_in_a_row_and_soon() {
        let (mut way, start) = (WayOut::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(!way.typed(b"\x1c\x1cx\x1c\x1c", start));
        assert!(way.typed(b"\x1c", start + second));
        let mut way = WayOut::default();
        assert!(!way.typed(b"\x1c", start));
        assert!(!way.typed(b"\x1c", start + second));
        assert!(!way.typed(b"\x1c", start + 3 * second));
        assert!(way.typed(b"\x1c", start + 3 * second));
    }
}
