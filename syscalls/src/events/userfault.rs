//! Descriptors of page faults that the application resolves: userfaultfd(2), and what
//! ioctl_userfaultfd(2) does with them.

use alloc::sync::{Arc, Weak};
use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::fs::{Device, Mode, OpenFlags};
use abi::userfault::request::{self, number};
use abi::userfault::{
    self, Api, Features, Fill, FillModes, Message, Register, RegisterModes, Transfer,
    UFFD_USER_MODE_ONLY, UserRange, WriteProtect, event, moving, protect,
};
use abi::{Errno, PAGE_SIZE, TASK_SIZE};
use spin::Once;
use zerocopy::IntoBytes;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::device::Driver;
use crate::fs::{File, Inode, OnExec, OpenFile, PollEvents, Positions, Vfs, anonymous};
use crate::io::Sink;
use crate::mm::{Filling, Holes, Monitor, News, Scope};
use crate::process::Capability;
use crate::user::UserPtr;
use crate::wait::WaitQueue;

/// /dev/userfaultfd, whose users need no privilege beyond opening it.
const DEVICE: Device = Device::new(10, 257);

/// A descriptor of a monitor; its end is the monitor's.
pub(crate) struct UserfaultFile {
    inode: Arc<dyn Inode>,
    monitor: Arc<Monitor>,
    /// How it is open: poll(2) finds faults only where reads do not wait.
    open: Once<Weak<OpenFile>>,
    /// Whether somebody has got it: what nobody got leaves the monitor to others.
    is_given: AtomicBool,
}

impl UserfaultFile {
    /// Opens a descriptor of `monitor`.
    fn open(cx: &Context<'_>, monitor: Arc<Monitor>, flags: OpenFlags) -> Result<i32> {
        let inode = anonymous::inode("[userfaultfd]");
        let (open, is_given) = (Once::new(), AtomicBool::new(false));
        let file = Arc::new(Self { inode, monitor, open, is_given });
        let status = flags.intersection(OpenFlags::NONBLOCK);
        let opened = Arc::new(OpenFile::new(file.clone(), status));
        file.open.call_once(|| Arc::downgrade(&opened));
        let fd = crate::calls::open::add(cx, opened, 0, OnExec::of(flags))?;
        file.monitor.add_reader();
        file.is_given.store(true, Ordering::Relaxed);
        Ok(fd)
    }

    fn is_nonblocking(&self) -> bool {
        let open = self.open.get().and_then(Weak::upgrade);
        open.is_some_and(|open| open.is_nonblocking())
    }

    /// The bytes that are read of `news`; of a child, with a descriptor for the reader.
    fn message(&self, cx: &Context<'_>, news: News) -> Result<Message> {
        match news {
            News::Message(message) => Ok(message),
            News::Child(ticket, child) => {
                let own = self.open.get().and_then(Weak::upgrade);
                let flags = own.map_or(OpenFlags::empty(), |own| own.flags());
                let fd = Self::open(cx, child, flags.intersection(OpenFlags::NONBLOCK))?;
                self.monitor.was_read(ticket);
                let arguments = [u64::from(fd.cast_unsigned()), 0, 0];
                Ok(Message { event: event::FORK, arguments, ..Message::default() })
            }
        }
    }
}

impl Drop for UserfaultFile {
    fn drop(&mut self) {
        if *self.is_given.get_mut() {
            self.monitor.release();
        }
    }
}

/// Makes a descriptor of faults of the caller's memory, as userfaultfd(2) with these flags does.
///
/// # Errors
/// `EINVAL` for unknown flags; `EMFILE`.
pub(crate) fn create(cx: &Context<'_>, flags: u32) -> Result<i32> {
    let open = OpenFlags::from_bits_retain(flags & !UFFD_USER_MODE_ONLY);
    if !(OpenFlags::CLOEXEC | OpenFlags::NONBLOCK).contains(open) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let scope = match flags & UFFD_USER_MODE_ONLY {
        0 => Scope::All,
        _ => Scope::Application,
    };
    UserfaultFile::open(cx, Monitor::new(cx.system, cx.memory(), scope), open)
}

impl File for UserfaultFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn read(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        if !self.monitor.is_ready() {
            return Err(Errno::EINVAL.because("UFFDIO_API comes first"));
        }
        if to.remaining() < size_of::<Message>() {
            return Err(Errno::EINVAL.because("the buffer is shorter than a message"));
        }
        let mut done = 0;
        while to.remaining() >= size_of::<Message>() {
            let news = match done {
                0 => {
                    let look = || Ok(self.monitor.read());
                    cx.block_on(&[&self.monitor.news], open.patience(), look)?
                }
                _ => match self.monitor.read() {
                    Some(news) => news,
                    None => break,
                },
            };
            let put = self.message(cx, news).and_then(|message| to.put(message.as_bytes()));
            match put {
                Ok(put) => done += put,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn ioctl(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<Outcome> {
        if request == request::UFFDIO_API {
            return self.agree(cx, UserPtr::new(argument));
        }
        if !self.monitor.is_ready() {
            return Err(Errno::EINVAL.because("UFFDIO_API comes first"));
        }
        match request {
            request::UFFDIO_REGISTER => self.register(cx, UserPtr::new(argument)),
            request::UFFDIO_UNREGISTER => {
                let range = range(UserPtr::<UserRange>::new(argument).read(cx)?)?;
                self.monitor.unregister(&range)?;
                Ok(().into())
            }
            request::UFFDIO_WAKE => {
                let range = range(UserPtr::<UserRange>::new(argument).read(cx)?)?;
                self.monitor.wake(&range);
                Ok(().into())
            }
            request::UFFDIO_COPY => self.copy(cx, UserPtr::new(argument)),
            request::UFFDIO_MOVE => self.transfer(cx, UserPtr::new(argument)),
            request::UFFDIO_ZEROPAGE => self.fill(cx, UserPtr::new(argument), &Filling::Zeros),
            request::UFFDIO_CONTINUE => self.fill(cx, UserPtr::new(argument), &Filling::Stored),
            request::UFFDIO_POISON => self.fill(cx, UserPtr::new(argument), &Filling::Poison),
            request::UFFDIO_WRITEPROTECT => self.guard(cx, UserPtr::new(argument)),
            _ => Err(Errno::EINVAL.because("the file does not know this request")),
        }
    }

    fn poll(&self) -> PollEvents {
        if !self.monitor.is_ready() || !self.is_nonblocking() {
            return PollEvents::ERR;
        }
        match self.monitor.has_news() {
            true => PollEvents::IN,
            false => PollEvents::empty(),
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.monitor.news)
    }

    fn describe(&self, _: &Context<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let (pending, total) = self.monitor.waiting();
        let ioctls = API_REQUESTS | RANGE_REQUESTS;
        let agreed = self.monitor.features().bits();
        writeln!(out, "pending:\t{pending}\ntotal:\t{total}")?;
        writeln!(out, "API:\t{:x}:{agreed:x}:{ioctls:x}", userfault::UFFD_API)
    }
}

impl UserfaultFile {
    /// `UFFDIO_API`.
    fn agree(&self, cx: &Context<'_>, at: UserPtr<Api>) -> Result<Outcome> {
        let agreed = at.read(cx).and_then(|wanted| {
            let features = Features::from_bits_retain(wanted.features);
            if wanted.api != userfault::UFFD_API {
                return Err(Errno::EINVAL.because("an unknown API"));
            }
            let forks = features.contains(Features::EVENT_FORK);
            if forks && !cx.credentials().has(Capability::SysPtrace) {
                return Err(Errno::EPERM.because("descriptors of children need CAP_SYS_PTRACE"));
            }
            if !Monitor::FEATURES.contains(features) {
                return Err(Errno::EINVAL.because("a feature is not known"));
            }
            let (features_all, ioctls) = (Monitor::FEATURES.bits(), API_REQUESTS);
            at.write(cx, &Api { api: wanted.api, features: features_all, ioctls })?;
            self.monitor.agree(features)
        });
        match agreed {
            Err(error) if error.errno == Errno::EFAULT => Err(error),
            Err(error) => {
                at.write(cx, &Api::default())?;
                Err(error)
            }
            Ok(()) => Ok(().into()),
        }
    }

    /// `UFFDIO_REGISTER`.
    fn register(&self, cx: &Context<'_>, at: UserPtr<Register>) -> Result<Outcome> {
        let wanted = at.read(cx)?;
        let modes = RegisterModes::from_bits_retain(wanted.mode);
        let known = RegisterModes::MISSING | RegisterModes::WP | RegisterModes::MINOR;
        if modes.is_empty() || !known.contains(modes) {
            return Err(Errno::EINVAL.because("no mode, or one that is not known"));
        }
        let range = range(wanted.range)?;
        self.monitor.register(&range, modes)?;
        let mut ioctls = RANGE_REQUESTS;
        if !modes.contains(RegisterModes::WP) {
            ioctls &= !of(&[number::WRITEPROTECT]);
        }
        if !modes.contains(RegisterModes::MINOR) {
            ioctls &= !of(&[number::CONTINUE]);
        }
        at.write(cx, &Register { ioctls, ..wanted })?;
        Ok(().into())
    }

    /// `UFFDIO_COPY`.
    fn copy(&self, cx: &Context<'_>, at: UserPtr<Transfer>) -> Result<Outcome> {
        let wanted = at.read(cx)?;
        let answer = |done| at.write(cx, &Transfer { done, ..wanted });
        self.monitor.check_steady().or_else(|error| report(error, answer))?;
        let range = range(UserRange { start: wanted.to, len: wanted.len })?;
        check_source(wanted.from, wanted.len)?;
        let modes = FillModes::from_bits_retain(wanted.mode);
        if !(FillModes::DONTWAKE | FillModes::WP).contains(modes) {
            return Err(Errno::EINVAL.because("an unknown mode"));
        }
        let filling = Filling::Copy(cx.memory(), wanted.from);
        let done = self.monitor.fill(&range, &filling, modes.contains(FillModes::WP));
        self.finish(&range, done, modes.contains(FillModes::DONTWAKE), answer)
    }

    /// `UFFDIO_MOVE`.
    fn transfer(&self, cx: &Context<'_>, at: UserPtr<Transfer>) -> Result<Outcome> {
        let wanted = at.read(cx)?;
        let answer = |done| at.write(cx, &Transfer { done, ..wanted });
        self.monitor.check_steady().or_else(|error| report(error, answer))?;
        let target = range(UserRange { start: wanted.to, len: wanted.len })?;
        let source = range(UserRange { start: wanted.from, len: wanted.len })?;
        if wanted.mode & !(moving::DONTWAKE | moving::ALLOW_SRC_HOLES) != 0 {
            return Err(Errno::EINVAL.because("an unknown mode"));
        }
        let holes = match wanted.mode & moving::ALLOW_SRC_HOLES {
            0 => Holes::Refused,
            _ => Holes::Allowed,
        };
        let done = self.monitor.transfer(&target, source.start, holes);
        self.finish(&target, done, wanted.mode & moving::DONTWAKE != 0, answer)
    }

    /// `UFFDIO_ZEROPAGE`, `UFFDIO_CONTINUE`, `UFFDIO_POISON`.
    fn fill(&self, cx: &Context<'_>, at: UserPtr<Fill>, filling: &Filling<'_>) -> Result<Outcome> {
        let wanted = at.read(cx)?;
        let answer = |done| at.write(cx, &Fill { done, ..wanted });
        self.monitor.check_steady().or_else(|error| report(error, answer))?;
        let range = range(wanted.range)?;
        let modes = FillModes::from_bits_retain(wanted.mode);
        let known = match filling {
            Filling::Stored => FillModes::DONTWAKE | FillModes::WP,
            _ => FillModes::DONTWAKE,
        };
        if !known.contains(modes) {
            return Err(Errno::EINVAL.because("an unknown mode"));
        }
        let done = self.monitor.fill(&range, filling, modes.contains(FillModes::WP));
        self.finish(&range, done, modes.contains(FillModes::DONTWAKE), answer)
    }

    /// Answers a request that has filled pages, and wakes who waits for them.
    fn finish(
        &self,
        range: &Range<u64>,
        done: Result<u64>,
        stays_asleep: bool,
        answer: impl Fn(i64) -> Result<()>,
    ) -> Result<Outcome> {
        let done = match done {
            Ok(done) => done,
            Err(error) if error.errno == Errno::ESRCH => return Err(error),
            Err(error) => return report(error, answer).map(Into::into),
        };
        answer(done.cast_signed())?;
        let filled = range.start..range.start + done;
        if !stays_asleep {
            self.monitor.wake(&filled);
        }
        match filled == *range {
            true => Ok(().into()),
            false => Err(Errno::EAGAIN.because("not all pages were filled")),
        }
    }

    /// `UFFDIO_WRITEPROTECT`.
    fn guard(&self, cx: &Context<'_>, at: UserPtr<WriteProtect>) -> Result<Outcome> {
        self.monitor.check_steady()?;
        let wanted = at.read(cx)?;
        let range = range(wanted.range)?;
        if wanted.mode & !(protect::WP | protect::DONTWAKE) != 0 {
            return Err(Errno::EINVAL.because("an unknown mode"));
        }
        let guarded = wanted.mode & protect::WP != 0;
        let stays_asleep = wanted.mode & protect::DONTWAKE != 0;
        if guarded && stays_asleep {
            return Err(Errno::EINVAL.because("protecting wakes nobody"));
        }
        self.monitor.guard(&range, guarded)?;
        if !guarded && !stays_asleep {
            self.monitor.wake(&range);
        }
        Ok(().into())
    }
}

/// Says in the answer of a request what failed.
fn report(error: crate::error::Error, answer: impl Fn(i64) -> Result<()>) -> Result<()> {
    answer(-i64::from(error.errno as u16))?;
    Err(error)
}

/// Requests that need no range, one bit for each.
const API_REQUESTS: u64 = of(&[number::REGISTER, number::UNREGISTER, number::API]);

/// Requests about ranges, one bit for each.
const RANGE_REQUESTS: u64 = of(&[
    number::WAKE,
    number::COPY,
    number::ZEROPAGE,
    number::MOVE,
    number::WRITEPROTECT,
    number::CONTINUE,
    number::POISON,
]);

/// One bit for each number.
const fn of(numbers: &[u32]) -> u64 {
    match numbers {
        [] => 0,
        [number, others @ ..] => 1 << *number | of(others),
    }
}

/// The whole pages that a request names.
fn range(asked: UserRange) -> Result<Range<u64>> {
    let invalid = |reason| Errno::EINVAL.because(reason);
    let page = PAGE_SIZE as u64;
    if !asked.start.is_multiple_of(page) || !asked.len.is_multiple_of(page) || asked.len == 0 {
        return Err(invalid("not whole pages"));
    }
    let end = asked.start.checked_add(asked.len).filter(|&end| end <= TASK_SIZE);
    let end = end.ok_or_else(|| invalid("beyond the end of the address space"))?;
    if asked.start < loader::MMAP_MIN_ADDR {
        return Err(invalid("below the lowest address that can be mapped"));
    }
    Ok(asked.start..end)
}

/// Fails where no bytes can be copied from.
fn check_source(start: u64, len: u64) -> Result<()> {
    match start.checked_add(len) {
        Some(end) if end <= TASK_SIZE => Ok(()),
        _ => Err(Errno::EINVAL.because("the source is beyond the end of the address space")),
    }
}

/// Puts /dev/userfaultfd into `vfs`.
///
/// # Errors
/// `EEXIST`; `ENOSPC`.
pub(crate) fn add_device(vfs: &Vfs) -> Result<()> {
    let mode = Mode::OWNER_READ | Mode::OWNER_WRITE;
    vfs.add_device("userfaultfd", mode, DEVICE, Arc::new(UserfaultDriver))
}

struct UserfaultDriver;

impl Driver for UserfaultDriver {
    fn open(
        &self,
        _: &Context<'_>,
        inode: Arc<dyn Inode>,
        _: Device,
        _: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        Ok(Arc::new(UserfaultDevice(inode)))
    }
}

/// /dev/userfaultfd.
struct UserfaultDevice(Arc<dyn Inode>);

impl File for UserfaultDevice {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.0
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn ioctl(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<Outcome> {
        if request != request::USERFAULTFD_IOC_NEW {
            return Err(Errno::EINVAL.because("the file does not know this request"));
        }
        let flags = u32::try_from(argument).map_err(|_| Errno::EINVAL)?;
        Ok(create(cx, flags)?.into())
    }
}
