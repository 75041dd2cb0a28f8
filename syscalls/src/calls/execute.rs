//! Other programs in the place of the caller's.

use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{AT_FDCWD, AtFlags};
use abi::process::Resource;
use loader::stack::argument_limit;

use crate::context::Context;
use crate::error::{Because, Error, Outcome, Result};
use crate::fs::path::resolve_at;
use crate::fs::{Fd, OnExec};
use crate::process::exec::Executable;
use crate::user::{UserPath, UserPtr, read_c_string};

/// Longest argument or variable, with its NUL, in bytes (`MAX_ARG_STRLEN` of Linux).
const STRING_MAX: usize = 128 * 1024;

/// execve(2): executes another program in the place of the caller's.
///
/// # Differences from Linux
/// The capabilities of files do not count, for no file system stores them.
pub(crate) fn execve(
    cx: &Context<'_>,
    path: UserPath,
    arguments: UserPtr<u64>,
    environment: UserPtr<u64>,
) -> Result<Outcome> {
    execute(cx, Fd(AT_FDCWD), &path.read(cx)?, arguments, environment, AtFlags::empty())
}

/// execveat(2): execve(2) of a file that is named relative to a directory, or of an open one.
///
/// # Differences from Linux
/// As execve(2).
pub(crate) fn execveat(
    cx: &Context<'_>,
    directory: Fd,
    path: UserPath,
    arguments: UserPtr<u64>,
    environment: UserPtr<u64>,
    flags: AtFlags,
) -> Result<Outcome> {
    // As on Linux, the path is looked at before the flags.
    let path = path.read(cx)?;
    if path.is_empty() && !flags.contains(AtFlags::EMPTY_PATH) {
        return Err(Errno::ENOENT.because("the path is empty"));
    }
    if !(AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW).contains(flags) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    execute(cx, directory, &path, arguments, environment, flags)
}

fn execute(
    cx: &Context<'_>,
    directory: Fd,
    path: &[u8],
    arguments: UserPtr<u64>,
    environment: UserPtr<u64>,
    flags: AtFlags,
) -> Result<Outcome> {
    let location = resolve_at(cx, directory, path.to_vec(), flags)?;
    let mut room = argument_limit(cx.process.limits().current(Resource::Stack));
    let arguments = read_strings(cx, arguments, &mut room)?;
    let environment = read_strings(cx, environment, &mut room)?;
    let name = name_of(directory, path);
    let executable = Executable::open(cx, location, name, arguments)
        .map_err(|error| cx.refuse_program(error))?;
    let is_relative = directory.0 != AT_FDCWD && path.first() != Some(&b'/');
    if executable.is_script() && is_relative && cx.files().on_exec(directory)? == OnExec::Close {
        return Err(Errno::ENOENT.because("the interpreter could not open the script"));
    }
    let old = cx.thread.id();
    let registers = cx.execute(&executable, &environment)?;
    cx.set_registers(registers);
    cx.tell_tracer_of_program(old);
    Ok(Outcome::Replaced)
}

/// The path that the program sees as its own: that of the descriptor, where it was named
/// relative to one.
fn name_of(directory: Fd, path: &[u8]) -> Vec<u8> {
    if directory.0 == AT_FDCWD || path.first() == Some(&b'/') {
        return path.to_vec();
    }
    let mut name = alloc::format!("/dev/fd/{}", directory.0).into_bytes();
    if !path.is_empty() {
        name.push(b'/');
        name.extend_from_slice(path);
    }
    name
}

fn too_long() -> Error {
    Errno::E2BIG.because("arguments and environment are too long")
}

/// Loads an array of strings that ends with a null pointer; a null array is an empty one.
/// Pointers and strings take from `room`, which is in bytes.
fn read_strings(cx: &Context<'_>, array: UserPtr<u64>, room: &mut u64) -> Result<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    if array.is_null() {
        return Ok(strings);
    }
    loop {
        let address = array.element(strings.len()).read(cx)?;
        if address == 0 {
            return Ok(strings);
        }
        let string = read_c_string(cx.memory(), address, STRING_MAX)?.ok_or_else(too_long)?;
        let taken = (string.len() + 1 + size_of::<u64>()) as u64;
        *room = room.checked_sub(taken).ok_or_else(too_long)?;
        strings.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        strings.push(string);
    }
}
