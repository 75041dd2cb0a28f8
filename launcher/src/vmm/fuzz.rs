//! What fuzzers and the bounded runs of the tests call: a hostile guest at the devices, at the
//! server of directories, and on the control channel. All of it runs without KVM.

use super::bus::Bus;
use super::layout::DEVICES;
use super::memory::Memory;
use super::ninep::Server;
use super::virtio::mmio::place;
use super::virtio::queue::Worker;
use super::virtio::{Device, Role, Work};
use crate::session::Session;
use crate::units::MIB;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::path::Path;
use std::sync::Arc;
use virtio_bindings::virtio_mmio as register;
use vm_memory::{Bytes, GuestAddress};

/// Memory of the guest, in bytes.
const MEMORY: u64 = MIB;

/// Most bytes that a worker takes of a chain here.
const PORTION: usize = 4096;

/// Where a driver that keeps to the rules has its queue.
const TABLE: u64 = 0x1000;
const DRIVER_RING: u64 = 0x2000;
const DEVICE_RING: u64 = 0x3000;

/// Bytes as what a guest does: writes and reads of registers, ports and memory, of any width,
/// and now and then the workers' turn. An operation is its kind, an address and a value.
pub fn bus(input: &[u8]) {
    let Ok(memory) = Memory::from_ranges(&[(GuestAddress(0), MEMORY as usize)]) else { return };
    let memory = Arc::new(memory);
    let nothing = || -> (Role, Work) { (Role::Stream, Box::new(|_| Ok(()))) };
    let queues = vec![nothing(), nothing()];
    let device = Device { kind: 3, features: 0, config: vec![1, 2, 3], queues };
    let Ok((registers, workers)) = place(&device, &memory) else { return };
    let mut bus = Bus::new(Box::new(io::sink()), vec![registers]);
    for operation in input.chunks_exact(16) {
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| operation[at + i]));
        let (low, high) = (u64::from(number(4)), u64::from(number(8)));
        let value = number(12).to_le_bytes();
        let width = [1, 2, 4, 4][usize::from(operation[1] % 4)];
        let mut data = [0; 8];
        match operation[0] % 9 {
            0 => bus.write(DEVICES + low % 0x120, &value[..width]),
            1 => bus.write(low | high << 32, &value[..width]),
            2 => bus.read(DEVICES + low % 0x1010, &mut data[..width]),
            3 => bus.read(low | high << 32, &mut data),
            4 => drop(bus.port_out(low as u16, &value[..width])),
            5 => bus.port_in(low as u16, &mut data[..width]),
            // Where nothing is, nothing is written.
            6 => drop(memory.write_slice(&operation[8..], GuestAddress(low % MEMORY))),
            7 => start(&mut bus),
            _ => workers.iter().for_each(turn),
        }
    }
}

/// What a driver does that keeps to the rules, up to the use of its first queue.
fn start(bus: &mut Bus) {
    let steps = [
        (register::VIRTIO_MMIO_STATUS, 0),
        (register::VIRTIO_MMIO_STATUS, 1 | 2),
        (register::VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1),
        (register::VIRTIO_MMIO_DRIVER_FEATURES, 1),
        (register::VIRTIO_MMIO_STATUS, 1 | 2 | 8),
        (register::VIRTIO_MMIO_QUEUE_SEL, 0),
        (register::VIRTIO_MMIO_QUEUE_NUM, 16),
        (register::VIRTIO_MMIO_QUEUE_DESC_LOW, TABLE as u32),
        (register::VIRTIO_MMIO_QUEUE_AVAIL_LOW, DRIVER_RING as u32),
        (register::VIRTIO_MMIO_QUEUE_USED_LOW, DEVICE_RING as u32),
        (register::VIRTIO_MMIO_QUEUE_READY, 1),
        (register::VIRTIO_MMIO_STATUS, 1 | 2 | 8 | 4),
    ];
    for (offset, value) in steps {
        bus.write(DEVICES + u64::from(offset), &value.to_le_bytes());
    }
}

/// A worker takes what there is, and no more than it can hold.
fn turn(worker: &Worker) {
    /// A queue holds no more, but the guest may say that it does, again and again.
    const MOST: usize = 1000;
    for _ in 0..MOST {
        let Some(chain) = worker.take() else { return };
        let bytes = chain.read(&worker.memory, PORTION);
        assert!(bytes.len() <= PORTION);
        let room = chain.room(&worker.memory);
        assert!(chain.write(&worker.memory, &[7; PORTION]) <= room.min(PORTION));
        if worker.answer(&chain, &[7; PORTION]).is_err() {
            return;
        }
    }
}

/// Bytes as messages to a server for `directory`: each has its length before it, a byte for 4.
pub fn ninep(directory: &Path, input: &[u8]) {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(root) = rustix::fs::open(directory, flags, Mode::empty()) else { return };
    let Ok(mut server) = Server::new(root, false) else { return };
    let mut rest = input;
    while let Some((&words, after)) = rest.split_first() {
        let (message, next) = after.split_at(after.len().min(usize::from(words) * 4));
        let room = usize::from(words) * 8;
        assert!(server.answer(message, room).len() <= room.max(11));
        rest = next;
    }
}

/// Bytes as what a guest sends over the control channel.
pub fn channel(input: &[u8]) {
    let mut session = Session::new([true, false, true]);
    let mut rest = input;
    while let Ok(Some(_)) = session.next(&mut rest) {}
    drop(session.take_output());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same bytes each time, of a xorshift generator.
    fn random(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        (0..len).map(|_| next() as u8).collect()
    }

    #[test]
    fn no_access_of_a_guest_does_harm() {
        for seed in 0..2_000 {
            bus(&random(seed, 16 * 40));
        }
    }

    /// Rings of a driver that started well: any index, address, length, flag and link.
    #[test]
    fn no_ring_does_harm() {
        for seed in 0..2_000 {
            let bytes = random(seed, 4096);
            let mut program = vec![7; 16];
            for (number, part) in bytes.chunks_exact(8).enumerate() {
                let place = match number % 4 {
                    0 => DRIVER_RING as u32 + u32::from(part[0]) % 40,
                    1 => DRIVER_RING as u32 + 2,
                    _ => TABLE as u32 + (number as u32 * 8) % 256,
                };
                let small = [part[0] % 20, 0, 0, 0, part[4] % 8, 0, part[6] % 20, 0];
                let value = if number % 3 == 0 { part } else { &small };
                program.extend([&[6, 0, 0, 0][..], &place.to_le_bytes(), value].concat());
                if number % 16 == 15 {
                    program.extend([8; 16]);
                }
            }
            bus(&program);
        }
    }

    #[test]
    fn nothing_that_a_guest_sends_does_harm() {
        for seed in 0..20_000 {
            let mut bytes = random(seed, 200);
            // Most are frames whose beginning makes sense.
            if seed % 8 != 0 {
                for frame in bytes.chunks_mut(20) {
                    frame[0] %= 12;
                    frame[1] %= 5;
                    frame[2..4].fill(0);
                    frame.get_mut(4..8).unwrap_or_default().copy_from_slice(&[12, 0, 0, 0][..]);
                }
            }
            channel(&bytes);
        }
    }
}
