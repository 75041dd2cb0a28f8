//! The report of a program's death: what a core dump's first screen would show.
//!
//! [`of_death`] says on the log which signal ended a process and why, what its registers hold,
//! who called whom (`backtrace`), and what it asked of the system last ([`RecentCalls`]). It
//! believes nothing that it reads: tables may be missing or forged, and text is made harmless.
//! A report has about 60 lines at most, and reads a bounded part of each file.

mod backtrace;
mod calls;
mod object_file;
mod recent;
#[cfg(test)]
mod tests;
mod text;

use alloc::string::String;
use alloc::vec::Vec;

use abi::memory::Protection;
use abi::signal::{SigInfo, Signal, si};
use log::Level;

pub(crate) use recent::RecentCalls;

use crate::machine::Registers;
use crate::mm::Area;
use crate::process::{Process, Thread};
use crate::signal::info;

/// How many bytes of code are shown.
const CODE: usize = 16;

/// Longest path that is shown, in characters.
const MAX_PATH: usize = 120;

/// Says that `signal` ends the thread's process, why and where: to everybody, when it is the
/// program, whose end is the machine's end, and otherwise to who wants to know, for the parent
/// may handle it.
pub(crate) fn of_death(thread: &Thread, signal: Signal, info: &SigInfo, registers: &Registers) {
    let is_program = thread.process().id() == thread.system().program();
    let level = if is_program { Level::Error } else { Level::Info };
    if log::log_enabled!(level) {
        for line in lines(thread, signal, info, registers) {
            log::log!(level, "{line}");
        }
    }
}

/// Says, to who wants to know, that a signal ends the thread's process that shells say nothing
/// about.
pub(crate) fn of_end(thread: &Thread, signal: Signal, info: &SigInfo) {
    log::info!("{}", headline(thread, signal, info));
}

/// Says that a process ends because memory is out.
pub(crate) fn of_memory(process: &Process) {
    let name = process.threads().first().map(|thread| thread.name()).unwrap_or_default();
    log::error!(
        "{} was ended by SIGKILL: out of memory, of which it had {} KiB",
        who(&name, process),
        process.memory().usage().resident.saturating_mul(4)
    );
}

fn lines(thread: &Thread, signal: Signal, info: &SigInfo, registers: &Registers) -> Vec<String> {
    let memory = thread.process().memory();
    let mut lines = Vec::new();
    lines.push(headline(thread, signal, info));
    let address = info.fields[0];
    if has_address(info) && address != registers.rip {
        lines.extend(place(thread, "address", address));
    }
    lines.extend(place(thread, "rip", registers.rip));
    let mut code = [0; CODE];
    if let (len @ 1.., _) = memory.read_partially(registers.rip, &mut code) {
        let bytes: Vec<String> =
            code[..len].iter().map(|byte| alloc::format!("{byte:02x}")).collect();
        lines.push(alloc::format!("  code at rip: {}", bytes.join(" ")));
    }
    lines.extend(registers_lines(registers));
    lines.push(String::from("backtrace:"));
    lines.extend(backtrace::lines(&memory, registers));
    lines.extend(calls::lines(&thread.recent.all()));
    lines
}

fn headline(thread: &Thread, signal: Signal, info: &SigInfo) -> String {
    let origin = match (info::sender(info), info.code) {
        (Some(sender), _) if sender == thread.process().id() => String::from("sent by itself"),
        (Some(sender), _) => alloc::format!("sent by process {sender}"),
        (None, code) if has_address(info) => {
            alloc::format!("{}, {:#x}", cause(signal, code), info.fields[0])
        }
        (None, code) => String::from(cause(signal, code)),
    };
    let (name, meaning) = (signal.name(), signal.meaning());
    let mut who = who(&thread.name(), thread.process());
    if !thread.is_leader() {
        who = alloc::format!("{who}, thread {},", thread.id());
    }
    alloc::format!("{who} was ended by {name} ({meaning}): {origin}")
}

/// A process as its thread is called, and its number.
fn who(name: &[u8], process: &Process) -> String {
    let name = text::shown(name, abi::process::TASK_COMM_LEN);
    alloc::format!("{name} ({})", process.id())
}

/// Whether the signal is about an address.
fn has_address(info: &SigInfo) -> bool {
    info.code > 0 && info.code != si::KERNEL
}

/// Says in which memory area an address lies, or next to which ones.
fn place(thread: &Thread, what: &str, address: u64) -> Vec<String> {
    let memory = thread.process().memory();
    if let Some(area) = memory.area_at(address) {
        return Vec::from([alloc::format!(
            "  {what} {address:#x} lies in {}",
            shown(thread, &area)
        )]);
    }
    let [below, above] = memory.areas_beside(address);
    let mut lines = Vec::from([alloc::format!("  {what} {address:#x} lies in no mapping")]);
    if let Some(area) = below {
        let distance = address.saturating_sub(area.range.end);
        lines.push(alloc::format!("    {distance:#x} bytes above {}", shown(thread, &area)));
    }
    if let Some(area) = above {
        let distance = area.range.start.saturating_sub(address);
        lines.push(alloc::format!("    {distance:#x} bytes below {}", shown(thread, &area)));
    }
    lines
}

/// An area as /proc/PID/maps shows it, in short.
fn shown(thread: &Thread, area: &Area) -> String {
    let letters = [(Protection::READ, 'r'), (Protection::WRITE, 'w'), (Protection::EXEC, 'x')]
        .map(|(flag, letter)| if area.protection.contains(flag) { letter } else { '-' });
    let mut line = alloc::format!("{:#x}-{:#x} ", area.range.start, area.range.end);
    line.extend(letters);
    if let Some((open, offset)) = text::open_file(area) {
        let path = open.location().shown_path(&thread.paths().root());
        line.push_str(&alloc::format!(" {} from {offset:#x}", text::shown(&path, MAX_PATH)));
    } else if !area.name.is_empty() {
        line.push_str(&alloc::format!(" {}", area.name));
    }
    line
}

fn registers_lines(r: &Registers) -> impl Iterator<Item = String> {
    let lines = [
        [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)],
        [("rsi", r.rsi), ("rdi", r.rdi), ("rbp", r.rbp), ("rsp", r.rsp)],
        [("r8 ", r.r8), ("r9 ", r.r9), ("r10", r.r10), ("r11", r.r11)],
        [("r12", r.r12), ("r13", r.r13), ("r14", r.r14), ("r15", r.r15)],
    ];
    let general = lines
        .map(|line| line.map(|(name, value)| alloc::format!("  {name} {value:016x}")).concat());
    let last = alloc::format!("  rip {:016x}  rflags {:x}", r.rip, r.rflags);
    general.into_iter().chain([last])
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
