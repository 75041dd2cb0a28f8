//! Threads of a process that begin, end and get signals, on the fake machine.

use std::vec::Vec;

use abi::Errno;
use abi::process::CloneFlags;
use abi::signal::Signal;

use crate::fake::Application;
use crate::fake::kit;
use crate::machine::ExitStatus;

use super::family_tests::{ANY, Notes, ROOM, errno, exit, load, note, run};

const THREAD: u64 = CloneFlags::THREAD
    .union(CloneFlags::SIGHAND)
    .union(CloneFlags::VM)
    .union(CloneFlags::FS)
    .union(CloneFlags::FILES)
    .bits();

fn spawn(
    application: &mut Application,
    body: impl Fn(&mut Application) + Send + Sync + 'static,
) -> u64 {
    application.fork("clone", &[THREAD, 0, 0, 0, 0], body)
}

/// Runs `main`; returns how the machine ended and what was noted.
fn outcome(
    main: impl Fn(&mut Application, &Notes) + Send + Sync + 'static,
) -> (Option<ExitStatus>, Vec<u64>) {
    let kit = kit::process();
    let notes = Notes::default();
    let seen = notes.clone();
    let status = run(&kit, move |application| main(application, &notes));
    let seen = seen.lock().unwrap().clone();
    (status, seen)
}

#[test]
fn threads_share_their_process_and_have_numbers_of_their_own() {
    let (_, notes) = outcome(|application, notes| {
        application.store(ROOM, &[1]);
        let inner = notes.clone();
        let id = spawn(application, move |thread| {
            note(&inner, thread.call("getpid", &[]));
            note(&inner, thread.call("gettid", &[]));
            thread.store(ROOM, &[9]);
            thread.call("exit", &[0]);
        });
        note(notes, id);
        application.call("sched_yield", &[]);
        note(notes, u64::from(load::<u8>(application, ROOM)));
        exit(application, 0);
    });
    assert_eq!(notes, [4, 3, 4, 9]);
}

#[test]
fn the_last_thread_gives_the_status() {
    let (status, notes) = outcome(|application, notes| {
        let notes = notes.clone();
        spawn(application, move |thread| {
            thread.call("sched_yield", &[]);
            note(&notes, thread.call("getpid", &[]));
            thread.call("exit", &[5]);
        });
        application.call("exit", &[4]);
    });
    assert_eq!((status, &notes[..]), (Some(ExitStatus::Exited(5)), &[3][..]));
}

#[test]
fn one_thread_ends_all() {
    let (status, _) = outcome(|application, _| {
        for _ in 0..3 {
            spawn(application, |thread| {
                thread.call("pause", &[]);
                panic!("the thread goes on");
            });
        }
        spawn(application, |thread| exit(thread, 6));
        application.call("pause", &[]);
    });
    assert_eq!(status, Some(ExitStatus::Exited(6)));
}

#[test]
fn a_deadly_signal_ends_all() {
    let (status, notes) = outcome(|application, notes| {
        let child = application.fork("fork", &[], |child| {
            spawn(child, |thread| {
                thread.call("pause", &[]);
            });
            child.call("pause", &[]);
        });
        application.call("sched_yield", &[]);
        application.call("kill", &[child, u64::from(Signal::SIGTERM.number())]);
        note(notes, application.call("wait4", &[ANY, ROOM, 0, 0]) - child);
        note(notes, u64::from(load::<u32>(application, ROOM)));
        exit(application, 0);
    });
    assert_eq!((status, &notes[..]), (Some(ExitStatus::Exited(0)), &[0, 15][..]));
}

#[test]
fn a_stop_is_told_when_all_threads_have_stopped_and_all_go_on() {
    const WUNTRACED: u64 = 2;
    const WCONTINUED: u64 = 8;
    let (_, notes) = outcome(|application, notes| {
        let child = application.fork("fork", &[], |child| {
            for _ in 0..2 {
                spawn(child, |thread| {
                    thread.call("pause", &[]);
                });
            }
            child.call("pause", &[]);
        });
        application.call("sched_yield", &[]);
        application.call("sched_yield", &[]);
        for (signal, options) in
            [(Signal::SIGSTOP, WUNTRACED), (Signal::SIGCONT, WCONTINUED), (Signal::SIGKILL, 0)]
        {
            application.call("kill", &[child, u64::from(signal.number())]);
            note(notes, application.call("wait4", &[ANY, ROOM, options, 0]) - child);
            note(notes, u64::from(load::<u32>(application, ROOM)));
        }
        exit(application, 0);
    });
    assert_eq!(notes, [0, 0x137f, 0, 0xffff, 0, 9]);
}

#[test]
fn a_signal_for_the_process_goes_to_a_thread_that_does_not_block_it() {
    let (_, notes) = outcome(|application, notes| {
        let usr1 = u64::from(Signal::SIGUSR1.number());
        application.store(ROOM, &(1_u64 << (usr1 - 1)).to_le_bytes());
        application.call("rt_sigprocmask", &[0, ROOM, 0, 8]);
        // Both wait for it; each of two signals finds one of them.
        for _ in 0..2 {
            let notes = notes.clone();
            spawn(application, move |thread| {
                note(&notes, thread.call("rt_sigtimedwait", &[ROOM, 0, 0, 8]));
                thread.call("exit", &[0]);
            });
        }
        application.call("sched_yield", &[]);
        application.call("kill", &[3, usr1]);
        application.call("sched_yield", &[]);
        application.call("kill", &[3, usr1]);
        application.call("sched_yield", &[]);
        exit(application, 0);
    });
    assert_eq!(notes, [10, 10]);
}

#[test]
fn there_are_not_more_threads_than_memory_has_room_for() {
    // 32 pages for each of 40 threads, of which the program itself is one.
    const PAGES: usize = 32 * 40;
    let kit = kit::process();
    kit.machine.set_page_limit(PAGES);
    let notes = Notes::default();
    let seen = notes.clone();
    run(&kit, move |application| {
        for _ in 0..39 {
            let id = spawn(application, |thread| {
                thread.call("pause", &[]);
            });
            assert!(id < 100);
        }
        note(&notes, spawn(application, |_| ()));
        exit(application, 0);
    });
    assert_eq!(*seen.lock().unwrap(), [errno(Errno::EAGAIN)]);
}
