//! A 9P2000.L server for tests: a directory of the host this runs on, served as QEMU does.
//!
//! As QEMU's, it finds files by path: a rename of its own changes the paths of fids, a file
//! that is removed lives on in open fids only. Behind it is the real file system, so that
//! its answers are those of Linux.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{
    DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::machine::{Answer, Message, MessageChannel, Refused};

/// What the server does with requests from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers them.
    Answering,
    /// It keeps them for later.
    Slow,
    /// It takes them and never answers.
    Silent,
    /// The device does not work any more.
    Dead,
    /// It answers, with bytes changed as this number says.
    Confused(u64),
}

/// A directory of the host with a server for it. It is removed with the server.
pub struct FakeHost {
    root: PathBuf,
    name: Vec<u8>,
    state: Mutex<State>,
}

struct State {
    mood: Mood,
    fids: HashMap<u32, Fid>,
    answers: VecDeque<Answer>,
    kept: Vec<Message>,
    /// How many requests came.
    requests: usize,
}

#[derive(Clone)]
struct Fid {
    path: PathBuf,
    file: Option<Arc<File>>,
}

type Reply = io::Result<Vec<u8>>;

impl FakeHost {
    /// An empty directory and its server, whose channel has this name.
    ///
    /// # Panics
    /// When the directory cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Arc<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = format!("birgus-9p-{}-{count}", std::process::id());
        let root = std::env::temp_dir().join(root);
        fs::create_dir_all(&root).expect("a directory for the test");
        let state = State {
            mood: Mood::Answering,
            fids: HashMap::new(),
            answers: VecDeque::new(),
            kept: Vec::new(),
            requests: 0,
        };
        Arc::new(Self { root, name: name.into(), state: Mutex::new(state) })
    }

    /// The path of a file in the directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Changes what the server does; what it has kept it then answers, unless it keeps on.
    pub fn set_mood(&self, mood: Mood) {
        let mut state = self.state();
        state.mood = mood;
        if mood != Mood::Slow {
            for message in core::mem::take(&mut state.kept) {
                self.answer(&mut state, message);
            }
        }
    }

    /// How many fids the client has, the root's among them.
    #[must_use]
    pub fn fids(&self) -> usize {
        self.state().fids.len()
    }

    /// How many requests came.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state().requests
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, state: &mut State, message: Message) {
        let Message { token, request, mut reply } = message;
        let mut input = Input { bytes: &request, at: 4 };
        let (kind, tag) = (input.u8(), input.u16());
        let result = state.serve(&self.root, kind, &mut input);
        let (kind, body) = match result {
            Ok(body) => (kind + 1, body),
            Err(error) => {
                let number = error.raw_os_error().unwrap_or(5) as u32;
                (7, number.to_le_bytes().to_vec())
            }
        };
        let len = 7 + body.len();
        assert!(len <= reply.len(), "the answer does not fit where the client wants it");
        reply.clear();
        reply.extend_from_slice(&(len as u32).to_le_bytes());
        reply.push(kind);
        reply.extend_from_slice(&tag.to_le_bytes());
        reply.extend_from_slice(&body);
        if let Mood::Confused(seed) = &mut state.mood {
            confuse(&mut reply, seed);
        }
        state.answers.push_back(Answer { token, bytes: reply });
    }
}

/// Changes some bytes, or the length, as pseudo-random numbers say.
fn confuse(bytes: &mut Vec<u8>, seed: &mut u64) {
    let mut next = || {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed as usize
    };
    match next() % 8 {
        0 => bytes.truncate(next() % (bytes.len() + 1)),
        1..4 => {}
        changes => {
            for _ in 0..changes - 3 {
                let at = next() % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = next() as u8;
                }
            }
        }
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl MessageChannel for FakeHost {
    fn name(&self) -> &[u8] {
        &self.name
    }

    fn send(&self, message: Message) -> Result<(), Refused> {
        let mut state = self.state();
        state.requests += 1;
        match state.mood {
            Mood::Answering | Mood::Confused(_) => self.answer(&mut state, message),
            Mood::Slow if state.kept.len() >= 8 => return Err(Refused::Full(message)),
            Mood::Slow => state.kept.push(message),
            Mood::Silent => {}
            Mood::Dead => return Err(Refused::Dead),
        }
        Ok(())
    }

    fn receive(&self) -> Option<Answer> {
        self.state().answers.pop_front()
    }

    fn is_alive(&self) -> bool {
        self.state().mood != Mood::Dead
    }
}

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// A request being read: of our own client, so it is right.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn take(&mut self, len: usize) -> &[u8] {
        self.at += len;
        &self.bytes[self.at - len..self.at]
    }

    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take(2).try_into().unwrap())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn string(&mut self) -> Vec<u8> {
        let len = self.u16();
        self.take(usize::from(len)).to_vec()
    }

    fn name(&mut self) -> PathBuf {
        OsStr::from_bytes(&self.string()).into()
    }
}

impl State {
    fn fid(&self, number: u32) -> io::Result<&Fid> {
        self.fids.get(&number).ok_or_else(|| error(9))
    }

    fn file(&self, number: u32) -> io::Result<Arc<File>> {
        self.fid(number)?.file.clone().ok_or_else(|| error(9))
    }

    fn serve(&mut self, root: &Path, kind: u8, input: &mut Input<'_>) -> Reply {
        if kind == 100 {
            return Ok([&input.u32().to_le_bytes()[..], b"\x08\x009P2000.L"].concat());
        }
        if kind == 108 {
            return Ok(Vec::new());
        }
        let number = input.u32();
        match kind {
            8 => Ok(usage()),
            104 => {
                self.fids.insert(number, Fid { path: root.into(), file: None });
                Ok(qid(&fs::symlink_metadata(root)?))
            }
            110 => self.walk(number, input),
            12 => self.open(number, input.u32()),
            14 => self.create(number, input),
            24 => Ok(attributes(&fs::symlink_metadata(&self.fid(number)?.path)?)),
            26 => set_attributes(&self.fid(number)?.path, input),
            40 => read_directory(&self.fid(number)?.path, input.u64(), input.u32() as usize),
            116 => {
                let (offset, len) = (input.u64(), input.u32() as usize);
                let mut bytes = vec![0; len];
                let len = self.file(number)?.read_at(&mut bytes, offset)?;
                Ok([&(len as u32).to_le_bytes()[..], &bytes[..len]].concat())
            }
            118 => {
                let (offset, len) = (input.u64(), input.u32() as usize);
                let written = self.file(number)?.write_at(input.take(len), offset)?;
                Ok((written as u32).to_le_bytes().to_vec())
            }
            50 => self.file(number)?.sync_all().map(|()| Vec::new()),
            52 => Ok(vec![0]),
            120 => self.fids.remove(&number).map(|_| Vec::new()).ok_or_else(|| error(9)),
            _ => self.change_names(kind, number, input),
        }
    }

    fn walk(&mut self, number: u32, input: &mut Input<'_>) -> Reply {
        let (new, names) = (input.u32(), input.u16());
        assert!(!self.fids.contains_key(&new), "fid {new} is in use");
        let mut path = self.fid(number)?.path.clone();
        let mut body = names.to_le_bytes().to_vec();
        for _ in 0..names {
            path.push(input.name());
            body.extend(qid(&fs::symlink_metadata(&path)?));
        }
        self.fids.insert(new, Fid { path, file: None });
        Ok(body)
    }

    fn open(&mut self, number: u32, flags: u32) -> Reply {
        let path = &self.fid(number)?.path;
        let metadata = fs::symlink_metadata(path)?;
        let file = OpenOptions::new()
            .read(flags & 3 != 1)
            .write(flags & 3 != 0)
            .custom_flags((flags & !3) as i32)
            .open(path)?;
        if let Some(fid) = self.fids.get_mut(&number) {
            fid.file = Some(Arc::new(file));
        }
        Ok([&qid(&metadata)[..], &[0; 4]].concat())
    }

    fn create(&mut self, number: u32, input: &mut Input<'_>) -> Reply {
        let path = self.fid(number)?.path.join(input.name());
        let (_, mode) = (input.u32(), input.u32());
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        let body = [&qid(&file.metadata()?)[..], &[0; 4]].concat();
        self.fids.insert(number, Fid { path, file: Some(Arc::new(file)) });
        Ok(body)
    }

    fn change_names(&mut self, kind: u8, number: u32, input: &mut Input<'_>) -> Reply {
        let path = self.fid(number)?.path.clone();
        match kind {
            16 => {
                let (link, target) = (path.join(input.name()), input.name());
                std::os::unix::fs::symlink(target, &link)?;
                Ok(qid(&fs::symlink_metadata(link)?))
            }
            22 => {
                let target = fs::read_link(path)?;
                let target = target.as_os_str().as_bytes();
                Ok([&(target.len() as u16).to_le_bytes()[..], target].concat())
            }
            70 => {
                let file = self.fid(input.u32())?.path.clone();
                fs::hard_link(file, path.join(input.name()))?;
                Ok(Vec::new())
            }
            72 => {
                let directory = path.join(input.name());
                let mode = input.u32();
                fs::DirBuilder::new().mode(mode).create(&directory)?;
                fs::set_permissions(&directory, Permissions::from_mode(mode))?;
                Ok(qid(&fs::symlink_metadata(directory)?))
            }
            74 => self.rename(&path, input),
            76 => {
                let entry = path.join(input.name());
                let is_directory = input.u32() == 0x200;
                if is_directory { fs::remove_dir(entry) } else { fs::remove_file(entry) }?;
                Ok(Vec::new())
            }
            _ => Err(error(95)),
        }
    }

    fn rename(&mut self, directory: &Path, input: &mut Input<'_>) -> Reply {
        let from = directory.join(input.name());
        let to = self.fid(input.u32())?.path.join(input.name());
        fs::rename(&from, &to)?;
        for fid in self.fids.values_mut() {
            if let Ok(rest) = fid.path.strip_prefix(&from) {
                let rest = PathBuf::from(rest);
                fid.path = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
            }
        }
        Ok(Vec::new())
    }
}

fn qid(metadata: &Metadata) -> Vec<u8> {
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => 0x80,
        kind if kind.is_symlink() => 0x02,
        _ => 0,
    };
    let version = metadata.mtime() as u32 ^ (metadata.len() as u32) << 8;
    [&[kind][..], &version.to_le_bytes(), &metadata.ino().to_le_bytes()].concat()
}

fn attributes(found: &Metadata) -> Vec<u8> {
    let mut body = 0x7ff_u64.to_le_bytes().to_vec();
    body.extend(qid(found));
    for number in [found.mode(), found.uid(), found.gid()] {
        body.extend(number.to_le_bytes());
    }
    let sizes = [found.nlink(), found.rdev(), found.len(), found.blksize(), found.blocks()];
    let times = [
        (found.atime(), found.atime_nsec()),
        (found.mtime(), found.mtime_nsec()),
        (found.ctime(), found.ctime_nsec()),
        (0, 0),
    ];
    let times = times.into_iter().flat_map(|(seconds, ns)| [seconds as u64, ns as u64]);
    for number in sizes.into_iter().chain(times).chain([0, 0]) {
        body.extend(number.to_le_bytes());
    }
    body
}

fn set_attributes(path: &Path, input: &mut Input<'_>) -> Reply {
    let (valid, mode, owner, group) = (input.u32(), input.u32(), input.u32(), input.u32());
    let size = input.u64();
    let mut time = || {
        let (seconds, ns) = (input.u64(), input.u64() as u32);
        SystemTime::UNIX_EPOCH + Duration::new(seconds, ns)
    };
    let (accessed, modified) = (time(), time());
    if valid & 1 != 0 {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    if valid & 6 != 0 {
        let given = |bit: u32, id: u32| (valid & bit != 0).then_some(id);
        std::os::unix::fs::lchown(path, given(2, owner), given(4, group))?;
    }
    if valid & 8 != 0 {
        OpenOptions::new().write(true).open(path)?.set_len(size)?;
    }
    let mut times = FileTimes::new();
    if valid & 0x80 != 0 {
        times = times.set_accessed(accessed);
    }
    if valid & 0x100 != 0 {
        times = times.set_modified(modified);
    }
    if valid & 0x180 != 0 {
        File::open(path)?.set_times(times)?;
    }
    Ok(Vec::new())
}

/// Entries are sorted by name, and the position of each is its place.
fn read_directory(path: &Path, offset: u64, limit: usize) -> Reply {
    let mut entries: Vec<_> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let own = fs::symlink_metadata(path)?;
    let mut records: Vec<(Vec<u8>, u8, Vec<u8>)> =
        [".", ".."].iter().map(|name| (qid(&own), 4, name.as_bytes().to_vec())).collect();
    for entry in entries {
        let metadata = entry.metadata()?;
        let kind = match metadata.file_type() {
            kind if kind.is_dir() => 4,
            kind if kind.is_symlink() => 10,
            kind if kind.is_fifo() => 1,
            _ => 8,
        };
        records.push((qid(&metadata), kind, entry.file_name().as_bytes().to_vec()));
    }
    let mut body = vec![0; 4];
    for (at, (qid, kind, name)) in (1_u64..).zip(records).skip(offset as usize) {
        if body.len() + qid.len() + 11 + name.len() > limit {
            break;
        }
        body.extend(qid);
        body.extend(at.to_le_bytes());
        body.push(kind);
        body.extend((name.len() as u16).to_le_bytes());
        body.extend(name);
    }
    let len = (body.len() - 4) as u32;
    body[..4].copy_from_slice(&len.to_le_bytes());
    Ok(body)
}

fn usage() -> Vec<u8> {
    let mut body = [0x0102_1997_u32.to_le_bytes(), 8192_u32.to_le_bytes()].concat();
    for number in [1000_u64, 600, 500, 70, 60, 0] {
        body.extend(number.to_le_bytes());
    }
    body.extend(255_u32.to_le_bytes());
    body
}

/// What a test reads of a file of the host.
///
/// # Panics
/// When it cannot be read as text.
#[must_use]
pub fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a file with text")
}
