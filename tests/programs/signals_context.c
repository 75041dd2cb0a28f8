// The context a handler gets: registers, mask, floating point; and changing it.
// build: glibc musl
#include "check.h"
#include <ucontext.h>

static volatile unsigned long seen_rax, seen_r15, seen_xmm;
static volatile int at_fault, mask_in_context, mxcsr_inside, control_inside, saved_mxcsr;
extern char faulting[], faulting_end[];

static void on_fault(int number, siginfo_t *info, void *pointer)
{
    ucontext_t *context = pointer;
    greg_t *registers = context->uc_mcontext.gregs;
    unsigned short control;
    unsigned mxcsr;
    (void)number;
    (void)info;
    asm volatile("fnstcw %0; stmxcsr %1" : "=m"(control), "=m"(mxcsr));
    control_inside = control;
    mxcsr_inside = mxcsr;
    saved_mxcsr = context->uc_mcontext.fpregs->mxcsr;
    at_fault = registers[REG_RIP] == (greg_t)(uintptr_t)faulting;
    seen_rax = registers[REG_RAX];
    seen_r15 = registers[REG_R15];
    memcpy((void *)&seen_xmm, &context->uc_mcontext.fpregs->_xmm[5], 8);
    mask_in_context = sigismember(&context->uc_sigmask, SIGUSR2);
    /* Continue behind the instruction, with other values. */
    registers[REG_RIP] = (greg_t)(uintptr_t)faulting_end;
    registers[REG_RBX] = 0x1234;
    unsigned long other = 0x5555666677778888;
    memcpy(&context->uc_mcontext.fpregs->_xmm[6], &other, 8);
    sigaddset(&context->uc_sigmask, SIGURG);
    /* None of this may be seen after the return. */
    unsigned strange = 0x9fc0;
    asm volatile("fninit; ldmxcsr %0; pxor %%xmm5, %%xmm5; pxor %%xmm7, %%xmm7"
                 : : "m"(strange) : "xmm5", "xmm7");
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    unsigned long rbx = 1, xmm5 = 0, xmm6 = 0, xmm7 = 0, flags = 0, red_zone = 0;
    unsigned short control = 0x27f, control_after;
    unsigned mxcsr = 0x5f80, mxcsr_after;
    double pi = 0;
    asm volatile(
        "fldcw %[control]; ldmxcsr %[mxcsr]; fldpi;"
        "movabs $0x1111222233334444, %%rax; movq %%rax, %%xmm5; movq %%rax, %%xmm6;"
        "movq %%rax, %%xmm7; movabs $0x0123456789abcdef, %%r15; mov $99, %%ebx;"
        "movabs $0x6b6b6b6b6b6b6b6b, %%rcx; mov %%rcx, -8(%%rsp); mov %%rcx, -128(%%rsp);"
        "mov $77, %%eax; xor %%edx, %%edx; sub $1, %%edx; stc; std;"
        "faulting: movb $0, 0; faulting_end:"
        "pushfq; cld; pop %[flags];"
        "mov -128(%%rsp), %[zone];"
        "mov %%rbx, %[rbx]; movq %%xmm5, %[xmm5]; movq %%xmm6, %[xmm6]; movq %%xmm7, %[xmm7];"
        "fnstcw %[control_after]; stmxcsr %[mxcsr_after]; fstpl %[pi]"
        : [rbx] "=m"(rbx), [xmm5] "=m"(xmm5), [xmm6] "=m"(xmm6), [xmm7] "=m"(xmm7),
          [control_after] "=m"(control_after), [mxcsr_after] "=m"(mxcsr_after), [pi] "=m"(pi),
          [flags] "=&r"(flags), [zone] "=&r"(red_zone)
        : [control] "m"(control), [mxcsr] "m"(mxcsr)
        : "rax", "rbx", "rcx", "rdx", "r15", "xmm5", "xmm6", "xmm7", "memory", "cc");
    unsigned normal = 0x1f80;
    asm volatile("fninit; ldmxcsr %0" : : "m"(normal));
    TRUTH(at_fault);
    NUMBER(seen_rax);
    HEX(seen_r15);
    HEX(seen_xmm);
    NUMBER(mask_in_context);
    HEX(control_inside);
    HEX(mxcsr_inside);
    HEX(saved_mxcsr);
    HEX(rbx);
    HEX(xmm5);
    HEX(xmm6);
    HEX(xmm7);
    HEX(control_after);
    HEX(mxcsr_after);
    HEX(flags & 0xcd5);
    HEX(red_zone);
    printf("pi %.15f\n", pi);
    sigprocmask(SIG_BLOCK, NULL, &set);
    NUMBER(sigismember(&set, SIGURG));
    NUMBER(sigismember(&set, SIGSEGV));
    return 0;
}
