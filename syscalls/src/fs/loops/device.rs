//! A loop device, and the file it may be bound to.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::Errno;
use abi::fs::FileType;
use abi::fs::block::SECTOR_SIZE;
use abi::fs::block::loops::{LoopFlags, NAME_LEN};
use spin::Mutex;

use crate::error::{Because, Error, Result};
use crate::fs::open_file::OpenFile;

/// Smallest and largest block, in bytes.
const BLOCK_SIZES: [u32; 2] = [SECTOR_SIZE as u32, 64 * 1024];

/// How much is read ahead where nobody has said anything, in sectors.
const READ_AHEAD: u64 = 256;

/// A loop device.
pub(in crate::fs) struct LoopDevice {
    number: u32,
    reads: Transfers,
    writes: Transfers,
    state: Mutex<State>,
    /// A file system on it is mounted, or not yet stored after that.
    mounted: AtomicBool,
}

/// What was read or written.
#[derive(Default)]
struct Transfers {
    requests: AtomicU64,
    bytes: AtomicU64,
    time_ns: AtomicU64,
}

impl Transfers {
    fn count(&self, bytes: usize, time_ns: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.time_ns.fetch_add(time_ns, Ordering::Relaxed);
    }

    /// How many requests there were, sectors, and milliseconds that they took.
    fn get(&self) -> [u64; 3] {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let time_ns = self.time_ns.load(Ordering::Relaxed);
        let requests = self.requests.load(Ordering::Relaxed);
        [requests, bytes.div_ceil(SECTOR_SIZE), time_ns.div_ceil(1_000_000)]
    }
}

struct State {
    binding: Option<Binding>,
    /// Its file is let go when it is closed, and until then it is as good as gone.
    is_ending: bool,
    openers: usize,
    read_only: bool,
    /// In sectors; kept for who asks.
    read_ahead: u64,
    /// How often it was bound.
    sequence: u64,
}

/// What a device shows of a file, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fs) struct Shape {
    /// Where it begins in the file, in bytes.
    pub(in crate::fs) offset: u64,
    /// How long it is at most, in bytes; 0 where only the file limits it.
    pub(in crate::fs) size_limit: u64,
    /// Logical block size, in bytes.
    pub(in crate::fs) block_size: u32,
    /// How it behaves.
    pub(in crate::fs) flags: LoopFlags,
    /// What whoever bound it calls the file.
    pub(in crate::fs) name: [u8; NAME_LEN],
}

/// A device that is bound to a file.
#[derive(Clone)]
pub(in crate::fs) struct Binding {
    /// The file.
    pub(in crate::fs) file: Arc<OpenFile>,
    /// What the device shows of it.
    pub(in crate::fs) shape: Shape,
    /// Length of the device, in bytes: whole sectors.
    pub(in crate::fs) size: u64,
}

impl Binding {
    /// A device that shows so much of `file`.
    ///
    /// # Errors
    /// `EINVAL` when it is not a regular file, or the block size is none.
    pub(super) fn new(file: Arc<OpenFile>, shape: Shape) -> Result<Self> {
        check_block_size(shape.block_size)?;
        check_file(&file)?;
        let size = visible_size(&file, &shape)?;
        Ok(Self { file, shape, size })
    }
}

fn check_file(file: &OpenFile) -> Result<()> {
    if file.file.inode().kind() != FileType::Regular {
        return Err(Errno::EINVAL.because("only regular files can be devices"));
    }
    Ok(())
}

/// Fails unless blocks can be so large.
///
/// # Errors
/// `EINVAL`.
pub(super) fn check_block_size(bytes: u32) -> Result<()> {
    let [smallest, largest] = BLOCK_SIZES;
    if bytes.is_power_of_two() && (smallest..=largest).contains(&bytes) {
        return Ok(());
    }
    Err(Errno::EINVAL.because("blocks cannot have this size"))
}

fn visible_size(file: &OpenFile, shape: &Shape) -> Result<u64> {
    let whole = file.file.size()?.saturating_sub(shape.offset);
    let size = if shape.size_limit == 0 { whole } else { whole.min(shape.size_limit) };
    Ok(size - size % SECTOR_SIZE)
}

impl LoopDevice {
    /// A device that is not bound.
    pub(super) fn new(number: u32) -> Self {
        let state = State {
            binding: None,
            is_ending: false,
            openers: 0,
            read_only: false,
            read_ahead: READ_AHEAD,
            sequence: 0,
        };
        let (reads, writes) = (Transfers::default(), Transfers::default());
        Self { number, reads, writes, state: Mutex::new(state), mounted: AtomicBool::new(false) }
    }

    /// So many bytes were read, in so many nanoseconds.
    pub(super) fn count_read(&self, bytes: usize, time_ns: u64) {
        self.reads.count(bytes, time_ns);
    }

    /// So many bytes were written, in so many nanoseconds.
    pub(super) fn count_write(&self, bytes: usize, time_ns: u64) {
        self.writes.count(bytes, time_ns);
    }

    /// How many requests read, how many sectors, and for how many milliseconds; and the same
    /// of those that wrote.
    pub(in crate::fs) fn transfers(&self) -> [[u64; 3]; 2] {
        [self.reads.get(), self.writes.get()]
    }

    /// Its number.
    pub(in crate::fs) fn number(&self) -> u32 {
        self.number
    }

    /// The file it is bound to.
    ///
    /// # Errors
    /// `ENXIO` when it is not bound.
    pub(in crate::fs) fn binding(&self) -> Result<Binding> {
        let state = self.state.lock();
        state.bound().cloned().ok_or_else(not_bound)
    }

    /// Its length, in bytes; 0 where it is not bound.
    pub(in crate::fs) fn size(&self) -> u64 {
        self.state.lock().bound().map_or(0, |binding| binding.size)
    }

    /// Whether nothing can be written to it.
    pub(in crate::fs) fn is_read_only(&self) -> bool {
        self.state.lock().read_only
    }

    /// Says whether something can be written to it.
    pub(super) fn set_read_only(&self, read_only: bool) {
        self.state.lock().read_only = read_only;
    }

    /// How much is read ahead, in sectors.
    pub(in crate::fs) fn read_ahead(&self) -> u64 {
        self.state.lock().read_ahead
    }

    /// Says how much is read ahead, in sectors.
    pub(super) fn set_read_ahead(&self, sectors: u64) {
        self.state.lock().read_ahead = sectors;
    }

    /// How often it was bound.
    pub(in crate::fs) fn sequence(&self) -> u64 {
        self.state.lock().sequence
    }

    /// Whether a file can be bound to it.
    pub(super) fn is_free(&self) -> bool {
        self.state.lock().binding.is_none()
    }

    /// Fails while it is open or bound.
    ///
    /// # Errors
    /// `EBUSY`.
    pub(super) fn check_unused(&self) -> Result<()> {
        let state = self.state.lock();
        if state.binding.is_some() || state.openers > 0 {
            return Err(Errno::EBUSY.because("the device is in use"));
        }
        Ok(())
    }

    /// Takes it for a file system, until [`LoopDevice::end_mount`].
    ///
    /// # Errors
    /// `EBUSY` while another one has it; those of [`LoopDevice::open`].
    pub(super) fn begin_mount(&self) -> Result<()> {
        if self.mounted.swap(true, Ordering::SeqCst) {
            return Err(Errno::EBUSY.because("the device is being mounted or unmounted"));
        }
        self.open().inspect_err(|_| self.mounted.store(false, Ordering::SeqCst))
    }

    /// The file system does not use it any more.
    pub(super) fn end_mount(&self) {
        self.close();
        self.mounted.store(false, Ordering::SeqCst);
    }

    /// Counts one who has it open, until [`LoopDevice::close`].
    ///
    /// # Errors
    /// `ENXIO` while its file is being let go.
    pub(super) fn open(&self) -> Result<()> {
        let mut state = self.state.lock();
        if state.is_ending {
            return Err(not_bound());
        }
        state.openers += 1;
        Ok(())
    }

    /// Ends [`LoopDevice::open`]. The last one lets the file go where that was asked for.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.openers -= 1;
        let clears = state.binding.as_ref().is_some_and(|binding| {
            state.openers == 0 && binding.shape.flags.contains(LoopFlags::AUTOCLEAR)
        });
        let gone = if clears { state.binding.take() } else { None };
        if clears {
            (state.is_ending, state.read_only) = (false, false);
        }
        drop(state);
        drop(gone);
    }

    /// Binds it.
    ///
    /// # Errors
    /// `EBUSY` when it is bound.
    pub(super) fn bind(&self, binding: Binding) -> Result<()> {
        let mut state = self.state.lock();
        if state.binding.is_some() {
            return Err(Errno::EBUSY.because("the device is bound to a file"));
        }
        state.read_only = binding.shape.flags.contains(LoopFlags::READ_ONLY);
        state.binding = Some(binding);
        state.sequence += 1;
        Ok(())
    }

    /// Lets the file go when nobody has the device open any more.
    ///
    /// # Errors
    /// `ENXIO` when it is not bound.
    pub(super) fn release(&self) -> Result<()> {
        let mut state = self.state.lock();
        let alone = state.openers == 1;
        state.bound_mut()?.shape.flags.insert(LoopFlags::AUTOCLEAR);
        state.is_ending = alone;
        Ok(())
    }

    /// Changes what it shows of the file.
    ///
    /// # Errors
    /// `ENXIO` when it is not bound; those of `change`.
    pub(super) fn reshape(&self, change: impl FnOnce(&mut Shape) -> Result<()>) -> Result<()> {
        let mut binding = self.binding()?;
        let before = binding.shape;
        change(&mut binding.shape)?;
        let after = &binding.shape;
        if (after.offset, after.size_limit) != (before.offset, before.size_limit) {
            binding.size = visible_size(&binding.file, after)?;
        }
        self.rebind(binding)
    }

    /// Takes over how long the file is now.
    ///
    /// # Errors
    /// `ENXIO` when it is not bound.
    pub(super) fn resize(&self) -> Result<()> {
        let mut binding = self.binding()?;
        binding.size = visible_size(&binding.file, &binding.shape)?;
        self.rebind(binding)
    }

    /// Shows another file, as long, in place of the one it is bound to, to which nothing can
    /// be written.
    ///
    /// # Errors
    /// `ENXIO` when it is not bound; `EINVAL` when it can be written, or the file has another
    /// length or is none.
    pub(super) fn replace(&self, file: Arc<OpenFile>) -> Result<()> {
        let mut binding = self.binding()?;
        if !binding.shape.flags.contains(LoopFlags::READ_ONLY) {
            return Err(Errno::EINVAL.because("the device can be written"));
        }
        check_file(&file)?;
        if visible_size(&file, &binding.shape)? != binding.size {
            return Err(Errno::EINVAL.because("the files differ in length"));
        }
        binding.file = file;
        self.rebind(binding)
    }

    /// Files are asked for their lengths with nothing locked, so it may be gone by now.
    fn rebind(&self, binding: Binding) -> Result<()> {
        let mut state = self.state.lock();
        let old = core::mem::replace(state.bound_mut()?, binding);
        drop(state);
        drop(old);
        Ok(())
    }
}

impl State {
    fn bound(&self) -> Option<&Binding> {
        self.binding.as_ref().filter(|_| !self.is_ending)
    }

    fn bound_mut(&mut self) -> Result<&mut Binding> {
        let is_ending = self.is_ending;
        self.binding.as_mut().filter(|_| !is_ending).ok_or_else(not_bound)
    }
}

fn not_bound() -> Error {
    Errno::ENXIO.because("the device is not bound to a file")
}
