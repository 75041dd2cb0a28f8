//! Pipes beside what Linux does.
//!
//! `pipe_linux.txt` was recorded on Linux 6.18 with nonblocking pipes: after each write or
//! read its result (`-` is `EAGAIN`), `FIONREAD`, and the events of the reading and of the
//! writing end, hexadecimal.

use std::format;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use abi::Errno;
use abi::fs::OpenFlags;

use crate::error::Result;
use crate::fake::kit::{self, Kit};
use crate::io::{SliceSink, SliceSource};

use super::{OpenFile, pipe};

const SESSIONS: &str = include_str!("pipe_linux.txt");

struct Fixture {
    kit: Kit,
    reader: Option<Arc<OpenFile>>,
    writer: Option<Arc<OpenFile>>,
    /// How many bytes went in and came out; the bytes count modulo 251.
    written: usize,
    read: usize,
}

impl Fixture {
    fn new(flags: OpenFlags) -> Self {
        let kit = kit::process();
        let (reader, writer) = pipe::pair(&kit.context(), flags);
        Self { kit, reader: Some(reader), writer: Some(writer), written: 0, read: 0 }
    }

    fn write(&mut self, len: usize) -> Result<usize> {
        let bytes: Vec<u8> =
            (self.written..self.written + len).map(|at| (at % 251) as u8).collect();
        let writer = self.writer.as_ref().unwrap();
        let done = writer.write(&self.kit.context(), &mut SliceSource::new(&bytes))?;
        self.written += done;
        Ok(done)
    }

    fn read(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let reader = self.reader.as_ref().unwrap();
        let done = reader.read(&self.kit.context(), &mut SliceSink::new(&mut bytes))?;
        bytes.truncate(done);
        Ok(bytes)
    }

    /// Reads and checks that nothing is lost, doubled or out of order.
    fn read_in_order(&mut self, len: usize) -> Result<usize> {
        let bytes = self.read(len)?;
        for byte in &bytes {
            assert_eq!(*byte, (self.read % 251) as u8);
            self.read += 1;
        }
        Ok(bytes.len())
    }

    fn state(&self) -> String {
        let (reader, writer) = (self.reader.as_ref().unwrap(), self.writer.as_ref().unwrap());
        let count = reader.file.readable_bytes().unwrap();
        format!("{count} {:x} {:x}", reader.file.poll().bits(), writer.file.poll().bits())
    }
}

fn show(result: Result<usize>) -> String {
    match result {
        Ok(len) => len.to_string(),
        Err(error) => {
            assert_eq!(error.errno, Errno::EAGAIN);
            "-".to_string()
        }
    }
}

fn step(fixture: &mut Fixture, action: &str, is_packets: bool) -> String {
    let (name, value) = action.split_once(' ').unwrap();
    let len = value.parse().unwrap_or(0);
    match name {
        "w" => format!("{} {}", show(fixture.write(len)), fixture.state()),
        // A packet may be cut off, so that what follows is not in order.
        "r" if is_packets => {
            let result = fixture.read(len).map(|bytes| bytes.len());
            format!("{} {}", show(result), fixture.state())
        }
        "r" => format!("{} {}", show(fixture.read_in_order(len)), fixture.state()),
        "size" => {
            let writer = fixture.writer.as_ref().unwrap();
            let size = writer.file.set_pipe_size(&fixture.kit.context(), len as u64).unwrap();
            assert_eq!(writer.file.pipe_size(), Ok(size));
            size.to_string()
        }
        "close" => {
            let (closed, other) = match value {
                "reader" => (fixture.reader.take(), fixture.writer.as_ref()),
                _ => (fixture.writer.take(), fixture.reader.as_ref()),
            };
            drop(closed);
            format!("{:x}", other.unwrap().file.poll().bits())
        }
        other => panic!("no such step: {other}"),
    }
}

#[test]
fn every_recorded_session_goes_as_on_linux() {
    for session in SESSIONS.split("pipe ").skip(1) {
        let mut lines = session.lines();
        let is_packets = lines.next() == Some("direct");
        let flag = if is_packets { OpenFlags::DIRECT } else { OpenFlags::empty() };
        let mut fixture = Fixture::new(OpenFlags::NONBLOCK | flag);
        for (at, line) in lines.enumerate() {
            let (action, expected) = line.split_once(" > ").unwrap();
            assert_eq!(
                step(&mut fixture, action, is_packets),
                expected,
                "{at} {action}\n{session}"
            );
        }
    }
}

#[test]
fn a_pipe_without_writers_is_at_its_end() {
    let mut fixture = Fixture::new(OpenFlags::empty());
    assert_eq!(fixture.write(3), Ok(3));
    fixture.writer = None;
    assert_eq!(fixture.read(10), Ok(vec![0, 1, 2]));
    assert_eq!(fixture.read(10), Ok(Vec::new()));
}

#[test]
fn a_pipe_without_readers_is_broken() {
    let mut fixture = Fixture::new(OpenFlags::empty());
    fixture.reader = None;
    assert_eq!(fixture.write(0), Ok(0));
    assert_eq!(fixture.write(1).map_err(|error| error.errno), Err(Errno::EPIPE));
}

#[test]
fn the_size_has_limits() {
    let mut fixture = Fixture::new(OpenFlags::NONBLOCK);
    let cx = fixture.kit.context();
    let file = fixture.writer.as_ref().unwrap().file.clone();
    let set = |bytes| file.set_pipe_size(&cx, bytes).map_err(|error| error.errno);
    assert_eq!(file.pipe_size(), Ok(65536));
    assert_eq!(set(0), Ok(4096));
    assert_eq!(set(1), Ok(4096));
    assert_eq!(set(5000), Ok(8192));
    assert_eq!(set(1 << 32), Err(Errno::EINVAL));
    drop(cx);
    assert_eq!(fixture.write(8192), Ok(8192));
    let cx = fixture.kit.context();
    let result = file.set_pipe_size(&cx, 4096).map_err(|error| error.errno);
    assert_eq!(result, Err(Errno::EBUSY));
}

#[test]
fn a_pipe_without_memory_is_enomem() {
    let mut fixture = Fixture::new(OpenFlags::empty());
    fixture.kit.machine.fail_allocations_after(Some(1));
    assert_eq!(fixture.write(5000), Ok(4096));
    assert_eq!(fixture.write(1).map_err(|error| error.errno), Err(Errno::ENOMEM));
    fixture.kit.machine.fail_allocations_after(None);
    assert_eq!(fixture.read_in_order(9000), Ok(4096));
}

#[test]
fn pages_are_given_back_with_the_pipe() {
    let mut fixture = Fixture::new(OpenFlags::empty());
    let before = fixture.kit.machine.live_pages();
    assert_eq!(fixture.write(60_000), Ok(60_000));
    (fixture.reader, fixture.writer) = (None, None);
    assert_eq!(fixture.kit.machine.live_pages(), before);
}

#[test]
fn the_path_of_an_end_opens_the_pipe_once_more() {
    let kit = kit::process();
    let call = |name: &str, arguments: &[u64]| {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        kit.call(name, all)
    };
    let room = kit.room(16);
    assert_eq!(call("pipe", &[room]), Ok(0));
    let path = kit.string("/proc/self/fd/0");
    assert_eq!(call("open", &[path, 3]), Err(Errno::EINVAL));
    // Either end leads to both.
    let writer = call("open", &[path, 1]).unwrap();
    assert_eq!(call("close", &[1]), Ok(0));
    assert_eq!(call("write", &[writer, path, 5]), Ok(5));
    assert_eq!(call("close", &[writer]), Ok(0));
    assert_eq!(call("read", &[0, room, 16]), Ok(5));
    assert_eq!(kit.get(room, 5), b"/proc");
    assert_eq!(call("read", &[0, room, 16]), Ok(0));
}
