//! Rings of requests and results: io_uring_setup(2), io_uring_enter(2).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::Errno;
use abi::fs::OpenFlags;
use abi::io_uring::{EnterFlags, Features, GetEvents, MAX_ENTRIES, Params, SetupFlags};
use abi::poll::SizedMask;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::{Fd, OnExec, OpenFile};
use crate::process::Capability;
use crate::rings::{Ring, RingFile};
use crate::user::UserPtr;

use super::open;
use super::poll::{read_timespec, set_mask};

/// What all rings can do.
const FEATURES: Features = Features::SINGLE_MMAP
    .union(Features::NODROP)
    .union(Features::SUBMIT_STABLE)
    .union(Features::RW_CUR_POS)
    .union(Features::CUR_PERSONALITY)
    .union(Features::FAST_POLL)
    .union(Features::POLL_32BITS)
    .union(Features::EXT_ARG)
    .union(Features::NATIVE_WORKERS)
    .union(Features::CQE_SKIP)
    .union(Features::LINKED_FILE);

/// The flags of io_uring_setup(2) that are obeyed. Some only allow what is never done: a
/// request goes on wherever its thread is.
const OFFERED: SetupFlags = SetupFlags::CQSIZE
    .union(SetupFlags::CLAMP)
    .union(SetupFlags::R_DISABLED)
    .union(SetupFlags::SUBMIT_ALL)
    .union(SetupFlags::COOP_TASKRUN)
    .union(SetupFlags::TASKRUN_FLAG)
    .union(SetupFlags::SINGLE_ISSUER)
    .union(SetupFlags::DEFER_TASKRUN)
    .union(SetupFlags::NO_SQARRAY);

/// io_uring_setup(2): makes a pair of rings.
///
/// # Differences from Linux
/// `IORING_SETUP_SQPOLL`, `IOPOLL`, `ATTACH_WQ`, `SQE128`, `CQE32`, `NO_MMAP` and
/// `REGISTERED_FD_ONLY` are `EINVAL`. Requests of a ring with `DEFER_TASKRUN` go on also before
/// their thread waits for results. The end of the last descriptor ends what is under way,
/// whether the rings are mapped or not.
pub(crate) fn io_uring_setup(
    cx: &Context<'_>,
    entries: u32,
    params: UserPtr<Params>,
) -> Result<i32> {
    check_allowed(cx)?;
    let mut given = params.read(cx)?;
    if given.reserved != [0; 3] {
        return Err(invalid());
    }
    let flags = SetupFlags::from_bits(given.flags).ok_or_else(invalid)?;
    check_flags(flags)?;
    let [sq_entries, cq_entries] = sizes(entries, given.cq_entries, flags)?;
    let ring = Ring::new(cx, [sq_entries, cq_entries], flags)?;
    (given.sq_entries, given.cq_entries) = (sq_entries, cq_entries);
    (given.sq, given.cq) = ring.offsets();
    given.features = FEATURES.bits();
    params.write(cx, &given)?;
    open::add(cx, RingFile::open(ring), 0, OnExec::of(OpenFlags::CLOEXEC))
}

fn invalid() -> Error {
    Errno::EINVAL.because("not what a ring can be")
}

/// Fails where /proc/sys/kernel/io_uring_disabled forbids rings.
fn check_allowed(cx: &Context<'_>) -> Result<()> {
    let who = cx.credentials();
    let group = cx.system.rings_group.load(Ordering::Relaxed);
    let is_allowed = match cx.system.rings_disabled.load(Ordering::Relaxed) {
        0 => true,
        1 => {
            let is_member = u32::try_from(group).is_ok_and(|group| who.is_in_group(group));
            is_member || who.has(Capability::SysAdmin)
        }
        _ => false,
    };
    if is_allowed { Ok(()) } else { Err(Errno::EPERM.because("rings are disabled")) }
}

fn check_flags(flags: SetupFlags) -> Result<()> {
    let has = |flag| flags.contains(flag);
    let is_told = has(SetupFlags::TASKRUN_FLAG);
    let contradicts = has(SetupFlags::DEFER_TASKRUN) && !has(SetupFlags::SINGLE_ISSUER)
        || is_told && !flags.intersects(SetupFlags::COOP_TASKRUN | SetupFlags::DEFER_TASKRUN);
    if contradicts || !OFFERED.contains(flags) {
        return Err(Errno::EINVAL.because("flags that contradict each other, or are not offered"));
    }
    Ok(())
}

/// How many requests and results fit, which are powers of two.
fn sizes(entries: u32, cq_entries: u32, flags: SetupFlags) -> Result<[u32; 2]> {
    let size = |wanted: u32, most: u32| match wanted {
        0 => Err(Errno::EINVAL.because("no entries")),
        wanted if wanted <= most => Ok(wanted.next_power_of_two()),
        _ if flags.contains(SetupFlags::CLAMP) => Ok(most),
        _ => Err(Errno::EINVAL.because("too many entries")),
    };
    let requests = size(entries, MAX_ENTRIES)?;
    if !flags.contains(SetupFlags::CQSIZE) {
        return Ok([requests, requests * 2]);
    }
    let results = size(cq_entries, MAX_ENTRIES * 2)?;
    if results < requests {
        return Err(Errno::EINVAL.because("fewer results than requests"));
    }
    Ok([requests, results])
}

/// The ring behind a descriptor.
///
/// # Errors
/// `EBADF`; `EOPNOTSUPP` for another file.
pub(super) fn find(cx: &Context<'_>, fd: Fd) -> Result<Arc<OpenFile>> {
    let open = cx.files().get(fd)?;
    if open.file.ring().is_none() {
        return Err(Errno::EOPNOTSUPP.because("not a ring"));
    }
    Ok(open)
}

/// The ring that an open file is.
pub(super) fn ring_of(open: &OpenFile) -> Result<&Arc<Ring>> {
    open.file.ring().ok_or_else(|| Errno::EOPNOTSUPP.because("not a ring"))
}

/// io_uring_enter(2): submits requests and waits for results.
///
/// # Differences from Linux
/// Files in memory and of the host are read and written while they are submitted. A request to
/// open a FIFO does not wait for its other end: `EAGAIN`. The operations of splicing, of
/// extended attributes, of futexes and waiting for processes, those that choose buffers, copy
/// nothing or send messages to rings, and commands of devices are `EINVAL`; so are files that
/// are made as registered ones. The end of a thread ends its requests at once. Paths are loaded when a request begins. Registered rings,
/// `IORING_ENTER_ABS_TIMER` and a least time to wait are not offered.
pub(crate) fn io_uring_enter(
    cx: &Context<'_>,
    fd: Fd,
    to_submit: u32,
    least: u32,
    flags: EnterFlags,
    argument: u64,
    size: u64,
) -> Result<u32> {
    if !EnterFlags::all().contains(flags) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let open = find(cx, fd)?;
    let ring = ring_of(&open)?;
    ring.check_issuer(cx)?;
    cx.thread.run_requests(cx);
    let submitted = ring.submit(cx, to_submit)?;
    cx.thread.run_requests(cx);
    if !flags.contains(EnterFlags::GETEVENTS) || submitted < to_submit {
        return Ok(submitted);
    }
    match wait(cx, ring, least, flags, (argument, size)) {
        Err(error) if submitted == 0 => Err(error),
        _ => Ok(submitted),
    }
}

fn wait(
    cx: &Context<'_>,
    ring: &Ring,
    least: u32,
    flags: EnterFlags,
    (argument, size): (u64, u64),
) -> Result<()> {
    let mut mask = SizedMask { mask: argument, size };
    let mut deadline_ns = None;
    if flags.contains(EnterFlags::EXT_ARG) {
        if size != size_of::<GetEvents>() as u64 {
            return Err(Errno::EINVAL.because("a structure of another size"));
        }
        let wanted: GetEvents = UserPtr::new(argument).read(cx)?;
        if wanted.least_wait_us != 0 {
            return Err(Errno::EINVAL.because("there is no least time to wait"));
        }
        mask = SizedMask { mask: wanted.mask, size: u64::from(wanted.mask_size) };
        deadline_ns = read_timespec(cx, UserPtr::new(wanted.timeout))?;
    }
    set_mask(cx, mask)?;
    if ring.wait(cx, least, deadline_ns)? {
        return Ok(());
    }
    Err(Errno::ETIME.because("the time has come"))
}
