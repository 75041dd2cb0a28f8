// Queued signals: order, values, limits of the queue, who may claim what, and lost information.
// build: glibc musl
#include "children.h"
#include <sys/resource.h>
#include <sys/syscall.h>

static int codes[64], values[64], numbers[64], senders[64], count;

static void note(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (count < 64) {
        numbers[count] = number;
        codes[count] = info->si_code;
        values[count] = info->si_value.sival_int;
        senders[count] = info->si_pid;
    }
    count++;
}

static void handle(int number)
{
    struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
    sigfillset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void block(int how, int first, int last)
{
    sigset_t set;
    sigemptyset(&set);
    for (int number = first; number <= last; number++)
        sigaddset(&set, number);
    sigprocmask(how, &set, NULL);
}

static void show(void)
{
    for (int i = 0; i < count && i < 64; i++)
        printf("signal %d code %d value %d from %s\n", numbers[i], codes[i], values[i],
               senders[i] == getpid() ? "itself" : senders[i] == 0 ? "nobody" : "another");
    printf("%d\n", count);
    count = 0;
}

static int queue(pid_t pid, int number, int value)
{
    return sigqueue(pid, number, (union sigval){ .sival_int = value });
}

static void order(void)
{
    int first = SIGRTMIN + 1;
    for (int i = 0; i < 3; i++)
        handle(first + i);
    handle(SIGUSR1);
    block(SIG_BLOCK, first, first + 2);
    block(SIG_BLOCK, SIGUSR1, SIGUSR1);
    CALL(queue(getpid(), first + 2, 1));
    CALL(queue(getpid(), first, 2));
    CALL(queue(getpid(), first + 1, 3));
    CALL(queue(getpid(), first, 4));
    CALL(queue(getpid(), SIGUSR1, 5));
    CALL(queue(getpid(), SIGUSR1, 6));
    CALL(raise(first));
    CALL(kill(getpid(), first + 1));
    /* Lower numbers come first; each keeps its order; standard signals are not queued. A handler
       that blocks all is entered for each, so the last entered runs first. */
    block(SIG_UNBLOCK, SIGUSR1, SIGUSR1);
    show();
    block(SIG_UNBLOCK, first, first);
    show();
    block(SIG_UNBLOCK, first + 1, first + 2);
    show();
}

static void limits(void)
{
    int number = SIGRTMIN + 1;
    IN_CHILD(
        /* The limit is of a user: of one who has nothing else. */
        setgid(4712);
        setuid(4712);
        struct rlimit limit = { 3, 3 };
        CALL(setrlimit(RLIMIT_SIGPENDING, &limit));
        block(SIG_BLOCK, 1, 64);
        for (int i = 0; i < 5; i++)
            CALL(queue(getpid(), number, i));
        /* kill(2) loses what it cannot queue, but not the signal. */
        CALL(kill(getpid(), number + 1));
        CALL(kill(getpid(), number + 1));
        CALL(kill(getpid(), SIGUSR1));
        CALL(queue(getpid(), SIGUSR2, 7));
        sigset_t set;
        sigfillset(&set);
        siginfo_t info;
        struct timespec now = { 0, 0 };
        for (;;) {
            int taken = sigtimedwait(&set, &info, &now);
            if (taken < 0)
                break;
            printf("signal %d code %d value %d from %s\n", taken, info.si_code,
                   taken == SIGUSR1 ? 0 : info.si_value.sival_int,
                   info.si_pid == getpid() ? "itself" : info.si_pid == 0 ? "nobody" : "another");
        }
        printf("%s\n", errno_name(errno));
        CALL(queue(getpid(), number, 1)));
}

static void claims(void)
{
    struct event go = event_new();
    siginfo_t info;
    pid_t pid = CHILD(event_wait(go));
    memset(&info, 0, sizeof info);
    info.si_code = SI_USER;
    CALL(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info));
    info.si_code = SI_KERNEL;
    CALL(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info));
    info.si_code = SI_TKILL;
    CALL(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info));
    info.si_code = SI_QUEUE;
    CALL(syscall(SYS_rt_sigqueueinfo, pid, 0, &info));
    CALL(syscall(SYS_rt_sigqueueinfo, pid, 65, &info));
    CALL(syscall(SYS_rt_sigqueueinfo, 999999, SIGUSR1, &info));
    CALL(syscall(SYS_rt_sigqueueinfo, 999999, 65, &info));
    CALL(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, 8));
    CALL(syscall(SYS_rt_tgsigqueueinfo, pid, pid, 0, &info));
    CALL(syscall(SYS_rt_tgsigqueueinfo, pid, getpid(), 0, &info));
    CALL(syscall(SYS_rt_tgsigqueueinfo, 0, pid, 0, &info));
    CALL(syscall(SYS_rt_tgsigqueueinfo, pid, -1, 0, &info));
    CALL(kill(999999, 65));
    CALL(kill(pid, 65));
    CALL(kill(-999999, 0));
    CALL(syscall(SYS_tkill, pid, 65));
    CALL(syscall(SYS_tkill, 0, 0));
    CALL(syscall(SYS_tgkill, pid, getpid(), 0));
    /* To itself, a process may claim anything. */
    handle(SIGUSR1);
    info.si_code = SI_USER;
    info.si_value.sival_int = 33;
    CALL(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
    show();
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        info.si_code = SI_QUEUE;
        CALL(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info));
        CALL(kill(pid, 0));
        CALL(kill(1, 0));
        CALL(kill(1, SIGCONT)));
    event_set(go);
    TEXT(reap(pid));
}

static void waits(void)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    handle(SIGUSR1);
    pid_t parent = getpid();
    pid_t pid = CHILD(reaches_state(parent, 'S'); queue(parent, SIGRTMIN + 1, 44));
    TRUTH(sigwaitinfo(&set, &info) == SIGRTMIN + 1);
    NUMBER(info.si_value.sival_int);
    TRUTH(info.si_pid == pid && info.si_code == SI_QUEUE);
    TEXT(reap(pid));
    /* Another signal ends the wait, and is no answer. */
    pid = CHILD(reaches_state(parent, 'S'); kill(parent, SIGUSR1));
    /* musl's own function would go on. */
    CALL(syscall(SYS_rt_sigtimedwait, &set, &info, NULL, 8));
    TEXT(reap(pid));
    show();
    struct timespec wrong = { 0, 1000000000 };
    CALL(sigtimedwait(&set, &info, &wrong));
    struct timespec soon = { 0, 20000000 };
    CALL(sigtimedwait(&set, &info, &soon));
    raise(SIGUSR2);
    CALL(sigtimedwait(&set, NULL, &soon));
    /* One that is ignored and blocked waits nevertheless. */
    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR2);
    CALL(sigtimedwait(&set, &info, &soon));
    CALL(syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 4));
    CALL(syscall(SYS_rt_sigtimedwait, 8, NULL, NULL, 8));
}

int main(void)
{
    order();
    limits();
    claims();
    waits();
    return 0;
}
