//! Forked address spaces.

use abi::memory::{Advice, MapFlags};
use abi::{Errno, PAGE_SIZE};

use crate::fake::kit;

use super::call_tests::{ANONYMOUS, PAGE, READ, READ_WRITE, advise, map, map_file, protect, unmap};
use super::{Accessor, AddressSpace, FaultSignal, Wanted};

fn byte(memory: &AddressSpace, address: u64) -> u8 {
    let mut byte = [0];
    memory.read(address, &mut byte).unwrap();
    byte[0]
}

#[test]
fn each_side_sees_only_its_own_changes_of_private_memory() {
    let kit = kit::process();
    let parent = kit.process.memory();
    let address = map(&kit, 0, 4 * PAGE, READ_WRITE, ANONYMOUS).unwrap();
    kit.set(address, b"a");
    kit.set(address + PAGE, b"a");
    assert_eq!(kit.get(address + 2 * PAGE, 1), [0]);
    let before = kit.machine.live_pages();
    let child = parent.fork().unwrap();
    // A root table, and nothing else.
    assert_eq!(kit.machine.live_pages(), before + 1);
    child.write(address, b"c").unwrap();
    child.write(address + 2 * PAGE, b"c").unwrap();
    kit.set(address + PAGE, b"p");
    kit.set(address + 3 * PAGE, b"p");
    let shown =
        |memory: &AddressSpace| [0, 1, 2, 3].map(|page| byte(memory, address + page * PAGE));
    assert_eq!(shown(&parent), [b'a', b'p', 0, b'p']);
    assert_eq!(shown(&child), [b'c', b'a', b'c', 0]);
    drop(child);
    // What is the parent's alone again is written in place.
    let alone = kit.machine.live_pages();
    assert_eq!(alone, before + 1);
    kit.set(address, b"xyz");
    assert_eq!(kit.machine.live_pages(), alone);
}

#[test]
fn the_last_holder_of_a_page_writes_in_place_whoever_it_is() {
    let kit = kit::process();
    let address = map(&kit, 0, PAGE, READ_WRITE, ANONYMOUS).unwrap();
    kit.set(address, b"a");
    let child = kit.process.memory().fork().unwrap();
    let grandchild = child.fork().unwrap();
    unmap(&kit, address, PAGE).unwrap();
    assert_eq!(byte(&child, address), b'a');
    drop(child);
    let before = kit.machine.live_pages();
    // Only a page table, and none is mapped there yet.
    grandchild.write(address, b"g").unwrap();
    assert_eq!(kit.machine.live_pages(), before + 1);
}

#[test]
fn shared_memory_stays_shared() {
    let kit = kit::process();
    let parent = kit.process.memory();
    let flags = u64::from((MapFlags::SHARED | MapFlags::ANONYMOUS).bits());
    let memory = map(&kit, 0, 2 * PAGE, READ_WRITE, flags).unwrap();
    let fd = kit.descriptor(kit.file("data", &[5; 2 * PAGE_SIZE]));
    let file = map_file(&kit, 2 * PAGE, READ_WRITE, MapFlags::SHARED, fd).unwrap();
    for address in [memory, file] {
        kit.set(address, b"p");
        let child = parent.fork().unwrap();
        child.write(address + PAGE, b"c").unwrap();
        assert_eq!((byte(&child, address), byte(&parent, address + PAGE)), (b'p', b'c'));
        kit.set(address, b"q");
        assert_eq!(byte(&child, address), b'q');
    }
}

#[test]
fn what_a_file_loses_is_lost_to_the_child_too() {
    let kit = kit::process();
    let file = kit.file("data", &[5; 3 * PAGE_SIZE]);
    let fd = kit.descriptor(file.clone());
    let private = map_file(&kit, 3 * PAGE, READ_WRITE, MapFlags::PRIVATE, fd).unwrap();
    kit.set(private + 2 * PAGE, b"mine");
    assert_eq!(kit.get(private + PAGE, 1), [5]);
    let child = kit.process.memory().fork().unwrap();
    file.file.inode().truncate(PAGE).unwrap();
    for page in [1, 2] {
        let lost = child.fault(private + page * PAGE, Wanted::Read, Accessor::Call);
        assert_eq!(lost, Err(FaultSignal::NoPage));
    }
    assert_eq!(byte(&child, private), 5);
}

#[test]
fn advice_and_locks_say_what_is_inherited() {
    let kit = kit::process();
    let parent = kit.process.memory();
    let address = map(&kit, 0, 3 * PAGE, READ_WRITE, ANONYMOUS).unwrap();
    kit.set(address, &[1; 3 * PAGE_SIZE]);
    advise(&kit, address, PAGE, Advice::DontFork).unwrap();
    advise(&kit, address + PAGE, PAGE, Advice::WipeOnFork).unwrap();
    kit.call("mlockall", [3, 0, 0, 0, 0, 0]).unwrap();
    assert!(parent.usage().locked > 0);
    let child = parent.fork().unwrap();
    assert_eq!(child.fault(address, Wanted::Read, Accessor::Call), Err(FaultSignal::NotMapped));
    assert_eq!((byte(&child, address + PAGE), byte(&child, address + 2 * PAGE)), (0, 1));
    assert_eq!(child.usage().locked, 0);
    assert_eq!(child.usage().mapped, parent.usage().mapped - 1);
    // The advice is inherited, and the parent's memory is what it was.
    let grandchild = child.fork().unwrap();
    child.write(address + PAGE, b"c").unwrap();
    assert_eq!(byte(&grandchild, address + PAGE), 0);
    assert_eq!(kit.get(address, 3 * PAGE_SIZE), [1; 3 * PAGE_SIZE]);
}

#[test]
fn what_was_writable_once_is_still_copied_after_a_fork() {
    let kit = kit::process();
    let parent = kit.process.memory();
    let address = map(&kit, 0, PAGE, READ_WRITE, ANONYMOUS).unwrap();
    kit.set(address, b"a");
    protect(&kit, address, PAGE, READ).unwrap();
    let child = parent.fork().unwrap();
    protect(&kit, address, PAGE, READ_WRITE).unwrap();
    kit.set(address, b"p");
    assert_eq!(byte(&child, address), b'a');
}

#[test]
fn a_fork_without_memory_leaves_the_parent_as_it_was() {
    let kit = kit::process();
    let parent = kit.process.memory();
    let address = map(&kit, 0, 200 * PAGE, READ_WRITE, ANONYMOUS).unwrap();
    kit.set(address, &[7; 200 * PAGE_SIZE]);
    let before = kit.machine.live_pages();
    kit.machine.fail_allocations_after(Some(0));
    assert_eq!(parent.fork().map(drop).map_err(|error| error.errno), Err(Errno::ENOMEM));
    kit.machine.fail_allocations_after(None);
    // Memory for the child's root table, but not for the kernel's own tables.
    kit.machine.set_page_limit(before + 2);
    assert_eq!(parent.fork().map(drop).map_err(|error| error.errno), Err(Errno::ENOMEM));
    assert_eq!(kit.machine.live_pages(), before);
    kit.set(address, &[8; 200 * PAGE_SIZE]);
    assert_eq!(kit.machine.live_pages(), before);
}
