//! Keys and keyrings, through the system calls.

use std::string::String;
use std::vec::Vec;

use abi::Errno;
use abi::keys::{operation, special};
use abi::process::CloneFlags;

use crate::fake::kit::{self, Kit};
use crate::keys::{Content, Found, Kind, NewKey};
use crate::namespaces::user::{Extent, Ids};
use crate::process::Credentials;
use crate::process::credentials::Ids as UserIds;

struct Test(Kit);

fn test() -> Test {
    Test(kit::process())
}

fn register(number: i32) -> u64 {
    i64::from(number) as u64
}

impl Test {
    fn add(&self, kind: &str, name: &str, payload: &str, ring: i32) -> Result<i32, Errno> {
        let [kind, name] = [kind, name].map(|text| self.0.string(text));
        let from = if payload.is_empty() { 0 } else { self.0.put(payload.as_bytes()) };
        let len = payload.len() as u64;
        let serial = self.0.call("add_key", [kind, name, from, len, register(ring), 0])?;
        Ok(serial as i32)
    }

    fn ctl(&self, what: i32, a: i32, b: u64, c: u64) -> Result<u64, Errno> {
        self.0.call("keyctl", [register(what), register(a), b, c, 0, 0])
    }

    fn request(&self, kind: &str, name: &str, callout: Option<&str>) -> Result<i32, Errno> {
        let [kind, name] = [kind, name].map(|text| self.0.string(text));
        let callout = callout.map_or(0, |text| self.0.string(text));
        let serial = self.0.call("request_key", [kind, name, callout, 0, 0, 0])?;
        Ok(serial as i32)
    }

    fn read(&self, key: i32) -> Result<String, Errno> {
        let room = self.0.room(64);
        let len = self.ctl(operation::READ, key, room, 64)?;
        Ok(String::from_utf8_lossy(&self.0.get(room, len as usize)).into_owned())
    }

    fn become_user(&self, user: u32) {
        let changed = self.0.process.change_credentials(|credentials| {
            *credentials = Credentials::root();
            credentials.set_users(UserIds::all(user));
            Ok(())
        });
        assert_eq!(changed, Ok(()));
    }
}

#[test]
fn a_key_of_the_same_name_gets_the_new_payload() {
    let test = test();
    let key = test.add("user", "name", "one", special::PROCESS).unwrap();
    assert_eq!(test.read(key), Ok("one".into()));
    assert_eq!(test.add("user", "name", "three", special::PROCESS), Ok(key));
    assert_eq!(test.read(key), Ok("three".into()));
    assert_eq!(test.request("user", "name", None), Ok(key));
    assert_eq!(test.request("logon", "name", None), Err(Errno::ENOKEY));
    let room = test.0.room(64);
    let len = test.ctl(operation::DESCRIBE, key, room, 64).unwrap();
    assert_eq!(test.0.get(room, len as usize), b"user;0;0;3f010000;name\0");
}

#[test]
fn types_say_what_a_payload_may_be() {
    let test = test();
    assert_eq!(test.add("keyring", "r", "x", special::THREAD), Err(Errno::EINVAL));
    assert_eq!(test.add("user", "u", "", special::THREAD), Err(Errno::EINVAL));
    assert_eq!(test.add("logon", "no-service", "x", special::THREAD), Err(Errno::EINVAL));
    assert_eq!(test.add("strange", "u", "x", special::THREAD), Err(Errno::ENODEV));
    assert_eq!(test.add(".user", "u", "x", special::THREAD), Err(Errno::EPERM));
    assert_eq!(test.add("keyring", ".r", "", special::THREAD), Err(Errno::EPERM));
    let secret = test.add("logon", "service:name", "x", special::THREAD).unwrap();
    assert_eq!(test.read(secret), Err(Errno::EOPNOTSUPP));
    assert_eq!(test.add("user", "u", "x", secret), Err(Errno::ENOTDIR));
}

#[test]
fn what_nobody_links_to_is_gone() {
    let test = test();
    let key = test.add("user", "name", "x", special::SESSION).unwrap();
    let ring = register(special::SESSION);
    assert_eq!(test.ctl(operation::UNLINK, key, ring, 0), Ok(0));
    assert_eq!(test.read(key), Err(Errno::ENOKEY));
    let key = test.add("user", "name", "x", special::SESSION).unwrap();
    assert_eq!(test.ctl(operation::REVOKE, key, 0, 0), Ok(0));
    assert_eq!(test.read(key), Err(Errno::EKEYREVOKED));
    assert_eq!(test.ctl(operation::CLEAR, special::SESSION, 0, 0), Ok(0));
    assert_eq!(test.read(key), Err(Errno::ENOKEY));
    assert_eq!(test.0.system.keys.all().len(), 3, "the user's keyrings and the session's");
}

#[test]
fn keyrings_are_not_in_themselves() {
    let test = test();
    let outer = test.add("keyring", "outer", "", special::PROCESS).unwrap();
    let inner = test.add("keyring", "inner", "", outer).unwrap();
    let link = |key, ring| test.ctl(operation::LINK, key, register(ring), 0);
    assert_eq!(link(outer, inner), Err(Errno::EDEADLK));
    assert_eq!(link(inner, inner), Err(Errno::EDEADLK));
    let key = test.add("user", "deep", "x", inner).unwrap();
    assert_eq!(test.request("user", "deep", None), Ok(key));
}

#[test]
fn what_is_missing_is_remembered_for_a_while() {
    let test = test();
    test.ctl(operation::JOIN_SESSION_KEYRING, 0, 0, 0).unwrap();
    assert_eq!(test.request("user", "name", Some("please")), Err(Errno::ENOKEY));
    let room = test.0.room(8);
    assert_eq!(test.ctl(operation::READ, special::SESSION, room, 8), Ok(4));
    let noted: i32 = test.0.get_value(room);
    assert_eq!(test.read(noted), Err(Errno::ENOKEY));
    let key = test.add("user", "name", "x", special::SESSION).unwrap();
    assert_eq!((key, test.read(key)), (noted, Ok("x".into())));
}

#[test]
fn others_do_not_reach_what_they_do_not_possess() {
    let test = test();
    let key = test.add("user", "name", "x", special::PROCESS).unwrap();
    test.become_user(7);
    assert_eq!(test.read(key), Ok("x".into()), "it is in the process's own keyring");
    drop(test.0.process.keyrings.lock().become_program());
    assert_eq!(test.read(key), Err(Errno::ENOKEY), "the keyring went, and the key with it");
    let ring = test.ctl(operation::GET_KEYRING_ID, special::USER, 0, 0).unwrap() as i32;
    let key = test.add("user", "name", "x", ring).unwrap();
    test.become_user(8);
    assert_eq!(test.read(key), Err(Errno::EACCES));
    assert_eq!(test.ctl(operation::REVOKE, key, 0, 0), Err(Errno::EACCES));
}

#[test]
fn users_have_only_so_many_keys() {
    let test = test();
    test.become_user(7);
    let large = "x".repeat(19_000);
    assert!(test.add("user", "large", &large, special::THREAD).is_ok());
    assert_eq!(test.add("user", "another", &large, special::THREAD), Err(Errno::EDQUOT));
    assert_eq!(test.ctl(operation::CLEAR, special::THREAD, 0, 0), Ok(0));
    assert!(test.add("user", "another", &large, special::THREAD).is_ok());
    let used = test.0.system.keys.quota().usage[&7];
    assert_eq!(used.keys, 2, "a keyring and a key");
}

#[test]
fn a_chain_of_keyrings_deeper_than_any_stack_goes_at_once() {
    let test = test();
    let cx = test.0.context();
    let keyring = |number: usize| {
        let name = std::format!("ring {number}").into_bytes();
        let new = NewKey::of_caller(&cx, Kind::Keyring, name, Content::Links(Vec::new()));
        cx.system.keys.make(&cx, new).unwrap()
    };
    let before = cx.system.keys.all().len();
    let first = keyring(0);
    let mut last = first.clone();
    for number in 1..50_000 {
        let next = keyring(number);
        last.link(&next).unwrap();
        last = next;
    }
    drop(last);
    drop(first);
    assert_eq!(cx.system.keys.all().len(), before);
}

#[test]
fn many_ways_to_a_keyring_are_gone_once() {
    let test = test();
    let cx = test.0.context();
    let keyring = |number: usize| {
        let name = std::format!("ring {number}").into_bytes();
        let new = NewKey::of_caller(&cx, Kind::Keyring, name, Content::Links(Vec::new()));
        cx.system.keys.make(&cx, new).unwrap()
    };
    // Each of six levels links to each of the next: 20 to the power of five ways.
    let levels: Vec<Vec<_>> =
        (0..6).map(|level| (0..20).map(|at| keyring(level * 20 + at)).collect()).collect();
    for pair in levels.windows(2).rev() {
        for (above, below) in pair[0].iter().flat_map(|a| pair[1].iter().map(move |b| (a, b))) {
            above.link(below).unwrap();
        }
    }
    let top = levels[0][0].clone();
    let absent = Found::possessed(top.clone()).search(&cx, Kind::User, b"absent");
    assert_eq!(absent.err().map(|error| error.errno), Some(Errno::EAGAIN));
    let deep = Found::possessed(top).search(&cx, Kind::Keyring, b"ring 119").unwrap();
    assert!(std::sync::Arc::ptr_eq(&deep.key, &levels[5][19]));
}

#[test]
fn owners_are_those_of_the_callers_user_namespace() {
    let test = test();
    let key = test.add("user", "mine", "x", special::PROCESS).unwrap();
    let outer = test.0.thread.credentials();
    let new = CloneFlags::NEWUSER.bits();
    assert_eq!(test.0.call("unshare", [new, 0, 0, 0, 0, 0]), Ok(0));
    let namespace = test.0.thread.credentials().namespace.clone();
    let described = || {
        let room = test.0.room(64);
        let len = test.ctl(operation::DESCRIBE, key, room, 64).unwrap();
        String::from_utf8(test.0.get(room, len as usize)).unwrap()
    };
    assert!(described().starts_with("user;65534;65534;"));
    let map = |count| std::vec![Extent { inside: 5, outside: 0, count }];
    namespace.set_map(Ids::Users, map(2), &outer).unwrap();
    namespace.set_map(Ids::Groups, map(1), &outer).unwrap();
    assert!(described().starts_with("user;5;5;"));
    let chown = |user: u64| test.ctl(operation::CHOWN, key, user, u64::from(u32::MAX));
    assert_eq!(chown(0), Err(Errno::EINVAL));
    // It is the caller's own already.
    assert_eq!(chown(5), Ok(0));
}
