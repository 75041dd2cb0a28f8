//! A guest that keeps to the protocol, and one that does not.

use super::*;
use std::fs as host;
use std::os::unix::fs::symlink as make_symlink;
use std::path::{Path, PathBuf};

/// A directory that is shared, with one beside it that is not.
struct Bench {
    folder: PathBuf,
    server: Server,
}

impl Bench {
    fn new(name: &str, read_only: bool) -> Self {
        let folder = std::env::temp_dir().join(format!("birgus-9p-{name}-{}", std::process::id()));
        let share = folder.join("share");
        host::create_dir_all(share.join("sub")).unwrap();
        host::write(share.join("file"), b"contents").unwrap();
        host::write(folder.join("secret"), b"secret").unwrap();
        make_symlink("../secret", share.join("out")).unwrap();
        make_symlink("/", share.join("root")).unwrap();
        let mut bench = Self { server: server(&share, read_only), folder };
        bench.ask(100, &[&8192_u32.to_le_bytes()[..], &text("9P2000.L")].concat()).unwrap();
        bench
            .ask(
                104,
                &[&numbers(&[0, u32::MAX]), &text("")[..], &text(""), &numbers(&[0])].concat(),
            )
            .unwrap();
        bench
    }

    /// The body of the answer, or the error's number.
    fn ask(&mut self, kind: u8, body: &[u8]) -> Result<Vec<u8>, u32> {
        let len = (HEADER_LEN + body.len()) as u32;
        let message = [&len.to_le_bytes()[..], &[kind, 7, 0], body].concat();
        let answer = self.server.answer(&message, 8192);
        assert_eq!(answer[..4], (answer.len() as u32).to_le_bytes());
        assert_eq!(answer[5..7], [7, 0]);
        match answer[4] {
            7 => Err(u32::from_le_bytes(answer[7..11].try_into().unwrap())),
            known => {
                assert_eq!(known, kind + 1);
                Ok(answer[HEADER_LEN..].to_vec())
            }
        }
    }

    fn walk(&mut self, from: u32, to: u32, names: &[&str]) -> Result<usize, u32> {
        let mut body = numbers(&[from, to]);
        body.extend((names.len() as u16).to_le_bytes());
        body.extend(names.iter().flat_map(|name| text(name)));
        self.ask(110, &body).map(|answer| usize::from(answer[0]))
    }

    fn open(&mut self, fid: u32, flags: i32) -> Result<Vec<u8>, u32> {
        self.ask(12, &numbers(&[fid, flags as u32]))
    }

    fn read(&mut self, fid: u32) -> Result<Vec<u8>, u32> {
        let body = [&numbers(&[fid])[..], &0_u64.to_le_bytes(), &numbers(&[100])].concat();
        self.ask(116, &body).map(|answer| answer[4..].to_vec())
    }

    fn share(&self) -> PathBuf {
        self.folder.join("share")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = host::remove_dir_all(&self.folder);
    }
}

fn server(share: &Path, read_only: bool) -> Server {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Server::new(fs::open(share, flags, Mode::empty()).unwrap(), read_only).unwrap()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

const EACCES: u32 = libc::EACCES as u32;
const EROFS: u32 = libc::EROFS as u32;

#[test]
fn a_file_is_read_and_written() {
    let mut bench = Bench::new("file", false);
    assert_eq!(bench.walk(0, 1, &["file"]), Ok(1));
    bench.open(1, libc::O_RDWR).unwrap();
    assert_eq!(bench.read(1).unwrap(), b"contents");
    let body = [&numbers(&[1])[..], &8_u64.to_le_bytes(), &numbers(&[3]), b"!!!"].concat();
    assert_eq!(bench.ask(118, &body).unwrap(), 3_u32.to_le_bytes());
    assert_eq!(host::read(bench.share().join("file")).unwrap(), b"contents!!!");
    bench.ask(120, &numbers(&[1])).unwrap();
    assert!(bench.read(1).is_err());
}

#[test]
fn names_are_made_renamed_and_removed() {
    let mut bench = Bench::new("names", false);
    bench.walk(0, 1, &[]).unwrap();
    let flags = (libc::O_RDWR | libc::O_EXCL) as u32;
    let body = [numbers(&[1]), text("new"), numbers(&[flags, 0o640, u32::MAX])].concat();
    bench.ask(14, &body).unwrap();
    let body = [numbers(&[0]), text("directory"), numbers(&[0o700, u32::MAX])].concat();
    bench.ask(72, &body).unwrap();
    bench.walk(0, 2, &["directory"]).unwrap();
    let body = [numbers(&[0]), text("new"), numbers(&[2]), text("moved")].concat();
    bench.ask(74, &body).unwrap();
    assert!(bench.share().join("directory/moved").exists());
    let body = [numbers(&[0]), text("link"), text("/etc/passwd"), numbers(&[u32::MAX])].concat();
    bench.ask(16, &body).unwrap();
    bench.walk(0, 3, &["link"]).unwrap();
    assert_eq!(bench.ask(22, &numbers(&[3])).unwrap(), text("/etc/passwd"));
    let body = [numbers(&[2]), text("moved"), numbers(&[0])].concat();
    bench.ask(76, &body).unwrap();
    let body = [numbers(&[0]), text("directory"), numbers(&[0x200])].concat();
    bench.ask(76, &body).unwrap();
    assert!(!bench.share().join("directory").exists());
    // The fid is still that of the directory, which is gone.
    assert!(bench.walk(2, 4, &["moved"]).is_err());
}

#[test]
fn a_directory_is_listed_piece_by_piece() {
    let mut bench = Bench::new("list", false);
    bench.walk(0, 1, &[]).unwrap();
    bench.open(1, libc::O_RDONLY | libc::O_DIRECTORY).unwrap();
    let (mut names, mut offset) = (Vec::new(), 0_u64);
    loop {
        let body = [&numbers(&[1])[..], &offset.to_le_bytes(), &numbers(&[40])].concat();
        let answer = bench.ask(40, &body).unwrap();
        let mut rest = &answer[4..];
        if rest.is_empty() {
            break;
        }
        while !rest.is_empty() {
            offset = u64::from_le_bytes(rest[13..21].try_into().unwrap());
            let len = usize::from(rest[22]);
            names.push(String::from_utf8(rest[24..24 + len].to_vec()).unwrap());
            rest = &rest[24 + len..];
        }
    }
    names.sort();
    assert_eq!(names, [".", "..", "file", "out", "root", "sub"]);
}

#[test]
fn no_name_leads_out_of_the_directory() {
    let mut bench = Bench::new("out", false);
    for names in [&[".."][..], &["sub", ".."], &["."], &[""], &["sub/.."], &["/"], &["/etc"]] {
        let walked = bench.walk(0, 1, names);
        assert!(walked == Err(EACCES) || walked == Ok(1) && names.len() == 2, "{names:?}");
        assert!(bench.read(1).is_err());
    }
    // Links are seen, and neither followed nor opened.
    for link in ["out", "root"] {
        assert_eq!(bench.walk(0, 2, &[link]), Ok(1));
        assert_eq!(bench.open(2, libc::O_RDONLY), Err(libc::ELOOP as u32));
        assert!(bench.walk(2, 3, &["etc"]).is_err());
        bench.ask(120, &numbers(&[2])).unwrap();
        bench.walk(0, 2, &[]).unwrap();
        let body = [numbers(&[2]), text(link), numbers(&[1, 0o600, u32::MAX])].concat();
        assert!(bench.ask(14, &body).is_err());
        bench.ask(120, &numbers(&[2])).unwrap();
    }
    for name in ["..", ".", "", "../x", "sub/x"] {
        let body = [numbers(&[0]), text(name), numbers(&[0o700, u32::MAX])].concat();
        assert_eq!(bench.ask(72, &body), Err(EACCES), "{name}");
        let body = [numbers(&[0]), text("file"), numbers(&[0]), text(name)].concat();
        assert_eq!(bench.ask(74, &body), Err(EACCES), "{name}");
    }
    assert_eq!(host::read(bench.folder.join("secret")).unwrap(), b"secret");
}

#[test]
fn a_directory_that_was_moved_away_leads_nowhere_else() {
    let mut bench = Bench::new("moved", false);
    bench.walk(0, 1, &["sub"]).unwrap();
    host::rename(bench.share().join("sub"), bench.folder.join("away")).unwrap();
    assert_eq!(bench.walk(1, 2, &["..", "secret"]), Err(EACCES));
}

#[test]
fn devices_and_fifos_of_the_host_are_not_opened() {
    let mut bench = Bench::new("fifo", false);
    let fifo = bench.share().join("fifo");
    fs::mknodat(fs::CWD, &fifo, fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
    bench.walk(0, 1, &["fifo"]).unwrap();
    assert_eq!(bench.open(1, libc::O_RDWR), Err(libc::EPERM as u32));
}

#[test]
fn nothing_changes_where_a_share_is_only_read() {
    let mut bench = Bench::new("ro", true);
    bench.walk(0, 1, &["file"]).unwrap();
    for flags in [libc::O_RDWR, libc::O_WRONLY, libc::O_RDONLY | libc::O_TRUNC] {
        assert_eq!(bench.open(1, flags), Err(EROFS));
    }
    let body = [numbers(&[0]), text("d"), numbers(&[0o700, u32::MAX])].concat();
    assert_eq!(bench.ask(72, &body), Err(EROFS));
    let body = [numbers(&[0]), text("file"), numbers(&[0])].concat();
    assert_eq!(bench.ask(76, &body), Err(EROFS));
    assert_eq!(bench.ask(26, &numbers(&[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])), Err(EROFS));
    bench.open(1, libc::O_RDONLY).unwrap();
    assert_eq!(bench.read(1).unwrap(), b"contents");
}

#[test]
fn attributes_are_set_and_seen() {
    let mut bench = Bench::new("attributes", false);
    bench.walk(0, 1, &["file"]).unwrap();
    let mut body = numbers(&[1, 1 | 1 << 3 | 1 << 5 | 1 << 8, 0o600, 0, 0]);
    for word in [4_u64, 0, 0, 1_000_000_000, 5] {
        body.extend(word.to_le_bytes());
    }
    bench.ask(26, &body).unwrap();
    let answer = bench.ask(24, &[&numbers(&[1])[..], &u64::MAX.to_le_bytes()].concat()).unwrap();
    let word = |at: usize| u64::from_le_bytes(answer[at..at + 8].try_into().unwrap());
    assert_eq!(answer[21..25], 0o100_600_u32.to_le_bytes());
    assert_eq!((word(49), word(89), word(97)), (4, 1_000_000_000, 5));
}

#[test]
fn no_message_does_harm() {
    let mut bench = Bench::new("random", false);
    // A xorshift generator: the same messages each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    const KINDS: [u8; 22] = [
        8, 12, 14, 16, 18, 22, 24, 26, 40, 50, 70, 72, 74, 76, 104, 108, 110, 116, 118, 120, 30, 0,
    ];
    const NAMES: [&str; 8] = ["file", "sub", "out", "..", "root", "a", "/etc/passwd", ""];
    for _ in 0..20_000 {
        let mut body = Vec::new();
        for _ in 0..random() % 7 {
            match random() % 4 {
                0 => body.extend(text(NAMES[random() as usize % NAMES.len()])),
                1 => body.extend((random() as u16 % 3).to_le_bytes()),
                2 => body.extend((random() as u32).to_le_bytes()),
                _ => body.extend((random() as u32 % 4).to_le_bytes()),
            }
        }
        let len = (HEADER_LEN + body.len()) as u32;
        let len = if random() % 16 == 0 { random() as u32 } else { len };
        let kind = KINDS[random() as usize % KINDS.len()];
        let message = [&len.to_le_bytes()[..], &[kind, 0, 0], &body].concat();
        let room = random() as usize % 300;
        let answer = bench.server.answer(&message, room);
        assert!(answer.len() <= room.max(HEADER_LEN + 4));
    }
    assert_eq!(host::read(bench.folder.join("secret")).unwrap(), b"secret");
    let beside = host::read_dir(&bench.folder).unwrap().count();
    assert_eq!(beside, 2);
}
