//! keyctl(2).

use alloc::format;
use alloc::vec::Vec;

use abi::keys::{KeyAccess, MOVE_EXCLUSIVE, capability, destination, operation};
use abi::{Errno, PAGE_SIZE};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::keys::{Creation, Found, Kind, Possession, now, permissions};
use crate::user::UserPtr;

use super::key::{read_description, read_type};

/// What changes nothing where an ID is expected.
const NO_CHANGE: u32 = u32::MAX;

/// keyctl(2): does something with a key.
///
/// # Differences from Linux
/// There are no persistent keyrings, no cryptography with keys, no restrictions of keyrings and
/// no watches of keys (`EOPNOTSUPP`). As keys are never made on request, nobody has the authority
/// to make one.
pub(crate) fn keyctl(cx: &Context<'_>, what: i32, a: u64, b: u64, c: u64, d: u64) -> Result<usize> {
    let done = |result: Result<()>| result.map(|()| 0);
    match what {
        operation::GET_KEYRING_ID => {
            let creation = if b as u32 == 0 { Creation::Existing } else { Creation::Create };
            number_of(&cx.key(a as i32, creation, KeyAccess::SEARCH)?)
        }
        operation::JOIN_SESSION_KEYRING => join(cx, UserPtr::new(a)),
        operation::UPDATE => done(update(cx, a as i32, UserPtr::new(b), c as usize)),
        operation::REVOKE => done(revoke(cx, a as i32)),
        operation::CHOWN => done(change_owners(cx, a as i32, b as u32, c as u32)),
        operation::SETPERM => done(set_permissions(cx, a as i32, b as u32)),
        operation::DESCRIBE => give(cx, &describe(cx, a as i32)?, UserPtr::new(b), c as usize),
        operation::CLEAR => done(writable_keyring(cx, a as i32)?.key.clear()),
        operation::LINK => done(link(cx, a as i32, b as i32)),
        operation::UNLINK => done(unlink(cx, a as i32, b as i32)),
        operation::SEARCH => search(cx, a as i32, UserPtr::new(b), UserPtr::new(c), d as i32),
        operation::READ => read(cx, a as i32, UserPtr::new(b), c as usize),
        operation::SET_REQKEY_KEYRING => set_destination(cx, a as i32),
        operation::SET_TIMEOUT => done(set_timeout(cx, a as i32, b as u32)),
        operation::GET_SECURITY => {
            cx.key(a as i32, Creation::Existing, KeyAccess::VIEW)?;
            give(cx, b"\0", UserPtr::new(b), c as usize)
        }
        operation::SESSION_TO_PARENT => done(give_session(cx)),
        operation::INVALIDATE => {
            cx.key(a as i32, Creation::Existing, KeyAccess::SEARCH)?.key.invalidate();
            Ok(0)
        }
        operation::MOVE => done(move_link(cx, a as i32, [b as i32, c as i32], d as u32)),
        operation::CAPABILITIES => {
            const HERE: u8 = capability::CAPABILITIES
                | capability::BIG_KEY
                | capability::INVALIDATE
                | capability::MOVE;
            capabilities(cx, &[HERE], UserPtr::new(a), b as usize)
        }
        operation::ASSUME_AUTHORITY if a as i32 == 0 => Ok(0),
        operation::ASSUME_AUTHORITY if (a as i32) < 0 => {
            Err(Errno::EINVAL.because("no key can have this number"))
        }
        operation::ASSUME_AUTHORITY => Err(Errno::ENOKEY.because("nobody asks for this key")),
        operation::INSTANTIATE
        | operation::NEGATE
        | operation::REJECT
        | operation::INSTANTIATE_IOV => {
            Err(Errno::EPERM.because("the caller has no authority to make the key"))
        }
        _ => Err(Errno::EOPNOTSUPP.because("the operation is not offered")),
    }
}

fn number_of(found: &Found) -> Result<usize> {
    // Serial numbers are positive.
    Ok(found.key.serial() as usize)
}

/// Gives `bytes` where there is room for all of them; returns how many there are.
fn give(cx: &Context<'_>, bytes: &[u8], to: UserPtr<u8>, size: usize) -> Result<usize> {
    if !to.is_null() && size >= bytes.len() {
        cx.memory().write(to.address(), bytes)?;
    }
    Ok(bytes.len())
}

/// Gives what of `bytes` there is room for, and NULs for what there is no byte for.
fn capabilities(cx: &Context<'_>, bytes: &[u8], to: UserPtr<u8>, size: usize) -> Result<usize> {
    if !to.is_null() {
        let given = size.min(bytes.len());
        cx.memory().write(to.address(), &bytes[..given])?;
        let mut at = given;
        while at < size {
            let zeros = [0; 64];
            let len = zeros.len().min(size - at);
            cx.memory().write(to.address().wrapping_add(at as u64), &zeros[..len])?;
            at += len;
        }
    }
    Ok(bytes.len())
}

fn join(cx: &Context<'_>, name: UserPtr<u8>) -> Result<usize> {
    let name = name.non_null().map(|from| read_description(cx, from)).transpose()?;
    if name.as_ref().is_some_and(|name| name.starts_with(b".")) {
        return Err(Errno::EPERM.because("keyrings with a dot are the kernel's"));
    }
    number_of(&Found::possessed(cx.join_session(name.as_deref())?))
}

fn update(cx: &Context<'_>, key: i32, payload: UserPtr<u8>, len: usize) -> Result<()> {
    if len > PAGE_SIZE {
        return Err(Errno::EINVAL.because("the payload is longer than a page"));
    }
    let payload: Vec<u8> = payload.read_array(cx, len)?;
    let found = cx.key(key, Creation::Existing, KeyAccess::WRITE)?;
    let kind = found.key.kind();
    if !kind.is_updatable() {
        return Err(Errno::EOPNOTSUPP.because("keys of this type have one payload only"));
    }
    kind.check_payload(&payload)?;
    found.key.update(payload)
}

fn revoke(cx: &Context<'_>, key: i32) -> Result<()> {
    let found = match cx.key(key, Creation::Existing, KeyAccess::WRITE) {
        Err(error) if error.errno == Errno::EACCES => {
            cx.key(key, Creation::Existing, KeyAccess::SET_ATTRIBUTES)?
        }
        other => other?,
    };
    found.key.revoke()
}

fn change_owners(cx: &Context<'_>, key: i32, user: u32, group: u32) -> Result<()> {
    let given = |id: u32| (id != NO_CHANGE).then_some(id);
    let (user, group) = (given(user), given(group));
    if user.is_none() && group.is_none() {
        return Ok(());
    }
    let here = cx.user_namespace();
    let user = user.map(|id| here.user(id)).transpose()?;
    let group = group.map(|id| here.group(id)).transpose()?;
    let found = cx.key(key, Creation::Create, KeyAccess::SET_ATTRIBUTES)?;
    found.key.set_owners(cx, user, group)
}

fn set_permissions(cx: &Context<'_>, key: i32, wanted: u32) -> Result<()> {
    if wanted & !permissions::ALL != 0 {
        return Err(Errno::EINVAL.because("unknown permissions"));
    }
    let found = cx.key(key, Creation::Create, KeyAccess::SET_ATTRIBUTES)?;
    found.key.set_permissions(cx, wanted)
}

/// Type, owner, group, permissions and description, with a NUL.
fn describe(cx: &Context<'_>, key: i32) -> Result<Vec<u8>> {
    let found = cx.any_key(key, Creation::Existing)?;
    found.check(cx, KeyAccess::VIEW)?;
    let key = found.key;
    let is = key.attributes();
    let (owner, group) = is.shown(&cx.user_namespace());
    let head = format!("{};{owner};{group};{:08x};", key.kind().name(), is.permissions);
    Ok([head.as_bytes(), key.description(), b"\0"].concat())
}

fn writable_keyring(cx: &Context<'_>, keyring: i32) -> Result<Found> {
    cx.key(keyring, Creation::Create, KeyAccess::WRITE)
}

fn link(cx: &Context<'_>, key: i32, keyring: i32) -> Result<()> {
    let keyring = writable_keyring(cx, keyring)?;
    let linked = cx.key(key, Creation::Create, KeyAccess::LINK)?;
    keyring.key.link(&linked.key)
}

fn unlink(cx: &Context<'_>, key: i32, keyring: i32) -> Result<()> {
    let keyring = cx.key(keyring, Creation::Existing, KeyAccess::WRITE)?;
    let linked = cx.any_key(key, Creation::Existing)?;
    keyring.key.unlink(&linked.key)
}

fn move_link(cx: &Context<'_>, key: i32, [from, to]: [i32; 2], flags: u32) -> Result<()> {
    if flags & !MOVE_EXCLUSIVE != 0 {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let moved = cx.key(key, Creation::Create, KeyAccess::LINK)?.key;
    let from = cx.key(from, Creation::Existing, KeyAccess::WRITE)?.key;
    let to = writable_keyring(cx, to)?.key;
    from.check_keyring()?;
    to.check_keyring()?;
    if from.serial() == to.serial() {
        return Ok(());
    }
    let is_same = |key: &alloc::sync::Arc<crate::keys::Key>| {
        key.kind() == moved.kind() && key.description() == moved.description()
    };
    if flags & MOVE_EXCLUSIVE != 0 && to.links().iter().any(is_same) {
        return Err(Errno::EEXIST.because("the keyring has such a key"));
    }
    if !from.links().iter().any(|key| key.serial() == moved.serial()) {
        return Err(Errno::ENOENT.because("the keyring does not link to the key"));
    }
    to.link(&moved)?;
    from.unlink(&moved)
}

fn search(
    cx: &Context<'_>,
    keyring: i32,
    kind: UserPtr<u8>,
    description: UserPtr<u8>,
    place: i32,
) -> Result<usize> {
    let kind = read_type(cx, kind)?;
    let description = read_description(cx, description)?;
    let keyring = cx.key(keyring, Creation::Existing, KeyAccess::SEARCH)?;
    let place = match place {
        0 => None,
        number => Some(writable_keyring(cx, number)?),
    };
    let kind = Kind::named(&kind).ok_or_else(|| Errno::ENOKEY.because("no such type of keys"))?;
    keyring.key.check_keyring()?;
    let found = keyring.search(cx, kind, &description).map_err(|error| match error.errno {
        Errno::EAGAIN => Errno::ENOKEY.because("there is no such key in the keyring"),
        _ => error,
    })?;
    if let Some(place) = place {
        found.check(cx, KeyAccess::LINK)?;
        place.key.link(&found.key)?;
    }
    number_of(&found)
}

fn read(cx: &Context<'_>, key: i32, to: UserPtr<u8>, size: usize) -> Result<usize> {
    let absent = |_| Errno::ENOKEY.because("there is no such key");
    let found = cx.any_key(key, Creation::Existing).map_err(absent)?;
    found.key.check_positive()?;
    let is_possessed = found.possession == Possession::Possessed;
    // What can be searched from the caller's own keyrings can be read, too.
    if let Err(error) = found.check(cx, KeyAccess::READ)
        && !is_possessed
    {
        return Err(error);
    }
    if !found.key.kind().is_readable() {
        return Err(Errno::EOPNOTSUPP.because("keys of this type cannot be read"));
    }
    found.key.check_usable(cx)?;
    give(cx, &found.key.payload()?, to, size)
}

fn set_destination(cx: &Context<'_>, wanted: i32) -> Result<usize> {
    match wanted {
        destination::THREAD => drop(cx.make_thread_keyring()?),
        destination::PROCESS => drop(cx.make_process_keyring()?),
        destination::NO_CHANGE
        | destination::DEFAULT
        | destination::SESSION
        | destination::USER
        | destination::USER_SESSION
        | destination::REQUESTOR => {}
        _ => return Err(Errno::EINVAL.because("no such destination")),
    }
    let mut keyrings = cx.process.keyrings.lock();
    let old = keyrings.destination;
    if wanted != destination::NO_CHANGE {
        keyrings.destination = wanted;
    }
    // Destinations that are kept are not negative.
    Ok(old as usize)
}

fn set_timeout(cx: &Context<'_>, key: i32, seconds: u32) -> Result<()> {
    let found = cx.key(key, Creation::Create, KeyAccess::SET_ATTRIBUTES)?;
    found.key.set_expiry((seconds > 0).then(|| now(cx) + u64::from(seconds)));
    Ok(())
}

fn give_session(cx: &Context<'_>) -> Result<()> {
    cx.key(abi::keys::special::SESSION, Creation::Existing, KeyAccess::LINK)?;
    let parent = cx.system.processes.get(cx.process.parent());
    let parent = parent.ok_or_else(|| Errno::EPERM.because("there is no parent"))?;
    cx.give_session_to(&parent)
}
