//! Signals as a program sees them, on the fake machine.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::Mutex;

use abi::signal::{RtSigFrame, SigAction, SigInfo, Signal, StackT, sa, si};
use abi::{Errno, TASK_SIZE};
use zerocopy::FromBytes;

use crate::fake::kit::{self, AREA, AREA_LEN, BAD_ADDRESS, Kit};
use crate::fake::{Application, HostEvent};
use crate::fs::{Fd, OnExec, OpenFile};
use crate::machine::{ExitStatus, Machine, Registers, Stream, Trap};
use crate::process::{Process, Thread};

/// Where programs of the tests are.
const MAIN: u64 = 0x10_0000;
const HANDLER: u64 = 0x20_0000;
const RESTORER: u64 = 0x30_0000;

/// What a test notes of its handlers.
type Notes = Arc<Mutex<Vec<u64>>>;

/// Runs `main` as the program of a machine, to its end.
fn run(kit: &Kit, main: impl Fn(&mut Application) + Send + Sync + 'static) -> Option<ExitStatus> {
    run_with(kit, crate::fs::stream::open(&kit.system, Stream::Stdin), main)
}

/// As [`run`], with this descriptor 0.
fn run_with(
    kit: &Kit,
    stdin: Arc<OpenFile>,
    main: impl Fn(&mut Application) + Send + Sync + 'static,
) -> Option<ExitStatus> {
    kit.machine.set_program(MAIN, main);
    kit.machine.set_program(RESTORER, |application| {
        application.call("rt_sigreturn", &[]);
    });
    let paths = kit.process.paths.duplicate();
    let process = Arc::new(Process::new(3, kit.process.memory(), paths));
    process.files.set(Fd(0), stdin, OnExec::Keep, 16).unwrap();
    kit.system.processes.insert(process.clone());
    kit.system.set_program(process.id());
    kit.machine.set_service(&kit.system);
    let thread = Thread::new(kit.system.clone(), process);
    let registers =
        Registers { rip: MAIN, rsp: AREA + AREA_LEN - 64, rflags: 0x202, ..Registers::default() };
    thread.start(registers).unwrap();
    kit.machine.run()
}

/// Lets the program handle `signal` at `HANDLER`.
fn handle(application: &mut Application, kit_room: u64, signal: Signal, flags: u64) {
    let action =
        SigAction { handler: HANDLER, flags: flags | sa::RESTORER, restorer: RESTORER, mask: 0 };
    application.store(kit_room, zerocopy::IntoBytes::as_bytes(&action));
    let number = u64::from(signal.number());
    assert_eq!(application.call("rt_sigaction", &[number, kit_room, 0, 8]), 0);
}

#[test]
fn exit_statuses_reach_the_machine() {
    let status = run(&kit::process(), |application| {
        application.call("exit_group", &[77]);
    });
    assert_eq!(status, Some(ExitStatus::Exited(77)));
    let status = run(&kit::process(), |application| {
        application.call("exit", &[3]);
    });
    assert_eq!(status, Some(ExitStatus::Exited(3)));
}

#[test]
fn a_handler_runs_with_a_frame_as_on_linux_and_returns() {
    let kit = kit::process();
    let room = kit.room(64);
    let notes = Notes::default();
    let seen = notes.clone();
    kit.machine.set_program(HANDLER, move |application| {
        let registers = application.registers;
        let mut bytes = [0; size_of::<RtSigFrame>()];
        application.load(registers.rsp, &mut bytes);
        let frame = RtSigFrame::read_from_bytes(&bytes).unwrap();
        assert_eq!(registers.rsp % 16, 8);
        assert_eq!(registers.rdi, 10);
        assert_eq!(registers.rsi, registers.rsp + 8 + 304);
        assert_eq!(registers.rdx, registers.rsp + 8);
        assert_eq!(registers.rflags & (1 << 10), 0);
        assert_eq!(frame.return_address, RESTORER);
        assert_eq!((frame.info.signo, frame.info.code), (10, si::USER));
        assert_eq!(frame.info.fields[0], 3);
        assert_eq!(frame.context.registers.fpstate % 64, 0);
        assert_eq!(frame.context.registers.rbx, 0xb0b);
        assert_eq!(frame.context.registers.rax, 0, "the result of kill");
        assert_eq!(frame.context.mask, 0);
        // While the handler runs, the signal is blocked.
        application.call("rt_sigprocmask", &[0, 0, room, 8]);
        let mut mask = [0; 8];
        application.load(room, &mut mask);
        seen.lock().unwrap().push(u64::from_le_bytes(mask));
        application.registers.rbx = 1;
        application.registers.rsp = registers.rsp;
    });
    let status = run(&kit, move |application| {
        handle(application, room, Signal::SIGUSR1, sa::SIGINFO);
        application.registers.rbx = 0xb0b;
        application.registers.rflags |= 1 << 10;
        let before = application.registers.rsp;
        assert_eq!(application.call("kill", &[3, 10]), 0);
        assert_eq!(application.registers.rbx, 0xb0b);
        assert_eq!(application.registers.rsp, before);
        assert_eq!(application.registers.rflags, 0x602);
        application.call("rt_sigprocmask", &[0, 0, room, 8]);
        let mut mask = [1; 8];
        application.load(room, &mut mask);
        assert_eq!(mask, [0; 8]);
        application.call("exit_group", &[0]);
    });
    assert_eq!(status, Some(ExitStatus::Exited(0)));
    assert_eq!(*notes.lock().unwrap(), [1 << 9]);
}

#[test]
fn a_handler_that_is_to_run_once_runs_once() {
    let kit = kit::process();
    let room = kit.room(64);
    let notes = Notes::default();
    let seen = notes.clone();
    kit.machine.set_program(HANDLER, move |_| seen.lock().unwrap().push(1));
    let status = run(&kit, move |application| {
        handle(application, room, Signal::SIGUSR1, sa::RESETHAND);
        application.call("kill", &[3, 10]);
        application.call("kill", &[3, 10]);
    });
    assert_eq!(status, Some(ExitStatus::Killed(10)));
    assert_eq!(notes.lock().unwrap().len(), 1);
}

#[test]
fn in_an_orphaned_group_only_sigstop_stops() {
    let status = run(&kit::process(), |application| {
        for signal in [20, 21, 22] {
            assert_eq!(application.call("kill", &[3, signal]), 0);
        }
        application.call("exit_group", &[4]);
    });
    assert_eq!(status, Some(ExitStatus::Exited(4)));
}

#[test]
fn a_blocked_signal_waits_and_comes_when_it_is_unblocked() {
    let kit = kit::process();
    let room = kit.room(64);
    let set = kit.put_value(&(1_u64 << 9));
    let notes = Notes::default();
    let seen = notes.clone();
    kit.machine.set_program(HANDLER, move |_| seen.lock().unwrap().push(1));
    let expected = notes.clone();
    run(&kit, move |application| {
        handle(application, room, Signal::SIGUSR1, 0);
        application.call("rt_sigprocmask", &[0, set, 0, 8]);
        application.call("kill", &[3, 10]);
        assert!(expected.lock().unwrap().is_empty());
        application.call("rt_sigpending", &[room, 8]);
        let mut pending = [0; 8];
        application.load(room, &mut pending);
        assert_eq!(u64::from_le_bytes(pending), 1 << 9);
        application.call("rt_sigprocmask", &[1, set, 0, 8]);
        assert_eq!(expected.lock().unwrap().len(), 1);
        application.call("exit_group", &[0]);
    });
    assert_eq!(notes.lock().unwrap().len(), 1);
}

#[test]
fn a_pause_ends_with_eintr_after_a_handler() {
    let kit = kit::process();
    let room = kit.room(64);
    kit.machine.set_program(HANDLER, |_| {});
    kit.machine.host_at(1_000_000, HostEvent::Signal(15));
    let status = run(&kit, move |application| {
        handle(application, room, Signal::SIGTERM, sa::RESTART);
        let result = application.call("pause", &[]);
        assert_eq!(kit::result(result), Err(Errno::EINTR));
        application.call("exit_group", &[5]);
    });
    assert_eq!(status, Some(ExitStatus::Exited(5)));
}

/// Reads a byte of standard input, which comes after 2 ms, while `SIGTERM` comes after 1 ms.
fn read_with_a_signal(flags: u64) -> Result<u64, Errno> {
    let kit = kit::process();
    let room = kit.room(64);
    let notes = Arc::new(Mutex::new(None));
    let result = notes.clone();
    kit.machine.set_program(HANDLER, |_| {});
    kit.machine.host_at(1_000_000, HostEvent::Signal(15));
    kit.machine.host_at(2_000_000, HostEvent::Feed(Stream::Stdin, b"x".to_vec()));
    let stdin = crate::fs::stream::open(&kit.system, Stream::Stdin);
    let status = run_with(&kit, stdin, move |application| {
        handle(application, room, Signal::SIGTERM, flags);
        *result.lock().unwrap() = Some(kit::result(application.call("read", &[0, room, 1])));
        application.call("exit_group", &[0]);
    });
    assert_eq!(status, Some(ExitStatus::Exited(0)));
    notes.lock().unwrap().take().unwrap()
}

#[test]
fn a_read_is_restarted_after_a_handler_that_asks_for_it() {
    assert_eq!(read_with_a_signal(sa::RESTART), Ok(1));
    assert_eq!(read_with_a_signal(0), Err(Errno::EINTR));
}

#[test]
fn a_stopped_program_goes_on_with_its_sleep_when_it_is_continued() {
    let kit = kit::process();
    let duration = kit.put_value(&[0_i64, 5_000_000]);
    kit.machine.host_at(1_000_000, HostEvent::Signal(19));
    kit.machine.host_at(2_000_000, HostEvent::Signal(18));
    let machine = kit.machine.clone();
    let status = run(&kit, move |application| {
        let before = machine.monotonic_ns();
        assert_eq!(application.call("nanosleep", &[duration, 0]), 0);
        let after = machine.monotonic_ns();
        assert_eq!(after - before, 5_000_000);
        application.call("exit_group", &[6]);
    });
    assert_eq!(status, Some(ExitStatus::Exited(6)));
}

#[test]
fn an_alternate_stack_is_used_by_who_asks_for_it() {
    let kit = kit::process();
    let room = kit.room(64);
    let stack = kit.room(16 * 1024);
    let describe = kit.put_value(&StackT { sp: stack, flags: 0, padding: 0, size: 16 * 1024 });
    kit.machine.set_program(HANDLER, move |application| {
        let rsp = application.registers.rsp;
        assert!(rsp > stack && rsp < stack + 16 * 1024);
        let result = application.call("sigaltstack", &[describe, 0]);
        assert_eq!(kit::result(result), Err(Errno::EPERM));
        application.registers.rsp = rsp;
    });
    let status = run(&kit, move |application| {
        assert_eq!(application.call("sigaltstack", &[describe, 0]), 0);
        handle(application, room, Signal::SIGSEGV, sa::ONSTACK);
        // A stack overflow can be handled there.
        application.registers.rsp = BAD_ADDRESS;
        assert_eq!(application.call("kill", &[3, 11]), 0);
        application.call("exit_group", &[0]);
    });
    assert_eq!(status, Some(ExitStatus::Exited(0)));
}

#[test]
fn a_thread_that_computes_is_interrupted() {
    let kit = kit::process();
    let room = kit.room(64);
    let notes = Notes::default();
    let (seen, expected) = (notes.clone(), notes.clone());
    kit.machine.set_program(HANDLER, move |_| seen.lock().unwrap().push(1));
    let (system, process) = (kit.system.clone(), 3);
    run(&kit, move |application| {
        handle(application, room, Signal::SIGINT, 0);
        system.signal_group(process, Signal::SIGINT);
        application.call("getpid", &[]);
        assert_eq!(expected.lock().unwrap().len(), 1);
        application.call("exit_group", &[0]);
    });
    assert_eq!(notes.lock().unwrap().len(), 1);
}

#[test]
fn a_signal_from_outside_ends_the_program_by_default() {
    let kit = kit::process();
    kit.machine.host_at(1_000_000, HostEvent::Signal(2));
    let status = run(&kit, |application| {
        application.call("pause", &[]);
    });
    assert_eq!(status, Some(ExitStatus::Killed(2)));
}

#[test]
fn sigsuspend_waits_with_its_own_mask_and_restores_the_old_one() {
    let kit = kit::process();
    let (room, none) = (kit.room(64), kit.put_value(&0_u64));
    let set = kit.put_value(&(1_u64 << 9));
    kit.machine.set_program(HANDLER, |_| {});
    run(&kit, move |application| {
        handle(application, room, Signal::SIGUSR1, 0);
        application.call("rt_sigprocmask", &[0, set, 0, 8]);
        application.call("tgkill", &[3, 3, 10]);
        let result = application.call("rt_sigsuspend", &[none, 8]);
        assert_eq!(kit::result(result), Err(Errno::EINTR));
        application.call("rt_sigprocmask", &[0, 0, room, 8]);
        let mut mask = [0; 8];
        application.load(room, &mut mask);
        assert_eq!(u64::from_le_bytes(mask), 1 << 9);
        application.call("exit_group", &[0]);
    });
}

#[test]
fn a_trap_without_handler_kills_and_one_that_is_ignored_too() {
    let kit = kit::process();
    let status =
        run(&kit, |application| application.trap(Trap { vector: 0, error_code: 0, address: 0 }));
    assert_eq!(status, Some(ExitStatus::Killed(8)));

    let kit = kit::process();
    let ignore = kit.put_value(&SigAction { handler: 1, ..SigAction::default() });
    let status = run(&kit, move |application| {
        application.call("rt_sigaction", &[4, ignore, 0, 8]);
        application.trap(Trap { vector: 6, error_code: 0, address: 0 });
    });
    assert_eq!(status, Some(ExitStatus::Killed(4)));
}

#[test]
fn a_page_fault_tells_its_handler_the_address_and_the_trap() {
    let kit = kit::process();
    let room = kit.room(64);
    kit.machine.set_program(HANDLER, |application| {
        let mut bytes = [0; size_of::<RtSigFrame>()];
        application.load(application.registers.rsp, &mut bytes);
        let frame = RtSigFrame::read_from_bytes(&bytes).unwrap();
        assert_eq!(frame.info.code, si::SEGV_MAPERR);
        assert_eq!(frame.info.fields[0], BAD_ADDRESS);
        assert_eq!(frame.context.registers.trapno, 14);
        assert_eq!(frame.context.registers.cr2, BAD_ADDRESS);
        assert_eq!(frame.context.registers.err & 6, 6);
        application.call("exit_group", &[9]);
    });
    let status = run(&kit, move |application| {
        handle(application, room, Signal::SIGSEGV, sa::SIGINFO);
        application.store(BAD_ADDRESS, b"x");
    });
    assert_eq!(status, Some(ExitStatus::Exited(9)));
}

#[test]
fn a_handler_without_a_stack_to_run_on_is_death_by_sigsegv() {
    let kit = kit::process();
    let room = kit.room(64);
    let status = run(&kit, move |application| {
        handle(application, room, Signal::SIGUSR1, 0);
        application.registers.rsp = BAD_ADDRESS;
        application.call("kill", &[3, 10]);
    });
    assert_eq!(status, Some(ExitStatus::Killed(11)));
}

#[test]
fn a_bad_frame_is_death_by_sigsegv() {
    let kit = kit::process();
    let status = run(&kit, |application| {
        application.registers.rsp = BAD_ADDRESS;
        application.call("rt_sigreturn", &[]);
    });
    assert_eq!(status, Some(ExitStatus::Killed(11)));
}

#[test]
fn sigtimedwait_takes_a_blocked_signal_or_times_out() {
    let kit = kit::process();
    let set = kit.put_value(&(1_u64 << 39));
    let (to, room) = (kit.room(128), kit.room(128));
    let timeout = kit.put_value(&[0_i64, 1000]);
    run(&kit, move |application| {
        application.call("rt_sigprocmask", &[0, set, 0, 8]);
        let result = application.call("rt_sigtimedwait", &[set, to, timeout, 8]);
        assert_eq!(kit::result(result), Err(Errno::EAGAIN));
        let mut info = SigInfo { signo: 0, errno: 0, code: si::QUEUE, padding: 0, fields: [0; 14] };
        info.fields[1] = 0x1234;
        application.store(room, zerocopy::IntoBytes::as_bytes(&info));
        assert_eq!(application.call("rt_sigqueueinfo", &[3, 40, room]), 0);
        assert_eq!(application.call("rt_sigtimedwait", &[set, to, 0, 8]), 40);
        let mut bytes = [0; 128];
        application.load(to, &mut bytes);
        let taken = SigInfo::read_from_bytes(&bytes).unwrap();
        assert_eq!((taken.signo, taken.code, taken.fields[1]), (40, si::QUEUE, 0x1234));
        application.call("exit_group", &[0]);
    });
}

#[test]
fn wrong_arguments_are_refused() {
    let kit = kit::process();
    let action = kit.put_value(&SigAction::default());
    let call = |name, arguments| kit.call(name, arguments);
    assert_eq!(call("rt_sigaction", [9, action, 0, 8, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(call("rt_sigaction", [65, action, 0, 8, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(call("rt_sigaction", [10, action, 0, 4, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(call("rt_sigaction", [10, BAD_ADDRESS, 0, 8, 0, 0]), Err(Errno::EFAULT));
    assert_eq!(call("rt_sigaction", [9, 0, action, 8, 0, 0]), Ok(0));
    assert_eq!(call("rt_sigprocmask", [7, action, 0, 8, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(call("kill", [999, 0, 0, 0, 0, 0]), Err(Errno::ESRCH));
    assert_eq!(call("tkill", [0, 10, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(call("restart_syscall", [0; 6]), Err(Errno::EINTR));
}

#[test]
fn a_handler_beyond_the_application_is_a_segmentation_fault() {
    for handler in [TASK_SIZE, 1 << 63, 0xffff_ffff_8000_0000] {
        let kit = kit::process();
        let room = kit.room(64);
        let status = run(&kit, move |application| {
            handle(application, room, Signal::SIGUSR1, 0);
            application.store(room, &handler.to_ne_bytes());
            let number = u64::from(Signal::SIGUSR1.number());
            assert_eq!(application.call("rt_sigaction", &[number, room, 0, 8]), 0);
            let own = application.call("getpid", &[]);
            application.call("kill", &[own, number]);
        });
        assert_eq!(status, Some(ExitStatus::Killed(Signal::SIGSEGV.number())));
    }
}

#[test]
fn a_frame_that_leads_beyond_the_application_is_a_segmentation_fault() {
    for address in [TASK_SIZE, 1 << 63, 0xffff_ffff_8000_0000] {
        let kit = kit::process();
        let room = kit.room(64);
        kit.machine.set_program(HANDLER, move |application| {
            let context = core::mem::offset_of!(RtSigFrame, context) as u64;
            let registers = core::mem::offset_of!(abi::signal::UContext, registers) as u64;
            let rip = core::mem::offset_of!(abi::signal::SigContext, rip) as u64;
            let at = application.registers.rsp + context + registers + rip;
            application.store(at, &u64::to_ne_bytes(address));
        });
        let status = run(&kit, move |application| {
            handle(application, room, Signal::SIGUSR1, 0);
            let own = application.call("getpid", &[]);
            application.call("kill", &[own, u64::from(Signal::SIGUSR1.number())]);
        });
        assert_eq!(status, Some(ExitStatus::Killed(Signal::SIGSEGV.number())));
    }
}
