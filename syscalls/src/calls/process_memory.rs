//! Memory of other processes.

use abi::fs::Iovec;
use abi::{Errno, PAGE_SIZE};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::io::{Sink, Source};
use crate::user::{Buffers, UserPtr};

use super::transfer::pieces;

/// process_vm_readv(2): copies from the memory of another process.
///
/// # Differences from Linux
/// None.
pub(crate) fn process_vm_readv(
    cx: &Context<'_>,
    pid: i32,
    local: UserPtr<Iovec>,
    local_count: usize,
    remote: UserPtr<Iovec>,
    remote_count: usize,
    flags: u64,
) -> Result<usize> {
    let (mut to, mut from) = both(cx, pid, (local, local_count), (remote, remote_count), flags)?;
    copy(&mut from, &mut to)
}

/// process_vm_writev(2): copies to the memory of another process.
///
/// # Differences from Linux
/// None.
pub(crate) fn process_vm_writev(
    cx: &Context<'_>,
    pid: i32,
    local: UserPtr<Iovec>,
    local_count: usize,
    remote: UserPtr<Iovec>,
    remote_count: usize,
    flags: u64,
) -> Result<usize> {
    let (mut from, mut to) = both(cx, pid, (local, local_count), (remote, remote_count), flags)?;
    copy(&mut from, &mut to)
}

/// A vector of buffers, and how many there are.
type Vector = (UserPtr<Iovec>, usize);

/// The caller's buffers, and those of the other process.
fn both(
    cx: &Context<'_>,
    pid: i32,
    local: Vector,
    remote: Vector,
    flags: u64,
) -> Result<(Buffers, Buffers)> {
    if flags != 0 {
        return Err(Errno::EINVAL.because("there are no flags"));
    }
    let local = pieces(cx, local.0, local.1)?;
    let remote = pieces(cx, remote.0, remote.1)?;
    let target = cx.system.processes.of_task(cx.known_id(pid)?);
    let target = target.filter(|target| !target.has_ended());
    let target = target.ok_or_else(|| Errno::ESRCH.because("no such process"))?;
    cx.check_access(&target)?;
    Ok((Buffers::new(cx.memory().clone(), local), Buffers::new(target.memory(), remote)))
}

/// Copies as much as both have, up to the first bad address.
fn copy(from: &mut Buffers, to: &mut Buffers) -> Result<usize> {
    let mut page = [0; PAGE_SIZE];
    let mut done = 0;
    loop {
        let len = Source::remaining(from).min(Sink::remaining(to)).min(page.len());
        let copied = match from.take(&mut page[..len]) {
            Ok(taken) => to.put(&page[..taken]),
            Err(error) => Err(error),
        };
        match copied {
            Ok(0) => return Ok(done),
            Ok(copied) => done += copied,
            Err(error) if done == 0 => return Err(error),
            Err(_) => return Ok(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::BAD_ADDRESS;
    use crate::process::family_tests::{ANY, exit, note, notes};
    use zerocopy::IntoBytes;

    #[test]
    fn memory_of_a_child_is_read_and_written() {
        let seen = notes(|application, notes| {
            let place = application.registers.rsp - 0x1000;
            application.store(place, b"parent");
            let child = application.fork("fork", &[], move |child| {
                child.store(place, b"child.");
                child.call("poll", &[0, 0, 20]);
                let mut bytes = [0; 6];
                child.load(place, &mut bytes);
                exit(child, u64::from(bytes == *b"chPARE"));
            });
            application.call("poll", &[0, 0, 10]);
            let vectors = place - 0x100;
            let vector = [place + 2, 4, BAD_ADDRESS, 8, place, 100];
            application.store(vectors, vector.as_bytes());
            let read = [child, vectors, 1, vectors, 2, 0];
            note(notes, application.call("process_vm_readv", &read));
            let mut bytes = [0; 6];
            application.load(place, &mut bytes);
            assert_eq!(&bytes, b"paild.");
            application.store(place + 2, b"PARE");
            note(notes, application.call("process_vm_writev", &read));
            let bad = [child, vectors, 1, vectors + 16, 1, 0];
            note(notes, application.call("process_vm_readv", &bad));
            note(notes, application.call("process_vm_readv", &[999, vectors, 1, vectors, 1, 0]));
            note(notes, application.call("process_vm_readv", &[child, vectors, 1, vectors, 1, 1]));
            application.call("wait4", &[ANY, place, 0, 0]);
            application.load(place, &mut bytes);
            note(notes, u64::from(bytes[1]));
        });
        let error = |errno: Errno| errno.as_return_value();
        let errors = [error(Errno::EFAULT), error(Errno::ESRCH), error(Errno::EINVAL)];
        assert_eq!(seen, [&[4, 4], &errors[..], &[1]].concat());
    }
}
