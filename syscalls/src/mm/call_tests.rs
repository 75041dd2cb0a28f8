//! The memory calls as an application makes them, with the errors of their manual pages.

use abi::memory::{Advice, MapFlags, Protection, RemapFlags};
use abi::process::{Resource, Rlimit};
use abi::{Errno, PAGE_SIZE, TASK_SIZE};

use crate::fake::kit::{self, Kit};

use super::{Accessor, FaultSignal, MemoryLimits, Wanted};

pub(super) const PAGE: u64 = PAGE_SIZE as u64;
pub(super) const READ: u64 = Protection::READ.bits() as u64;
pub(super) const READ_WRITE: u64 = READ | Protection::WRITE.bits() as u64;
pub(super) const ANONYMOUS: u64 = MapFlags::PRIVATE.union(MapFlags::ANONYMOUS).bits() as u64;
pub(super) const FIXED: u64 = MapFlags::FIXED.bits() as u64;
pub(super) const NO_FD: u64 = u64::MAX;
pub(super) const PLACE: u64 = 0x1000_0000_0000;

pub(super) fn map(
    kit: &Kit,
    address: u64,
    len: u64,
    protection: u64,
    flags: u64,
) -> Result<u64, Errno> {
    kit.call("mmap", [address, len, protection, flags, NO_FD, 0])
}

pub(super) fn map_file(
    kit: &Kit,
    len: u64,
    protection: u64,
    flags: MapFlags,
    fd: u64,
) -> Result<u64, Errno> {
    kit.call("mmap", [0, len, protection, u64::from(flags.bits()), fd, 0])
}

pub(super) fn unmap(kit: &Kit, address: u64, len: u64) -> Result<u64, Errno> {
    kit.call("munmap", [address, len, 0, 0, 0, 0])
}

pub(super) fn protect(kit: &Kit, address: u64, len: u64, protection: u64) -> Result<u64, Errno> {
    kit.call("mprotect", [address, len, protection, 0, 0, 0])
}

pub(super) fn remap(
    kit: &Kit,
    address: u64,
    len: u64,
    new_len: u64,
    flags: u64,
) -> Result<u64, Errno> {
    kit.call("mremap", [address, len, new_len, flags, 0, 0])
}

pub(super) fn advise(kit: &Kit, address: u64, len: u64, advice: Advice) -> Result<u64, Errno> {
    kit.call("madvise", [address, len, advice as u64, 0, 0, 0])
}

#[test]
fn mmap_refuses_what_its_page_refuses() {
    let kit = kit::process();
    let cases = [
        (0, 0, ANONYMOUS, Errno::EINVAL),
        (0, u64::MAX, ANONYMOUS, Errno::ENOMEM),
        (0, TASK_SIZE, ANONYMOUS, Errno::ENOMEM),
        (0, TASK_SIZE + 1, ANONYMOUS, Errno::ENOMEM),
        (0, PAGE, ANONYMOUS & !3, Errno::EINVAL),
        (0, PAGE, ANONYMOUS | 1, Errno::EINVAL),
        (0, PAGE, ANONYMOUS | 4, Errno::EINVAL),
        (PLACE + 1, PAGE, ANONYMOUS | FIXED, Errno::EINVAL),
        (0, PAGE, ANONYMOUS | FIXED, Errno::EPERM),
        (0xf000, PAGE, ANONYMOUS | FIXED, Errno::EPERM),
        (TASK_SIZE, PAGE, ANONYMOUS | FIXED, Errno::ENOMEM),
        (u64::MAX - PAGE + 1, PAGE, ANONYMOUS | FIXED, Errno::ENOMEM),
        (0, PAGE, u64::from(MapFlags::PRIVATE.bits()), Errno::EBADF),
        (0, PAGE, ANONYMOUS | u64::from(MapFlags::HUGETLB.bits()), Errno::ENOMEM),
    ];
    for (address, len, flags, errno) in cases {
        let result = map(&kit, address, len, READ, flags);
        assert_eq!(result, Err(errno), "mmap({address:#x}, {len:#x}, {flags:#x})");
    }
    let odd_offset = kit.call("mmap", [0, PAGE, READ, ANONYMOUS, NO_FD, 1]);
    assert_eq!(odd_offset, Err(Errno::EINVAL));
    // The last page below the end can be used.
    let last = TASK_SIZE - PAGE;
    assert_eq!(map(&kit, last, PAGE, READ_WRITE, ANONYMOUS | FIXED), Ok(last));
    kit.set(last + PAGE - 1, b"x");
    assert!(kit.process.memory().write(last + PAGE - 1, b"xy").is_err());
}

#[test]
fn a_hint_is_taken_where_there_is_room() {
    let kit = kit::process();
    assert_eq!(map(&kit, PLACE + 5, PAGE, READ, ANONYMOUS), Ok(PLACE));
    let elsewhere = map(&kit, PLACE, PAGE, READ, ANONYMOUS).unwrap();
    let map_top = kit.process.memory().layout().map_top;
    assert_eq!(elsewhere, map_top - PAGE);
    assert_eq!(map(&kit, 0, 3 * PAGE, READ, ANONYMOUS), Ok(map_top - 4 * PAGE));
    let keep = ANONYMOUS | u64::from(MapFlags::FIXED_NOREPLACE.bits());
    assert_eq!(map(&kit, PLACE, PAGE, READ, keep), Err(Errno::EEXIST));
    assert_eq!(map(&kit, PLACE + PAGE, PAGE, READ, keep), Ok(PLACE + PAGE));
    let low = map(&kit, 0, PAGE, READ, ANONYMOUS | u64::from(MapFlags::BIT32.bits())).unwrap();
    assert!(low < 1 << 31);
}

#[test]
fn reserved_memory_costs_nothing() {
    let kit = kit::process();
    let before = kit.machine.live_pages();
    let reserve = ANONYMOUS | u64::from(MapFlags::NORESERVE.bits());
    let address = map(&kit, 0, 64 << 30, 0, reserve).unwrap();
    assert_eq!(kit.machine.live_pages(), before);
    assert_eq!(protect(&kit, address + (1 << 30), PAGE, READ_WRITE), Ok(0));
    kit.set(address + (1 << 30), b"x");
    assert_eq!(unmap(&kit, address, 64 << 30), Ok(0));
    assert_eq!(kit.machine.live_pages(), before);
    // What could never be filled is refused, as by Linux's heuristic.
    assert_eq!(map(&kit, 0, 64 << 30, READ_WRITE, ANONYMOUS), Err(Errno::ENOMEM));
}

#[test]
fn munmap_and_mprotect_refuse_bad_ranges() {
    let kit = kit::process();
    assert_eq!(unmap(&kit, 1, PAGE), Err(Errno::EINVAL));
    assert_eq!(unmap(&kit, PLACE, 0), Err(Errno::EINVAL));
    assert_eq!(unmap(&kit, TASK_SIZE, PAGE), Err(Errno::EINVAL));
    assert_eq!(unmap(&kit, PAGE, u64::MAX), Err(Errno::EINVAL));
    assert_eq!(unmap(&kit, PLACE, PAGE), Ok(0));
    assert_eq!(protect(&kit, 1, PAGE, READ), Err(Errno::EINVAL));
    assert_eq!(protect(&kit, PLACE, 0, READ), Ok(0));
    assert_eq!(protect(&kit, PLACE, PAGE, READ), Err(Errno::ENOMEM));
    assert_eq!(protect(&kit, PLACE, u64::MAX - PLACE, READ), Err(Errno::ENOMEM));
    assert_eq!(protect(&kit, PLACE, PAGE, 0x10), Err(Errno::EINVAL));
    assert_eq!(protect(&kit, PLACE, PAGE, 0x0300_0000), Err(Errno::EINVAL));
}

#[test]
fn protections_hold() {
    let kit = kit::process();
    let memory = kit.process.memory();
    let address = map(&kit, 0, 3 * PAGE, READ_WRITE, ANONYMOUS).unwrap();
    kit.set(address, &[7; 3 * PAGE_SIZE]);
    assert_eq!(protect(&kit, address + PAGE, PAGE, READ), Ok(0));
    assert_eq!(memory.write_partially(address, &[8; 3 * PAGE_SIZE]).0, PAGE_SIZE);
    assert_eq!(
        memory.fault(address + PAGE, Wanted::Write, Accessor::Call),
        Err(FaultSignal::NotAllowed)
    );
    assert_eq!(
        memory.fault(address, Wanted::Execute, Accessor::Call),
        Err(FaultSignal::NotAllowed)
    );
    assert_eq!(
        memory.fault(address + 3 * PAGE, Wanted::Read, Accessor::Call),
        Err(FaultSignal::NotMapped)
    );
    assert_eq!(memory.fault(u64::MAX, Wanted::Read, Accessor::Call), Err(FaultSignal::NotMapped));
    assert_eq!(protect(&kit, address + PAGE, PAGE, 0), Ok(0));
    assert!(memory.read(address + PAGE, &mut [0]).is_err());
    assert_eq!(protect(&kit, address, 3 * PAGE, READ_WRITE), Ok(0));
    assert_eq!(kit.get(address + PAGE, 1), [7]);
    assert_eq!(memory.areas().iter().filter(|area| area.range.start == address).count(), 1);
}

#[test]
fn mremap_grows_moves_and_refuses() {
    let kit = kit::process();
    let may_move = u64::from(RemapFlags::MAYMOVE.bits());
    let address = map(&kit, PLACE, 2 * PAGE, READ_WRITE, ANONYMOUS).unwrap();
    kit.set(address, b"kept");
    assert_eq!(remap(&kit, address, 2 * PAGE, 4 * PAGE, 0), Ok(address));
    kit.set(address + 4 * PAGE - 1, b"x");
    map(&kit, address + 5 * PAGE, PAGE, READ, ANONYMOUS).unwrap();
    assert_eq!(remap(&kit, address, 4 * PAGE, 6 * PAGE, 0), Err(Errno::ENOMEM));
    let moved = remap(&kit, address, 4 * PAGE, 6 * PAGE, may_move).unwrap();
    assert_ne!(moved, address);
    assert_eq!(kit.get(moved, 4), b"kept");
    assert!(kit.process.memory().read(address, &mut [0]).is_err());
    assert_eq!(remap(&kit, moved, 6 * PAGE, PAGE, 0), Ok(moved));
    assert_eq!(remap(&kit, moved, 2 * PAGE, 3 * PAGE, may_move), Err(Errno::EFAULT));
    assert_eq!(remap(&kit, moved, PAGE, 0, may_move), Err(Errno::EINVAL));
    assert_eq!(remap(&kit, moved, 0, PAGE, may_move), Err(Errno::EINVAL));
    assert_eq!(remap(&kit, moved + 1, PAGE, PAGE, may_move), Err(Errno::EINVAL));
    assert_eq!(remap(&kit, moved, PAGE, u64::MAX, may_move), Err(Errno::EINVAL));
    assert_eq!(remap(&kit, moved, PAGE, PAGE, 8), Err(Errno::EINVAL));
    assert_eq!(remap(&kit, moved, PAGE, PAGE, 2), Err(Errno::EINVAL));
    assert_eq!(remap(&kit, PLACE + (1 << 40), PAGE, PAGE, 0), Err(Errno::EFAULT));
}

#[test]
fn the_break_moves_between_its_borders() {
    let kit = kit::process();
    let memory = kit.process.memory();
    let brk = |address| kit.call("brk", [address, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(brk(0), 0);
    memory.set_program_break(PLACE);
    assert_eq!(brk(0), PLACE);
    assert_eq!(brk(PLACE + 10), PLACE + 10);
    kit.set(PLACE + PAGE - 1, b"x");
    assert_eq!(brk(PLACE + 3 * PAGE), PLACE + 3 * PAGE);
    let heap = memory.areas().into_iter().find(|area| area.name == "[heap]").unwrap();
    assert_eq!(heap.range, PLACE..PLACE + 3 * PAGE);
    assert_eq!(brk(PLACE - 1), PLACE + 3 * PAGE);
    assert_eq!(brk(PLACE), PLACE);
    assert!(memory.read(PLACE, &mut [0]).is_err());
    map(&kit, PLACE + 4 * PAGE, PAGE, READ, ANONYMOUS).unwrap();
    assert_eq!(brk(PLACE + 3 * PAGE), PLACE + 3 * PAGE);
    // A page of distance is kept.
    assert_eq!(brk(PLACE + 3 * PAGE + 1), PLACE + 3 * PAGE);
    assert_eq!(brk(u64::MAX), PLACE + 3 * PAGE);
    memory.set_limits(MemoryLimits { data: 2 * PAGE, ..MemoryLimits::default() });
    assert_eq!(brk(PLACE), PLACE);
    assert_eq!(brk(PLACE + 3 * PAGE), PLACE);
}

#[test]
fn limits_are_enforced() {
    let kit = kit::process();
    let memory = kit.process.memory();
    let mapped = memory.usage().mapped;
    let limits = MemoryLimits::default();
    memory.set_limits(MemoryLimits { address_space: (mapped + 2) * PAGE, ..limits });
    assert_eq!(map(&kit, 0, 3 * PAGE, READ, ANONYMOUS), Err(Errno::ENOMEM));
    let address = map(&kit, 0, 2 * PAGE, READ, ANONYMOUS).unwrap();
    // Replacing needs no more room.
    assert_eq!(map(&kit, address, 2 * PAGE, READ, ANONYMOUS | FIXED), Ok(address));
    assert_eq!(remap(&kit, address, 2 * PAGE, 3 * PAGE, 1), Err(Errno::ENOMEM));
    let data = memory.usage().data;
    memory.set_limits(MemoryLimits { data: (data + 1) * PAGE, ..limits });
    assert_eq!(map(&kit, 0, 2 * PAGE, READ_WRITE, ANONYMOUS), Err(Errno::ENOMEM));
    assert_eq!(protect(&kit, address, 2 * PAGE, READ_WRITE), Err(Errno::ENOMEM));
    assert_eq!(protect(&kit, address, PAGE, READ_WRITE), Ok(0));
}

#[test]
fn setrlimit_holds_for_the_next_call() {
    let kit = kit::process();
    let new = kit.put_value(&Rlimit { current: PAGE, maximum: PAGE });
    let number = Resource::AddressSpace as u64;
    assert_eq!(kit.call("setrlimit", [number, new, 0, 0, 0, 0]), Ok(0));
    assert_eq!(map(&kit, 0, PAGE, READ, ANONYMOUS), Err(Errno::ENOMEM));
}

#[test]
fn a_growing_area_keeps_its_distance() {
    let kit = kit::process();
    let memory = kit.process.memory();
    let grows = ANONYMOUS | FIXED | u64::from(MapFlags::GROWSDOWN.bits());
    let top = PLACE + 1024 * PAGE;
    map(&kit, top, PAGE, READ_WRITE, grows).unwrap();
    map(&kit, PLACE, PAGE, READ, ANONYMOUS | FIXED).unwrap();
    kit.set(top - 100 * PAGE, b"x");
    assert_eq!(memory.usage().stack, 101);
    // 256 pages stay between the areas.
    let lowest = PLACE + PAGE + 256 * PAGE;
    assert_eq!(
        memory.fault(lowest - 1, Wanted::Write, Accessor::Call),
        Err(FaultSignal::NotMapped)
    );
    assert_eq!(memory.fault(lowest, Wanted::Write, Accessor::Call), Ok(()));
    assert_eq!(
        map(&kit, lowest - PAGE, PAGE, READ, ANONYMOUS).map(|at| at == lowest - PAGE),
        Ok(false)
    );
    let to_start = READ_WRITE | u64::from(Protection::GROWSDOWN.bits());
    assert_eq!(protect(&kit, top, PAGE, to_start), Ok(0));
    assert_eq!(protect(&kit, PLACE, PAGE, to_start), Err(Errno::EINVAL));
}

#[test]
fn zeros_are_shared_until_they_are_written() {
    let kit = kit::process();
    let address = map(&kit, 0, 100 * PAGE, READ_WRITE, ANONYMOUS).unwrap();
    let _ = kit.get(address, 1);
    let before = kit.machine.live_pages();
    assert_eq!(kit.get(address, 100 * PAGE_SIZE), [0; 100 * PAGE_SIZE]);
    assert_eq!(kit.machine.live_pages(), before);
    kit.set(address + PAGE, b"x");
    assert_eq!(kit.machine.live_pages(), before + 1);
    assert_eq!(kit.get(address, 1), [0]);
}

#[test]
fn a_populated_mapping_survives_missing_memory() {
    let kit = kit::process();
    for successes in 0..12 {
        let before = kit.machine.live_pages();
        kit.machine.fail_allocations_after(Some(successes));
        let populate = ANONYMOUS | u64::from(MapFlags::POPULATE.bits());
        let address = map(&kit, 0, 8 * PAGE, READ_WRITE, populate).unwrap();
        let last = kit.process.memory().fault(address + 7 * PAGE, Wanted::Write, Accessor::Call);
        kit.machine.fail_allocations_after(None);
        // Eight pages, and one or two page tables.
        match successes {
            0..=8 => assert_eq!(last, Err(FaultSignal::OutOfMemory)),
            9 => {}
            _ => assert_eq!(last, Ok(())),
        }
        assert_eq!(unmap(&kit, address, 8 * PAGE), Ok(0));
        assert_eq!(kit.machine.live_pages(), before);
    }
}
