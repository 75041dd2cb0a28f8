//! Security modules: those of capabilities(7) and landlock(7), which cannot be configured.

use abi::Errno;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::user::UserPtr;

/// The modules that there are: `LSM_ID_CAPABILITY`, `LSM_ID_LANDLOCK`.
const MODULES: [u64; 2] = [100, 110];

/// lsm_list_modules(2): the numbers of the security modules.
///
/// # Differences from Linux
/// None.
pub(crate) fn lsm_list_modules(
    cx: &Context<'_>,
    numbers: UserPtr<u64>,
    size: UserPtr<u32>,
    flags: u32,
) -> Result<usize> {
    if flags != 0 {
        return Err(Errno::EINVAL.because("there are no flags"));
    }
    let room = size.read(cx)?;
    let needed = size_of_val(&MODULES) as u32;
    size.write(cx, &needed)?;
    if room < needed {
        return Err(Errno::E2BIG.because("no room for all numbers"));
    }
    for (index, number) in MODULES.iter().enumerate() {
        numbers.element(index).write(cx, number)?;
    }
    Ok(MODULES.len())
}

fn no_attribute() -> crate::Error {
    Errno::EOPNOTSUPP.because("no security module has attributes")
}

/// lsm_get_self_attr(2): an attribute of the caller that a security module has.
///
/// # Differences from Linux
/// None, without a module that has attributes.
pub(crate) fn lsm_get_self_attr(
    cx: &Context<'_>,
    attribute: u32,
    _context: UserPtr<u8>,
    size: UserPtr<u32>,
    flags: u32,
) -> Result<usize> {
    const SINGLE: u32 = 1;
    if attribute == 0 || flags & !SINGLE != 0 {
        return Err(Errno::EINVAL.because("no attribute, or unknown flags"));
    }
    size.read(cx)?;
    Err(no_attribute())
}

/// lsm_set_self_attr(2): changes an attribute of the caller that a security module has.
///
/// # Differences from Linux
/// None, without a module that has attributes.
pub(crate) fn lsm_set_self_attr(
    _cx: &Context<'_>,
    _attribute: u32,
    _context: UserPtr<u8>,
    size: u32,
    flags: u32,
) -> Result<usize> {
    /// Length of what every context begins with, in bytes.
    const HEAD: u32 = 32;
    if flags != 0 || size < HEAD {
        return Err(Errno::EINVAL.because("there are no flags, or the context is too short"));
    }
    if size as usize > abi::PAGE_SIZE {
        return Err(Errno::E2BIG.because("the context is longer than a page"));
    }
    Err(no_attribute())
}

#[cfg(test)]
mod tests {
    use crate::fake::kit::{self, BAD_ADDRESS};

    use super::*;

    #[test]
    fn the_modules_are_those_of_capabilities_and_landlock() {
        let kit = kit::process();
        let (size, numbers) = (kit.put_value(&4096_u32), kit.room(16));
        let list =
            |numbers, size, flags| kit.call("lsm_list_modules", [numbers, size, flags, 0, 0, 0]);
        assert_eq!(list(numbers, size, 0), Ok(2));
        assert_eq!(
            (kit.get_value::<[u64; 2]>(numbers), kit.get_value::<u32>(size)),
            ([100, 110], 16)
        );
        assert_eq!(list(BAD_ADDRESS, size, 0), Err(Errno::EFAULT));
        assert_eq!(list(numbers, size, 1), Err(Errno::EINVAL));
        kit.set(size, &15_u32.to_ne_bytes());
        assert_eq!(list(numbers, size, 0), Err(Errno::E2BIG));
    }
}
