//! The input queue of a line discipline: bytes the user typed, up to the unfinished line that
//! can still be edited.

use alloc::collections::VecDeque;

/// How many bytes the queue holds before the user has to wait. A line can be that long, with
/// its end one more.
pub(super) const LIMIT: usize = 4095;

/// What a byte of the queue is to a canonical reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A byte of a line.
    Plain,
    /// The last byte of a line.
    LineEnd,
    /// No byte at all: the user typed EOF here.
    EndOfFile,
}

/// A chunk that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Its length in bytes.
    pub(super) len: usize,
    /// Whether more bytes belong to the same read.
    pub(super) is_partial: bool,
}

/// The input queue.
pub(super) struct Input {
    bytes: VecDeque<(u8, Mark)>,
    /// How many bytes at the end are the unfinished line.
    unfinished: usize,
}

impl Input {
    pub(super) fn new() -> Self {
        Self { bytes: VecDeque::new(), unfinished: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.unfinished = 0;
    }

    /// Length of what a canonical reader can have, with EOF marks.
    pub(super) fn finished(&self) -> usize {
        self.bytes.len() - self.unfinished
    }

    /// How many bytes a canonical reader can have.
    pub(super) fn finished_bytes(&self) -> usize {
        let finished = self.bytes.iter().take(self.finished());
        finished.filter(|(_, mark)| *mark != Mark::EndOfFile).count()
    }

    /// The unfinished line.
    pub(super) fn unfinished(&self) -> impl DoubleEndedIterator<Item = u8> + '_ {
        self.bytes.range(self.finished()..).map(|&(byte, _)| byte)
    }

    /// Byte `at` of the unfinished line.
    pub(super) fn unfinished_byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(self.finished() + at).map(|&(byte, _)| byte)
    }

    pub(super) fn unfinished_len(&self) -> usize {
        self.unfinished
    }

    /// Appends to the unfinished line.
    pub(super) fn put(&mut self, byte: u8) {
        self.bytes.push_back((byte, Mark::Plain));
        self.unfinished += 1;
    }

    /// Ends the unfinished line.
    pub(super) fn put_end(&mut self, byte: u8, mark: Mark) {
        self.bytes.push_back((byte, mark));
        self.unfinished = 0;
    }

    /// Shortens the unfinished line by up to `len` bytes.
    pub(super) fn drop_last(&mut self, len: usize) {
        let len = len.min(self.unfinished);
        self.bytes.truncate(self.bytes.len() - len);
        self.unfinished -= len;
    }

    /// Makes all bytes readable at once by a canonical reader, or none of them the end of a
    /// line, when line editing is switched on or off.
    pub(super) fn set_canonical(&mut self, canonical: bool) {
        for (_, mark) in &mut self.bytes {
            *mark = Mark::Plain;
        }
        self.unfinished = self.bytes.len();
        if canonical && let Some((_, mark)) = self.bytes.back_mut() {
            *mark = Mark::LineEnd;
            self.unfinished = 0;
        }
    }

    /// Takes up to one line, or `None` when there is none.
    pub(super) fn take_line(&mut self, to: &mut [u8]) -> Option<Taken> {
        if self.finished() == 0 {
            return None;
        }
        let mut len = 0;
        while len < to.len() {
            let is_partial = false;
            match self.pop_finished() {
                None | Some((_, Mark::EndOfFile)) => return Some(Taken { len, is_partial }),
                Some((byte, mark)) => {
                    to[len] = byte;
                    len += 1;
                    if mark == Mark::LineEnd {
                        return Some(Taken { len, is_partial });
                    }
                }
            }
        }
        // An EOF right behind the last byte ends this read, not the next.
        if len > 0 && self.finished() > 0 && self.bytes[0].1 == Mark::EndOfFile {
            self.pop_finished();
            return Some(Taken { len, is_partial: false });
        }
        Some(Taken { len, is_partial: true })
    }

    /// Takes bytes whatever they are.
    pub(super) fn take_bytes(&mut self, to: &mut [u8]) -> usize {
        let len = to.len().min(self.bytes.len());
        for (to, (byte, _)) in to.iter_mut().zip(self.bytes.drain(..len)) {
            *to = byte;
        }
        self.unfinished = self.unfinished.min(self.bytes.len());
        len
    }

    fn pop_finished(&mut self) -> Option<(u8, Mark)> {
        if self.finished() == 0 { None } else { self.bytes.pop_front() }
    }
}
