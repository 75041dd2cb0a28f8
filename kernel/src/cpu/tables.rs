//! Descriptor tables: segments, the task state with its interrupt stacks, the gates.

use core::cell::UnsafeCell;
use core::ptr::addr_of;

use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::idt::{Entry, HandlerFunc};
use x86_64::structures::tss::TaskStateSegment;

use super::Stack;

/// Selector of the code segment, for kernel and application alike.
pub(crate) const CODE: u16 = 0x08;
/// Selector of the data segment: it must follow the code segment's (`syscall`).
pub(crate) const DATA: u16 = 0x10;

/// Interrupt stacks. A trap of the application leaves its stack at once, so one for each
/// kind of event that can come on top of another is enough.
#[derive(Clone, Copy)]
#[repr(u16)]
enum InterruptStack {
    Interrupt = 0,
    Exception = 1,
    DoubleFault = 2,
    Nmi = 3,
    MachineCheck = 4,
}

const STACK_SIZE: usize = 16 * 1024;
const STACKS: usize = 5;

/// Length of the code of one vector in the stub table, in bytes.
const STUB_LEN: u64 = 32;

unsafe extern "C" {
    /// The code of vector 0; the others follow.
    static trap_stubs: u8;
}

struct Stacks(UnsafeCell<[Stack<STACK_SIZE>; STACKS]>);

// SAFETY: only the processor writes to them.
unsafe impl Sync for Stacks {}

static INTERRUPT_STACKS: Stacks =
    Stacks(UnsafeCell::new([const { Stack([0; STACK_SIZE]) }; STACKS]));
static TASK_STATE: Once<TaskStateSegment> = Once::new();
static SEGMENTS: Once<GlobalDescriptorTable> = Once::new();
static GATES: Once<[Entry<HandlerFunc>; 256]> = Once::new();

/// Loads all tables.
///
/// # Safety
/// Once, at boot, with interrupts off.
pub(crate) unsafe fn load() {
    let task_state = TASK_STATE.call_once(|| {
        let mut state = TaskStateSegment::new();
        let stacks = INTERRUPT_STACKS.0.get() as u64;
        // The structure is packed: a whole table is stored at once.
        let mut tops = state.interrupt_stack_table;
        for (index, top) in (1..).zip(tops.iter_mut().take(STACKS)) {
            *top = VirtAddr::new(stacks + index * STACK_SIZE as u64);
        }
        state.interrupt_stack_table = tops;
        state
    });
    let mut task_selector = None;
    let segments = SEGMENTS.call_once(|| {
        let mut segments = GlobalDescriptorTable::new();
        let code = segments.append(Descriptor::kernel_code_segment());
        let data = segments.append(Descriptor::kernel_data_segment());
        debug_assert!(code.0 == CODE && data.0 == DATA);
        task_selector = Some(segments.append(Descriptor::tss_segment(task_state)));
        segments
    });
    segments.load();
    let gates = GATES.call_once(|| core::array::from_fn(|vector| gate(vector as u8)));
    let pointer = DescriptorTablePointer {
        limit: (size_of_val(gates) - 1) as u16,
        base: VirtAddr::from_ptr(gates),
    };
    // SAFETY: the tables are static, and their entries lead to code that handles them.
    unsafe {
        CS::set_reg(x86_64::structures::gdt::SegmentSelector(CODE));
        for set in [SS::set_reg, DS::set_reg, ES::set_reg] {
            set(x86_64::structures::gdt::SegmentSelector(DATA));
        }
        if let Some(selector) = task_selector {
            load_tss(selector);
        }
        lidt(&pointer);
    }
}

fn gate(vector: u8) -> Entry<HandlerFunc> {
    let stack = match vector {
        2 => InterruptStack::Nmi,
        8 => InterruptStack::DoubleFault,
        18 => InterruptStack::MachineCheck,
        0..32 => InterruptStack::Exception,
        _ => InterruptStack::Interrupt,
    };
    let stub = addr_of!(trap_stubs) as u64 + u64::from(vector) * STUB_LEN;
    let mut entry = Entry::missing();
    // SAFETY: the stub is the entry code of this vector, the stack is one of ours.
    unsafe { entry.set_handler_addr(VirtAddr::new(stub)).set_stack_index(stack as u16) };
    entry
}
