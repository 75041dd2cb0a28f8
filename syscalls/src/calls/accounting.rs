//! acct(2).

use abi::Errno;
use abi::fs::{AT_FDCWD, FileType, Mode, OpenFlags, ResolveFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::Fd;
use crate::fs::open::{How, open};
use crate::process::Capability;
use crate::user::UserPath;

/// acct(2): lets a record of each process that ends go to a file, or to none.
///
/// # Differences from Linux
/// Records have neither memory nor faults nor the terminal. They are written however full the file
/// system is.
pub(crate) fn acct(cx: &Context<'_>, path: UserPath) -> Result<()> {
    if !cx.credentials().has(Capability::SysPacct) {
        return Err(Errno::EPERM.because("accounting needs CAP_SYS_PACCT"));
    }
    let Some(path) = path.read_if_any(cx)? else {
        cx.system.accounting.set(None);
        return Ok(());
    };
    let flags = OpenFlags::WRONLY | OpenFlags::APPEND | OpenFlags::LARGEFILE;
    let how = How { flags, mode: Mode::empty(), resolve: ResolveFlags::empty() };
    let file = open(cx, Fd(AT_FDCWD), path, how)?;
    if file.file.inode().kind() != FileType::Regular {
        return Err(Errno::EACCES.because("not a regular file"));
    }
    cx.system.accounting.set(Some(file));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::fake::kit;

    use super::*;

    #[test]
    fn only_regular_files_take_records() {
        let kit = kit::process();
        drop(kit.file("records", b""));
        let acct = |path: &str| kit.call("acct", [kit.string(path), 0, 0, 0, 0, 0]);
        assert_eq!((acct("/records"), acct("/tmp")), (Ok(0), Err(Errno::EISDIR)));
        assert_eq!((acct("/dev/null"), acct("/none")), (Err(Errno::EACCES), Err(Errno::ENOENT)));
        assert_eq!(kit.call("acct", [0; 6]), Ok(0));
    }
}
