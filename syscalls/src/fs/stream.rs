//! The program's standard streams where they are not the terminal: the host's end is a file,
//! a pipe or nothing at all, and only the launcher knows. To the application each is one end
//! of a pipe.
//!
//! [`Streams`] holds what the machine's news are about; [`open`] makes the open file of
//! descriptor 0, 1 or 2.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use abi::fs::{AccessMode, OpenFlags};
use abi::terminal::Winsize;
use spin::Mutex;

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::io::{Sink, Source};
use crate::machine::{Machine, News, Stream};
use crate::process::Credentials;
use crate::system::System;
use crate::terminal::console;
use crate::wait::WaitQueue;

use super::pipe;
use super::pipe_inode::{Conduit, PipeInode};
use super::{File, Inode, OpenFile, PollEvents};

/// Largest piece that goes to or comes from the machine at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// Transfers up to this length, in bytes, need no buffer from the heap.
const SHORT: usize = 256;

/// What is known of the program's three streams.
#[derive(Default)]
pub struct Streams {
    ends: [Arc<End>; 3],
}

/// What is known of one stream.
#[derive(Default)]
struct End {
    /// The host closed its side.
    is_closed: AtomicBool,
    /// Woken by news of the stream.
    changed: WaitQueue,
}

impl Streams {
    /// The end of `stream`; `None` for the terminal.
    fn end(&self, stream: Stream) -> Option<&Arc<End>> {
        self.ends.get(stream as usize)
    }
}

/// Passes on what the machine says of its streams and its terminal. Signals are no business of
/// this function.
pub fn news(system: &System, news: News) {
    match news {
        News::Readable(Stream::Terminal) | News::Writable(Stream::Terminal) => {
            system.terminal.news(system);
        }
        News::Closed(Stream::Terminal) => system.terminal.hang_up(system),
        News::WindowSize { rows, columns } => {
            let window = Winsize { rows, columns, ..Winsize::default() };
            system.terminal.set_window(system, window);
        }
        News::Readable(stream) => {
            if let Some(end) = system.streams.end(stream) {
                end.changed.wake(PollEvents::IN | PollEvents::RDNORM);
            }
        }
        News::Writable(stream) => {
            if let Some(end) = system.streams.end(stream) {
                end.changed.wake(PollEvents::OUT | PollEvents::WRNORM);
            }
        }
        News::Closed(stream) => {
            if let Some(end) = system.streams.end(stream) {
                end.is_closed.store(true, Ordering::SeqCst);
                end.changed.wake_all();
            }
        }
        News::Signal(_) | News::Answers | News::WallClock | News::Frames => {}
    }
}

/// Opens a standard stream; closing the last descriptor of it tells the host. For
/// [`Stream::Terminal`] that is the terminal, which is better opened as /dev/console.
#[must_use]
pub fn open(system: &System, stream: Stream) -> Arc<OpenFile> {
    let flags = match stream {
        Stream::Stdin => OpenFlags::empty(),
        _ => OpenFlags::WRONLY,
    };
    let Some(end) = system.streams.end(stream) else {
        return console::open(system);
    };
    let stream = Arc::new(StandardStream {
        machine: system.machine.clone(),
        stream,
        end: end.clone(),
        buffer: Mutex::new(None),
        received: Mutex::new(VecDeque::new()),
    });
    let conduit: Arc<dyn Conduit> = stream.clone();
    let inode = PipeInode::new(system, &Credentials::root(), Arc::downgrade(&conduit));
    Arc::new(OpenFile::new(Arc::new(StreamFile { stream, inode }), flags))
}

/// A standard stream; the host is told when its last file is closed.
struct StandardStream {
    machine: Arc<dyn Machine>,
    stream: Stream,
    end: Arc<End>,
    /// A buffer of [`CHUNK`] bytes that its user takes out; a second one at the same time
    /// allocates another.
    buffer: Mutex<Option<Box<[u8]>>>,
    /// Bytes that were received but not read: they were counted for `FIONREAD`, or their
    /// reader's buffer was a bad address.
    received: Mutex<VecDeque<u8>>,
}

impl StandardStream {
    fn is_input(&self) -> bool {
        self.stream == Stream::Stdin
    }

    fn is_closed(&self) -> bool {
        self.end.is_closed.load(Ordering::SeqCst)
    }

    /// Calls `work` with a buffer of at least `len` bytes, or of [`CHUNK`].
    fn with_buffer<T>(&self, len: usize, work: impl FnOnce(&mut [u8]) -> Result<T>) -> Result<T> {
        if len <= SHORT {
            return work(&mut [0; SHORT][..len]);
        }
        let kept = self.buffer.lock().take();
        let mut buffer = match kept {
            Some(buffer) => buffer,
            None => new_buffer()?,
        };
        let result = work(&mut buffer);
        *self.buffer.lock() = Some(buffer);
        result
    }

    /// Takes bytes that have arrived.
    fn receive(&self, to: &mut [u8]) -> usize {
        let mut received = self.received.lock();
        if received.is_empty() {
            drop(received);
            return self.machine.receive(self.stream, to);
        }
        let len = to.len().min(received.len());
        for (to, byte) in to.iter_mut().zip(received.drain(..len)) {
            *to = byte;
        }
        len
    }

    /// Gives back the last bytes of a [`StandardStream::receive`].
    fn give_back(&self, bytes: &[u8]) -> Result<()> {
        let mut received = self.received.lock();
        received.try_reserve(bytes.len()).map_err(|_| Errno::ENOMEM)?;
        bytes.iter().rev().for_each(|&byte| received.push_front(byte));
        Ok(())
    }

    /// What a reader finds: bytes, end of file (0), or that it has to wait (`None`).
    fn look(&self, to: &mut [u8]) -> Option<usize> {
        // In this order: bytes that arrived before the end are not lost.
        let is_closed = self.is_closed();
        match self.receive(to) {
            0 if !is_closed => None,
            len => Some(len),
        }
    }

    /// Waits until the stream has changed so that `ready` has a value.
    fn wait<T>(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        ready: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        cx.block_on(&[&self.end.changed], open.patience(), ready)
    }

    /// Sends all of `bytes` unless the call is nonblocking or interrupted; how many were
    /// sent, and why not all.
    fn send(&self, cx: &Context<'_>, open: &OpenFile, bytes: &[u8]) -> (usize, Result<()>) {
        let mut sent = 0;
        while sent < bytes.len() {
            let result = self.wait(cx, open, || {
                if self.is_closed() {
                    return Err(pipe::broken(cx));
                }
                let now = self.machine.send(self.stream, &bytes[sent..]);
                Ok((now > 0).then_some(now))
            });
            match result {
                Ok(now) => sent += now,
                Err(error) => return (sent, Err(error)),
            }
        }
        (sent, Ok(()))
    }

    /// How many bytes can be read without waiting, as far as one chunk tells.
    fn count_received(&self) -> Result<usize> {
        let waiting = self.received.lock().len();
        if waiting >= CHUNK || !self.is_input() {
            return Ok(waiting);
        }
        self.with_buffer(CHUNK, |buffer| {
            let len = self.machine.receive(self.stream, &mut buffer[..CHUNK - waiting]);
            let mut received = self.received.lock();
            received.try_reserve(len).map_err(|_| Errno::ENOMEM)?;
            received.extend(&buffer[..len]);
            Ok(received.len())
        })
    }
}

fn new_buffer() -> Result<Box<[u8]>> {
    Ok(buffer::zeroed(CHUNK)?.into_boxed_slice())
}

impl Conduit for StandardStream {
    fn reopen(self: Arc<Self>, inode: Arc<dyn Inode>, access: AccessMode) -> Result<Arc<dyn File>> {
        let way = if self.is_input() { AccessMode::Read } else { AccessMode::Write };
        if access != way {
            return Err(Errno::EACCES.because("the host has the other end of the stream"));
        }
        Ok(Arc::new(StreamFile { stream: self, inode }))
    }
}

/// The file behind descriptor 0, 1 or 2.
struct StreamFile {
    stream: Arc<StandardStream>,
    inode: Arc<dyn Inode>,
}

impl File for StreamFile {
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
        let len = to.remaining().min(CHUNK);
        if len == 0 {
            return Ok(0);
        }
        self.stream.with_buffer(len, |buffer| {
            let len = self.stream.wait(cx, open, || Ok(self.stream.look(&mut buffer[..len])))?;
            let put = to.put(&buffer[..len]);
            let done = *put.as_ref().unwrap_or(&0);
            if done < len {
                self.stream.give_back(&buffer[done..len])?;
            }
            put
        })
    }

    fn write(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let mut done = 0;
        while from.remaining() > 0 {
            let len = from.remaining().min(CHUNK);
            let (sent, result) = self
                .stream
                .with_buffer(len, |buffer| {
                    let taken = from.take(&mut buffer[..len])?;
                    Ok(self.stream.send(cx, open, &buffer[..taken]))
                })
                .unwrap_or_else(|error| (0, Err(error)));
            done += sent;
            match result {
                Ok(()) if sent > 0 => {}
                Ok(()) => break,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn readable_bytes(&self) -> Result<usize> {
        self.stream.count_received()
    }

    fn poll(&self) -> PollEvents {
        let mut events = PollEvents::empty();
        let is_closed = self.stream.is_closed();
        if self.stream.is_input() {
            if !self.stream.received.lock().is_empty()
                || self.stream.machine.can_receive(self.stream.stream)
            {
                events |= PollEvents::IN | PollEvents::RDNORM;
            }
            if is_closed {
                events |= PollEvents::HUP;
            }
        } else {
            if is_closed || self.stream.machine.can_send(self.stream.stream) {
                events |= PollEvents::OUT | PollEvents::WRNORM;
            }
            if is_closed {
                events |= PollEvents::ERR;
            }
        }
        events
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.stream.end.changed)
    }
}

impl Drop for StandardStream {
    fn drop(&mut self) {
        self.machine.close(self.stream);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use std::vec;

    use crate::fake::kit::{self, Kit};
    use crate::fake::{HostEvent, NewsOnly};
    use crate::io::{SliceSink, SliceSource};

    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    fn kit() -> (Kit, Arc<NewsOnly>) {
        let kit = kit::process();
        let service = NewsOnly::on(&kit);
        (kit, service)
    }

    fn read(kit: &Kit, open: &OpenFile, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let done = open.read(&kit.context(), &mut SliceSink::new(&mut bytes))?;
        bytes.truncate(done);
        Ok(bytes)
    }

    fn write(kit: &Kit, open: &OpenFile, bytes: &[u8]) -> Result<usize> {
        open.write(&kit.context(), &mut SliceSource::new(bytes))
    }

    #[test]
    fn a_read_waits_for_bytes_and_ends_at_the_close() {
        let (kit, _service) = kit();
        let stdin = open(&kit.system, Stream::Stdin);
        kit.machine.host_at(MILLISECOND, HostEvent::Feed(Stream::Stdin, b"abc".to_vec()));
        assert_eq!(read(&kit, &stdin, 2), Ok(b"ab".to_vec()));
        assert_eq!(kit.machine.monotonic_ns(), MILLISECOND);
        assert_eq!(stdin.file.readable_bytes(), Ok(1));
        kit.machine.host(HostEvent::Close(Stream::Stdin));
        let both = PollEvents::IN | PollEvents::RDNORM | PollEvents::HUP;
        assert_eq!(stdin.file.poll(), both);
        assert_eq!(read(&kit, &stdin, 2), Ok(b"c".to_vec()));
        assert_eq!(read(&kit, &stdin, 2), Ok(Vec::new()));
        assert_eq!(stdin.file.poll(), PollEvents::HUP);
    }

    #[test]
    fn a_nonblocking_read_does_not_wait() {
        let (kit, _service) = kit();
        let stdin = open(&kit.system, Stream::Stdin);
        stdin.set_flags(OpenFlags::NONBLOCK);
        assert_eq!(read(&kit, &stdin, 2).map_err(|error| error.errno), Err(Errno::EAGAIN));
        assert_eq!(stdin.file.poll(), PollEvents::empty());
    }

    #[test]
    fn a_large_write_waits_for_credit_and_arrives_whole() {
        let (kit, _service) = kit();
        let stdout = open(&kit.system, Stream::Stdout);
        let bytes: Vec<u8> = (0..50_000_u32).map(|at| (at % 251) as u8).collect();
        kit.machine.set_credit(Stream::Stdout, Some(20_000));
        kit.machine.host_at(MILLISECOND, HostEvent::Credit(Stream::Stdout, 100));
        kit.machine.host_at(2 * MILLISECOND, HostEvent::Credit(Stream::Stdout, 60_000));
        assert_eq!(write(&kit, &stdout, &bytes), Ok(bytes.len()));
        assert_eq!(kit.machine.output(Stream::Stdout), bytes);
        assert_eq!(kit.machine.monotonic_ns(), 2 * MILLISECOND);
    }

    #[test]
    fn a_nonblocking_write_says_how_much_was_sent() {
        let (kit, _service) = kit();
        let stdout = open(&kit.system, Stream::Stdout);
        stdout.set_flags(OpenFlags::NONBLOCK);
        kit.machine.set_credit(Stream::Stdout, Some(3));
        assert_eq!(write(&kit, &stdout, b"hello"), Ok(3));
        assert_eq!(write(&kit, &stdout, b"lo").map_err(|error| error.errno), Err(Errno::EAGAIN));
        assert_eq!(stdout.file.poll(), PollEvents::empty());
    }

    #[test]
    fn writing_to_nobody_is_a_broken_pipe() {
        let (kit, _service) = kit();
        let stderr = open(&kit.system, Stream::Stderr);
        kit.machine.host(HostEvent::Close(Stream::Stderr));
        assert_eq!(write(&kit, &stderr, b"x").map_err(|error| error.errno), Err(Errno::EPIPE));
        assert!(stderr.file.poll().contains(PollEvents::ERR | PollEvents::OUT));
        assert_eq!(read(&kit, &stderr, 1).map_err(|error| error.errno), Err(Errno::EBADF));
    }

    #[test]
    fn its_path_opens_a_stream_once_more() {
        const O_WRONLY: u64 = 1;
        let (kit, _service) = kit();
        let fd = kit.descriptor(open(&kit.system, Stream::Stdout));
        let path = kit.string(std::format!("/proc/self/fd/{fd}"));
        let again = kit.call("open", [path, O_WRONLY, 0, 0, 0, 0]).unwrap();
        assert_eq!(kit.call("open", [path, 0, 0, 0, 0, 0]), Err(Errno::EACCES));
        assert_eq!(kit.call("close", [fd, 0, 0, 0, 0, 0]), Ok(0));
        let bytes = kit.put(b"crab");
        assert_eq!(kit.call("write", [again, bytes, 4, 0, 0, 0]), Ok(4));
        assert_eq!(kit.machine.output(Stream::Stdout), b"crab");
        assert!(!kit.machine.is_closed_by_guest(Stream::Stdout));
        assert_eq!(kit.call("close", [again, 0, 0, 0, 0, 0]), Ok(0));
        assert!(kit.machine.is_closed_by_guest(Stream::Stdout));
    }

    #[test]
    fn the_last_close_tells_the_host() {
        let (kit, _service) = kit();
        let stdout = open(&kit.system, Stream::Stdout);
        let other = stdout.clone();
        drop(stdout);
        assert!(!kit.machine.is_closed_by_guest(Stream::Stdout));
        drop(other);
        assert!(kit.machine.is_closed_by_guest(Stream::Stdout));
    }
}
