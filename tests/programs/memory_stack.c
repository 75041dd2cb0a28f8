// The stack grows on demand to its limit, and not beyond.
// build: glibc musl
#include "fault.h"
#include <sys/resource.h>

static char alternate[65536];
static volatile size_t depth;

__attribute__((noinline)) static int deep(int levels)
{
    volatile char frame[4096];
    frame[0] = (char)levels;
    frame[4095] = 1;
    depth++;
    if (levels == 0)
        return frame[0];
    return deep(levels - 1) + frame[4095];
}

int main(void)
{
    struct rlimit limit = { 8 << 20, RLIM_INFINITY };
    getrlimit(RLIMIT_STACK, &limit);
    TRUTH(limit.rlim_cur == 8 << 20);
    NUMBER(deep(1024));
    volatile char *far = (volatile char *)__builtin_alloca(2 << 20);
    far[0] = 1;
    NUMBER(far[0] + far[1 << 20] * 0);

    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    CALL(sigaltstack(&stack, NULL));
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigaction(SIGSEGV, &action, NULL);
    depth = 0;
    if (sigsetjmp(fault_back, 1) == 0) {
        deep(1 << 30);
    } else {
        TRUTH(fault_signal == SIGSEGV);
        TRUTH(depth > 1000 && depth < 2100);
    }
    depth = 0;
    if (sigsetjmp(fault_back, 1) == 0)
        deep(1 << 30);
    else
        TRUTH(depth > 1000 && depth < 2100);
    CALL(sigaltstack(NULL, &stack));
    TRUTH(stack.ss_sp == alternate);
    NUMBER(stack.ss_flags);
    /* Without another stack there is nowhere to run the handler. */
    stack.ss_flags = SS_DISABLE;
    CALL(sigaltstack(&stack, NULL));
    deep(1 << 30);
    return 0;
}
