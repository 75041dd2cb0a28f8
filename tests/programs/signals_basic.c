// Handlers, masks, pending signals, and what siginfo says.
// build: glibc pie musl
#include "check.h"
#include <sys/syscall.h>
#include <time.h>

static volatile int count, last, order[8], code, from_self, value, depth, deepest;

static void on_signal(int number)
{
    last = number;
    if (count < 8)
        order[count] = number;
    count++;
}

static void on_info(int number, siginfo_t *info, void *context)
{
    on_signal(number);
    code = info->si_code;
    from_self = info->si_pid == getpid() && info->si_uid == getuid() && info->si_signo == number;
    value = info->si_value.sival_int;
    (void)context;
}

static void on_nested(int number)
{
    depth++;
    if (depth > deepest)
        deepest = depth;
    if (deepest < 3)
        raise(number);
    depth--;
}

static volatile int aligned, masked_inside, other_masked;
static void on_mask(int number)
{
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    masked_inside = sigismember(&now, number);
    other_masked = sigismember(&now, SIGUSR2);
    aligned = (uintptr_t)__builtin_frame_address(0) % 16 == 0;
}

static void set(int number, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
    CALL(sigaction(number, &action, NULL));
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_signal }, old;
    sigset_t set1, set2;
    CALL(sigaction(SIGUSR1, NULL, &old));
    TRUTH(old.sa_handler == SIG_DFL);
    CALL(sigaction(SIGUSR1, &action, &old));
    CALL(sigaction(SIGUSR1, NULL, &old));
    TRUTH(old.sa_handler == on_signal);
    CALL(sigaction(SIGKILL, &action, NULL));
    CALL(sigaction(SIGSTOP, &action, NULL));
    CALL(sigaction(SIGKILL, NULL, &old));
    CALL(sigaction(0, &action, NULL));
    CALL(sigaction(65, &action, NULL));
    CALL(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
    CALL(raise(SIGUSR1));
    NUMBER(count);
    CALL(kill(getpid(), SIGUSR1));
    NUMBER(count);
    CALL(kill(getpid(), 0));
    CALL(kill(getpid(), 65));
    CALL(kill(getpid(), -1));
    CALL(kill(4194303, 0));
    CALL(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1));
    NUMBER(count);
    CALL(syscall(SYS_tgkill, getpid(), 4194303, SIGUSR1));
    CALL(syscall(SYS_tgkill, -1, 1, SIGUSR1));

    sigemptyset(&set1);
    sigaddset(&set1, SIGUSR1);
    sigaddset(&set1, SIGUSR2);
    set(SIGUSR2, on_signal, 0);
    count = 0;
    CALL(sigprocmask(SIG_BLOCK, &set1, &set2));
    NUMBER(sigismember(&set2, SIGUSR1));
    raise(SIGUSR2);
    raise(SIGUSR1);
    raise(SIGUSR1);
    NUMBER(count);
    CALL(sigpending(&set2));
    printf("pending %d %d %d\n", sigismember(&set2, SIGUSR1), sigismember(&set2, SIGUSR2),
           sigismember(&set2, SIGINT));
    CALL(sigprocmask(SIG_UNBLOCK, &set1, NULL));
    NUMBER(count);
    NUMBER(order[0] + order[1] == SIGUSR1 + SIGUSR2);
    CALL(sigpending(&set2));
    NUMBER(sigismember(&set2, SIGUSR1));
    CALL(sigprocmask(77, &set1, NULL));
    CALL(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, NULL, 4));
    sigfillset(&set2);
    CALL(sigprocmask(SIG_SETMASK, &set2, NULL));
    CALL(sigprocmask(SIG_SETMASK, NULL, &set2));
    printf("blocked: kill %d, stop %d, term %d\n", sigismember(&set2, SIGKILL),
           sigismember(&set2, SIGSTOP), sigismember(&set2, SIGTERM));
    sigemptyset(&set2);
    CALL(sigprocmask(SIG_SETMASK, &set2, NULL));

    /* Ignored signals leave nothing, also when they were pending. */
    sigprocmask(SIG_BLOCK, &set1, NULL);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    sigpending(&set2);
    NUMBER(sigismember(&set2, SIGUSR1));
    sigprocmask(SIG_UNBLOCK, &set1, NULL);
    CALL(raise(SIGUSR1));
    CALL(raise(SIGCHLD));
    CALL(raise(SIGURG));
    CALL(raise(SIGWINCH));
    CALL(raise(SIGCONT));

    struct sigaction with_info = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO };
    CALL(sigaction(SIGUSR1, &with_info, NULL));
    kill(getpid(), SIGUSR1);
    printf("kill: code %d, own %d\n", code, from_self);
    raise(SIGUSR1);
    printf("raise: code %d, own %d\n", code, from_self);
    union sigval sent = { .sival_int = 4711 };
    CALL(sigqueue(getpid(), SIGUSR1, sent));
    printf("sigqueue: code %d, own %d, value %d\n", code, from_self, value);

    /* Real-time signals queue, in order of number, each with its value. */
    sigaction(SIGRTMIN + 1, &with_info, NULL);
    sigaction(SIGRTMIN + 2, &with_info, NULL);
    sigemptyset(&set1);
    sigaddset(&set1, SIGRTMIN + 1);
    sigaddset(&set1, SIGRTMIN + 2);
    sigprocmask(SIG_BLOCK, &set1, NULL);
    for (int i = 0; i < 3; i++) {
        sent.sival_int = i;
        sigqueue(getpid(), SIGRTMIN + 2, sent);
        sigqueue(getpid(), SIGRTMIN + 1, sent);
    }
    siginfo_t info;
    struct timespec zero = { 0, 0 };
    TRUTH(sigtimedwait(&set1, &info, &zero) == SIGRTMIN + 1);
    NUMBER(info.si_value.sival_int);
    TRUTH(sigwaitinfo(&set1, &info) == SIGRTMIN + 1);
    NUMBER(info.si_value.sival_int);
    count = 0;
    sigprocmask(SIG_UNBLOCK, &set1, NULL);
    NUMBER(count);
    CALL(sigtimedwait(&set1, &info, &zero));

    set(SIGUSR1, on_nested, SA_NODEFER);
    raise(SIGUSR1);
    NUMBER(deepest);
    deepest = depth = 0;
    set(SIGUSR1, on_mask, 0);
    raise(SIGUSR1);
    printf("masked inside: own %d, other %d; stack aligned %d\n", masked_inside, other_masked,
           aligned);
    struct sigaction wide = { .sa_handler = on_mask };
    sigaddset(&wide.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &wide, NULL);
    raise(SIGUSR1);
    printf("masked inside: own %d, other %d\n", masked_inside, other_masked);
    sigprocmask(SIG_BLOCK, NULL, &set2);
    NUMBER(sigismember(&set2, SIGUSR1) + sigismember(&set2, SIGUSR2));
    set(SIGUSR1, on_signal, SA_RESETHAND);
    count = 0;
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &old);
    TRUTH(old.sa_handler == SIG_DFL);
    NUMBER(count);
    return 0;
}
