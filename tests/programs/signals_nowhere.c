// Where no application can go on: handlers, frames and tracers that name addresses beyond it,
// and extended states that no processor takes.
// build: glibc musl
#include "children.h"
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>

static const unsigned long nowhere[] = { 1ul << 47, 1ul << 63, 0xffffffff80200000, -1ul };
static unsigned long address;

static void end_of(pid_t pid)
{
    int status = 0;
    waitpid(pid, &status, 0);
    printf("  %s %d\n", WIFSIGNALED(status) ? "killed by" : "exited with",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void raise_in(void (*prepare)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        prepare();
        raise(SIGUSR1);
        _exit(0);
    }
    end_of(pid);
}

static void handle_nowhere(void) { signal(SIGUSR1, (void (*)(int))address); }

static void leave_for_nowhere(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = address;
}

/* Twice: what the first one loads must not be the measure of the second. */
static volatile int round_number;
static void load_nonsense(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    unsigned *state = (unsigned *)((ucontext_t *)context)->uc_mcontext.fpregs;
    if (round_number++)
        state[6] |= 1u << 20;
    state[7] = 0xffffffff;
}

static void with_handler(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(SIGUSR1, &action, NULL);
}

static void frame_for_nowhere(void) { with_handler(leave_for_nowhere); }

static void frame_of_nonsense(void)
{
    with_handler(load_nonsense);
    raise(SIGUSR1);
}

static pid_t traced(void (*body)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        body();
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return pid;
}

static void calls(void) { syscall(SYS_getppid); }
static void forks(void)
{
    if (!fork())
        _exit(0);
}

static void to_call(pid_t pid, long number)
{
    struct user_regs_struct regs;
    do {
        ptrace(PTRACE_SYSCALL, pid, 0, 0);
        waitpid(pid, NULL, 0);
        ptrace(PTRACE_GETREGS, pid, 0, &regs);
    } while ((long)regs.orig_rax != number);
}

static void send_nowhere(pid_t pid)
{
    CALL(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rip), address));
    CALL(ptrace(PTRACE_DETACH, pid, 0, 0));
    end_of(pid);
}

static void tracers(void)
{
    send_nowhere(traced(calls));
    pid_t pid = traced(calls);
    to_call(pid, SYS_getppid);
    send_nowhere(pid);
    struct user_regs_struct regs;
    pid = traced(forks);
    do {
        ptrace(PTRACE_SYSCALL, pid, 0, 0);
        waitpid(pid, NULL, 0);
        ptrace(PTRACE_GETREGS, pid, 0, &regs);
    } while (regs.orig_rax != SYS_fork && regs.orig_rax != SYS_clone);
    send_nowhere(pid);
}

static void states(void)
{
    pid_t pid = traced(calls);
    struct user_fpregs_struct state;
    CALL(ptrace(PTRACE_GETFPREGS, pid, 0, &state));
    state.mxcr_mask = -1;
    CALL(ptrace(PTRACE_SETFPREGS, pid, 0, &state));
    state.mxcsr |= 1 << 20;
    CALL(ptrace(PTRACE_SETFPREGS, pid, 0, &state));
    CALL(ptrace(PTRACE_KILL, pid, 0, 0));
    end_of(pid);
}

/* What a tracer sets at the entry of a call stays, also when it goes then. */
static void changed(void)
{
    long result;
    register long kept __asm__("r12") = 1;
    __asm__ volatile("syscall" : "=a"(result), "+r"(kept) : "a"(SYS_getppid) : "rcx", "r11", "memory");
    _exit((int)kept);
}

int main(void)
{
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        address = nowhere[i];
        printf("%#lx\n", address);
        /* All ones are SIG_ERR, which the C libraries do not pass on. */
        raise_in(address == -1ul ? frame_for_nowhere : handle_nowhere);
        raise_in(frame_for_nowhere);
        tracers();
    }
    raise_in(frame_of_nonsense);
    states();
    pid_t pid = traced(changed);
    to_call(pid, SYS_getppid);
    CALL(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, r12), 42));
    CALL(ptrace(PTRACE_DETACH, pid, 0, 0));
    end_of(pid);
    return 0;
}
