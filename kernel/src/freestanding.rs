//! Functions that the precompiled `core` and `alloc` expect of a C library.

use core::arch::asm;

/// memcpy(3).
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: by the caller.
    unsafe { copy_up(to, from, len) };
    to
}

/// memmove(3).
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: by the caller; copying upwards is right unless `to` lies inside `from`'s bytes.
    unsafe {
        if (to as usize).wrapping_sub(from as usize) >= len {
            copy_up(to, from, len);
        } else {
            copy_down(to, from, len);
        }
    }
    to
}

unsafe fn copy_up(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) len & 7,
            inout("rcx") len >> 3 => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
}

unsafe fn copy_down(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: by the caller; the direction flag is cleared again.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "cld",
            inout("rcx") len => _,
            inout("rdi") to.wrapping_add(len).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(len).wrapping_sub(1) => _,
            options(nostack),
        );
    }
}

/// memset(3).
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, len: usize) -> *mut u8 {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "rep stosq",
            "mov ecx, {rest:e}",
            "rep stosb",
            rest = in(reg) len & 7,
            inout("rcx") len >> 3 => _,
            inout("rdi") to => _,
            in("rax") u64::from(value as u8) * 0x0101_0101_0101_0101,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// memcmp(3).
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, len: usize) -> i32 {
    let mut at = 0;
    while at < len {
        // SAFETY: by the caller.
        let (a, b) = unsafe { (*one.add(at), *other.add(at)) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
        at += 1;
    }
    0
}

/// bcmp(3).
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, len: usize) -> i32 {
    // SAFETY: by the caller.
    unsafe { memcmp(one, other, len) }
}

/// strlen(3).
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(string: *const u8) -> usize {
    let mut len = 0;
    // SAFETY: by the caller.
    while unsafe { *string.add(len) } != 0 {
        len += 1;
    }
    len
}

/// The precompiled `core` refers to it; nothing unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As [`rust_eh_personality`].
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    panic!("something unwinds");
}
