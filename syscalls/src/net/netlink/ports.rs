//! The numbers of sockets of netlink(7), and who has joined which group.

use alloc::sync::{Arc, Weak};

use abi::Errno;
use hashbrown::HashMap;
use spin::Mutex;

use crate::error::{Because, Result};

use super::NetlinkSocket;

/// The numbers of sockets.
#[derive(Default)]
pub(crate) struct Ports {
    taken: Mutex<HashMap<u32, Weak<NetlinkSocket>>>,
}

impl Ports {
    /// Gives a socket a number: the one it wants, or one like that of its process.
    ///
    /// # Errors
    /// `EADDRINUSE`.
    pub(super) fn bind(
        &self,
        socket: &Weak<NetlinkSocket>,
        wanted: Option<u32>,
        process: u32,
    ) -> Result<u32> {
        let mut taken = self.taken.lock();
        let in_use = || Errno::EADDRINUSE.because("another socket has this number");
        let port = match wanted {
            Some(wanted) if taken.contains_key(&wanted) => return Err(in_use()),
            Some(wanted) => wanted,
            // As on Linux, numbers that no process has come next.
            None => [process]
                .into_iter()
                .chain((1 << 31..u32::MAX - 4096).rev())
                .find(|port| !taken.contains_key(port))
                .ok_or_else(in_use)?,
        };
        taken.insert(port, socket.clone());
        Ok(port)
    }

    /// Takes a number back.
    pub(super) fn release(&self, port: u32) {
        self.taken.lock().remove(&port);
    }

    /// The socket with a number.
    pub(super) fn find(&self, port: u32) -> Option<Arc<NetlinkSocket>> {
        self.taken.lock().get(&port).and_then(Weak::upgrade)
    }
}
