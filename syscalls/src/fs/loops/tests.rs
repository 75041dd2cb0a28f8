//! Tests of loop devices, through system calls.

use alloc::vec::Vec;

use abi::Errno;
use abi::fs::block::loops::request as own;
use abi::fs::block::loops::{LoopConfig, LoopFlags, LoopInfo64};
use abi::fs::block::request as any;
use abi::fs::{AT_FDCWD, OpenFlags};
use zerocopy::FromZeros;

use crate::fake::kit::{self, Kit};

fn open(kit: &Kit, path: &str, flags: OpenFlags) -> u64 {
    let path = kit.string(path);
    let here = AT_FDCWD as u64;
    kit.call("openat", [here, path, u64::from(flags.bits()), 0o600, 0, 0]).expect("a file")
}

fn ioctl(kit: &Kit, fd: u64, request: u32, argument: u64) -> Result<u64, Errno> {
    kit.call("ioctl", [fd, u64::from(request), argument, 0, 0, 0])
}

fn text(kit: &Kit, path: &str) -> Vec<u8> {
    let fd = open(kit, path, OpenFlags::empty());
    let to = kit.room(256);
    let len = kit.call("read", [fd, to, 256, 0, 0, 0]).expect("text");
    kit.call("close", [fd, 0, 0, 0, 0, 0]).expect("a descriptor");
    kit.get(to, len as usize)
}

/// A kit with a file of 10 sectors and an odd byte, and the first loop device open.
fn device() -> (Kit, u64, u64) {
    let kit = kit::process();
    let file = kit.descriptor(kit.file("image", &[7; 5121]));
    kit.call("close", [file, 0, 0, 0, 0, 0]).expect("a descriptor");
    let file = open(&kit, "/image", OpenFlags::RDWR);
    let control = open(&kit, "/dev/loop-control", OpenFlags::RDWR);
    assert_eq!(ioctl(&kit, control, own::LOOP_CTL_GET_FREE, 0), Ok(0));
    let device = open(&kit, "/dev/loop0", OpenFlags::RDWR);
    (kit, file, device)
}

#[test]
fn a_device_shows_the_whole_sectors_of_its_file() {
    let (kit, file, device) = device();
    assert_eq!(ioctl(&kit, device, own::LOOP_GET_STATUS64, kit.room(232)), Err(Errno::ENXIO));
    assert_eq!(ioctl(&kit, device, own::LOOP_SET_FD, file), Ok(0));
    assert_eq!(ioctl(&kit, device, own::LOOP_SET_FD, file), Err(Errno::EBUSY));
    let size = kit.room(8);
    assert_eq!(ioctl(&kit, device, any::BLKGETSIZE64, size), Ok(0));
    assert_eq!(kit.get_value::<u64>(size), 5120);
    assert_eq!(kit.call("lseek", [device, 0, 2, 0, 0, 0]), Ok(5120));
    assert_eq!(kit.call("write", [device, size, 1, 0, 0, 0]), Err(Errno::ENOSPC));
    assert_eq!(kit.call("pwrite64", [device, size, 8, 5116, 0, 0]), Ok(4));
    let to = kit.room(8);
    assert_eq!(kit.call("pread64", [file, to, 8, 5114, 0, 0]), Ok(7));
    assert_eq!(kit.get(to, 7), [7, 7, 0, 20, 0, 0, 7]);
    assert_eq!(text(&kit, "/sys/block/loop0/size"), b"10\n");
    assert_eq!(text(&kit, "/sys/dev/block/7:0/loop/backing_file"), b"/image\n");
    assert!(text(&kit, "/proc/partitions").ends_with(b"   7        0          5 loop0\n"));
}

#[test]
fn a_file_is_let_go_when_the_device_is_closed() {
    let (kit, file, device) = device();
    let mut config = LoopConfig::new_zeroed();
    config.fd = u32::MAX;
    let bad = kit.put_value(&config);
    assert_eq!(ioctl(&kit, device, own::LOOP_CONFIGURE, bad), Err(Errno::EBADF));
    config.fd = file as u32;
    config.block_size = 4095;
    let odd = kit.put_value(&config);
    assert_eq!(ioctl(&kit, device, own::LOOP_CONFIGURE, odd), Err(Errno::EINVAL));
    config.block_size = 4096;
    config.info.offset = 1024;
    config.info.flags = LoopFlags::READ_ONLY.bits();
    let good = kit.put_value(&config);
    assert_eq!(ioctl(&kit, device, own::LOOP_CONFIGURE, good), Ok(0));
    let byte = kit.room(1);
    assert_eq!(kit.call("write", [device, byte, 1, 0, 0, 0]), Err(Errno::EPERM));
    let status = kit.room(232);
    assert_eq!(ioctl(&kit, device, own::LOOP_GET_STATUS64, status), Ok(0));
    assert_eq!(kit.get_value::<LoopInfo64>(status).offset, 1024);
    assert_eq!(ioctl(&kit, device, own::LOOP_CLR_FD, 0), Ok(0));
    assert_eq!(ioctl(&kit, device, own::LOOP_CLR_FD, 0), Err(Errno::ENXIO));
    assert_eq!(kit.call("close", [device, 0, 0, 0, 0, 0]), Ok(0));
    let device = open(&kit, "/dev/loop0", OpenFlags::RDWR);
    assert_eq!(ioctl(&kit, device, own::LOOP_SET_FD, file), Ok(0));
    assert_eq!(text(&kit, "/sys/block/loop0/ro"), b"0\n");
}

#[test]
fn another_file_can_take_the_place_of_one_that_cannot_be_written() {
    let (kit, file, device) = device();
    assert_eq!(ioctl(&kit, device, own::LOOP_SET_FD, file), Ok(0));
    assert_eq!(ioctl(&kit, device, own::LOOP_CHANGE_FD, file), Err(Errno::EINVAL));
    assert_eq!(ioctl(&kit, device, own::LOOP_CLR_FD, 0), Ok(0));
    assert_eq!(kit.call("close", [device, 0, 0, 0, 0, 0]), Ok(0));
    let device = open(&kit, "/dev/loop0", OpenFlags::RDWR);
    let readable = open(&kit, "/image", OpenFlags::empty());
    assert_eq!(ioctl(&kit, device, own::LOOP_SET_FD, readable), Ok(0));
    assert_eq!(ioctl(&kit, device, own::LOOP_CHANGE_FD, file), Ok(0));
    let short = kit.descriptor(kit.file("short", b"short"));
    assert_eq!(ioctl(&kit, device, own::LOOP_CHANGE_FD, short), Err(Errno::EINVAL));
}

#[test]
fn a_device_in_use_is_not_removed() {
    let (kit, file, device) = device();
    let control = open(&kit, "/dev/loop-control", OpenFlags::RDWR);
    assert_eq!(ioctl(&kit, device, own::LOOP_SET_FD, file), Ok(0));
    assert_eq!(ioctl(&kit, control, own::LOOP_CTL_GET_FREE, 0), Ok(1));
    assert_eq!(ioctl(&kit, control, own::LOOP_CTL_ADD, 1), Err(Errno::EEXIST));
    assert_eq!(ioctl(&kit, control, own::LOOP_CTL_REMOVE, 0), Err(Errno::EBUSY));
    assert_eq!(ioctl(&kit, control, own::LOOP_CTL_REMOVE, 1), Ok(1));
    let path = kit.string("/dev/loop1");
    assert_eq!(kit.call("access", [path, 0, 0, 0, 0, 0]), Err(Errno::ENOENT));
    assert_eq!(ioctl(&kit, control, own::LOOP_CTL_REMOVE, 9), Err(Errno::ENODEV));
}
