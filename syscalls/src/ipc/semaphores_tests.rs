//! Semaphores as applications use them.

use abi::Errno;
use abi::ipc::semaphore::{
    GETALL, GETNCNT, GETPID, GETVAL, GETZCNT, SEM_INFO, SEM_STAT, SEM_UNDO, SETALL, SETVAL,
    SemaphoreInfo, SemaphoreOperation, SemaphoreStatus,
};
use abi::ipc::{IPC_INFO, IPC_NOWAIT, IPC_PRIVATE, IPC_RMID, IPC_SET, IPC_STAT};

use crate::fake::Application;
use crate::fake::kit::{self, BAD_ADDRESS, Kit};
use crate::process::family_tests::{ANY, ROOM, exit, note, notes};

const CREAT: u64 = 0o1000;
const NOWAIT: u16 = IPC_NOWAIT as u16;

fn get(kit: &Kit, key: i32, count: u64, flags: u64) -> Result<u64, Errno> {
    kit.call("semget", [key as u64, count, flags, 0, 0, 0])
}

fn control(kit: &Kit, set: u64, at: u64, command: i32, argument: u64) -> Result<u64, Errno> {
    kit.call("semctl", [set, at, command as u64, argument, 0, 0])
}

fn operation(number: u16, change: i16, flags: u16) -> SemaphoreOperation {
    SemaphoreOperation { number, change, flags }
}

fn operate(kit: &Kit, set: u64, operations: &[SemaphoreOperation]) -> Result<u64, Errno> {
    let from = kit.put_value(operations);
    kit.call("semop", [set, from, operations.len() as u64, 0, 0, 0])
}

#[test]
fn operations_are_done_together_or_not_at_all() {
    let kit = kit::process();
    let set = get(&kit, IPC_PRIVATE, 3, 0o600).unwrap();
    let all = [operation(0, 5, 0), operation(1, 2, 0), operation(0, -1, 0)];
    assert_eq!(operate(&kit, set, &all), Ok(0));
    assert_eq!(control(&kit, set, 0, GETVAL, 0), Ok(4));
    assert_eq!(control(&kit, set, 1, GETPID, 0), Ok(2));
    let part = [operation(0, -4, 0), operation(1, -3, NOWAIT)];
    assert_eq!(operate(&kit, set, &part), Err(Errno::EAGAIN));
    let zero = [operation(2, 1, 0), operation(0, 0, NOWAIT)];
    assert_eq!(operate(&kit, set, &zero), Err(Errno::EAGAIN));
    let large = [operation(2, 1, 0), operation(1, 32766, 0)];
    assert_eq!(operate(&kit, set, &large), Err(Errno::ERANGE));
    let to = kit.room(6);
    assert_eq!(control(&kit, set, 0, GETALL, to), Ok(0));
    assert_eq!(kit.get_value::<[u16; 3]>(to), [4, 2, 0]);
    assert_eq!(operate(&kit, set, &[operation(3, 1, 0)]), Err(Errno::EFBIG));
    assert_eq!(operate(&kit, set, &[]), Err(Errno::EINVAL));
    assert_eq!(kit.call("semop", [set, 0, 501, 0, 0, 0]), Err(Errno::E2BIG));
    assert_eq!(kit.call("semop", [set, BAD_ADDRESS, 1, 0, 0, 0]), Err(Errno::EFAULT));
}

#[test]
fn a_wait_ends_in_time() {
    let kit = kit::process();
    let set = get(&kit, IPC_PRIVATE, 1, 0o600).unwrap();
    let from = kit.put_value(&[operation(0, -1, 0)]);
    let timeout = kit.put_value(&[2_i64, 0]);
    let before = kit.machine_time();
    let result = kit.call("semtimedop", [set, from, 1, timeout, 0, 0]);
    assert_eq!((result, kit.machine_time() - before), (Err(Errno::EAGAIN), 2_000_000_000));
    assert_eq!(control(&kit, set, 0, GETNCNT, 0), Ok(0));
    let wrong = kit.put_value(&[0_i64, 1_000_000_000]);
    assert_eq!(kit.call("semtimedop", [set, from, 1, wrong, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn sets_are_found_told_of_and_removed() {
    let kit = kit::process();
    let set = get(&kit, 7, 2, CREAT | 0o640).unwrap();
    assert_eq!(get(&kit, 7, 0, 0), Ok(set));
    assert_eq!(get(&kit, 7, 3, 0), Err(Errno::EINVAL));
    assert_eq!(get(&kit, 8, 0, CREAT), Err(Errno::EINVAL));
    assert_eq!(get(&kit, 8, 32001, CREAT), Err(Errno::EINVAL));
    assert_eq!(control(&kit, set, 1, SETVAL, 9), Ok(0));
    assert_eq!(control(&kit, set, 1, SETVAL, 32768), Err(Errno::ERANGE));
    assert_eq!(control(&kit, set, 2, SETVAL, 9), Err(Errno::EINVAL));
    let values = kit.put_value(&[3_u16, 4]);
    assert_eq!(control(&kit, set, 0, SETALL, values), Ok(0));
    assert_eq!(control(&kit, set, 1, GETVAL, 0), Ok(4));
    let to = kit.put_value(&SemaphoreStatus::default());
    assert_eq!(control(&kit, set, 0, IPC_STAT, to), Ok(0));
    let mut status: SemaphoreStatus = kit.get_value(to);
    assert_eq!((status.count, status.permission.mode, status.operated), (2, 0o640, 0));
    status.permission.mode = 0o600;
    let from = kit.put_value(&status);
    assert_eq!(control(&kit, set, 0, IPC_SET, from), Ok(0));
    assert_eq!(control(&kit, 0, 0, SEM_STAT, to), Ok(set));
    assert_eq!(kit.get_value::<SemaphoreStatus>(to).permission.mode, 0o600);
    assert_eq!(control(&kit, 0, 0, SEM_INFO, to), Ok(0));
    let usage: SemaphoreInfo = kit.get_value(to);
    assert_eq!((usage.undo_size_or_sets, usage.adjustment_max_or_semaphores), (1, 2));
    assert_eq!(control(&kit, 0, 0, IPC_INFO, to), Ok(0));
    assert_eq!(kit.get_value::<SemaphoreInfo>(to).operations, 500);
    assert_eq!(control(&kit, set, 0, IPC_RMID, 0), Ok(0));
    assert_eq!(control(&kit, set, 0, GETVAL, 0), Err(Errno::EINVAL));
    assert_eq!(control(&kit, set, 0, 99, 0), Err(Errno::EINVAL));
}

fn one(application: &mut Application, set: u64, number: u16, change: i16, flags: u16) -> u64 {
    let from = application.registers.rsp - 0x200;
    application.store(from, zerocopy::IntoBytes::as_bytes(&operation(number, change, flags)));
    application.call("semop", &[set, from, 1])
}

#[test]
fn what_is_given_reaches_who_waited_first() {
    let seen = notes(|application, notes| {
        let set = application.call("semget", &[0, 1, 0o600]);
        for name in [1, 2] {
            let notes = notes.clone();
            application.fork("fork", &[], move |child| {
                assert_eq!(one(child, set, 0, -1, 0), 0);
                note(&notes, name);
                exit(child, 0);
            });
        }
        application.call("poll", &[0, 0, 10]);
        note(notes, application.call("semctl", &[set, 0, GETNCNT as u64, 0]));
        // It is theirs at once, not anybody's who asks next.
        assert_eq!(one(application, set, 0, 1, 0), 0);
        note(notes, one(application, set, 0, -1, NOWAIT));
        assert_eq!(one(application, set, 0, 1, 0), 0);
        application.call("wait4", &[ANY, 0, 0, 0]);
        application.call("wait4", &[ANY, 0, 0, 0]);
    });
    assert_eq!(seen, [2, Errno::EAGAIN.as_return_value(), 1, 2]);
}

#[test]
fn who_waits_learns_of_a_removal_and_of_signals() {
    let seen = notes(|application, notes| {
        let set = application.call("semget", &[0, 1, 0o600]);
        let inner = notes.clone();
        application.fork("fork", &[], move |child| {
            note(&inner, one(child, set, 0, -1, 0));
            exit(child, 0);
        });
        application.call("poll", &[0, 0, 10]);
        note(notes, application.call("semctl", &[set, 0, GETZCNT as u64, 0]));
        application.call("semctl", &[set, 0, IPC_RMID as u64, 0]);
        application.call("wait4", &[ANY, 0, 0, 0]);
    });
    assert_eq!(seen, [0, Errno::EIDRM.as_return_value()]);
}

#[test]
fn the_end_of_a_process_undoes_what_it_asked_for() {
    let seen = notes(|application, notes| {
        let set = application.call("semget", &[0, 2, 0o600]);
        one(application, set, 0, 3, 0);
        application.fork("fork", &[], move |child| {
            one(child, set, 0, -2, SEM_UNDO);
            one(child, set, 1, 5, SEM_UNDO);
            one(child, set, 1, -1, 0);
            exit(child, 0);
        });
        application.call("wait4", &[ANY, ROOM, 0, 0]);
        for at in [0, 1] {
            note(notes, application.call("semctl", &[set, at, GETVAL as u64, 0]));
        }
        // Setting the value forgets it.
        application.fork("fork", &[], move |child| {
            one(child, set, 0, -2, SEM_UNDO);
            child.call("semctl", &[set, 0, SETVAL as u64, 7]);
            exit(child, 0);
        });
        application.call("wait4", &[ANY, ROOM, 0, 0]);
        note(notes, application.call("semctl", &[set, 0, GETVAL as u64, 0]));
    });
    assert_eq!(seen, [3, 0, 7]);
}
