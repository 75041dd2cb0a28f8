//! /proc/PID/status: proc_pid_status(5).

use abi::PAGE_SIZE;
use abi::process::Resource;

use crate::error::Result;
use crate::signal::SignalSet;

use super::entry::Subject;
use super::text::{Text, put};

/// /proc/PID/status. Peaks of the address space, sizes of page tables and context switches
/// are not counted and have no line.
pub(super) fn status(subject: &Subject<'_>, text: &mut Text) -> Result<()> {
    text.put(b"Name:\t");
    text.put_path(&subject.thread.name(), |byte| matches!(byte, b'\n' | b'\\'));
    text.put(b"\n");
    let has_ended = subject.thread.has_ended();
    if !has_ended {
        put!(text, "Umask:\t{:04o}\n", subject.thread.paths().umask().bits());
    }
    identity(subject, text);
    if !has_ended {
        memory(subject, text);
    }
    signals(subject, text);
    capabilities(subject, text);
    processors(subject, text);
    Ok(())
}

fn identity(subject: &Subject<'_>, text: &mut Text) {
    let process = &subject.process;
    let thread = subject.shown(subject.thread.id());
    let parent = subject.shown(process.parent());
    let here = subject.cx.user_namespace();
    let who = subject.thread.credentials();
    let state = subject.thread.state();
    put!(text, "State:\t{state}\nTgid:\t{}\nNgid:\t0\n", subject.shown(process.id()));
    let tracer = subject.shown(subject.thread.tracer_id());
    put!(text, "Pid:\t{thread}\nPPid:\t{parent}\nTracerPid:\t{tracer}\n");
    let users = who.users.map(|id| here.shown_user(id));
    let groups = who.groups.map(|id| here.shown_group(id));
    for (name, ids) in [("Uid", users), ("Gid", groups)] {
        let (real, effective) = (ids.real, ids.effective);
        put!(text, "{name}:\t{real}\t{effective}\t{}\t{}\n", ids.saved, ids.file_system);
    }
    let open = subject.thread.files().open_descriptors();
    let highest = open.last().and_then(|fd| fd.index()).unwrap_or(0);
    let room = if subject.thread.has_ended() { 0 } else { (highest + 1).next_multiple_of(64) };
    put!(text, "FDSize:\t{room}\nGroups:\t");
    for &group in &who.supplementary {
        put!(text, "{} ", here.shown_group(group));
    }
    text.put(b"\n");
    for (name, id) in [
        ("NStgid", process.id()),
        ("NSpid", subject.thread.id()),
        ("NSpgid", process.group()),
        ("NSsid", process.session()),
    ] {
        put!(text, "{name}:");
        for shown in subject.shown_inwards(id) {
            put!(text, "\t{shown}");
        }
        text.put(b"\n");
    }
    text.put(b"Kthread:\t0\n");
}

fn memory(subject: &Subject<'_>, text: &mut Text) {
    const KIB_PER_PAGE: u64 = PAGE_SIZE as u64 / 1024;
    let memory = subject.process.memory();
    let usage = memory.usage();
    let (resident, own) = memory.resident(&(0..abi::TASK_SIZE));
    for (name, pages) in [
        ("VmSize", usage.mapped),
        ("VmLck", usage.locked),
        ("VmPin", 0),
        ("VmHWM", usage.resident_peak),
        ("VmRSS", resident),
        ("RssAnon", own),
        ("RssFile", resident.saturating_sub(own)),
        ("VmData", usage.data),
        ("VmStk", usage.stack),
        ("VmSwap", 0),
    ] {
        put!(text, "{name}:\t{:8} kB\n", pages * KIB_PER_PAGE);
    }
}

fn signals(subject: &Subject<'_>, text: &mut Text) {
    let (process, thread) = (&subject.process, &subject.thread);
    let (ignored, handled) = process.signals.ignored_and_handled();
    let queue = process.limits().current(Resource::PendingSignals);
    let (own, shared) = (thread.signals.pending(), process.signals.pending());
    let queued = own.bits().count_ones() + shared.bits().count_ones();
    put!(text, "Threads:\t{}\nSigQ:\t{queued}/{queue}\n", process.threads().len().max(1));
    let sets: [(&str, SignalSet); 5] = [
        ("SigPnd", own),
        ("ShdPnd", shared),
        ("SigBlk", thread.signals.blocked()),
        ("SigIgn", ignored),
        ("SigCgt", handled),
    ];
    for (name, set) in sets {
        put!(text, "{name}:\t{:016x}\n", set.bits());
    }
}

fn capabilities(subject: &Subject<'_>, text: &mut Text) {
    let who = subject.thread.credentials();
    for (name, set) in [
        ("CapInh", who.inheritable),
        ("CapPrm", who.permitted),
        ("CapEff", who.effective),
        ("CapBnd", who.bounding),
        ("CapAmb", who.ambient),
    ] {
        put!(text, "{name}:\t{:016x}\n", set.0);
    }
    put!(text, "NoNewPrivs:\t{}\nSeccomp:\t0\n", u8::from(who.no_new_privileges));
}

fn processors(subject: &Subject<'_>, text: &mut Text) {
    let count = subject.cx.system.machine.processor().count.clamp(1, 64);
    let mask = u64::MAX >> (64 - count);
    put!(text, "Cpus_allowed:\t{mask:x}\nCpus_allowed_list:\t");
    match count {
        1 => put!(text, "0\n"),
        _ => put!(text, "0-{}\n", count - 1),
    }
    put!(text, "Mems_allowed:\t1\nMems_allowed_list:\t0\n");
}
