//! Which layers have still to allow what, on the way from a file to the root.

use alloc::sync::Arc;

use abi::landlock::AccessFs;

use crate::fs::Inode;

use super::domain::Layer;

/// How many rights to files there are.
const RIGHTS: usize = 16;

const _: () = assert!(AccessFs::all().bits() == (1 << RIGHTS) - 1);

/// For each right to files, by its number, the layers that have not allowed it yet.
#[derive(Clone)]
pub(super) struct Masks([u16; RIGHTS]);

impl Masks {
    /// What the layers of a domain have to allow of `request`.
    pub(super) fn new(domain: &Layer, request: AccessFs) -> Self {
        let mut masks = Self([0; RIGHTS]);
        for layer in domain.all() {
            let denied = layer.rules.denied_fs() & request;
            masks.update(denied, |mask| *mask |= layer.bit());
        }
        masks
    }

    fn update(&mut self, rights: AccessFs, change: impl Fn(&mut u16)) {
        for (number, mask) in self.0.iter_mut().enumerate() {
            if rights.bits() & 1 << number != 0 {
                change(mask);
            }
        }
    }

    /// Takes away what the rules about `inode` allow of `request`.
    pub(super) fn allow(&mut self, domain: &Layer, inode: &Arc<dyn Inode>, request: AccessFs) {
        for layer in domain.all() {
            let allowed = layer.rules.beneath(inode) & request;
            if !allowed.is_empty() {
                self.update(allowed, |mask| *mask &= !layer.bit());
            }
        }
    }

    /// Forgets all that is not requested.
    pub(super) fn keep(&mut self, request: AccessFs) {
        self.update(request.complement(), |mask| *mask = 0);
    }

    /// The rights that some layer has not allowed.
    pub(super) fn denied(&self) -> AccessFs {
        let denied = self.0.iter().enumerate().filter(|(_, mask)| **mask != 0);
        AccessFs::from_bits_truncate(denied.fold(0, |bits, (number, _)| bits | 1 << number))
    }

    /// Whether what `child` is, which lies in a directory with these masks, is restricted in a
    /// directory with the masks `other` by all that restricts it now. Rights that only
    /// directories have do not matter for anything else.
    pub(super) fn restrict_no_more_than(&self, child: &Child, other: &Self) -> bool {
        (0..RIGHTS).all(|number| {
            let is_of_files = AccessFs::OF_FILES.bits() & 1 << number != 0;
            let own = self.0[number] & child.masks.0[number];
            !(child.is_directory || is_of_files) || own & !other.0[number] == 0
        })
    }
}

/// What moves to another directory.
pub(super) struct Child {
    /// What the rules about it alone do not allow.
    pub(super) masks: Masks,
    pub(super) is_directory: bool,
}

impl Child {
    /// What `inode` is to a domain.
    pub(super) fn new(domain: &Layer, inode: &Arc<dyn Inode>) -> Self {
        let mut masks = Masks::new(domain, AccessFs::all());
        masks.allow(domain, inode, AccessFs::all());
        Self { masks, is_directory: inode.kind() == abi::fs::FileType::Directory }
    }
}
