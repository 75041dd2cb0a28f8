//! The requests of ptrace(2) that are about registers.

use alloc::vec::Vec;

use abi::core_dump::{UserRegisters, note};
use abi::fs::Iovec;
use abi::ptrace::{USER_DEBUG_REGISTERS, USER_LEN, request};
use abi::signal::FXSAVE_LEN;
use abi::{Errno, TASK_SIZE};
use zerocopy::{FromZeros, IntoBytes};

use crate::buffer;
use crate::calls::process::{ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_FS, ARCH_SET_GS};
use crate::context::Context;
use crate::error::{Because, Error, Outcome, Result};
use crate::named::TraceRequest;
use crate::process::tracing::Tracee;
use crate::user::UserPtr;

/// Length of a word, and of a debug register, in bytes.
const WORD: u64 = 8;
/// Where the debug registers end in `struct user`, in bytes.
const DEBUG_REGISTERS_END: u64 = USER_DEBUG_REGISTERS + 8 * WORD;

pub(super) fn access(
    cx: &Context<'_>,
    tracee: &Tracee,
    request: TraceRequest,
    address: u64,
    data: u64,
) -> Result<Outcome> {
    match request.0 {
        request::PEEKUSER => {
            let word = peek_user(tracee, address)?;
            UserPtr::new(data).write(cx, &word)?;
        }
        request::POKEUSER => poke_user(tracee, address, data)?,
        request::GETREGS => UserPtr::new(data).write(cx, &tracee.registers()?)?,
        request::SETREGS => {
            tracee.set_registers(&UserPtr::<UserRegisters>::new(data).read(cx)?)?;
        }
        request::GETFPREGS => cx.memory().write(data, &tracee.extended_state()?[..FXSAVE_LEN])?,
        request::SETFPREGS => {
            let mut legacy = [0; FXSAVE_LEN];
            cx.memory().read(data, &mut legacy)?;
            tracee.set_legacy_state(&legacy)?;
        }
        request::GETREGSET => get_set(cx, tracee, address, UserPtr::new(data))?,
        request::SETREGSET => set_set(cx, tracee, address, UserPtr::new(data))?,
        request::ARCH_PRCTL => bases(cx, tracee, address, data)?,
        _ => return Err(Errno::EIO.because("no such request")),
    }
    Ok(0_u64.into())
}

fn outside() -> Error {
    Errno::EIO.because("no such place in struct user")
}

/// Where there are registers in `struct user`: a number of a debug register, or an index of a
/// word of the general ones. The rest of the structure is zeros.
enum Place {
    General(usize),
    Debug(usize),
    Nothing,
}

fn place(address: u64) -> Result<Place> {
    if !address.is_multiple_of(WORD) || address >= USER_LEN {
        return Err(outside());
    }
    Ok(match address {
        _ if address < size_of::<UserRegisters>() as u64 => {
            Place::General((address / WORD) as usize)
        }
        USER_DEBUG_REGISTERS..DEBUG_REGISTERS_END => {
            Place::Debug(((address - USER_DEBUG_REGISTERS) / WORD) as usize)
        }
        _ => Place::Nothing,
    })
}

fn peek_user(tracee: &Tracee, address: u64) -> Result<u64> {
    Ok(match place(address)? {
        Place::General(index) => {
            let registers = tracee.registers()?;
            let mut word = 0_u64;
            let at = index * WORD as usize;
            word.as_mut_bytes().copy_from_slice(&registers.as_bytes()[at..at + WORD as usize]);
            word
        }
        Place::Debug(number) => tracee.debug_register(number),
        Place::Nothing => 0,
    })
}

fn poke_user(tracee: &Tracee, address: u64, value: u64) -> Result<()> {
    match place(address)? {
        Place::General(index) => {
            let mut registers = tracee.registers()?;
            let at = index * WORD as usize;
            registers.as_mut_bytes()[at..at + WORD as usize].copy_from_slice(value.as_bytes());
            tracee.set_registers(&registers)
        }
        Place::Debug(number) => tracee.set_debug_register(number, value),
        Place::Nothing => Err(outside()),
    }
}

/// The bytes of a set of registers.
fn set_of(tracee: &Tracee, kind: u64) -> Result<Vec<u8>> {
    match u32::try_from(kind) {
        Ok(note::PRSTATUS) => Ok(buffer::copied(tracee.registers()?.as_bytes())?),
        Ok(note::PRFPREG) => {
            let mut state = tracee.extended_state()?;
            state.truncate(FXSAVE_LEN);
            Ok(state)
        }
        Ok(note::X86_XSTATE) => {
            let state = tracee.extended_state()?;
            if state.len() <= FXSAVE_LEN {
                return Err(Errno::ENODEV.because("the processor has no such state"));
            }
            Ok(state)
        }
        _ => Err(Errno::EINVAL.because("no such set of registers")),
    }
}

/// The buffer for a set of `len` bytes, of which it takes whole words.
fn buffer_for(cx: &Context<'_>, vector: UserPtr<Iovec>, len: usize) -> Result<(u64, usize)> {
    let Iovec { base, len: room } = vector.read(cx)?;
    let len = usize::try_from(room).map_or(len, |room| room.min(len));
    if !len.is_multiple_of(WORD as usize) {
        return Err(Errno::EINVAL.because("not whole words"));
    }
    Ok((base, len))
}

fn write_len(cx: &Context<'_>, vector: UserPtr<Iovec>, len: usize) -> Result<()> {
    let at = vector.address().wrapping_add(core::mem::offset_of!(Iovec, len) as u64);
    UserPtr::new(at).write(cx, &(len as u64))
}

fn get_set(cx: &Context<'_>, tracee: &Tracee, kind: u64, vector: UserPtr<Iovec>) -> Result<()> {
    let set = set_of(tracee, kind)?;
    let (base, len) = buffer_for(cx, vector, set.len())?;
    cx.memory().write(base, &set[..len])?;
    write_len(cx, vector, len)
}

fn set_set(cx: &Context<'_>, tracee: &Tracee, kind: u64, vector: UserPtr<Iovec>) -> Result<()> {
    let mut set = set_of(tracee, kind)?;
    let (base, len) = buffer_for(cx, vector, set.len())?;
    cx.memory().read(base, &mut set[..len])?;
    match kind as u32 {
        note::PRSTATUS => {
            let mut registers = UserRegisters::new_zeroed();
            registers.as_mut_bytes().copy_from_slice(&set);
            tracee.set_registers(&registers)?;
        }
        note::PRFPREG => {
            let mut legacy = [0; FXSAVE_LEN];
            legacy.copy_from_slice(&set);
            tracee.set_legacy_state(&legacy)?;
        }
        _ if len < set.len() => {
            return Err(Errno::EFAULT.because("a part of the state is missing"));
        }
        _ => tracee.set_extended_state(&set)?,
    }
    write_len(cx, vector, len)
}

/// `PTRACE_ARCH_PRCTL`: the bases of FS and GS, as arch_prctl(2).
fn bases(cx: &Context<'_>, tracee: &Tracee, address: u64, code: u64) -> Result<()> {
    let mut registers = tracee.registers()?;
    // The code is an int.
    match code as i32 {
        ARCH_GET_FS => return UserPtr::new(address).write(cx, &registers.fs_base),
        ARCH_GET_GS => return UserPtr::new(address).write(cx, &registers.gs_base),
        ARCH_SET_FS | ARCH_SET_GS if address >= TASK_SIZE => {
            return Err(Errno::EPERM.because("not an address of the application"));
        }
        ARCH_SET_FS => registers.fs_base = address,
        ARCH_SET_GS => registers.gs_base = address,
        _ => return Err(Errno::EINVAL.because("no such code")),
    }
    tracee.set_registers(&registers)
}
