//! A directory of the host as a file system: the nodes that are known of it.
//!
//! A file is known by the number the server gives it, so that all its names lead to one node.
//! The nodes used last are kept, and with them their mapped pages: the next process that is
//! started need not read its libraries again.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::fs::{Device, magic};
use hashbrown::HashMap;
use spin::Mutex;

use crate::error::Result;
use crate::fs::inode::{FileSystem, Inode, Usage};
use crate::fs::mount::MountAccess;
use crate::machine::{Machine, MessageChannel};

use super::client::Client;
use super::fid::{Attributes, Fid};
use super::names::{Names, Trust};
use super::node::Node;

/// How many nodes are kept though nobody uses them.
const KEPT_NODES: usize = 256;

/// Which part of memory may hold pages that nobody maps any more.
const CACHE_SHARE: u64 = 8;

/// A user of the host, who is user 0 here; the same for groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user's number on the host.
    pub user: u32,
    /// The group's number on the host.
    pub group: u32,
}

/// The number of whoever has none here (`overflowuid`).
const NOBODY: u32 = 65534;

/// A number of the host as it is shown here: that of `owner` is 0. Where that is another than
/// the host's 0, the host's 0 is nobody: what belongs to it is not the guest's.
pub(super) const fn shown(number: u32, owner: u32) -> u32 {
    match number {
        _ if number == owner => 0,
        0 => NOBODY,
        _ => number,
    }
}

/// A number given here as it is on the host.
pub(super) const fn hosted(number: u32, owner: u32) -> u32 {
    if number == 0 { owner } else { number }
}

/// A directory of the host.
pub struct Share {
    pub(super) machine: Arc<dyn Machine>,
    client: Arc<Client>,
    device: Device,
    pub(super) owner: Owner,
    pub(super) trust: Trust,
    pub(super) names: Names,
    root: Fid,
    nodes: Mutex<Nodes>,
}

#[derive(Default)]
struct Nodes {
    known: HashMap<u64, Weak<Node>>,
    /// The oldest first.
    kept: VecDeque<Arc<Node>>,
}

impl Share {
    /// Takes up contact with the server behind `channel`; returns the share and its root
    /// directory. The share shows itself as `device`; `access` is what the guest may do with it.
    ///
    /// # Errors
    /// `EIO`; `EPROTONOSUPPORT`; those of the host.
    pub fn connect(
        machine: &Arc<dyn Machine>,
        channel: Arc<dyn MessageChannel>,
        device: Device,
        owner: Owner,
        access: MountAccess,
    ) -> Result<(Arc<Self>, Arc<dyn Inode>)> {
        let client = Client::connect(machine.clone(), channel)?;
        let root = Fid::attach(&client, owner.user)?;
        let (fid, attributes) = (root.duplicate()?, root.attributes()?);
        let machine = machine.clone();
        let trust = match access {
            MountAccess::ReadOnly => Trust::READ_ONLY,
            MountAccess::ReadWrite => Trust::WRITABLE,
        };
        let (names, nodes) = (Names::default(), Mutex::default());
        let share = Arc::new(Self { machine, client, device, owner, trust, names, root, nodes });
        let root = share.node(fid, attributes);
        Ok((share, root))
    }

    /// The machine has news of its channels.
    pub fn news(&self) {
        self.client.wake();
    }

    /// All files that are known of it.
    fn all(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().known.values().filter_map(Weak::upgrade).collect()
    }

    /// Lets the server know all that mappings have written.
    fn settle(&self) {
        for node in self.all() {
            // Nobody is left to be told of an error.
            let _ = node.tell_written();
        }
    }

    /// Lets go of everything that nobody uses.
    pub fn forget(&self) {
        let kept = core::mem::take(&mut self.nodes.lock().kept);
        for node in &kept {
            node.set_kept(false);
        }
        drop(kept);
    }

    /// The node of the file behind `fid`, which has these attributes and was found now.
    pub(super) fn node(self: &Arc<Self>, fid: Fid, attributes: Attributes) -> Arc<Node> {
        let known = self.known(attributes.qid.path);
        if let Some(node) = known.filter(|node| node.is(&attributes)) {
            node.found(fid, attributes);
            self.keep(&node);
            return node;
        }
        let node = Node::new(self.clone(), fid, attributes);
        let weak = Arc::downgrade(&node);
        self.nodes.lock().known.insert(attributes.qid.path, weak);
        self.keep(&node);
        node
    }

    /// The node of the file with this number, if it is known.
    pub(super) fn known(&self, number: u64) -> Option<Arc<Node>> {
        self.nodes.lock().known.get(&number).and_then(Weak::upgrade)
    }

    /// Keeps a node for a while.
    fn keep(&self, node: &Arc<Node>) {
        if node.set_kept(true) {
            return;
        }
        let mut nodes = self.nodes.lock();
        nodes.kept.push_back(node.clone());
        let oldest = (nodes.kept.len() > KEPT_NODES).then(|| nodes.kept.pop_front()).flatten();
        drop(nodes);
        if let Some(oldest) = oldest {
            oldest.set_kept(false);
        }
    }

    /// Keeps a node no longer: its file is gone.
    pub(super) fn drop_kept(&self, node: &Node) {
        if !node.set_kept(false) {
            return;
        }
        let mut nodes = self.nodes.lock();
        let at = nodes.kept.iter().position(|kept| core::ptr::eq(&**kept, node));
        let dropped = at.and_then(|at| nodes.kept.remove(at));
        drop(nodes);
        drop(dropped);
    }

    /// A node is no more.
    pub(super) fn dropped(&self, number: u64, node: &Node) {
        let mut nodes = self.nodes.lock();
        if nodes.known.get(&number).is_some_and(|known| core::ptr::eq(known.as_ptr(), node)) {
            nodes.known.remove(&number);
        }
    }

    /// Drops pages that nobody maps, those of the oldest nodes first, where there are too many.
    pub(super) fn limit_cache(&self) {
        let limit = (self.machine.memory().total_pages / CACHE_SHARE) as usize;
        let kept: Vec<_> = self.nodes.lock().kept.iter().cloned().collect();
        let mut total: usize = kept.iter().map(|node| node.pages.len()).sum();
        for node in kept {
            if total <= limit {
                break;
            }
            let before = node.pages.len();
            total -= before.saturating_sub(node.pages.shrink()).min(total);
        }
    }
}

impl FileSystem for Share {
    fn name(&self) -> &'static str {
        "9p"
    }

    fn device(&self) -> Device {
        self.device
    }

    fn sync(&self) -> Result<()> {
        self.all().iter().map(|node| node.sync()).fold(Ok(()), Result::and)
    }

    fn usage(&self) -> Usage {
        // statfs(2) has no error here: a dead server shows as a full file system.
        Usage { magic: magic::V9FS_MAGIC, ..self.root.usage().unwrap_or_default() }
    }
}

/// All shares of a system. Nodes that are kept hold their share: its end is the end of this.
#[derive(Default)]
pub struct Shares(Mutex<Vec<Arc<Share>>>);

impl Shares {
    /// Adds a share.
    pub fn add(&self, share: Arc<Share>) {
        self.0.lock().push(share);
    }

    /// Lets the servers know all that mappings have written.
    pub fn settle(&self) {
        let shares = self.0.lock().clone();
        shares.iter().for_each(|share| share.settle());
    }

    /// Lets the hosts store for good what was written.
    pub fn sync(&self) {
        let shares = self.0.lock().clone();
        for share in &shares {
            // sync(2) has no errors.
            let _ = share.sync();
        }
    }

    /// The machine has news of its channels.
    pub fn news(&self) {
        let shares = self.0.lock().clone();
        shares.iter().for_each(|share| share.news());
    }
}

impl Drop for Shares {
    fn drop(&mut self) {
        self.0.get_mut().drain(..).for_each(|share| share.forget());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_root_is_not_the_guests() {
        assert_eq!([0, 5].map(|number| shown(number, 0)), [0, 5]);
        assert_eq!([0, 5, 1000].map(|number| shown(number, 1000)), [NOBODY, 5, 0]);
        assert_eq!([0, 5].map(|number| hosted(number, 1000)), [1000, 5]);
    }
}
