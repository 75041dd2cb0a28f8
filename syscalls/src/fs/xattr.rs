//! Extended attributes: xattr(7). They are data: none of them means anything to the kernel.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{AccessRequest, FileType, Mode};
use spin::Mutex;

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::process::Capability;

use super::inode::Inode;
use super::mount::Location;
use super::permission;

/// Longest name, in bytes.
pub(crate) const NAME_MAX: usize = 255;

/// Longest value, and longest list of names, in bytes.
pub(crate) const SIZE_MAX: usize = 64 * 1024;

/// Most bytes of names and values of one inode.
const TOTAL_MAX: usize = 256 * 1024;

/// The extended attributes of an inode.
#[derive(Default)]
pub struct Attributes {
    values: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// Whether an attribute that is set may, or must, be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Either.
    Any,
    /// It must not be there (`XATTR_CREATE`).
    Absent,
    /// It must be there (`XATTR_REPLACE`).
    Present,
}

impl From<BTreeMap<Vec<u8>, Vec<u8>>> for Attributes {
    fn from(values: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        Self { values: Mutex::new(values) }
    }
}

impl Attributes {
    /// Fails where an attribute of that size cannot be set.
    fn check(&self, name: &[u8], len: usize, presence: Presence) -> Result<()> {
        let values = self.values.lock();
        match (presence, values.contains_key(name)) {
            (Presence::Absent, true) => return Err(Errno::EEXIST.because("the attribute exists")),
            (Presence::Present, false) => return Err(no_attribute()),
            _ => {}
        }
        let others = values.iter().filter(|(other, _)| *other != name);
        let used: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        if used + name.len() + len > TOTAL_MAX {
            return Err(Errno::ENOSPC.because("the file has no room for more attributes"));
        }
        Ok(())
    }

    fn set(&self, name: Vec<u8>, value: Vec<u8>) {
        let old = self.values.lock().insert(name, value);
        drop(old);
    }
}

/// What is done with an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

/// The attributes that `name` may be one of, where the caller may use it.
fn checked<'a>(
    cx: &Context<'_>,
    inode: &'a dyn Inode,
    name: &[u8],
    purpose: Use,
) -> Result<&'a Attributes> {
    let unsupported = || Errno::EOPNOTSUPP.because("the file system does not store such names");
    let spaces: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
    let space = spaces.iter().find(|space| name.starts_with(space)).ok_or_else(unsupported)?;
    let attributes = inode.attributes().ok_or_else(unsupported)?;
    if name.len() == space.len() {
        return Err(Errno::EINVAL.because("nothing follows the name space"));
    }
    let who = cx.credentials();
    let refused = match purpose {
        Use::Read => no_attribute(),
        Use::Write => Errno::EPERM.because("the caller may not change such attributes"),
    };
    match *space {
        b"user." => {
            let metadata = inode.metadata()?;
            let is_directory = metadata.kind == FileType::Directory;
            if metadata.kind != FileType::Regular && !is_directory {
                return Err(refused);
            }
            let sticky = is_directory && metadata.mode.contains(Mode::STICKY);
            if sticky && purpose == Use::Write {
                permission::check_owner(&who, &metadata)?;
            }
            let request = match purpose {
                Use::Read => AccessRequest::READ,
                Use::Write => AccessRequest::WRITE,
            };
            permission::check(&who, &metadata, request)?;
        }
        b"trusted." if !who.has(Capability::SysAdmin) => return Err(refused),
        _ if purpose == Use::Write && !who.has(Capability::SysAdmin) => return Err(refused),
        _ => {}
    }
    Ok(attributes)
}

/// The value of an attribute.
///
/// # Errors
/// `ENODATA`; `EOPNOTSUPP`; `EACCES`; `ENOMEM`.
pub(crate) fn get(cx: &Context<'_>, found: &Location, name: &[u8]) -> Result<Vec<u8>> {
    let attributes = checked(cx, &**found.inode(), name, Use::Read)?;
    let values = attributes.values.lock();
    Ok(buffer::copied(values.get(name).ok_or_else(no_attribute)?)?)
}

/// Sets an attribute.
///
/// # Errors
/// Those of setxattr(2).
pub(crate) fn set(
    cx: &Context<'_>,
    found: &Location,
    name: Vec<u8>,
    value: Vec<u8>,
    presence: Presence,
) -> Result<()> {
    found.mount.check_writable()?;
    permission::check_changeable(&found.inode().metadata()?)?;
    let attributes = checked(cx, &**found.inode(), &name, Use::Write)?;
    attributes.check(&name, value.len(), presence)?;
    found.inode().store_attribute(&name, Some(&value))?;
    attributes.set(name, value);
    found.inode().change(&super::Change::default())
}

/// Removes an attribute.
///
/// # Errors
/// Those of removexattr(2).
pub(crate) fn remove(cx: &Context<'_>, found: &Location, name: &[u8]) -> Result<()> {
    found.mount.check_writable()?;
    permission::check_changeable(&found.inode().metadata()?)?;
    let attributes = checked(cx, &**found.inode(), name, Use::Write)?;
    attributes.check(name, 0, Presence::Present)?;
    found.inode().store_attribute(name, None)?;
    let removed = attributes.values.lock().remove(name);
    removed.ok_or_else(no_attribute)?;
    found.inode().change(&super::Change::default())
}

/// The names of the attributes that the caller may know of, each with a NUL at its end.
///
/// # Errors
/// `E2BIG` when the list is too long; `ENOMEM`.
pub(crate) fn list(cx: &Context<'_>, found: &Location) -> Result<Vec<u8>> {
    let mut list = Vec::new();
    let Some(attributes) = found.inode().attributes() else {
        return Ok(list);
    };
    let sees_trusted = cx.credentials().has(Capability::SysAdmin);
    for name in attributes.values.lock().keys() {
        if name.starts_with(b"trusted.") && !sees_trusted {
            continue;
        }
        if list.len() + name.len() + 1 > SIZE_MAX {
            return Err(Errno::E2BIG.because("the list of names is too long"));
        }
        list.try_reserve(name.len() + 1).map_err(|_| Errno::ENOMEM)?;
        list.extend_from_slice(name);
        list.push(0);
    }
    Ok(list)
}

fn no_attribute() -> Error {
    Errno::ENODATA.because("there is no such attribute")
}
