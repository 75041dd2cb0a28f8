//! User namespaces: users, groups and privileges that count only within: user_namespaces(7).
//!
//! Inside the kernel every user and group is known by the number that it has in the first
//! namespace. What programs say and are told is translated where it comes in and goes out.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use abi::Errno;
use abi::namespaces::{DEPTH_MAX, OVERFLOW_ID, first};
use abi::process::SecureBits;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::process::{Capability, Credentials};

use super::{Counted, Kind, Tally};

/// A user namespace. A cheap handle: all clones are the same.
#[derive(Clone, Default)]
pub struct UserNamespace(Option<Arc<Nested>>);

/// One within another.
struct Nested {
    number: u32,
    level: u32,
    parent: UserNamespace,
    /// The effective user and group of who made it.
    maker: (u32, u32),
    maps: Mutex<Maps>,
    tally: Arc<Tally>,
    _counted: Counted,
}

/// Which users and groups there are in it.
#[derive(Default)]
struct Maps {
    users: Vec<Extent>,
    groups: Vec<Extent>,
    denies_setgroups: bool,
}

/// What a map is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    Users,
    Groups,
}

/// A range of numbers inside, and the ones outside that they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The first number inside.
    pub(crate) inside: u32,
    /// The first number outside.
    pub(crate) outside: u32,
    /// How many there are.
    pub(crate) count: u32,
}

impl Extent {
    fn in_to_out(&self, id: u32) -> Option<u32> {
        let at = id.checked_sub(self.inside).filter(|&at| at < self.count)?;
        Some(self.outside + at)
    }

    fn out_to_in(&self, id: u32) -> Option<u32> {
        let at = id.checked_sub(self.outside).filter(|&at| at < self.count)?;
        Some(self.inside + at)
    }

    /// Whether all its numbers are numbers of users or groups, which -1 is not.
    fn is_sound(&self) -> bool {
        let fits = |start: u32| start != u32::MAX && start.checked_add(self.count).is_some();
        self.count != 0 && fits(self.inside) && fits(self.outside)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let meet = |one: u32, two: u32| {
            u64::from(one) < u64::from(two) + u64::from(other.count)
                && u64::from(two) < u64::from(one) + u64::from(self.count)
        };
        meet(self.inside, other.inside) || meet(self.outside, other.outside)
    }
}

impl Maps {
    fn of(&self, ids: Ids) -> &Vec<Extent> {
        match ids {
            Ids::Users => &self.users,
            Ids::Groups => &self.groups,
        }
    }
}

impl PartialEq for UserNamespace {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for UserNamespace {}

impl fmt::Debug for UserNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user:[{}]", self.number())
    }
}

impl UserNamespace {
    /// The first one, in which all users and groups are what they are.
    pub const FIRST: Self = Self(None);

    /// A new one in that of the caller, who has these credentials.
    ///
    /// # Errors
    /// `ENOSPC` when there are too many, or too many around it; `EPERM` when the caller is in
    /// another root directory, or nobody in its own namespace.
    pub(crate) fn within(cx: &Context<'_>, who: &Credentials) -> Result<Self> {
        let parent = who.namespace.clone();
        if parent.level() > DEPTH_MAX {
            return Err(Errno::ENOSPC.because("too many user namespaces lie around it"));
        }
        let counted = Counted::new(cx, Kind::User, &parent)?;
        if cx.is_in_other_root() {
            return Err(Errno::EPERM.because("the root directory is not that of the mounts"));
        }
        let maker = (who.users.effective, who.groups.effective);
        let is_known = parent.to_inside(Ids::Users, maker.0).is_some()
            && parent.to_inside(Ids::Groups, maker.1).is_some();
        if !is_known {
            return Err(Errno::EPERM.because("the caller has no user or group in its namespace"));
        }
        let maps = Maps { denies_setgroups: parent.denies_setgroups(), ..Maps::default() };
        Ok(Self(Some(Arc::new(Nested {
            number: cx.system.namespace_numbers.next(),
            level: parent.level() + 1,
            parent,
            maker,
            maps: Mutex::new(maps),
            tally: Arc::new(Tally::new(i32::MAX as u32)),
            _counted: counted,
        }))))
    }

    /// Whether it is the first.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.0.is_none()
    }

    /// The number of its inode.
    pub(crate) fn number(&self) -> u32 {
        self.0.as_ref().map_or(first::USER, |nested| nested.number)
    }

    /// How many lie around it.
    pub(crate) fn level(&self) -> u32 {
        self.0.as_ref().map_or(0, |nested| nested.level)
    }

    /// The one around it.
    pub(crate) fn parent(&self) -> Option<&Self> {
        self.0.as_ref().map(|nested| &nested.parent)
    }

    /// The user who made it.
    pub(crate) fn maker(&self) -> u32 {
        self.0.as_ref().map_or(0, |nested| nested.maker.0)
    }

    pub(super) fn tally(&self) -> Option<&Arc<Tally>> {
        self.0.as_ref().map(|nested| &nested.tally)
    }

    /// Whether it is `other`, or lies around it.
    pub(crate) fn surrounds(&self, other: &Self) -> bool {
        let mut at = Some(other);
        while let Some(namespace) = at {
            if namespace == self {
                return true;
            }
            at = namespace.parent();
        }
        false
    }

    /// Whether it lies in a namespace that `user` has made in `outer`.
    pub(crate) fn is_within_own(&self, outer: &Self, user: u32) -> bool {
        let around = core::iter::successors(Some(self), |one| one.parent());
        let mut around = around.filter(|one| one.parent() == Some(outer));
        around.any(|one| one.maker() == user)
    }

    /// The user or group that a number means in it.
    pub(crate) fn to_outside(&self, ids: Ids, id: u32) -> Option<u32> {
        match &self.0 {
            None => Some(id).filter(|&id| id != u32::MAX),
            Some(nested) => {
                nested.maps.lock().of(ids).iter().find_map(|extent| extent.in_to_out(id))
            }
        }
    }

    /// The number that a user or group has in it.
    pub(crate) fn to_inside(&self, ids: Ids, id: u32) -> Option<u32> {
        match &self.0 {
            None => Some(id).filter(|&id| id != u32::MAX),
            Some(nested) => {
                nested.maps.lock().of(ids).iter().find_map(|extent| extent.out_to_in(id))
            }
        }
    }

    /// The number that a user is shown with in it.
    #[must_use]
    pub fn shown_user(&self, id: u32) -> u32 {
        if self.is_first() { id } else { self.to_inside(Ids::Users, id).unwrap_or(OVERFLOW_ID) }
    }

    /// The number that a group is shown with in it.
    #[must_use]
    pub fn shown_group(&self, id: u32) -> u32 {
        if self.is_first() { id } else { self.to_inside(Ids::Groups, id).unwrap_or(OVERFLOW_ID) }
    }

    /// The user that a number means in it.
    ///
    /// # Errors
    /// `EINVAL` when there is none.
    pub(crate) fn user(&self, id: u32) -> Result<u32> {
        self.to_outside(Ids::Users, id).ok_or_else(no_such_id)
    }

    /// The group that a number means in it.
    ///
    /// # Errors
    /// `EINVAL` when there is none.
    pub(crate) fn group(&self, id: u32) -> Result<u32> {
        self.to_outside(Ids::Groups, id).ok_or_else(no_such_id)
    }

    /// Whether supplementary groups cannot be set in it: /proc/PID/setgroups.
    pub(crate) fn denies_setgroups(&self) -> bool {
        self.0.as_ref().is_some_and(|nested| nested.maps.lock().denies_setgroups)
    }

    /// Whether supplementary groups may be set in it now: not before groups have been mapped.
    pub(crate) fn allows_setgroups(&self) -> bool {
        self.0.as_ref().is_none_or(|nested| {
            let maps = nested.maps.lock();
            !maps.denies_setgroups && !maps.groups.is_empty()
        })
    }

    /// Says whether supplementary groups can be set in it.
    ///
    /// # Errors
    /// `EPERM` for allowing what was denied, or denying it once groups are mapped.
    pub(crate) fn set_setgroups(&self, denies: bool) -> Result<()> {
        let not_any_more = || Errno::EPERM.because("that cannot be changed any more");
        let Some(nested) = &self.0 else {
            return if denies { Err(not_any_more()) } else { Ok(()) };
        };
        let mut maps = nested.maps.lock();
        match denies {
            true if !maps.groups.is_empty() => Err(not_any_more()),
            false if maps.denies_setgroups => Err(not_any_more()),
            _ => {
                maps.denies_setgroups = denies;
                Ok(())
            }
        }
    }

    /// The map, with numbers outside as `reader` knows them: /proc/PID/uid_map.
    pub(crate) fn map_for(&self, ids: Ids, reader: &Self) -> Vec<Extent> {
        let Some(nested) = &self.0 else {
            return alloc::vec![Extent { inside: 0, outside: 0, count: u32::MAX }];
        };
        // As on Linux, who is in it is told what its parent would be.
        let reader = if reader == self { &nested.parent } else { reader };
        let shown = |extent: &Extent| Extent {
            outside: reader.to_inside(ids, extent.outside).unwrap_or(u32::MAX),
            ..*extent
        };
        // The map of the reader is locked after this one has been.
        let extents = nested.maps.lock().of(ids).clone();
        extents.iter().map(shown).collect()
    }

    /// Sets the map, once, whose numbers outside are those of the parent. `who` writes it.
    ///
    /// # Errors
    /// `EPERM` for who may not, or a map that is there already; `EINVAL` for one that
    /// contradicts itself.
    pub(crate) fn set_map(&self, ids: Ids, extents: Vec<Extent>, who: &Credentials) -> Result<()> {
        let not_permitted = || Errno::EPERM.because("the map is not the caller's to set");
        let nested = self.0.as_ref().ok_or_else(not_permitted)?;
        let sound = extents.iter().all(Extent::is_sound)
            && extents
                .iter()
                .enumerate()
                .all(|(at, one)| extents[..at].iter().all(|other| !one.overlaps(other)));
        if extents.is_empty() || !sound {
            return Err(Errno::EINVAL.because("the map contradicts itself"));
        }
        let mut maps = nested.maps.lock();
        if !maps.of(ids).is_empty() {
            return Err(Errno::EPERM.because("there is a map already"));
        }
        let may =
            nested.maker_may_map(ids, &extents, &maps, who) || nested.privileged_may_map(ids, who);
        if !may {
            return Err(not_permitted());
        }
        let outside = |extent: &Extent| nested.parent.range_outside(ids, extent);
        let extents: Option<Vec<_>> = extents.iter().map(outside).collect();
        let extents = extents.ok_or_else(not_permitted)?;
        match ids {
            Ids::Users => maps.users = extents,
            Ids::Groups => maps.groups = extents,
        }
        Ok(())
    }

    /// The extent with the numbers that the first namespace has for those of this one.
    fn range_outside(&self, ids: Ids, extent: &Extent) -> Option<Extent> {
        let last = extent.outside.checked_add(extent.count - 1)?;
        let Some(nested) = &self.0 else {
            return Some(*extent).filter(|_| last != u32::MAX);
        };
        let maps = nested.maps.lock();
        // One range of this namespace has all of them: between two there may be a gap.
        let mut around = maps.of(ids).iter().filter(|one| one.in_to_out(last).is_some());
        let outside = around.find_map(|one| one.in_to_out(extent.outside))?;
        Some(Extent { outside, ..*extent })
    }
}

impl Nested {
    /// Whoever made it may map the own user, or where supplementary groups are denied the own
    /// group, and nothing else.
    fn maker_may_map(&self, ids: Ids, extents: &[Extent], maps: &Maps, who: &Credentials) -> bool {
        let [Extent { outside, count: 1, .. }] = *extents else {
            return false;
        };
        if who.users.effective != self.maker.0 {
            return false;
        }
        match ids {
            Ids::Users => self.parent.to_outside(ids, outside) == Some(who.users.effective),
            Ids::Groups => {
                maps.denies_setgroups
                    && self.parent.to_outside(ids, outside) == Some(who.groups.effective)
            }
        }
    }

    fn privileged_may_map(&self, ids: Ids, who: &Credentials) -> bool {
        let needed = match ids {
            Ids::Users => Capability::SetUid,
            Ids::Groups => Capability::SetGid,
        };
        who.has_in(needed, &self.parent)
    }
}

fn no_such_id() -> Error {
    Errno::EINVAL.because("no such user or group in the caller's user namespace")
}

impl Credentials {
    /// Whether `capability` holds for what belongs to `namespace`: user_namespaces(7),
    /// "Capabilities".
    #[must_use]
    pub fn has_in(&self, capability: Capability, namespace: &UserNamespace) -> bool {
        let mut at = namespace;
        loop {
            if *at == self.namespace {
                return self.effective.contains(capability);
            }
            let Some(parent) = at.parent().filter(|_| at.level() > self.namespace.level()) else {
                return false;
            };
            // Who made a namespace has all privileges in it.
            if *parent == self.namespace && at.maker() == self.users.effective {
                return true;
            }
            at = parent;
        }
    }

    /// Who has made, or goes over to, the user namespace `new` and has all privileges there.
    pub(crate) fn enter(&mut self, new: UserNamespace) {
        use crate::process::credentials::CapabilitySet as Set;
        self.namespace = new;
        self.inheritable = Set::EMPTY;
        self.permitted = Set::ALL;
        self.effective = Set::ALL;
        self.bounding = Set::ALL;
        self.ambient = Set::EMPTY;
        self.secure_bits = SecureBits::empty();
    }
}
