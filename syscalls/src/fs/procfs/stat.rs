//! /proc/PID/stat and /proc/PID/statm: one line of numbers.

use abi::PAGE_SIZE;
use abi::memory::Protection;
use abi::process::Resource;
use abi::time::{NS_PER_SECOND, TICKS_PER_SECOND, clock};

use crate::error::Result;

use super::entry::Subject;
use super::text::{Text, put};

/// Nanoseconds of a clock tick.
const NS_PER_TICK: u64 = NS_PER_SECOND / TICKS_PER_SECOND;

/// Only the standard signals fit.
const STANDARD_SIGNALS: u64 = 0x7fff_ffff;

/// Signal that the parent gets at the end: `SIGCHLD`.
const EXIT_SIGNAL: u32 = 17;

/// /proc/PID/stat: proc_pid_stat(5), in the order of its fields.
pub(super) fn stat(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let (process, thread) = (&subject.process, &subject.thread);
    let (terminal, foreground) = controlling_terminal(subject);
    put!(text, "{} (", subject.shown(subject.thread.id()));
    text.put(&thread.name());
    let state = &thread.state()[..1];
    let [parent, group, session] =
        [process.parent(), process.group(), process.session()].map(|id| subject.shown(id));
    put!(text, ") {state} {parent} {group} {session}");
    put!(text, " {terminal} {foreground}");
    // flags, page faults of the process and its children, without and with input
    let (own, children) = (process.usage().counts.faults, process.children_usage().counts.faults);
    put!(text, " 0 {own} {children} 0 0");
    for cpu in [process.cpu_time(), process.children_usage().cpu] {
        put!(text, " {} {}", cpu.user_ns() / NS_PER_TICK, cpu.system_ns / NS_PER_TICK);
    }
    let scheduling = thread.scheduling();
    put!(text, " {} {}", scheduling.told_priority(), scheduling.nice);
    let offset_ns = subject.cx.clock_offset_ns(clock::BOOTTIME);
    let started = thread.start_ns().saturating_add_signed(offset_ns) / NS_PER_TICK;
    put!(text, " {} 0 {started}", process.threads().len().max(1));
    let memory = process.memory();
    let usage = memory.usage();
    let limit = process.limits().current(Resource::ResidentSet);
    put!(text, " {} {} {limit}", usage.mapped * PAGE_SIZE as u64, usage.resident);
    let places = memory.places().cloned().unwrap_or_default();
    let (image, stack) = (&places.image, places.stack_pointer);
    put!(text, " {} {} {stack} 0 0", image.start, image.end);
    let (ignored, handled) = process.signals.ignored_and_handled();
    for set in [thread.signals.pending(), thread.signals.blocked(), ignored, handled] {
        put!(text, " {}", set.bits() & STANDARD_SIGNALS);
    }
    // wchan, swapped pages, processor, real-time priority, policy, delays, guest times
    let (priority, policy) = (scheduling.priority, scheduling.policy.number());
    put!(text, " 0 0 0 {EXIT_SIGNAL} 0 {priority} {policy} 0 0 0");
    let heap = memory.program_break();
    put!(text, " {} {} {}", image.start, image.end, heap.start);
    put!(text, " {} {}", places.arguments.start, places.arguments.end);
    put!(text, " {} {} 0\n", places.environment.start, places.environment.end);
    Ok(())
}

/// Device number of the controlling terminal and its foreground group; 0 and -1 without one.
fn controlling_terminal(subject: &Subject<'_>) -> (u64, i64) {
    let session = subject.process.session();
    let terminal = subject.cx.system.terminal_of(session);
    let known = terminal
        .and_then(|one| Some((one.device().encode(), subject.shown(one.foreground_of(session)?))));
    known.map_or((0, -1), |(device, group)| (device, i64::from(group)))
}

/// /proc/PID/statm: proc_pid_statm(5), in pages.
pub(super) fn statm(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    let memory = subject.process.memory();
    let usage = memory.usage();
    let (_, own) = memory.resident(&(0..abi::TASK_SIZE));
    let image = memory.places().map_or(0..0, |places| places.image.clone());
    let areas = memory.areas();
    let code = areas.iter().filter(|area| {
        area.protection.contains(Protection::EXEC) && image.contains(&area.range.start)
    });
    let code: u64 = code.map(crate::mm::Area::pages).sum();
    let shared = usage.resident.saturating_sub(own);
    let data = usage.data + usage.stack;
    put!(text, "{} {} {shared} {code} 0 {data} 0\n", usage.mapped, usage.resident);
    Ok(())
}
