//! What fails must not take with it what was stored before.

use core::any::Any;

use abi::PAGE_SIZE;

use super::*;
use crate::fake::kit;
use crate::io::Source;
use crate::machine::Page;

/// Bytes that cannot be read.
struct BadSource;

impl Source for BadSource {
    fn remaining(&self) -> usize {
        PAGE_SIZE
    }

    fn take(&mut self, _: &mut [u8]) -> Result<usize> {
        Err(Errno::EFAULT.into())
    }

    fn take_to_page(&mut self, _: &dyn Page, _: usize, _: usize) -> Result<usize> {
        Err(Errno::EFAULT.into())
    }
}

fn node(inode: &Arc<dyn Inode>) -> &Node {
    let any: &dyn Any = &**inode;
    any.downcast_ref().unwrap()
}

/// Takes all room that there is.
fn fill_up(root: &Arc<dyn Inode>) {
    for number in 0.. {
        let filler = root.create(format!("filler{number}").as_bytes(), &new(NewKind::Regular));
        let filler = filler.unwrap();
        let block = vec![9; root.file_system().usage().block_size as usize];
        let steps = (0..).step_by(block.len());
        let failed = steps.clone().find(|&at| bytes(&filler).write_at(at, &block).is_err());
        if failed == Some(0) {
            break;
        }
    }
    assert_eq!(root.file_system().usage().free_pages, 0);
}

#[test]
fn a_page_that_was_to_be_written_and_could_not_be_stays_what_it_was() {
    let kit = kit::process();
    for (kind, options) in KINDS {
        let image = Image::make(options, "8m");
        let disk = image.disk();
        let root = mount(kind, &disk).unwrap();
        let file = root.create(b"file", &new(NewKind::Regular)).unwrap();
        bytes(&file).write_at(0, &[7; 3 * PAGE_SIZE]).unwrap();
        root.file_system().end();
        drop((root, file));
        for _ in 0..2 {
            let root = mount(kind, &disk).unwrap();
            let file = root.lookup(&kit.context(), b"file").unwrap();
            let written = node(&file).write_from(4096, 8192, &mut BadSource);
            assert_eq!(written.unwrap_err().errno, Errno::EFAULT);
            assert!(content(&file) == [7; 3 * PAGE_SIZE], "{options}");
            root.file_system().end();
            image.check(&disk);
        }
    }
}

#[test]
fn a_file_that_cannot_be_allocated_keeps_its_bytes() {
    let image = Image::make("-t ext3 -b 1024", "8m");
    let root = mount("ext3", &image.disk()).unwrap();
    let file = root.create(b"file", &new(NewKind::Regular)).unwrap();
    bytes(&file).write_at(0, &[7; 9000]).unwrap();
    let zeroed = file.allocate(FallocateFlags::ZERO_RANGE, 1000, 6000);
    assert_eq!(zeroed.unwrap_err().errno, Errno::EOPNOTSUPP);
    assert!(content(&file) == [7; 9000]);
}

#[test]
fn a_hole_that_there_is_no_room_for_takes_nothing() {
    let image = Image::make("-t ext4 -b 4096 -O ^has_journal -N 64", "8m");
    let disk = image.disk();
    let root = mount("ext4", &disk).unwrap();
    // Takes the small gaps, so that the file is in one piece.
    let first = root.create(b"first", &new(NewKind::Regular)).unwrap();
    bytes(&first).write_at(0, &[5; 64 * PAGE_SIZE]).unwrap();
    let file = root.create(b"file", &new(NewKind::Regular)).unwrap();
    let page = PAGE_SIZE as u64;
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let mut model = vec![7; 11 * PAGE_SIZE];
    bytes(&file).write_at(0, &model).unwrap();
    for hole in [1, 3, 5] {
        file.allocate(punch, hole * page, page).unwrap();
        model[hole as usize * PAGE_SIZE..][..PAGE_SIZE].fill(0);
    }
    fill_up(&root);
    // What was freed for the holes is in use now; a fifth extent needs a block for the tree.
    bytes(&file).write_at(6 * page, &[8; 5 * PAGE_SIZE]).unwrap();
    model[6 * PAGE_SIZE..].fill(8);
    let punched = file.allocate(punch, 8 * page, page);
    assert_eq!(punched.unwrap_err().errno, Errno::ENOSPC);
    assert!(content(&file) == model);
    root.file_system().end();
    image.check(&disk);
}

#[test]
fn writing_to_what_was_allocated_on_a_full_device_loses_no_blocks() {
    let image = Image::make("-t ext4 -b 4096 -O ^has_journal -N 64", "8m");
    let disk = image.disk();
    let root = mount("ext4", &disk).unwrap();
    let file = root.create(b"file", &new(NewKind::Regular)).unwrap();
    let page = PAGE_SIZE as u64;
    file.allocate(FallocateFlags::empty(), 0, 20 * page).unwrap();
    fill_up(&root);
    let blocks = file.metadata().unwrap().blocks;
    bytes(&file).write_at(page, &[7; PAGE_SIZE]).unwrap();
    // A fifth extent needs a block for the tree.
    let written = bytes(&file).write_at(3 * page, &[7; PAGE_SIZE]);
    assert_eq!(written.unwrap_err().errno, Errno::ENOSPC);
    bytes(&file).write_at(2 * page, &[7; PAGE_SIZE]).unwrap();
    let mut model = vec![0; 20 * PAGE_SIZE];
    model[PAGE_SIZE..3 * PAGE_SIZE].fill(7);
    assert!(content(&file) == model);
    assert_eq!(file.metadata().unwrap().blocks, blocks);
    root.file_system().end();
    image.check(&disk);
}

#[test]
fn a_file_without_a_name_that_is_open_is_freed_at_the_end() {
    for (kind, options) in KINDS {
        let image = Image::make(options, "8m");
        let disk = image.disk();
        let root = mount(kind, &disk).unwrap();
        let free = root.file_system().usage().free_inodes;
        let file = root.create(b"file", &new(NewKind::Regular)).unwrap();
        bytes(&file).write_at(0, &[7; 9000]).unwrap();
        root.unlink(b"file").unwrap();
        let read_only = root.file_system().change_access(MountAccess::ReadOnly);
        assert_eq!(read_only.unwrap_err().errno, Errno::EBUSY);
        root.file_system().end();
        image.check(&disk);
        drop((file, root));
        let root = mount(kind, &disk).unwrap();
        assert_eq!(root.file_system().usage().free_inodes, free);
        root.file_system().change_access(MountAccess::ReadOnly).unwrap();
    }
}

#[test]
fn what_cannot_be_or_leads_to_nothing_is_damage() {
    let kit = kit::process();
    let image = Image::make("-t ext2 -b 1024", "8m");
    let disk = image.disk();
    let root = mount("ext2", &disk).unwrap();
    for name in [&b"long"[..], b"free"] {
        root.create(name, &new(NewKind::Regular)).unwrap();
    }
    root.file_system().end();
    image.check(&disk);
    drop(root);
    image.change("set_inode_field /long size 0x7fffffffffffffff\nfreei /free\n");
    let root = mount("ext2", &image.disk()).unwrap();
    for name in [&b"long"[..], b"free"] {
        let found = root.lookup(&kit.context(), name);
        assert_eq!(found.err().unwrap().errno, Errno::EUCLEAN);
    }
}

#[test]
fn a_journal_is_replayed_only_where_it_is_understood() {
    let block = std::env::temp_dir().join(format!("birgus-block-{}", std::process::id()));
    fs::write(&block, [0x5a; 1024]).unwrap();
    for (open, expected) in [("jo", None), ("jo -c -v 2", Some(Errno::EINVAL))] {
        let image = Image::make("-t ext4 -b 1024", "20m");
        image.change(&format!("{open}\njw -b 15000 {}\njc\n", block.to_str().unwrap()));
        let disk = image.disk();
        assert_eq!(mount("ext4", &disk).err().map(|error| error.errno), expected, "{open}");
        let is_there = disk.0.lock()[15_000 * 1024..][..1024] == [0x5a; 1024];
        assert_eq!(is_there, expected.is_none(), "{open}");
    }
    fs::remove_file(block).unwrap();
}
