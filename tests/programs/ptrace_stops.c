// ptrace(2): the stops of a traced process and what its tracer learns and changes in them.
// build: glibc musl
#include "children.h"
#include <cpuid.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#ifndef __WALL
#define __WALL 0x40000000
#endif

static long request(int what, pid_t pid, unsigned long address, unsigned long data)
{
    return syscall(SYS_ptrace, (long)what, (long)pid, address, data);
}

static void status_of(pid_t pid)
{
    int status = 0;
    pid_t got = waitpid(pid, &status, __WALL);
    if (got != pid)
        printf("  waitpid: %s\n", got < 0 ? errno_name(errno) : "another");
    else if (WIFSTOPPED(status))
        printf("  stopped by %d, event %d\n", WSTOPSIG(status), status >> 16);
    else if (WIFEXITED(status))
        printf("  exited with %d\n", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        printf("  killed by %d\n", WTERMSIG(status));
}

static volatile long counter;
static volatile int handled;

static void handler(int signal) { handled = signal; }

__attribute__((noinline)) static void count(void) { counter = 7; }

static pid_t child_of(void (*body)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        request(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        body();
        _exit(handled ? handled : (int)counter);
    }
    status_of(pid);
    return pid;
}

static void user_signal(void) { signal(SIGUSR1, handler); signal(SIGUSR2, handler); raise(SIGUSR1); }
static void calls(void) { syscall(SYS_getppid); syscall(SYS_close, -1); }
static void nothing(void) { }
static void breaks(void) { count(); __asm__ volatile("int3"); }
static void forks(void)
{
    pid_t pid = fork();
    if (!pid)
        _exit(9);
    waitpid(pid, NULL, 0);
    counter = 4;
}
static void executes(void) { execl("/proc/self/exe", "x", "child", (char *)NULL); }
static void waits(void) { for (;;) pause(); }

static void signals(void)
{
    siginfo_t info;
    unsigned long mask = 0;
    pid_t pid = child_of(user_signal);
    CALL(request(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
    NUMBER(info.si_signo);
    CALL(request(PTRACE_CONT, pid, 0, 0));
    status_of(pid);
    CALL(request(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
    NUMBER(info.si_signo);
    NUMBER(info.si_code);
    CALL(request(0x420a, pid, 8, (unsigned long)&mask));
    HEX(mask);
    CALL(request(0x420a, pid, 4, (unsigned long)&mask));
    CALL(request(PTRACE_CONT, pid, 0, 65));
    CALL(request(PTRACE_CONT, pid, 0, SIGUSR2));
    status_of(pid);

    puts("suppressed");
    pid = child_of(user_signal);
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    CALL(request(PTRACE_DETACH, pid, 0, 0));
    status_of(pid);

    puts("killed");
    pid = child_of(waits);
    CALL(request(PTRACE_KILL, pid, 0, 0));
    status_of(pid);
    CALL(request(PTRACE_CONT, pid, 0, 0));
}

static void system_calls(void)
{
    struct user_regs_struct regs;
    pid_t pid = child_of(calls);
    CALL(request(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
    CALL(request(PTRACE_SETOPTIONS, pid, 0, 1ul << 40));
    for (int i = 0; i < 6; i++) {
        unsigned long info[11] = { 0 };
        request(PTRACE_SYSCALL, pid, 0, 0);
        status_of(pid);
        request(PTRACE_GETREGS, pid, 0, (unsigned long)&regs);
        if (regs.orig_rax == SYS_gettid || regs.orig_rax == SYS_tgkill || regs.orig_rax == SYS_tkill ||
            regs.orig_rax == SYS_rt_sigprocmask) {
            i--;
            continue;
        }
        long len = request(0x420e, pid, sizeof info, (unsigned long)info);
        printf("  call %lld, len %ld, operation %d, arch %lx\n", (long long)regs.orig_rax, len,
               (int)(info[0] & 0xff), info[0] >> 32);
        if (i % 2)
            printf("  result %s, error %d\n", (long)regs.rax < 0 ? "negative" : "positive", (int)info[4] & 1);
        if (i == 2) {
            /* close(-1) becomes getpid. */
            regs.orig_rax = SYS_getpid;
            CALL(request(PTRACE_SETREGS, pid, 0, (unsigned long)&regs));
        }
        if (i == 3)
            TRUTH((pid_t)regs.rax == pid);
        if (i == 4)
            break;
    }
    request(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rdi), 21);
    CALL(request(PTRACE_DETACH, pid, 0, 0));
    status_of(pid);
}

static void memory(void)
{
    struct user_regs_struct regs;
    long word = 0;
    siginfo_t info;
    pid_t pid = child_of(breaks);
    unsigned long at = (unsigned long)count;
    CALL(request(PTRACE_PEEKTEXT, pid, at, (unsigned long)&word));
    TRUTH(word == *(long *)at);
    CALL(request(PTRACE_PEEKTEXT, pid, 1, (unsigned long)&word));
    CALL(request(PTRACE_PEEKTEXT, pid, at, 1));
    CALL(request(PTRACE_POKETEXT, pid, 1, 0));
    CALL(request(PTRACE_PEEKTEXT, pid, at, (unsigned long)&word));
    CALL(request(PTRACE_POKETEXT, pid, at, (word & ~0xfful) | 0xcc));
    TRUTH(*(unsigned char *)at == 0xcc);
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    CALL(request(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
    HEX(info.si_code);
    request(PTRACE_GETREGS, pid, 0, (unsigned long)&regs);
    TRUTH(regs.rip == at + 1);
    request(PTRACE_POKETEXT, pid, at, word);
    regs.rip = at;
    CALL(request(PTRACE_SETREGS, pid, 0, (unsigned long)&regs));
    CALL(request(PTRACE_SINGLESTEP, pid, 0, 0));
    status_of(pid);
    CALL(request(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
    NUMBER(info.si_code);
    request(PTRACE_GETREGS, pid, 0, (unsigned long)&regs);
    TRUTH(regs.rip > at && regs.rip <= at + 15);
    TRUTH(regs.eflags & 0x100);
    HEX(regs.cs);
    HEX(regs.ss);
    regs.cs = 0x10;
    CALL(request(PTRACE_SETREGS, pid, 0, (unsigned long)&regs));
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    /* The process's own int3 is passed over. */
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
}

static void watched(void)
{
    const unsigned long debug = offsetof(struct user, u_debugreg);
    siginfo_t info;
    unsigned long value;
    pid_t pid = child_of(breaks);
    CALL(request(PTRACE_POKEUSER, pid, debug, (unsigned long)&counter));
    CALL(request(PTRACE_POKEUSER, pid, debug + 56, 0xd0001));
    CALL(request(PTRACE_POKEUSER, pid, debug + 56, 0xc0001));
    CALL(request(PTRACE_POKEUSER, pid, debug, 0xffff800000000000));
    CALL(request(PTRACE_POKEUSER, pid, debug + 32, 1));
    CALL(request(PTRACE_PEEKUSER, pid, debug + 1, (unsigned long)&value));
    CALL(request(PTRACE_PEEKUSER, pid, sizeof(struct user) + 16, (unsigned long)&value));
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    request(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info);
    NUMBER(info.si_code);
    request(PTRACE_PEEKUSER, pid, debug + 48, (unsigned long)&value);
    HEX(value & 0xf);
    request(PTRACE_PEEKDATA, pid, (unsigned long)&counter, (unsigned long)&value);
    NUMBER(value);
    CALL(request(PTRACE_POKEUSER, pid, debug + 56, 0));
    CALL(request(PTRACE_POKEUSER, pid, debug, (unsigned long)count));
    CALL(request(PTRACE_DETACH, pid, 0, SIGKILL));
    status_of(pid);

    puts("execution");
    pid = child_of(breaks);
    CALL(request(PTRACE_POKEUSER, pid, debug + 8, (unsigned long)count));
    CALL(request(PTRACE_POKEUSER, pid, debug + 56, 0x4));
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    request(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), (unsigned long)&value);
    TRUTH(value == (unsigned long)count);
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
}

/* Whether the processor and the kernel have XSAVE, and with it the set of extended states. */
static int has_extended_states(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE);
}

static void extended_states(pid_t pid, struct iovec *vector)
{
    long taken = request(PTRACE_GETREGSET, pid, 0x202, (unsigned long)vector);
    int no_set = taken < 0 && errno == ENODEV;
    long given = request(PTRACE_SETREGSET, pid, 0x202, (unsigned long)vector);
    memset((char *)vector->iov_base + 520, 0xff, 8);
    int refused = request(PTRACE_SETREGSET, pid, 0x202, (unsigned long)vector) < 0;
    /* What this says is the same on all processors. */
    TRUTH(has_extended_states() ? taken == 0 && given == 0 && refused && errno == EINVAL
                                : no_set && given < 0 && refused && errno == ENODEV);
}

static void state_sets(void)
{
    char area[16384];
    struct iovec vector = { area, sizeof area };
    pid_t pid = child_of(nothing);
    CALL(request(PTRACE_GETREGSET, pid, 1, (unsigned long)&vector));
    NUMBER(vector.iov_len);
    CALL(request(PTRACE_SETREGSET, pid, 1, (unsigned long)&vector));
    vector.iov_len = 12;
    CALL(request(PTRACE_GETREGSET, pid, 1, (unsigned long)&vector));
    vector.iov_len = sizeof area;
    CALL(request(PTRACE_GETREGSET, pid, 2, (unsigned long)&vector));
    NUMBER(vector.iov_len);
    CALL(request(PTRACE_SETREGSET, pid, 2, (unsigned long)&vector));
    vector.iov_len = sizeof area;
    extended_states(pid, &vector);
    CALL(request(PTRACE_GETREGSET, pid, 77, (unsigned long)&vector));
    CALL(request(PTRACE_GETFPREGS, pid, 0, (unsigned long)area));
    NUMBER(*(unsigned short *)area);
    CALL(request(PTRACE_SETFPREGS, pid, 0, (unsigned long)area));
    CALL(request(PTRACE_SETFPREGS, pid, 0, 1));
    CALL(request(12345, pid, 0, 0));
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
}

static void events(void)
{
    unsigned long message = 0;
    int status;
    pid_t pid = child_of(forks);
    CALL(request(PTRACE_SETOPTIONS, pid, 0,
                 PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT));
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    CALL(request(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message));
    pid_t other = message;
    TRUTH(other > pid);
    status_of(other);
    request(PTRACE_CONT, pid, 0, 0);
    request(PTRACE_CONT, other, 0, 0);
    status_of(other);
    request(PTRACE_GETEVENTMSG, other, 0, (unsigned long)&message);
    HEX(message);
    request(PTRACE_CONT, other, 0, 0);
    status_of(other);
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
        printf("  stopped by %d, event %d\n", WSTOPSIG(status), status >> 16);
        request(PTRACE_CONT, pid, 0, status >> 16 ? 0 : WSTOPSIG(status));
    }
    NUMBER(WEXITSTATUS(status));

    puts("exec");
    pid = child_of(executes);
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    pid = child_of(executes);
    request(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC);
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    request(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message);
    TRUTH((pid_t)message == pid);
    request(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
}

static void tracer_of(pid_t pid)
{
    char path[64], line[256], state[256] = "";
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "State", 5))
            strcpy(state, line);
        else if (!strncmp(line, "TracerPid:\t0\n", 13))
            puts("traced by nobody");
        else if (!strncmp(line, "TracerPid", 9))
            printf("traced by %s, %s", atoi(line + 10) == getpid() ? "me" : "another", state);
    if (file)
        fclose(file);
}

static void others(void)
{
    siginfo_t info;
    char path[64], byte = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (!pid)
        for (;;)
            pause();
    CALL(request(PTRACE_CONT, pid, 0, 0));
    CALL(request(PTRACE_ATTACH, getpid(), 0, 0));
    CALL(request(PTRACE_ATTACH, 0x3fffff, 0, 0));
    CALL(request(PTRACE_SEIZE, pid, 1, 0));
    CALL(request(PTRACE_SEIZE, pid, 0, 1ul << 50));
    CALL(request(PTRACE_ATTACH, pid, 0, 0));
    CALL(request(PTRACE_ATTACH, pid, 0, 0));
    status_of(pid);
    tracer_of(pid);
    CALL(request(PTRACE_INTERRUPT, pid, 0, 0));
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = OK(open(path, O_RDWR));
    CALL(pread(fd, &byte, 1, (long)&counter));
    byte = 3;
    CALL(pwrite(fd, &byte, 1, (long)&counter));
    CALL(pread(fd, &byte, 1, 1));
    close(fd);
    CALL(request(PTRACE_PEEKDATA, pid, (unsigned long)&counter, (unsigned long)path));
    NUMBER(path[0]);
    CALL(request(PTRACE_DETACH, pid, 0, 0));
    tracer_of(pid);

    puts("seized");
    CALL(request(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL));
    CALL(request(PTRACE_LISTEN, pid, 0, 0));
    CALL(request(PTRACE_INTERRUPT, pid, 0, 0));
    status_of(pid);
    CALL(request(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
    HEX(info.si_code);
    request(PTRACE_CONT, pid, 0, 0);
    kill(pid, SIGSTOP);
    status_of(pid);
    request(PTRACE_CONT, pid, 0, SIGSTOP);
    status_of(pid);
    CALL(request(PTRACE_LISTEN, pid, 0, 0));
    CALL(waitpid(pid, NULL, WNOHANG));
    CALL(request(PTRACE_CONT, pid, 0, 0));
    kill(pid, SIGCONT);
    status_of(pid);
    CALL(request(PTRACE_CONT, pid, 0, 0));
    status_of(pid);
    CALL(request(PTRACE_CONT, pid, 0, 0));
    kill(pid, SIGKILL);
    memset(&info, 0, sizeof info);
    CALL(waitid(P_PID, pid, &info, WEXITED));
    NUMBER(info.si_code);
    NUMBER(info.si_status);
}

static void attached_to_stopped(void)
{
    siginfo_t info = { 0 };
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        raise(SIGSTOP);
        _exit(5);
    }
    CALL(waitid(P_PID, pid, &info, WSTOPPED));
    NUMBER(info.si_code);
    CALL(request(PTRACE_ATTACH, pid, 0, 0));
    CALL(request(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
    CALL(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT));
    NUMBER(info.si_code);
    NUMBER(info.si_status);
    CALL(request(PTRACE_DETACH, pid, 0, 0));
    kill(pid, SIGCONT);
    status_of(pid);
}

static void orphaned(int options)
{
    int ends[2];
    char byte;
    pipe(ends);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        close(ends[0]);
        pid_t other = fork();
        if (!other) {
            usleep(100000);
            write(ends[1], "x", 1);
            _exit(0);
        }
        request(PTRACE_SEIZE, other, 0, options);
        _exit(0);
    }
    close(ends[1]);
    waitpid(pid, NULL, 0);
    CALL(read(ends[0], &byte, 1));
    close(ends[0]);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return 6;
    signals();
    system_calls();
    memory();
    watched();
    state_sets();
    events();
    others();
    attached_to_stopped();
    orphaned(0);
    orphaned(PTRACE_O_EXITKILL);
    return 0;
}
