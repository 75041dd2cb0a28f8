//! The proc file system through system calls.

use std::string::String;
use std::vec::Vec;

use abi::Errno;
use abi::fs::{Dirent64, OpenFlags};

use crate::fake::kit::{self, Kit};

const AT_FDCWD: u64 = -100_i64 as u64;
const ROOM: usize = 32 * 1024;

fn open(kit: &Kit, path: &str, flags: OpenFlags) -> Result<u64, Errno> {
    let path = kit.string(path);
    kit.call("openat", [AT_FDCWD, path, u64::from(flags.bits()), 0, 0, 0])
}

fn read(kit: &Kit, path: &str) -> Result<String, Errno> {
    let fd = open(kit, path, OpenFlags::empty())?;
    let room = kit.room(ROOM);
    let mut all = Vec::new();
    loop {
        let len = kit.call("read", [fd, room, ROOM as u64, 0, 0, 0])? as usize;
        if len == 0 {
            kit.call("close", [fd, 0, 0, 0, 0, 0])?;
            return Ok(String::from_utf8(all).unwrap());
        }
        all.extend(kit.get(room, len));
    }
}

fn write(kit: &Kit, path: &str, text: &[u8]) -> Result<u64, Errno> {
    let fd = open(kit, path, OpenFlags::WRONLY | OpenFlags::TRUNC)?;
    let address = kit.put(text);
    let result = kit.call("write", [fd, address, text.len() as u64, 0, 0, 0]);
    kit.call("close", [fd, 0, 0, 0, 0, 0])?;
    result
}

fn read_link(kit: &Kit, path: &str) -> Result<String, Errno> {
    let (path, room) = (kit.string(path), kit.room(512));
    let len = kit.call("readlinkat", [AT_FDCWD, path, room, 512, 0, 0])?;
    Ok(String::from_utf8(kit.get(room, len as usize)).unwrap())
}

fn list(kit: &Kit, path: &str) -> Vec<String> {
    let fd = open(kit, path, OpenFlags::DIRECTORY).unwrap();
    let room = kit.room(4096);
    let mut names = Vec::new();
    loop {
        let len = kit.call("getdents64", [fd, room, 512, 0, 0, 0]).unwrap() as usize;
        if len == 0 {
            kit.call("close", [fd, 0, 0, 0, 0, 0]).unwrap();
            return names;
        }
        let bytes = kit.get(room, len);
        let mut at = 0;
        while at < len {
            let record = usize::from(u16::from_le_bytes([bytes[at + 16], bytes[at + 17]]));
            let name = &bytes[at + size_of::<Dirent64>()..at + record];
            let end = name.iter().position(|&byte| byte == 0).unwrap();
            names.push(String::from_utf8(name[..end].to_vec()).unwrap());
            at += record;
        }
    }
}

#[test]
fn every_file_of_the_root_and_of_a_process_can_be_read() {
    let kit = kit::process();
    let files: Vec<String> = ["/proc", "/proc/self", "/proc/self/task/2", "/proc/sys/kernel"]
        .iter()
        .flat_map(|&directory| {
            list(&kit, directory).into_iter().map(move |name| std::format!("{directory}/{name}"))
        })
        .collect();
    assert!(files.iter().any(|path| path == "/proc/meminfo"));
    // The map of pages has a word for each page that there could be.
    for path in files.into_iter().filter(|path| !path.ends_with("/pagemap")) {
        let kit = kit::process();
        match read(&kit, &path) {
            Ok(_) => {}
            Err(errno) if path.ends_with("/exe") => assert_eq!(errno, Errno::ENOENT),
            // Nothing is mapped where it begins.
            Err(errno) if path.ends_with("/mem") => assert_eq!(errno, Errno::EIO),
            Err(errno) => assert_eq!(errno, Errno::EISDIR, "{path}"),
        }
    }
}

#[test]
fn self_leads_to_the_caller() {
    let kit = kit::process();
    assert_eq!(read_link(&kit, "/proc/self").as_deref(), Ok("2"));
    assert_eq!(read_link(&kit, "/proc/thread-self").as_deref(), Ok("2/task/2"));
    assert!(list(&kit, "/proc").contains(&String::from("2")));
    assert_eq!(list(&kit, "/proc/2/task"), [".", "..", "2"]);
    assert_eq!(read(&kit, "/proc/77/stat"), Err(Errno::ENOENT));
    assert_eq!(read(&kit, "/proc/02/stat"), Err(Errno::ENOENT));
}

#[test]
fn stat_has_52_fields_and_status_its_lines() {
    let kit = kit::process();
    let stat = read(&kit, "/proc/self/stat").unwrap();
    assert!(stat.starts_with("2 ("));
    let fields = stat.trim_end().rsplit(')').next().unwrap().split_whitespace().count();
    assert_eq!(fields + 2, 52);
    let status = read(&kit, "/proc/self/status").unwrap();
    assert!(status.contains("\nPid:\t2\n") && status.contains("\nVmRSS:\t"));
    assert!(status.contains("\nSigBlk:\t0000000000000000\n"));
    assert_eq!(read(&kit, "/proc/self/statm").unwrap().split_whitespace().count(), 7);
}

#[test]
fn maps_shows_the_areas() {
    let kit = kit::process();
    let maps = read(&kit, "/proc/self/maps").unwrap();
    assert!(maps.lines().any(|line| line.starts_with("20000000-20100000 rw-p 00000000 00:00 0 ")));
}

#[test]
fn descriptors_have_links_and_states() {
    let kit = kit::process();
    let file = open(&kit, "/tmp/x", OpenFlags::CREAT | OpenFlags::RDWR | OpenFlags::CLOEXEC);
    assert_eq!(file, Ok(0));
    let pair = kit.room(8);
    assert_eq!(kit.call("pipe", [pair, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(read_link(&kit, "/proc/self/fd/0").as_deref(), Ok("/tmp/x"));
    assert!(read_link(&kit, "/proc/self/fd/1").unwrap().starts_with("pipe:["));
    // The directory itself is open while it is read.
    assert_eq!(list(&kit, "/proc/self/fd"), [".", "..", "0", "1", "2", "3"]);
    assert_eq!(read_link(&kit, "/proc/self/fd/9"), Err(Errno::ENOENT));
    let state = read(&kit, "/proc/self/fdinfo/0").unwrap();
    assert!(state.starts_with("pos:\t0\nflags:\t02100002\nmnt_id:\t"));
    assert_eq!(open(&kit, "/dev/stdin", OpenFlags::empty()), Ok(3));
    assert_eq!(read_link(&kit, "/proc/self/fd/3").as_deref(), Ok("/tmp/x"));
}

#[test]
fn settings_keep_what_is_written() {
    let kit = kit::process();
    assert_eq!(write(&kit, "/proc/self/comm", b"hermit\n"), Ok(7));
    assert_eq!(read(&kit, "/proc/self/comm").as_deref(), Ok("hermit\n"));
    assert!(read(&kit, "/proc/self/stat").unwrap().starts_with("2 (hermit) "));
    assert_eq!(write(&kit, "/proc/self/oom_score_adj", b"-500\n"), Ok(5));
    assert_eq!(read(&kit, "/proc/self/oom_score_adj").as_deref(), Ok("-500\n"));
    assert_eq!(write(&kit, "/proc/self/oom_score_adj", b"1001"), Err(Errno::EINVAL));
    assert_eq!(write(&kit, "/proc/sys/kernel/hostname", b"shell\n"), Ok(6));
    assert_eq!(kit.system.host_name(), b"shell");
    assert_eq!(write(&kit, "/proc/version", b"x"), Err(Errno::EIO));
}

#[test]
fn names_cannot_be_made_or_removed() {
    let kit = kit::process();
    let flags = OpenFlags::CREAT | OpenFlags::RDWR;
    assert_eq!(open(&kit, "/proc/new", flags), Err(Errno::ENOENT));
    let new = kit.string("/proc/new");
    assert_eq!(kit.call("mkdir", [new, 0o755, 0, 0, 0, 0]), Err(Errno::ENOENT));
    assert_eq!(kit.call("mkdir", [kit.string("/proc/self"), 0, 0, 0, 0, 0]), Err(Errno::EEXIST));
    let path = kit.string("/proc/version");
    assert_eq!(kit.call("unlinkat", [AT_FDCWD, path, 0, 0, 0, 0]), Err(Errno::EPERM));
}

#[test]
fn mounts_show_the_tree() {
    let kit = kit::process();
    let mounts = read(&kit, "/proc/mounts").unwrap();
    assert!(mounts.starts_with("rootfs / "));
    assert!(mounts.contains("\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n"));
    assert_eq!(read(&kit, "/proc/self/mountinfo").unwrap().lines().count(), mounts.lines().count());
}

#[test]
fn a_uuid_is_fresh_and_the_boot_id_is_not() {
    let kit = kit::process();
    let of = |name: &str| read(&kit, &std::format!("/proc/sys/kernel/random/{name}")).unwrap();
    let (one, other) = (of("uuid"), of("uuid"));
    assert_ne!(one, other);
    assert_eq!(one.len(), 37);
    assert_eq!(one.as_bytes()[14], b'4');
    assert_eq!(of("boot_id"), of("boot_id"));
}

#[test]
fn reading_on_fits_to_what_was_read_before() {
    let kit = kit::process();
    let fd = open(&kit, "/proc/uptime", OpenFlags::empty()).unwrap();
    let room = kit.room(64);
    assert_eq!(kit.call("read", [fd, room, 4, 0, 0, 0]), Ok(4));
    assert_eq!(kit.get(room, 4), b"0.00");
    kit.machine.advance(5_000_000_000);
    let rest = kit.call("read", [fd, room, 64, 0, 0, 0]).unwrap();
    assert_eq!(kit.get(room, rest as usize), b" 0.00\n");
    assert!(kit.call("pread64", [fd, room, 4, 0, 0, 0]).is_ok());
    assert_eq!(kit.get(room, 4), b"5.00");
}
