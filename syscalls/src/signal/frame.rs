//! Signal frames: what lies on the stack while a handler runs, byte for byte as on Linux
//! (`arch/x86/kernel/signal_64.c`), so that handlers, unwinders and debuggers find what they
//! know.
//!
//! ```text
//! rsp at the signal
//!   128 bytes that the function may use below its stack pointer (System V ABI, 3.2.2)
//!   extended state, 64-byte aligned, then the second magic number
//!   RtSigFrame; rsp of the handler points at its return address, and is 8 modulo 16
//! ```

use alloc::vec::Vec;

use abi::signal::{
    FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC2, FPX_SW_BYTES_OFFSET, FXSAVE_LEN, FpxSwBytes, RtSigFrame,
    SigAction, SigContext, SigInfo, Signal, UContext, USER_CS, USER_DS, sa, uc,
};
use abi::{Errno, TASK_SIZE};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::machine::Registers;
use crate::process::{Attention, Thread};

use super::SignalSet;
use super::state::TrapRecord;

/// Bytes below the stack pointer that belong to the interrupted function.
const RED_ZONE: u64 = 128;

/// Length of the second magic number, in bytes.
const MAGIC2_LEN: usize = size_of::<u32>();

/// Flags that a handler starts without: direction, resume, trap (single step).
const CLEARED_FLAGS: u64 = 1 << 10 | 1 << 16 | 1 << 8;

/// Flags that rt_sigreturn(2) takes from the frame: arithmetic, trap, direction, alignment
/// check. The rest, above all the interrupt flag and the I/O privilege level, is not the
/// application's.
const RESTORED_FLAGS: u64 = 0x0cd5 | 1 << 8 | 1 << 18;

/// What RFLAGS always has in the application: interrupts on, and bit 1.
const FIXED_FLAGS: u64 = 1 << 9 | 1 << 1;

/// Where the parts of a frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    extended_state: u64,
    frame: u64,
}

/// A frame below `top`, with an extended state of `len` bytes.
fn layout(top: u64, len: usize) -> Layout {
    let extended_state = top.wrapping_sub((len + MAGIC2_LEN) as u64) & !63;
    let frame = extended_state.wrapping_sub(size_of::<RtSigFrame>() as u64) & !15;
    Layout { extended_state, frame: frame.wrapping_sub(8) }
}

/// Puts a frame on the application's stack and lets `registers` enter the handler.
///
/// # Errors
/// `EFAULT` when the stack cannot be written, the alternate stack is too small, or the
/// action has no restorer.
pub(super) fn push(
    thread: &Thread,
    registers: &mut Registers,
    signal: Signal,
    info: SigInfo,
    action: SigAction,
) -> Result<()> {
    if action.flags & sa::RESTORER == 0 {
        return Err(Errno::EFAULT.because("the action has no restorer"));
    }
    let state = save_extended_state(thread)?;
    let (at, context) = prepare(thread, registers, action, state.len() - MAGIC2_LEN)?;
    let frame = RtSigFrame { return_address: action.restorer, context, info };
    let memory = thread.process().memory();
    memory.write(at.extended_state, &state)?;
    memory.write(at.frame, frame.as_bytes())?;
    {
        let mut own = thread.signals.state.lock();
        own.saved_mask = None;
        own.stack.disarm();
    }
    thread.machine().reset_extended_state();
    registers.rdi = u64::from(signal.number());
    registers.rsi = at.frame + core::mem::offset_of!(RtSigFrame, info) as u64;
    registers.rdx = at.frame + core::mem::offset_of!(RtSigFrame, context) as u64;
    registers.rax = 0;
    registers.rip = action.handler;
    registers.rsp = at.frame;
    registers.rflags &= !CLEARED_FLAGS;
    registers.orig_rax = u64::MAX;
    Ok(())
}

/// Where the frame goes, and what it says of the thread.
fn prepare(
    thread: &Thread,
    registers: &Registers,
    action: SigAction,
    state_len: usize,
) -> Result<(Layout, UContext)> {
    let own = thread.signals.state.lock();
    let below = registers.rsp.wrapping_sub(RED_ZONE);
    let nested = own.stack.is_in_use(below);
    let switch = own.stack.top().filter(|_| action.flags & sa::ONSTACK != 0 && !nested);
    let at = layout(switch.unwrap_or(below), state_len);
    if (nested || switch.is_some()) && !own.stack.contains(at.frame) {
        return Err(Errno::EFAULT.because("the alternate stack is too small"));
    }
    let mask = own.saved_mask.unwrap_or(own.blocked);
    let xstate = if state_len > FXSAVE_LEN { uc::FP_XSTATE } else { 0 };
    let context = UContext {
        flags: xstate | uc::SIGCONTEXT_SS | uc::STRICT_RESTORE_SS,
        link: 0,
        stack: own.stack.describe(registers.rsp),
        registers: to_context(registers, own.trap, mask, at.extended_state),
        mask: mask.bits(),
    };
    Ok((at, context))
}

/// The extended state as a frame holds it, with both magic numbers; only zeros at the place
/// of the second where there is no more than `FXSAVE` knows.
fn save_extended_state(thread: &Thread) -> Result<Vec<u8>> {
    let processor = thread.system().machine.processor();
    let len = processor.extended_state_len.max(FXSAVE_LEN);
    let mut state = buffer::zeroed(len + MAGIC2_LEN)?;
    thread.machine().save_extended_state(&mut state[..processor.extended_state_len]);
    if len > FXSAVE_LEN {
        let description = FpxSwBytes {
            magic1: FP_XSTATE_MAGIC1,
            extended_size: (len + MAGIC2_LEN) as u32,
            xfeatures: processor.extended_state_components,
            xstate_size: len as u32,
            padding: [0; 7],
        };
        state[FPX_SW_BYTES_OFFSET..FXSAVE_LEN].copy_from_slice(description.as_bytes());
        state[len..].copy_from_slice(&FP_XSTATE_MAGIC2.to_le_bytes());
    }
    Ok(state)
}

fn to_context(r: &Registers, trap: TrapRecord, mask: SignalSet, fpstate: u64) -> SigContext {
    SigContext {
        r8: r.r8,
        r9: r.r9,
        r10: r.r10,
        r11: r.r11,
        r12: r.r12,
        r13: r.r13,
        r14: r.r14,
        r15: r.r15,
        rdi: r.rdi,
        rsi: r.rsi,
        rbp: r.rbp,
        rbx: r.rbx,
        rdx: r.rdx,
        rax: r.rax,
        rcx: r.rcx,
        rsp: r.rsp,
        rip: r.rip,
        rflags: r.rflags,
        cs: USER_CS,
        gs: 0,
        fs: 0,
        ss: USER_DS,
        err: trap.error_code,
        trapno: trap.vector,
        oldmask: mask.bits(),
        cr2: trap.address,
        fpstate,
        reserved: [0; 8],
    }
}

/// The registers of a frame, made safe to run the application with.
///
/// # Errors
/// `EFAULT` when the instruction pointer is not the application's.
fn from_context(c: &SigContext) -> Result<Registers> {
    if c.rip >= TASK_SIZE {
        return Err(Errno::EFAULT.because("the frame's instruction pointer is the kernel's"));
    }
    Ok(Registers {
        r15: c.r15,
        r14: c.r14,
        r13: c.r13,
        r12: c.r12,
        rbp: c.rbp,
        rbx: c.rbx,
        r11: c.r11,
        r10: c.r10,
        r9: c.r9,
        r8: c.r8,
        rax: c.rax,
        rcx: c.rcx,
        rdx: c.rdx,
        rsi: c.rsi,
        rdi: c.rdi,
        // No system call is to be restarted.
        orig_rax: u64::MAX,
        rip: c.rip,
        rflags: c.rflags & RESTORED_FLAGS | FIXED_FLAGS,
        rsp: c.rsp,
    })
}

/// rt_sigreturn(2): goes back to what the frame on the stack says. A bad frame is
/// `SIGSEGV`.
pub(crate) fn pop(cx: &Context<'_>) -> Outcome {
    if restore(cx).is_err() {
        cx.thread.force_segv(false);
    }
    Outcome::Replaced
}

fn restore(cx: &Context<'_>) -> Result<()> {
    // The handler's `ret` took the return address.
    let address = cx.registers().rsp.wrapping_sub(8);
    let mut frame = RtSigFrame::new_zeroed();
    cx.memory().read(address, frame.as_mut_bytes())?;
    let context = &frame.context;
    let registers = from_context(&context.registers)?;
    restore_extended_state(cx, context.registers.fpstate)?;
    cx.thread.attention.clear(Attention::MASK);
    cx.thread.set_blocked(SignalSet::blockable(context.mask));
    // As Linux does, whatever it says: most often that the stack is still in use.
    let _ = cx.thread.signals.state.lock().stack.set(context.stack, registers.rsp);
    cx.set_registers(registers);
    Ok(())
}

fn restore_extended_state(cx: &Context<'_>, address: u64) -> Result<()> {
    let machine = cx.thread.machine();
    if address == 0 {
        machine.reset_extended_state();
        return Ok(());
    }
    if address & 63 != 0 {
        return Err(Errno::EFAULT.because("the frame's extended state is not aligned"));
    }
    let len = cx.system.machine.processor().extended_state_len.max(FXSAVE_LEN);
    let mut state = buffer::zeroed(len)?;
    cx.memory().read(address, &mut state[..FXSAVE_LEN])?;
    if len > FXSAVE_LEN {
        if is_complete(cx, address, &state, len) {
            let rest = address.wrapping_add(FXSAVE_LEN as u64);
            cx.memory().read(rest, &mut state[FXSAVE_LEN..])?;
        } else {
            // Only what `FXSAVE` knows: the header says x87 and SSE, the rest starts anew.
            state[FXSAVE_LEN] = 3;
        }
    }
    machine
        .restore_extended_state(&state)
        .map_err(|_| Errno::EFAULT.because("the frame's extended state is not valid"))
}

/// Whether both magic numbers say that the state at `address` is as long as the
/// processor's.
fn is_complete(cx: &Context<'_>, address: u64, legacy: &[u8], len: usize) -> bool {
    let Ok(words) = FpxSwBytes::read_from_bytes(&legacy[FPX_SW_BYTES_OFFSET..FXSAVE_LEN]) else {
        return false;
    };
    let mut magic2 = [0; MAGIC2_LEN];
    words.magic1 == FP_XSTATE_MAGIC1
        && words.xstate_size as usize == len
        && words.extended_size as usize == len + MAGIC2_LEN
        && cx.memory().read(address.wrapping_add(len as u64), &mut magic2).is_ok()
        && u32::from_le_bytes(magic2) == FP_XSTATE_MAGIC2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_aligned_as_linux_aligns_them() {
        for top in 0x7fff_0000..0x7fff_0080 {
            for len in [512, 576, 832, 2696] {
                let at = layout(top, len);
                assert_eq!(at.extended_state % 64, 0);
                assert_eq!(at.frame % 16, 8);
                assert!(at.extended_state + len as u64 + 4 <= top);
                assert!(at.frame + 440 <= at.extended_state);
            }
        }
    }

    #[test]
    fn a_frame_cannot_turn_interrupts_off_or_jump_into_the_kernel() {
        let context = SigContext { rflags: u64::MAX, rip: 0x1000, ..SigContext::default() };
        let registers = from_context(&context).unwrap();
        assert_eq!(registers.rflags, 0x4_0fd7);
        let context = SigContext { rflags: 0, ..context };
        assert_eq!(from_context(&context).unwrap().rflags, 0x202);
        let context = SigContext { rip: 0xffff_8000_0000_0000, ..context };
        assert!(from_context(&context).is_err());
    }
}
