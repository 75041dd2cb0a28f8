//! The tracer: each system call as strace(1) prints it, sent by
//! [`crate::machine::Machine::trace`].

use alloc::string::String;
use core::fmt::Write;

use abi::number;
use abi::signal::{SigInfo, si};

use crate::context::Context;
use crate::error::{Outcome, Result};
use crate::machine::ExitStatus;
use crate::process::{Attention, Thread};
use crate::signal::{Signal, info};
use crate::table;

/// Makes a system call and sends its line.
#[cold]
pub(crate) fn call(
    cx: &Context<'_>,
    number: u64,
    dispatch: impl FnOnce() -> Result<Outcome>,
) -> Result<Outcome> {
    let mut line = String::new();
    // Writing to a string does not fail; the arguments are shown as they are before the call.
    let _ = show_call(cx, number, &mut line);
    let result = dispatch();
    let _ = show_result(number, &result, &mut line);
    send(cx.thread, line);
    result
}

/// Sends a line, with the number of the thread in front unless it is the program's first.
fn send(thread: &Thread, line: String) {
    let system = thread.system();
    let id = thread.id();
    if id == system.program() {
        system.machine.trace(&line);
    } else {
        system.machine.trace(&alloc::format!("[pid {id}] {line}"));
    }
}

fn show_call(cx: &Context<'_>, number: u64, line: &mut String) -> core::fmt::Result {
    let arguments = cx.registers().arguments();
    match (table::row(number), number::name(number)) {
        (Some(row), _) => {
            write!(line, "{}(", row.name)?;
            row.handler.show(cx, &arguments, line)?;
        }
        (None, Some(name)) => {
            let [a, b, c, d, e, f] = arguments;
            write!(line, "{name}({a:#x}, {b:#x}, {c:#x}, {d:#x}, {e:#x}, {f:#x}")?;
        }
        (None, None) => write!(line, "syscall_{number:#x}(")?,
    }
    line.write_char(')')
}

/// Calls that return an address.
const RETURN_ADDRESSES: [u16; 4] = [
    number::number("brk"),
    number::number("mmap"),
    number::number("mremap"),
    number::number("shmat"),
];

fn show_result(number: u64, result: &Result<Outcome>, line: &mut String) -> core::fmt::Result {
    match result {
        Ok(Outcome::Value(value))
            if RETURN_ADDRESSES.iter().any(|&one| number == u64::from(one)) =>
        {
            write!(line, " = {value:#x}")
        }
        Ok(Outcome::Value(value)) => write!(line, " = {}", *value as i64),
        Ok(Outcome::Replaced) => write!(line, " = 0"),
        Ok(Outcome::Ended) => write!(line, " = ?"),
        Err(error) if error.reason.is_empty() => write!(line, " = -1 {}", error.errno.name()),
        Err(error) => write!(line, " = -1 {} ({})", error.errno.name(), error.reason),
    }
}

/// Sends the line of a signal that is being delivered.
pub(crate) fn signal(thread: &Thread, info: &SigInfo) {
    if !thread.attention.has(Attention::TRACE) {
        return;
    }
    let name = info::signal(info).map_or("SIG?", Signal::name);
    let mut line = String::new();
    let _ = show_signal(name, info, &mut line);
    send(thread, line);
}

fn show_signal(name: &str, info: &SigInfo, line: &mut String) -> core::fmt::Result {
    write!(line, "--- {name} {{si_signo={}, si_code={}", info.signo, info.code)?;
    let child = Signal::SIGCHLD.number();
    match info.code {
        si::KERNEL => {}
        1.. if info.signo == i32::from(child) => {
            let (pid, uid) = (info.fields[0] as u32, info.fields[0] >> 32);
            write!(line, ", si_pid={pid}, si_uid={uid}, si_status={}", info.fields[1] as i32)?;
        }
        1.. => write!(line, ", si_addr={:#x}", info.fields[0])?,
        _ => write!(line, ", si_pid={}, si_uid={}", info.fields[0] as u32, info.fields[0] >> 32)?,
    }
    line.write_str("} ---")
}

/// Sends the line of a thread's end.
pub(crate) fn exit(thread: &Thread, status: ExitStatus) {
    if !thread.attention.has(Attention::TRACE) {
        return;
    }
    match status {
        ExitStatus::Exited(code) => {
            send(thread, alloc::format!("+++ exited with {} +++", code & 0xff));
        }
        ExitStatus::Killed(signal) => {
            let name = Signal::new(signal).map_or("SIG?", Signal::name);
            send(thread, alloc::format!("+++ killed by {name} +++"));
        }
        ExitStatus::NotStarted(_) | ExitStatus::KernelFailure => {}
    }
}
