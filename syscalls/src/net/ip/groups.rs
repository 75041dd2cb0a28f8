//! Multicast groups: which of them this machine is a member of, at which interfaces.
//!
//! A group is joined for each socket that asks for it; the machine leaves it with the last.

use core::net::IpAddr;

use abi::Errno;
use hashbrown::HashMap;

use crate::error::{Because, Error, Result};

use super::interface::LOOPBACK;
use super::stack::Stack;
use super::state::State;

/// A group that somebody joins or has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Membership {
    /// The number of the interface, from 1.
    pub(crate) interface: u32,
    /// The group.
    pub(crate) group: IpAddr,
}

/// How often each group was joined.
#[derive(Default)]
pub(super) struct Groups {
    joined: HashMap<Membership, usize>,
}

impl Groups {
    /// Whether what is sent to a group is for this machine; every machine is a member of the
    /// groups of all machines.
    pub(super) fn has(&self, membership: &Membership) -> bool {
        let is_of_all = match membership.group {
            IpAddr::V4(group) => group.octets() == [224, 0, 0, 1],
            IpAddr::V6(group) => matches!(group.segments(), [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1]),
        };
        is_of_all || self.joined.contains_key(membership)
    }
}

fn no_device() -> Error {
    Errno::ENODEV.because("there is no such interface")
}

impl State {
    fn join(&mut self, membership: Membership) -> Result<()> {
        let number = (membership.interface as usize).wrapping_sub(1);
        let interface = self.interfaces.get_mut(number).ok_or_else(no_device)?;
        let joined = &mut self.groups.joined;
        joined.try_reserve(1).map_err(|_| Errno::ENOBUFS.because("too many groups"))?;
        let count = joined.entry(membership).or_default();
        *count += 1;
        if *count == 1 && number != LOOPBACK && interface.join(membership.group).is_err() {
            joined.remove(&membership);
            return Err(Errno::ENOBUFS.because("too many groups"));
        }
        self.announce(number);
        Ok(())
    }

    fn leave(&mut self, membership: &Membership) {
        let Some(count) = self.groups.joined.get_mut(membership) else { return };
        *count -= 1;
        if *count == 0 {
            self.groups.joined.remove(membership);
            let number = (membership.interface as usize).wrapping_sub(1);
            if let Some(interface) = self.interfaces.get_mut(number) {
                interface.leave(membership.group);
                self.announce(number);
            }
        }
    }

    /// The interface at which a group is joined, or from which it is sent to, where none is
    /// named but by its address, or not at all.
    fn interface_of(&mut self, group: IpAddr, address: Option<IpAddr>) -> Result<u32> {
        let number = match address {
            Some(address) if address.is_loopback() => LOOPBACK,
            Some(address) => {
                let mut all = self.interfaces.iter();
                all.position(|interface| interface.has(address)).ok_or_else(no_device)?
            }
            None => self.route(group).map_err(|_| no_device())?.0,
        };
        Ok(number as u32 + 1)
    }
}

impl Stack {
    /// Joins a group.
    ///
    /// # Errors
    /// `ENODEV`; `ENOBUFS` where there are too many.
    pub(crate) fn join_group(&self, membership: Membership) -> Result<()> {
        self.with(|state| state.join(membership))
    }

    /// Leaves a group that was joined.
    pub(crate) fn leave_group(&self, membership: &Membership) {
        self.with(|state| state.leave(membership));
    }

    /// The number of the interface for a group: the one with an address, or the one that
    /// leads there.
    ///
    /// # Errors
    /// `ENODEV`.
    pub(crate) fn interface_of(&self, group: IpAddr, address: Option<IpAddr>) -> Result<u32> {
        self.with(|state| state.interface_of(group, address))
    }

    /// Whether there is an interface with a number.
    pub(crate) fn has_interface(&self, index: u32) -> bool {
        self.with(|state| (1..=state.interfaces.len()).contains(&(index as usize)))
    }

    /// Says which groups an endpoint has joined, and whether it also takes what is sent to
    /// groups that others have.
    ///
    /// # Errors
    /// `EBADF`.
    pub(crate) fn set_groups(
        &self,
        id: u64,
        groups: &[Membership],
        others: OtherGroups,
    ) -> Result<()> {
        self.with(|state| {
            let endpoint = state.endpoints.get(id)?;
            endpoint.groups.clear();
            endpoint.groups.extend_from_slice(groups);
            endpoint.other_groups = others;
            Ok(())
        })
    }
}

/// What an endpoint makes of messages to groups that it has not joined, but another has:
/// `IP_MULTICAST_ALL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OtherGroups {
    /// It takes them.
    #[default]
    Taken,
    /// They are not for it.
    Ignored,
}
