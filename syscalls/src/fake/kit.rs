//! A process on a fresh fake machine, to call system calls with.
//!
//! ```ignore
//! let kit = kit::process();
//! let path = kit.string("/tmp/x");
//! let fd = kit.call("openat", [AT_FDCWD, path, O_CREAT | O_RDWR, 0o600, 0, 0])?;
//! ```

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use abi::fs::{Mode, OpenFlags};
use abi::memory::{MapFlags, Protection};
use abi::{Errno, PAGE_SIZE, number};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::context::Context;
use crate::fs::fd_table::OnExec;
use crate::fs::inode::{NewInode, NewKind};
use crate::fs::{FsContext, OpenFile, Vfs};
use crate::io::SliceSource;
use crate::machine::{Flow, Machine, Registers, Task};
use crate::mm::{AddressSpace, MapRequest, MapSource, MemoryLimits};
use crate::process::{Process, Thread};
use crate::system::System;

use super::FakeMachine;

/// Where the memory of [`Kit::put`] is.
pub const AREA: u64 = 0x2000_0000;

/// Length of the memory of [`Kit::put`], in bytes.
pub const AREA_LEN: u64 = 256 * PAGE_SIZE as u64;

/// An address at which nothing is mapped, for `EFAULT`.
pub const BAD_ADDRESS: u64 = 0xdead_0000;

/// A process with one thread, which is the thread of the test.
pub struct Kit {
    /// Its machine.
    pub machine: Arc<FakeMachine>,
    /// Its personality.
    pub system: Arc<System>,
    /// The process.
    pub process: Arc<Process>,
    /// Its thread.
    pub thread: Arc<Thread>,
    /// Its registers, for [`Kit::context`].
    registers: Cell<Registers>,
    /// First free address of the area.
    free: Cell<u64>,
}

/// A process on a machine of its own.
#[must_use]
pub fn process() -> Kit {
    on(FakeMachine::new())
}

/// A process on this machine, in whose root directory there are only `dev`, `proc` and `tmp`.
#[must_use]
pub fn on(machine: Arc<FakeMachine>) -> Kit {
    with_archive(machine, &[])
}

/// A process on this machine that was booted with this archive.
///
/// # Panics
/// When the archive is malformed.
#[must_use]
pub fn with_archive(machine: Arc<FakeMachine>, archive: &'static [u8]) -> Kit {
    let as_machine: Arc<dyn Machine> = machine.clone();
    let memory = AddressSpace::new(&as_machine, MemoryLimits::default());
    let memory = memory.expect("memory for an address space");
    map_area(&memory);
    let vfs = Vfs::boot(&as_machine, archive).expect("a well-formed archive").vfs;
    let system = System::new(as_machine, vfs);
    system.equip().expect("memory for devices and /proc");
    let paths = FsContext::new(system.vfs.root().clone());
    let process = Arc::new(Process::new(2, memory, paths));
    let thread = Thread::new(system.clone(), process.clone());
    thread.attach(machine.current_thread());
    Kit { machine, system, process, thread, registers: Cell::default(), free: Cell::new(AREA) }
}

fn map_area(memory: &AddressSpace) {
    let request = MapRequest {
        address: AREA,
        len: AREA_LEN,
        protection: Protection::READ | Protection::WRITE,
        flags: MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED,
        source: MapSource::Anonymous,
        lock_limit: 0,
    };
    memory.map(&request).expect("room for the kit's area");
}

impl Kit {
    /// The context of a system call, for functions that want one.
    #[must_use]
    pub fn context(&self) -> Context<'_> {
        Context::new(&self.system, &self.process, &self.thread, &self.registers)
    }

    /// The machine's monotonic time, in nanoseconds.
    #[must_use]
    pub fn machine_time(&self) -> u64 {
        self.machine.monotonic_ns()
    }

    /// Room for `len` bytes in the process's memory, aligned to 16.
    ///
    /// # Panics
    /// When the area is full.
    #[must_use]
    pub fn room(&self, len: usize) -> u64 {
        let address = self.free.get();
        let end = address + (len as u64).next_multiple_of(16);
        assert!(end <= AREA + AREA_LEN, "the kit's area is full");
        self.free.set(end);
        address
    }

    /// Puts bytes into the process's memory; returns their address.
    pub fn put(&self, bytes: &[u8]) -> u64 {
        let address = self.room(bytes.len());
        self.set(address, bytes);
        address
    }

    /// Puts a value into the process's memory; returns its address.
    pub fn put_value<T: IntoBytes + Immutable + ?Sized>(&self, value: &T) -> u64 {
        self.put(value.as_bytes())
    }

    /// Puts a string with a NUL at its end into the process's memory; returns its address.
    pub fn string(&self, string: impl AsRef<[u8]>) -> u64 {
        self.put(&[string.as_ref(), b"\0"].concat())
    }

    /// Stores bytes in the process's memory.
    ///
    /// # Panics
    /// When the address is bad.
    pub fn set(&self, address: u64, bytes: &[u8]) {
        self.process.memory().write(address, bytes).expect("memory of the process");
    }

    /// Loads bytes of the process's memory.
    ///
    /// # Panics
    /// When the address is bad.
    #[must_use]
    pub fn get(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.process.memory().read(address, &mut bytes).expect("memory of the process");
        bytes
    }

    /// Loads a value of the process's memory.
    ///
    /// # Panics
    /// When the address is bad.
    #[must_use]
    pub fn get_value<T: FromBytes + IntoBytes>(&self, address: u64) -> T {
        let mut value = T::new_zeroed();
        self.process.memory().read(address, value.as_mut_bytes()).expect("memory of the process");
        value
    }

    /// Makes a file in the root directory with this content, open for reading and writing.
    ///
    /// # Panics
    /// When the file system refuses it.
    #[must_use]
    pub fn file(&self, name: &str, content: &[u8]) -> Arc<OpenFile> {
        let cx = self.context();
        let mode = Mode::from_bits_retain(0o755);
        let new = NewInode { kind: NewKind::Regular, mode, owner: 0, group: 0 };
        let root = self.system.vfs.root().inode();
        let inode = root.create(name.as_bytes(), &new).expect("a new file");
        let file = inode.open(&cx, OpenFlags::RDWR).expect("an open file");
        let open = Arc::new(OpenFile::new(file, OpenFlags::RDWR));
        let written = open.write(&cx, &mut SliceSource::new(content)).expect("room in the file");
        assert_eq!(written, content.len(), "the file takes all");
        open
    }

    /// Gives the process a descriptor of `open`.
    ///
    /// # Panics
    /// When it has too many.
    #[must_use]
    pub fn descriptor(&self, open: Arc<OpenFile>) -> u64 {
        let fd = self.process.files.add(open, 0, OnExec::Keep, 1024);
        fd.expect("a free descriptor").0 as u64
    }

    /// Makes the system call `name` through the table, from its entry to its return.
    ///
    /// # Errors
    /// The errno the application would see.
    ///
    /// # Panics
    /// When there is no such system call.
    pub fn call(&self, name: &str, arguments: [u64; 6]) -> Result<u64, Errno> {
        let (_, registers) = self.enter(u64::from(number::number(name)), arguments);
        result(registers.rax)
    }

    /// Makes the system call with this number; returns how the machine goes on, and the
    /// registers with which.
    pub fn enter(&self, number: u64, arguments: [u64; 6]) -> (Flow, Registers) {
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let mut registers = Registers {
            rax: number,
            orig_rax: number,
            rdi,
            rsi,
            rdx,
            r10,
            r8,
            r9,
            rip: 0x40_1000,
            rsp: AREA + AREA_LEN,
            rflags: 0x202,
            ..Registers::default()
        };
        let flow = self.thread.syscall(&mut registers);
        (flow, registers)
    }
}

/// What a value in `rax` says.
///
/// # Errors
/// The errno.
pub fn result(rax: u64) -> Result<u64, Errno> {
    let negated = rax.wrapping_neg();
    match u16::try_from(negated) {
        Ok(number @ 1..4096) => Err(errno(number)),
        _ => Ok(rax),
    }
}

fn errno(number: u16) -> Errno {
    Errno::from_number(number).unwrap_or_else(|| panic!("{number} is not an errno"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ThreadStart;

    #[test]
    fn a_call_goes_through_the_table() {
        let kit = process();
        assert_eq!(kit.call("getpid", [0; 6]), Ok(2));
        assert_eq!(kit.call("uselib", [0; 6]), Err(Errno::ENOSYS));
    }

    #[test]
    fn memory_keeps_what_is_put() {
        let kit = process();
        let address = kit.string("crab");
        assert_eq!(kit.get(address, 5), b"crab\0");
        assert_eq!(kit.get_value::<u32>(kit.put_value(&77_u32)), 77);
    }

    #[test]
    fn nothing_leaks() {
        let kit = process();
        let machine = kit.machine.clone();
        let _ = kit.call("getpid", [0; 6]);
        drop(kit);
        assert_eq!(machine.live_pages(), 0);
    }

    #[test]
    #[should_panic(expected = "the program ran")]
    fn a_started_thread_runs_its_program() {
        let kit = process();
        kit.machine.set_program(0x1000, |application| {
            assert_eq!(application.call("getpid", &[]), 2);
            panic!("the program ran");
        });
        let registers = Registers { rip: 0x1000, ..Registers::default() };
        let start = ThreadStart { registers, ..ThreadStart::default() };
        let thread = Thread::new(kit.system.clone(), kit.process.clone());
        let space = kit.process.memory().space().clone();
        let machine = kit.machine.start_thread(thread.clone(), space, start).unwrap();
        thread.attach(machine);
        kit.machine.run();
    }
}
