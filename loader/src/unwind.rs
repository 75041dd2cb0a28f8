//! The caller of a function, by the tables that compilers leave for exceptions: `.eh_frame`
//! (System V ABI, 3.7; Linux Standard Base, "Exception Frames").
//!
//! An entry is found by the sorted index of `PT_GNU_EH_FRAME`, or by looking through
//! `.eh_frame` where there is none. The entry and the one it refers to are all that is read;
//! gimli, hidden inside, makes sense of them. Whatever is missing, malformed or unusual gives
//! `None`.

mod find;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameOffset, Encoding, EndianSlice, EvaluationResult,
    LittleEndian, Register, RegisterRule, UnitOffset, UnwindContext, UnwindContextStorage,
    UnwindExpression, UnwindSection, UnwindTableRow, Value, X86_64,
};

use crate::symbols::{CodeFile, Read};

/// Loads a word of the application's memory, or says that it cannot be had.
pub type Load<'a> = dyn FnMut(u64) -> Option<u64> + 'a;

/// Number of general registers.
const COUNT: usize = 16;

/// Most operations of an expression.
const MAX_OPERATIONS: u32 = 256;

/// The registers of a function's frame, as far as they are known, in the order of the ABI's
/// DWARF numbers (System V ABI, figure 3.36): rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to
/// r15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameRegisters(pub [Option<u64>; COUNT]);

impl FrameRegisters {
    /// The stack pointer.
    #[must_use]
    pub fn stack_pointer(&self) -> Option<u64> {
        self.get(X86_64::RSP)
    }

    /// The frame pointer, where the code keeps one.
    #[must_use]
    pub fn frame_pointer(&self) -> Option<u64> {
        self.get(X86_64::RBP)
    }

    /// Says what the stack pointer is.
    pub fn set_stack_pointer(&mut self, value: Option<u64>) {
        self.0[usize::from(X86_64::RSP.0)] = value;
    }

    /// Says what the frame pointer is.
    pub fn set_frame_pointer(&mut self, value: Option<u64>) {
        self.0[usize::from(X86_64::RBP.0)] = value;
    }

    fn get(&self, register: Register) -> Option<u64> {
        self.0.get(usize::from(register.0)).copied().flatten()
    }
}

/// Who called.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and no heap is needed")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// It goes on at `address` with these registers.
    Frame {
        /// Where it goes on; the call is before it.
        address: u64,
        /// Its registers.
        registers: FrameRegisters,
        /// Nobody called: a signal interrupted it at `address`.
        interrupted: bool,
    },
    /// Nobody: the table says that the stack ends.
    Nobody,
}

type Bytes<'a> = EndianSlice<'a, LittleEndian>;
type Row = UnwindTableRow<usize, Storage>;

/// Room for the rules of the ABI's registers, on the heap: kernel stacks are small.
struct Storage;

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(Register, RegisterRule<usize>); 20];
    type Stack = Box<[Row; 4]>;
}

/// Who called the function of `file` that is at `address` (without the load bias) with
/// `registers`. `address` is one of the instruction that runs, or of the call.
#[must_use]
pub fn caller(
    file: &CodeFile,
    address: u64,
    registers: &FrameRegisters,
    read: &mut Read<'_>,
    load: &mut Load<'_>,
) -> Option<Caller> {
    let entry = find::entry(file, address, read)?;
    let mut section = EhFrame::new(&entry.bytes, LittleEndian);
    section.set_address_size(8);
    let bases = BaseAddresses::default().set_eh_frame(entry.base);
    let at = EhFrameOffset(entry.description);
    let description = section.fde_from_offset(&bases, at, EhFrame::cie_from_offset).ok()?;
    let mut context = Box::new(UnwindContext::<usize, Storage>::new_in());
    let row = description.unwind_info_for_address(&section, &bases, &mut context, address).ok()?;
    let mut frame = Frame { section, encoding: description.cie().encoding(), registers, load };
    let return_address = description.cie().return_address_register();
    let interrupted = description.is_signal_trampoline();
    frame.caller(row, return_address, interrupted)
}

/// A frame whose caller is sought.
struct Frame<'a, 'l> {
    section: EhFrame<Bytes<'a>>,
    encoding: Encoding,
    registers: &'a FrameRegisters,
    load: &'a mut Load<'l>,
}

impl Frame<'_, '_> {
    fn caller(&mut self, row: &Row, return_address: Register, interrupted: bool) -> Option<Caller> {
        let frame_address = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.registers.get(*register)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => self.evaluate(expression, None)?,
        };
        if row.register(return_address) == RegisterRule::Undefined {
            return Some(Caller::Nobody);
        }
        let address = self.recover(row, return_address, frame_address)?;
        let mut registers = *self.registers;
        for (at, register) in registers.0.iter_mut().enumerate() {
            let number = Register(at as u16);
            let has_rule = row.register(number) != RegisterRule::Undefined;
            *register = match number {
                _ if has_rule => self.recover(row, number, frame_address),
                X86_64::RSP => Some(frame_address),
                // A function without a rule for a register leaves it alone.
                _ => *register,
            };
        }
        Some(Caller::Frame { address, registers, interrupted })
    }

    /// The value of a register in the caller.
    fn recover(&mut self, row: &Row, register: Register, frame_address: u64) -> Option<u64> {
        match row.register(register) {
            RegisterRule::SameValue => self.registers.get(register),
            RegisterRule::Offset(offset) => (self.load)(frame_address.wrapping_add_signed(offset)),
            RegisterRule::ValOffset(offset) => Some(frame_address.wrapping_add_signed(offset)),
            RegisterRule::Register(other) => self.registers.get(other),
            RegisterRule::Expression(expression) => {
                let at = self.evaluate(&expression, Some(frame_address))?;
                (self.load)(at)
            }
            RegisterRule::ValExpression(expression) => {
                self.evaluate(&expression, Some(frame_address))
            }
            RegisterRule::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The value of an expression that starts with `initial` on its stack.
    fn evaluate(
        &mut self,
        expression: &UnwindExpression<usize>,
        initial: Option<u64>,
    ) -> Option<u64> {
        let generic = UnitOffset(0);
        let mut evaluation = expression.get(&self.section).ok()?.evaluation(self.encoding);
        evaluation.set_max_iterations(MAX_OPERATIONS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate().ok()?;
        loop {
            result = match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresMemory { address, size: 8, space: None, base_type }
                    if base_type == generic =>
                {
                    let value = (self.load)(address)?;
                    evaluation.resume_with_memory(Value::Generic(value)).ok()?
                }
                EvaluationResult::RequiresRegister { register, base_type }
                    if base_type == generic =>
                {
                    let value = self.registers.get(register)?;
                    evaluation.resume_with_register(Value::Generic(value)).ok()?
                }
                _ => return None,
            };
        }
        match evaluation.value_result()? {
            Value::Generic(value) => Some(value),
            _ => None,
        }
    }
}
