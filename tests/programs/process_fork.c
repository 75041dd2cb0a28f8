// fork(2): what the child has of its own, what it shares, and what it does not inherit.
// build: glibc musl
#include "children.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

static int data = 1;
static int zero;
static int handled;

static void handler(int number)
{
    (void)number;
    handled++;
}

static void memory(void)
{
    int local = 1;
    int *heap = malloc(sizeof *heap);
    *heap = 1;
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    IN_CHILD(
        data = zero = local = *heap = 7;
        *shared = 7;
        printf("child has %d %d %d %d %d\n", data, zero, local, *heap, *shared));
    printf("parent has %d %d %d %d %d\n", data, zero, local, *heap, *shared);
    pid_t pid = CHILD(
        while (__atomic_load_n(shared, __ATOMIC_SEQ_CST) != 8)
            sleep_ms(1);
        printf("child still has %d %d %d %d\n", data, zero, local, *heap));
    data = zero = local = *heap = 9;
    __atomic_store_n(shared, 8, __ATOMIC_SEQ_CST);
    TEXT(reap(pid));
}

static void identity(void)
{
    pid_t parent = getpid();
    pid_t pid = CHILD(
        TRUTH(getppid() == parent);
        TRUTH(getpid() != parent);
        TRUTH(getpid() == (pid_t)gettid());
        TRUTH(getpgrp() == getpgid(parent));
        TRUTH(getsid(0) == getsid(parent)));
    TEXT(reap(pid));
    TRUTH(pid > 1);
    CALL(kill(pid, 0));
    CALL(waitpid(pid, NULL, 0));
}

static void files(void)
{
    char buffer[8] = "";
    enter_scratch();
    put("file", "abcdefgh");
    int fd = open("file", O_RDWR);
    int other = open("file", O_RDONLY);
    IN_CHILD(
        CALL(read(fd, buffer, 2));
        CALL(lseek(other, 5, SEEK_SET));
        CALL(fcntl(fd, F_SETFL, O_APPEND));
        CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
        CALL(close(other));
        CALL(mkdir("sub", 0777));
        CALL(chdir("sub"));
        CALL(umask(077)));
    CALL(read(fd, buffer, 1));
    TEXT(buffer);
    CALL(read(other, buffer, 1));
    TEXT(buffer);
    TRUTH(fcntl(fd, F_GETFL) & O_APPEND);
    NUMBER(fcntl(fd, F_GETFD));
    CALL(access("sub", F_OK));
    NUMBER(umask(022));
}

static void signals(void)
{
    struct sigaction action = { .sa_handler = handler };
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGUSR2, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    static char stack[65536];
    stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
    sigaltstack(&alternate, NULL);
    raise(SIGUSR1);
    struct itimerval timer = { .it_value.tv_sec = 1000 };
    setitimer(ITIMER_REAL, &timer, NULL);
    IN_CHILD(
        sigset_t now;
        sigpending(&now);
        TRUTH(sigismember(&now, SIGUSR1));
        sigprocmask(SIG_BLOCK, NULL, &now);
        TRUTH(sigismember(&now, SIGTERM));
        sigaction(SIGUSR1, NULL, &action);
        TRUTH(action.sa_handler == handler);
        sigaction(SIGUSR2, NULL, &action);
        TRUTH(action.sa_handler == SIG_IGN);
        stack_t found;
        sigaltstack(NULL, &found);
        TRUTH(found.ss_sp == stack && found.ss_size == sizeof stack);
        NUMBER(alarm(0));
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        NUMBER(handled);
        signal(SIGUSR1, SIG_DFL));
    TRUTH(alarm(0) > 900);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    NUMBER(handled);
    sigaction(SIGUSR1, NULL, &action);
    TRUTH(action.sa_handler == handler);
}

static long used_us(int who)
{
    struct rusage use;
    getrusage(who, &use);
    return use.ru_utime.tv_sec * 1000000 + use.ru_utime.tv_usec;
}

/* Far more than a child uses until it asks, also on a machine that is busy. */
static void usage(void)
{
    volatile unsigned long sum = 0;
    while (used_us(RUSAGE_SELF) < 500000)
        for (int i = 0; i < 1000000; i++)
            sum += i;
    IN_CHILD(
        TRUTH(used_us(RUSAGE_SELF) < 250000);
        NUMBER(used_us(RUSAGE_CHILDREN)));
}

int main(void)
{
    memory();
    identity();
    files();
    signals();
    usage();
    return 0;
}
