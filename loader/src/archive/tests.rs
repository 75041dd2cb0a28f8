use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::{PAGE, PATH_MAX};

/// An entry as other tools write it.
fn raw(name: &[u8], mode: u32, data: &[u8]) -> Vec<u8> {
    raw_with(name, mode, data.len() as u32, name.len() as u32 + 1, data)
}

fn raw_with(name: &[u8], mode: u32, file_size: u32, name_size: u32, data: &[u8]) -> Vec<u8> {
    let fields = [7, mode, 1000, 100, 1, 0x6000_0000, file_size, 8, 1, 5, 6, name_size, 0];
    let mut bytes = b"070701".to_vec();
    fields.iter().for_each(|field: &u32| bytes.extend(format!("{field:08X}").bytes()));
    bytes.extend_from_slice(name);
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn trailer() -> Vec<u8> {
    raw(TRAILER, 0, b"")
}

fn read(bytes: &[u8]) -> Result<Vec<Entry<'_>>, ArchiveError> {
    entries(bytes).collect()
}

#[track_caller]
fn refused(bytes: &[u8], line: &str) {
    assert_eq!(read(bytes).unwrap_err().to_string(), line);
    assert!(entries(bytes).skip_while(Result::is_ok).nth(1).is_none(), "nothing follows an error");
}

fn metadata(mode: u32) -> Metadata {
    Metadata { inode: 1, mode, links: 1, ..Metadata::default() }
}

#[test]
fn an_entry_has_all_fields_of_its_header() {
    let archive = [raw(b"etc/motd", 0o100_644, b"hello"), trailer()].concat();
    let entries = read(&archive).unwrap();
    let expected = Metadata {
        inode: 7,
        mode: 0o100_644,
        uid: 1000,
        gid: 100,
        links: 1,
        mtime: 0x6000_0000,
        device: Device { major: 8, minor: 1 },
        rdev: Device { major: 5, minor: 6 },
    };
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].name, entries[0].data), (&b"etc/motd"[..], &b"hello"[..]));
    assert_eq!((entries[0].metadata, entries[0].archive), (expected, 0));
    assert_eq!(&archive[entries[0].data_offset..][..5], b"hello");
}

#[test]
fn names_are_relative_to_the_root() {
    let cases: [(&[u8], &[u8]); 7] = [
        (b"a/b", b"a/b"),
        (b"./a", b"a"),
        (b"//.///a/", b"a"),
        (b".", b"."),
        (b"/", b"."),
        (b"./", b"."),
        (b"..a/.b", b"..a/.b"),
    ];
    for (stored, name) in cases {
        let archive = [raw(stored, 0o040_755, b""), trailer()].concat();
        assert_eq!(read(&archive).unwrap()[0].name, name);
    }
    let archive = [raw(b"./a//./b", 0o040_755, b""), trailer()].concat();
    let components: Vec<&[u8]> = read(&archive).unwrap()[0].components().collect();
    assert_eq!(components, [b"a", b"b"]);
}

#[test]
fn archives_follow_each_other_with_zeros_between() {
    let first = [raw(b"a", 0o040_755, b""), trailer()].concat();
    let second = [vec![0; 512], raw(b"b", 0o040_755, b""), trailer(), vec![0; 3]].concat();
    let both = [first, second].concat();
    let found: Vec<_> =
        read(&both).unwrap().iter().map(|entry| (entry.name, entry.archive)).collect();
    assert_eq!(found, [(&b"a"[..], 0), (&b"b"[..], 1)]);
    assert_eq!(read(b""), Ok(vec![]));
    assert_eq!(read(&[0; 512]), Ok(vec![]));
    assert_eq!(read(&trailer()), Ok(vec![]));
}

#[test]
fn a_bad_archive_is_named_with_its_position() {
    let good = raw(b"good", 0o040_755, b"");
    let after = |bad: &[u8]| [&good, bad, &trailer()].concat();
    assert_eq!(good.len(), 116);
    refused(&after(b"070707"), "archive, byte 116: c_magic is not 070701 (newc cpio)");
    refused(&after(b"\x1f\x8b"), "archive, byte 116: compressed with gzip; uncompress it first");
    refused(&after(b"\0\x00070701"), "archive, byte 118: an entry that is not aligned to 4 bytes");
    refused(&good, "archive, byte 116: the archive ends without TRAILER!!!");
    refused(&good[..109], "archive, byte 0: the archive ends inside this header");
    refused(&good[..112], "archive, byte 110: the archive ends inside this name");

    let mut bytes = after(&good);
    bytes[116 + 6 + 8 * 6] = b'g';
    refused(&bytes, "archive, byte 170: c_filesize is not a hexadecimal number");
    bytes[116 + 6 + 8 * 6] = b'+';
    refused(&bytes, "archive, byte 170: c_filesize is not a hexadecimal number");
}

#[test]
fn a_bad_entry_is_named_with_its_position() {
    let with_sizes = |file_size, name_size| raw_with(b"name", 0o100_644, file_size, name_size, b"");
    let line = "archive, byte 94: c_namesize is 0, not in the range 1 to 4096";
    refused(&with_sizes(0, 0), line);
    let line = "archive, byte 94: c_namesize is 4097, not in the range 1 to 4096";
    refused(&with_sizes(0, 4097), line);
    refused(&with_sizes(0, 4096), "archive, byte 110: the archive ends inside this name");
    refused(&with_sizes(0, 4), "archive, byte 110: the name does not end with NUL bytes");
    let line = "archive, byte 116: the archive ends inside these 4294967295 bytes of data";
    refused(&with_sizes(u32::MAX, 5), line);
    let line = "archive, byte 110: the name does not end with NUL bytes";
    refused(&raw(b"na\0me", 0o100_644, b""), line);
    refused(&raw(b"", 0o100_644, b""), "archive, byte 110: the name is empty");
    for name in [&b".."[..], b"../a", b"a/../b", b"a/.."] {
        let line = "archive, byte 110: the name has the component '..'";
        refused(&raw(name, 0o100_644, b""), line);
    }
    let line = "archive, byte 14: c_mode 0o644 is of no kind of file";
    refused(&raw(b"name", 0o644, b""), line);
}

#[test]
fn the_sum_is_checked_in_the_format_that_has_one() {
    let mut archive = [raw(b"a", 0o100_644, b"\x01\xff"), trailer()].concat();
    archive[5] = b'2';
    refused(&archive, "archive, byte 112: the data does not add up to c_check");
    archive[102..110].copy_from_slice(b"00000100");
    assert_eq!(read(&archive).unwrap()[0].data, b"\x01\xff");
}

/// Writes files of the given names and lengths, filled with their index.
fn write(files: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut writer = Writer::new();
    for (index, (name, len)) in files.iter().enumerate() {
        archive.extend(writer.entry(name, &metadata(REGULAR | 0o644), *len as u64).unwrap());
        archive.resize(archive.len() + len, index as u8 | 1);
        assert_eq!(archive.len() as u64, writer.position());
    }
    archive.extend(writer.finish());
    archive
}

#[track_caller]
fn check(files: &[(Vec<u8>, usize)]) {
    let archive = write(files);
    let found = read(&archive).unwrap();
    assert_eq!(found.len(), files.len());
    for (index, (entry, (name, len))) in found.iter().zip(files).enumerate() {
        assert_eq!((entry.name, entry.data.len()), (&name[..], *len));
        assert!(entry.data.iter().all(|&byte| byte == index as u8 | 1));
        if *len as u64 >= ALIGNED_FROM {
            assert_eq!(entry.data_offset as u64 % PAGE, 0);
            let end = entry.data_offset + len;
            assert!(archive[end..end.next_multiple_of(4096)].iter().all(|&byte| byte == 0));
        }
    }
}

#[test]
fn large_files_are_aligned_to_pages_at_every_position() {
    let large = ALIGNED_FROM as usize;
    for before in (0..large).step_by(76) {
        check(&[
            (b"before".to_vec(), before),
            (b"large".to_vec(), large + before % 5),
            (b"after".to_vec(), large),
            (b"small".to_vec(), 1),
        ]);
    }
}

#[test]
fn names_of_every_length_leave_room_for_the_alignment() {
    for len in (1..PATH_MAX).step_by(61).chain(PATH_MAX - 8..PATH_MAX) {
        for before in [0, 3000, 3900, 3960, 4090] {
            check(&[(b"before".to_vec(), before), (vec![b'n'; len], ALIGNED_FROM as usize)]);
        }
    }
}

#[test]
fn all_kinds_of_files_survive_the_way() {
    let kinds = [REGULAR, DIRECTORY, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, FIFO, SOCKET];
    let mut archive = Vec::new();
    let mut writer = Writer::new();
    let of_kind = |kind| Metadata {
        inode: u32::MAX,
        mode: kind | 0o7777,
        uid: u32::MAX,
        gid: 12,
        links: 3,
        mtime: u32::MAX,
        device: Device { major: 1, minor: 2 },
        rdev: Device { major: 3, minor: 4 },
    };
    for kind in kinds {
        archive.extend(writer.entry(b"name", &of_kind(kind), 6).unwrap());
        archive.extend_from_slice(b"target");
    }
    archive.extend(writer.finish());
    let found = read(&archive).unwrap();
    assert_eq!(found.len(), kinds.len());
    for (entry, kind) in found.iter().zip(kinds) {
        assert_eq!((entry.metadata, entry.data), (of_kind(kind), &b"target"[..]));
        assert_eq!(entry.metadata.file_type(), kind);
    }
}

#[test]
fn what_the_format_cannot_hold_is_refused_and_changes_nothing() {
    let mut writer = Writer::new();
    let file = metadata(REGULAR | 0o644);
    let long = vec![b'n'; PATH_MAX];
    let too_long = writer.entry(&long, &file, 0);
    assert_eq!(too_long, Err(WriteError::NameTooLong { len: PATH_MAX }));
    for name in [&b""[..], b"a\0b", b"..", b"a/../b", TRAILER, FILLER] {
        assert_eq!(writer.entry(name, &file, 0), Err(WriteError::BadName));
    }
    assert_eq!(writer.entry(b"a", &metadata(0o644), 0), Err(WriteError::FileType { mode: 0o644 }));
    let len = 1 << 32;
    assert_eq!(writer.entry(b"a", &file, len), Err(WriteError::DataTooLong { len }));
    assert_eq!(writer.position(), 0);
    assert!(writer.entry(b"a", &file, len - 1).is_ok());
}
