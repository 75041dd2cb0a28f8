//! The machine: everything of Birgus that is about the processor and its devices.
//!
//! It boots by PVH, sets up memory, traps and devices, and implements
//! [`syscalls::machine::Machine`] for the Linux personality, which does the rest.
//!
//! - [`boot`]: from the loader to [`kernel_main`]
//! - [`memory`]: frames, heap, page tables, copies
//! - [`cpu`]: descriptor tables, the ways in and out, extended state
//! - [`sched`]: threads; [`time`]: clock and timer; [`vdso`]: the time in applications
//! - [`drivers`]: interrupt controllers, virtio, the control channel
//! - [`machine`]: the seam
//!
//! # Lock order
//! Interrupts are off while the kernel holds a lock. From first to last: host (control
//! channel), run queue, clock, an address space's tables, heap, frames.
#![no_std]
#![no_main]

extern crate alloc;

mod boot;
mod cpu;
mod drivers;
mod freestanding;
mod log;
mod machine;
mod memory;
mod panic;
mod power;
mod sched;
mod time;
mod vdso;

use alloc::sync::Arc;
use alloc::vec::Vec;

use ::log::info;
use syscalls::machine::Service;
use x86_64::PhysAddr;

use boot::{CommandLine, DebugAction, StartInfo};
use drivers::{host, interrupts};

/// The table of system calls, for whoever reads the kernel's ELF file; it is not loaded.
#[used]
#[unsafe(link_section = ".birgus.syscalls")]
static SYSTEM_CALLS: [u8; syscalls::table::TEXT_LEN] = syscalls::table::text();

/// The kernel's main function, on the boot stack, with interrupts off.
///
/// # Safety
/// Called by the boot code, once, with the physical address of the start info.
#[unsafe(no_mangle)]
unsafe extern "sysv64" fn kernel_main(start_info: u64) -> ! {
    // SAFETY: by the caller; the order matters: nothing allocates before memory, nothing
    // faults expectedly before the descriptor tables.
    let info = unsafe {
        cpu::init();
        let Some(info) = StartInfo::read(PhysAddr::new_truncate(start_info)) else {
            panic!("the loader left no PVH start info");
        };
        memory::init(&info);
        info
    };
    let command_line = CommandLine(info.command_line().to_str().unwrap_or_default());
    log::init(command_line.log_level());
    sched::init();
    interrupts::init();
    time::init();
    time::learn_wall_clock(command_line.wall_time_ns());
    host::init(command_line);
    info!("birgus {} on {} pages", env!("CARGO_PKG_VERSION"), memory::frames::count().0);
    fail_if_asked_to(command_line);
    let machine: Arc<dyn syscalls::machine::Machine> = Arc::new(machine::Hardware);
    let personality = syscalls::boot(machine, archive(&info), command_line.0);
    // Its thread is next, once this one waits.
    host::entered();
    serve(&*personality)
}

/// The boot archive, where the loader put it.
fn archive(info: &StartInfo) -> &'static [u8] {
    let module = info.module();
    let start = memory::direct_map(PhysAddr::new_truncate(module.start));
    // SAFETY: the loader put the module there, and `memory::init` keeps it from being used
    // for anything else.
    unsafe { core::slice::from_raw_parts(start, (module.end - module.start) as usize) }
}

/// The service thread: brings the personality news of devices and deadlines.
fn serve(personality: &dyn Service) -> ! {
    loop {
        for news in host::news() {
            personality.news(news);
        }
        if machine::deadline_ns().is_some_and(|deadline| deadline <= time::now_ns()) {
            machine::clear_deadline();
            personality.deadline();
        }
        sched::park(machine::deadline_ns());
    }
}

/// Fails in the way the command line asks for, so that tests see how failures are reported.
fn fail_if_asked_to(command_line: CommandLine) {
    match command_line.debug_action() {
        None => {}
        Some(DebugAction::Panic) => panic!("asked to by the command line"),
        Some(DebugAction::OutOfMemory) => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(alloc::vec![1_u8; 1 << 16]);
            }
        }
        // Without a hint that it waits: an emulator would take turns with others at each.
        Some(DebugAction::Hang) => loop {
            x86_64::instructions::nop();
        },
    }
}
