//! pipe(2), pipe2(2).

use abi::Errno;
use abi::fs::OpenFlags;
use abi::process::Resource;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{OnExec, pipe};
use crate::user::UserPtr;

/// pipe(2): makes a pipe.
///
/// # Differences from Linux
/// As pipe2(2).
pub(crate) fn pipe(cx: &Context<'_>, descriptors: UserPtr<[i32; 2]>) -> Result<()> {
    pipe2(cx, descriptors, OpenFlags::empty())
}

/// pipe2(2): makes a pipe, with flags.
///
/// # Differences from Linux
/// Pipes for notifications (`O_NOTIFICATION_PIPE`) are refused, as by a Linux that was built
/// without them. The pages of all pipes of a user have no limit of their own.
pub(crate) fn pipe2(
    cx: &Context<'_>,
    descriptors: UserPtr<[i32; 2]>,
    flags: OpenFlags,
) -> Result<()> {
    let status = OpenFlags::NONBLOCK | OpenFlags::DIRECT;
    if !(status | OpenFlags::CLOEXEC).contains(flags) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let (reader, writer) = pipe::pair(cx, flags & status);
    let files = &cx.files();
    let limit = cx.process.limits().current(Resource::OpenFiles);
    let on_exec = OnExec::of(flags);
    let reader = files.add(reader, 0, on_exec, limit)?;
    let stored = files.add(writer, 0, on_exec, limit).and_then(|writer| {
        let stored = descriptors.write(cx, &[reader.0, writer.0]);
        if stored.is_err() {
            files.remove(writer)?;
        }
        stored
    });
    if stored.is_err() {
        files.remove(reader)?;
    }
    stored
}
