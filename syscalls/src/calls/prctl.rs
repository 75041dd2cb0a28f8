//! Properties of a process or thread that prctl(2) keeps.

use abi::Errno;
use abi::process::{CAP_LAST, SecureBits, TASK_COMM_LEN};
use abi::signal::Signal;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::named::ProcessOperation;
use crate::process::credentials::{Capability, CapabilitySet};
use crate::user::UserPtr;

/// Operations of prctl(2): `linux/prctl.h`.
mod pr {
    pub(super) const SET_PDEATHSIG: i32 = 1;
    pub(super) const GET_PDEATHSIG: i32 = 2;
    pub(super) const GET_DUMPABLE: i32 = 3;
    pub(super) const SET_DUMPABLE: i32 = 4;
    pub(super) const GET_KEEPCAPS: i32 = 7;
    pub(super) const SET_KEEPCAPS: i32 = 8;
    pub(super) const SET_NAME: i32 = 15;
    pub(super) const GET_NAME: i32 = 16;
    pub(super) const GET_SECCOMP: i32 = 21;
    pub(super) const CAPBSET_READ: i32 = 23;
    pub(super) const CAPBSET_DROP: i32 = 24;
    pub(super) const GET_SECUREBITS: i32 = 27;
    pub(super) const SET_SECUREBITS: i32 = 28;
    pub(super) const SET_TIMERSLACK: i32 = 29;
    pub(super) const GET_TIMERSLACK: i32 = 30;
    pub(super) const SET_CHILD_SUBREAPER: i32 = 36;
    pub(super) const GET_CHILD_SUBREAPER: i32 = 37;
    pub(super) const SET_NO_NEW_PRIVS: i32 = 38;
    pub(super) const GET_NO_NEW_PRIVS: i32 = 39;
    pub(super) const GET_TID_ADDRESS: i32 = 40;
    pub(super) const CAP_AMBIENT: i32 = 47;
}

fn refuse(reason: &'static str) -> Result<Outcome> {
    Err(Errno::EINVAL.because(reason))
}

/// prctl(2): looks at and changes properties of the process or thread.
///
/// # Differences from Linux
/// The operations on names, the parent-death signal, dumpability, capabilities, privileges,
/// timer slack and subreapers are there, where the last two and the signal are kept and told
/// only; the others are `EINVAL`.
pub(crate) fn prctl(
    cx: &Context<'_>,
    operation: ProcessOperation,
    a: u64,
    b: u64,
    c: u64,
    d: u64,
) -> Result<Outcome> {
    let operation = operation.0;
    let properties = &cx.process.properties;
    match operation {
        pr::SET_NAME | pr::GET_NAME => name(cx, operation, a),
        pr::SET_PDEATHSIG => match u8::try_from(a).ok() {
            Some(number) if number == 0 || Signal::new(number).is_some() => {
                properties.lock().parent_death_signal = number;
                Ok(0_u64.into())
            }
            _ => refuse("no such signal"),
        },
        pr::GET_PDEATHSIG => {
            let number = i32::from(properties.lock().parent_death_signal);
            UserPtr::new(a).write(cx, &number).map(Into::into)
        }
        pr::GET_DUMPABLE => Ok(u64::from(properties.lock().is_dumpable).into()),
        pr::SET_DUMPABLE => {
            properties.lock().is_dumpable = flag(a)?;
            Ok(0_u64.into())
        }
        pr::SET_CHILD_SUBREAPER => {
            properties.lock().is_subreaper = a != 0;
            Ok(0_u64.into())
        }
        pr::GET_CHILD_SUBREAPER => {
            let is_subreaper = i32::from(properties.lock().is_subreaper);
            UserPtr::new(a).write(cx, &is_subreaper).map(Into::into)
        }
        pr::SET_TIMERSLACK => {
            let mut properties = properties.lock();
            properties.timer_slack_ns = if a == 0 { properties.default_timer_slack_ns } else { a };
            Ok(0_u64.into())
        }
        pr::GET_TIMERSLACK => Ok(properties.lock().timer_slack_ns.into()),
        pr::GET_TID_ADDRESS => UserPtr::new(a).write(cx, &cx.thread.clear_id_at()).map(Into::into),
        // No filters of system calls can be set.
        pr::GET_SECCOMP => Ok(0_u64.into()),
        _ => privileges(cx, operation, [a, b, c, d]),
    }
}

/// `PR_SET_NAME` and `PR_GET_NAME`.
fn name(cx: &Context<'_>, operation: i32, address: u64) -> Result<Outcome> {
    if operation == pr::GET_NAME {
        let mut name = [0; TASK_COMM_LEN];
        let current = cx.thread.name();
        name[..current.len()].copy_from_slice(&current);
        return UserPtr::new(address).write(cx, &name).map(Into::into);
    }
    // Linux reads up to 15 bytes or a NUL, and no further.
    let name = crate::user::read_c_string(cx.memory(), address, TASK_COMM_LEN - 1)?;
    let name = match name {
        Some(name) => name,
        None => UserPtr::new(address).read_array(cx, TASK_COMM_LEN - 1)?,
    };
    cx.thread.set_name(&name);
    Ok(0_u64.into())
}

/// The operations on credentials.
fn privileges(cx: &Context<'_>, operation: i32, arguments: [u64; 4]) -> Result<Outcome> {
    let [a, b, c, d] = arguments;
    let credentials = cx.credentials();
    match operation {
        pr::GET_KEEPCAPS => {
            Ok(u64::from(credentials.secure_bits.contains(SecureBits::KEEP_CAPS)).into())
        }
        pr::SET_KEEPCAPS => {
            let keep = flag(a)?;
            cx.change_credentials(|one| {
                if one.secure_bits.contains(SecureBits::KEEP_CAPS_LOCKED) {
                    return Err(Errno::EPERM.because("the bit is locked"));
                }
                one.secure_bits.set(SecureBits::KEEP_CAPS, keep);
                Ok(0_u64.into())
            })
        }
        pr::GET_SECUREBITS => Ok(u64::from(credentials.secure_bits.bits()).into()),
        pr::SET_SECUREBITS => set_secure_bits(cx, a),
        pr::GET_NO_NEW_PRIVS if [a, b, c, d] != [0; 4] => refuse("it has no arguments"),
        pr::GET_NO_NEW_PRIVS => Ok(u64::from(credentials.no_new_privileges).into()),
        pr::SET_NO_NEW_PRIVS if [a, b, c, d] == [1, 0, 0, 0] => cx.change_credentials(|one| {
            one.no_new_privileges = true;
            Ok(0_u64.into())
        }),
        pr::SET_NO_NEW_PRIVS => refuse("it can only be set, and has no other arguments"),
        pr::CAP_AMBIENT if [c, d] != [0, 0] => refuse("arguments that are not used must be 0"),
        pr::CAPBSET_READ => {
            let bit = capability_bit(a)?;
            Ok(u64::from(credentials.bounding.0 & bit != 0).into())
        }
        pr::CAPBSET_DROP => {
            let bit = capability_bit(a)?;
            if !credentials.has_within(Capability::SetPcap) {
                return Err(Errno::EPERM.because("dropping a capability needs CAP_SETPCAP"));
            }
            cx.change_credentials(|one| {
                one.bounding.0 &= !bit;
                Ok(0_u64.into())
            })
        }
        pr::CAP_AMBIENT => ambient(cx, a, b),
        _ => refuse("the operation is not offered"),
    }
}

/// `PR_SET_SECUREBITS`: capabilities(7), "The securebits flags".
fn set_secure_bits(cx: &Context<'_>, wanted: u64) -> Result<Outcome> {
    let wanted = u32::try_from(wanted).ok().and_then(SecureBits::from_bits);
    cx.change_credentials(|one| {
        let not_permitted = || Errno::EPERM.because("bits are locked, unknown or not one's own");
        let wanted = wanted.ok_or_else(not_permitted)?;
        let old = one.secure_bits;
        let locks = old.intersection(SecureBits::LOCKS);
        // The lock of a bit is the next higher one.
        let locked = SecureBits::from_bits_truncate(locks.bits() >> 1);
        let changes_locked = (old ^ wanted).intersects(locked);
        if changes_locked || !wanted.contains(locks) || !one.has_within(Capability::SetPcap) {
            return Err(not_permitted());
        }
        one.secure_bits = wanted;
        Ok(0_u64.into())
    })
}

/// `PR_CAP_AMBIENT`.
fn ambient(cx: &Context<'_>, operation: u64, capability: u64) -> Result<Outcome> {
    const IS_SET: u64 = 1;
    const RAISE: u64 = 2;
    const LOWER: u64 = 3;
    const CLEAR_ALL: u64 = 4;
    cx.change_credentials(|one| {
        if operation == CLEAR_ALL {
            if capability != 0 {
                return refuse("an argument that is not used must be 0");
            }
            one.ambient = CapabilitySet::EMPTY;
            return Ok(0_u64.into());
        }
        let bit = capability_bit(capability)?;
        match operation {
            IS_SET => return Ok(u64::from(one.ambient.0 & bit != 0).into()),
            RAISE
                if one.permitted.and(one.inheritable).0 & bit == 0
                    || one.secure_bits.contains(SecureBits::NO_CAP_AMBIENT_RAISE) =>
            {
                return Err(Errno::EPERM.because("neither permitted nor inheritable"));
            }
            RAISE => one.ambient.0 |= bit,
            LOWER => one.ambient.0 &= !bit,
            _ => return refuse("no such operation"),
        }
        Ok(0_u64.into())
    })
}

fn capability_bit(number: u64) -> Result<u64> {
    if number <= u64::from(CAP_LAST) {
        Ok(1 << number)
    } else {
        Err(Errno::EINVAL.because("no such capability"))
    }
}

fn flag(value: u64) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::EINVAL.because("neither 0 nor 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit;

    #[test]
    fn names_have_fifteen_bytes() {
        let kit = kit::process();
        let (name, to) = (kit.string("a name that is too long"), kit.room(16));
        assert_eq!(kit.call("prctl", [15, name, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("prctl", [16, to, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get(to, 16), b"a name that is \0");
        assert_eq!(kit.thread.name(), b"a name that is ");
    }

    #[test]
    fn properties_are_kept_and_wrong_values_refused() {
        let kit = kit::process();
        let call = |operation, value| kit.call("prctl", [operation, value, 0, 0, 0, 0]);
        assert_eq!(call(3, 0), Ok(1));
        assert_eq!(call(4, 0), Ok(0));
        assert_eq!(call(3, 0), Ok(0));
        assert_eq!(call(4, 2), Err(Errno::EINVAL));
        assert_eq!(call(39, 0), Ok(0));
        assert_eq!(call(38, 1), Ok(0));
        assert_eq!(call(39, 0), Ok(1));
        assert_eq!(call(38, 0), Err(Errno::EINVAL));
        assert_eq!(call(23, 7), Ok(1));
        assert_eq!(call(24, 7), Ok(0));
        assert_eq!(call(23, 7), Ok(0));
        assert_eq!(call(23, 41), Err(Errno::EINVAL));
        assert_eq!(call(1, 65), Err(Errno::EINVAL));
        assert_eq!(call(9999, 0), Err(Errno::EINVAL));
    }
}
