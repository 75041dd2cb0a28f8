//! The console: waiting, `VMIN` and `VTIME` in virtual time, requests, signals.

use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use abi::Errno;
use abi::fs::OpenFlags;
use abi::terminal::{LocalFlags, OutputFlags, Termios, Winsize, control, flow, queue, request};

use crate::error::Result;
use crate::fake::kit::{self, Kit};
use crate::fake::{HostEvent, NewsOnly};
use crate::fs::{OpenFile, PollEvents};
use crate::io::{SliceSink, SliceSource};
use crate::machine::{Machine, Stream};

const MILLISECOND: u64 = 1_000_000;

struct Fixture {
    kit: Kit,
    tty: Arc<OpenFile>,
    _service: Arc<NewsOnly>,
}

impl Fixture {
    fn new() -> Self {
        let kit = kit::process();
        let service = NewsOnly::on(&kit);
        let tty = super::console::open(&kit.system);
        kit.system.terminal.set_session(2, 2);
        Self { kit, tty, _service: service }
    }

    fn types(&self, at_ns: u64, bytes: &[u8]) {
        self.kit.machine.host_at(at_ns, HostEvent::Feed(Stream::Terminal, bytes.to_vec()));
    }

    fn types_now(&self, bytes: &[u8]) {
        self.kit.machine.host(HostEvent::Feed(Stream::Terminal, bytes.to_vec()));
    }

    fn read(&self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let done = self.tty.read(&self.kit.context(), &mut SliceSink::new(&mut bytes))?;
        bytes.truncate(done);
        Ok(bytes)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.tty.write(&self.kit.context(), &mut SliceSource::new(bytes))
    }

    fn ioctl(&self, request: u32, argument: u64) -> Result<(), Errno> {
        let result = self.tty.file.ioctl(&self.kit.context(), request, argument);
        result.map(|_| ()).map_err(|error| error.errno)
    }

    fn settings(&self) -> Termios {
        let address = self.kit.room(size_of::<Termios>());
        self.ioctl(request::TCGETS, address).unwrap();
        self.kit.get_value(address)
    }

    fn raw(&self, minimum: u8, tenths: u8) {
        let mut settings = self.settings();
        settings.local &= !(LocalFlags::ICANON.bits() | LocalFlags::ECHO.bits());
        settings.control[control::VMIN] = minimum;
        settings.control[control::VTIME] = tenths;
        self.ioctl(request::TCSETS, self.kit.put_value(&settings)).unwrap();
    }

    fn shown(&self) -> Vec<u8> {
        self.kit.machine.output(Stream::Terminal)
    }

    fn now_ms(&self) -> u64 {
        self.kit.machine.monotonic_ns() / MILLISECOND
    }
}

#[test]
fn a_reader_waits_for_the_end_of_a_line() {
    let user = Fixture::new();
    user.types(10 * MILLISECOND, b"hello");
    user.types(20 * MILLISECOND, b"\x7f\x7fp!\rrest\r");
    assert_eq!(user.read(100), Ok(b"help!\n".to_vec()));
    assert_eq!(user.now_ms(), 20);
    assert_eq!(user.shown(), b"hello\x08 \x08\x08 \x08p!\r\nrest\r\n");
    assert_eq!(user.read(2), Ok(b"re".to_vec()));
    assert_eq!(user.tty.file.readable_bytes(), Ok(3));
}

#[test]
fn a_line_longer_than_a_chunk_is_one_read() {
    let user = Fixture::new();
    let mut line = vec![b'x'; 3000];
    line.push(b'\n');
    user.types_now(&line);
    assert_eq!(user.read(5000), Ok(line));
}

#[test]
fn more_input_than_the_queue_holds_is_not_lost() {
    let user = Fixture::new();
    user.raw(1, 0);
    let bytes: Vec<u8> = (0..20_000_u32).map(|at| b'a' + (at % 26) as u8).collect();
    user.types_now(&bytes);
    let mut got = Vec::new();
    while got.len() < bytes.len() {
        got.extend(user.read(3000).unwrap());
    }
    assert_eq!(got, bytes);
}

#[test]
fn minimum_without_time_waits_for_so_many_bytes() {
    let user = Fixture::new();
    user.raw(3, 0);
    user.types(10 * MILLISECOND, b"a");
    user.types(20 * MILLISECOND, b"bcd");
    assert_eq!(user.read(10), Ok(b"abcd".to_vec()));
    user.types(30 * MILLISECOND, b"xyz");
    assert_eq!(user.read(2), Ok(b"xy".to_vec()));
    assert_eq!(user.now_ms(), 30);
}

#[test]
fn minimum_with_time_ends_when_the_next_byte_is_late() {
    let user = Fixture::new();
    user.raw(5, 1);
    user.types(700 * MILLISECOND, b"a");
    user.types(790 * MILLISECOND, b"b");
    assert_eq!(user.read(10), Ok(b"ab".to_vec()));
    assert_eq!(user.now_ms(), 890);
}

#[test]
fn time_without_minimum_is_a_time_limit() {
    let user = Fixture::new();
    user.raw(0, 2);
    assert_eq!(user.read(10), Ok(Vec::new()));
    assert_eq!(user.now_ms(), 200);
    user.types(250 * MILLISECOND, b"a");
    assert_eq!(user.read(10), Ok(b"a".to_vec()));
    assert_eq!(user.now_ms(), 250);
}

#[test]
fn neither_minimum_nor_time_never_waits() {
    let user = Fixture::new();
    user.raw(0, 0);
    assert_eq!(user.read(10), Ok(Vec::new()));
    user.types_now(b"ab");
    assert_eq!(user.read(10), Ok(b"ab".to_vec()));
    assert_eq!(user.now_ms(), 0);
}

#[test]
fn a_nonblocking_reader_gets_eagain() {
    let user = Fixture::new();
    user.tty.set_flags(OpenFlags::NONBLOCK);
    assert_eq!(user.read(1).map_err(|error| error.errno), Err(Errno::EAGAIN));
    user.raw(2, 0);
    user.types_now(b"x");
    assert_eq!(user.tty.file.poll(), PollEvents::OUT | PollEvents::WRNORM);
    assert_eq!(user.read(5), Ok(b"x".to_vec()));
}

#[test]
fn output_is_processed_and_waits_for_the_user() {
    let user = Fixture::new();
    user.kit.machine.set_credit(Stream::Terminal, Some(0));
    let line = vec![b'-'; 30_000];
    user.kit.machine.host_at(MILLISECOND, HostEvent::Credit(Stream::Terminal, 100_000));
    assert_eq!(user.write(&line), Ok(line.len()));
    assert_eq!(user.write(b"a\tb\n"), Ok(4));
    assert_eq!(user.ioctl(request::TCSBRK, 1), Ok(()));
    let shown = user.shown();
    assert_eq!(shown.len(), line.len() + 5);
    assert!(shown.ends_with(b"a\tb\r\n"));
    assert_eq!(user.now_ms(), 1);
}

#[test]
fn stopped_output_waits_for_start() {
    let user = Fixture::new();
    user.types_now(b"\x13");
    user.types(5 * MILLISECOND, b"\x11");
    assert!(!user.tty.file.poll().contains(PollEvents::OUT));
    assert_eq!(user.write(b"x"), Ok(1));
    assert_eq!(user.now_ms(), 5);
    assert_eq!(user.ioctl(request::TCXONC, flow::TCOOFF), Ok(()));
    user.tty.set_flags(OpenFlags::NONBLOCK);
    assert_eq!(user.write(b"y").map_err(|error| error.errno), Err(Errno::EAGAIN));
    assert_eq!(user.ioctl(request::TCXONC, 9), Err(Errno::EINVAL));
}

#[test]
fn flushing_forgets_input_and_output() {
    let user = Fixture::new();
    user.raw(0, 0);
    user.types_now(b"abc");
    user.kit.machine.set_credit(Stream::Terminal, Some(0));
    assert_eq!(user.write(b"xyz"), Ok(3));
    let address = user.kit.room(4);
    assert_eq!(user.ioctl(request::TIOCOUTQ, address), Ok(()));
    assert_eq!(user.kit.get_value::<i32>(address), 3);
    assert_eq!(user.ioctl(request::TCFLSH, queue::TCIOFLUSH), Ok(()));
    assert_eq!(user.ioctl(request::TIOCOUTQ, address), Ok(()));
    assert_eq!(user.kit.get_value::<i32>(address), 0);
    assert_eq!(user.read(3), Ok(Vec::new()));
    assert_eq!(user.ioctl(request::TCFLSH, 3), Err(Errno::EINVAL));
}

#[test]
fn the_window_has_the_size_the_host_says() {
    let user = Fixture::new();
    let address = user.kit.room(size_of::<Winsize>());
    user.kit.machine.host(HostEvent::WindowSize(24, 80));
    assert_eq!(user.ioctl(request::TIOCGWINSZ, address), Ok(()));
    let expected = Winsize { rows: 24, columns: 80, ..Winsize::default() };
    assert_eq!(user.kit.get_value::<Winsize>(address), expected);
}

#[test]
fn job_control_knows_session_and_foreground() {
    let user = Fixture::new();
    user.kit.system.processes.insert(user.kit.process.clone());
    let address = user.kit.room(4);
    assert_eq!(user.ioctl(request::TIOCGPGRP, address), Ok(()));
    assert_eq!(user.kit.get_value::<u32>(address), 2);
    assert_eq!(user.ioctl(request::TIOCSPGRP, user.kit.put_value(&77_i32)), Err(Errno::ESRCH));
    assert_eq!(user.ioctl(request::TIOCSPGRP, user.kit.put_value(&-1_i32)), Err(Errno::EINVAL));
    assert_eq!(user.ioctl(request::TIOCSPGRP, user.kit.put_value(&2_i32)), Ok(()));
    assert_eq!(user.ioctl(request::TIOCNOTTY, 0), Ok(()));
    assert_eq!(user.ioctl(request::TIOCGSID, address), Err(Errno::ENOTTY));
    assert_eq!(user.ioctl(request::TIOCSCTTY, 0), Ok(()));
    assert_eq!(user.ioctl(request::TIOCGSID, address), Ok(()));
    user.kit.system.processes.remove(2);
}

#[test]
fn a_bad_address_and_an_unknown_request_are_errors() {
    let user = Fixture::new();
    assert_eq!(user.ioctl(request::TCGETS, kit::BAD_ADDRESS), Err(Errno::EFAULT));
    assert_eq!(user.ioctl(0x4b33, 0), Err(Errno::ENOTTY));
    assert_eq!(user.ioctl(request::TIOCSETD, user.kit.put_value(&3_i32)), Err(Errno::EINVAL));
}

#[test]
fn a_hung_up_terminal_is_at_its_end() {
    let user = Fixture::new();
    user.types_now(b"last\n");
    user.kit.machine.host(HostEvent::Close(Stream::Terminal));
    assert_eq!(user.read(10), Ok(b"last\n".to_vec()));
    assert_eq!(user.read(10), Ok(Vec::new()));
    assert_eq!(user.write(b"x").map_err(|error| error.errno), Err(Errno::EIO));
    assert!(user.tty.file.poll().contains(PollEvents::HUP));
}

#[test]
fn output_without_processing_is_left_alone() {
    let user = Fixture::new();
    let mut settings = user.settings();
    settings.output &= !OutputFlags::OPOST.bits();
    user.ioctl(request::TCSETSF, user.kit.put_value(&settings)).unwrap();
    assert_eq!(user.write(b"a\n\tb"), Ok(4));
    assert_eq!(user.shown(), b"a\n\tb");
}
