//! Tests of the sys file system.

use alloc::format;

use abi::Errno;
use abi::fs::AT_FDCWD;

use crate::fake::kit;

#[test]
fn processors_are_counted() {
    let kit = kit::process();
    let online = kit.string("/sys/devices/system/cpu/online");
    let fd = kit.call("openat", [AT_FDCWD as u64, online, 0, 0, 0, 0]).unwrap();
    let to = kit.room(64);
    let len = kit.call("read", [fd, to, 64, 0, 0, 0]).unwrap() as usize;
    let count = kit.system.machine.processor().count;
    let expected = if count > 1 { format!("0-{}\n", count - 1) } else { "0\n".into() };
    assert_eq!(kit.get(to, len), expected.as_bytes());
    let last = kit.string(format!("/sys/devices/system/cpu/cpu{}", count - 1));
    assert_eq!(kit.call("chdir", [last, 0, 0, 0, 0, 0]), Ok(0));
    let next = kit.string(format!("/sys/devices/system/cpu/cpu{count}"));
    assert_eq!(kit.call("chdir", [next, 0, 0, 0, 0, 0]), Err(Errno::ENOENT));
}

#[test]
fn devices_are_there_by_name_and_by_number() {
    let kit = kit::process();
    let vfs = &kit.system.vfs;
    let control = kit.string("/dev/loop-control");
    let fd = kit.call("openat", [AT_FDCWD as u64, control, 2, 0, 0, 0]).unwrap();
    assert_eq!(kit.call("ioctl", [fd, 0x4c80, 3, 0, 0, 0]), Ok(3));
    assert_eq!(vfs.loops.all().len(), 1);
    let (link, to) = (kit.string("/sys/dev/block/7:3"), kit.room(64));
    let len = kit.call("readlink", [link, to, 64, 0, 0, 0]).unwrap() as usize;
    assert_eq!(kit.get(to, len), b"../../devices/virtual/block/loop3");
    let here = kit.string("/sys/block/loop3/queue");
    assert_eq!(kit.call("chdir", [here, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("getcwd", [to, 64, 0, 0, 0, 0]), Ok(39));
    assert_eq!(kit.get(to, 39), b"/sys/devices/virtual/block/loop3/queue\0");
    let unbound = kit.string("/sys/block/loop3/loop");
    assert_eq!(kit.call("access", [unbound, 0, 0, 0, 0, 0]), Err(Errno::ENOENT));
    let new = kit.string("/sys/block/x");
    assert_eq!(kit.call("mkdir", [new, 0o700, 0, 0, 0, 0]), Err(Errno::EPERM));
}
