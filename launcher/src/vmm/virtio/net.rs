//! virtio-net (virtio 1.2, 5.1): frames from and to passt or a TAP device.
//!
//! Nothing is left to the device: no checksums, no segmentation, one pair of queues.

use super::queue::Worker;
use super::{Device, Role};
use crate::vmm::options::LinkKind;
use std::fs::File;
use std::io::{self, Read, Write};

const NETWORK: u32 = 1;

/// `VIRTIO_NET_F_MAC`
const HAS_ADDRESS: u64 = 1 << 5;

/// `virtio_net_hdr` (5.1.6): of zeros but the number of buffers, 1.
const HEADER: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// Longest frame, in bytes.
const FRAME_MAX: usize = 64 * 1024;

/// A network device with this hardware address, at whose other end is `link`.
///
/// # Errors
/// The descriptor cannot be duplicated.
pub fn device(kind: LinkKind, link: File, address: [u8; 6]) -> io::Result<Device> {
    let other = link.try_clone()?;
    let receive = move |worker: &Worker| receive(worker, kind, link);
    let transmit = move |worker: &Worker| transmit(worker, kind, other);
    Ok(Device {
        kind: NETWORK,
        features: HAS_ADDRESS,
        config: address.to_vec(),
        queues: vec![(Role::Stream, Box::new(receive)), (Role::Stream, Box::new(transmit))],
    })
}

/// From the host to the guest; what the guest has no room for is cut off.
fn receive(worker: &Worker, kind: LinkKind, mut link: File) -> io::Result<()> {
    let mut buffer = vec![0; HEADER.len() + FRAME_MAX];
    buffer[..HEADER.len()].copy_from_slice(&HEADER);
    loop {
        let room = &mut buffer[HEADER.len()..];
        let len = match kind {
            LinkKind::Tap => link.read(room)?,
            LinkKind::Stream => read_frame(&mut link, room)?,
        };
        let chain = worker.next()?;
        worker.answer(&chain, &buffer[..HEADER.len() + len])?;
    }
}

/// A frame with its length before it.
fn read_frame(link: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut len = [0; 4];
    link.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    let room = room.get_mut(..len).ok_or(io::ErrorKind::InvalidData)?;
    link.read_exact(room)?;
    Ok(len)
}

/// From the guest to the host. Frames that cannot be sent are lost, as in any network.
fn transmit(worker: &Worker, kind: LinkKind, mut link: File) -> io::Result<()> {
    worker.serve(|chain| {
        let mut bytes = chain.read(&worker.memory, HEADER.len() + FRAME_MAX);
        if let Some(len) = bytes.len().checked_sub(HEADER.len()).filter(|&len| len > 0) {
            // The header makes room for the length, which goes before the frame.
            let prefix = HEADER.len() - 4;
            bytes[prefix..HEADER.len()].copy_from_slice(&(len as u32).to_be_bytes());
            let _ = match kind {
                LinkKind::Tap => link.write(&bytes[HEADER.len()..]).map(drop),
                LinkKind::Stream => link.write_all(&bytes[prefix..]),
            };
        }
        Ok(Vec::new())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_their_length_before_them_and_no_more_than_there_is_room_for() {
        let mut room = [0; 8];
        let mut stream = &b"\0\0\0\x03abc\0\0\0\x00\0\0\0\x09123456789"[..];
        assert_eq!(read_frame(&mut stream, &mut room).unwrap(), 3);
        assert_eq!(&room[..3], b"abc");
        assert_eq!(read_frame(&mut stream, &mut room).unwrap(), 0);
        assert!(read_frame(&mut stream, &mut room).is_err());
        assert!(read_frame(&mut &b"\0\0"[..], &mut room).is_err());
    }
}
