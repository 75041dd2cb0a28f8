//! Restricting oneself: landlock(7).

use alloc::sync::Arc;

use abi::Errno;
use abi::landlock::{
    AccessFs, AccessNet, CREATE_RULESET_VERSION, NetPort, PathBeneath, RulesetAttr, Scope, VERSION,
    rule,
};
use zerocopy::IntoBytes;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::{Fd, OnExec, OpenFile};
use crate::landlock::{Handled, Ruleset, RulesetInode};
use crate::process::Capability;
use crate::user::UserPtr;

use super::open;

/// landlock_create_ruleset(2): makes a ruleset, or tells the version of the interface.
///
/// # Differences from Linux
/// None.
pub(crate) fn landlock_create_ruleset(
    cx: &Context<'_>,
    attributes: UserPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<i32> {
    if flags != 0 {
        if flags == CREATE_RULESET_VERSION && attributes.is_null() && size == 0 {
            return Ok(VERSION as i32);
        }
        return Err(Errno::EINVAL.because("unknown flags, or more than the version is asked for"));
    }
    let attributes = read_attributes(cx, attributes, size)?;
    let handled = Handled {
        fs: AccessFs::from_bits(attributes.handled_access_fs).ok_or_else(unknown)?,
        net: AccessNet::from_bits(attributes.handled_access_net).ok_or_else(unknown)?,
        scope: Scope::from_bits(attributes.scoped).ok_or_else(unknown)?,
    };
    if handled.is_empty() {
        return Err(Errno::ENOMSG.because("the ruleset would restrict nothing"));
    }
    open::add(cx, RulesetInode::open(Ruleset::new(handled)), 0, OnExec::Close)
}

/// Loads the structure, which may be shorter or longer than the one that is known here.
fn read_attributes(cx: &Context<'_>, from: UserPtr<u8>, size: usize) -> Result<RulesetAttr> {
    if size < RulesetAttr::FIRST_LEN {
        return Err(Errno::EINVAL.because("the structure is too short"));
    }
    if size > abi::PAGE_SIZE {
        return Err(Errno::E2BIG.because("the structure is too long"));
    }
    let bytes = from.read_array(cx, size)?;
    let known = bytes.len().min(size_of::<RulesetAttr>());
    if bytes[known..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG.because("the structure has fields that are not known"));
    }
    let mut attributes = RulesetAttr::default();
    attributes.as_mut_bytes()[..known].copy_from_slice(&bytes[..known]);
    Ok(attributes)
}

fn unknown() -> Error {
    Errno::EINVAL.because("rights that are not known")
}

fn open_ruleset(cx: &Context<'_>, fd: Fd) -> Result<Arc<OpenFile>> {
    let open = cx.files().get(fd)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    RulesetInode::ruleset(&open)?;
    Ok(open)
}

/// landlock_add_rule(2): allows something in a ruleset.
///
/// # Differences from Linux
/// A rule keeps the file system of its file in memory also when that is mounted nowhere any
/// more.
pub(crate) fn landlock_add_rule(
    cx: &Context<'_>,
    fd: Fd,
    kind: u32,
    attributes: UserPtr<u8>,
    flags: u32,
) -> Result<()> {
    if flags != 0 {
        return Err(Errno::EINVAL.because("there are no flags"));
    }
    let open = open_ruleset(cx, fd)?;
    let ruleset = RulesetInode::ruleset(&open)?;
    match kind {
        rule::PATH_BENEATH => {
            let attributes: PathBeneath = UserPtr::new(attributes.address()).read(cx)?;
            allow_beneath(cx, ruleset, &attributes)
        }
        rule::NET_PORT => {
            let attributes: NetPort = UserPtr::new(attributes.address()).read(cx)?;
            allow_port(ruleset, &attributes)
        }
        _ => Err(Errno::EINVAL.because("no such kind of rule")),
    }
}

fn allow_beneath(cx: &Context<'_>, ruleset: &Ruleset, attributes: &PathBeneath) -> Result<()> {
    let access = AccessFs::from_bits_retain(attributes.access());
    check_rights(access.is_empty(), ruleset.handled().fs.contains(access))?;
    let open = cx.files().get(Fd(attributes.parent_fd))?;
    let place = open.location();
    if place.mount.is_internal() {
        return Err(Errno::EBADFD.because("the file is in no tree"));
    }
    ruleset.allow_beneath(place, access)
}

fn allow_port(ruleset: &Ruleset, attributes: &NetPort) -> Result<()> {
    let access = AccessNet::from_bits_retain(attributes.allowed_access);
    check_rights(access.is_empty(), ruleset.handled().net.contains(access))?;
    let port = u16::try_from(attributes.port);
    let port = port.map_err(|_| Errno::EINVAL.because("there is no such port"))?;
    ruleset.allow_port(port, access)
}

fn check_rights(are_none: bool, are_handled: bool) -> Result<()> {
    if are_none {
        return Err(Errno::ENOMSG.because("the rule would allow nothing"));
    }
    if !are_handled {
        return Err(Errno::EINVAL.because("the ruleset does not restrict that"));
    }
    Ok(())
}

/// landlock_restrict_self(2): restricts the calling thread, and what it will start, by a
/// ruleset.
///
/// # Differences from Linux
/// None.
pub(crate) fn landlock_restrict_self(cx: &Context<'_>, fd: Fd, flags: u32) -> Result<()> {
    let who = cx.credentials();
    if !who.no_new_privileges && !who.has_within(Capability::SysAdmin) {
        return Err(Errno::EPERM.because("new privileges are possible, without CAP_SYS_ADMIN"));
    }
    if flags != 0 {
        return Err(Errno::EINVAL.because("there are no flags"));
    }
    let open = open_ruleset(cx, fd)?;
    let ruleset = RulesetInode::ruleset(&open)?;
    cx.change_credentials(|own| {
        own.domain = own.domain.restricted_by(ruleset)?;
        Ok(())
    })
}
