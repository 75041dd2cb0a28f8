/*
 * Holds patterns in registers, flags and the red zone while time passes, and counts what
 * changed. A negative control is described in the programs that include this.
 */
#ifndef MACHINE_HOLD_H
#define MACHINE_HOLD_H

#include "check.h"
#include <time.h>

unsigned hold_avx;

/* Fills 16 vector registers from IN and 16 words of red zone, spins SPINS times with the
 * carry flag set, stores the vectors to OUT, and returns the number of changed red zone
 * words and general registers, plus 1000 when the carry flag was lost. */
long hold(const void *in, void *out, long spins);

asm(".pushsection .text\n"
    "hold:\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  cmpl $0, hold_avx(%rip); je 1f\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  vmovdqu 32*\\n(%rdi), %ymm\\n\n  .endr\n"
    "  jmp 2f\n"
    "1: .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  movdqu 32*\\n(%rdi), %xmm\\n\n  .endr\n"
    "2: movabs $0x5aa5c33c0ff01ee1, %rax\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  mov %rax, -128+8*\\n(%rsp)\n  .endr\n"
    "  .irp r,rbx,rcx,rdi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n  mov %rax, %\\r\n  .endr\n"
    "  stc\n"
    "3: dec %rdx; jnz 3b\n"
    "  setnc %dl; movzbl %dl, %edx; imul $1000, %edx, %edx\n"
    "  .irp r,rbx,rcx,rdi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
    "  cmp %rax, %\\r; je 4f; inc %edx\n4:\n  .endr\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "  cmp %rax, -128+8*\\n(%rsp); je 4f; inc %edx\n4:\n  .endr\n"
    "  cmpl $0, hold_avx(%rip); je 5f\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  vmovdqu %ymm\\n, 32*\\n(%rsi)\n  .endr\n"
    "  vzeroupper; jmp 6f\n"
    "5: .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  movdqu %xmm\\n, 32*\\n(%rsi)\n  .endr\n"
    "6: mov %rdx, %rax\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    ".popsection");

/* Holds for SECONDS and tells what was lost. */
static inline void hold_for(int seconds)
{
    static unsigned char in[512], out[512];
    long lost = 0, vectors = 0, rounds = 0;
    unsigned short control = 0x27f, control_after;
    unsigned mxcsr = 0x5f80, mxcsr_after;
    struct timespec start, now;
    hold_avx = __builtin_cpu_supports("avx") != 0;
    for (int i = 0; i < 512; i++)
        in[i] = (unsigned char)(i * 73 + 5);
    clock_gettime(CLOCK_MONOTONIC, &start);
    asm volatile("fldcw %0; ldmxcsr %1; fldpi" : : "m"(control), "m"(mxcsr));
    do {
        memcpy(out, in, sizeof out);
        lost += hold(in, out, 5000);
        size_t width = hold_avx ? 32 : 16;
        for (int i = 0; i < 16; i++)
            vectors += memcmp(in + 32 * i, out + 32 * i, width) != 0;
        rounds++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < start.tv_sec + seconds
             || (now.tv_sec == start.tv_sec + seconds && now.tv_nsec < start.tv_nsec));
    double pi;
    asm volatile("fnstcw %0; stmxcsr %1; fstpl %2"
                 : "=m"(control_after), "=m"(mxcsr_after), "=m"(pi));
    asm volatile("fninit; ldmxcsr %0" : : "m"((unsigned){ 0x1f80 }));
    NUMBER(lost);
    NUMBER(vectors);
    TRUTH(rounds > 10);
    HEX(control_after);
    HEX(mxcsr_after & ~0x3f);
    TRUTH(pi > 3.14159 && pi < 3.1416);
}

#endif
