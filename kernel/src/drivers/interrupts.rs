//! The local APIC and the I/O APIC (SDM volume 3, chapter 11; 82093AA data sheet).
//!
//! All devices share one vector: its handler acknowledges every device and wakes the service
//! thread, which looks at all of them. So nothing need be known about interrupt routing.

use x86_64::PhysAddr;
use x86_64::instructions::port::Port;

use super::host;
use crate::cpu::registers::read_msr;
use crate::memory::direct_map;
use crate::time;

/// Vector of the local APIC's timer.
const TIMER: u8 = 0x20;
/// Vector of all devices.
const DEVICE: u8 = 0x30;
/// Vector of an interrupt that went away.
const SPURIOUS: u8 = 0xff;

const APIC_BASE_MSR: u32 = 0x1b;
const IO_APIC: u64 = 0xfec0_0000;

/// Registers of the local APIC, by offset.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Register {
    TaskPriority = 0x80,
    EndOfInterrupt = 0xb0,
    Spurious = 0xf0,
    TimerVector = 0x320,
    TimerInitialCount = 0x380,
    TimerCurrentCount = 0x390,
    TimerDivide = 0x3e0,
}

/// Divide the timer's clock by 1.
const DIVIDE_BY_1: u32 = 0b1011;
const APIC_ENABLE: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;

fn apic_register(register: Register) -> *mut u32 {
    // SAFETY: every x86-64 processor has this register.
    let base = unsafe { read_msr(APIC_BASE_MSR) } & 0xf_ffff_f000;
    direct_map(PhysAddr::new_truncate(base + register as u64)).cast()
}

fn read(register: Register) -> u32 {
    // SAFETY: the registers lie in the direct map, uncached.
    unsafe { apic_register(register).read_volatile() }
}

fn write(register: Register, value: u32) {
    // SAFETY: as in `read`; no register here touches memory.
    unsafe { apic_register(register).write_volatile(value) };
}

/// Sets the controllers up. Interrupts stay off until the idle loop or an application runs.
pub(crate) fn init() {
    mask_8259();
    write(Register::TaskPriority, 0);
    write(Register::Spurious, APIC_ENABLE | u32::from(SPURIOUS));
    write(Register::TimerDivide, DIVIDE_BY_1);
    write(Register::TimerVector, u32::from(TIMER));
    write(Register::TimerInitialCount, u32::MAX);
    route_devices();
}

/// The old controllers would raise exception vectors; some VMMs leave them unmasked.
fn mask_8259() {
    for port in [0x21, 0xa1] {
        // SAFETY: the interrupt mask registers.
        unsafe { Port::<u8>::new(port).write(0xff) };
    }
}

/// Sends every pin of the I/O APIC that may be a device of ours to [`DEVICE`].
fn route_devices() {
    const VERSION: u32 = 1;
    const TABLE: u32 = 0x10;
    const LEVEL: u32 = 1 << 15;
    const ACTIVE_LOW: u32 = 1 << 13;
    let version = io_apic_read(VERSION);
    if version == u32::MAX {
        return;
    }
    for pin in 0..=(version >> 16 & 0xff) {
        let entry = match pin {
            // Timer, keyboard and cascade. The clock's pin, 8, may be a device's: nobody asks
            // the clock for interrupts, and QEMU's microvm has its fourth device there.
            0..=2 => MASKED,
            3..16 => u32::from(DEVICE),
            _ => u32::from(DEVICE) | LEVEL | ACTIVE_LOW,
        };
        io_apic_write(TABLE + pin * 2 + 1, 0);
        io_apic_write(TABLE + pin * 2, entry);
    }
}

fn io_apic(offset: u64) -> *mut u32 {
    direct_map(PhysAddr::new(IO_APIC + offset)).cast()
}

fn io_apic_read(register: u32) -> u32 {
    // SAFETY: select and window registers, uncached in the direct map.
    unsafe {
        io_apic(0).write_volatile(register);
        io_apic(0x10).read_volatile()
    }
}

fn io_apic_write(register: u32, value: u32) {
    // SAFETY: as in `io_apic_read`.
    unsafe {
        io_apic(0).write_volatile(register);
        io_apic(0x10).write_volatile(value);
    }
}

/// Whether `vector` is an interrupt's.
pub(crate) fn is_ours(vector: u64) -> bool {
    u8::try_from(vector).is_ok_and(|vector| matches!(vector, TIMER | DEVICE | SPURIOUS))
}

/// Handles the interrupt `vector`; returns false when it is none.
pub(crate) fn handle(vector: u64) -> bool {
    match u8::try_from(vector) {
        Ok(TIMER) => time::timer_fired(),
        Ok(DEVICE) => host::interrupted(),
        Ok(SPURIOUS) => return true,
        _ => return false,
    }
    write(Register::EndOfInterrupt, 0);
    true
}

/// What is left of the timer's count, in nanoseconds: hypervisors run it at 1 GHz.
pub(crate) fn timer_count() -> u32 {
    read(Register::TimerCurrentCount)
}

/// Lets the timer fire in `count` nanoseconds; 0 stops it.
pub(crate) fn set_timer_count(count: u32) {
    write(Register::TimerVector, u32::from(TIMER));
    write(Register::TimerInitialCount, count);
}
