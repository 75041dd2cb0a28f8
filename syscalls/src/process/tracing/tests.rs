//! A tracer and who it traces, on the fake machine.

use abi::Errno;
use abi::core_dump::UserRegisters;
use abi::number;
use abi::process::CloneFlags;
use abi::ptrace::{TraceOptions, request};
use abi::signal::Signal;
use zerocopy::IntoBytes;

use crate::error::Result;
use crate::fake::{Application, kit};
use crate::process::Thread;
use crate::process::family_tests::{ANY, ROOM, errno, exit, load, note, notes};
use crate::signal::SignalSet;

use super::attach::Terms;
use super::{Seizure, Stop};

/// `__WALL`.
const ALL: u64 = 0x4000_0000;
const STOPPED: u32 = 0x7f;

fn trace(application: &mut Application, what: u64, id: u64, address: u64, data: u64) -> u64 {
    application.call("ptrace", &[what, id, address, data])
}

fn status(application: &mut Application) -> u64 {
    application.call("wait4", &[ANY, ROOM, ALL, 0]);
    u64::from(load::<u32>(application, ROOM))
}

fn stopped(signal: Signal) -> u64 {
    u64::from(u32::from(signal.number()) << 8 | STOPPED)
}

/// Forks a child that is traced and stops itself before it runs `body`.
fn traced(application: &mut Application, body: fn(&mut Application)) -> u64 {
    let child = application.fork("fork", &[], move |child| {
        trace(child, request::TRACEME, 0, 0, 0);
        let own = child.call("getpid", &[]);
        child.call("kill", &[own, u64::from(Signal::SIGSTOP.number())]);
        body(child);
    });
    assert_eq!(status(application), stopped(Signal::SIGSTOP));
    child
}

#[test]
fn a_tracer_sees_calls_and_changes_them() {
    let seen = notes(|application, notes| {
        let child = traced(application, |child| {
            let result = child.call("close", &[77]);
            exit(child, result);
        });
        let at = ROOM + 0x100;
        trace(application, request::SYSCALL, child, 0, 0);
        assert_eq!(status(application), stopped(Signal::SIGTRAP));
        trace(application, request::GETREGS, child, 0, at);
        let mut registers: UserRegisters = load(application, at);
        note(notes, registers.orig_rax);
        note(notes, registers.rax);
        registers.orig_rax = u64::from(number::number("getuid"));
        application.store(at, registers.as_bytes());
        note(notes, trace(application, request::SETREGS, child, 0, at));
        trace(application, request::SYSCALL, child, 0, 0);
        status(application);
        trace(application, request::POKEUSER, child, 80, 5);
        note(notes, trace(application, request::CONT, child, 0, 0));
        note(notes, status(application));
    });
    let close = u64::from(number::number("close"));
    assert_eq!(seen, [close, errno(Errno::ENOSYS), 0, 0, 0x500]);
}

#[test]
fn signals_are_the_tracers_to_give() {
    let seen = notes(|application, notes| {
        let child = traced(application, |child| {
            let own = child.call("getpid", &[]);
            child.call("kill", &[own, u64::from(Signal::SIGTERM.number())]);
            exit(child, 3);
        });
        note(notes, trace(application, request::CONT, child, 0, 0));
        note(notes, status(application));
        note(notes, trace(application, request::CONT, child, 0, 0));
        note(notes, status(application));
        note(notes, trace(application, request::CONT, child, 0, 0));
    });
    assert_eq!(seen, [0, stopped(Signal::SIGTERM), 0, 0x300, errno(Errno::ESRCH)]);
}

#[test]
fn who_traces_another_lets_it_go_at_its_end() {
    let seen = notes(|application, notes| {
        let sleeper = application.fork("fork", &[], |child| {
            child.call("poll", &[0, 0, 50]);
            exit(child, 7);
        });
        let tracer = application.fork("fork", &[], move |child| {
            trace(child, request::ATTACH, sleeper, 0, 0);
            let mut told = status(child);
            told += trace(child, request::ATTACH, sleeper, 0, 0).wrapping_neg() << 32;
            exit(child, u64::from(told == stopped(Signal::SIGSTOP) + (1 << 32)));
        });
        application.call("wait4", &[tracer, ROOM, 0, 0]);
        note(notes, u64::from(load::<u32>(application, ROOM)));
        note(notes, application.call("wait4", &[sleeper, ROOM, 0, 0]) - sleeper);
        note(notes, u64::from(load::<u32>(application, ROOM)));
    });
    assert_eq!(seen, [0x100, 0, 0x700]);
}

#[test]
fn the_parent_learns_of_the_end_after_the_tracer() {
    let seen = notes(|application, notes| {
        let sleeper = application.fork("fork", &[], |child| {
            child.call("poll", &[0, 0, 20]);
            exit(child, 7);
        });
        let tracer = application.fork("fork", &[], move |child| {
            trace(child, request::SEIZE, sleeper, 0, 0);
            child.call("poll", &[0, 0, 60]);
            let told = status(child);
            exit(child, told >> 8);
        });
        application.call("poll", &[0, 0, 40]);
        // It has ended by now, but its tracer has not looked yet.
        note(notes, application.call("wait4", &[sleeper, ROOM, 1, 0]));
        application.call("wait4", &[tracer, ROOM, 0, 0]);
        note(notes, u64::from(load::<u32>(application, ROOM)));
        note(notes, application.call("wait4", &[sleeper, ROOM, 1, 0]) - sleeper);
    });
    assert_eq!(seen, [0, 0x700, 0]);
}

/// Where no machine can go on.
const NOWHERE: u64 = 1 << 63;
const RIP: u64 = 128;
const RDI: u64 = 112;

/// Sends a child to nowhere from the entry of the call that `body` makes, and detaches.
fn sent_nowhere(application: &mut Application, body: fn(&mut Application)) {
    let child = traced(application, body);
    trace(application, request::SYSCALL, child, 0, 0);
    status(application);
    assert_eq!(trace(application, request::POKEUSER, child, RIP, NOWHERE), 0);
    assert_eq!(trace(application, request::DETACH, child, 0, 0), 0);
}

#[test]
fn who_was_sent_beyond_the_application_gets_a_segmentation_fault() {
    let killed = u64::from(Signal::SIGSEGV.number());
    let seen = notes(|application, notes| {
        let child = traced(application, |_| {});
        trace(application, request::POKEUSER, child, RIP, NOWHERE);
        trace(application, request::DETACH, child, 0, 0);
        note(notes, status(application) & 0x7f);
        sent_nowhere(application, |child| {
            child.call("close", &[77]);
        });
        note(notes, status(application) & 0x7f);
        // Its child goes the same way, and tells nobody.
        sent_nowhere(application, |child| {
            child.fork("fork", &[], |_| {});
        });
        note(notes, status(application) & 0x7f);
    });
    assert_eq!(seen, [killed; 3]);
}

#[test]
fn what_a_tracer_changed_at_the_entry_of_a_call_stays_after_it_has_gone() {
    let seen = notes(|application, notes| {
        let child = traced(application, |child| {
            child.registers.rdi = 0;
            child.call("getppid", &[]);
            let rdi = child.registers.rdi;
            exit(child, rdi);
        });
        trace(application, request::SYSCALL, child, 0, 0);
        status(application);
        trace(application, request::POKEUSER, child, RDI, 9);
        trace(application, request::DETACH, child, 0, 0);
        note(notes, status(application));
    });
    assert_eq!(seen, [0x900]);
}

#[test]
fn who_waits_for_a_stop_learns_of_the_end() {
    let seen = notes(|application, notes| {
        let stopped = application.fork("fork", &[], |child| {
            let own = child.call("getpid", &[]);
            child.call("kill", &[own, u64::from(Signal::SIGSTOP.number())]);
        });
        application.call("poll", &[0, 0, 10]);
        application.call("pipe2", &[ROOM, 0]);
        let [from, to]: [u32; 2] = load(application, ROOM);
        let killer = application.fork("fork", &[], move |child| {
            child.call("read", &[from.into(), ROOM, 1]);
            child.call("kill", &[stopped, u64::from(Signal::SIGKILL.number())]);
            exit(child, 0);
        });
        application.call("poll", &[0, 0, 10]);
        // The killer runs while this one waits for the stop.
        application.call("write", &[to.into(), ROOM, 1]);
        note(notes, trace(application, request::ATTACH, stopped, 0, 0));
        application.call("wait4", &[killer, ROOM, 0, 0]);
        application.call("wait4", &[stopped, ROOM, 0, 0]);
        note(notes, u64::from(load::<u32>(application, ROOM)));
    });
    assert_eq!(seen, [0, u64::from(Signal::SIGKILL.number())]);
}

#[test]
fn a_thread_that_lives_traces_in_the_place_of_the_one_that_has_ended() {
    let threads = CloneFlags::VM | CloneFlags::SIGHAND | CloneFlags::THREAD;
    let seen = notes(move |application, notes| {
        let inner = notes.clone();
        let parent = application.fork("fork", &[], move |main| {
            let inner = inner.clone();
            let child = main.fork("fork", &[], |child| {
                child.call("poll", &[0, 0, 20]);
                trace(child, request::TRACEME, 0, 0, 0);
                let own = child.call("getpid", &[]);
                child.call("kill", &[own, u64::from(Signal::SIGSTOP.number())]);
                exit(child, 3);
            });
            main.fork("clone", &[threads.bits(), 0, 0, 0, 0], move |thread| {
                note(&inner, status(thread));
                note(&inner, trace(thread, request::CONT, child, 0, 0));
                note(&inner, status(thread));
                exit(thread, 0);
            });
            main.call("exit", &[0]);
        });
        application.call("wait4", &[parent, ROOM, 0, 0]);
    });
    assert_eq!(seen, [stopped(Signal::SIGSTOP), 0, 0x300]);
}

fn seized(by: &Thread) -> Terms {
    let (seizure, options) = (Seizure::Seized, TraceOptions::empty());
    Terms { seizure, options, credentials: by.credentials() }
}

#[test]
fn who_ends_begins_to_trace_nobody() {
    let kit = kit::process();
    let tracer = Thread::new(kit.system.clone(), kit.process.clone());
    tracer.begin_to_leave();
    let refused = kit.thread.be_traced_by(&tracer, seized(&kit.thread));
    assert_eq!(refused.unwrap_err().errno, Errno::EPERM);
    assert!(!kit.thread.is_traced());
}

#[test]
fn a_tracer_does_not_take_its_own_registers_for_those_of_who_has_gone() {
    let kit = kit::process();
    let cx = kit.context();
    // It has no machine's side any more.
    let gone = Thread::new(kit.system.clone(), kit.process.clone());
    gone.be_traced_by(&kit.thread, seized(&kit.thread)).unwrap();
    gone.tracing.state.lock().stop =
        Some(Stop { code: 5, info: None, is_told: true, is_listening: false });
    let tracee = cx.stopped_tracee(gone).unwrap();
    let gone = |result: Result<()>| assert_eq!(result.unwrap_err().errno, Errno::ESRCH);
    gone(tracee.registers().map(drop));
    gone(tracee.set_registers(&UserRegisters { cs: 0x33, ss: 0x2b, ..Default::default() }));
    gone(tracee.extended_state().map(drop));
    gone(tracee.set_debug_register(0, 0));
    gone(tracee.set_blocked(SignalSet::default()));
}
