//! FIFOs: pipes with a name. fifo(7).

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};

use abi::Errno;
use abi::fs::{AccessMode, Device, OpenFlags};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};

use super::device::Driver;
use super::pipe::Pipe;
use super::{File, Inode};

/// What is behind all FIFOs.
#[derive(Default)]
pub struct Fifos {
    /// The pipes of those that are open, by the address of their inode.
    pipes: Mutex<BTreeMap<usize, Weak<Pipe>>>,
}

impl Fifos {
    /// The pipe of a FIFO.
    fn pipe(&self, cx: &Context<'_>, inode: &Arc<dyn Inode>) -> Arc<Pipe> {
        // An open file keeps both inode and pipe, so that the address of a live pipe's inode
        // has not been given to another one.
        let address = Arc::as_ptr(inode).cast::<()>().addr();
        let mut pipes = self.pipes.lock();
        if let Some(pipe) = pipes.get(&address).and_then(Weak::upgrade) {
            return pipe;
        }
        pipes.retain(|_, pipe| pipe.strong_count() > 0);
        let pipe = Pipe::new(cx.system.machine.clone());
        pipes.insert(address, Arc::downgrade(&pipe));
        pipe
    }
}

impl Driver for Fifos {
    /// Waits for somebody at the other end, unless the FIFO is opened for both or without
    /// waiting.
    fn open(
        &self,
        cx: &Context<'_>,
        inode: Arc<dyn Inode>,
        _device: Device,
        flags: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        let access = flags.access_mode();
        if access == AccessMode::Neither {
            return Err(Errno::EINVAL.because("a FIFO is opened for reading or writing"));
        }
        let pipe = self.pipe(cx, &inode);
        let may_wait = !flags.contains(OpenFlags::NONBLOCK);
        if access == AccessMode::Write && !may_wait && !pipe.has_readers() {
            return Err(Errno::ENXIO.because("nobody has the FIFO open for reading"));
        }
        let file = pipe.open(inode, access);
        if may_wait {
            pipe.wait_for_partner(cx, access)?;
        }
        Ok(Arc::new(file))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use abi::fs::FileType;

    use crate::fake::kit::{self, Kit};
    use crate::machine::Registers;
    use crate::process::Thread;

    use super::*;

    const O_RDONLY: u64 = 0;
    const O_WRONLY: u64 = 1;
    const O_RDWR: u64 = 2;
    const O_NONBLOCK: u64 = 0o4000;
    const AT_FDCWD: u64 = -100_i64 as u64;
    const OTHER: u64 = 0x10_0000;

    /// A process with a FIFO; returns the address of its path.
    fn fifo() -> (Kit, u64) {
        let kit = kit::process();
        let path = kit.string("/tmp/fifo");
        let mode = FileType::Fifo as u64 | 0o600;
        assert_eq!(kit.call("mknodat", [AT_FDCWD, path, mode, 0, 0, 0]), Ok(0));
        (kit, path)
    }

    fn open(kit: &Kit, path: u64, flags: u64) -> Result<u64, Errno> {
        kit.call("openat", [AT_FDCWD, path, flags, 0, 0, 0])
    }

    #[test]
    fn without_waiting_only_a_reader_can_come_first() {
        let (kit, path) = fifo();
        assert_eq!(open(&kit, path, O_WRONLY | O_NONBLOCK), Err(Errno::ENXIO));
        assert_eq!(open(&kit, path, O_RDONLY | O_NONBLOCK), Ok(0));
        assert_eq!(open(&kit, path, O_WRONLY | O_NONBLOCK), Ok(1));
        let bytes = kit.put(b"crab");
        assert_eq!(kit.call("write", [1, bytes, 4, 0, 0, 0]), Ok(4));
        let room = kit.room(16);
        assert_eq!(kit.call("read", [0, room, 16, 0, 0, 0]), Ok(4));
        assert_eq!(kit.get(room, 4), b"crab");
        assert_eq!(kit.call("read", [0, room, 16, 0, 0, 0]), Err(Errno::EAGAIN));
        assert_eq!(kit.call("close", [1, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("read", [0, room, 16, 0, 0, 0]), Ok(0));
    }

    #[test]
    fn one_who_opens_it_for_both_waits_for_nobody() {
        let (kit, path) = fifo();
        assert_eq!(open(&kit, path, O_RDWR), Ok(0));
        assert_eq!(open(&kit, path, O_WRONLY), Ok(1));
    }

    #[test]
    fn what_it_holds_is_lost_with_the_last_descriptor() {
        let (kit, path) = fifo();
        assert_eq!(open(&kit, path, O_RDWR), Ok(0));
        let bytes = kit.put(b"x");
        assert_eq!(kit.call("write", [0, bytes, 1, 0, 0, 0]), Ok(1));
        assert_eq!(kit.call("close", [0, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(open(&kit, path, O_RDONLY | O_NONBLOCK), Ok(0));
        assert_eq!(kit.call("read", [0, bytes, 1, 0, 0, 0]), Ok(0));
    }

    #[test]
    fn a_reader_waits_for_a_writer() {
        let (kit, path) = fifo();
        let order: Arc<Mutex<std::vec::Vec<&str>>> = Arc::default();
        let noted = order.clone();
        kit.machine.set_program(OTHER, move |application| {
            application.call("poll", &[0, 0, 20]);
            noted.lock().unwrap().push("writer");
            let fd = application.call("openat", &[AT_FDCWD, path, O_WRONLY]);
            application.call("poll", &[0, 0, 20]);
            assert_eq!(application.call("write", &[fd, path, 4]), 4);
            application.call("pause", &[]);
        });
        let other = Thread::new(kit.system.clone(), kit.process.clone());
        other.start(Registers { rip: OTHER, ..Registers::default() }).unwrap();
        let fd = open(&kit, path, O_RDONLY).unwrap();
        order.lock().unwrap().push("reader");
        assert_eq!(*order.lock().unwrap(), ["writer", "reader"]);
        let room = kit.room(16);
        assert_eq!(kit.call("read", [fd, room, 16, 0, 0, 0]), Ok(4));
        assert_eq!(kit.get(room, 4), b"/tmp");
    }
}
