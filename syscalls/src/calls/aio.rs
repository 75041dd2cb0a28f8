//! Asynchronous input and output by the kernel: io_setup(2), io_submit(2), io_getevents(2).

use abi::memory::{MapFlags, Protection};
use abi::poll::SizedMask;
use abi::time::Timespec;
use abi::{Errno, PAGE_SIZE};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::aio::{IoContext, IoEvent};
use crate::fs::{Fd, OpenFile, PollEvents, Positions};
use crate::mm::{MapRequest, MapSource};
use crate::user::{Buffers, UserPtr};
use crate::wait::Interruption;

use super::poll::{read_timespec, set_mask};
use super::transfer::{one, several};

/// `struct iocb`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Operation {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: u16,
    fd: i32,
    buffer: u64,
    len: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_fd: i32,
}

/// `IOCB_CMD_*` of `linux/aio_abi.h`.
const READ: u16 = 0;
const WRITE: u16 = 1;
const SYNC: u16 = 2;
const DATA_SYNC: u16 = 3;
const READ_VECTOR: u16 = 7;
const WRITE_VECTOR: u16 = 8;

/// `IOCB_FLAG_RESFD` and `IOCB_FLAG_IOPRIO`.
const EVENT_FD: u32 = 1;
const PRIORITY: u32 = 2;

/// `RWF_NOWAIT`, and the flags that say how soon data is stored.
const NOWAIT: u32 = 8;
const RW_FLAGS: u32 = 0xf;

/// io_setup(2).
///
/// # Differences from Linux
/// Operations are done when they are submitted. Results can only be fetched by system calls.
pub(crate) fn io_setup(cx: &Context<'_>, events: u32, to: UserPtr<u64>) -> Result<()> {
    if to.read(cx)? != 0 {
        return Err(Errno::EINVAL.because("the context is not zero"));
    }
    cx.process.aio.check_room(events)?;
    // The number of a context is an address at which libraries look for a ring of results:
    // here is a page in which there is none.
    let page = cx.memory().map(&MapRequest {
        address: 0,
        len: PAGE_SIZE as u64,
        protection: Protection::READ,
        flags: MapFlags::PRIVATE | MapFlags::ANONYMOUS,
        source: MapSource::Anonymous,
        lock_limit: 0,
    })?;
    cx.process.aio.add(page, events);
    let told = to.write(cx, &page);
    if told.is_err() {
        // Nobody knows it.
        io_destroy(cx, page)?;
    }
    told
}

/// io_destroy(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn io_destroy(cx: &Context<'_>, context: u64) -> Result<()> {
    cx.process.aio.remove(context)?;
    // Whoever has unmapped it has done the same.
    let _ = cx.memory().unmap(context, PAGE_SIZE as u64);
    Ok(())
}

/// io_cancel(2).
///
/// # Differences from Linux
/// There is never anything to cancel.
pub(crate) fn io_cancel(
    cx: &Context<'_>,
    context: u64,
    operation: UserPtr<u8>,
    _result: UserPtr<u8>,
) -> Result<()> {
    let _: u64 = UserPtr::new(operation.address()).read(cx)?;
    cx.process.aio.get(context)?;
    Err(Errno::EINVAL.because("the operation has ended"))
}

/// io_submit(2).
///
/// # Differences from Linux
/// As [`io_setup`].
pub(crate) fn io_submit(
    cx: &Context<'_>,
    context: u64,
    count: i64,
    operations: UserPtr<u64>,
) -> Result<u64> {
    let count = u64::try_from(count).map_err(|_| Errno::EINVAL.because("a negative number"))?;
    let context = cx.process.aio.get(context)?;
    let mut done = 0;
    while done < count {
        let result = UserPtr::new(operations.address().wrapping_add(done * 8))
            .read(cx)
            .and_then(|at: u64| submit(cx, &context, at));
        match result {
            Ok(()) => done += 1,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Does the operation at `address`, and keeps its result.
fn submit(cx: &Context<'_>, context: &IoContext, address: u64) -> Result<()> {
    let operation: Operation = UserPtr::new(address).read(cx)?;
    let invalid = || Errno::EINVAL.because("the operation is not valid");
    if operation.reserved != 0 || operation.flags & !(EVENT_FD | PRIORITY) != 0 {
        return Err(invalid());
    }
    if operation.rw_flags & !RW_FLAGS != 0 {
        return Err(Errno::EOPNOTSUPP.because("flags are not supported"));
    }
    if i64::try_from(operation.len).is_err() {
        return Err(invalid());
    }
    if !context.has_room() {
        return Err(Errno::EAGAIN.because("the context is full"));
    }
    let event = match operation.flags & EVENT_FD {
        0 => None,
        _ => Some(cx.files().get(Fd(operation.event_fd))?),
    };
    let counter =
        event.as_ref().map(|event| event.file.counter().ok_or_else(invalid)).transpose()?;
    let open = cx.files().get(Fd(operation.fd))?;
    let result = match operation.opcode {
        READ | READ_VECTOR => open.check_readable().map(|()| transfer(cx, &open, &operation))?,
        WRITE | WRITE_VECTOR => open.check_writable().map(|()| transfer(cx, &open, &operation))?,
        SYNC | DATA_SYNC => open.file.sync().map(|()| 0),
        _ => return Err(invalid()),
    };
    let result = match result {
        Ok(done) => done as i64,
        Err(error) => -i64::from(error.errno.number()),
    };
    let data = operation.data;
    context.put(IoEvent { data, operation: address, result, second: 0 });
    if let Some(event) = counter {
        event.signal();
    }
    Ok(())
}

fn transfer(cx: &Context<'_>, open: &OpenFile, operation: &Operation) -> Result<usize> {
    let reads = matches!(operation.opcode, READ | READ_VECTOR);
    let ready = if reads { PollEvents::IN } else { PollEvents::OUT };
    let waits = operation.rw_flags & NOWAIT == 0 && !open.is_nonblocking();
    if !waits && !open.file.poll().intersects(ready | PollEvents::HUP | PollEvents::ERR) {
        return Err(Errno::EAGAIN.because("it would have to wait"));
    }
    let (address, len) = (operation.buffer, operation.len as usize);
    let mut buffers: Buffers = match operation.opcode {
        READ | WRITE => one(cx, UserPtr::new(address), len)?,
        _ => several(cx, UserPtr::new(address), len)?,
    };
    if open.positions() == Positions::None {
        return match reads {
            true => open.read(cx, &mut buffers),
            false => open.write(cx, &mut buffers),
        };
    }
    let offset = u64::try_from(operation.offset);
    let offset = offset.map_err(|_| Errno::EINVAL.because("the offset is negative"))?;
    match reads {
        true => open.read_at(cx, offset, &mut buffers),
        false => open.write_at(cx, offset, &mut buffers),
    }
}

/// io_getevents(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn io_getevents(
    cx: &Context<'_>,
    context: u64,
    least: i64,
    most: i64,
    to: UserPtr<IoEvent>,
    timeout: UserPtr<Timespec>,
) -> Result<usize> {
    let deadline_ns = read_timespec(cx, timeout)?;
    fetch(cx, context, [least, most], to, deadline_ns)
}

/// io_pgetevents(2): as io_getevents(2), with another signal mask meanwhile.
///
/// # Differences from Linux
/// None.
pub(crate) fn io_pgetevents(
    cx: &Context<'_>,
    context: u64,
    least: i64,
    most: i64,
    to: UserPtr<IoEvent>,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<SizedMask>,
) -> Result<usize> {
    let deadline_ns = read_timespec(cx, timeout)?;
    if let Some(mask) = mask.non_null() {
        set_mask(cx, mask.read(cx)?)?;
    }
    fetch(cx, context, [least, most], to, deadline_ns)
}

fn fetch(
    cx: &Context<'_>,
    context: u64,
    [least, most]: [i64; 2],
    to: UserPtr<IoEvent>,
    deadline_ns: Option<u64>,
) -> Result<usize> {
    let context = cx.process.aio.get(context)?;
    let (Ok(least), Ok(most)) = (usize::try_from(least), usize::try_from(most)) else {
        return Err(Errno::EINVAL.because("a negative number"));
    };
    if least > most {
        return Err(Errno::EINVAL.because("more are wanted than fit"));
    }
    let enough = || Ok(context.has(least)?.then_some(()));
    cx.wait_until(&[&context.changed], deadline_ns, Interruption::Fail, enough)?;
    let events = context.take(most);
    let write = |(at, event): (usize, &IoEvent)| to.element(at).write(cx, event);
    match events.iter().enumerate().try_for_each(write) {
        Ok(()) => Ok(events.len()),
        Err(error) => {
            context.put_back(events);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use abi::process::CloneFlags;

    use crate::fake::kit::{self, Kit};
    use crate::process::family_tests::{ROOM, errno, exit, load, note, notes};

    use super::*;

    fn operation(fd: u64, opcode: u16, buffer: u64, len: u64) -> Operation {
        Operation {
            data: 7,
            key: 0,
            rw_flags: 0,
            opcode,
            priority: 0,
            fd: fd as i32,
            buffer,
            len,
            offset: 1,
            reserved: 0,
            flags: 0,
            event_fd: 0,
        }
    }

    fn submit(kit: &Kit, context: u64, operation: &Operation) -> Result<u64, Errno> {
        let at = kit.put_value(operation);
        kit.call("io_submit", [context, 1, kit.put_value(&at), 0, 0, 0])
    }

    #[test]
    fn results_wait_until_they_are_fetched() {
        let kit = kit::process();
        let at = kit.put_value(&0_u64);
        assert_eq!(kit.call("io_setup", [0, at, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("io_setup", [65_537, at, 0, 0, 0, 0]), Err(Errno::EAGAIN));
        assert_eq!(kit.call("io_setup", [2, at, 0, 0, 0, 0]), Ok(0));
        let context = kit.get_value::<u64>(at);
        let fd = kit.descriptor(kit.file("f", b"crab"));
        let room = kit.room(16);
        assert_eq!(submit(&kit, context, &operation(fd, READ, room, 9)), Ok(1));
        assert_eq!(kit.get(room, 3), b"rab");
        assert_eq!(submit(&kit, context, &operation(fd, WRITE, 0, 9)), Ok(1));
        assert_eq!(submit(&kit, context, &operation(fd, READ, room, 9)), Err(Errno::EAGAIN));
        assert_eq!(submit(&kit, context, &operation(99, READ, room, 9)), Err(Errno::EAGAIN));
        let events = kit.room(128);
        let fetch = |least: u64| kit.call("io_getevents", [context, least, 4, events, 0, 0]);
        let fault = kit.call("io_getevents", [context, 1, 4, kit::BAD_ADDRESS, 0, 0]);
        assert_eq!(fault, Err(Errno::EFAULT));
        assert_eq!(fetch(2), Ok(2));
        let [first, second]: [IoEvent; 2] = [0, 32].map(|at| kit.get_value(events + at));
        assert_eq!((first.data, first.result), (7, 3));
        assert_eq!(second.result, -i64::from(Errno::EFAULT.number()));
        assert_eq!(fetch(5), Err(Errno::EINVAL));
        assert_eq!(submit(&kit, context, &operation(99, READ, room, 9)), Err(Errno::EBADF));
        assert_eq!(kit.call("io_destroy", [context, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("io_destroy", [context, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }

    #[test]
    fn who_waits_for_results_of_a_context_that_goes_is_told() {
        let seen = notes(|application, notes| {
            application.store(ROOM, &[0; 8]);
            application.call("io_setup", &[2, ROOM]);
            let context: u64 = load(application, ROOM);
            let clone = CloneFlags::VM | CloneFlags::SIGHAND | CloneFlags::THREAD;
            let inner = notes.clone();
            application.fork("clone", &[clone.bits(), 0, 0, 0, 0], move |thread| {
                note(&inner, thread.call("io_getevents", &[context, 1, 1, ROOM + 64, 0]));
                thread.call("exit", &[0]);
            });
            application.call("poll", &[0, 0, 10]);
            note(notes, application.call("io_destroy", &[context]));
            application.call("poll", &[0, 0, 10]);
            exit(application, 0);
        });
        assert_eq!(seen, [0, errno(Errno::EINVAL)]);
    }

    #[test]
    fn a_context_that_nobody_is_told_of_is_none() {
        let kit = kit::process();
        for _ in 0..3 {
            let page = kit.call("mmap", [0, 4096, 1, 0x22, u64::MAX, 0]).unwrap();
            assert_eq!(kit.call("io_setup", [40_000, page, 0, 0, 0, 0]), Err(Errno::EFAULT));
        }
    }
}
