//! The sockets that are open, for /proc/net.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use spin::Mutex;

use super::Socket;

/// The sockets that are open.
#[derive(Default)]
pub(crate) struct Registry {
    /// By the numbers of their inodes.
    open: Mutex<BTreeMap<u64, Record>>,
}

struct Record {
    owner: u32,
    socket: Weak<dyn Socket>,
}

/// A socket that is open.
pub(crate) struct Registered {
    /// The number of its inode.
    pub(crate) inode: u64,
    /// Whose it is.
    pub(crate) owner: u32,
    /// The socket.
    pub(crate) socket: Arc<dyn Socket>,
}

/// A place in the registry, until it is dropped.
pub(super) struct Entry {
    registry: Arc<Registry>,
    inode: u64,
}

impl Registry {
    /// Adds a socket of the user `owner`.
    pub(super) fn add(self: &Arc<Self>, inode: u64, owner: u32, socket: &Arc<dyn Socket>) -> Entry {
        let record = Record { owner, socket: Arc::downgrade(socket) };
        self.open.lock().insert(inode, record);
        Entry { registry: self.clone(), inode }
    }

    /// All of them, in the order in which they were made.
    pub(crate) fn all(&self) -> Vec<Registered> {
        let open = self.open.lock();
        open.iter()
            .filter_map(|(&inode, record)| {
                let socket = record.socket.upgrade()?;
                Some(Registered { inode, owner: record.owner, socket })
            })
            .collect()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.open.lock().remove(&self.inode);
    }
}
