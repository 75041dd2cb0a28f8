//! Parents and children as programs see them, on the fake machine.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::Mutex;

use abi::Errno;
use abi::process::{CloneArgs, CloneFlags, Rusage};
use abi::signal::{SIG_IGN, SigAction, SigInfo, Signal, sa, si};
use zerocopy::{FromBytes, IntoBytes};

use crate::fake::Application;
use crate::fake::kit::{self, AREA, AREA_LEN, Kit};
use crate::fs::{Fd, OnExec};
use crate::machine::{ExitStatus, Registers};

use super::{Process, Thread};

/// Where the program of a test is.
const MAIN: u64 = 0x10_0000;

/// Options of wait4(2).
const WNOHANG: u64 = 1;
const WUNTRACED: u64 = 2;
const WCONTINUED: u64 = 8;
pub(crate) const ANY: u64 = u64::MAX;

/// Memory for what calls write.
pub(crate) const ROOM: u64 = AREA + 0x1000;

/// What a test notes of its processes.
pub(crate) type Notes = Arc<Mutex<Vec<u64>>>;

/// Runs `main` as the program of a machine, process 3, to its end.
pub(crate) fn run(
    kit: &Kit,
    main: impl Fn(&mut Application) + Send + Sync + 'static,
) -> Option<ExitStatus> {
    kit.machine.set_program(MAIN, main);
    assert_eq!(kit.system.processes.allocate_id(), 2);
    let id = kit.system.processes.allocate_id();
    let memory = kit.process.memory().fork().unwrap();
    let process = Arc::new(Process::new(id, memory, kit.process.paths.duplicate()));
    kit.system.processes.insert(process.clone());
    kit.system.set_program(id);
    kit.machine.set_service(&kit.system);
    let thread = Thread::new(kit.system.clone(), process);
    let registers =
        Registers { rip: MAIN, rsp: AREA + AREA_LEN - 64, rflags: 0x202, ..Registers::default() };
    thread.start(registers).unwrap();
    kit.machine.run()
}

/// Runs `main` and returns what it noted.
pub(crate) fn notes(main: impl Fn(&mut Application, &Notes) + Send + Sync + 'static) -> Vec<u64> {
    let kit = kit::process();
    let notes = Notes::default();
    let seen = notes.clone();
    run(&kit, move |application| {
        main(application, &notes);
        application.call("exit_group", &[0]);
    });
    let seen = seen.lock().unwrap();
    seen.clone()
}

pub(crate) fn note(notes: &Notes, value: u64) {
    notes.lock().unwrap().push(value);
}

pub(crate) fn exit(application: &mut Application, status: u64) {
    application.call("exit_group", &[status]);
}

pub(crate) fn load<T: FromBytes + IntoBytes>(application: &mut Application, address: u64) -> T {
    let mut value = T::new_zeroed();
    application.load(address, value.as_mut_bytes());
    value
}

/// wait4(2) for any child; returns its number and status.
fn wait(application: &mut Application, options: u64) -> (u64, u32) {
    let id = application.call("wait4", &[ANY, ROOM, options, 0]);
    (id, load(application, ROOM))
}

pub(crate) fn errno(errno: Errno) -> u64 {
    errno.as_return_value()
}

#[test]
fn a_child_returns_zero_has_a_copy_of_memory_and_is_waited_for() {
    let notes = notes(|application, notes| {
        application.store(ROOM, &[7]);
        let in_child = notes.clone();
        let child = application.fork("fork", &[], move |child| {
            note(&in_child, child.registers.rax);
            child.store(ROOM, &[8]);
            note(&in_child, child.call("getppid", &[]));
            exit(child, 0x1_23);
        });
        assert_eq!(child, 4);
        assert_eq!(application.call("wait4", &[child, ROOM + 8, 0, ROOM + 64]), child);
        note(notes, u64::from(load::<u8>(application, ROOM)));
        note(notes, u64::from(load::<u32>(application, ROOM + 8)));
        note(notes, wait(application, 0).0);
    });
    assert_eq!(notes, [0, 3, 7, 0x2300, errno(Errno::ECHILD)]);
}

#[test]
fn nothing_is_left_of_children_that_were_waited_for() {
    let kit = kit::process();
    let machine = kit.machine.clone();
    let system = Arc::downgrade(&kit.system);
    run(&kit, move |application| {
        application.store(ROOM, &[1]);
        let mut pages = Vec::new();
        for _ in 0..4 {
            application.fork("fork", &[], |child| {
                child.store(ROOM, &[2]);
                exit(child, 0);
            });
            wait(application, 0);
            application.store(ROOM, &[1]);
            pages.push(machine.live_pages());
        }
        assert_eq!(pages[1], pages[3]);
        assert_eq!(system.upgrade().unwrap().processes.all().len(), 1);
        exit(application, 0);
    });
}

#[test]
fn descriptors_are_shared_with_clone_files_only() {
    let seen = notes(|application, notes| {
        for flags in [0, CloneFlags::FILES.bits()] {
            let child = application.fork("clone", &[flags | 17, 0, 0, 0, 0], |child| {
                child.call("pipe2", &[ROOM, 0]);
                exit(child, 0);
            });
            application.call("wait4", &[child, 0, 0, 0]);
            note(notes, application.call("fcntl", &[0, 1, 0]));
        }
    });
    assert_eq!(seen, [errno(Errno::EBADF), 0]);
}

#[test]
fn a_parent_of_vfork_waits_until_the_child_has_ended() {
    let seen = notes(|application, notes| {
        let in_child = notes.clone();
        let child = application.fork("vfork", &[], move |child| {
            child.call("nanosleep", &[ROOM + 32, 0]);
            child.store(ROOM + 16, &[9]);
            note(&in_child, 1);
            exit(child, 0);
        });
        note(notes, 2);
        note(notes, u64::from(load::<u8>(application, ROOM + 16)));
        note(notes, application.call("wait4", &[child, 0, 0, 0]));
    });
    assert_eq!(seen, [1, 2, 9, 4]);
}

#[test]
fn numbers_are_stored_where_clone_is_told() {
    let seen = notes(|application, notes| {
        let flags = CloneFlags::PARENT_SETTID | CloneFlags::CHILD_SETTID | CloneFlags::SETTLS;
        let in_child = notes.clone();
        let arguments = CloneArgs {
            flags: flags.bits(),
            exit_signal: 17,
            parent_tid: ROOM,
            child_tid: ROOM + 8,
            tls: 0x1234_5000,
            stack: AREA,
            stack_size: 0x800,
            ..CloneArgs::default()
        };
        application.store(ROOM + 256, arguments.as_bytes());
        application.fork("clone3", &[ROOM + 256, 88], move |child| {
            note(&in_child, u64::from(load::<u32>(child, ROOM + 8)));
            note(&in_child, u64::from(load::<u32>(child, ROOM)));
            note(&in_child, child.fs_base());
            note(&in_child, child.registers.rsp);
            exit(child, 0);
        });
        note(notes, u64::from(load::<u32>(application, ROOM)));
        note(notes, u64::from(load::<u32>(application, ROOM + 8)));
    });
    // The program ends before the child runs, unless it waits.
    assert_eq!(seen[..2], [4, 0]);
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let kit = kit::process();
    let clone = |flags: CloneFlags| kit.call("clone", [flags.bits(), 0, 0, 0, 0, 0]);
    assert_eq!(clone(CloneFlags::SIGHAND), Err(Errno::EINVAL));
    assert_eq!(clone(CloneFlags::NEWUSER | CloneFlags::FS), Err(Errno::EINVAL));
    assert_eq!(clone(CloneFlags::NEWIPC | CloneFlags::SYSVSEM), Err(Errno::EINVAL));
    let clone3 = |arguments: CloneArgs, size| {
        let at = kit.put_value(&arguments);
        kit.call("clone3", [at, size, 0, 0, 0, 0])
    };
    let none = CloneArgs::default();
    assert_eq!(clone3(none, 63), Err(Errno::EINVAL));
    assert_eq!(clone3(none, 4097), Err(Errno::E2BIG));
    assert_eq!(clone3(CloneArgs { exit_signal: 65, ..none }, 88), Err(Errno::EINVAL));
    assert_eq!(clone3(CloneArgs { flags: 17, ..none }, 88), Err(Errno::EINVAL));
    assert_eq!(clone3(CloneArgs { stack: AREA, ..none }, 88), Err(Errno::EINVAL));
    assert_eq!(clone3(CloneArgs { flags: 1 << 40, ..none }, 88), Err(Errno::EINVAL));
}

#[test]
fn wrong_waits_are_refused() {
    let kit = kit::process();
    assert_eq!(kit.call("wait4", [ANY, 0, 0, 0, 0, 0]), Err(Errno::ECHILD));
    assert_eq!(kit.call("wait4", [ANY, 0, 1, 0, 0, 0]), Err(Errno::ECHILD));
    assert_eq!(kit.call("wait4", [ANY, 0, 0x100, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("waitid", [0, 0, 0, 4, 0, 0]), Err(Errno::ECHILD));
    assert_eq!(kit.call("waitid", [0, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("waitid", [9, 0, 0, 4, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("waitid", [1, 0, 0, 4, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn sigchld_tells_who_has_ended_and_how() {
    let seen = notes(|application, notes| {
        let blocked = 1_u64 << (17 - 1);
        application.store(ROOM, &blocked.to_le_bytes());
        application.call("rt_sigprocmask", &[0, ROOM, 0, 8]);
        let child = application.fork("fork", &[], |child| {
            let id = child.call("getpid", &[]);
            child.call("kill", &[id, 9]);
        });
        assert_eq!(application.call("rt_sigtimedwait", &[ROOM, ROOM + 128, 0, 8]), 17);
        let info: SigInfo = load(application, ROOM + 128);
        assert_eq!((info.code, info.fields[0], info.fields[1]), (si::CLD_KILLED, child, 9));
        note(notes, u64::from(wait(application, WNOHANG).1));
    });
    assert_eq!(seen, [9]);
}

#[test]
fn who_ignores_sigchld_has_no_children_to_wait_for() {
    for (handler, flags) in [(SIG_IGN, 0), (0, sa::NOCLDWAIT)] {
        let seen = notes(move |application, notes| {
            let action = SigAction { handler, flags, ..SigAction::default() };
            application.store(ROOM, action.as_bytes());
            application.call("rt_sigaction", &[17, ROOM, 0, 8]);
            application.fork("fork", &[], |child| exit(child, 0));
            note(notes, wait(application, 0).0);
        });
        assert_eq!(seen, [errno(Errno::ECHILD)]);
    }
}

#[test]
fn a_stopped_child_is_told_of_once_and_so_is_its_continuation() {
    let seen = notes(|application, notes| {
        let child = application.fork("fork", &[], |child| {
            child.call("kill", &[4, 19]);
            child.call("sched_yield", &[]);
            exit(child, 1);
        });
        let all = WUNTRACED | WCONTINUED;
        note(notes, u64::from(wait(application, all).1));
        note(notes, wait(application, all | WNOHANG).0);
        application.call("kill", &[child, 18]);
        note(notes, u64::from(wait(application, all).1));
        note(notes, u64::from(wait(application, all).1));
    });
    assert_eq!(seen, [0x137f, 0, 0xffff, 0x100]);
}

#[test]
fn waitid_fills_the_information_and_may_leave_the_child() {
    let seen = notes(|application, notes| {
        let child = application.fork("fork", &[], |child| exit(child, 5));
        const WEXITED: u64 = 4;
        const WNOWAIT: u64 = 0x0100_0000;
        for options in [WEXITED | WNOWAIT, WEXITED] {
            assert_eq!(application.call("waitid", &[1, child, ROOM, options, 0]), 0);
            let info: SigInfo = load(application, ROOM);
            assert_eq!((info.signo, info.code), (17, si::CLD_EXITED));
            note(notes, info.fields[1]);
        }
        note(notes, application.call("waitid", &[1, child, ROOM, WEXITED, 0]));
    });
    assert_eq!(seen, [5, 5, errno(Errno::ECHILD)]);
}

#[test]
fn orphans_go_to_the_subreaper_and_hear_of_their_parents_death() {
    let seen = notes(|application, notes| {
        const SET_CHILD_SUBREAPER: u64 = 36;
        const SET_PDEATHSIG: u64 = 1;
        application.call("prctl", &[SET_CHILD_SUBREAPER, 1]);
        let child = application.fork("fork", &[], |child| {
            child.fork("fork", &[], |grandchild| {
                grandchild.call("prctl", &[SET_PDEATHSIG, 15]);
                grandchild.call("pause", &[]);
            });
            child.call("sched_yield", &[]);
            exit(child, 0);
        });
        let first = wait(application, 0);
        let second = wait(application, 0);
        note(notes, first.0 - child);
        note(notes, second.0 - child);
        note(notes, u64::from(second.1));
    });
    assert_eq!(seen, [0, 1, 15]);
}

#[test]
fn orphans_of_others_are_reaped_by_the_kernel() {
    let kit = kit::process();
    let system = Arc::downgrade(&kit.system);
    run(&kit, move |application| {
        application.fork("fork", &[], |child| {
            child.fork("fork", &[], |grandchild| {
                grandchild.call("sched_yield", &[]);
                assert_eq!(grandchild.call("getppid", &[]), 1);
                exit(grandchild, 0);
            });
            exit(child, 0);
        });
        wait(application, 0);
        for _ in 0..4 {
            application.call("sched_yield", &[]);
        }
        assert_eq!(system.upgrade().unwrap().processes.all().len(), 1);
        exit(application, 0);
    });
}

#[test]
fn groups_and_sessions_are_those_of_setpgid_and_setsid() {
    let seen = notes(|application, notes| {
        let in_child = notes.clone();
        application.fork("fork", &[], move |child| {
            note(&in_child, child.call("getpgid", &[0]));
            assert_eq!(child.call("setpgid", &[0, 0]), 0);
            note(&in_child, child.call("getpgid", &[0]));
            note(&in_child, child.call("setsid", &[]));
            let grandchild = child.fork("fork", &[], |grandchild| {
                let id = grandchild.call("getpid", &[]);
                assert_eq!(grandchild.call("setsid", &[]), id);
                exit(grandchild, 0);
            });
            child.call("wait4", &[grandchild, 0, 0, 0]);
            note(&in_child, child.call("setpgid", &[0, 999]));
            exit(child, 0);
        });
        wait(application, 0);
    });
    assert_eq!(seen, [3, 4, errno(Errno::EPERM), errno(Errno::EPERM)]);
}

#[test]
fn the_end_of_the_program_ends_the_machine_whatever_its_children_do() {
    let kit = kit::process();
    let status = run(&kit, |application| {
        application.fork("fork", &[], |child| {
            child.call("pause", &[]);
        });
        application.call("sched_yield", &[]);
        exit(application, 3);
    });
    assert_eq!(status, Some(ExitStatus::Exited(3)));
}

#[test]
fn a_wait_is_restarted_after_a_handler_that_asks_for_it() {
    const HANDLER: u64 = 0x20_0000;
    const RESTORER: u64 = 0x30_0000;
    let kit = kit::process();
    kit.machine.set_program(HANDLER, |_| {});
    kit.machine.set_program(RESTORER, |application| {
        application.call("rt_sigreturn", &[]);
    });
    run(&kit, |application| {
        let action = SigAction {
            handler: HANDLER,
            flags: sa::RESTORER | sa::RESTART,
            restorer: RESTORER,
            mask: 0,
        };
        application.store(ROOM, action.as_bytes());
        let number = u64::from(Signal::SIGUSR1.number());
        application.call("rt_sigaction", &[number, ROOM, 0, 8]);
        let child = application.fork("fork", &[], move |child| {
            child.call("kill", &[3, number]);
            child.call("sched_yield", &[]);
            exit(child, 0);
        });
        assert_eq!(wait(application, 0).0, child);
        exit(application, 0);
    });
}

#[test]
fn a_descriptor_set_on_the_program_is_closed_with_its_last_user() {
    let kit = kit::process();
    let open = kit.file("shared", b"abc");
    let count = Arc::downgrade(&open);
    let fd = kit.process.files.set(Fd(5), open, OnExec::Keep, 16);
    assert!(fd.is_ok());
    let child = kit.process.files.share();
    assert!(kit.process.files.leave().is_empty());
    assert!(count.upgrade().is_some());
    drop(child.leave());
    assert!(count.upgrade().is_none());
}

#[test]
fn what_unshare_parts_is_the_callers_own() {
    let seen = notes(|application, notes| {
        let child = application.fork("clone", &[CloneFlags::FILES.bits() | 17], |child| {
            assert_eq!(child.call("unshare", &[CloneFlags::FILES.bits()]), 0);
            child.call("pipe2", &[ROOM, 0]);
            exit(child, 0);
        });
        application.call("wait4", &[child, 0, 0, 0]);
        note(notes, application.call("fcntl", &[0, 1, 0]));
        note(notes, application.call("unshare", &[CloneFlags::NEWUTS.bits()]));
        note(notes, application.call("unshare", &[1 << 40]));
    });
    assert_eq!(seen, [errno(Errno::EBADF), 0, errno(Errno::EINVAL)]);
}

#[test]
fn the_time_of_children_counts_once_they_were_waited_for() {
    let seen = notes(|application, notes| {
        let usage = |application: &mut Application| {
            application.call("getrusage", &[ANY, ROOM]);
            load::<Rusage>(application, ROOM)
        };
        let child = application.fork("fork", &[], |child| {
            child.store(ROOM, &[1]);
            exit(child, 0);
        });
        note(notes, usage(application).max_resident.cast_unsigned());
        application.call("wait4", &[child, 0, 0, ROOM + 256]);
        let told: Rusage = load(application, ROOM + 256);
        assert_eq!(usage(application), told);
        note(notes, u64::from(told.max_resident > 0));
    });
    assert_eq!(seen, [0, 1]);
}

#[test]
fn priorities_of_others_are_told_and_set() {
    let seen = notes(|application, notes| {
        let child = application.fork("fork", &[], |child| {
            child.call("pause", &[]);
        });
        assert_eq!(application.call("setpriority", &[0, child, 5]), 0);
        note(notes, application.call("getpriority", &[0, child]));
        note(notes, application.call("getpriority", &[1, 0]));
        note(notes, application.call("getpriority", &[0, 999]));
    });
    assert_eq!(seen, [15, 20, errno(Errno::ESRCH)]);
}
