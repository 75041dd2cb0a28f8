//! Switching stacks, and the first steps of a thread.

use core::arch::global_asm;

use crate::cpu::entry::Frame;

/// What [`switch_stacks`] leaves on a stack.
#[repr(C)]
pub(super) struct Switched {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    rbp: u64,
    rbx: u64,
    return_address: u64,
    /// Keeps the frame above aligned.
    padding: u64,
}

unsafe extern "sysv64" {
    /// Saves the callee-saved registers and the stack pointer to `*save`, takes those of
    /// another thread, and returns there.
    pub(super) fn switch_stacks(save: *mut u64, load: u64);
    fn enter_application();
}

impl Switched {
    /// What a thread that never ran has on its stack, right below its [`Frame`].
    pub(super) fn for_new_thread() -> Self {
        let return_address = enter_application as *const () as u64;
        Self { r15: 0, r14: 0, r13: 0, r12: 0, rbp: 0, rbx: 0, return_address, padding: 0 }
    }
}

const _: () = assert!((size_of::<Switched>() | size_of::<Frame>()).is_multiple_of(16));

global_asm!(
    r#"
    .section .text.switch_stacks, "ax"
    .global switch_stacks
switch_stacks:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [rdi], rsp
    mov rsp, rsi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

    // A new thread: rsp points to the padding, the frame is behind it.
    .global enter_application
enter_application:
    add rsp, 8
    mov rdi, rsp
    call {begin}
    jmp restore_all
    "#,
    begin = sym super::begin,
);
