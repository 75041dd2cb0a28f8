//! The file that a core dump is: core(5), elf(5), `linux/elfcore.h`, `sys/procfs.h`.
//!
//! An ELF file of type `ET_CORE`: notes that say what the process and its threads were doing,
//! and a segment for each memory area.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `e_ident`: 64 bits, little endian, version 1, System V.
pub const IDENT: [u8; 16] = [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// `e_type` of a core dump.
pub const ET_CORE: u16 = 4;
/// `e_machine` of x86-64.
pub const EM_X86_64: u16 = 62;
/// `p_type` of a memory area.
pub const PT_LOAD: u32 = 1;
/// `p_type` of the notes.
pub const PT_NOTE: u32 = 4;

/// The header of the file: `Elf64_Ehdr`. Offsets and sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Header {
    pub ident: [u8; 16],
    pub kind: u16,
    pub machine: u16,
    pub version: u32,
    pub entry: u64,
    pub program_headers: u64,
    pub section_headers: u64,
    pub flags: u32,
    pub size: u16,
    pub program_header_size: u16,
    pub program_header_count: u16,
    pub section_header_size: u16,
    pub section_header_count: u16,
    pub section_names: u16,
}

/// A header of a segment: `Elf64_Phdr`. Offsets, sizes and the alignment are in bytes.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct ProgramHeader {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub address: u64,
    pub physical: u64,
    pub file_size: u64,
    pub memory_size: u64,
    pub align: u64,
}

/// `p_flags`: the segment can be executed.
pub const PF_X: u32 = 1;
/// `p_flags`: the segment can be written.
pub const PF_W: u32 = 2;
/// `p_flags`: the segment can be read.
pub const PF_R: u32 = 4;

/// The header of a note: `Elf64_Nhdr`. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct NoteHeader {
    pub name_size: u32,
    pub size: u32,
    pub kind: u32,
}

/// What notes are about: `NT_*` of `linux/elf.h`.
#[allow(missing_docs)]
pub mod note {
    /// [`Status`](super::Status) of a thread.
    pub const PRSTATUS: u32 = 1;
    /// The floating-point state, as `FXSAVE` stores it.
    pub const PRFPREG: u32 = 2;
    /// [`ProcessInfo`](super::ProcessInfo).
    pub const PRPSINFO: u32 = 3;
    /// The auxiliary vector.
    pub const AUXV: u32 = 6;
    /// The extended state, as `XSAVE` stores it.
    pub const X86_XSTATE: u32 = 0x202;
    /// The `siginfo_t` of the signal.
    pub const SIGINFO: u32 = 0x5349_4749;
    /// The files that are mapped.
    pub const FILE: u32 = 0x4649_4c45;
}

/// Where an extended state in a note says which components there may be, in bytes
/// (`I387` `sw_reserved`, of which gdb reads the first word as XCR0).
pub const XCR0_OFFSET: usize = 464;

/// `struct timeval`.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub struct TimeValue {
    /// Whole seconds.
    pub seconds: i64,
    /// The rest, in microseconds.
    pub microseconds: i64,
}

/// The registers of a thread: `struct user_regs_struct`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct UserRegisters {
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
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

/// What a thread was doing: `struct elf_prstatus`.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub struct Status {
    /// The signal, its code and its error number.
    pub signal_info: [i32; 3],
    /// The signal.
    pub signal: i16,
    /// Zero.
    pub padding: u16,
    /// Pending signals.
    pub pending: u64,
    /// Blocked signals.
    pub blocked: u64,
    /// The thread.
    pub id: u32,
    /// The parent of its process.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// CPU time: the application's, the kernel's, and those of children.
    pub times: [TimeValue; 4],
    /// The registers.
    pub registers: UserRegisters,
    /// Whether there is a floating-point state.
    pub has_floating_point: i32,
    /// Zero.
    pub padding_end: u32,
}

/// What the process was: `struct elf_prpsinfo`.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub struct ProcessInfo {
    /// Index of the state's letter in `RSDTZW`.
    pub state: u8,
    /// The state's letter.
    pub state_letter: u8,
    /// Whether it was a zombie.
    pub is_zombie: u8,
    /// The nice value.
    pub nice: i8,
    /// Zero.
    pub padding: u32,
    /// Flags of the kernel's own.
    pub flags: u64,
    /// The real user ID.
    pub user: u32,
    /// The real group ID.
    pub group_id: u32,
    /// The process.
    pub id: u32,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// The name of the thread that the signal was for.
    pub name: [u8; 16],
    /// The beginning of its arguments, with spaces between them.
    pub arguments: [u8; 80],
}

#[cfg(test)]
mod tests {
    use core::mem::{offset_of, size_of};

    use super::*;

    #[test]
    fn sizes_and_offsets_are_those_of_the_c_headers() {
        assert_eq!((size_of::<Header>(), size_of::<ProgramHeader>()), (64, 56));
        assert_eq!((size_of::<Status>(), size_of::<ProcessInfo>()), (336, 136));
        assert_eq!(size_of::<UserRegisters>(), 27 * 8);
        assert_eq!((offset_of!(Status, id), offset_of!(Status, registers)), (32, 112));
        assert_eq!((offset_of!(ProcessInfo, id), offset_of!(ProcessInfo, name)), (24, 40));
    }
}
