//! Keys that the kernel keeps, as /proc tells of them: keyrings(7), "/proc files".

use abi::keys::KeyAccess;

use crate::error::Result;
use crate::keys::{Key, Kind, now};
use crate::namespaces::user::Ids;

use super::entry::{Entry, Subject};
use super::sysvipc::{INT_MAX, in_range, numbers};
use super::text::{Text, put};

/// The keys that the reader may see.
pub(super) fn keys(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let cx = subject.cx;
    let who = cx.credentials();
    let is_known = |key: &Key| who.namespace.to_inside(Ids::Users, key.attributes().owner);
    for key in cx.system.keys.all().into_iter().filter(|key| is_known(key).is_some()) {
        let possession = cx.possession_of(&key)?;
        if key.allows(&who, possession, KeyAccess::VIEW) {
            line(subject, text, &key);
        }
    }
    Ok(())
}

fn line(subject: &Subject<'_>, text: &mut Text, key: &Key) {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const WEEK: u64 = 7 * DAY;
    let is = key.attributes();
    let status = key.check_usable(subject.cx).map_err(|error| error.errno);
    let revoked = if status == Err(abi::Errno::EKEYREVOKED) { 'R' } else { '-' };
    let negative = if key.check_positive().is_err() { 'N' } else { '-' };
    put!(text, "{:08x} I{revoked}-Q-{negative}- {:5} ", key.serial(), 1);
    match is.expires.map(|at| at.saturating_sub(now(subject.cx))) {
        None => text.put(b"perm"),
        Some(0) => text.put(b"expd"),
        Some(left) if left < MINUTE => put!(text, "{left:3}s"),
        Some(left) if left < HOUR => put!(text, "{:3}m", left / MINUTE),
        Some(left) if left < DAY => put!(text, "{:3}h", left / HOUR),
        Some(left) if left < WEEK => put!(text, "{:3}d", left / DAY),
        Some(left) => put!(text, "{:3}w", left / WEEK),
    }
    let (owner, group) = is.shown(&subject.cx.user_namespace());
    put!(text, " {:08x} {owner:5} {group:5} {:9} ", is.permissions, key.kind().name());
    text.put_path(key.description(), |byte| byte == b'\n');
    match (key.kind(), key.links().len(), key.payload()) {
        (Kind::Keyring, 0, _) => text.put(b": empty"),
        (Kind::Keyring, count, _) => put!(text, ": {count}"),
        (Kind::Logon, _, _) | (_, _, Err(_)) => {}
        (_, _, Ok(payload)) => put!(text, ": {}", payload.len()),
    }
    text.put(b"\n");
}

/// What each user has and may have.
pub(super) fn users(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let quota = subject.cx.system.keys.quota();
    let here = subject.cx.user_namespace();
    for (&id, usage) in &quota.usage {
        let max = quota.max(id);
        let Some(user) = here.to_inside(Ids::Users, id) else {
            continue;
        };
        put!(text, "{user:5}: {:5} {}/{} ", usage.keys, usage.keys, usage.keys);
        put!(text, "{}/{} {}/{}\n", usage.keys, max.keys, usage.bytes, max.bytes);
    }
    Ok(())
}

/// An entry that shows and sets one limit.
macro_rules! limit {
    ($name:literal, $of:ident, $field:ident) => {
        Entry::setting(
            $name,
            |subject, text| {
                put!(text, "{}\n", subject.cx.system.keys.quota().$of.$field);
                Ok(())
            },
            |subject, value| {
                let [number] = numbers::<u64, 1>(value)?;
                let number = in_range(number, &(0..=INT_MAX))?;
                subject.cx.system.keys.change_quota(|quota| quota.$of.$field = number);
                Ok(())
            },
        )
    };
}

/// /proc/sys/kernel/keys.
pub(super) static LIMITS: &[Entry] = &[
    limit!("maxkeys", user_max, keys),
    limit!("maxbytes", user_max, bytes),
    limit!("root_maxkeys", root_max, keys),
    limit!("root_maxbytes", root_max, bytes),
];
