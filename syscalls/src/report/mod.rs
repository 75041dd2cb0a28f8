//! The report of a program's death: what a core dump's first screen would show.

use alloc::string::String;

use abi::memory::Protection;
use abi::signal::{SigInfo, Signal, si};

use crate::machine::Registers;
use crate::process::{Process, Thread};
use crate::signal::info;

mod recent;

pub(crate) use recent::RecentCalls;

/// Says that `signal` ends the thread's process, why and where.
pub(crate) fn of_death(thread: &Thread, signal: Signal, info: &SigInfo, registers: &Registers) {
    let r = registers;
    let name = thread.name();
    let (name, id) = (name.escape_ascii(), thread.process().id());
    let (signal_name, meaning) = (signal.name(), signal.meaning());
    let origin = match (info::sender(info), info.code) {
        (Some(sender), _) => alloc::format!("sent by process {sender}"),
        (None, si::KERNEL) => String::from(cause(signal, info.code)),
        (None, code) => alloc::format!("{}, {:#x}", cause(signal, code), info.fields[0]),
    };
    log::error!(
        "{name} ({id}) was ended by {signal_name} ({meaning}): {origin}, at rip {:#x}",
        r.rip
    );
    place(thread, "rip", r.rip);
    if info::sender(info).is_none() && info.code != si::KERNEL && info.fields[0] != r.rip {
        place(thread, "address", info.fields[0]);
    }
    log::error!(
        "rax {:#x} rbx {:#x} rcx {:#x} rdx {:#x} rsi {:#x} rdi {:#x} rbp {:#x} rsp {:#x}",
        r.rax,
        r.rbx,
        r.rcx,
        r.rdx,
        r.rsi,
        r.rdi,
        r.rbp,
        r.rsp
    );
    log::error!(
        "r8 {:#x} r9 {:#x} r10 {:#x} r11 {:#x} r12 {:#x} r13 {:#x} r14 {:#x} r15 {:#x} rflags {:#x}",
        r.r8,
        r.r9,
        r.r10,
        r.r11,
        r.r12,
        r.r13,
        r.r14,
        r.r15,
        r.rflags
    );
}

/// Says that a process ends because memory is out.
pub(crate) fn of_memory(process: &Process) {
    let name = process.threads().first().map(|thread| thread.name()).unwrap_or_default();
    log::error!(
        "{} ({}) was ended by SIGKILL: out of memory, of which it had {} KiB",
        name.escape_ascii(),
        process.id(),
        process.memory().usage().resident.saturating_mul(4)
    );
}

/// Says in which memory area an address lies.
fn place(thread: &Thread, what: &str, address: u64) {
    let areas = thread.process().memory().areas();
    match areas.iter().find(|area| area.range.contains(&address)) {
        Some(area) => log::error!(
            "{what} {address:#x} lies in {:#x}-{:#x} {}{}{}",
            area.range.start,
            area.range.end,
            permissions(area.protection),
            if area.name.is_empty() { "" } else { " " },
            area.name
        ),
        None => log::error!("{what} {address:#x} lies in no mapping"),
    }
}

fn permissions(protection: Protection) -> String {
    [(Protection::READ, 'r'), (Protection::WRITE, 'w'), (Protection::EXEC, 'x')]
        .map(|(flag, letter)| if protection.contains(flag) { letter } else { '-' })
        .iter()
        .collect()
}

/// What the code of a signal says, in the words of sigaction(2).
fn cause(signal: Signal, code: i32) -> &'static str {
    match (signal, code) {
        (_, si::KERNEL) => "the processor or the kernel refused an operation",
        (Signal::SIGSEGV, si::SEGV_MAPERR) => "address not mapped",
        (Signal::SIGSEGV, si::SEGV_ACCERR) => "invalid permissions for the mapped address",
        (Signal::SIGBUS, si::BUS_ADRALN) => "invalid address alignment",
        (Signal::SIGBUS, si::BUS_ADRERR) => "beyond the end of the mapped file",
        (Signal::SIGILL, _) => "illegal instruction",
        (Signal::SIGFPE, si::FPE_INTDIV) => "integer divide by zero",
        (Signal::SIGFPE, si::FPE_FLTDIV) => "floating-point divide by zero",
        (Signal::SIGFPE, si::FPE_FLTOVF) => "floating-point overflow",
        (Signal::SIGFPE, si::FPE_FLTUND) => "floating-point underflow",
        (Signal::SIGFPE, si::FPE_FLTRES) => "floating-point inexact result",
        (Signal::SIGFPE, si::FPE_FLTINV) => "floating-point invalid operation",
        (Signal::SIGTRAP, si::TRAP_BRKPT) => "process breakpoint",
        (Signal::SIGTRAP, si::TRAP_TRACE) => "process trace trap",
        _ => "no cause given",
    }
}
