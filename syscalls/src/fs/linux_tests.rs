//! Files beside what Linux does.
//!
//! `linux.txt` was recorded on Linux 6.18, on a tmpfs, by a program with no more than the
//! descriptors 0 to 2, whose root was an empty directory. A paragraph is a session with a name;
//! a line is a system call and what came of it: a value, the name of an errno, or what is in
//! the buffer that the call filled. Arguments are numbers, names of flags, and
//!
//! - `"x"`: the address of a string; `"x*9"`: of a string of nine of them
//! - `@9`: the address of a buffer of that length, which follows as an argument of read and
//!   pread64; the result shows what was put into it
//! - `{h1,i2,q3}`: the address of numbers of 2, 4 and 8 bytes; where the call may change them,
//!   the result shows them
//! - `@stat`: that of a `struct stat`; `@dents`: of directory entries, shown by name

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use abi::fs::{
    AT_FDCWD, AtFlags, Dirent64, FallocateFlags, OpenFlags, RenameFlags, ResolveFlags, Stat,
};
use zerocopy::FromBytes;

use crate::fake::kit::{self, Kit};

const SESSIONS: &str = include_str!("linux.txt");

/// A buffer among the arguments: how it is shown, its address, its length.
type Buffer<'a> = (&'a str, u64, usize);

fn flag(word: &str) -> u64 {
    let found = if let Some(name) = word.strip_prefix("O_") {
        OpenFlags::from_name(name).map(|flag| flag.bits())
    } else if let Some(name) = word.strip_prefix("AT_") {
        AtFlags::from_name(name).map(|flag| flag.bits())
    } else if let Some(name) = word.strip_prefix("RESOLVE_") {
        ResolveFlags::from_name(name).map(|flag| flag.bits() as u32)
    } else if let Some(name) = word.strip_prefix("RENAME_") {
        RenameFlags::from_name(name).map(|flag| flag.bits())
    } else {
        word.strip_prefix("FALLOC_FL_").and_then(FallocateFlags::from_name).map(|flag| flag.bits())
    };
    match (found, word) {
        (Some(bits), _) => u64::from(bits),
        (None, "O_RDONLY") => 0,
        (None, "AT_FDCWD") => AT_FDCWD as u64,
        (None, _) => number(word),
    }
}

fn number(word: &str) -> u64 {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    let value = if let Some(digits) = digits.strip_prefix("0x") {
        u64::from_str_radix(digits, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    let value = value.unwrap_or_else(|_| panic!("{word} is not a number"));
    if negative { value.wrapping_neg() } else { value }
}

/// One flag, several, or a number.
fn value(word: &str) -> u64 {
    word.split('|').map(flag).fold(0, |all, flag| all | flag)
}

/// The size of a field of a structure, in bytes.
fn width(field: &str) -> usize {
    match field.as_bytes()[0] {
        b'h' => 2,
        b'i' => 4,
        b'q' => 8,
        other => panic!("a field of type {other}"),
    }
}

fn fields(structure: &str) -> impl Iterator<Item = &str> {
    structure.trim_end_matches('}').split(',')
}

fn structure(text: &str) -> Vec<u8> {
    let field = |field: &str| value(&field[1..]).to_le_bytes()[..width(field)].to_vec();
    fields(text).flat_map(field).collect()
}

fn show_structure(text: &str, bytes: &[u8]) -> String {
    let mut at = 0;
    let shown = fields(text).map(|field| {
        let mut number = [0; 8];
        let len = width(field);
        number[..len].copy_from_slice(&bytes[at..at + len]);
        at += len;
        let unused = 64 - 8 * len as u32;
        (i64::from_le_bytes(number) << unused >> unused).to_string()
    });
    let shown: Vec<_> = shown.collect();
    format!(" {{{}}}", shown.join(","))
}

fn string(text: &str) -> String {
    match text.split_once('*') {
        Some((piece, count)) => piece.repeat(count.parse().unwrap()),
        None => text.to_string(),
    }
}

fn call(kit: &Kit, line: &str) -> String {
    let mut words = line.split(' ');
    let name = words.next().unwrap();
    let mut arguments = Vec::new();
    let (mut buffer, mut changed) = (None, None);
    for word in words {
        if let Some(text) = word.strip_prefix('"') {
            arguments.push(kit.string(string(text.trim_end_matches('"'))));
        } else if let Some(text) = word.strip_prefix('{') {
            let bytes = structure(text);
            arguments.push(kit.put(&bytes));
            changed = arguments.last().map(|&address| (text, address, bytes.len()));
        } else if let Some(kind) = word.strip_prefix('@') {
            let len = match kind {
                "stat" => size_of::<Stat>(),
                "dents" => 4096,
                len => len.parse().unwrap(),
            };
            buffer = Some((kind, kit.room(len), len));
            arguments.extend(buffer.map(|(_, address, _)| address));
            if matches!(name, "read" | "pread64") {
                arguments.push(len as u64);
            }
        } else {
            arguments.push(value(word));
        }
    }
    arguments.resize(6, 0);
    match kit.call(name, arguments.try_into().unwrap()) {
        Err(errno) => format!("{errno:?}"),
        Ok(value) => match changed {
            Some((text, address, len)) if name != "openat2" => {
                value.to_string() + &show_structure(text, &kit.get(address, len))
            }
            _ => show(kit, value, buffer),
        },
    }
}

fn show(kit: &Kit, value: u64, buffer: Option<Buffer<'_>>) -> String {
    match buffer {
        None => value.to_string(),
        Some(("stat", address, len)) => {
            show_stat(&Stat::read_from_bytes(&kit.get(address, len)).unwrap())
        }
        Some(("dents", address, _)) => show_entries(&kit.get(address, value as usize)),
        Some((_, address, _)) => {
            let bytes = kit.get(address, value as usize);
            let shown: String = bytes.iter().map(|&byte| show_byte(byte)).collect();
            format!("{value} \"{shown}\"")
        }
    }
}

fn show_byte(byte: u8) -> String {
    match byte {
        b'"' | b'\\' => format!("\\{byte:02x}"),
        0x21..=0x7e => char::from(byte).to_string(),
        _ => format!("\\{byte:02x}"),
    }
}

fn show_stat(stat: &Stat) -> String {
    let Stat { mode, nlink, uid, gid, size, blocks, rdev, .. } = stat;
    format!(
        "{mode:06o} links={nlink} uid={uid} gid={gid} size={size} blocks={blocks} rdev={rdev:x}"
    )
}

fn show_entries(mut records: &[u8]) -> String {
    let mut names = Vec::new();
    while let Ok((record, _)) = Dirent64::read_from_prefix(records) {
        let (this, rest) = records.split_at(usize::from(record.reclen));
        let name = &this[Dirent64::NAME_OFFSET..];
        let end = name.iter().position(|&byte| byte == 0).unwrap();
        names.push(format!("{}:{}", str::from_utf8(&name[..end]).unwrap(), record.kind));
        records = rest;
    }
    names.sort();
    if names.is_empty() { "0".to_string() } else { names.join(",") }
}

/// A process with three descriptors, whose root is an empty directory.
fn fresh() -> Kit {
    let kit = kit::process();
    for line in [
        "open \"/dev/null\" O_RDWR",
        "dup 0",
        "dup 0",
        "chmod \"/tmp\" 0755",
        "chroot \"/tmp\"",
        "chdir \"/\"",
    ] {
        let result = call(&kit, line);
        assert!(result.parse::<i32>().is_ok(), "{line}: {result}");
    }
    kit
}

#[test]
fn files_behave_as_on_linux() {
    let mut wrong = Vec::new();
    for session in SESSIONS.split("\n\n") {
        let mut lines = session.lines();
        let name = lines.next().unwrap();
        let kit = fresh();
        for line in lines {
            let (step, expected) = line.rsplit_once(" = ").unwrap();
            let result = call(&kit, step);
            if result != expected {
                wrong.push(format!("{name}: {line}, not {result}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}
