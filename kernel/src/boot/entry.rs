//! The first instructions.
//!
//! The loader enters [`pvh_entry`] in 32-bit protected mode without paging, `ebx` pointing to
//! the start info. Four page tables map the first GiB of memory three times with 2 MiB pages:
//! where it is (for the instructions that follow), in the direct map, and at the kernel's
//! base. [`crate::memory`] replaces them by the final ones.

use core::arch::global_asm;

/// Size of the boot stack, on which the service thread goes on, in bytes.
const STACK_SIZE: usize = 64 * 1024;

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .align 4
    .long 4                     // length of the name
    .long 4                     // length of the descriptor
    .long 18                    // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_entry

    .section .boot, "awx"
    .code32
    .global pvh_entry
pvh_entry:
    cld
    mov esp, offset boot_low_stack_end
    mov edi, ebx                // the start info, kept for the kernel

    // The page directory: 512 pages of 2 MiB, present, writable, large.
    mov ebx, offset boot_directory
    mov eax, 0x83
1:  mov dword ptr [ebx], eax
    add ebx, 8
    add eax, 0x200000
    cmp eax, 0x40000083
    jne 1b

    mov eax, offset boot_directory + 3
    mov dword ptr [boot_pointers_low], eax
    mov dword ptr [boot_pointers_high + 510 * 8], eax
    mov eax, offset boot_pointers_low + 3
    mov dword ptr [boot_root], eax
    mov dword ptr [boot_root + 256 * 8], eax
    mov eax, offset boot_pointers_high + 3
    mov dword ptr [boot_root + 511 * 8], eax

    mov eax, offset boot_root
    mov cr3, eax
    mov eax, 0x6a0              // PAE, PGE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov ecx, 0xc0000080         // EFER: LME, NXE, SCE
    rdmsr
    or eax, 0x901
    wrmsr
    mov eax, 0x80010033         // PG, WP, NE, ET, MP, PE
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    // A far jump to the 64-bit segment.
    push 0x08
    mov eax, offset boot_long_mode
    push eax
    retf

    .code64
boot_long_mode:
    xor eax, eax
    mov ss, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    movabs rsp, offset boot_stack_end
    mov edi, edi                // the start info's physical address
    xor ebp, ebp
    movabs rax, offset kernel_main
    call rax
    ud2

    .align 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff    // 64-bit code
    .quad 0x00cf93000000ffff    // data
boot_gdt_pointer:
    .word 23
    .long boot_gdt

    .section .bootbss, "aw", @nobits
    .align 4096
    .global boot_root
boot_root: .skip 4096
boot_pointers_low: .skip 4096
boot_pointers_high: .skip 4096
boot_directory: .skip 4096
    .skip 64
boot_low_stack_end:

    .section .bss.boot_stack, "aw", @nobits
    .align 16
    .skip {stack_size}
boot_stack_end:

    .text
    "#,
    stack_size = const STACK_SIZE,
);
