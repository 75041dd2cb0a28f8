//! Restartable sequences: rseq(2), `linux/rseq.h`.
//!
//! A thread tells where its `struct rseq` lies. The kernel keeps the processor's number in
//! it, and when the thread was preempted or a signal is delivered inside the critical section
//! that the structure points at, the thread goes on at the section's abort handler.

use abi::{Errno, TASK_SIZE};
use spin::Mutex;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::machine::Registers;
use crate::user::UserPtr;

use super::Thread;

/// Length of the first version of `struct rseq`, in bytes; it is also its alignment.
const ORIGINAL_LEN: u32 = 32;

/// Flag of rseq(2).
const UNREGISTER: i32 = 1;

/// `cpu_id` of a thread that is not registered.
const UNINITIALIZED: u32 = u32::MAX;

/// Offset of `rseq_cs` in `struct rseq`, in bytes.
const SECTION_OFFSET: u64 = 8;

/// The part of `struct rseq` that tells where the thread runs, but for `rseq_cs` and `flags`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Place {
    cpu_id_start: u32,
    cpu_id: u32,
}

/// `struct rseq_cs`: a critical section.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Section {
    version: u32,
    flags: u32,
    start: u64,
    len: u64,
    abort: u64,
}

/// What a thread has registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Registration {
    address: u64,
    len: u32,
    /// The word that must lie before each abort handler.
    signature: u32,
}

/// The registration of a thread, if it has one.
#[derive(Default)]
pub(crate) struct Rseq {
    registration: Mutex<Option<Registration>>,
}

impl Rseq {
    /// Takes over the registration of the thread that made this one: fork(2).
    pub(super) fn inherit(&self, parent: &Self) {
        *self.registration.lock() = *parent.registration.lock();
    }

    /// Address, length in bytes and signature of what is registered.
    pub(crate) fn registered(&self) -> Option<(u64, u32, u32)> {
        let registration = *self.registration.lock();
        registration.map(|one| (one.address, one.len, one.signature))
    }

    /// Forgets the registration: execve(2).
    pub(super) fn reset(&self) {
        *self.registration.lock() = None;
    }

    /// rseq(2): registers the structure of the calling thread, or takes it back.
    ///
    /// # Errors
    /// `EINVAL` for unknown flags, a wrong length or alignment, or another structure than the
    /// registered one; `EBUSY` when it is registered already; `EPERM` for another signature;
    /// `EFAULT`; `ENOSYS` on a machine with several processors.
    pub(crate) fn change(
        &self,
        cx: &Context<'_>,
        address: u64,
        len: u32,
        flags: i32,
        signature: u32,
    ) -> Result<()> {
        if cx.system.machine.processor().count > 1 {
            return Err(Errno::ENOSYS.because("restartable sequences need a single processor"));
        }
        let new = Registration { address, len, signature };
        let old = *self.registration.lock();
        match (flags, old) {
            (0, None) => self.register(cx, new),
            (0, Some(old)) => Err(compare(old, new).err().unwrap_or_else(|| {
                Errno::EBUSY.because("the thread has registered this structure already")
            })),
            (UNREGISTER, Some(old)) => {
                compare(old, new)?;
                write(cx, address, Place { cpu_id_start: 0, cpu_id: UNINITIALIZED })?;
                *self.registration.lock() = None;
                Ok(())
            }
            (UNREGISTER, None) => Err(Errno::EINVAL.because("nothing is registered")),
            _ => Err(Errno::EINVAL.because("unknown flags")),
        }
    }

    fn register(&self, cx: &Context<'_>, new: Registration) -> Result<()> {
        if new.len < ORIGINAL_LEN || !new.address.is_multiple_of(u64::from(ORIGINAL_LEN)) {
            return Err(Errno::EINVAL.because("the structure is too short or not aligned"));
        }
        write(cx, new.address, Place { cpu_id_start: 0, cpu_id: 0 })?;
        *self.registration.lock() = Some(new);
        Ok(())
    }
}

fn compare(old: Registration, new: Registration) -> Result<()> {
    if (old.address, old.len) != (new.address, new.len) {
        return Err(Errno::EINVAL.because("another structure is registered"));
    }
    if old.signature != new.signature {
        return Err(Errno::EPERM.because("another signature is registered"));
    }
    Ok(())
}

/// Writes where the thread runs; node and concurrency ID are 0, as the processor is.
fn write(cx: &Context<'_>, address: u64, place: Place) -> Result<()> {
    /// Offset of `node_id`, which `mm_cid` follows, in bytes.
    const NODE_OFFSET: u64 = 20;
    UserPtr::new(address).write(cx, &place)?;
    UserPtr::new(address.wrapping_add(NODE_OFFSET)).write(cx, &[0_u32; 2])
}

impl Thread {
    /// Leaves the critical section that the thread is in, because it was preempted or a
    /// signal is to be delivered.
    ///
    /// # Errors
    /// `EFAULT` or `EINVAL` when the application's structures are wrong: that is fatal.
    pub(crate) fn leave_critical_section(&self, registers: &mut Registers) -> Result<()> {
        let Some(registration) = *self.rseq.registration.lock() else {
            return Ok(());
        };
        let memory = self.process().memory();
        let pointer = registration.address.wrapping_add(SECTION_OFFSET);
        let mut section = [0; 8];
        memory.read(pointer, &mut section)?;
        let section = u64::from_le_bytes(section);
        if section == 0 {
            return Ok(());
        }
        let mut found = Section::default();
        memory.read(section, found.as_mut_bytes())?;
        let abort = found.check()?;
        if registers.rip.wrapping_sub(found.start) < found.len {
            let mut signature = [0; 4];
            memory.read(abort.wrapping_sub(4), &mut signature)?;
            if u32::from_le_bytes(signature) != registration.signature {
                return Err(Errno::EINVAL.because("no signature before the abort handler"));
            }
            registers.rip = abort;
        }
        // A thread outside the section has left it without saying so.
        memory.write(pointer, &[0; 8])
    }
}

impl Section {
    /// The address of the abort handler.
    fn check(&self) -> Result<u64> {
        let end = self.start.checked_add(self.len).filter(|&end| end <= TASK_SIZE);
        let is_abort_outside = self.abort.wrapping_sub(self.start) >= self.len;
        if self.version == 0 && end.is_some() && is_abort_outside && self.abort < TASK_SIZE {
            Ok(self.abort)
        } else {
            Err(Errno::EINVAL.because("a malformed critical section"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, Kit};

    const SIGNATURE: u64 = 0x5305_3053;

    /// A registered structure with a critical section at 0x1000, 16 bytes long.
    fn registered(kit: &Kit) -> u64 {
        let rseq = kit.room(64).next_multiple_of(32);
        let abort = kit.put_value(&[SIGNATURE as u32, 0]) + 4;
        let section = Section { version: 0, flags: 0, start: 0x1000, len: 16, abort };
        let section = kit.put_value(&section);
        kit.call("rseq", [rseq, 32, 0, SIGNATURE, 0, 0]).unwrap();
        kit.set(rseq + SECTION_OFFSET, &section.to_le_bytes());
        rseq
    }

    #[test]
    fn a_structure_is_registered_once_and_taken_back() {
        let kit = kit::process();
        let rseq = registered(&kit);
        assert_eq!(kit.get_value::<[u32; 2]>(rseq), [0, 0]);
        let call =
            |address, flags, signature| kit.call("rseq", [address, 32, flags, signature, 0, 0]);
        assert_eq!(call(rseq, 0, SIGNATURE), Err(Errno::EBUSY));
        assert_eq!(call(rseq + 32, 0, SIGNATURE), Err(Errno::EINVAL));
        assert_eq!(call(rseq, 1, 7), Err(Errno::EPERM));
        assert_eq!(call(rseq, 1, SIGNATURE), Ok(0));
        assert_eq!(kit.get_value::<[u32; 2]>(rseq), [0, u32::MAX]);
        assert_eq!(call(rseq, 1, SIGNATURE), Err(Errno::EINVAL));
        assert_eq!(call(rseq + 8, 0, SIGNATURE), Err(Errno::EINVAL));
    }

    #[test]
    fn who_is_in_a_critical_section_goes_on_at_its_abort_handler() {
        let kit = kit::process();
        let rseq = registered(&kit);
        let mut registers = Registers { rip: 0x100f, ..Registers::default() };
        kit.thread.leave_critical_section(&mut registers).unwrap();
        assert_ne!(registers.rip, 0x100f);
        assert_eq!(kit.get_value::<u64>(rseq + SECTION_OFFSET), 0);
    }

    #[test]
    fn who_is_behind_it_goes_on() {
        let kit = kit::process();
        let rseq = registered(&kit);
        let mut registers = Registers { rip: 0x1010, ..Registers::default() };
        kit.thread.leave_critical_section(&mut registers).unwrap();
        assert_eq!(registers.rip, 0x1010);
        assert_eq!(kit.get_value::<u64>(rseq + SECTION_OFFSET), 0);
    }

    #[test]
    fn a_malformed_section_is_an_error() {
        let inside = Section { version: 0, flags: 0, start: 0x1000, len: 16, abort: 0x1008 };
        assert!(inside.check().is_err());
        assert!(Section { version: 1, abort: 0x2000, ..inside }.check().is_err());
        assert!(Section { start: u64::MAX, abort: 0x2000, ..inside }.check().is_err());
        assert!(Section { abort: 0x2000, ..inside }.check().is_ok());
    }
}
