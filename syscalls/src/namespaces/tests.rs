//! Namespaces through system calls.

use alloc::sync::Arc;

use abi::Errno;
use abi::process::CloneFlags;

use crate::fake::kit::{self, Kit};
use crate::process::Thread;
use crate::process::family_tests::{ANY, exit, note, notes};

use super::user::{Extent, Ids};
use super::{Kind, Namespace, UserNamespace, tally};

fn unshare(kit: &Kit, flags: CloneFlags) -> Result<u64, Errno> {
    kit.call("unshare", [flags.bits(), 0, 0, 0, 0, 0])
}

#[test]
fn host_names_are_those_of_the_namespace() {
    let kit = kit::process();
    assert_eq!(unshare(&kit, CloneFlags::NEWUTS), Ok(0));
    let name = kit.string("inner");
    assert_eq!(kit.call("sethostname", [name, 5, 0, 0, 0, 0]), Ok(0));
    assert_eq!(kit.thread.namespaces().uts.host_name(), b"inner");
    assert_eq!(kit.system.host_name(), b"birgus");
}

#[test]
fn there_are_only_as_many_namespaces_as_the_limit_allows() {
    let kit = kit::process();
    kit.system.namespace_tally.set_limit(Kind::Uts, 1);
    assert_eq!(unshare(&kit, CloneFlags::NEWUTS), Ok(0));
    // The old one is counted until the new one is there.
    assert_eq!(unshare(&kit, CloneFlags::NEWUTS), Err(Errno::ENOSPC));
    kit.thread.set_namespaces(kit.system.first_namespaces.clone());
    assert_eq!(unshare(&kit, CloneFlags::NEWUTS), Ok(0));
}

#[test]
fn who_makes_a_user_namespace_is_privileged_in_it_only() {
    let kit = kit::process();
    let before = kit.thread.credentials();
    assert_eq!(unshare(&kit, CloneFlags::NEWUSER), Ok(0));
    let who = kit.thread.credentials();
    let has = |one| who.has(one);
    assert!(!has(crate::process::Capability::SysAdmin));
    assert!(who.has_in(crate::process::Capability::SysAdmin, &who.namespace));
    assert!(before.has_in(crate::process::Capability::SysAdmin, &who.namespace));
    assert_eq!(kit.call("getuid", [0; 6]), Ok(65534));
    let own = Extent { inside: 7, outside: 0, count: 1 };
    assert!(who.namespace.set_map(Ids::Users, alloc::vec![own], &before).is_ok());
    assert_eq!(kit.call("getuid", [0; 6]), Ok(7));
    assert_eq!(kit.call("setuid", [8, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(kit.call("setuid", [7, 0, 0, 0, 0, 0]), Ok(0));
    let again = who.namespace.set_map(Ids::Users, alloc::vec![own], &before);
    assert_eq!(again.unwrap_err().errno, Errno::EPERM);
    let inner = tally::tally_of(&kit.system, &who.namespace);
    assert!(inner.limit(Kind::User) > 0);
}

#[test]
fn a_map_that_contradicts_itself_is_refused() {
    let kit = kit::process();
    let before = kit.thread.credentials();
    assert_eq!(unshare(&kit, CloneFlags::NEWUSER), Ok(0));
    let namespace = kit.thread.credentials().namespace.clone();
    let extent = |inside, outside, count| Extent { inside, outside, count };
    for bad in [
        alloc::vec![],
        alloc::vec![extent(0, 0, 0)],
        alloc::vec![extent(u32::MAX, 0, 1)],
        alloc::vec![extent(1, u32::MAX - 1, 2)],
        alloc::vec![extent(0, 10, 2), extent(1, 20, 2)],
        alloc::vec![extent(0, 10, 2), extent(5, 11, 2)],
    ] {
        let refused = namespace.set_map(Ids::Groups, bad, &before);
        assert_eq!(refused.unwrap_err().errno, Errno::EINVAL);
    }
    let good = alloc::vec![extent(0, 10, 2), extent(2, 20, u32::MAX - 20)];
    assert!(namespace.set_map(Ids::Groups, good, &before).is_ok());
    assert_eq!(namespace.to_inside(Ids::Groups, 21), Some(3));
    assert_eq!(namespace.to_outside(Ids::Groups, 1), Some(11));
    assert_eq!(namespace.shown_group(5), 65534);
}

#[test]
fn processes_of_a_namespace_have_numbers_of_their_own() {
    let new = CloneFlags::NEWPID.bits() | 17;
    let seen = notes(move |application, notes| {
        let in_child = notes.clone();
        let child = application.fork("clone", &[new], move |init| {
            note(&in_child, init.call("getpid", &[]));
            note(&in_child, init.call("getppid", &[]));
            note(&in_child, init.call("kill", &[1, 9]));
            let in_other = in_child.clone();
            let other = init.fork("fork", &[], move |other| {
                note(&in_other, other.call("getpid", &[]));
                note(&in_other, other.call("getppid", &[]));
                exit(other, 5);
            });
            note(&in_child, other);
            note(&in_child, init.call("wait4", &[ANY, 0, 0, 0]));
            exit(init, 0);
        });
        note(notes, u64::from(child > 1));
        note(notes, u64::from(application.call("wait4", &[child, 0, 0, 0]) == child));
    });
    let inside: alloc::vec::Vec<u64> = seen.iter().copied().filter(|&one| one < 10).collect();
    assert_eq!(inside.len(), seen.len());
    let count = |value| seen.iter().filter(|&&one| one == value).count();
    // Twice the number 1 beside two truths; 0 for the parent out of sight and for kill(2).
    assert_eq!((count(1), count(0), count(2)), (4, 2, 3));
}

#[test]
fn the_end_of_the_first_process_is_the_end_of_its_namespace() {
    let new = CloneFlags::NEWPID.bits() | 17;
    let seen = notes(move |application, notes| {
        let child = application.fork("clone", &[new], |init| {
            init.fork("fork", &[], |other| {
                other.call("pause", &[]);
            });
            exit(init, 3);
        });
        note(notes, u64::from(application.call("wait4", &[child, 0, 0, 0]) == child));
        note(notes, application.call("wait4", &[ANY, 0, 0, 0]));
    });
    assert_eq!(seen, [1, Errno::ECHILD.as_return_value()]);
}

#[test]
fn a_process_goes_over_to_all_namespaces_or_to_none() {
    let kit = kit::process();
    let cx = kit.context();
    let own = kit.thread.namespaces();
    let flags = CloneFlags::NEWIPC | CloneFlags::NEWTIME;
    let new = own.renewed(&cx, flags, &UserNamespace::FIRST).unwrap();
    let both = [Namespace::Ipc(new.ipc.clone()), Namespace::Time(new.time_for_children.clone())];
    let other = Thread::new(kit.system.clone(), kit.process.clone());
    assert_eq!(cx.enter(&both).unwrap_err().errno, Errno::EUSERS);
    assert!(Arc::ptr_eq(&kit.thread.namespaces().ipc, &own.ipc));
    drop(other);
    assert_eq!(cx.enter(&both), Ok(()));
    assert!(Arc::ptr_eq(&kit.thread.namespaces().ipc, &new.ipc));
    assert!(Arc::ptr_eq(&kit.thread.namespaces().time, &new.time_for_children));
}

#[test]
fn a_map_has_no_gaps_of_the_one_around_it() {
    let kit = kit::process();
    let first = kit.thread.credentials();
    let extent = |inside, outside, count| Extent { inside, outside, count };
    assert_eq!(unshare(&kit, CloneFlags::NEWUSER), Ok(0));
    let outer = kit.thread.credentials();
    // What lies between stands for nobody, also where the numbers outside are as far apart.
    let map = alloc::vec![extent(0, 0, 10), extent(20, 20, 10)];
    outer.namespace.set_map(Ids::Users, map.clone(), &first).unwrap();
    outer.namespace.set_map(Ids::Groups, map, &first).unwrap();
    assert_eq!(unshare(&kit, CloneFlags::NEWUSER), Ok(0));
    let inner = kit.thread.credentials().namespace.clone();
    for bad in [extent(0, 0, 30), extent(0, 5, 20), extent(0, 9, 2)] {
        let refused = inner.set_map(Ids::Users, alloc::vec![bad], &outer);
        assert_eq!(refused.unwrap_err().errno, Errno::EPERM);
    }
    let good = alloc::vec![extent(0, 2, 8), extent(8, 20, 10)];
    assert!(inner.set_map(Ids::Users, good, &outer).is_ok());
    assert_eq!(inner.to_outside(Ids::Users, 8), Some(20));
    assert_eq!(inner.map_for(Ids::Users, &outer.namespace)[1], extent(8, 20, 10));
}
