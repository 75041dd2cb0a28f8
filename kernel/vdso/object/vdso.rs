//! The functions of the vDSO, as vdso(7) lists them for x86-64.
//!
//! They run in the application, with its registers, stack and signals. What the time page
//! cannot answer, the system call of the same name does.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

use core::arch::asm;
use core::arch::x86_64::{_mm_lfence, _rdtsc};

#[allow(dead_code)]
#[path = "../../../abi/src/time_page.rs"]
mod time_page;

use time_page::{Moment, TimePage};

const NS_PER_SECOND: u64 = 1_000_000_000;

/// Numbers of system calls.
const GETTIMEOFDAY: u64 = 96;
const TIME: u64 = 201;
const CLOCK_GETTIME: u64 = 228;
const CLOCK_GETRES: u64 = 229;
const GETCPU: u64 = 309;

/// The clocks of the time of day, one bit for each number: `CLOCK_REALTIME`,
/// `CLOCK_REALTIME_COARSE`, `CLOCK_TAI`.
const WALL_CLOCKS: u32 = 1 << 0 | 1 << 5 | 1 << 11;
/// The clocks of the time since boot: `CLOCK_MONOTONIC`, `_RAW`, `_COARSE`, `CLOCK_BOOTTIME`.
const MONOTONIC_CLOCKS: u32 = 1 << 1 | 1 << 4 | 1 << 6 | 1 << 7;

/// `struct timespec`.
#[repr(C)]
pub struct Timespec {
    seconds: u64,
    nanoseconds: u64,
}

/// `struct timeval`.
#[repr(C)]
pub struct Timeval {
    seconds: u64,
    microseconds: u64,
}

/// `struct timezone`.
#[repr(C)]
pub struct Timezone {
    minutes_west: i32,
    dst_time: i32,
}

/// The time page: the page before the image.
#[inline(always)]
fn time_page() -> &'static TimePage {
    let page: *const TimePage;
    // SAFETY: only an address; the linker defines the symbol as the start of the image.
    unsafe {
        asm!(
            "lea {}, [rip + __ehdr_start - 4096]",
            out(reg) page,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    // SAFETY: the kernel maps it there. A program that unmaps it and calls on has itself to
    // blame, as on Linux.
    unsafe { &*page }
}

#[inline(always)]
fn now() -> Option<Moment> {
    time_page().now(|| {
        // SAFETY: every x86-64 processor has both. Without the fence, the counter could be
        // read before what came earlier in the program.
        unsafe {
            _mm_lfence();
            _rdtsc()
        }
    })
}

#[inline(always)]
fn wall_clock_ns() -> Option<u64> {
    now().map(|moment| moment.monotonic_ns.wrapping_add(moment.wall_offset_ns))
}

/// The bit of a clock in the masks above; 0 where it cannot have one.
#[inline(always)]
fn bit(clock: i32) -> u32 {
    1_u32.checked_shl(clock.cast_unsigned()).unwrap_or(0)
}

/// Makes a system call.
///
/// # Safety
/// That of the call.
#[inline(always)]
unsafe fn system_call(number: u64, first: u64, second: u64) -> i64 {
    let result;
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") 0,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// clock_gettime(2).
///
/// # Safety
/// `to` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_clock_gettime(clock: i32, to: *mut Timespec) -> i32 {
    let bit = bit(clock);
    if bit & (WALL_CLOCKS | MONOTONIC_CLOCKS) != 0
        && let Some(moment) = now()
    {
        let offset = if bit & WALL_CLOCKS != 0 { moment.wall_offset_ns } else { 0 };
        let ns = moment.monotonic_ns.wrapping_add(offset);
        let (seconds, nanoseconds) = (ns / NS_PER_SECOND, ns % NS_PER_SECOND);
        // SAFETY: by the caller.
        unsafe { to.write(Timespec { seconds, nanoseconds }) };
        return 0;
    }
    // SAFETY: the kernel checks the address.
    unsafe { system_call(CLOCK_GETTIME, i64::from(clock).cast_unsigned(), to as u64) as i32 }
}

/// clock_getres(2).
///
/// # Safety
/// `to` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_clock_getres(clock: i32, to: *mut Timespec) -> i32 {
    if bit(clock) & (WALL_CLOCKS | MONOTONIC_CLOCKS) == 0 {
        // SAFETY: the kernel checks the address.
        return unsafe {
            system_call(CLOCK_GETRES, i64::from(clock).cast_unsigned(), to as u64) as i32
        };
    }
    if !to.is_null() {
        // SAFETY: by the caller.
        unsafe { to.write(Timespec { seconds: 0, nanoseconds: 1 }) };
    }
    0
}

/// gettimeofday(2).
///
/// # Safety
/// Each of `to` and `zone` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_gettimeofday(to: *mut Timeval, zone: *mut Timezone) -> i32 {
    if !to.is_null() {
        let Some(ns) = wall_clock_ns() else {
            // SAFETY: the kernel checks the addresses.
            return unsafe { system_call(GETTIMEOFDAY, to as u64, zone as u64) as i32 };
        };
        let (seconds, microseconds) = (ns / NS_PER_SECOND, ns % NS_PER_SECOND / 1000);
        // SAFETY: by the caller.
        unsafe { to.write(Timeval { seconds, microseconds }) };
    }
    if !zone.is_null() {
        // SAFETY: by the caller.
        unsafe { zone.write(Timezone { minutes_west: 0, dst_time: 0 }) };
    }
    0
}

/// time(2).
///
/// # Safety
/// `to` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_time(to: *mut i64) -> i64 {
    let Some(ns) = wall_clock_ns() else {
        // SAFETY: the kernel checks the address.
        return unsafe { system_call(TIME, to as u64, 0) };
    };
    let seconds = (ns / NS_PER_SECOND).cast_signed();
    if !to.is_null() {
        // SAFETY: by the caller.
        unsafe { to.write(seconds) };
    }
    seconds
}

/// getcpu(2).
///
/// # Safety
/// Each of `processor` and `node` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_getcpu(processor: *mut u32, node: *mut u32, _: u64) -> i64 {
    if time_page().processors() != 1 {
        // SAFETY: the kernel checks the addresses.
        return unsafe { system_call(GETCPU, processor as u64, node as u64) };
    }
    for to in [processor, node] {
        if !to.is_null() {
            // SAFETY: by the caller.
            unsafe { to.write(0) };
        }
    }
    0
}
