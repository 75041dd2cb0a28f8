//! Who called whom: the frames of a thread's stack, with the names of their functions.
//!
//! A frame's caller is found by the tables of its file ([`loader::unwind`]); where they say
//! nothing, by the chain of frame pointers, as long as that leads to code.

use alloc::string::String;
use alloc::vec::Vec;

use abi::memory::Protection;
use loader::symbols::{Symbol, demangled};
use loader::unwind::{self, Caller, FrameRegisters};

use super::object_file::{ObjectFiles, file_of};
use super::text;
use crate::machine::Registers;
use crate::mm::{AddressSpace, Area};

/// Most frames that are looked for.
const MAX_FRAMES: usize = 64;

/// Most frames that are shown: the innermost and the outermost.
const SHOWN: (usize, usize) = (20, 8);

/// Longest name of a function that is shown, in characters.
const MAX_NAME: usize = 120;

/// One frame.
struct Frame {
    /// Where it goes on.
    address: u64,
    /// How far its place is before that: 1 after a call.
    after_call: u64,
    place: Place,
    symbol: Option<Symbol>,
}

impl Frame {
    /// Takes its address for the one of the instruction, as there was no call.
    fn start_at_address(&mut self) {
        if let Some((_, address)) = &mut self.place.in_file {
            *address = address.wrapping_add(self.after_call);
        }
        self.after_call = 0;
    }
}

/// Where the instruction is that makes the call, or the one at which the thread stopped.
#[derive(Default)]
struct Place {
    /// What the mapping shows: a file's name, or a name like `[vdso]`.
    name: String,
    /// Index of its file, and its address without the load bias.
    in_file: Option<(usize, u64)>,
}

/// The backtrace from `registers` on, a line per frame.
pub(super) fn lines(memory: &AddressSpace, registers: &Registers) -> Vec<String> {
    let mut stack = Stack { memory, files: ObjectFiles::default() };
    let mut frames = stack.frames(registers);
    stack.name(&mut frames);
    let numbered: Vec<(usize, &Frame)> = frames.iter().enumerate().collect();
    // What calls itself over and over again is shown once.
    let groups: Vec<_> =
        numbered.chunk_by(|(_, one), (_, next)| one.address == next.address).collect();
    let hidden = groups.len().saturating_sub(SHOWN.0 + SHOWN.1);
    let mut lines = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        if hidden == 0 || at < SHOWN.0 || at >= SHOWN.0 + hidden {
            lines.push(line(group));
        } else if at == SHOWN.0 {
            lines.push(String::from("  …"));
        }
    }
    if frames.len() == MAX_FRAMES {
        lines.push(String::from("  … and more"));
    }
    lines
}

/// The line of a frame that is there once or several times.
fn line(frames: &[(usize, &Frame)]) -> String {
    let [(number, frame), others @ ..] = frames else {
        return String::new();
    };
    let Frame { address, after_call, place, symbol } = frame;
    let mut line = alloc::format!("  #{number} {address:#x}");
    if let Some(Symbol { name, offset }) = symbol {
        let demangled = demangled(name);
        let name = demangled.as_ref().map_or(&**name, |name| name.as_bytes());
        let offset = offset.wrapping_add(*after_call);
        line.push_str(&alloc::format!(" {}+{offset:#x}", text::shown(name, MAX_NAME)));
    }
    let in_file = place.in_file.map(|(_, at)| at.wrapping_add(*after_call));
    match in_file.filter(|at| symbol.is_none() && at != address) {
        Some(at) => line.push_str(&alloc::format!(" ({}+{at:#x})", place.name)),
        None if place.name.is_empty() => {}
        None => line.push_str(&alloc::format!(" ({})", place.name)),
    }
    if !others.is_empty() {
        line.push_str(&alloc::format!(" ({} times)", frames.len()));
    }
    line
}

struct Stack<'a> {
    memory: &'a AddressSpace,
    files: ObjectFiles,
}

impl Stack<'_> {
    fn frames(&mut self, registers: &Registers) -> Vec<Frame> {
        let mut current = frame_registers(registers);
        let mut address = registers.rip;
        // Where a call is the last instruction of a function, what follows is another one.
        let mut after_call = 0;
        let mut frames = Vec::new();
        while frames.len() < MAX_FRAMES {
            let sought = address.wrapping_sub(after_call);
            let place = self.place(sought);
            let in_file = place.in_file;
            frames.push(Frame { address, after_call, place, symbol: None });
            let by_table = in_file.and_then(|at| self.caller_by_table(at, &current));
            let by_chain = || self.caller_by_chain(sought, &current, after_call == 0);
            let Some(Caller::Frame { address: next, registers, interrupted }) =
                by_table.or_else(by_chain)
            else {
                break;
            };
            // A stack that does not shrink would never end; an interrupted one may be another.
            if next == 0 || !(interrupted || registers.stack_pointer() > current.stack_pointer()) {
                break;
            }
            if interrupted && let Some(frame) = frames.last_mut() {
                // Nobody called it: what a handler returns to begins exactly there.
                frame.start_at_address();
            }
            after_call = u64::from(!interrupted);
            (address, current) = (next, registers);
        }
        frames
    }

    fn place(&mut self, address: u64) -> Place {
        let Some(area) = self.memory.area_at(address) else {
            return Place::default();
        };
        let name = text::file_name(&area);
        let in_file = file_of(&area, address).and_then(|(object, offset)| {
            let index = self.files.index(object);
            let code = self.files.get(index)?.code.as_ref()?;
            Some((index, code.address_of(offset)?))
        });
        Place { name, in_file }
    }

    fn caller_by_table(
        &mut self,
        (index, address): (usize, u64),
        registers: &FrameRegisters,
    ) -> Option<Caller> {
        let memory = self.memory;
        self.files.get(index)?.with(|code, read| {
            unwind::caller(code?, address, registers, read, &mut |at| load(memory, at))
        })
    }

    /// The caller where no table helps. A thread that stopped outside of all code has just
    /// called a bad address: the return address is on top of the stack.
    fn caller_by_chain(
        &self,
        address: u64,
        registers: &FrameRegisters,
        is_innermost: bool,
    ) -> Option<Caller> {
        let stack_pointer = registers.stack_pointer()?;
        let called_nothing = is_innermost && !self.is_code(address);
        let frame = if called_nothing { None } else { Some(registers.frame_pointer()?) };
        if frame.is_some_and(|frame| frame < stack_pointer || frame % 8 != 0) {
            return None;
        }
        let at = frame.map_or(stack_pointer, |frame| frame.wrapping_add(8));
        let return_address = load(self.memory, at)?;
        if !self.is_code(return_address.wrapping_sub(1)) {
            return None;
        }
        let mut caller = *registers;
        if let Some(frame) = frame {
            // What else the function saved is not known.
            caller = FrameRegisters::default();
            caller.set_frame_pointer(load(self.memory, frame));
        }
        caller.set_stack_pointer(at.checked_add(8));
        Some(Caller::Frame { address: return_address, registers: caller, interrupted: false })
    }

    fn is_code(&self, address: u64) -> bool {
        let is_executable = |area: Area| area.protection.contains(Protection::EXEC);
        self.memory.area_at(address).is_some_and(is_executable)
    }

    /// Finds the functions of all frames, file by file.
    fn name(&mut self, frames: &mut [Frame]) {
        let mut index = 0;
        while let Some(file) = self.files.get(index) {
            let address_of = |frame: &Frame| match frame.place.in_file {
                Some((of, address)) if of == index => Some(address),
                _ => None,
            };
            let addresses: Vec<u64> = frames.iter().filter_map(address_of).collect();
            let symbols = file.with(|code, read| Some(code?.symbols(&addresses, read)));
            let those = frames.iter_mut().filter(|frame| address_of(frame).is_some());
            for (frame, symbol) in those.zip(symbols.unwrap_or_default()) {
                frame.symbol = symbol;
            }
            index += 1;
        }
    }
}

fn load(memory: &AddressSpace, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read(address, &mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}

fn frame_registers(r: &Registers) -> FrameRegisters {
    let values = [
        r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12,
        r.r13, r.r14, r.r15,
    ];
    FrameRegisters(values.map(Some))
}
