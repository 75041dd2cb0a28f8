//! Scripts: files that begin with `#!` and name the program that executes them (execve(2),
//! "Interpreter scripts"), read as Linux reads them.

use core::fmt;

use abi::Errno;

/// How many bytes of a file count (`BINPRM_BUF_SIZE`): what is behind is not read.
pub const START_LEN: usize = 256;

/// How many scripts may stand between what is executed and a program: each is executed by
/// the next.
pub const MAX_SCRIPTS: usize = 5;

/// What the first line of a script says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// The path of the interpreter. An empty one cannot be executed (`EACCES`).
    pub interpreter: &'a [u8],
    /// All that follows in the line, as one argument.
    pub argument: Option<&'a [u8]>,
}

/// A script that names no interpreter, or one whose path is longer than what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoInterpreter;

impl NoInterpreter {
    /// What execve(2) fails with.
    #[must_use]
    pub const fn errno(self) -> Errno {
        Errno::ENOEXEC
    }
}

impl fmt::Display for NoInterpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the script names no interpreter in its first 255 bytes")
    }
}

impl core::error::Error for NoInterpreter {}

impl<'a> Script<'a> {
    /// Reads the first bytes of a file, [`START_LEN`] of them where it has as many; `None`
    /// when it is no script.
    ///
    /// # Errors
    /// [`NoInterpreter`].
    pub fn parse(file: &'a [u8]) -> Option<Result<Self, NoInterpreter>> {
        let start = &file[..file.len().min(START_LEN)];
        let text = start.strip_prefix(b"#!")?;
        let end = text.iter().position(|byte| matches!(byte, b'\n' | 0));
        Some(match end {
            Some(end) if text[end] == b'\n' => Self::of_line(&text[..end]),
            Some(end) => Ok(Self::of_last_line(&text[..end])),
            None if start.len() < START_LEN => Ok(Self::of_last_line(text)),
            None => Self::of_cut_line(text),
        })
    }

    /// Of a line that ends with a newline.
    fn of_line(line: &'a [u8]) -> Result<Self, NoInterpreter> {
        let line = trim_start(trim_end(line));
        match split(line) {
            (b"", _) => Err(NoInterpreter),
            (interpreter, None) => Ok(Self { interpreter, argument: None }),
            (interpreter, Some(argument)) => {
                Ok(Self { interpreter, argument: Some(trim_start(argument)) })
            }
        }
    }

    /// Of a line that ends with the file or a NUL. Blanks at its end count here.
    fn of_last_line(line: &'a [u8]) -> Self {
        let (interpreter, argument) = split(trim_start(line));
        Self { interpreter, argument: argument.map(trim_start) }
    }

    /// Of a line that goes on behind the bytes that count: its argument may be cut, the path
    /// of the interpreter may not.
    fn of_cut_line(line: &'a [u8]) -> Result<Self, NoInterpreter> {
        if !trim_start(line).iter().any(is_blank) {
            return Err(NoInterpreter);
        }
        Self::of_line(&line[..line.len() - 1])
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(byte));
    &text[start.unwrap_or(text.len())..]
}

fn trim_end(text: &[u8]) -> &[u8] {
    let last = text.iter().rposition(|byte| !is_blank(byte));
    &text[..last.map_or(0, |last| last + 1)]
}

/// What is before the first blank, and what is from there on.
fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(is_blank) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    type Parsed<'a> = Result<(&'a [u8], Option<&'a [u8]>), NoInterpreter>;

    fn parsed(file: &[u8]) -> Parsed<'_> {
        let script = Script::parse(file).expect("a script");
        script.map(|script| (script.interpreter, script.argument))
    }

    fn names(interpreter: &'static str, argument: Option<&'static str>) -> Parsed<'static> {
        Ok((interpreter.as_bytes(), argument.map(str::as_bytes)))
    }

    #[test]
    fn the_rest_of_the_line_is_one_argument() {
        assert_eq!(Script::parse(b"#"), None);
        assert_eq!(Script::parse(b"\x7fELF"), None);
        assert_eq!(parsed(b"#!/bin/sh\necho"), names("/bin/sh", None));
        assert_eq!(parsed(b"#! \t/bin/sh \t \n"), names("/bin/sh", None));
        let expected = names("/usr/bin/env", Some("-S awk  -f"));
        assert_eq!(parsed(b"#!/usr/bin/env \t -S awk  -f\t\n"), expected);
    }

    #[test]
    fn a_line_needs_an_interpreter() {
        for file in ["#!\n", "#!  \t\n/bin/sh\n"] {
            assert_eq!(parsed(file.as_bytes()), Err(NoInterpreter));
        }
        let blanks = [b"#!".to_vec(), alloc::vec![b' '; 400]].concat();
        assert_eq!(parsed(&blanks), Err(NoInterpreter));
    }

    #[test]
    fn a_line_may_end_with_the_file_or_a_nul() {
        assert_eq!(parsed(b"#!/bin/sh"), names("/bin/sh", None));
        assert_eq!(parsed(b"#!/bin/sh\0 -e\n"), names("/bin/sh", None));
        assert_eq!(parsed(b"#!/bin/sh -e "), names("/bin/sh", Some("-e ")));
        assert_eq!(parsed(b"#!/bin/sh "), names("/bin/sh", Some("")));
        assert_eq!(parsed(b"#!"), names("", None));
    }

    #[test]
    fn an_argument_may_be_cut_and_a_path_may_not() {
        let file = |name: usize, rest: &[u8]| -> Vec<u8> {
            [b"#!", &alloc::vec![b'/'; name][..], rest].concat()
        };
        assert_eq!(parsed(&file(300, b"\n")), Err(NoInterpreter));
        assert_eq!(parsed(&file(254, b"\n")), Err(NoInterpreter));
        assert_eq!(parsed(&file(253, b"\n")).map(|found| found.0.len()), Ok(253));
        assert_eq!(parsed(&file(253, b" -x\n")).map(|found| found.1), Ok(None));
        let cut = file(10, &[b" ".to_vec(), alloc::vec![b'a'; 300]].concat());
        assert_eq!(parsed(&cut).map(|found| found.1.map(<[u8]>::len)), Ok(Some(242)));
    }
}
