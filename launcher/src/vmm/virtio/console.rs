//! virtio-console (virtio 1.2, 5.3) with one port: the control channel.

use super::queue::Worker;
use super::{Device, Role};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

const CONSOLE: u32 = 3;

/// Most bytes that go at once.
const PORTION: usize = 64 * 1024;

/// A console at whose other end is `channel`. Where that closes, the machine ends.
///
/// # Errors
/// The descriptor cannot be duplicated.
pub fn device(channel: UnixStream) -> io::Result<Device> {
    let other = channel.try_clone()?;
    Ok(Device {
        kind: CONSOLE,
        features: 0,
        config: vec![0; 12],
        queues: vec![
            (Role::Stream, Box::new(move |worker| end_after(receive(worker, channel)))),
            (Role::Stream, Box::new(move |worker| end_after(transmit(worker, other)))),
        ],
    })
}

/// Without its channel the machine has nobody to run for.
fn end_after(result: io::Result<()>) -> io::Result<()> {
    if let Err(error) = result {
        eprintln!("the control channel is lost: {error}");
    }
    std::process::exit(0)
}

/// From the host to the guest.
fn receive(worker: &Worker, mut channel: UnixStream) -> io::Result<()> {
    let mut buffer = vec![0; PORTION];
    loop {
        // Only what the guest has room for is taken off the channel.
        let chain = worker.next()?;
        let room = chain.room(&worker.memory).min(PORTION);
        let len = channel.read(&mut buffer[..room])?;
        if len == 0 && room > 0 {
            return Ok(());
        }
        worker.answer(&chain, &buffer[..len])?;
    }
}

/// From the guest to the host.
fn transmit(worker: &Worker, mut channel: UnixStream) -> io::Result<()> {
    worker.serve(|chain| {
        let bytes = chain.read(&worker.memory, PORTION + 1);
        if bytes.len() > PORTION {
            return Err(io::Error::other("the guest sends too much at once"));
        }
        channel.write_all(&bytes)?;
        Ok(Vec::new())
    })
}
