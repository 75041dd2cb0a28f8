//! Mapped files, shared memory, advice and locks, as an application uses them.

use abi::fs::FallocateFlags;
use abi::memory::{Advice, MapFlags, RemapFlags, SyncFlags};
use abi::process::{Resource, Rlimit};
use abi::{Errno, PAGE_SIZE};

use crate::fake::kit::{self, BAD_ADDRESS};
use crate::process::Credentials;
use crate::process::credentials::Ids;

use super::call_tests::{
    ANONYMOUS, PAGE, PLACE, READ, READ_WRITE, advise, map, map_file, protect, remap, unmap,
};
use super::{Accessor, FaultSignal, Wanted};

#[test]
fn files_are_mapped_private_and_shared() {
    let kit = kit::process();
    let file = kit.file("data", &[5; PAGE_SIZE + 10]);
    let fd = kit.descriptor(file.clone());
    let private = map_file(&kit, 3 * PAGE, READ_WRITE, MapFlags::PRIVATE, fd).unwrap();
    let shared = map_file(&kit, 3 * PAGE, READ_WRITE, MapFlags::SHARED, fd).unwrap();
    assert_eq!(kit.get(private + PAGE + 8, 4), [5, 5, 0, 0]);
    kit.set(private, b"mine");
    assert_eq!(kit.get(shared, 4), [5; 4]);
    kit.set(shared, b"ours");
    assert_eq!(kit.get(private, 4), b"mine");
    let mut page = [0; 4];
    file.file.inode().page(0).unwrap().unwrap().read(0, &mut page);
    assert_eq!(&page, b"ours");
    let beyond = kit.process.memory().fault(private + 2 * PAGE, Wanted::Read, Accessor::Call);
    assert_eq!(beyond, Err(FaultSignal::NoPage));
    let sync = u64::from(SyncFlags::SYNC.bits());
    assert_eq!(kit.call("msync", [shared, 3 * PAGE, sync, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("msync", [shared, PAGE, 5, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("msync", [shared + 1, PAGE, sync, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("msync", [PLACE, PAGE, sync, 0, 0, 0]), Err(Errno::ENOMEM));
    let far = i64::MAX as u64 & !(PAGE - 1);
    let flags = u64::from(MapFlags::PRIVATE.bits());
    let result = kit.call("mmap", [0, 2 * PAGE, READ, flags, fd, far]);
    assert_eq!(result, Err(Errno::EOVERFLOW));
}

#[test]
fn what_is_cut_off_a_file_is_no_longer_mapped() {
    let kit = kit::process();
    let file = kit.file("data", &[5; 3 * PAGE_SIZE]);
    let fd = kit.descriptor(file.clone());
    let memory = kit.process.memory();
    let private = map_file(&kit, 3 * PAGE, READ_WRITE, MapFlags::PRIVATE, fd).unwrap();
    let shared = map_file(&kit, 3 * PAGE, READ_WRITE, MapFlags::SHARED, fd).unwrap();
    kit.set(private + PAGE, b"mine");
    kit.set(private + 2 * PAGE, b"mine");
    kit.set(shared + PAGE, b"ours");
    kit.set(shared + 2 * PAGE, b"ours");
    file.file.inode().truncate(PAGE + 2).unwrap();
    assert_eq!(kit.get(shared + PAGE, 4), b"ou\0\0");
    assert_eq!(kit.get(private + PAGE, 4), b"mine");
    for address in [private, shared] {
        let beyond = memory.fault(address + 2 * PAGE, Wanted::Read, Accessor::Call);
        assert_eq!(beyond, Err(FaultSignal::NoPage));
        assert!(memory.read(address + 2 * PAGE, &mut [0]).is_err());
    }
    file.file.inode().truncate(3 * PAGE).unwrap();
    assert_eq!(kit.get(private + 2 * PAGE, 4), [0; 4]);
    assert_eq!(kit.get(shared + PAGE, 4), b"ou\0\0");
    kit.set(shared, b"ours");
    kit.set(private + PAGE, b"mine");
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    file.file.inode().allocate(punch, 0, 2 * PAGE).unwrap();
    assert_eq!(kit.get(shared, 4), [0; 4]);
    assert_eq!(kit.get(private, 4), [0; 4]);
    assert_eq!(kit.get(private + PAGE, 4), b"mine");
    kit.set(shared, b"ours");
    assert_eq!(kit.get(private, 4), b"ours");
}

#[test]
fn shared_memory_can_be_mapped_twice() {
    let kit = kit::process();
    let shared = u64::from((MapFlags::SHARED | MapFlags::ANONYMOUS).bits());
    let first = map(&kit, 0, 2 * PAGE, READ_WRITE, shared).unwrap();
    let may_move = u64::from(RemapFlags::MAYMOVE.bits());
    let second = remap(&kit, first, 0, 2 * PAGE, may_move).unwrap();
    assert_ne!(first, second);
    kit.set(first + PAGE, b"both");
    assert_eq!(kit.get(second + PAGE, 4), b"both");
}

#[test]
fn locks_are_counted() {
    let kit = kit::process();
    let memory = kit.process.memory();
    let address = map(&kit, 0, 4 * PAGE, READ_WRITE, ANONYMOUS).unwrap();
    let lock = |address, len| kit.call("mlock", [address, len, 0, 0, 0, 0]);
    assert_eq!(lock(address + 10, PAGE), Ok(0));
    assert_eq!((memory.usage().locked, memory.resident(&(address..address + 4 * PAGE)).0), (2, 2));
    assert_eq!(lock(address, 5 * PAGE), Err(Errno::ENOMEM));
    assert_eq!(lock(PAGE, u64::MAX), Err(Errno::EINVAL));
    let nothing = map(&kit, 0, PAGE, 0, ANONYMOUS).unwrap();
    assert_eq!(lock(nothing, PAGE), Err(Errno::ENOMEM));
    assert_eq!(unmap(&kit, nothing, PAGE), Ok(0));
    assert_eq!(kit.call("mlock2", [address, PAGE, 2, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(advise(&kit, address, PAGE, Advice::DontNeed), Err(Errno::EINVAL));
    assert_eq!(kit.call("munlock", [address, 4 * PAGE, 0, 0, 0, 0]), Ok(0));
    assert_eq!(memory.usage().locked, 0);
    assert_eq!(kit.call("mlockall", [0, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("mlockall", [4, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("mlockall", [2, 0, 0, 0, 0, 0]), Ok(0));
    map(&kit, 0, PAGE, READ, ANONYMOUS).unwrap();
    assert_eq!(memory.usage().locked, 1);
    assert_eq!(kit.call("munlockall", [0; 6]), Ok(0));
    assert_eq!(memory.usage().locked, 0);
}

#[test]
fn locks_are_limited_for_the_unprivileged() {
    let kit = kit::process();
    let address = map(&kit, 0, 4 * PAGE, READ_WRITE, ANONYMOUS).unwrap();
    let mut who = Credentials::root();
    let limit = |bytes| Rlimit { current: bytes, maximum: bytes };
    kit.process.limits().set(Resource::LockedMemory, limit(2 * PAGE), &who).unwrap();
    who.set_users(Ids::all(1000));
    let replaced = kit.process.change_credentials(|credentials| {
        *credentials = who.clone();
        Ok(())
    });
    assert_eq!(replaced, Ok(()));
    let lock = |len| kit.call("mlock", [address, len, 0, 0, 0, 0]);
    assert_eq!(lock(3 * PAGE), Err(Errno::ENOMEM));
    assert_eq!(lock(2 * PAGE), Ok(0));
    assert_eq!(lock(2 * PAGE), Ok(0));
    let locked = ANONYMOUS | u64::from(MapFlags::LOCKED.bits());
    assert_eq!(map(&kit, 0, PAGE, READ, locked), Err(Errno::EAGAIN));
    kit.process.limits().set(Resource::LockedMemory, limit(0), &who).unwrap();
    assert_eq!(lock(PAGE), Err(Errno::EPERM));
}

#[test]
fn advice_is_taken_or_refused() {
    let kit = kit::process();
    let address = map(&kit, 0, 2 * PAGE, READ_WRITE, ANONYMOUS).unwrap();
    kit.set(address, b"x");
    assert_eq!(kit.call("madvise", [address, PAGE, 5, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(advise(&kit, address + 1, PAGE, Advice::Normal), Err(Errno::EINVAL));
    assert_eq!(advise(&kit, address, u64::MAX, Advice::Normal), Err(Errno::EINVAL));
    assert_eq!(advise(&kit, address, 0, Advice::DontNeed), Ok(0));
    assert_eq!(advise(&kit, PLACE, PAGE, Advice::WillNeed), Err(Errno::ENOMEM));
    assert_eq!(advise(&kit, address, PAGE, Advice::PopulateWrite), Ok(0));
    assert_eq!(advise(&kit, address, PAGE, Advice::HugePage), Ok(0));
    assert_eq!(kit.get(address, 1), b"x");
    assert_eq!(advise(&kit, address, 2 * PAGE, Advice::Free), Ok(0));
    assert_eq!(kit.get(address, 1), [0]);
    assert_eq!(advise(&kit, address, PAGE, Advice::WipeOnFork), Ok(0));
    assert_eq!(protect(&kit, address, PAGE, READ), Ok(0));
    assert_eq!(advise(&kit, address, PAGE, Advice::PopulateWrite), Err(Errno::EINVAL));
}

#[test]
fn holes_are_punched_into_what_is_shared() {
    let kit = kit::process();
    let fd = kit.descriptor(kit.file("data", &[5; 3 * PAGE_SIZE]));
    let shared = MapFlags::SHARED;
    let of_file = map_file(&kit, 3 * PAGE, READ_WRITE, shared, fd).unwrap();
    let flags = u64::from((shared | MapFlags::ANONYMOUS).bits());
    let memory = map(&kit, 0, 3 * PAGE, READ_WRITE, flags).unwrap();
    let before = kit.machine.live_pages();
    kit.set(memory, &[5; 3 * PAGE_SIZE]);
    for address in [of_file, memory] {
        assert_eq!(advise(&kit, address + PAGE, PAGE, Advice::Remove), Ok(0));
        let bytes = kit.get(address + PAGE - 1, PAGE_SIZE + 2);
        assert_eq!((bytes[0], bytes[1], bytes[PAGE_SIZE], bytes[PAGE_SIZE + 1]), (5, 0, 0, 5));
    }
    assert_eq!(advise(&kit, memory, 3 * PAGE, Advice::Remove), Ok(0));
    assert!(kit.machine.live_pages() <= before + 1);
    let private = map_file(&kit, PAGE, READ_WRITE, MapFlags::PRIVATE, fd).unwrap();
    assert_eq!(advise(&kit, private, PAGE, Advice::Remove), Err(Errno::EACCES));
    let anonymous = map(&kit, 0, PAGE, READ_WRITE, ANONYMOUS).unwrap();
    assert_eq!(advise(&kit, anonymous, PAGE, Advice::Remove), Err(Errno::EINVAL));
    assert_eq!(advise(&kit, PLACE, PAGE, Advice::Remove), Err(Errno::ENOMEM));
}

#[test]
fn mincore_tells_what_is_in_memory() {
    let kit = kit::process();
    let address = map(&kit, 0, 600 * PAGE, READ_WRITE, ANONYMOUS).unwrap();
    kit.set(address + 2 * PAGE, b"x");
    kit.set(address + 599 * PAGE, b"x");
    let to = kit.room(600);
    let mincore = |address, len, to| kit.call("mincore", [address, len, to, 0, 0, 0]);
    assert_eq!(mincore(address, 600 * PAGE, to), Ok(0));
    let pages = kit.get(to, 600);
    assert_eq!(pages.iter().position(|&page| page == 1), Some(2));
    assert_eq!(pages.iter().rposition(|&page| page == 1), Some(599));
    assert_eq!(mincore(address + 1, PAGE, to), Err(Errno::EINVAL));
    assert_eq!(mincore(PLACE, PAGE, to), Err(Errno::ENOMEM));
    assert_eq!(mincore(address, u64::MAX, to), Err(Errno::ENOMEM));
    assert_eq!(mincore(address, PAGE, BAD_ADDRESS), Err(Errno::EFAULT));
}
