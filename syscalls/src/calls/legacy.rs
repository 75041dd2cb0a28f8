//! Calls that few programs still make: sysfs(2), ustat(2), vhangup(2).

use abi::Errno;
use abi::fs::Device;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::mount_type;
use crate::process::Capability;
use crate::user::{UserPath, UserPtr};

/// sysfs(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn sysfs(cx: &Context<'_>, option: u32, one: u64, two: u64) -> Result<u64> {
    let names: alloc::vec::Vec<_> = mount_type::names().collect();
    let unknown = || Errno::EINVAL.because("there is no such type of file system");
    match option {
        1 => {
            let name = UserPath::new(one).read(cx)?;
            let found = names.iter().position(|other| other.as_bytes() == name);
            found.map(|index| index as u64).ok_or_else(unknown)
        }
        2 => {
            let name = names.get(one as u32 as usize).ok_or_else(unknown)?;
            cx.memory().write(two, name.as_bytes())?;
            cx.memory().write(two.wrapping_add(name.len() as u64), &[0])?;
            Ok(0)
        }
        3 => Ok(names.len() as u64),
        _ => Err(Errno::EINVAL.because("the option is not known")),
    }
}

/// `struct ustat`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Ustat {
    free_blocks: i32,
    pad: i32,
    free_inodes: u64,
    name: [u8; 6],
    pack: [u8; 6],
    end: [u8; 4],
}

/// ustat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn ustat(cx: &Context<'_>, device: u32, to: UserPtr<Ustat>) -> Result<()> {
    let device = Device::decode(device.into());
    let mounts = cx.mounts().mounts();
    let mount = mounts.iter().find(|mount| mount.file_system().device() == device);
    let mount = mount.ok_or_else(|| Errno::EINVAL.because("nothing mounted has that number"))?;
    let usage = mount.file_system().usage();
    let free_blocks = i32::try_from(usage.free_pages).unwrap_or(i32::MAX);
    let (free_inodes, name, pack) = (usage.free_inodes, [0; 6], [0; 6]);
    to.write(cx, &Ustat { free_blocks, pad: 0, free_inodes, name, pack, end: [0; 4] })
}

/// vhangup(2).
///
/// # Differences from Linux
/// A terminal that there is cannot be hung up: `ENOSYS`.
pub(crate) fn vhangup(cx: &Context<'_>) -> Result<()> {
    if !cx.credentials().has(Capability::SysTtyConfig) {
        return Err(Errno::EPERM.because("hanging up needs CAP_SYS_TTY_CONFIG"));
    }
    if cx.system.terminal.controls(cx.process.session()) {
        return Err(Errno::ENOSYS.because("the terminal cannot be hung up"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::fake::kit;

    use super::*;

    #[test]
    fn types_of_file_systems_have_numbers() {
        let kit = kit::process();
        let (proc, room) = (kit.string("proc"), kit.room(16));
        let number = kit.call("sysfs", [1, proc, 0, 0, 0, 0]).unwrap();
        assert_eq!(kit.call("sysfs", [2, number, room, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get(room, 5), b"proc\0");
        assert_eq!(kit.call("sysfs", [3, 0, 0, 0, 0, 0]), Ok(mount_type::names().count() as u64));
        assert_eq!(kit.call("sysfs", [4, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }

    #[test]
    fn ustat_knows_what_is_mounted() {
        let kit = kit::process();
        let device = kit.system.vfs.root().inode().file_system().device().encode();
        let room = kit.room(32);
        assert_eq!(kit.call("ustat", [device, room, 0, 0, 0, 0]), Ok(0));
        assert!(kit.get_value::<Ustat>(room).free_inodes > 0);
        assert_eq!(kit.call("ustat", [0xffff_ffff, room, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }
}
