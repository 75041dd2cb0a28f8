//! Keys that the kernel keeps: add_key(2) and request_key(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::keys::{KeyAccess, destination, special};
use abi::{Errno, PAGE_SIZE};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::keys::{Content, Creation, Found, Key, Kind, NewKey, PAYLOAD_MAX, now};
use crate::user::{UserPtr, read_c_string};

/// Longest name of a type, with its NUL.
const TYPE_MAX: usize = 32;

/// How long it is remembered that there is no key, in seconds.
const NEGATIVE_SECONDS: u64 = 60;

/// Loads the name of a type.
pub(super) fn read_type(cx: &Context<'_>, from: UserPtr<u8>) -> Result<Vec<u8>> {
    let name = read_c_string(cx.memory(), from.address(), TYPE_MAX)?;
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Errno::EINVAL.because("the type is empty or too long"))?;
    if name.starts_with(b".") {
        return Err(Errno::EPERM.because("types with a dot are the kernel's"));
    }
    Ok(name)
}

/// Loads a description.
pub(super) fn read_description(cx: &Context<'_>, from: UserPtr<u8>) -> Result<Vec<u8>> {
    let description = read_c_string(cx.memory(), from.address(), PAGE_SIZE)?;
    description.ok_or_else(|| Errno::EINVAL.because("the description is too long"))
}

/// add_key(2): makes a key in a keyring, or gives the one there is another payload.
///
/// # Differences from Linux
/// The types are `keyring`, `user`, `logon` and `big_key`.
pub(crate) fn add_key(
    cx: &Context<'_>,
    kind: UserPtr<u8>,
    description: UserPtr<u8>,
    payload: UserPtr<u8>,
    len: usize,
    keyring: i32,
) -> Result<i32> {
    if len > PAYLOAD_MAX {
        return Err(Errno::EINVAL.because("the payload is too long"));
    }
    let kind = read_type(cx, kind)?;
    let description = match description.non_null() {
        Some(from) => read_description(cx, from)?,
        None => Vec::new(),
    };
    if description.starts_with(b".") && kind.starts_with(b"keyring") {
        return Err(Errno::EPERM.because("keyrings with a dot are the kernel's"));
    }
    let payload = payload.read_array(cx, len)?;
    let keyring = cx.key(keyring, Creation::Create, KeyAccess::WRITE)?;
    let kind = Kind::named(&kind).ok_or_else(|| Errno::ENODEV.because("no such type of keys"))?;
    keyring.key.check_keyring()?;
    kind.check(&description, &payload)?;
    let linked = keyring.key.links();
    let same = linked.iter().find(|key| key.kind() == kind && key.description() == description);
    match same {
        Some(key) if kind.is_updatable() && key.check_usable(cx).is_ok() => {
            let found = Found { key: key.clone(), ..keyring };
            found.check(cx, KeyAccess::WRITE)?;
            key.update(payload)?;
            Ok(key.serial())
        }
        _ => {
            let content = match kind {
                Kind::Keyring => Content::Links(Vec::new()),
                _ => Content::Payload(Arc::new(payload)),
            };
            let key = cx.system.keys.make(cx, NewKey::of_caller(cx, kind, description, content))?;
            keyring.key.link(&key)?;
            Ok(key.serial())
        }
    }
}

/// request_key(2): finds a key in the caller's keyrings, and may note that there is none.
///
/// # Differences from Linux
/// No program is started that could make a key (`/sbin/request-key`): what is not there is noted
/// as missing for a minute, as on a Linux without that program.
pub(crate) fn request_key(
    cx: &Context<'_>,
    kind: UserPtr<u8>,
    description: UserPtr<u8>,
    callout: UserPtr<u8>,
    keyring: i32,
) -> Result<i32> {
    let kind = read_type(cx, kind)?;
    let description = read_description(cx, description)?;
    let wants_new =
        callout.non_null().map(|from| read_description(cx, from)).transpose()?.is_some();
    let wanted_place = match keyring {
        0 => None,
        number => Some(cx.key(number, Creation::Create, KeyAccess::WRITE)?),
    };
    let kind = Kind::named(&kind).ok_or_else(|| Errno::ENOKEY.because("no such type of keys"))?;
    match cx.search_keys(kind, &description) {
        Ok(found) => {
            if let Some(place) = wanted_place {
                place.key.link(&found.key)?;
            }
            Ok(found.key.serial())
        }
        Err(error) if error.errno != Errno::EAGAIN => Err(error),
        Err(_) if !wants_new => Err(Errno::ENOKEY.because("there is no such key")),
        Err(_) if kind == Kind::Keyring => {
            Err(Errno::EPERM.because("keyrings are not made on request"))
        }
        Err(_) => Err(note_missing(cx, kind, description, wanted_place)?),
    }
}

/// Notes that there is no such key; returns the error that says so.
fn note_missing(
    cx: &Context<'_>,
    kind: Kind,
    description: Vec<u8>,
    place: Option<Found>,
) -> Result<crate::Error> {
    let place = match place {
        Some(place) => place,
        None => default_place(cx)?,
    };
    let new = NewKey::of_caller(cx, kind, description, Content::Rejected(Errno::ENOKEY));
    let key: Arc<Key> = cx.system.keys.make(cx, new)?;
    key.set_expiry(Some(now(cx) + NEGATIVE_SECONDS));
    place.key.link(&key)?;
    Ok(Errno::ENOKEY.because("there is no such key, and nobody to make one"))
}

/// Where keys go that are asked for without a place.
fn default_place(cx: &Context<'_>) -> Result<Found> {
    let wanted = cx.process.keyrings.lock().destination;
    let number = match wanted {
        destination::THREAD => special::THREAD,
        destination::PROCESS => special::PROCESS,
        destination::SESSION => special::SESSION,
        destination::USER => special::USER,
        destination::USER_SESSION => special::USER_SESSION,
        _ => {
            let mut own = [special::THREAD, special::PROCESS].into_iter();
            let first = own.find(|&number| cx.any_key(number, Creation::Existing).is_ok());
            first.unwrap_or(special::SESSION)
        }
    };
    cx.key(number, Creation::Existing, KeyAccess::WRITE)
}
