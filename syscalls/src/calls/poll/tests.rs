//! Waiting for files in virtual time.

use std::vec::Vec;

use abi::Errno;
use abi::poll::{PollFd, SizedMask};
use abi::signal::{SigAction, sa};
use abi::time::{Timespec, Timeval};

use crate::fake::HostEvent;
use crate::fake::kit::{self, BAD_ADDRESS, Kit};
use crate::fs::{OnExec, stream};
use crate::machine::{Machine, Stream};

const MS: u64 = 1_000_000;
const IN: u16 = 0x41;
const HUP: u16 = 0x10;
const NVAL: u16 = 0x20;
const OUT: u16 = 0x104;
const SIGUSR1: u64 = 10;
const HANDLER: u64 = 0x40_0000;

/// A process whose descriptors 0 and 1 are streams.
fn kit() -> Kit {
    let kit = kit::process();
    kit.machine.set_service(&kit.system);
    for stream in [Stream::Stdin, Stream::Stdout] {
        let open = stream::open(&kit.system, stream);
        kit.process.files.add(open, 0, OnExec::Keep, 100).unwrap();
    }
    kit
}

fn fds(kit: &Kit, polled: &[(i32, u16)]) -> u64 {
    let structs: Vec<PollFd> =
        polled.iter().map(|&(fd, events)| PollFd { fd, events, revents: 0xffff }).collect();
    kit.put_value(&structs[..])
}

fn revents(kit: &Kit, address: u64, index: u64) -> u16 {
    kit.get_value::<PollFd>(address + index * 8).revents
}

fn now_ms(kit: &Kit) -> u64 {
    kit.machine.monotonic_ns() / MS
}

#[test]
fn poll_waits_as_long_as_it_is_told() {
    let kit = kit();
    let address = fds(&kit, &[(0, IN)]);
    assert_eq!(kit.call("poll", [address, 1, 25, 0, 0, 0]), Ok(0));
    assert_eq!((now_ms(&kit), revents(&kit, address, 0)), (25, 0));
    assert_eq!(kit.call("poll", [address, 1, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.call("poll", [0, 0, 10, 0, 0, 0]), Ok(0));
    assert_eq!(now_ms(&kit), 35);
}

#[test]
fn poll_ends_with_the_first_event() {
    let kit = kit();
    let address = fds(&kit, &[(0, IN), (-1, IN), (0, 0)]);
    kit.machine.host_at(10 * MS, HostEvent::Feed(Stream::Stdin, b"x".to_vec()));
    assert_eq!(kit.call("poll", [address, 3, u64::MAX, 0, 0, 0]), Ok(1));
    assert_eq!(now_ms(&kit), 10);
    let found: Vec<u16> = (0..3).map(|index| revents(&kit, address, index)).collect();
    assert_eq!(found, [IN, 0, 0]);
}

#[test]
fn poll_reports_hang_ups_and_bad_descriptors_unasked() {
    let kit = kit();
    kit.machine.host(HostEvent::Close(Stream::Stdin));
    let address = fds(&kit, &[(0, 0), (99, IN), (1, OUT)]);
    assert_eq!(kit.call("poll", [address, 3, u64::MAX, 0, 0, 0]), Ok(3));
    let found: Vec<u16> = (0..3).map(|index| revents(&kit, address, index)).collect();
    assert_eq!(found, [HUP, NVAL, OUT]);
}

#[test]
fn poll_refuses_more_descriptors_than_can_be_open_and_bad_addresses() {
    let kit = kit();
    assert_eq!(kit.call("poll", [0, 1 << 30, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("poll", [BAD_ADDRESS, 1, 0, 0, 0, 0]), Err(Errno::EFAULT));
}

#[test]
fn ppoll_stores_what_remains() {
    let kit = kit();
    let address = fds(&kit, &[(0, IN)]);
    let timeout = kit.put_value(&Timespec { seconds: 1, nanoseconds: 0 });
    kit.machine.host_at(400 * MS, HostEvent::Feed(Stream::Stdin, b"x".to_vec()));
    assert_eq!(kit.call("ppoll", [address, 1, timeout, 0, 0, 0]), Ok(1));
    let expected = Timespec { seconds: 0, nanoseconds: 600_000_000 };
    assert_eq!(kit.get_value::<Timespec>(timeout), expected);
}

#[test]
fn ppoll_refuses_a_bad_timeout_and_a_bad_mask_size() {
    let kit = kit();
    let timeout = kit.put_value(&Timespec { seconds: 0, nanoseconds: 1_000_000_000 });
    assert_eq!(kit.call("ppoll", [0, 0, timeout, 0, 0, 0]), Err(Errno::EINVAL));
    let mask = kit.put_value(&0_u64);
    assert_eq!(kit.call("ppoll", [0, 0, 0, mask, 4, 0]), Err(Errno::EINVAL));
}

#[test]
fn ppoll_lets_a_signal_through_that_is_blocked_otherwise() {
    let kit = kit();
    let action = SigAction { handler: HANDLER, flags: sa::RESTORER, restorer: 1, mask: 0 };
    let action = kit.put_value(&action);
    assert_eq!(kit.call("rt_sigaction", [SIGUSR1, action, 0, 8, 0, 0]), Ok(0));
    let blocked = kit.put_value(&(1_u64 << (SIGUSR1 - 1)));
    assert_eq!(kit.call("rt_sigprocmask", [0, blocked, 0, 8, 0, 0]), Ok(0));
    kit.thread.raise(abi::signal::Signal::SIGUSR1);
    // Blocked, it does not end a wait.
    assert_eq!(kit.call("poll", [0, 0, 5, 0, 0, 0]), Ok(0));
    let empty = kit.put_value(&0_u64);
    let number = u64::from(abi::number::number("ppoll"));
    let (_, registers) = kit.enter(number, [0, 0, 0, empty, 8, 0]);
    assert_eq!(registers.rip, HANDLER);
    assert_eq!(now_ms(&kit), 5);
}

#[test]
fn select_leaves_what_is_ready_and_stores_what_remains() {
    let kit = kit();
    let reading = kit.put_value(&0b01_u64);
    let writing = kit.put_value(&0b10_u64);
    let timeout = kit.put_value(&Timeval { seconds: 0, microseconds: 1_500_000 });
    kit.machine.set_credit(Stream::Stdout, Some(0));
    kit.machine.host_at(500 * MS, HostEvent::Feed(Stream::Stdin, b"x".to_vec()));
    assert_eq!(kit.call("select", [2, reading, writing, 0, timeout, 0]), Ok(1));
    assert_eq!((kit.get_value::<u64>(reading), kit.get_value::<u64>(writing)), (1, 0));
    let expected = Timeval { seconds: 1, microseconds: 0 };
    assert_eq!(kit.get_value::<Timeval>(timeout), expected);
}

#[test]
fn select_counts_a_descriptor_once_per_set() {
    let kit = kit();
    kit.machine.host(HostEvent::Close(Stream::Stdout));
    let sets = [kit.put_value(&0b10_u64), kit.put_value(&0b10_u64)];
    assert_eq!(kit.call("select", [2, sets[0], sets[1], 0, 0, 0]), Ok(2));
}

#[test]
fn select_without_descriptors_is_a_sleep() {
    let kit = kit();
    let timeout = kit.put_value(&Timeval { seconds: 0, microseconds: 30_000 });
    assert_eq!(kit.call("select", [0, 0, 0, 0, timeout, 0]), Ok(0));
    assert_eq!(now_ms(&kit), 30);
    assert_eq!(kit.get_value::<Timeval>(timeout), Timeval::default());
}

#[test]
fn select_refuses_closed_descriptors_and_negative_numbers() {
    let kit = kit();
    let set = kit.put_value(&(1_u64 << 5));
    assert_eq!(kit.call("select", [6, set, 0, 0, 0, 0]), Err(Errno::EBADF));
    assert_eq!(kit.get_value::<u64>(set), 1 << 5);
    assert_eq!(kit.call("select", [u64::MAX, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    let timeout = kit.put_value(&Timeval { seconds: -1, microseconds: 0 });
    assert_eq!(kit.call("select", [0, 0, 0, 0, timeout, 0]), Err(Errno::EINVAL));
}

#[test]
fn pselect6_takes_its_mask_with_a_size() {
    let kit = kit();
    let timeout = kit.put_value(&Timespec { seconds: 0, nanoseconds: 7_000_000 });
    let mask = kit.put_value(&u64::MAX);
    let sized = |size| kit.put_value(&SizedMask { mask, size });
    assert_eq!(kit.call("pselect6", [0, 0, 0, 0, timeout, sized(4)]), Err(Errno::EINVAL));
    assert_eq!(kit.call("pselect6", [0, 0, 0, 0, timeout, sized(8)]), Ok(0));
    assert_eq!(now_ms(&kit), 7);
}

#[test]
fn pipe2_gives_two_descriptors_or_none() {
    let kit = kit();
    let pair = kit.room(8);
    assert_eq!(kit.call("pipe2", [pair, 0o4000, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.get_value::<[i32; 2]>(pair), [2, 3]);
    let address = fds(&kit, &[(2, IN), (3, OUT)]);
    assert_eq!(kit.call("poll", [address, 2, 0, 0, 0, 0]), Ok(1));
    assert_eq!(revents(&kit, address, 1), OUT);
    assert_eq!(kit.call("pipe2", [pair, 1, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("pipe", [BAD_ADDRESS, 0, 0, 0, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(kit.process.files.open_descriptors().len(), 4);
}
