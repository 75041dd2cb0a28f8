//! Bytes that go between files and pipes without passing through the application: splice(2),
//! tee(2), vmsplice(2).
//!
//! A file is the [`Sink`] of what a pipe is read to, or the [`Source`] of what it is written
//! from: what the file does not take stays in the pipe, and a pipe that is full stops the
//! reading of the file.

use abi::Errno;
use abi::fs::{FileType, OpenFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::io::{Sink, SliceSink, SliceSource, Source};
use crate::machine::Page;
use crate::wait::Patience;

use super::file::PollEvents;
use super::open_file::OpenFile;
use super::pipe;

/// A file, and the offset at which bytes are to be read or written; without one, the position
/// counts and moves.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The file.
    pub open: &'a OpenFile,
    /// The offset.
    pub offset: Option<u64>,
}

impl Place<'_> {
    /// Whether it is one end of a pipe; those that the host has the other end of count.
    pub(crate) fn is_pipe(&self) -> bool {
        self.open.file.inode().kind() == FileType::Fifo
    }
}

/// Moves up to `len` bytes from one place to the other, at least one of which is a pipe: what
/// there is now, or after waiting for the first. Returns how many.
///
/// # Errors
/// `EINVAL` when none is a pipe, both are the same, or a file cannot be used so; `EAGAIN`
/// where waiting is forbidden; those of read(2) and write(2).
pub(crate) fn splice(
    cx: &Context<'_>,
    from: Place<'_>,
    to: Place<'_>,
    len: usize,
    patience: Patience,
) -> Result<usize> {
    if let (Some(input), Some(output)) = (from.open.file.pipe(), to.open.file.pipe()) {
        let patience = patience_of(patience, &[from.open, to.open]);
        return pipe::transfer::splice(cx, input, output, len, patience);
    }
    if from.is_pipe() {
        check_output(to)?;
        check_ready(from.open, PollEvents::IN | PollEvents::HUP, patience)?;
        let mut sink = FileSink { cx, to, done: 0, len };
        return from.open.read(cx, &mut sink);
    }
    if to.is_pipe() {
        return file_to_pipe(cx, from, to.open, len, patience);
    }
    Err(Errno::EINVAL.because("neither file is a pipe"))
}

/// Moves up to `len` bytes from a file that is no pipe to a pipe: as much as there is room
/// for, after waiting for room.
///
/// # Errors
/// As [`splice`].
pub(crate) fn file_to_pipe(
    cx: &Context<'_>,
    from: Place<'_>,
    to: &OpenFile,
    len: usize,
    patience: Patience,
) -> Result<usize> {
    if from.open.file.inode().kind() == FileType::Directory {
        return Err(Errno::EINVAL.because("the input is a directory"));
    }
    check_ready(to, PollEvents::OUT | PollEvents::ERR, patience)?;
    let start = match from.offset {
        None if from.open.check_positions().is_ok() => Some(from.open.position()),
        offset => offset,
    };
    let place = Place { open: from.open, offset: start };
    let done = fill_pipe(cx, to, &mut FileSource { cx, from: place, done: 0, remaining: len })?;
    if let (None, Some(start)) = (from.offset, start) {
        from.open.set_position(start + done as u64);
    }
    Ok(done)
}

/// Adds what there is room for in a pipe, after waiting for room: vmsplice(2).
///
/// # Errors
/// As [`splice`].
pub(crate) fn fill_pipe(cx: &Context<'_>, to: &OpenFile, from: &mut dyn Source) -> Result<usize> {
    match to.file.pipe() {
        Some(pipe) => pipe::transfer::fill(cx, pipe, to, from),
        None => to.write(cx, from),
    }
}

/// Lets `to` have a copy of what is in `from`, of up to `len` bytes: tee(2).
///
/// # Errors
/// `EINVAL` when they are not two pipes; as [`splice`].
pub(crate) fn tee(
    cx: &Context<'_>,
    from: &OpenFile,
    to: &OpenFile,
    len: usize,
    patience: Patience,
) -> Result<usize> {
    let (Some(input), Some(output)) = (from.file.pipe(), to.file.pipe()) else {
        return Err(Errno::EINVAL.because("both must be pipes"));
    };
    let patience = patience_of(patience, &[from, to]);
    pipe::transfer::tee(cx, input, output, len, patience)
}

fn patience_of(patience: Patience, files: &[&OpenFile]) -> Patience {
    let forbidden = files.iter().any(|open| open.is_nonblocking());
    if forbidden { Patience::None } else { patience }
}

/// Fails where there is nothing to do yet and waiting is forbidden.
pub(crate) fn check_ready(open: &OpenFile, events: PollEvents, patience: Patience) -> Result<()> {
    if patience == Patience::None && !open.file.poll().intersects(events) {
        return Err(Errno::EAGAIN.because("it would block"));
    }
    Ok(())
}

fn check_output(to: Place<'_>) -> Result<()> {
    if to.open.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EINVAL.because("the output is open for appending"));
    }
    Ok(())
}

/// A file that takes what is read from another one.
struct FileSink<'a> {
    cx: &'a Context<'a>,
    to: Place<'a>,
    done: usize,
    len: usize,
}

impl FileSink<'_> {
    fn write(&mut self, from: &mut dyn Source) -> Result<usize> {
        let done = match self.to.offset {
            Some(start) => self.to.open.write_at(self.cx, start + self.done as u64, from)?,
            None => self.to.open.write(self.cx, from)?,
        };
        self.done += done;
        Ok(done)
    }
}

impl Sink for FileSink<'_> {
    fn remaining(&self) -> usize {
        self.len - self.done
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let len = bytes.len().min(self.remaining());
        self.write(&mut SliceSource::new(&bytes[..len]))
    }

    fn put_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize> {
        let end = offset + len.min(self.remaining());
        self.write(&mut PageSource { page, at: offset, end })
    }
}

/// A file that gives what is written to another one, until it has no more at the moment.
struct FileSource<'a> {
    cx: &'a Context<'a>,
    from: Place<'a>,
    done: usize,
    remaining: usize,
}

impl FileSource<'_> {
    fn read(&mut self, to: &mut dyn Sink) -> Result<usize> {
        let wanted = to.remaining();
        let done = match self.from.offset {
            Some(start) => self.from.open.read_at(self.cx, start + self.done as u64, to)?,
            None => self.from.open.read(self.cx, to)?,
        };
        self.done += done;
        self.remaining = if done < wanted { 0 } else { self.remaining - done };
        Ok(done)
    }
}

impl Source for FileSource<'_> {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn take(&mut self, to: &mut [u8]) -> Result<usize> {
        let len = to.len().min(self.remaining);
        self.read(&mut SliceSink::new(&mut to[..len]))
    }

    fn take_to_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize> {
        let end = offset + len.min(self.remaining);
        self.read(&mut PageSink { page, at: offset, end })
    }
}

/// How much goes from page to page at once, in bytes.
const CHUNK: usize = 512;

/// Copies `len` bytes between pages.
fn copy_page(from: (&dyn Page, usize), to: (&dyn Page, usize), len: usize) {
    let mut buffer = [0; CHUNK];
    let mut done = 0;
    while done < len {
        let bytes = &mut buffer[..CHUNK.min(len - done)];
        from.0.read(from.1 + done, bytes);
        to.0.write(to.1 + done, bytes);
        done += bytes.len();
    }
}

/// A part of a page that is filled.
struct PageSink<'a> {
    page: &'a dyn Page,
    at: usize,
    end: usize,
}

impl Sink for PageSink<'_> {
    fn remaining(&self) -> usize {
        self.end - self.at
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let len = bytes.len().min(self.remaining());
        self.page.write(self.at, &bytes[..len]);
        self.at += len;
        Ok(len)
    }

    fn put_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize> {
        let len = len.min(self.remaining());
        copy_page((page, offset), (self.page, self.at), len);
        self.at += len;
        Ok(len)
    }
}

/// A part of a page that is taken.
struct PageSource<'a> {
    page: &'a dyn Page,
    at: usize,
    end: usize,
}

impl Source for PageSource<'_> {
    fn remaining(&self) -> usize {
        self.end - self.at
    }

    fn take(&mut self, to: &mut [u8]) -> Result<usize> {
        let len = to.len().min(self.remaining());
        self.page.read(self.at, &mut to[..len]);
        self.at += len;
        Ok(len)
    }

    fn take_to_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize> {
        let len = len.min(self.remaining());
        copy_page((self.page, self.at), (page, offset), len);
        self.at += len;
        Ok(len)
    }
}
