//! virtio-rng (virtio 1.2, 5.4): randomness of the host.

use super::queue::Worker;
use super::{Device, Role};
use rustix::rand::{GetRandomFlags, getrandom};
use std::io;

const ENTROPY: u32 = 4;

/// Most bytes that are given at once.
const PORTION: usize = 4096;

/// A source of randomness.
#[must_use]
pub fn device() -> Device {
    let serve = |worker: &Worker| {
        // Without it, the guest has what its processor has.
        let _ = serve(worker);
    };
    let queues: Vec<(Role, super::Work)> = vec![(Role::Stream, Box::new(serve))];
    Device { kind: ENTROPY, features: 0, config: Vec::new(), queues }
}

fn serve(worker: &Worker) -> io::Result<()> {
    let mut bytes = [0; PORTION];
    loop {
        let chain = worker.next()?;
        let room = chain.room(&worker.memory).min(PORTION);
        let len = getrandom(&mut bytes[..room], GetRandomFlags::empty())?;
        let written = chain.write(&worker.memory, &bytes[..len]);
        worker.give_back(&chain, written)?;
    }
}
