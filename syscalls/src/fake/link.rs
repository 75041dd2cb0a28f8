//! A network device whose wire ends in the test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec;
use std::vec::Vec;

use crate::machine::{Link, OutOfMemory};

/// The longest payload of a frame, in bytes.
const MTU: usize = 1500;

/// A network device.
pub struct FakeLink {
    address: [u8; 6],
    arrived: Frames,
    sent: Frames,
}

#[derive(Default)]
struct Frames(Mutex<VecDeque<Vec<u8>>>);

impl Frames {
    fn push(&self, frame: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(frame);
    }

    fn pop(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl FakeLink {
    /// A device with this hardware address.
    #[must_use]
    pub fn new(address: [u8; 6]) -> Arc<Self> {
        Arc::new(Self { address, arrived: Frames::default(), sent: Frames::default() })
    }

    /// Lets a frame arrive; the personality has to be told of it.
    pub fn arrive(&self, frame: Vec<u8>) {
        self.arrived.push(frame);
    }

    /// The next frame that was sent.
    #[must_use]
    pub fn sent(&self) -> Option<Vec<u8>> {
        self.sent.pop()
    }
}

impl Link for FakeLink {
    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn mtu(&self) -> usize {
        MTU
    }

    fn open(&self) -> Result<(), OutOfMemory> {
        Ok(())
    }

    fn receive(&self, take: &mut dyn FnMut(&[u8])) -> bool {
        let frame = self.arrived.pop();
        if let Some(frame) = &frame {
            take(frame);
        }
        frame.is_some()
    }

    fn send(&self, len: usize, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        let mut frame = vec![0; len];
        fill(&mut frame);
        self.sent.push(frame);
        true
    }

    fn can_send(&self) -> bool {
        true
    }
}
