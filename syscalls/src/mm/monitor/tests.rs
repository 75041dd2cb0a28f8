//! Monitors, as one thread can test them: what does not wait.

use abi::memory::{MapFlags, Protection};
use abi::userfault::request::{
    UFFDIO_API, UFFDIO_COPY, UFFDIO_MOVE, UFFDIO_POISON, UFFDIO_REGISTER, UFFDIO_UNREGISTER,
    UFFDIO_WRITEPROTECT, UFFDIO_ZEROPAGE,
};
use abi::userfault::{
    Api, Features, Fill, Register, RegisterModes, Transfer, UFFD_API, UserRange, WriteProtect,
};
use abi::{Errno, PAGE_SIZE};
use zerocopy::{Immutable, IntoBytes};

use crate::fake::kit::{self, Kit};
use crate::mm::{Accessor, FaultSignal, MapRequest, MapSource, Wanted};

const PAGE: u64 = PAGE_SIZE as u64;
/// Where memory is watched: four pages.
const AT: u64 = 0x3000_0000;

fn map(kit: &Kit, address: u64) {
    let request = MapRequest {
        address,
        len: 4 * PAGE,
        protection: Protection::READ | Protection::WRITE,
        flags: MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED,
        source: MapSource::Anonymous,
        lock_limit: 0,
    };
    kit.process.memory().map(&request).unwrap();
}

/// A descriptor with these features.
fn open(kit: &Kit, features: Features) -> u64 {
    const O_NONBLOCK: u64 = 0o4000;
    let fd = kit.call("userfaultfd", [O_NONBLOCK, 0, 0, 0, 0, 0]).unwrap();
    let api = Api { api: UFFD_API, features: features.bits(), ioctls: 0 };
    assert_eq!(ask(kit, fd, UFFDIO_API, &api), Ok(0));
    fd
}

fn ask<T: IntoBytes + Immutable>(
    kit: &Kit,
    fd: u64,
    request: u32,
    value: &T,
) -> Result<u64, Errno> {
    kit.call("ioctl", [fd, request.into(), kit.put_value(value), 0, 0, 0])
}

fn watch(kit: &Kit, fd: u64, modes: RegisterModes) -> Result<u64, Errno> {
    let range = UserRange { start: AT, len: 4 * PAGE };
    ask(kit, fd, UFFDIO_REGISTER, &Register { range, mode: modes.bits(), ioctls: 0 })
}

fn copy(kit: &Kit, fd: u64, to: u64, bytes: &[u8]) -> Result<u64, Errno> {
    let mut page = [0; PAGE_SIZE];
    page[..bytes.len()].copy_from_slice(bytes);
    let from = kit.put(&page);
    ask(kit, fd, UFFDIO_COPY, &Transfer { to, from, len: PAGE, mode: 0, done: 0 })
}

fn fill(kit: &Kit, fd: u64, request: u32, start: u64, pages: u64) -> Result<u64, Errno> {
    let range = UserRange { start, len: pages * PAGE };
    ask(kit, fd, request, &Fill { range, mode: 0, done: 0 })
}

fn protect(kit: &Kit, fd: u64, mode: u64) -> Result<u64, Errno> {
    let range = UserRange { start: AT, len: 4 * PAGE };
    ask(kit, fd, UFFDIO_WRITEPROTECT, &WriteProtect { range, mode })
}

fn touch(kit: &Kit, address: u64, wanted: Wanted) -> Result<(), FaultSignal> {
    kit.process.memory().fault(address, wanted, Accessor::Debugger)
}

#[test]
fn missing_pages_are_filled_once() {
    let kit = kit::process();
    map(&kit, AT);
    let fd = open(&kit, Features::empty());
    assert_eq!(copy(&kit, fd, AT, b"x"), Err(Errno::ENOENT));
    assert_eq!(watch(&kit, fd, RegisterModes::MINOR), Err(Errno::EINVAL));
    assert_eq!(watch(&kit, fd, RegisterModes::MISSING), Ok(0));
    assert_eq!(touch(&kit, AT, Wanted::Read), Err(FaultSignal::NoPage));
    assert_eq!(copy(&kit, fd, AT, b"copied"), Ok(0));
    assert_eq!(copy(&kit, fd, AT, b"copied"), Err(Errno::EEXIST));
    assert_eq!(kit.get(AT, 6), b"copied");
    assert_eq!(fill(&kit, fd, UFFDIO_ZEROPAGE, AT + 2 * PAGE, 1), Ok(0));
    // Of these the first is missing, and the second is not.
    assert_eq!(fill(&kit, fd, UFFDIO_ZEROPAGE, AT + PAGE, 2), Err(Errno::EAGAIN));
    assert_eq!(kit.get(AT + PAGE, 1), [0]);
    kit.set(AT + 2 * PAGE, b"w");
    assert_eq!(kit.call("close", [fd, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(touch(&kit, AT + 3 * PAGE, Wanted::Write), Ok(()));
}

#[test]
fn poison_and_sigbus_end_an_access() {
    let kit = kit::process();
    map(&kit, AT);
    let fd = open(&kit, Features::SIGBUS | Features::POISON);
    watch(&kit, fd, RegisterModes::MISSING).unwrap();
    let memory = kit.process.memory();
    let by_call = |at| memory.fault(at, Wanted::Read, Accessor::Call);
    assert_eq!(by_call(AT), Err(FaultSignal::NoPage));
    assert_eq!(fill(&kit, fd, UFFDIO_POISON, AT, 2), Ok(0));
    assert_eq!(fill(&kit, fd, UFFDIO_POISON, AT, 1), Err(Errno::EEXIST));
    assert_eq!(by_call(AT), Err(FaultSignal::Poisoned));
    let child = memory.fork().unwrap();
    let of_child = |at| child.fault(at, Wanted::Read, Accessor::Call);
    assert_eq!((of_child(AT), of_child(AT + 2 * PAGE)), (Err(FaultSignal::Poisoned), Ok(())));
    assert_eq!(copy(&kit, fd, AT, b"healed"), Ok(0));
    assert_eq!(kit.get(AT, 6), b"healed");
    memory.unmap(AT, 4 * PAGE).unwrap();
    map(&kit, AT);
    assert_eq!(touch(&kit, AT + PAGE, Wanted::Read), Ok(()));
}

#[test]
fn guarded_pages_are_not_written_unasked() {
    let kit = kit::process();
    map(&kit, AT);
    kit.set(AT, b"old");
    let fd = open(&kit, Features::PAGEFAULT_FLAG_WP);
    watch(&kit, fd, RegisterModes::MISSING).unwrap();
    assert_eq!(protect(&kit, fd, 1), Err(Errno::ENOENT));
    watch(&kit, fd, RegisterModes::WP).unwrap();
    assert_eq!((protect(&kit, fd, 1), protect(&kit, fd, 3)), (Ok(0), Err(Errno::EINVAL)));
    let memory = kit.process.memory();
    assert_eq!(touch(&kit, AT, Wanted::Write), Err(FaultSignal::NoPage));
    assert_eq!(touch(&kit, AT, Wanted::Read), Ok(()));
    assert_eq!(memory.poke(AT, b"no").0, 0);
    // A child that nobody watches writes its copy.
    let child = memory.fork().unwrap();
    assert_eq!(child.write(AT, b"new"), Ok(()));
    assert_eq!(protect(&kit, fd, 0), Ok(0));
    assert_eq!(touch(&kit, AT, Wanted::Write), Ok(()));
    protect(&kit, fd, 1).unwrap();
    let range = UserRange { start: AT, len: 4 * PAGE };
    assert_eq!(ask(&kit, fd, UFFDIO_UNREGISTER, &range), Ok(0));
    kit.set(AT, b"own");
    assert_eq!(kit.get(AT, 3), b"own");
}

#[test]
fn pages_move_to_where_they_are_missing() {
    const FROM: u64 = 0x3100_0000;
    let kit = kit::process();
    map(&kit, AT);
    map(&kit, FROM);
    kit.set(FROM, b"moved");
    let fd = open(&kit, Features::MOVE);
    watch(&kit, fd, RegisterModes::MISSING).unwrap();
    let transfer = |mode| {
        ask(&kit, fd, UFFDIO_MOVE, &Transfer { to: AT, from: FROM, len: PAGE, mode, done: 0 })
    };
    let child = kit.process.memory().fork().unwrap();
    assert_eq!(transfer(0), Err(Errno::EBUSY));
    drop(child);
    assert_eq!(transfer(0), Ok(0));
    assert_eq!((kit.get(AT, 5), kit.get(FROM, 5)), (b"moved".to_vec(), alloc::vec![0; 5]));
    assert_eq!(transfer(0), Err(Errno::EEXIST));
}

#[test]
fn another_descriptor_watches_nothing_that_is_watched() {
    let kit = kit::process();
    map(&kit, AT);
    let (one, other) = (open(&kit, Features::empty()), open(&kit, Features::empty()));
    watch(&kit, one, RegisterModes::MISSING).unwrap();
    assert_eq!(watch(&kit, other, RegisterModes::MISSING), Err(Errno::EBUSY));
    let range = UserRange { start: AT, len: 4 * PAGE };
    assert_eq!(ask(&kit, other, UFFDIO_UNREGISTER, &range), Err(Errno::EINVAL));
    assert_eq!(ask(&kit, one, UFFDIO_UNREGISTER, &range), Ok(0));
    assert_eq!(watch(&kit, other, RegisterModes::MISSING), Ok(0));
}
