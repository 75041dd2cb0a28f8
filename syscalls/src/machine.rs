//! The seam: what the personality needs of a machine, and what a machine asks of it.
//!
//! It describes the machine, never a system call: a new system call must not change it. All
//! traits are object safe and handles are counted, so that tests run many fake machines side
//! by side. Times are nanoseconds; `monotonic` time starts at boot.
//!
//! - into the personality: [`Task`] (a system call, a trap, a return to the application) and
//!   [`Service`] (a device or a deadline with news)
//! - out of it: [`Machine`], [`Page`], [`Space`], [`Thread`]

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::TASK_SIZE;

pub use abi::boot::channel::{ExitStatus, Stream};

/// The machine has no memory left for what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// The machine under the personality.
pub trait Machine: Send + Sync {
    /// A new page of zeros.
    ///
    /// # Errors
    /// [`OutOfMemory`] when no frame is free.
    fn allocate_page(&self) -> Result<Arc<dyn Page>, OutOfMemory>;

    /// A new page with the content of `page`.
    ///
    /// # Errors
    /// [`OutOfMemory`] when no frame is free.
    fn copy_page(&self, page: &dyn Page) -> Result<Arc<dyn Page>, OutOfMemory>;

    /// The page that `bytes` lie in, so that the boot archive can be mapped where it is.
    /// `bytes` is one whole page of the boot archive, page-aligned; `None` when it is not.
    /// Nobody may write to that page.
    fn archive_page(&self, bytes: &'static [u8]) -> Option<Arc<dyn Page>>;

    /// A new address space whose lower half is empty.
    ///
    /// # Errors
    /// [`OutOfMemory`] when no frame is free for its root table.
    fn create_space(&self) -> Result<Arc<dyn Space>, OutOfMemory>;

    /// How much memory there is.
    fn memory(&self) -> Memory;

    /// Starts a thread: it will run the application in `space` from the state `start`, and
    /// `task` receives its system calls and traps.
    ///
    /// # Errors
    /// [`OutOfMemory`] when there is none for its kernel stack.
    fn start_thread(
        &self,
        task: Arc<dyn Task>,
        space: Arc<dyn Space>,
        start: ThreadStart,
    ) -> Result<Arc<dyn Thread>, OutOfMemory>;

    /// The thread that runs now.
    fn current_thread(&self) -> Arc<dyn Thread>;

    /// Lets other threads run, if any can.
    fn yield_now(&self);

    /// Lets other threads run if it is their turn: called with no lock held now and then in
    /// what takes long, for the machine does not interrupt the personality.
    fn reschedule(&self);

    /// Nanoseconds since boot; never goes back.
    fn monotonic_ns(&self) -> u64;

    /// Nanoseconds since 1970 UTC.
    fn wall_clock_ns(&self) -> u64;

    /// Sets the time of day, in nanoseconds since 1970 UTC.
    fn set_wall_clock_ns(&self, wall_ns: u64);

    /// What an application reads the time with: pages to be mapped one behind the other. The
    /// first is the time page ([`abi::time_page::TimePage`]), which only the machine writes;
    /// the others are a shared object, to be executed, with the functions of vdso(7). None
    /// where there is nothing of that kind.
    fn vdso(&self) -> Arc<[Arc<dyn Page>]>;

    /// Asks for [`Service::deadline`] at that monotonic time; replaces the earlier request.
    fn set_deadline(&self, deadline_ns: Option<u64>);

    /// Fills `to` with unpredictable bytes fit for cryptography.
    fn fill_random(&self, to: &mut [u8]);

    /// Takes bytes of a host-to-guest stream that have arrived; returns how many, 0 when none
    /// has.
    fn receive(&self, stream: Stream, to: &mut [u8]) -> usize;

    /// Whether [`Machine::receive`] would return bytes now.
    fn can_receive(&self, stream: Stream) -> bool;

    /// Sends bytes of a guest-to-host stream; returns how many were taken, 0 when the host
    /// allows no more at the moment.
    fn send(&self, stream: Stream, bytes: &[u8]) -> usize;

    /// Whether [`Machine::send`] would take bytes now.
    fn can_send(&self, stream: Stream) -> bool;

    /// Closes this side of a stream: end of file for the host's reader, or a broken pipe for
    /// its writer. Bytes sent before still arrive.
    fn close(&self, stream: Stream);

    /// The channels over which the host answers messages; empty where there are none.
    fn message_channels(&self) -> Vec<Arc<dyn MessageChannel>>;

    /// The network devices; empty where there are none.
    fn links(&self) -> Vec<Arc<dyn Link>> {
        Vec::new()
    }

    /// Sends one line of the system call trace.
    fn trace(&self, line: &str);

    /// What the processor offers to applications.
    fn processor(&self) -> Processor;

    /// Ends the machine once all sent bytes are on their way. Threads may still run for a
    /// moment after it returns.
    fn power_off(&self, status: ExitStatus);
}

/// A message to the host, and room for its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The sender's name for it, which the answer carries. No two that are under way have the
    /// same.
    pub token: u16,
    /// What is sent; not empty.
    pub request: Vec<u8>,
    /// What the answer is written to, as long as it may be; not empty.
    pub reply: Vec<u8>,
}

/// An answer of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The [`Message::token`] of what it answers.
    pub token: u16,
    /// The answer: [`Message::reply`], cut to what the host wrote.
    pub bytes: Vec<u8>,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many are under way as there can be: the message comes back. There is room when
    /// [`MessageChannel::receive`] has given an answer.
    Full(Message),
    /// The channel does not work any more, or never did.
    Dead,
}

/// A counted channel over which the host answers messages, each one once and in any order:
/// virtio-9p. It does not look into them. [`News::Answers`] tells when it should be looked at
/// again; an answer can also be received earlier.
pub trait MessageChannel: Send + Sync {
    /// Its name: who answers.
    fn name(&self) -> &[u8];

    /// Sends a message. Does not wait.
    ///
    /// # Errors
    /// [`Refused`].
    fn send(&self, message: Message) -> Result<(), Refused>;

    /// The next answer that has arrived, if there is one.
    fn receive(&self) -> Option<Answer>;

    /// Whether it works. Where it does not, messages under way are never answered.
    fn is_alive(&self) -> bool;
}

/// A counted network device: Ethernet frames, without their check sequences. [`News::Frames`]
/// tells when it should be looked at again.
pub trait Link: Send + Sync {
    /// Its hardware address.
    fn address(&self) -> [u8; 6];

    /// The longest payload of a frame, in bytes.
    fn mtu(&self) -> usize;

    /// Makes it receive; before, frames are lost. Asking again changes nothing.
    ///
    /// # Errors
    /// [`OutOfMemory`] when there is none for the frames; the device stays closed.
    fn open(&self) -> Result<(), OutOfMemory>;

    /// Shows the next frame that has arrived to `take`; returns whether there was one. The
    /// link can be used meanwhile.
    fn receive(&self, take: &mut dyn FnMut(&[u8])) -> bool;

    /// Sends a frame of `len` bytes, written by `fill`, which does not use the link. Does not
    /// wait: returns whether there was room for it. Where there was not, [`News::Frames`]
    /// tells when there is again.
    fn send(&self, len: usize, fill: &mut dyn FnMut(&mut [u8])) -> bool;

    /// Whether [`Link::send`] would take a frame now; asks for the news as it does.
    fn can_send(&self) -> bool;
}

/// How much memory there is, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All pages that are or could be allocated; what the archive occupies is not among them.
    pub total_pages: u64,
    /// Pages that can be allocated now.
    pub free_pages: u64,
}

/// What the processor offers to applications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// `AT_HWCAP`: CPUID leaf 1, EDX.
    pub hwcap: u64,
    /// `AT_HWCAP2`: bit 1 where `rdfsbase` and its family work.
    pub hwcap2: u64,
    /// Length in bytes of the extended state ([`Thread::save_extended_state`]).
    pub extended_state_len: usize,
    /// The components of the extended state, as in XCR0; 3 where there is only `fxsave`.
    pub extended_state_components: u64,
    /// The bits that MXCSR has: `MXCSR_MASK` of `fxsave` (SDM volume 1, 11.6.6).
    pub mxcsr_mask: u32,
    /// Number of processors.
    pub count: u32,
}

/// Where MXCSR is in the legacy region of the extended state (SDM volume 1, 10.5.1), in bytes.
const MXCSR: usize = 24;
/// Where the header of the extended state is (SDM volume 1, 13.4.2), in bytes: XSTATE_BV, and 56
/// bytes that are zero in the standard format.
const HEADER: usize = 512;
const HEADER_LEN: usize = 64;

impl Processor {
    /// Whether the processor can load this extended state, which may be from the application.
    ///
    /// # Errors
    /// [`InvalidState`] for what it would refuse by an exception (SDM volume 1, 13.8): a length
    /// that is too short, a reserved bit of MXCSR or of the header.
    pub fn check_extended_state(&self, state: &[u8]) -> Result<(), InvalidState> {
        let state = state.get(..self.extended_state_len).ok_or(InvalidState)?;
        let mxcsr = state[MXCSR..].first_chunk().copied().map(u32::from_le_bytes);
        if mxcsr.is_none_or(|mxcsr| mxcsr & !self.mxcsr_mask != 0) {
            return Err(InvalidState);
        }
        // What `fxsave` knows has no header.
        let Some(header) = state.get(HEADER..HEADER + HEADER_LEN) else {
            return Ok(());
        };
        let (used, reserved) = header.split_first_chunk().ok_or(InvalidState)?;
        let unknown = u64::from_le_bytes(*used) & !self.extended_state_components;
        if unknown != 0 || reserved.iter().any(|&byte| byte != 0) {
            return Err(InvalidState);
        }
        Ok(())
    }
}

/// A counted 4 KiB page of memory; the last drop of its handle frees it.
pub trait Page: Send + Sync {
    /// Number of the frame: unique among the pages that live.
    fn frame(&self) -> u64;

    /// Copies out from `offset`; offset and length lie inside the page.
    fn read(&self, offset: usize, to: &mut [u8]);

    /// Copies in at `offset`; offset and length lie inside the page.
    fn write(&self, offset: usize, from: &[u8]);
}

/// What the application may do with a mapped page; nothing at all is not mapping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Load.
    Read,
    /// Load and store.
    ReadWrite,
    /// Load and fetch instructions.
    ReadExecute,
    /// All three.
    ReadWriteExecute,
}

/// An access of the machine to application memory hit a page that is not mapped, or not
/// mapped for that access. What lies below `address` was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// First address that could not be accessed.
    pub address: u64,
}

/// A counted address space: the page tables of the application's half.
///
/// Tables are a cache of what the personality's memory areas hold. Accesses obey the mapped
/// permissions, refuse addresses at or above [`abi::TASK_SIZE`], and never call back into the
/// personality: whoever gets a [`Fault`] resolves it and tries again. A frame stays allocated
/// only as long as the personality holds its [`Page`]: it unmaps before it drops.
pub trait Space: Send + Sync {
    /// Maps `page` at the page-aligned `address`, in place of what was mapped there.
    ///
    /// # Errors
    /// [`OutOfMemory`] when a page table cannot be allocated; nothing changed.
    fn map(&self, address: u64, page: &dyn Page, access: Access) -> Result<(), OutOfMemory>;

    /// Changes the access of all pages mapped in the page-aligned range.
    fn protect(&self, range: Range<u64>, access: Access);

    /// Unmaps all pages of the page-aligned range.
    fn unmap(&self, range: Range<u64>);

    /// Copies from the application.
    ///
    /// # Errors
    /// [`Fault`] at the first address that cannot be read.
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Fault>;

    /// Copies to the application.
    ///
    /// # Errors
    /// [`Fault`] at the first address that cannot be written.
    fn write(&self, address: u64, from: &[u8]) -> Result<(), Fault>;

    /// Copies `len` bytes from the application into `page` at `offset`, without a detour.
    ///
    /// # Errors
    /// [`Fault`] at the first address that cannot be read.
    fn read_to_page(
        &self,
        address: u64,
        page: &dyn Page,
        offset: usize,
        len: usize,
    ) -> Result<(), Fault>;

    /// Copies `len` bytes of `page` from `offset` to the application, without a detour.
    ///
    /// # Errors
    /// [`Fault`] at the first address that cannot be written.
    fn write_from_page(
        &self,
        address: u64,
        page: &dyn Page,
        offset: usize,
        len: usize,
    ) -> Result<(), Fault>;

    /// Loads the aligned 32-bit word at `address` atomically.
    ///
    /// # Errors
    /// [`Fault`] when it cannot be read.
    fn load_u32(&self, address: u64) -> Result<u32, Fault>;

    /// Replaces the aligned 32-bit word at `address` by `new` where it is `current`; returns
    /// what it was.
    ///
    /// # Errors
    /// [`Fault`] when it cannot be written.
    fn compare_exchange_u32(&self, address: u64, current: u32, new: u32) -> Result<u32, Fault>;
}

/// A counted thread of the machine.
pub trait Thread: Send + Sync {
    /// Waits until [`Thread::unpark`], or the monotonic deadline, or for no reason at all. An
    /// `unpark` that came before is not lost. Only the thread itself may park.
    fn park(&self, deadline_ns: Option<u64>);

    /// Ends the thread's present or next [`Thread::park`].
    fn unpark(&self);

    /// Whether its task is to end ([`Task::is_to_end`]); not where it has none.
    fn is_to_end(&self) -> bool;

    /// Makes the thread pass through [`Task::resume`] before its next application
    /// instruction, if it runs the application now.
    fn interrupt(&self);

    /// Replaces the thread's address space (execve). Only the thread itself may.
    fn set_space(&self, space: Arc<dyn Space>);

    /// For how long the thread has had a processor.
    fn cpu_time(&self) -> CpuTime;

    /// Makes the thread pass through [`Task::resume`] once [`CpuTime::total_ns`] is that much,
    /// before its next application instruction; replaces the earlier request.
    fn set_cpu_deadline(&self, total_ns: Option<u64>);

    /// Gives the thread `weight` parts of the processor where others that want it have their
    /// own weights; it begins with [`USUAL_WEIGHT`].
    fn set_weight(&self, weight: u32);

    /// The FS base: the thread pointer.
    fn fs_base(&self) -> u64;

    /// Sets the FS base. Only the thread itself may, or nobody while it runs.
    fn set_fs_base(&self, base: u64);

    /// The application's GS base.
    fn gs_base(&self) -> u64;

    /// Sets the application's GS base; see [`Thread::set_fs_base`].
    fn set_gs_base(&self, base: u64);

    /// Writes the application's extended state (x87, SSE, AVX …) in the standard format of
    /// `XSAVE` (SDM volume 1, 13.4) to `to`, which is [`Processor::extended_state_len`] long.
    /// Only the thread itself may, or another while it does not run.
    fn save_extended_state(&self, to: &mut [u8]);

    /// Loads the application's extended state from bytes the application may have changed.
    /// Only the thread itself may, or another while it does not run.
    ///
    /// # Errors
    /// [`InvalidState`] when the processor would refuse them (a reserved bit of the header
    /// or of MXCSR, a length that is too short); nothing changed.
    fn restore_extended_state(&self, from: &[u8]) -> Result<(), InvalidState>;

    /// Loads the state a program starts with (`fninit`, MXCSR 0x1f80, zeros). Only the thread
    /// itself may.
    fn reset_extended_state(&self);

    /// Sets the places that the processor watches for the thread. Only the thread itself may,
    /// or another while it does not run.
    fn set_debug_registers(&self, registers: DebugRegisters);

    /// Publishes the answers to system calls that are constant for this thread, so that the
    /// machine gives them without asking: pairs of call number and non-negative result. An
    /// empty slice takes all answers back.
    fn publish_answers(&self, answers: &[(u16, u64)]);
}

/// What [`Thread::set_weight`] measures by.
pub const USUAL_WEIGHT: u32 = 1024;

/// Places that the processor watches (SDM volume 3, 18.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DebugRegisters {
    /// Their addresses, DR0 to DR3: below [`abi::TASK_SIZE`].
    pub addresses: [u64; 4],
    /// Which of them count, and for what: DR7, without its reserved bits and the one that
    /// guards the debug registers.
    pub control: u64,
}

/// For how long a thread has had a processor, in nanoseconds. Neither part ever shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Altogether.
    pub total_ns: u64,
    /// What of that the machine takes for its own and the personality's, the rest being the
    /// application's. It may be an estimate.
    pub system_ns: u64,
}

impl CpuTime {
    /// What of it is the application's.
    #[must_use]
    pub const fn user_ns(self) -> u64 {
        self.total_ns.saturating_sub(self.system_ns)
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            total_ns: self.total_ns.saturating_add(other.total_ns),
            system_ns: self.system_ns.saturating_add(other.system_ns),
        }
    }
}

/// The state of the processor in which a thread starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadStart {
    /// The general registers.
    pub registers: Registers,
    /// The FS base: the thread pointer.
    pub fs_base: u64,
    /// The application's GS base.
    pub gs_base: u64,
    /// The extended state.
    pub extended_state: ExtendedStart,
}

/// The extended state in which a thread starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExtendedStart {
    /// The one of a new program ([`Thread::reset_extended_state`]).
    #[default]
    Initial,
    /// A copy of that of the thread that starts it, which is in a system call.
    OfCaller,
}

/// Bytes that are not an extended state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidState;

/// What the machine does after the personality has had its say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Back to the application after a system call: only `rax` has changed.
    Return,
    /// Back to the application with all registers as they are now; the instruction pointer is
    /// at most `TASK_SIZE`.
    Restore,
    /// The thread ends and does not come back.
    End,
}

/// What the machine runs: the personality's side of a thread.
pub trait Task: Send + Sync {
    /// The application executed `syscall`. `rax` holds the number, also in `orig_rax`.
    fn syscall(&self, registers: &mut Registers) -> Flow;

    /// The application caused a trap.
    fn trap(&self, trap: Trap, registers: &mut Registers) -> Flow;

    /// The thread is about to return to the application after an interrupt.
    fn resume(&self, registers: &mut Registers) -> Flow;

    /// The application executed `syscall`, and the machine has hardly any memory left for its
    /// own small allocations: the task gives some back, or ends.
    fn out_of_memory(&self, registers: &mut Registers) -> Flow {
        let _ = registers;
        Flow::End
    }

    /// Whether the thread will not return to the application: a wait for a device on its
    /// behalf can be given up. Asked by the thread itself, with no lock held.
    fn is_to_end(&self) -> bool {
        false
    }
}

/// A trap of the application (SDM volume 3, 6.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// Vector, 0 to 31.
    pub vector: u8,
    /// Error code, 0 where the vector has none.
    pub error_code: u64,
    /// The address of a page fault (CR2), the causes of a debug exception (DR6), otherwise 0.
    pub address: u64,
}

/// What a device or a deadline has to say, told in a service thread of the machine.
pub trait Service: Send + Sync {
    /// A device has news.
    fn news(&self, news: News);

    /// The deadline of [`Machine::set_deadline`] has come.
    fn deadline(&self);
}

/// News of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Bytes have arrived.
    Readable(Stream),
    /// Bytes can be sent again.
    Writable(Stream),
    /// The host closed its side: end of file, or broken pipe. Bytes that arrived before can
    /// still be received.
    Closed(Stream),
    /// The terminal has a new size.
    WindowSize {
        /// Rows, in characters.
        rows: u16,
        /// Columns, in characters.
        columns: u16,
    },
    /// The host sent a signal to the program.
    Signal(u8),
    /// A [`MessageChannel`] has answers, or does not work any more.
    Answers,
    /// The host told the time of day, which may have made a step.
    WallClock,
    /// A [`Link`] has frames, or room for frames again.
    Frames,
}

/// The application's general registers, as they are at a system call, a trap or an
/// interrupt, in the order in which the machine's entry code stores them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// The number of the system call this is, or `u64::MAX` after a trap or an interrupt.
    pub orig_rax: u64,
    pub rip: u64,
    pub rflags: u64,
    pub rsp: u64,
}

impl Registers {
    /// The six arguments of a system call (System V ABI, A.2.1).
    #[must_use]
    pub const fn arguments(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }

    /// Keeps the instruction pointer in the application, whoever has set it: beyond, it becomes
    /// [`TASK_SIZE`], where nothing of the application is, so that the fetch faults.
    pub(crate) const fn keep_in_application(&mut self) {
        if self.rip > TASK_SIZE {
            self.rip = TASK_SIZE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processors_own_mask_says_what_mxcsr_has() {
        let processor = Processor {
            extended_state_len: 832,
            extended_state_components: 7,
            mxcsr_mask: 0xffbf,
            ..Processor::default()
        };
        let mut state = [0; 832];
        // The mask in the state is the application's to write, and says nothing.
        state[28..32].fill(0xff);
        assert_eq!(processor.check_extended_state(&state), Ok(()));
        state[MXCSR] = 0x40;
        assert_eq!(processor.check_extended_state(&state), Err(InvalidState));
        state[MXCSR..MXCSR + 4].copy_from_slice(&0x1_0000_u32.to_le_bytes());
        assert_eq!(processor.check_extended_state(&state), Err(InvalidState));
    }

    #[test]
    fn a_state_has_known_components_only_and_all_of_its_length() {
        let processor = Processor {
            extended_state_len: 832,
            extended_state_components: 7,
            mxcsr_mask: 0xffff,
            ..Processor::default()
        };
        let mut state = [0; 832];
        state[HEADER] = 7;
        assert_eq!(processor.check_extended_state(&state), Ok(()));
        assert_eq!(processor.check_extended_state(&state[..831]), Err(InvalidState));
        for (at, byte) in [(HEADER, 8), (HEADER + 7, 0x80), (HEADER + 8, 1), (HEADER + 63, 1)] {
            let mut bad = state;
            bad[at] = byte;
            assert_eq!(processor.check_extended_state(&bad), Err(InvalidState));
        }
        // What `fxsave` knows has no header.
        let legacy = Processor { extended_state_len: 512, ..processor };
        assert_eq!(legacy.check_extended_state(&state[..512]), Ok(()));
    }
}
