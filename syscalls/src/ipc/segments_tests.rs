//! Segments as applications use them.

use abi::ipc::{
    IPC_INFO, IPC_PRIVATE, IPC_RMID, IPC_SET, IPC_STAT, SHM_DEST, SHM_INFO, SHM_LOCK, SHM_LOCKED,
    SHM_STAT, SharedMemoryStatus, SharedMemoryUsage,
};
use abi::{Errno, PAGE_SIZE};

use crate::fake::kit::{self, BAD_ADDRESS, Kit};
use crate::process::Credentials;
use crate::process::credentials::Ids;

const PAGE: u64 = PAGE_SIZE as u64;
const CREAT: u64 = 0o1000;
const EXCL: u64 = 0o2000;
const RDONLY: u64 = 0o10000;
const RND: u64 = 0o20000;
const REMAP: u64 = 0o40000;
const PLACE: u64 = 0x1000_0000_0000;

fn get(kit: &Kit, key: i32, len: u64, flags: u64) -> Result<u64, Errno> {
    kit.call("shmget", [key as u64, len, flags, 0, 0, 0])
}

fn attach(kit: &Kit, number: u64, address: u64, flags: u64) -> Result<u64, Errno> {
    kit.call("shmat", [number, address, flags, 0, 0, 0])
}

fn detach(kit: &Kit, address: u64) -> Result<u64, Errno> {
    kit.call("shmdt", [address, 0, 0, 0, 0, 0])
}

fn control(kit: &Kit, number: u64, command: i32, to: u64) -> Result<u64, Errno> {
    kit.call("shmctl", [number, command as u64, to, 0, 0, 0])
}

fn status(kit: &Kit, number: u64) -> Result<SharedMemoryStatus, Errno> {
    let to = kit.put_value(&SharedMemoryStatus::default());
    control(kit, number, IPC_STAT, to).map(|_| kit.get_value(to))
}

fn become_user(kit: &Kit, user: u32) {
    let mut who = Credentials::root();
    who.groups = Ids::all(user);
    who.set_users(Ids::all(user));
    let done = kit.process.change_credentials(|credentials| {
        *credentials = who.clone();
        Ok(())
    });
    assert_eq!(done, Ok(()));
}

#[test]
fn a_key_leads_to_one_segment() {
    let kit = kit::process();
    assert_eq!(get(&kit, 77, PAGE, 0o600), Err(Errno::ENOENT));
    let number = get(&kit, 77, PAGE + 1, CREAT | 0o600).unwrap();
    assert_eq!(get(&kit, 77, PAGE, 0o600), Ok(number));
    assert_eq!(get(&kit, 77, 0, 0), Ok(number));
    assert_eq!(get(&kit, 77, PAGE + 2, 0), Err(Errno::EINVAL));
    assert_eq!(get(&kit, 77, PAGE, CREAT | EXCL), Err(Errno::EEXIST));
    assert_eq!(get(&kit, 78, 0, CREAT), Err(Errno::EINVAL));
    assert_eq!(get(&kit, 78, 1 << 50, CREAT), Err(Errno::ENOMEM));
    assert_eq!(get(&kit, 78, u64::MAX, CREAT), Err(Errno::EINVAL));
    let private = get(&kit, IPC_PRIVATE, PAGE, 0o600).unwrap();
    assert_ne!(private, number);
    assert_ne!(get(&kit, IPC_PRIVATE, PAGE, 0o600), Ok(private));
    let status = status(&kit, number).unwrap();
    assert_eq!((status.len, status.permission.key, status.permission.mode), (PAGE + 1, 77, 0o600));
    assert_eq!((status.attachments, status.attached, status.creator), (0, 0, 2));
}

#[test]
fn all_who_attach_it_see_the_same_and_the_last_frees_it() {
    let kit = kit::process();
    let before = kit.machine.live_pages();
    let number = get(&kit, 5, 2 * PAGE, CREAT | 0o600).unwrap();
    let first = attach(&kit, number, 0, 0).unwrap();
    let second = attach(&kit, number, 0, RDONLY).unwrap();
    kit.set(first + PAGE, b"both");
    assert_eq!(kit.get(second + PAGE, 4), b"both");
    assert!(kit.process.memory().write(second, b"x").is_err());
    let writable = kit.call("mprotect", [second, PAGE, 3, 0, 0, 0]);
    assert_eq!(writable, Err(Errno::EACCES));
    let child = kit.process.memory().fork().unwrap();
    assert_eq!(status(&kit, number).unwrap().attachments, 4);
    assert_eq!(detach(&kit, second), Ok(0));
    assert_eq!(detach(&kit, second), Err(Errno::EINVAL));
    assert_eq!(detach(&kit, first + PAGE), Err(Errno::EINVAL));
    assert_eq!(control(&kit, number, IPC_RMID, 0), Ok(0));
    assert_eq!(get(&kit, 5, 0, 0), Err(Errno::ENOENT));
    let left = status(&kit, number).unwrap();
    assert_eq!((left.attachments, left.permission.mode), (3, SHM_DEST | 0o600));
    assert_eq!(detach(&kit, first), Ok(0));
    let mut bytes = [0; 4];
    child.read(first + PAGE, &mut bytes).unwrap();
    assert_eq!(&bytes, b"both");
    drop(child);
    assert_eq!(status(&kit, number), Err(Errno::EINVAL));
    assert_eq!(attach(&kit, number, 0, 0), Err(Errno::EINVAL));
    // What is left are the page and the tables of the kit's own area.
    assert!(kit.machine.live_pages() <= before + 2);
}

#[test]
fn what_was_cut_out_is_detached_with_the_rest() {
    let kit = kit::process();
    let number = get(&kit, IPC_PRIVATE, 4 * PAGE, 0o600).unwrap();
    assert_eq!(attach(&kit, number, PLACE, 0), Ok(PLACE));
    assert_eq!(kit.call("munmap", [PLACE, PAGE, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("munmap", [PLACE + 2 * PAGE, PAGE, 0, 0, 0, 0]), Ok(0));
    assert_eq!(status(&kit, number).unwrap().attachments, 2);
    assert_eq!(detach(&kit, PLACE), Ok(0));
    assert_eq!(status(&kit, number).unwrap().attachments, 0);
}

#[test]
fn addresses_are_rounded_replaced_or_refused() {
    let kit = kit::process();
    let number = get(&kit, IPC_PRIVATE, PAGE, 0o600).unwrap();
    assert_eq!(attach(&kit, number, PLACE + 5, 0), Err(Errno::EINVAL));
    assert_eq!(attach(&kit, number, PLACE + 5, RND), Ok(PLACE));
    assert_eq!(attach(&kit, number, PLACE, 0), Err(Errno::EINVAL));
    assert_eq!(attach(&kit, number, PLACE, REMAP), Ok(PLACE));
    assert_eq!(attach(&kit, number, 0, REMAP), Err(Errno::EINVAL));
    assert_eq!(attach(&kit, number + 1, 0, 0), Err(Errno::EINVAL));
    assert_eq!(status(&kit, number).unwrap().attachments, 1);
}

#[test]
fn modes_and_owners_decide() {
    let kit = kit::process();
    let number = get(&kit, 9, PAGE, CREAT | 0o644).unwrap();
    become_user(&kit, 1000);
    assert_eq!(get(&kit, 9, 0, 0o444), Ok(number));
    assert_eq!(get(&kit, 9, 0, 0o666), Err(Errno::EACCES));
    assert_eq!(attach(&kit, number, 0, 0), Err(Errno::EACCES));
    assert!(attach(&kit, number, 0, RDONLY).is_ok());
    assert_eq!(control(&kit, number, IPC_RMID, 0), Err(Errno::EPERM));
    assert_eq!(control(&kit, number, SHM_LOCK, 0), Err(Errno::EPERM));
    let own = get(&kit, 10, PAGE, CREAT).unwrap();
    assert_eq!(status(&kit, own), Err(Errno::EACCES));
    let mut new = SharedMemoryStatus::default();
    (new.permission.uid, new.permission.gid, new.permission.mode) = (1001, 7, 0o1640);
    let from = kit.put_value(&new);
    assert_eq!(control(&kit, own, IPC_SET, from), Ok(0));
    assert_eq!(control(&kit, own, SHM_LOCK, 0), Ok(0));
    let shown = status(&kit, own).unwrap().permission;
    assert_eq!((shown.uid, shown.cuid, shown.gid, shown.cgid), (1001, 1000, 7, 1000));
    assert_eq!(shown.mode, SHM_LOCKED | 0o640);
    become_user(&kit, 1002);
    assert_eq!(control(&kit, own, IPC_SET, from), Err(Errno::EPERM));
}

#[test]
fn all_segments_can_be_listed() {
    let kit = kit::process();
    let first = get(&kit, IPC_PRIVATE, 3 * PAGE, 0o600).unwrap();
    let second = get(&kit, IPC_PRIVATE, 1, 0o600).unwrap();
    let address = attach(&kit, first, 0, 0).unwrap();
    kit.set(address, b"x");
    let to = kit.room(112);
    let highest = control(&kit, 0, SHM_INFO, to).unwrap();
    let usage: SharedMemoryUsage = kit.get_value(to);
    assert_eq!((highest, usage.segments, usage.pages, usage.resident), (1, 2, 4, 1));
    assert_eq!(control(&kit, 0, IPC_INFO, to), Ok(1));
    assert_eq!(control(&kit, 1, SHM_STAT, to), Ok(second));
    assert_eq!(control(&kit, 2, SHM_STAT, to), Err(Errno::EINVAL));
    assert_eq!(control(&kit, 0, SHM_INFO, BAD_ADDRESS), Err(Errno::EFAULT));
    assert_eq!(control(&kit, first, IPC_SET, BAD_ADDRESS), Err(Errno::EFAULT));
    assert_eq!(control(&kit, first, 99, to), Err(Errno::EINVAL));
}
