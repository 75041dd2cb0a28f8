//! Names in directories of the host, and what they led to a moment ago.
//!
//! A path has many directories, and most of what a program looks up is looked up again at
//! once: each time is two round trips. How long an answer is trusted is [`Trust`]'s business;
//! what this guest changes is forgotten at once.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};
use spin::Mutex;

use super::node::Node;

/// Most names that are remembered.
const NAMES: usize = 2048;

/// For how long what the server says is taken to be true, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trust {
    /// Attributes. Opening a file always asks.
    pub(super) attributes_ns: u64,
    /// That a name leads to a directory. The server finds files by path: what it says of
    /// the names in there is true also of another directory that has taken its place.
    pub(super) directories_ns: u64,
    /// That a name leads to another file, or to none.
    pub(super) names_ns: u64,
}

impl Trust {
    /// For directories that the guest writes to, which others may watch or write to as well:
    /// one walk along a path, not more.
    pub(super) const WRITABLE: Self =
        Self { attributes_ns: 10_000_000, directories_ns: 100_000_000, names_ns: 0 };

    /// For what the guest only reads, such as programs and libraries: a second.
    pub(super) const READ_ONLY: Self = Self {
        attributes_ns: 1_000_000_000,
        directories_ns: 1_000_000_000,
        names_ns: 1_000_000_000,
    };
}

/// What is known of names.
#[derive(Default)]
pub(super) struct Names {
    known: Mutex<HashMap<Name, Known>>,
}

/// A name in a directory.
#[derive(PartialEq, Eq)]
struct Name {
    directory: u64,
    name: Vec<u8>,
}

/// The same, borrowed.
#[derive(Hash)]
struct Sought<'a> {
    directory: u64,
    name: &'a [u8],
}

struct Known {
    until_ns: u64,
    /// What it led to; `None` where nothing was.
    node: Option<Weak<Node>>,
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Sought { directory: self.directory, name: &self.name }.hash(state);
    }
}

impl Equivalent<Name> for Sought<'_> {
    fn equivalent(&self, key: &Name) -> bool {
        self.directory == key.directory && self.name == key.name
    }
}

impl Names {
    /// What `name` in the directory with this number led to, if that is still to be trusted:
    /// a node, or nothing.
    pub(super) fn find(
        &self,
        directory: u64,
        name: &[u8],
        now_ns: u64,
    ) -> Option<Option<Arc<Node>>> {
        let known = self.known.lock();
        let known =
            known.get(&Sought { directory, name }).filter(|known| now_ns < known.until_ns)?;
        match &known.node {
            None => Some(None),
            Some(node) => node.upgrade().map(Some),
        }
    }

    /// Remembers what was found.
    pub(super) fn remember(
        &self,
        directory: u64,
        name: &[u8],
        node: Option<&Arc<Node>>,
        until_ns: u64,
    ) {
        let mut known = self.known.lock();
        if known.len() >= NAMES {
            known.clear();
        }
        // Where there is no memory, it is looked up again.
        let mut copy = Vec::new();
        if known.try_reserve(1).is_ok() && copy.try_reserve_exact(name.len()).is_ok() {
            copy.extend_from_slice(name);
            let node = node.map(Arc::downgrade);
            known.insert(Name { directory, name: copy }, Known { until_ns, node });
        }
    }

    /// Something else may be there now.
    pub(super) fn forget(&self, directory: u64, name: &[u8]) {
        self.known.lock().remove(&Sought { directory, name });
    }
}
