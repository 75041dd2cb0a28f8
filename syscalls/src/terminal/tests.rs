//! The line discipline beside what Linux does.
//!
//! `linux.txt` was recorded on Linux 6.18 at a pseudoterminal whose slave was nonblocking. A
//! paragraph is a session; a line is a step and, behind `>`, what came of it: the result, what
//! arrived at the master, the signals, and `FIONREAD`. Bytes are hexadecimal, `_` is nothing,
//! `-` is `EAGAIN`, `.` is end of file.
//!
//! - `s IFLAG OFLAG LFLAG CC`: `TCSETS`
//! - `i BYTES`: the user types
//! - `r LENGTH`: the program reads; result: the bytes
//! - `w BYTES`: the program writes; result: how many bytes

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use abi::terminal::{Termios, control};

use super::discipline::Discipline;

const SESSIONS: &str = include_str!("linux.txt");

fn bytes(hex: &str) -> Vec<u8> {
    let digits = if hex == "_" { "" } else { hex };
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn or_nothing(text: String) -> String {
    if text.is_empty() { "_".to_string() } else { text }
}

fn settings(words: &[&str]) -> Termios {
    let number = |word| u32::from_str_radix(word, 16).unwrap();
    Termios {
        input: number(words[1]),
        output: number(words[2]),
        local: number(words[3]),
        control: bytes(words[4]).try_into().unwrap(),
        ..Termios::STANDARD
    }
}

/// read(2) on a nonblocking descriptor.
fn read(tty: &mut Discipline, len: usize) -> String {
    let mut buffer = std::vec![0; len];
    match tty.read(&mut buffer) {
        Some(taken) if taken.len == 0 => ".".to_string(),
        Some(taken) => hex(&buffer[..taken.len]),
        None if !tty.is_canonical() && tty.settings.control[control::VMIN] == 0 => ".".to_string(),
        None => "-".to_string(),
    }
}

fn step(tty: &mut Discipline, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let result = match words[0] {
        "s" => {
            tty.set_settings(settings(&words));
            "_".to_string()
        }
        "i" => {
            let input = bytes(words[1]);
            assert_eq!(tty.receive(&input), input.len());
            "_".to_string()
        }
        "r" => read(tty, words[1].parse().unwrap()),
        "w" => tty.write(&bytes(words[1])).to_string(),
        other => panic!("no such step: {other}"),
    };
    let mut out = Vec::new();
    tty.flush(|bytes| {
        out.extend_from_slice(bytes);
        bytes.len()
    });
    let signals: Vec<String> =
        core::iter::from_fn(|| tty.take_signal()).map(|signal| signal.to_string()).collect();
    let (out, signals) = (or_nothing(hex(&out)), or_nothing(signals.join(",")));
    format!("{result} {out} {signals} {}", tty.readable_len())
}

#[test]
fn every_recorded_session_goes_as_on_linux() {
    let mut failures = Vec::new();
    let mut sessions = 0;
    for session in SESSIONS.split("\n\n").filter(|session| !session.trim().is_empty()) {
        let mut tty = Discipline::new(Termios::STANDARD);
        sessions += 1;
        for line in session.trim().lines() {
            let (action, expected) = line.split_once(" > ").unwrap();
            let found = step(&mut tty, action);
            if found != expected {
                failures
                    .push(format!("{session}\nat: {action}\nLinux: {expected}\nhere:  {found}\n"));
                break;
            }
        }
    }
    assert!(sessions > 100);
    assert!(
        failures.is_empty(),
        "{} of {sessions}\n{}",
        failures.len(),
        failures[..failures.len().min(3)].join("\n")
    );
}
