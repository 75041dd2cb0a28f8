//! virtio-rng (virtio 1.2, 5.4): randomness of the host.

use super::queue::Worker;
use super::{Device, Role, Work};
use rustix::rand::{GetRandomFlags, getrandom};
use std::io;

const ENTROPY: u32 = 4;

/// Most bytes that are given at once.
const PORTION: usize = 4096;

/// A source of randomness.
#[must_use]
pub fn device() -> Device {
    let queues: Vec<(Role, Work)> = vec![(Role::Stream, Box::new(serve))];
    Device { kind: ENTROPY, features: 0, config: Vec::new(), queues }
}

fn serve(worker: &Worker) -> io::Result<()> {
    worker.serve(|chain| {
        let mut bytes = vec![0; chain.room(&worker.memory).min(PORTION)];
        let len = getrandom(&mut bytes, GetRandomFlags::empty())?;
        bytes.truncate(len);
        Ok(bytes)
    })
}
