//! Capabilities.

use abi::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::credentials::{Capability, CapabilitySet};
use crate::user::UserPtr;

/// `struct __user_cap_header_struct`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`: 32 of each set.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Versions of the interface, and of how many [`Data`] they are.
const VERSION_1: u32 = 0x1998_0330;
const VERSION_2: u32 = 0x2007_1026;
const VERSION_3: u32 = 0x2008_0522;

/// Reads the header; tells the latest version to whoever does not know it.
fn read_header(cx: &Context<'_>, from: UserPtr<Header>) -> Result<(Header, usize)> {
    let header = from.read(cx)?;
    match header.version {
        VERSION_1 => Ok((header, 1)),
        VERSION_2 | VERSION_3 => Ok((header, 2)),
        _ => {
            from.write(cx, &Header { version: VERSION_3, ..header })?;
            Err(Errno::EINVAL.because("unknown version"))
        }
    }
}

/// capget(2): the capabilities of a process.
///
/// # Differences from Linux
/// None.
pub(crate) fn capget(cx: &Context<'_>, header: UserPtr<Header>, to: UserPtr<Data>) -> Result<()> {
    let (header, words) = match read_header(cx, header) {
        // Who has no place for data only asks for the version.
        Err(error) if error.errno == Errno::EINVAL && to.is_null() => return Ok(()),
        other => other?,
    };
    if header.pid < 0 {
        return Err(Errno::EINVAL.because("negative process number"));
    }
    let credentials = match header.pid {
        0 => cx.credentials(),
        id => match cx.system.thread(cx.known_id(id)?) {
            Some(thread) => thread.credentials(),
            None => cx.system.process(cx, id)?.credentials(),
        },
    };
    if to.is_null() {
        return Ok(());
    }
    for word in 0..words {
        let part = |set: CapabilitySet| (set.0 >> (32 * word)) as u32;
        let data = Data {
            effective: part(credentials.effective),
            permitted: part(credentials.permitted),
            inheritable: part(credentials.inheritable),
        };
        to.element(word).write(cx, &data)?;
    }
    Ok(())
}

/// capset(2): changes the capabilities of the calling thread.
///
/// # Differences from Linux
/// None.
pub(crate) fn capset(cx: &Context<'_>, header: UserPtr<Header>, from: UserPtr<Data>) -> Result<()> {
    let (header, words) = read_header(cx, header)?;
    if header.pid != 0 && header.pid != cx.shown_id(cx.thread.id()).cast_signed() {
        return Err(Errno::EPERM.because("the capabilities of another thread"));
    }
    let mut sets = [CapabilitySet::EMPTY; 3];
    for word in 0..words {
        let data = from.element(word).read(cx)?;
        for (set, part) in sets.iter_mut().zip([data.effective, data.permitted, data.inheritable]) {
            set.0 |= u64::from(part) << (32 * word);
        }
    }
    let [effective, permitted, inheritable] = sets.map(|set| set.and(CapabilitySet::ALL));
    cx.change_credentials(|one| {
        let may_inherit = CapabilitySet(one.inheritable.0 | one.permitted.0);
        let bounded = CapabilitySet(one.inheritable.0 | one.bounding.0);
        let is_inheritance_allowed = inheritable.is_subset_of(bounded)
            && (one.has_within(Capability::SetPcap) || inheritable.is_subset_of(may_inherit));
        if !permitted.is_subset_of(one.permitted)
            || !effective.is_subset_of(permitted)
            || !is_inheritance_allowed
        {
            return Err(Errno::EPERM.because("capabilities can be given up, not taken"));
        }
        one.effective = effective;
        one.permitted = permitted;
        one.inheritable = inheritable;
        one.ambient = one.ambient.and(permitted).and(inheritable);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit;

    #[test]
    fn capabilities_are_given_up_and_not_taken_back() {
        let kit = kit::process();
        let header = kit.put_value(&Header { version: VERSION_3, pid: 0 });
        let data = kit.room(24);
        assert_eq!(kit.call("capget", [header, data, 0, 0, 0, 0]), Ok(0));
        let all: [u32; 6] = kit.get_value(data);
        assert_eq!(all, [u32::MAX, u32::MAX, 0, 0x1ff, 0x1ff, 0]);
        let none = kit.put_value(&[0_u32; 6]);
        assert_eq!(kit.call("capset", [header, none, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("capset", [header, data, 0, 0, 0, 0]), Err(Errno::EPERM));
    }

    #[test]
    fn the_version_is_told_to_who_asks() {
        let kit = kit::process();
        let header = kit.put_value(&Header { version: 0, pid: 0 });
        assert_eq!(kit.call("capget", [header, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get_value::<u32>(header), VERSION_3);
        let header = kit.put_value(&Header { version: 0, pid: 0 });
        assert_eq!(kit.call("capget", [header, header, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }
}
