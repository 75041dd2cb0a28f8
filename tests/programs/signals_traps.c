// Signals that instructions raise: SIGFPE, SIGILL, SIGTRAP.
// build: glibc musl
#include "fault.h"

extern char divide[], undefined[], after_breakpoint[];

static volatile int steps;
static void on_step(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if (info->si_code == TRAP_TRACE)
        steps++;
}

int main(void)
{
    catch_faults();
    FAULT(asm volatile("divide: divl %0" : : "r"(0), "a"(1), "d"(0)), divide);
    FAULT(asm volatile("divl %0" : : "r"(1), "a"(0), "d"(1)), fault_address);
    FAULT(asm volatile("undefined: ud2"), undefined);
    FAULT(asm volatile("int3; after_breakpoint:"), NULL);
    /* x87 division by zero, unmasked. */
    unsigned short control = 0x37f & ~4;
    FAULT(asm volatile("fldcw %0; fld1; fldz; fdivrp; fwait" : : "m"(control)), fault_address);
    asm volatile("fninit");
    struct sigaction step = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
    sigaction(SIGTRAP, &step, NULL);
    asm volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop; nop;"
                 "pushfq; andl $~0x100, (%%rsp); popfq" : : : "memory", "cc");
    NUMBER(steps);
    return 0;
}
