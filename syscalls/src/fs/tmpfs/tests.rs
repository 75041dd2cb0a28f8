//! Files over the boot archive, and regular files beside a model.

use std::vec;
use std::vec::Vec;

use abi::fs::{FallocateFlags, Stat};
use abi::{Errno, PAGE_SIZE};
use loader::archive::{Metadata, REGULAR, SYMLINK, Writer};

use super::content::Content;
use super::*;
use crate::error::Error;
use crate::fake::{FakeMachine, aligned_archive, kit};
use crate::io::{SliceSink, SliceSource};

const PAGE: u64 = PAGE_SIZE as u64;

fn metadata(mode: u32, inode: u32, links: u32) -> Metadata {
    Metadata { mode, inode, links, ..Metadata::default() }
}

/// An archive of files with these names, modes, inode numbers and data.
pub(crate) fn archive(files: &[(&str, u32, u32, &[u8])]) -> &'static [u8] {
    let mut writer = Writer::new();
    let mut bytes = Vec::new();
    for (name, mode, inode, data) in files {
        let links = files.iter().filter(|(_, _, other, _)| inode == other).count() as u32;
        let metadata = metadata(*mode, *inode, links);
        bytes.extend(writer.entry(name.as_bytes(), &metadata, data.len() as u64).unwrap());
        bytes.extend_from_slice(data);
    }
    bytes.extend(writer.finish());
    aligned_archive(&bytes)
}

pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 7 + at % 251) as u8 | 1).collect()
}

struct Fixture {
    fake: Arc<FakeMachine>,
    root: Arc<dyn Inode>,
}

impl Fixture {
    fn new(archive: &'static [u8]) -> Self {
        let fake = FakeMachine::new();
        let machine: Arc<dyn Machine> = fake.clone();
        let root = unpack(&machine, [16, 17].map(|minor| Device::new(0, minor)), archive)
            .ok()
            .unwrap()
            .root;
        Self { fake, root }
    }

    fn at(&self, path: &str) -> Arc<dyn Inode> {
        path.split('/')
            .fold(self.root.clone(), |directory, name| entry(&directory, name.as_bytes()).unwrap())
    }

    fn content<T>(&self, path: &str, work: impl FnOnce(&Content, &Tmpfs) -> T) -> T {
        let inode = self.at(path);
        let node = node::node_of(&inode).unwrap();
        work(node.content().unwrap(), &node.fs)
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let read = self.content(path, |content, _| {
            content.read(offset, &mut SliceSink::new(&mut bytes)).unwrap()
        });
        bytes.truncate(read);
        bytes
    }

    fn write(&self, path: &str, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.content(path, |content, fs| {
            content.write(fs, offset, u64::MAX >> 1, &mut SliceSource::new(bytes))
        })
        .map_err(|error: Error| error.errno)
    }
}

#[test]
fn files_of_the_archive_are_read_where_they_lie() {
    let data = pattern(5 * PAGE_SIZE + 100);
    let fixture = Fixture::new(archive(&[("bin/big", REGULAR | 0o755, 1, &data)]));
    let before = fixture.fake.live_pages();
    assert_eq!(fixture.read("bin/big", 0, 10 * PAGE_SIZE), data);
    assert_eq!(fixture.read("bin/big", 4090, 20), data[4090..4110]);
    assert_eq!(fixture.fake.live_pages(), before);
    assert_eq!(fixture.at("bin/big").metadata().unwrap().blocks, 6 * 8);
}

#[test]
fn whole_pages_of_the_archive_are_mapped_in_place_and_the_last_is_copied() {
    let data = pattern(5 * PAGE_SIZE + 100);
    let fixture = Fixture::new(archive(&[("big", REGULAR | 0o755, 1, &data)]));
    let inode = fixture.at("big");
    let page = inode.page(2).unwrap().unwrap();
    let again = inode.page(2).unwrap().unwrap();
    assert_eq!(page.frame(), again.frame());
    let mut last = [1; PAGE_SIZE];
    inode.page(5).unwrap().unwrap().read(0, &mut last);
    assert_eq!(last[..100], data[5 * PAGE_SIZE..]);
    assert!(last[100..].iter().all(|&byte| byte == 0));
    assert!(inode.page(6).unwrap().is_none());
    assert!(inode.page(u64::MAX).unwrap().is_none());
}

#[test]
fn a_write_copies_just_its_page() {
    let data = pattern(6 * PAGE_SIZE);
    let fixture = Fixture::new(archive(&[("big", REGULAR | 0o755, 1, &data)]));
    let before = fixture.fake.live_pages();
    assert_eq!(fixture.write("big", PAGE + 10, b"crab"), Ok(4));
    assert_eq!(fixture.fake.live_pages(), before + 1);
    let mut expected = data;
    expected[PAGE_SIZE + 10..PAGE_SIZE + 14].copy_from_slice(b"crab");
    assert_eq!(fixture.read("big", 0, 7 * PAGE_SIZE), expected);
}

#[test]
fn what_was_cut_off_the_archive_does_not_come_back() {
    let data = pattern(5 * PAGE_SIZE);
    let fixture = Fixture::new(archive(&[("big", REGULAR | 0o644, 1, &data)]));
    let inode = fixture.at("big");
    inode.truncate(PAGE + 5).unwrap();
    inode.truncate(3 * PAGE).unwrap();
    let mut expected = data[..PAGE_SIZE + 5].to_vec();
    expected.resize(3 * PAGE_SIZE, 0);
    assert_eq!(fixture.read("big", 0, 4 * PAGE_SIZE), expected);
    assert_eq!(inode.metadata().unwrap().blocks, 16);
}

#[test]
fn hard_links_of_the_archive_are_one_file_whose_data_comes_with_any_of_them() {
    let fixture = Fixture::new(archive(&[
        ("a", REGULAR | 0o644, 7, b""),
        ("d/b", REGULAR | 0o644, 7, b"shell"),
    ]));
    assert_eq!(fixture.read("a", 0, 9), b"shell");
    assert_eq!(fixture.at("a").metadata().unwrap().links, 2);
    fixture.write("a", 0, b"S").unwrap();
    assert_eq!(fixture.read("d/b", 0, 9), b"Shell");
}

#[test]
fn a_later_entry_replaces_an_earlier_one() {
    let fixture = Fixture::new(archive(&[
        ("x", SYMLINK | 0o777, 1, b"y"),
        ("x", REGULAR | 0o600, 2, b"new"),
    ]));
    assert_eq!(fixture.read("x", 0, 9), b"new");
}

#[test]
fn an_entry_below_a_file_is_refused_by_name() {
    let archive = archive(&[("x", REGULAR | 0o600, 1, b""), ("x/y", REGULAR | 0o600, 2, b"")]);
    let machine: Arc<dyn Machine> = FakeMachine::new();
    let error = unpack(&machine, [Device::default(); 2], archive).err().unwrap();
    assert!(std::format!("{error}").contains("x/y"));
}

#[test]
fn the_configuration_is_no_file() {
    let archive = archive(&[(abi::boot::config::ENTRY, REGULAR | 0o600, 1, b"arg=x\0")]);
    let machine: Arc<dyn Machine> = FakeMachine::new();
    let unpacked = unpack(&machine, [Device::default(); 2], archive).ok().unwrap();
    assert_eq!(unpacked.configuration, Some(&b"arg=x\0"[..]));
    assert!(entry(&unpacked.root, b".birgus").is_err());
}

#[test]
fn shared_memory_of_the_archive_is_a_file_system_of_its_own() {
    let archive = archive(&[("dev/shm/d/f", REGULAR | 0o600, 1, b"crab")]);
    let kit = kit::with_archive(FakeMachine::new(), archive);
    let fd = kit.call("open", [kit.string("/dev/shm/d/f"), 0, 0, 0, 0, 0]).unwrap();
    let room = kit.room(16);
    assert_eq!(kit.call("read", [fd, room, 16, 0, 0, 0]), Ok(4));
    assert_eq!(kit.get(room, 4), b"crab");
    let device = |path: &str| {
        let (path, at) = (kit.string(path), kit.room(size_of::<Stat>()));
        assert_eq!(kit.call("stat", [path, at, 0, 0, 0, 0]), Ok(0));
        let stat: Stat = kit.get_value(at);
        (stat.dev, stat.mode)
    };
    let (shm, mode) = device("/dev/shm");
    assert_eq!(mode & 0o7777, 0o1777);
    assert!(shm != device("/dev").0 && shm != device("/").0);
}

#[test]
fn removed_files_give_their_pages_back() {
    let fixture = Fixture::new(archive(&[("f", REGULAR | 0o644, 1, b"")]));
    let before = fixture.fake.live_pages();
    fixture.write("f", 0, &pattern(10 * PAGE_SIZE)).unwrap();
    let usage = fixture.root.file_system().usage();
    assert_eq!(fixture.fake.live_pages(), before + 10);
    fixture.root.unlink(b"f").unwrap();
    assert_eq!(fixture.fake.live_pages(), before);
    assert_eq!(fixture.root.file_system().usage().free_pages, usage.free_pages + 10);
}

#[test]
fn without_memory_a_write_ends_early_and_then_fails() {
    let fixture = Fixture::new(archive(&[("f", REGULAR | 0o644, 1, b"")]));
    fixture.fake.set_page_limit(fixture.fake.live_pages() + 2);
    assert_eq!(fixture.write("f", 0, &pattern(3 * PAGE_SIZE)), Ok(2 * PAGE_SIZE));
    assert_eq!(fixture.write("f", 2 * PAGE, b"x"), Err(Errno::ENOMEM));
    assert_eq!(fixture.at("f").metadata().unwrap().size, 2 * PAGE);
}

#[test]
fn a_file_system_is_full_before_memory_is() {
    let fixture = Fixture::new(archive(&[("f", REGULAR | 0o644, 1, b"")]));
    let pages = fixture.root.file_system().usage().pages;
    let inode = fixture.at("f");
    let all = inode.allocate(FallocateFlags::empty(), 0, (pages + 1) * PAGE);
    assert_eq!(all.unwrap_err().errno, Errno::ENOSPC);
    assert_eq!(fixture.root.file_system().usage().free_pages, pages);
}

#[test]
fn a_shared_page_is_the_files_own() {
    let data = pattern(5 * PAGE_SIZE);
    let fixture = Fixture::new(archive(&[("big", REGULAR | 0o644, 1, &data)]));
    let page = fixture.at("big").shared_page(1).unwrap().unwrap();
    page.write(0, b"shared");
    assert_eq!(fixture.read("big", PAGE, 6), b"shared");
    assert_eq!(fixture.at("big").page(1).unwrap().unwrap().frame(), page.frame());
}

/// A generator of numbers that look random (xorshift64).
pub(crate) struct Random(u64);

impl Random {
    /// The numbers that belong to `seed`, which is not 0.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed))
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One random operation on a file and on the bytes it must hold.
fn step(fixture: &Fixture, model: &mut Vec<u8>, random: &mut Random) {
    const LONGEST: u64 = 8 * PAGE;
    let offset = random.below(LONGEST);
    let len = random.below(LONGEST / 2) as usize;
    let end = offset as usize + len;
    let inode = fixture.at("f");
    match random.below(6) {
        0 | 1 => {
            let bytes = vec![random.below(255) as u8 + 1; len];
            assert_eq!(fixture.write("f", offset, &bytes), Ok(len));
            if len > 0 {
                model.resize(model.len().max(end), 0);
                model[offset as usize..end].copy_from_slice(&bytes);
            }
        }
        2 => {
            inode.truncate(offset).unwrap();
            model.resize(offset as usize, 0);
        }
        3 if len > 0 => {
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            inode.allocate(punch, offset, len as u64).unwrap();
            let end = end.min(model.len());
            if let Some(range) = model.get_mut(offset as usize..end) {
                range.fill(0);
            }
        }
        4 if len > 0 => {
            inode.allocate(FallocateFlags::empty(), offset, len as u64).unwrap();
            model.resize(model.len().max(end), 0);
        }
        _ => {
            // Mapping a page changes nothing that can be seen.
            let page = inode.page(offset / PAGE).unwrap();
            assert_eq!(page.is_some(), offset / PAGE * PAGE < model.len() as u64);
        }
    }
    assert_eq!(fixture.read("f", 0, 16 * PAGE_SIZE), *model);
    assert_eq!(inode.metadata().unwrap().size, model.len() as u64);
}

#[test]
fn a_file_holds_what_a_model_holds() {
    for seed in 1..40 {
        let data = pattern(5 * PAGE_SIZE + 77);
        let fixture = Fixture::new(archive(&[("f", REGULAR | 0o644, 1, &data)]));
        let free = fixture.root.file_system().usage().free_pages;
        let mut model = data;
        let mut random = Random::new(seed);
        for _ in 0..60 {
            step(&fixture, &mut model, &mut random);
        }
        fixture.at("f").truncate(0).unwrap();
        assert_eq!(fixture.at("f").metadata().unwrap().blocks, 0);
        assert_eq!(fixture.root.file_system().usage().free_pages, free);
    }
}
