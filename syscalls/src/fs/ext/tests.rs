//! File systems that mke2fs(8) makes and e2fsck(8) checks.

mod loss;

use std::format;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::string::String;
use std::sync::atomic::{AtomicU32, Ordering};
use std::vec;
use std::vec::Vec;

use abi::fs::{FallocateFlags, Mode, RenameFlags};

use super::*;
use crate::fake::FakeMachine;
use crate::fs::NewInode;
use crate::fs::inode::NewKind;
use crate::fs::storage::Bytes;

/// A device in memory.
struct Disk(Mutex<Vec<u8>>);

impl Storage for Disk {
    fn len(&self) -> u64 {
        self.0.lock().len() as u64
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<()> {
        let disk = self.0.lock();
        let from = disk.get(offset as usize..offset as usize + to.len());
        to.copy_from_slice(from.ok_or(Errno::EIO)?);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut disk = self.0.lock();
        let to = disk.get_mut(offset as usize..offset as usize + bytes.len());
        to.ok_or(Errno::EIO)?.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn release(&self) {}
}

/// A file on the host that goes when this is dropped.
struct Image(PathBuf);

impl Image {
    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// A file system made with these options of mke2fs(8).
    fn make(options: &str, blocks: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("birgus-ext-{}-{number}", std::process::id());
        let image = Self(std::env::temp_dir().join(name));
        let mut mke2fs = Command::new("/usr/sbin/mke2fs");
        mke2fs.args(["-q", "-F"]).args(options.split(' ')).args([image.path(), blocks]);
        let made = mke2fs.output().expect("e2fsprogs are installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        image
    }

    fn disk(&self) -> Arc<Disk> {
        Arc::new(Disk(Mutex::new(fs::read(&self.0).unwrap())))
    }

    /// Fails unless e2fsck(8) finds nothing.
    fn check(&self, disk: &Disk) {
        fs::write(&self.0, &*disk.0.lock()).unwrap();
        let checked = Command::new("/usr/sbin/e2fsck").args(["-fn", self.path()]).output();
        let checked = checked.expect("e2fsprogs are installed");
        let text = String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success(), "{text}");
    }

    /// Changes the file system with these commands of debugfs(8).
    fn change(&self, commands: &str) {
        let script = format!("{}.commands", self.path());
        fs::write(&script, commands).unwrap();
        let mut debugfs = Command::new("/usr/sbin/debugfs");
        let done = debugfs.args(["-w", "-f", &script, self.path()]).output();
        assert!(done.expect("e2fsprogs are installed").status.success());
        fs::remove_file(script).unwrap();
    }

    fn debugfs(&self, command: &str) -> String {
        let told = Command::new("/usr/sbin/debugfs").args(["-R", command, self.path()]).output();
        String::from_utf8_lossy(&told.expect("e2fsprogs are installed").stdout).into_owned()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn mount(kind: &str, disk: &Arc<Disk>) -> Result<Arc<dyn Inode>> {
    let machine: Arc<dyn Machine> = FakeMachine::new();
    let how = (MountAccess::ReadWrite, &b""[..]);
    Ext::mount(&machine, kind.as_bytes(), Device::new(7, 0), disk.clone(), how)
}

fn new(kind: NewKind<'_>) -> NewInode<'_> {
    NewInode { kind, mode: Mode::from_bits_retain(0o755), owner: 70_000, group: 80_000 }
}

fn bytes(inode: &Arc<dyn Inode>) -> &dyn Bytes {
    inode.bytes().expect("a regular file")
}

fn content(inode: &Arc<dyn Inode>) -> Vec<u8> {
    let mut all = vec![1; inode.metadata().unwrap().size as usize];
    assert_eq!(bytes(inode).read_at(0, &mut all), Ok(all.len()));
    all
}

/// Numbers that look random, the same ones each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

const KINDS: [(&str, &str); 6] = [
    ("ext2", "-t ext2 -b 1024"),
    ("ext2", "-t ext2 -b 4096 -I 128"),
    ("ext3", "-t ext3 -b 2048"),
    ("ext4", "-t ext4 -b 1024"),
    ("ext4", "-t ext4 -b 4096"),
    ("ext4", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^64bit"),
];

/// Writes, cuts and punches a file and an array beside it.
fn scribble(file: &Arc<dyn Inode>, model: &mut Vec<u8>, numbers: &mut Numbers, has_extents: bool) {
    let offset = numbers.below(900_000);
    let len = numbers.below(30_000) + 1;
    match numbers.below(6) {
        0 => {
            file.truncate(offset).unwrap();
            model.resize(offset as usize, 0);
        }
        1 if has_extents => {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            file.allocate(flags, offset, len).unwrap();
            let end = model.len().min((offset + len) as usize);
            model.get_mut(offset as usize..end).unwrap_or_default().fill(0);
        }
        2 if has_extents => {
            file.allocate(FallocateFlags::empty(), offset, len).unwrap();
            model.resize(model.len().max((offset + len) as usize), 0);
        }
        _ => {
            let data = vec![numbers.below(255) as u8 + 1; len as usize];
            bytes(file).write_at(offset, &data).unwrap();
            model.resize(model.len().max((offset + len) as usize), 0);
            model[offset as usize..(offset + len) as usize].copy_from_slice(&data);
        }
    }
}

#[test]
fn files_are_what_was_written_and_the_device_is_sound() {
    for (kind, options) in KINDS {
        let image = Image::make(options, "20m");
        let disk = image.disk();
        let root = mount(kind, &disk).unwrap();
        let mut numbers = Numbers(7);
        let files: Vec<_> = (0..3)
            .map(|at| root.create(format!("file{at}").as_bytes(), &new(NewKind::Regular)).unwrap())
            .collect();
        let mut models = [vec![], vec![], vec![]];
        for step in 0..200 {
            let at = numbers.below(3) as usize;
            scribble(&files[at], &mut models[at], &mut numbers, kind == "ext4");
            if step % 50 == 49 {
                root.file_system().sync().unwrap();
                for (file, model) in files.iter().zip(&models) {
                    assert!(content(file) == *model, "{options}: step {step}");
                }
            }
        }
        root.file_system().end();
        image.check(&disk);
        drop((root, files));
        let root = mount(kind, &disk).unwrap();
        let ext = root.file_system();
        for (at, model) in models.iter().enumerate() {
            let dumped = format!("{}.{at}", image.path());
            image.debugfs(&format!("dump /file{at} {dumped}"));
            assert!(fs::read(&dumped).unwrap() == *model, "{options}");
            fs::remove_file(dumped).unwrap();
            root.unlink(format!("file{at}").as_bytes()).unwrap();
        }
        ext.end();
        image.check(&disk);
    }
}

#[test]
fn names_come_and_go_and_the_device_is_sound() {
    for (kind, options) in KINDS {
        let image = Image::make(options, "20m");
        let disk = image.disk();
        let root = mount(kind, &disk).unwrap();
        let free = root.file_system().usage().free_inodes;
        let directory = root.create(b"directory", &new(NewKind::Directory)).unwrap();
        for at in 0..400 {
            let name = format!("a file with a name that is rather long {at}");
            directory.create(name.as_bytes(), &new(NewKind::Regular)).unwrap();
        }
        for at in (0..400).step_by(3) {
            let name = format!("a file with a name that is rather long {at}");
            directory.unlink(name.as_bytes()).unwrap();
        }
        assert_eq!(root.remove_directory(b"directory").unwrap_err().errno, Errno::ENOTEMPTY);
        let link = [b'x'; 200];
        root.create(b"short", &new(NewKind::SymbolicLink(b"directory"))).unwrap();
        root.create(b"long", &new(NewKind::SymbolicLink(&link))).unwrap();
        let node = NewKind::Special(FileType::CharacterDevice, Device::new(300, 70_000));
        let node = root.create(b"node", &new(node)).unwrap();
        assert_eq!(node.metadata().unwrap().device, Device::new(300, 70_000));
        let inner = directory.create(b"inner", &new(NewKind::Directory)).unwrap();
        inner.create(b"deep", &new(NewKind::Directory)).unwrap();
        directory.rename(b"inner", &root, b"moved", RenameFlags::empty()).unwrap();
        root.rename(b"moved", &directory, b"back", RenameFlags::empty()).unwrap();
        root.rename(b"short", &directory, b"back", RenameFlags::EXCHANGE).unwrap();
        let file = root.create(b"one", &new(NewKind::Regular)).unwrap();
        directory.link(b"two", &file).unwrap();
        root.rename(b"one", &root, b"long", RenameFlags::empty()).unwrap();
        assert_eq!(file.metadata().unwrap().links, 2);
        file.store_attribute(b"user.crab", Some(b"latro")).unwrap();
        file.store_attribute(b"user.long", Some(&[7; 600])).unwrap();
        file.store_attribute(b"trusted.gone", Some(b"1")).unwrap();
        file.store_attribute(b"trusted.gone", None).unwrap();
        let unnamed = root.create_unnamed(&new(NewKind::Regular)).unwrap();
        bytes(&unnamed).write_at(5, b"gone").unwrap();
        drop(unnamed);
        assert_eq!(free - root.file_system().usage().free_inodes, 400 - 134 + 6);
        root.file_system().end();
        image.check(&disk);
        assert!(image.debugfs("ea_get /long user.crab").contains("latro"));
        assert!(image.debugfs("stat /long").contains("User: 70000   Group: 80000"));
        drop((root, directory, inner, file, node));
        let root = mount(kind, &disk).unwrap();
        assert_eq!(root.file_system().usage().free_inodes, free - 272);
    }
}

#[test]
fn a_full_device_says_so_and_stays_sound() {
    for (kind, options) in KINDS {
        let image = Image::make(&format!("{options} -N 64"), "4m");
        let disk = image.disk();
        let root = mount(kind, &disk).unwrap();
        let file = root.create(b"file", &new(NewKind::Regular)).unwrap();
        let mut at = 0;
        let full = loop {
            if let Err(error) = bytes(&file).write_at(at, &[7; 5000]) {
                break error.errno;
            }
            at += 9000;
        };
        assert_eq!(full, Errno::ENOSPC);
        let names: Vec<_> = (0..100).map(|at| format!("file{at}")).collect();
        let made = names.iter().map(|name| root.create(name.as_bytes(), &new(NewKind::Regular)));
        assert_eq!(made.filter_map(Result::err).next_back().unwrap().errno, Errno::ENOSPC);
        root.file_system().end();
        image.check(&disk);
    }
}

#[test]
fn a_directory_that_had_an_index_stays_sound() {
    let source = std::env::temp_dir().join(format!("birgus-tree-{}", std::process::id()));
    fs::create_dir_all(&source).unwrap();
    for at in 0..2000 {
        fs::write(source.join(format!("a file of a large directory {at}")), "").unwrap();
    }
    for features in ["metadata_csum", "^metadata_csum"] {
        let options = format!("-t ext4 -b 1024 -O {features} -d {}", source.to_str().unwrap());
        let image = Image::make(&options, "20m");
        // A directory gets its index from e2fsck, whose exit status says that it changed something.
        Command::new("/usr/sbin/e2fsck").args(["-fyD", image.path()]).output().unwrap();
        assert!(image.debugfs("htree_dump /").contains("Root node"));
        let disk = image.disk();
        let root = mount("ext4", &disk).unwrap();
        root.unlink(b"a file of a large directory 77").unwrap();
        root.create(b"new", &new(NewKind::Regular)).unwrap();
        root.file_system().end();
        image.check(&disk);
    }
    fs::remove_dir_all(source).unwrap();
}

#[test]
fn what_is_no_such_file_system_is_not_mounted() {
    let image = Image::make("-t ext4 -b 4096", "8m");
    let disk = image.disk();
    let errno = |kind| mount(kind, &disk).err().map(|error| error.errno);
    assert_eq!((errno("ext2"), errno("ext3")), (Some(Errno::EINVAL), Some(Errno::EINVAL)));
    disk.0.lock()[1024 + 4] ^= 1;
    assert_eq!(errno("ext4"), Some(Errno::EUCLEAN));
    let empty = Arc::new(Disk(Mutex::new(vec![0; 1 << 20])));
    assert_eq!(mount("ext4", &empty).err().unwrap().errno, Errno::EINVAL);
    let tiny = Arc::new(Disk(Mutex::new(vec![0; 100])));
    assert_eq!(mount("ext4", &tiny).err().unwrap().errno, Errno::EINVAL);
}

/// Uses whatever there is; every error is fine.
fn poke(root: &Arc<dyn Inode>, kit: &crate::fake::kit::Kit) {
    let cx = kit.context();
    let mut names: Vec<Vec<u8>> = Vec::new();
    let _ = root.read_directory(&cx, 0, &mut |entry| {
        names.push(entry.name.to_vec());
        true
    });
    for name in names {
        let Ok(inode) = root.lookup(&cx, &name) else { continue };
        let _ = inode.metadata();
        let _ = inode.read_link(&cx);
        let _ = inode.attributes();
        let _ = inode.store_attribute(b"user.a", Some(&[1; 300]));
        let _ = inode.read_directory(&cx, 0, &mut |_| true);
        let _ = inode.create(b"new", &new(NewKind::Regular));
        if let Some(bytes) = inode.bytes() {
            let _ = bytes.read_at(0, &mut [0; 9000]);
            let _ = bytes.write_at(300_000, b"written");
        }
        let _ = inode.truncate(5);
        let _ = root.rename(&name, root, b"renamed", RenameFlags::empty());
        let _ = root.unlink(b"renamed");
    }
    let _ = root.create(b"directory", &new(NewKind::Directory));
    root.file_system().end();
}

#[test]
fn damage_is_an_error_and_nothing_worse() {
    let kit = crate::fake::kit::process();
    for (kind, options) in [KINDS[0], KINDS[2], ("ext4", "-t ext4 -b 1024 -O ^metadata_csum")] {
        let image = Image::make(options, "8m");
        let disk = image.disk();
        let root = mount(kind, &disk).unwrap();
        let directory = root.create(b"directory", &new(NewKind::Directory)).unwrap();
        directory.create(b"inner", &new(NewKind::Regular)).unwrap();
        root.create(b"link", &new(NewKind::SymbolicLink(&[b'x'; 100]))).unwrap();
        let file = root.create(b"file", &new(NewKind::Regular)).unwrap();
        for at in 0..20 {
            bytes(&file).write_at(at * 30_000, b"crab").unwrap();
        }
        file.store_attribute(b"user.long", Some(&[7; 600])).unwrap();
        root.file_system().end();
        drop((root, directory, file));
        let sound = disk.0.lock().clone();
        let mut numbers = Numbers(11);
        for _ in 0..400 {
            let mut bytes = sound.clone();
            for _ in 0..=numbers.below(20) {
                // Metadata is mostly in front.
                let end = if numbers.below(2) == 0 { 4096 } else { bytes.len() as u64 / 4 };
                let at = numbers.below(end) as usize;
                bytes[at] = [0, 1, 0xff, numbers.below(256) as u8][numbers.below(4) as usize];
            }
            let broken = Arc::new(Disk(Mutex::new(bytes)));
            if let Ok(root) = mount(kind, &broken) {
                poke(&root, &kit);
            }
        }
    }
}
