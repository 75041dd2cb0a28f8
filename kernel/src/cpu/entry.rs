//! The way in and out: system calls, traps, interrupts.
//!
//! All ways in leave a [`Frame`] at the top of the thread's kernel stack. It holds the xmm
//! registers because the kernel's own code uses them (the precompiled `core` does); the upper
//! halves, x87 and the rest stay in the processor until another thread needs it.
//!
//! A system call comes in by `syscall`, which works at ring 0, and cannot go out by `sysret`,
//! which would force ring 3: it goes out by restoring the flags and a jump, or by `iretq`
//! where a flag needs it. The lean path answers calls whose answers are published, without
//! touching xmm.
//!
//! The code of this section runs with interrupts off, partly with the application's stack
//! pointer and GS; [`super::traps`] knows it by its addresses.

use core::arch::global_asm;

use syscalls::machine::Registers;
use x86_64::VirtAddr;
use x86_64::registers::model_specific::{Efer, EferFlags, LStar, SFMask};
use x86_64::registers::rflags::RFlags;

use super::{local, registers, tables};

/// How many system call numbers, from 0, may have published answers.
pub(crate) const ANSWERS: usize = 256;

/// A published answer that is none: negative.
pub(crate) const NO_ANSWER: u64 = u64::MAX;

/// What an entry saves of the application.
#[repr(C)]
pub(crate) struct Frame {
    /// The xmm registers, 0 to 15.
    pub xmm: [[u8; 16]; 16],
    padding: u64,
    /// The general registers.
    pub registers: Registers,
}

impl Frame {
    /// A frame with these registers.
    pub(crate) fn new(registers: Registers, xmm: [[u8; 16]; 16]) -> Self {
        Self { xmm, padding: 0, registers }
    }
}

const _: () = assert!(size_of::<Frame>() == 416 && size_of::<Registers>() == 19 * 8);

/// Flags that the fast way out cannot restore: TF, DF, NT, AC.
const SLOW_FLAGS: u64 = 0x100 | 0x400 | 0x4000 | 0x4_0000;

/// What a handler tells the entry code: leave by the fast way.
pub(crate) const LEAVE_FAST: u64 = 0;
/// What a handler tells the entry code: restore all registers.
pub(crate) const LEAVE_RESTORING: u64 = 1;

unsafe extern "C" {
    fn syscall_entry();
}

/// Makes `syscall` lead here.
///
/// # Safety
/// Per-CPU data and descriptor tables are set up.
pub(crate) unsafe fn init() {
    const STAR: u32 = 0xc000_0081;
    LStar::write(VirtAddr::from_ptr(syscall_entry as *const ()));
    SFMask::write(
        RFlags::INTERRUPT_FLAG
            | RFlags::TRAP_FLAG
            | RFlags::DIRECTION_FLAG
            | RFlags::NESTED_TASK
            | RFlags::ALIGNMENT_CHECK,
    );
    // SAFETY: code and data selectors are neighbours, as `syscall` wants.
    unsafe {
        registers::write_msr(STAR, u64::from(tables::CODE) << 32);
        Efer::update(|flags| flags.insert(EferFlags::SYSTEM_CALL_EXTENSIONS));
    }
}

global_asm!(
    r#"
    .macro save_xmm
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movaps [rsp + \n * 16], xmm\n
    .endr
    .endm

    .macro restore_xmm
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movaps xmm\n, [rsp + \n * 16]
    .endr
    .endm

    // The general registers below rip, with these as rcx and rax.
    .macro push_general rcx_from, rax_from
    push rdi
    push rsi
    push rdx
    push \rcx_from
    push \rax_from
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    .endm

    // All of `Registers`, of what was interrupted: rax points to its rcx and rax, with vector,
    // error code and the processor's own frame behind. Leaves vector and error code as the
    // second and third argument.
    .macro push_trapped
    push qword ptr [rax + 56]
    push qword ptr [rax + 48]
    push qword ptr [rax + 32]
    push -1
    push_general "qword ptr [rax]", "qword ptr [rax + 8]"
    mov rsi, [rax + 16]
    mov rdx, [rax + 24]
    .endm

    .macro pop_general
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
    add rsp, 8
    .endm

    // What iretq takes, from rip, rflags and rsp at the stack pointer.
    .macro push_return
    push {data}
    push qword ptr [rsp + 24]
    push qword ptr [rsp + 24]
    push {code}
    push qword ptr [rsp + 32]
    .endm

    .section .entry.text, "ax"
    .global syscall_entry
syscall_entry:
    swapgs
    cmp rax, {answers_len}
    jae 2f
    mov gs:[{scratch}], rcx
    mov rcx, gs:[{answers}]
    mov rcx, [rcx + rax * 8]
    test rcx, rcx
    js 1f
    test r11d, {slow_flags}
    jnz 1f
    // The lean way: the answer is published.
    mov rax, rcx
    mov rcx, gs:[{scratch}]
    mov gs:[{user_stack}], rsp
    mov rsp, gs:[{kernel_stack}]
    push r11
    and dword ptr [rsp], {not_interrupt_flag}
    popfq
    mov rsp, gs:[{user_stack}]
    swapgs
    sti
    jmp rcx

1:  mov rcx, gs:[{scratch}]
2:  mov gs:[{user_stack}], rsp
    mov rsp, gs:[{kernel_stack}]
    push qword ptr gs:[{user_stack}]
    push r11
    push rcx
    push rax
    push_general rcx, rax
    sub rsp, 264
    save_xmm
    mov rdi, rsp
    call application_syscall
    test eax, eax
    jnz restore_all
    test dword ptr [rsp + {flags}], {slow_flags}
    jnz restore_all
    restore_xmm
    // What the kernel's code preserves is what it was.
    mov rax, [rsp + {rax}]
    mov rdi, [rsp + {rdi}]
    mov rsi, [rsp + {rsi}]
    mov rdx, [rsp + {rdx}]
    mov r8, [rsp + {r8}]
    mov r9, [rsp + {r9}]
    mov r10, [rsp + {r10}]
    mov rcx, [rsp + {rip}]
    mov r11, [rsp + {flags}]
    lea rsp, [rsp + {flags}]
    and dword ptr [rsp], {not_interrupt_flag}
    popfq
    mov rsp, [rsp]
    swapgs
    sti
    jmp rcx

    // Restores everything from the frame at rsp and returns to the application.
    .global restore_all
restore_all:
    restore_xmm
    add rsp, 264
    pop_general
    push_return
    swapgs
    iretq

    // One stub per vector, 32 bytes each: error code, vector, and on. `int n` pushes no error
    // code, also where the exception of that number does: the parity of the stack tells, and
    // bit 8 of the vector says so.
    .align 32
    .global trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .align 32
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    test spl, 8
    jz 1f
    push 0
    push vector + 256
    jmp trap_common
1:  push vector
    jmp trap_common
    .elseif vector == 2
    iretq                       // NMI: nothing to do, nothing to trust
    .else
    push 0
    push vector
    jmp trap_common
    .endif
    .set vector, vector + 1
    .endr

    // On the interrupt stack: vector, error code, rip, cs, rflags, rsp, ss. A low rip is the
    // application; so is a high rip with a low rsp (a wild jump), unless it is in this
    // section.
    .align 16
trap_common:
    push rax
    push rcx
    mov rax, [rsp + 32]
    test rax, rax
    jns 1f
    cmp qword ptr [rsp + 56], 0
    jl 2f
    lea rcx, [rip + __entry_text_start]
    cmp rax, rcx
    jb 1f
    lea rcx, [rip + __entry_text_end]
    cmp rax, rcx
    jb 2f

1:  // From the application: the frame moves to the thread's kernel stack.
    swapgs
    mov rax, rsp
    mov rsp, gs:[{kernel_stack}]
    push_trapped
    sub rsp, 264
    save_xmm
    mov rdi, rsp
    cld
    call application_trap
    jmp restore_all

2:  // From the kernel: the frame stays here.
    mov rax, rsp
    push_trapped
    mov rbx, rsp
    sub rsp, 256
    and rsp, -16
    save_xmm
    mov rdi, rbx
    cld
    call kernel_trap
    restore_xmm
    mov rsp, rbx
    pop_general
    push_return
    iretq
    .text
    "#,
    answers_len = const ANSWERS,
    kernel_stack = const local::KERNEL_STACK,
    user_stack = const local::USER_STACK,
    answers = const local::ANSWERS,
    scratch = const local::SCRATCH,
    slow_flags = const SLOW_FLAGS,
    not_interrupt_flag = const !0x200_i32,
    code = const tables::CODE,
    data = const tables::DATA,
    flags = const FRAME_REGISTERS + core::mem::offset_of!(Registers, rflags),
    rip = const FRAME_REGISTERS + core::mem::offset_of!(Registers, rip),
    rax = const FRAME_REGISTERS + core::mem::offset_of!(Registers, rax),
    rdi = const FRAME_REGISTERS + core::mem::offset_of!(Registers, rdi),
    rsi = const FRAME_REGISTERS + core::mem::offset_of!(Registers, rsi),
    rdx = const FRAME_REGISTERS + core::mem::offset_of!(Registers, rdx),
    r8 = const FRAME_REGISTERS + core::mem::offset_of!(Registers, r8),
    r9 = const FRAME_REGISTERS + core::mem::offset_of!(Registers, r9),
    r10 = const FRAME_REGISTERS + core::mem::offset_of!(Registers, r10),
);

const FRAME_REGISTERS: usize = core::mem::offset_of!(Frame, registers);
