//! The latest system calls as text: several to a line, equal ones once.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use abi::{Errno, number};

use super::recent::{ARGUMENTS, RecentCall};
use crate::table;

/// Length that lines have at most where one call does not need more, in bytes.
const WIDTH: usize = 100;

/// Lines that show these calls, the oldest first.
pub(super) fn lines(calls: &[RecentCall]) -> Vec<String> {
    let mut lines = Vec::new();
    if calls.is_empty() {
        return lines;
    }
    lines.push(alloc::format!("the last {} system calls:", calls.len()));
    let mut line = String::new();
    for equal in calls.chunk_by(|one, next| one == next) {
        let mut text = shown(&equal[0]);
        if equal.len() > 1 {
            let _ = write!(text, " ({} times)", equal.len());
        }
        if !line.is_empty() && line.len() + text.len() > WIDTH {
            lines.push(core::mem::take(&mut line));
        }
        line.push_str(if line.is_empty() { "  " } else { "; " });
        line.push_str(&text);
    }
    lines.push(line);
    lines
}

/// `name(arguments) = result`. Memory that arguments point to may have changed since: they are
/// shown as numbers.
fn shown(call: &RecentCall) -> String {
    let row = table::row(call.number);
    let mut text = match (row, number::name(call.number)) {
        (Some(row), _) => String::from(row.name),
        (None, Some(name)) => String::from(name),
        (None, None) => alloc::format!("syscall_{:#x}", call.number),
    };
    let Some(arguments) = call.arguments else {
        text.push_str("(…)");
        return text;
    };
    let count = row.map_or(ARGUMENTS, |row| row.handler.count());
    let mut shown: Vec<String> = arguments.iter().take(count).map(|&raw| argument(raw)).collect();
    if count > ARGUMENTS {
        shown.push(String::from("…"));
    }
    let _ = write!(text, "({}) = {}", shown.join(", "), result(call.result));
    text
}

/// Small numbers, also negative ones of 32 bits, are decimal.
fn argument(raw: u64) -> String {
    const SMALL: i64 = 4096;
    let signed = raw as i64;
    let short = i64::from(raw as u32 as i32);
    match (signed, short) {
        (number, _) if (-SMALL..=SMALL).contains(&number) => alloc::format!("{number}"),
        (_, number) if raw >> 32 == 0 && (-SMALL..0).contains(&number) => {
            alloc::format!("{number}")
        }
        _ => alloc::format!("{raw:#x}"),
    }
}

fn result(value: u64) -> String {
    let errno = u16::try_from(value.wrapping_neg()).ok().and_then(Errno::from_number);
    match errno {
        Some(errno) if value != 0 => alloc::format!("-1 {}", errno.name()),
        _ => argument(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: [u64; ARGUMENTS], result: u64) -> RecentCall {
        let number = u64::from(number::number(name));
        RecentCall { number, arguments: Some(arguments), result }
    }

    #[test]
    fn calls_are_shown_as_a_tracer_would() {
        let text =
            shown(&call("openat", [0xffff_ff9c, 0x7fff_0000_1000, 0, 0], 2_u64.wrapping_neg()));
        assert_eq!(text, "openat(-100, 0x7fff00001000, 0, 0) = -1 ENOENT");
        assert_eq!(shown(&call("close", [3, 9, 9, 9], 0)), "close(3) = 0");
        let text = shown(&call("mmap", [0, 8192, 3, 34], 0x7f00_0000_0000));
        assert_eq!(text, "mmap(0, 0x2000, 3, 34, …) = 0x7f0000000000");
        let unknown = RecentCall { number: 5000, arguments: Some([1, 2, 3, 4]), result: 38 };
        assert_eq!(shown(&unknown), "syscall_0x1388(1, 2, 3, 4) = 38");
        let replaced = RecentCall { number: 15, arguments: None, result: 0 };
        assert_eq!(shown(&replaced), "rt_sigreturn(…)");
    }

    #[test]
    fn equal_calls_are_shown_once_and_lines_are_short() {
        let mut calls = Vec::from([call("close", [3, 0, 0, 0], 0); 20]);
        calls.extend((0..12).map(|fd| call("read", [fd, 0x7fff_0000_1000, 4096, 0], 4096)));
        let lines = lines(&calls);
        assert_eq!(lines[0], "the last 32 system calls:");
        assert!(
            lines[1].starts_with("  close(3) = 0 (20 times); read(0, 0x7fff00001000, 4096) = 4096")
        );
        assert!(lines.len() < 10 && lines.iter().all(|line| line.len() <= WIDTH + 4));
        assert_eq!(super::lines(&[]), [""; 0]);
    }
}
