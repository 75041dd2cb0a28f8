//! virtio-9p (virtio 1.2, device 9): a directory of the host.

use super::queue::Worker;
use super::{Device, Role, Work};
use crate::vmm::ninep::{MESSAGE_MAX, Server};

const NINEP: u32 = 9;

/// `VIRTIO_9P_MOUNT_TAG`
const HAS_TAG: u64 = 1;

/// A device called `tag`. A chain is a request, and room for its answer.
#[must_use]
pub fn device(tag: &str, mut server: Server) -> Device {
    // Tags are ours, and short.
    let config = [&(tag.len() as u16).to_le_bytes(), tag.as_bytes()].concat();
    let serve = move |worker: &Worker| {
        worker.serve(|chain| {
            let request = chain.read(&worker.memory, MESSAGE_MAX);
            Ok(server.answer(&request, chain.room(&worker.memory)))
        })
    };
    let queues: Vec<(Role, Work)> = vec![(Role::Files, Box::new(serve))];
    Device { kind: NINEP, features: HAS_TAG, config, queues }
}
