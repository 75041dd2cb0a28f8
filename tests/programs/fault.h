/*
 * Runs code that is expected to fault, and tells how: signal, si_code, and whether si_addr
 * is the address that was expected.
 */
#ifndef FAULT_H
#define FAULT_H

#include "check.h"
#include <setjmp.h>

static sigjmp_buf fault_back;
static volatile int fault_signal, fault_code;
static void *volatile fault_address;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    fault_signal = number;
    fault_code = info->si_code;
    fault_address = info->si_addr;
    siglongjmp(fault_back, 1);
}

static const char *fault_signal_name(int number)
{
    switch (number) {
    case SIGSEGV: return "SIGSEGV";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGILL: return "SIGILL";
    case SIGTRAP: return "SIGTRAP";
    }
    return "another signal";
}

static inline void catch_faults(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
}

static inline void fault_report(const char *what, const void *address)
{
    printf("%s -> %s, code %d, address %s\n", what, fault_signal_name(fault_signal),
           fault_code, fault_address == address ? "right" : "wrong");
}

/* Executes a statement that faults at ADDRESS. */
#define FAULT(statement, address) do { \
    if (sigsetjmp(fault_back, 1) == 0) { \
        statement; \
        printf("%s -> no fault\n", #statement); \
    } else { \
        fault_report(#statement, (const void *)(address)); \
    } } while (0)

#define READ(address) (void)*(volatile char *)(address)
#define WRITE(address) (void)(*(volatile char *)(address) = 1)
#define EXECUTE(address) ((void (*)(void))(address))()

#endif
