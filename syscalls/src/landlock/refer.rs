//! What a domain says of links and renames: landlock(7), `LANDLOCK_ACCESS_FS_REFER`.
//!
//! A file must not get rights by getting another place. So both places need the right to refer,
//! and the new one must restrict the file at least as the old one does.

use alloc::sync::Arc;

use abi::Errno;
use abi::landlock::AccessFs;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::Location;
use crate::fs::dentry::Dentry;

use super::denied;
use super::domain::Layer;
use super::masks::{Child, Masks};
use super::path::{is_internal, right_to_make, right_to_remove, walk};

/// A file that gets another name.
#[derive(Clone, Copy)]
pub(crate) enum Reference<'a> {
    /// One more name: link(2).
    Link,
    /// Another name, at which this was, if anything: rename(2).
    Rename(Option<&'a Location>),
    /// The name of this, which gets its own: `RENAME_EXCHANGE`.
    Exchange(&'a Location),
}

/// Fails unless the caller's domain allows that `source` gets a name in `directory`, which is
/// seen through the same mount.
///
/// # Errors
/// `EACCES`; `EXDEV` where it is only the other directory that is in the way.
pub(crate) fn check_reference(
    cx: &Context<'_>,
    source: &Location,
    directory: &Location,
    how: Reference<'_>,
) -> Result<()> {
    let who = cx.credentials();
    let Some(domain) = who.domain.of_files().filter(|_| !is_internal(directory)) else {
        return Ok(());
    };
    let [old, new] = rights(source, how);
    let parent = match source.is_mount_root() {
        true => Some(source.dentry.clone()),
        false => source.dentry.directory(),
    };
    if parent.as_ref().is_some_and(|parent| Arc::ptr_eq(parent, &directory.dentry)) {
        return super::check(cx, directory, old | new);
    }
    let child = Child::new(domain, source.inode());
    let other = match how {
        Reference::Exchange(target) => Some(Child::new(domain, target.inode())),
        Reference::Link | Reference::Rename(_) => None,
    };
    let sides = [
        Side::new(domain, directory, parent.as_ref(), old | AccessFs::REFER),
        Side::new(domain, directory, Some(&directory.dentry), new | AccessFs::REFER),
    ];
    decide(domain, directory, sides, (&child, other.as_ref()))
}

/// The rights that the old and the new directory need.
fn rights(source: &Location, how: Reference<'_>) -> [AccessFs; 2] {
    let makes = right_to_make(source.inode().kind());
    let removes = |place: &Location| right_to_remove(place.inode().kind());
    match how {
        Reference::Link => [AccessFs::empty(), makes],
        Reference::Rename(target) => {
            let replaces = target.map_or(AccessFs::empty(), removes);
            [removes(source), makes | replaces]
        }
        Reference::Exchange(target) => {
            [right_to_make(target.inode().kind()) | removes(source), makes | removes(target)]
        }
    }
}

/// One of the two directories.
struct Side {
    masks: Masks,
    request: AccessFs,
    /// Nothing of what is requested is denied.
    is_allowed: bool,
}

impl Side {
    /// What rules of the mount of `place` say of the directory `dentry`, or of what is in none.
    fn new(
        domain: &Layer,
        place: &Location,
        dentry: Option<&Arc<Dentry>>,
        request: AccessFs,
    ) -> Self {
        let mut masks = Masks::new(domain, AccessFs::all());
        let mut at = dentry.cloned();
        while let Some(dentry) = at {
            masks.allow(domain, dentry.inode(), AccessFs::all());
            let is_root = Arc::ptr_eq(&dentry, place.mount.root());
            at = if is_root { None } else { dentry.directory() };
        }
        Self { masks, request, is_allowed: false }
    }

    /// Only what is requested matters from now on.
    fn narrow(&mut self) {
        self.masks.keep(self.request);
        self.is_allowed = self.masks.denied().is_empty();
    }

    /// Whether more is denied than that the file gets another place.
    fn denies_access(&self) -> bool {
        self.masks.denied().intersects(self.request.difference(AccessFs::REFER))
    }
}

/// Goes from the root of the mount on up, which is the same way for both.
fn decide(
    domain: &Layer,
    directory: &Location,
    sides: [Side; 2],
    (child, other): (&Child, Option<&Child>),
) -> Result<()> {
    let [mut old, mut new] = sides;
    let mut rights = [domain.denied_fs(); 2];
    let mut compares = true;
    let root = directory.with(directory.mount.root().clone());
    let settle = |old: &mut Side, new: &mut Side| {
        let gets_no_more = old.masks.restrict_no_more_than(child, &new.masks)
            && other.is_none_or(|other| new.masks.restrict_no_more_than(other, &old.masks));
        if gets_no_more {
            old.narrow();
            new.narrow();
        }
        gets_no_more
    };
    walk(&root, |at| {
        if compares && settle(&mut old, &mut new) {
            compares = false;
            rights = [old.request, new.request];
        }
        for (side, rights) in [&mut old, &mut new].into_iter().zip(rights) {
            side.masks.allow(domain, at.inode(), rights);
            side.is_allowed |= !side.masks.denied().intersects(rights);
        }
        !(old.is_allowed && new.is_allowed)
    });
    if old.is_allowed && new.is_allowed {
        return Ok(());
    }
    Err(if old.denies_access() || new.denies_access() { denied() } else { other_directory() })
}

fn other_directory() -> Error {
    Errno::EXDEV.because("the caller's domain keeps files in their directories")
}
