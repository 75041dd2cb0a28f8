//! kcmp(2).

use alloc::sync::Arc;
use core::cmp::Ordering;

use abi::Errno;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::{Fd, OpenFile};
use crate::process::Process;

/// What is compared: `KCMP_*`.
mod what {
    pub(super) const FILE: i32 = 0;
    pub(super) const MEMORY: i32 = 1;
    pub(super) const FILES: i32 = 2;
    pub(super) const PATHS: i32 = 3;
    pub(super) const SIGNAL_ACTIONS: i32 = 4;
    pub(super) const UNDO: i32 = 6;
}

/// kcmp(2): says whether two processes share something; returns 0 where they do, and else 1 or 2
/// for an order of the two.
///
/// # Differences from Linux
/// Contexts of input and output, and files by what epoll(7) watches, are `EINVAL`.
pub(crate) fn kcmp(
    cx: &Context<'_>,
    one: i32,
    other: i32,
    kind: i32,
    index: u64,
    other_index: u64,
) -> Result<u32> {
    let find = |id: i32| {
        let found = cx.system.processes.of_task(cx.known_id(id)?);
        found.ok_or_else(|| Errno::ESRCH.because("no such process"))
    };
    let processes = [find(one)?, find(other)?];
    for process in &processes {
        cx.check_access(process)?;
    }
    let [one, other] = &processes;
    let order = match kind {
        what::FILE => {
            let [one, other] = [file(one, index)?, file(other, other_index)?];
            Arc::as_ptr(&one).addr().cmp(&Arc::as_ptr(&other).addr())
        }
        what::MEMORY => Arc::as_ptr(&one.memory()).addr().cmp(&Arc::as_ptr(&other.memory()).addr()),
        what::FILES => order(one.files.is_shared_with(&other.files), one, other),
        what::PATHS => order(one.paths.is_shared_with(&other.paths), one, other),
        what::SIGNAL_ACTIONS => order(one.signals.shares_actions(&other.signals), one, other),
        what::UNDO => order(one.undo.is_shared_with(&other.undo), one, other),
        _ => return Err(Errno::EINVAL.because("not something to compare")),
    };
    Ok(match order {
        Ordering::Equal => 0,
        Ordering::Less => 1,
        Ordering::Greater => 2,
    })
}

fn file(process: &Process, index: u64) -> Result<Arc<OpenFile>> {
    let bad = || -> Error { Errno::EBADF.because("the descriptor is not open") };
    process.files.get(Fd(i32::try_from(index).map_err(|_| bad())?))
}

/// What is not shared has the order of the processes.
fn order(is_shared: bool, one: &Process, other: &Process) -> Ordering {
    if is_shared { Ordering::Equal } else { one.id().cmp(&other.id()) }
}

#[cfg(test)]
mod tests {
    use abi::Errno;

    use crate::fake::kit;

    #[test]
    fn duplicates_are_the_same_file_and_other_files_are_not() {
        let kit = kit::process();
        kit.system.processes.insert(kit.process.clone());
        let [one, other] = ["a", "b"].map(|name| kit.descriptor(kit.file(name, b"")));
        let same = kit.call("dup", [one, 0, 0, 0, 0, 0]).unwrap();
        let compare = |kind, a, b| kit.call("kcmp", [2, 2, kind, a, b, 0]);
        assert_eq!(compare(0, one, same), Ok(0));
        assert!(matches!(
            (compare(0, one, other), compare(0, other, one)),
            (Ok(1), Ok(2)) | (Ok(2), Ok(1))
        ));
        assert_eq!(compare(0, one, 99), Err(Errno::EBADF));
        for kind in [1, 2, 3, 4, 6] {
            assert_eq!(compare(kind, 0, 0), Ok(0));
        }
        assert_eq!(compare(9, 0, 0), Err(Errno::EINVAL));
        assert_eq!(kit.call("kcmp", [2, 77, 1, 0, 0, 0]), Err(Errno::ESRCH));
    }
}
