//! Finding the program, and refusing what cannot run before a machine is started for it.

use super::needs::{Needs, Refusal};
use super::tree::{Node, Tree};
use crate::Error;
use crate::command::options::RunOptions;
use crate::error::reason;
use crate::escape::escaped_os;
use rustix::fs::Access;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Finds the program; returns its path in the guest. `guest_path` is the program's `PATH`.
///
/// With `--rootfs` the program is a file of the guest. Without, it is one of the host, unless
/// a volume has brought a file at the same absolute path.
pub(super) fn find(
    tree: &Tree,
    options: &RunOptions,
    guest_path: Option<&OsStr>,
) -> Result<PathBuf, Error> {
    let name = options.program.as_os_str();
    if let Some(path) = find_in_guest(tree, options, guest_path)? {
        return Ok(path);
    }
    if let Some(root) = &options.root {
        let (name, root) = (escaped_os(name), escaped_os(&root.host));
        return Err(Error::NotFound(format!("{name}: no such program in {root}")));
    }
    let path = find_on_host(name, std::env::var_os("PATH").as_deref())?;
    check(&path, name)?;
    Ok(path)
}

/// Brings the program `name` at a path, with all that it needs, if the guest has it not
/// already.
pub(super) fn provide(needs: &mut Needs<'_>, name: &OsStr, path: &Path) -> Result<(), Error> {
    needs.program(path).map_err(|refusal| match refusal {
        Refusal::NotFound(reason) => Error::NotFound(format!("{}: {reason}", escaped_os(name))),
        Refusal::NotExecutable(reason) => not_executable(name, &reason),
    })
}

fn find_in_guest(
    tree: &Tree,
    options: &RunOptions,
    guest_path: Option<&OsStr>,
) -> Result<Option<PathBuf>, Error> {
    let name = options.program.as_os_str();
    let here = options.working_directory.as_deref().unwrap_or(Path::new("/"));
    let candidates: Vec<PathBuf> = if Path::new(name).is_absolute() {
        vec![name.into()]
    } else if options.root.is_none() {
        vec![]
    } else if has_slash(name) {
        vec![here.join(name)]
    } else {
        guest_path
            .map(|path| folders(path).map(|folder| folder.join(name)).collect())
            .unwrap_or_default()
    };
    let found = candidates.into_iter().find_map(|path| Some((tree.find(&path)?.1, path)));
    match found {
        None => Ok(None),
        Some((Node { mode, .. }, _)) if mode & 0o111 == 0 => {
            Err(not_executable(name, "Permission denied"))
        }
        Some((_, path)) => Ok(Some(path)),
    }
}

/// The absolute path of a program of the host, which execvp(3) would execute.
fn find_on_host(name: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, Error> {
    if has_slash(name) {
        return std::path::absolute(name).map_err(|error| not_executable(name, &reason(&error)));
    }
    let mut forbidden = false;
    for folder in path.into_iter().flat_map(folders) {
        let file = folder.join(name);
        if !file.is_file() {
            continue;
        }
        if rustix::fs::access(&file, Access::EXEC_OK).is_ok() {
            return std::path::absolute(&file)
                .map_err(|error| not_executable(name, &reason(&error)));
        }
        forbidden = true;
    }
    if forbidden {
        return Err(not_executable(name, "Permission denied"));
    }
    Err(Error::NotFound(format!("{}: no such program in PATH", escaped_os(name))))
}

/// The folders of a `PATH`; an empty one is the current folder.
fn folders(path: &OsStr) -> impl Iterator<Item = PathBuf> + '_ {
    path.as_bytes().split(|&byte| byte == b':').map(|folder| match folder {
        b"" => PathBuf::from("."),
        _ => PathBuf::from(OsStr::from_bytes(folder)),
    })
}

fn has_slash(name: &OsStr) -> bool {
    name.as_bytes().contains(&b'/')
}

/// Whether the host would let the user execute the file.
fn check(path: &Path, name: &OsStr) -> Result<(), Error> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::NotFound(format!("{}: {}", escaped_os(name), reason(&error)))
        }
        _ => not_executable(name, &reason(&error)),
    })?;
    if metadata.is_dir() {
        return Err(not_executable(name, "Is a directory"));
    }
    if !metadata.is_file() {
        return Err(not_executable(name, "it is not a regular file"));
    }
    rustix::fs::access(path, Access::EXEC_OK)
        .map_err(|error| not_executable(name, &reason(&error.into())))
}

fn not_executable(name: &OsStr, reason: &str) -> Error {
    Error::NotExecutable(format!("{}: {reason}", escaped_os(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_searched_as_execvp_searches() {
        let folder = std::env::temp_dir().join(format!("birgus-path-{}", std::process::id()));
        let (first, second) = (folder.join("1"), folder.join("2"));
        fs::create_dir_all(first.join("prog")).unwrap();
        fs::create_dir_all(&second).unwrap();
        fs::write(second.join("data"), "").unwrap();
        fs::copy("/proc/self/exe", second.join("prog")).unwrap();
        let path = format!("/nowhere:{}:{}", first.display(), second.display());
        let find = |name: &str| find_on_host(OsStr::new(name), Some(OsStr::new(&path)));
        assert_eq!(find("prog").unwrap(), second.join("prog"));
        assert!(matches!(find("data"), Err(Error::NotExecutable(_))));
        assert!(matches!(find("nothing"), Err(Error::NotFound(_))));
        assert_eq!(find("./x").unwrap(), std::env::current_dir().unwrap().join("x"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_that_cannot_run_are_refused() {
        let status = |path: &str| check(Path::new(path), OsStr::new(path)).unwrap_err().status();
        assert_eq!(status("/nothing/here"), 127);
        assert_eq!(status("/etc/passwd"), 126);
        assert_eq!(status("/etc"), 126);
        assert_eq!(status("/dev/null"), 126);
    }
}
