//! Seals: what can never be done to a file in memory again (fcntl(2), "File Sealing").

use core::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use abi::fs::{Mode, Seals};

use crate::error::{Because, Error, Result};

use super::open_file::OpenFile;
use super::{Change, Inode};

/// The seals of a file.
pub struct SealSet(AtomicU32);

impl Default for SealSet {
    /// Those of an ordinary file: nothing is sealed but the seals.
    fn default() -> Self {
        Self(AtomicU32::new(Seals::SEAL.bits()))
    }
}

impl SealSet {
    /// What is sealed.
    pub fn get(&self) -> Seals {
        Seals::from_bits_retain(self.0.load(Ordering::Acquire))
    }

    fn set(&self, seals: Seals) {
        self.0.store(seals.bits(), Ordering::Release);
    }

    /// Fails when one of `seals` is set.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn check(&self, seals: Seals) -> Result<()> {
        if self.get().intersects(seals) {
            return Err(Errno::EPERM.because("the file is sealed against that"));
        }
        Ok(())
    }

    /// Fails when a file of `size` bytes may not become `len` long.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn check_size(&self, size: u64, len: u64) -> Result<()> {
        match len.cmp(&size) {
            core::cmp::Ordering::Less => self.check(Seals::SHRINK),
            core::cmp::Ordering::Equal => Ok(()),
            core::cmp::Ordering::Greater => self.check(Seals::GROW),
        }
    }
}

/// The seals of a file: `F_GET_SEALS`.
///
/// # Errors
/// `EINVAL` when it cannot have any.
pub(crate) fn get(open: &OpenFile) -> Result<Seals> {
    Ok(of(open.file.inode().as_ref())?.get())
}

/// Adds seals: `F_ADD_SEALS`.
///
/// # Errors
/// `EINVAL` when the file cannot have any, or for an unknown one; `EPERM` when the file is not
/// open for writing, or its seals are sealed; `EBUSY` when somebody maps it who could write.
pub(crate) fn add(open: &OpenFile, mut new: Seals) -> Result<()> {
    let inode = open.file.inode();
    let seals = of(inode.as_ref())?;
    if !open.access_mode().can_write() {
        return Err(Errno::EPERM.because("the file is not open for writing"));
    }
    if !Seals::all().contains(new) {
        return Err(Errno::EINVAL.because("an unknown seal"));
    }
    seals.check(Seals::SEAL)?;
    if new.contains(Seals::EXEC) && inode.metadata()?.mode.intersects(executable()) {
        // What is sealed to be executable must stay what it is.
        new |= Seals::SHRINK | Seals::GROW | Seals::WRITE | Seals::FUTURE_WRITE;
    }
    let old = seals.get();
    // Who maps it from now on sees the seals; who mapped it before is found.
    seals.set(old | new);
    let is_first = new.difference(old).contains(Seals::WRITE);
    if is_first && inode.mappings().is_some_and(|mappings| mappings.allow_writing()) {
        seals.set(old);
        return Err(Errno::EBUSY.because("the file is mapped for writing"));
    }
    Ok(())
}

/// Makes `open`, which is new, a file that can be sealed, or one that is never executable.
///
/// # Errors
/// Those of changing its mode.
pub(crate) fn make_sealable(open: &OpenFile, executable_sealed: ExecutableBits) -> Result<()> {
    let inode = open.file.inode();
    let seals = of(inode.as_ref())?;
    match executable_sealed {
        ExecutableBits::Kept => seals.set(Seals::empty()),
        ExecutableBits::SealedOff => {
            let mode = inode.metadata()?.mode.difference(executable());
            inode.change(&Change { mode: Some(mode), ..Change::default() })?;
            seals.set(Seals::EXEC);
        }
    }
    Ok(())
}

/// What becomes of the right to execute a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExecutableBits {
    /// It stays (`MFD_ALLOW_SEALING`).
    Kept,
    /// It is taken away for good (`MFD_NOEXEC_SEAL`).
    SealedOff,
}

/// All three rights to execute.
pub(super) fn executable() -> Mode {
    Mode::from_bits_retain(0o111)
}

fn of(inode: &dyn Inode) -> Result<&SealSet> {
    inode.seals().ok_or_else(cannot)
}

fn cannot() -> Error {
    Errno::EINVAL.because("the file cannot be sealed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, Kit};
    use abi::PAGE_SIZE;
    use abi::fs::{MemfdFlags, fcntl};

    const PAGE: u64 = PAGE_SIZE as u64;
    const SHARED: u64 = 1;
    const READ: u64 = 1;
    const READ_WRITE: u64 = 3;

    fn memory_file(kit: &Kit, flags: MemfdFlags) -> u64 {
        let flags = u64::from(flags.bits());
        let fd = kit.call("memfd_create", [kit.string("m"), flags, 0, 0, 0, 0]).unwrap();
        assert_eq!(kit.call("ftruncate", [fd, 2 * PAGE, 0, 0, 0, 0]), Ok(0));
        fd
    }

    fn seal(kit: &Kit, fd: u64, seals: Seals) -> Result<u64, Errno> {
        let command = u64::from(fcntl::F_ADD_SEALS);
        kit.call("fcntl", [fd, command, u64::from(seals.bits()), 0, 0, 0])
    }

    fn seals(kit: &Kit, fd: u64) -> Result<u64, Errno> {
        kit.call("fcntl", [fd, u64::from(fcntl::F_GET_SEALS), 0, 0, 0, 0])
    }

    fn write(kit: &Kit, fd: u64, len: usize, offset: u64) -> Result<u64, Errno> {
        let from = kit.put(&alloc::vec![7; len]);
        kit.call("pwrite64", [fd, from, len as u64, offset, 0, 0])
    }

    fn map(kit: &Kit, fd: u64, protection: u64) -> Result<u64, Errno> {
        kit.call("mmap", [0, PAGE, protection, SHARED, fd, 0])
    }

    #[test]
    fn only_what_was_made_for_it_can_be_sealed() {
        let kit = kit::process();
        let fd = memory_file(&kit, MemfdFlags::empty());
        assert_eq!(seals(&kit, fd), Ok(u64::from(Seals::SEAL.bits())));
        assert_eq!(seal(&kit, fd, Seals::GROW), Err(Errno::EPERM));
        let fd = memory_file(&kit, MemfdFlags::ALLOW_SEALING);
        assert_eq!(seals(&kit, fd), Ok(0));
        assert_eq!(seal(&kit, fd, Seals::from_bits_retain(1 << 30)), Err(Errno::EINVAL));
        assert_eq!(seal(&kit, fd, Seals::GROW | Seals::SEAL), Ok(0));
        assert_eq!(seal(&kit, fd, Seals::GROW), Err(Errno::EPERM));
        let to = kit.room(8);
        assert_eq!(kit.call("pipe", [to, 0, 0, 0, 0, 0]), Ok(0));
        let pipe = u64::from(kit.get_value::<u32>(to));
        assert_eq!(seals(&kit, pipe), Err(Errno::EINVAL));
    }

    #[test]
    fn sealed_sizes_stay() {
        let kit = kit::process();
        let fd = memory_file(&kit, MemfdFlags::ALLOW_SEALING);
        let resize = |len| kit.call("ftruncate", [fd, len, 0, 0, 0, 0]);
        assert_eq!(seal(&kit, fd, Seals::SHRINK), Ok(0));
        assert_eq!(resize(PAGE), Err(Errno::EPERM));
        assert_eq!(resize(3 * PAGE + 10), Ok(0));
        assert_eq!(seal(&kit, fd, Seals::GROW), Ok(0));
        assert_eq!(resize(4 * PAGE), Err(Errno::EPERM));
        assert_eq!(resize(3 * PAGE + 10), Ok(0));
        assert_eq!(write(&kit, fd, 10, 3 * PAGE), Ok(10));
        assert_eq!(write(&kit, fd, 11, 3 * PAGE), Err(Errno::EPERM));
        assert_eq!(write(&kit, fd, PAGE_SIZE, 2 * PAGE + 20), Ok(PAGE - 20));
        let allocate = |flags, at, len| kit.call("fallocate", [fd, flags, at, len, 0, 0]);
        assert_eq!(allocate(0, 0, PAGE), Ok(0));
        assert_eq!(allocate(0, 3 * PAGE, PAGE), Err(Errno::EPERM));
    }

    #[test]
    fn sealed_content_stays() {
        let kit = kit::process();
        let fd = memory_file(&kit, MemfdFlags::ALLOW_SEALING);
        let mapped = map(&kit, fd, READ).unwrap();
        // It could become writable.
        assert_eq!(seal(&kit, fd, Seals::WRITE), Err(Errno::EBUSY));
        assert_eq!(seals(&kit, fd), Ok(0));
        let child = kit.process.memory().fork().unwrap();
        assert_eq!(kit.call("munmap", [mapped, PAGE, 0, 0, 0, 0]), Ok(0));
        assert_eq!(seal(&kit, fd, Seals::WRITE), Err(Errno::EBUSY));
        drop(child);
        assert_eq!(seal(&kit, fd, Seals::WRITE), Ok(0));
        assert_eq!(write(&kit, fd, 1, 0), Err(Errno::EPERM));
        let punch = [fd, 3, 0, PAGE, 0, 0];
        assert_eq!(kit.call("fallocate", punch), Err(Errno::EPERM));
        assert_eq!(map(&kit, fd, READ_WRITE), Err(Errno::EPERM));
        let mapped = map(&kit, fd, READ).unwrap();
        let protect = [mapped, PAGE, READ_WRITE, 0, 0, 0];
        assert_eq!(kit.call("mprotect", protect), Err(Errno::EACCES));
        let private = kit.call("mmap", [0, PAGE, READ_WRITE, 2, fd, 0]).unwrap();
        kit.set(private, b"mine");
        assert_eq!(kit.get(mapped, 4), [0; 4]);
    }

    #[test]
    fn mappings_from_before_still_write_where_only_the_future_is_sealed() {
        let kit = kit::process();
        let fd = memory_file(&kit, MemfdFlags::ALLOW_SEALING);
        let mapped = map(&kit, fd, READ_WRITE).unwrap();
        assert_eq!(seal(&kit, fd, Seals::FUTURE_WRITE), Ok(0));
        kit.set(mapped, b"x");
        assert_eq!(write(&kit, fd, 1, 0), Err(Errno::EPERM));
        assert_eq!(map(&kit, fd, READ_WRITE), Err(Errno::EPERM));
    }

    #[test]
    fn a_file_can_be_sealed_not_to_be_executed_or_to_be_what_it_is() {
        let kit = kit::process();
        let fd = memory_file(&kit, MemfdFlags::NOEXEC_SEAL);
        assert_eq!(seals(&kit, fd), Ok(u64::from(Seals::EXEC.bits())));
        let change = |fd, mode| kit.call("fchmod", [fd, mode, 0, 0, 0, 0]);
        assert_eq!(change(fd, 0o700), Err(Errno::EPERM));
        assert_eq!(change(fd, 0o600), Ok(0));
        let fd = memory_file(&kit, MemfdFlags::ALLOW_SEALING | MemfdFlags::EXEC);
        assert_eq!(seal(&kit, fd, Seals::EXEC), Ok(0));
        let all = Seals::all().difference(Seals::SEAL);
        assert_eq!(seals(&kit, fd), Ok(u64::from(all.bits())));
        assert_eq!(change(fd, 0o600), Err(Errno::EPERM));
        let both = u64::from((MemfdFlags::EXEC | MemfdFlags::NOEXEC_SEAL).bits());
        let refused = kit.call("memfd_create", [kit.string("m"), both, 0, 0, 0, 0]);
        assert_eq!(refused, Err(Errno::EINVAL));
    }
}
