//! Futexes as threads use them, on the fake machine.

use abi::Errno;
use abi::futex::{FUTEX2_PRIVATE, OWNER_DIED, SIZE_U32, WAITERS, Waitv};
use abi::process::CloneFlags;
use zerocopy::IntoBytes;

use crate::fake::Application;
use crate::fake::kit::{self, AREA};
use crate::process::family_tests::{Notes, errno, exit, load, note, run};

/// Words of the application.
const WORD: u64 = AREA + 0x2000;
const OTHER: u64 = WORD + 8;
const LIST: u64 = WORD + 64;

const WAIT: u64 = 128;
const WAKE: u64 = 129;
const REQUEUE: u64 = 131;
const LOCK: u64 = 134;
const UNLOCK: u64 = 135;
const ALL: u64 = i32::MAX as u64;

const THREAD: u64 = CloneFlags::THREAD
    .union(CloneFlags::SIGHAND)
    .union(CloneFlags::VM)
    .union(CloneFlags::FS)
    .union(CloneFlags::FILES)
    .bits();

/// Starts a thread that runs `body` and ends; returns its number.
fn spawn(
    application: &mut Application,
    body: impl Fn(&mut Application) + Send + Sync + 'static,
) -> u64 {
    let flags = THREAD | CloneFlags::CHILD_CLEARTID.bits();
    application.fork("clone", &[flags, 0, 0, LIST + 32, 0], move |thread| {
        body(thread);
        thread.call("exit", &[0]);
    })
}

/// Runs `main` and returns what was noted.
fn notes(main: impl Fn(&mut Application, &Notes) + Send + Sync + 'static) -> std::vec::Vec<u64> {
    let kit = kit::process();
    let notes = Notes::default();
    let seen = notes.clone();
    run(&kit, move |application| {
        main(application, &notes);
        exit(application, 0);
    });
    let seen = seen.lock().unwrap();
    seen.clone()
}

fn futex(application: &mut Application, word: u64, operation: u64, value: u64) -> u64 {
    application.call("futex", &[word, operation, value, 0, 0, 0])
}

#[test]
fn waiters_are_woken_in_the_order_in_which_they_came() {
    let notes = notes(|application, notes| {
        for name in 1..=3 {
            let notes = notes.clone();
            spawn(application, move |thread| {
                let result = futex(thread, WORD, WAIT, 0);
                note(&notes, name * 10 + result);
            });
        }
        application.call("sched_yield", &[]);
        note(notes, futex(application, WORD, WAKE, 1));
        application.call("sched_yield", &[]);
        note(notes, futex(application, WORD, WAKE, ALL));
        note(notes, futex(application, WORD, WAKE, ALL));
        application.call("sched_yield", &[]);
    });
    assert_eq!(notes, [1, 10, 2, 0, 20, 30]);
}

#[test]
fn a_requeued_waiter_is_woken_at_the_other_word_only() {
    let notes = notes(|application, notes| {
        for _ in 0..2 {
            let notes = notes.clone();
            spawn(application, move |thread| {
                futex(thread, WORD, WAIT, 0);
                note(&notes, 77);
            });
        }
        application.call("sched_yield", &[]);
        note(notes, application.call("futex", &[WORD, REQUEUE, 0, ALL, OTHER, 0]));
        note(notes, futex(application, WORD, WAKE, ALL));
        note(notes, futex(application, OTHER, WAKE, ALL));
        application.call("sched_yield", &[]);
    });
    assert_eq!(notes, [2, 0, 2, 77, 77]);
}

#[test]
fn one_of_several_words_is_enough_and_no_waiter_is_left() {
    let notes = notes(|application, notes| {
        let inner = notes.clone();
        spawn(application, move |thread| {
            let word =
                |address| Waitv { address, flags: SIZE_U32 | FUTEX2_PRIVATE, ..Waitv::default() };
            thread.store(LIST, [word(WORD), word(OTHER)].as_bytes());
            note(&inner, thread.call("futex_waitv", &[LIST, 2, 0, 0, 0]));
        });
        application.call("sched_yield", &[]);
        note(notes, futex(application, OTHER, WAKE, ALL));
        application.call("sched_yield", &[]);
        note(notes, futex(application, WORD, WAKE, ALL));
    });
    assert_eq!(notes, [1, 1, 0]);
}

#[test]
fn the_end_of_a_thread_clears_its_word_and_wakes() {
    let notes = notes(|application, notes| {
        application.store(LIST + 32, &7_u32.to_le_bytes());
        let id = spawn(application, |thread| {
            thread.call("sched_yield", &[]);
        });
        note(notes, futex(application, LIST + 32, 0, 7));
        note(notes, u64::from(load::<u32>(application, LIST + 32)));
        note(notes, application.call("tkill", &[id, 0]));
    });
    assert_eq!(notes, [0, 0, errno(Errno::ESRCH)]);
}

#[test]
fn robust_locks_are_marked_and_a_waiter_is_woken() {
    let notes = notes(|application, notes| {
        let id = spawn(application, move |thread| {
            // One entry, whose word is 16 bytes behind it, and which leads back to the head.
            let entry = WORD - 16;
            let head = [entry, 16, 0];
            thread.store(LIST, head.as_bytes());
            thread.store(entry, &LIST.to_le_bytes());
            thread.call("set_robust_list", &[LIST, 24]);
            let own = thread.call("gettid", &[]) as u32;
            thread.store(WORD, &(own | WAITERS).to_le_bytes());
            thread.call("sched_yield", &[]);
        });
        application.call("sched_yield", &[]);
        note(notes, futex(application, WORD, 0, id | u64::from(WAITERS)));
        note(notes, u64::from(load::<u32>(application, WORD)));
    });
    assert_eq!(notes, [0, u64::from(WAITERS | OWNER_DIED)]);
}

#[test]
fn a_circular_robust_list_ends_the_walk() {
    let notes = notes(|application, notes| {
        spawn(application, move |thread| {
            thread.store(LIST, [WORD, 16, 0].as_bytes());
            thread.store(WORD, &WORD.to_le_bytes());
            thread.call("set_robust_list", &[LIST, 24]);
        });
        application.call("sched_yield", &[]);
        note(notes, 5);
    });
    assert_eq!(notes, [5]);
}

#[test]
fn an_owned_word_goes_to_the_next_one_who_waits() {
    let notes = notes(|application, notes| {
        note(notes, futex(application, WORD, LOCK, 0));
        note(notes, futex(application, WORD, LOCK, 0));
        let inner = notes.clone();
        let id = spawn(application, move |thread| {
            note(&inner, futex(thread, WORD, LOCK, 0));
            let own = thread.call("gettid", &[]);
            let word = u64::from(load::<u32>(thread, WORD));
            note(&inner, word - own);
            note(&inner, futex(thread, WORD, UNLOCK, 0));
        });
        application.call("sched_yield", &[]);
        note(notes, futex(application, WORD, UNLOCK, 0));
        note(notes, u64::from(load::<u32>(application, WORD)) - id);
        note(notes, futex(application, WORD, UNLOCK, 0));
        application.call("sched_yield", &[]);
        note(notes, u64::from(load::<u32>(application, WORD)));
    });
    let waiters = u64::from(WAITERS);
    let (deadlock, refused) = (errno(Errno::EDEADLK), errno(Errno::EPERM));
    assert_eq!(notes, [0, deadlock, 0, waiters, refused, 0, waiters, 0, 0]);
}

#[test]
fn who_waits_for_a_word_of_a_thread_that_ends_gets_it() {
    let notes = notes(|application, notes| {
        spawn(application, move |thread| {
            futex(thread, WORD, LOCK, 0);
            thread.call("sched_yield", &[]);
        });
        application.call("sched_yield", &[]);
        let own = application.call("gettid", &[]);
        note(notes, futex(application, WORD, LOCK, 0));
        note(notes, u64::from(load::<u32>(application, WORD)) - own);
    });
    assert_eq!(notes, [0, u64::from(WAITERS | OWNER_DIED)]);
}
