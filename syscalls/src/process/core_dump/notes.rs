//! The notes of a core dump: what the process was, and what its threads were doing.

use alloc::vec::Vec;

use abi::core_dump::{
    NoteHeader, ProcessInfo, Status, TimeValue, UserRegisters, XCR0_OFFSET, note,
};
use abi::time::NS_PER_SECOND;
use abi::{Errno, PAGE_SIZE};
use zerocopy::{FromZeros, IntoBytes};

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::machine::{CpuTime, Registers};
use crate::mm::{Area, Backing, Object};
use crate::process::Thread;
use crate::process::tracing::user_registers;

use super::Death;

/// Length of what `FXSAVE` stores, in bytes.
const FXSAVE_LEN: usize = 512;

/// Longest list of files, in bytes; there is none where it would be longer.
const MAX_FILES: usize = 4 << 20;

/// How a thread stands.
pub(super) struct ThreadState {
    id: u32,
    registers: UserRegisters,
    pending: u64,
    blocked: u64,
    cpu: CpuTime,
    /// Empty where there was no memory for it.
    extended: Vec<u8>,
}

impl ThreadState {
    /// That of `thread`, which is the one that runs now, with these registers.
    pub(super) fn of(thread: &Thread, registers: &Registers) -> Self {
        let machine = thread.machine();
        Self {
            id: thread.id(),
            registers: user_registers(registers, &*machine),
            pending: thread.signals.pending().bits(),
            blocked: thread.signals.blocked().bits(),
            cpu: thread.cpu_time(),
            extended: extended_state(thread).unwrap_or_default(),
        }
    }
}

fn extended_state(thread: &Thread) -> Result<Vec<u8>> {
    let processor = thread.system().machine.processor();
    let len = processor.extended_state_len.max(FXSAVE_LEN);
    let mut state = buffer::zeroed(len)?;
    thread.machine().save_extended_state(&mut state[..processor.extended_state_len]);
    let components = processor.extended_state_components.to_le_bytes();
    state[XCR0_OFFSET..XCR0_OFFSET + components.len()].copy_from_slice(&components);
    Ok(state)
}

/// Notes in the making.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) bytes: Vec<u8>,
}

impl Notes {
    fn put(&mut self, name: &str, kind: u32, content: &[u8]) -> Result<()> {
        /// Names and contents begin at multiples of it.
        const ALIGN: usize = 4;
        let room = size_of::<NoteHeader>() + name.len() + content.len() + 3 * ALIGN;
        self.bytes.try_reserve(room).map_err(|_| Errno::ENOMEM)?;
        let too_long = |_| Errno::E2BIG.because("a note is too long");
        let header = NoteHeader {
            name_size: (name.len() + 1) as u32,
            size: u32::try_from(content.len()).map_err(too_long)?,
            kind,
        };
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        Ok(())
    }

    /// What the process was, with the registers of the thread that took the signal: what comes
    /// first.
    pub(super) fn put_process(
        &mut self,
        cx: &Context<'_>,
        death: &Death<'_>,
        areas: &[Area],
    ) -> Result<()> {
        self.put("CORE", note::PRSTATUS, status(cx, death, &death.state).as_bytes())?;
        self.put("CORE", note::PRPSINFO, process_info(cx).as_bytes())?;
        self.put("CORE", note::SIGINFO, death.info.as_bytes())?;
        let vector = cx.memory().places().map_or(0..0, |places| places.auxiliary.clone());
        let mut auxiliary = alloc::vec![0; (vector.end - vector.start) as usize];
        let (known, _) = cx.memory().read_partially(vector.start, &mut auxiliary);
        self.put("CORE", note::AUXV, &auxiliary[..known])?;
        let files = files(cx, areas)?;
        if !files.is_empty() {
            self.put("CORE", note::FILE, &files)?;
        }
        self.put_extended(&death.state)
    }

    /// How another thread stood.
    pub(super) fn put_thread(
        &mut self,
        cx: &Context<'_>,
        death: &Death<'_>,
        state: &ThreadState,
    ) -> Result<()> {
        self.put("CORE", note::PRSTATUS, status(cx, death, state).as_bytes())?;
        self.put_extended(state)
    }

    fn put_extended(&mut self, state: &ThreadState) -> Result<()> {
        if let Some(fxsave) = state.extended.get(..FXSAVE_LEN) {
            self.put("CORE", note::PRFPREG, fxsave)?;
        }
        if state.extended.len() > FXSAVE_LEN {
            self.put("LINUX", note::X86_XSTATE, &state.extended)?;
        }
        Ok(())
    }
}

fn status(cx: &Context<'_>, death: &Death<'_>, state: &ThreadState) -> Status {
    let process = cx.process;
    let children = process.children_usage().cpu;
    Status {
        // As on Linux, the rest of it is in the note of its own.
        signal_info: [i32::from(death.signal.number()), 0, 0],
        signal: i16::from(death.signal.number()),
        pending: state.pending,
        blocked: state.blocked,
        id: state.id,
        parent: process.parent(),
        group: process.group(),
        session: process.session(),
        times: [
            time(state.cpu.user_ns()),
            time(state.cpu.system_ns),
            time(children.user_ns()),
            time(children.system_ns),
        ],
        registers: state.registers,
        has_floating_point: i32::from(!state.extended.is_empty()),
        ..Status::default()
    }
}

fn time(ns: u64) -> TimeValue {
    TimeValue {
        seconds: (ns / NS_PER_SECOND) as i64,
        microseconds: (ns % NS_PER_SECOND / 1000) as i64,
    }
}

fn process_info(cx: &Context<'_>) -> ProcessInfo {
    let (process, who) = (cx.process, cx.credentials());
    let mut name = [0; 16];
    let current = cx.thread.name();
    name[..current.len()].copy_from_slice(&current);
    ProcessInfo {
        state: 0,
        state_letter: b'R',
        is_zombie: 0,
        nice: cx.thread.scheduling().nice as i8,
        padding: 0,
        flags: 0,
        user: who.users.real,
        group_id: who.groups.real,
        id: process.id(),
        parent: process.parent(),
        group: process.group(),
        session: process.session(),
        name,
        arguments: arguments(cx),
    }
}

/// The beginning of the arguments of the program, as they are now, and a NUL.
fn arguments(cx: &Context<'_>) -> [u8; 80] {
    let mut text = <[u8; 80]>::new_zeroed();
    let range = cx.memory().places().map_or(0..0, |places| places.arguments.clone());
    let len = usize::try_from(range.end - range.start).map_or(79, |len| len.min(79));
    let (known, _) = cx.memory().read_partially(range.start, &mut text[..len]);
    for byte in &mut text[..known] {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    text
}

/// The content of the note about files: how many there are, the unit of offsets, addresses and
/// offset of each, and their names.
fn files(cx: &Context<'_>, areas: &[Area]) -> Result<Vec<u8>> {
    let (mut table, mut names) = (Vec::new(), Vec::new());
    let mut count = 0_u64;
    for area in areas {
        let Backing::Object(Object::File { open, .. }, offset) = &area.backing else {
            continue;
        };
        let path = open.location().shown_path(cx.system.vfs.root());
        let entry = [area.range.start, area.range.end, offset / PAGE_SIZE as u64];
        table.try_reserve(size_of_val(&entry)).map_err(|_| Errno::ENOMEM)?;
        names.try_reserve(path.len() + 1).map_err(|_| Errno::ENOMEM)?;
        table.extend_from_slice(entry.as_bytes());
        names.extend_from_slice(&path);
        names.push(0);
        count += 1;
    }
    if count == 0 || table.len() + names.len() > MAX_FILES {
        return Ok(Vec::new());
    }
    let head = [count, PAGE_SIZE as u64];
    let mut all = Vec::new();
    all.try_reserve_exact(size_of_val(&head) + table.len() + names.len())
        .map_err(|_| Errno::ENOMEM)?;
    all.extend_from_slice(head.as_bytes());
    all.append(&mut table);
    all.append(&mut names);
    Ok(all)
}
