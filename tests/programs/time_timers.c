// Timers with numbers and with descriptors, and clocks of CPU time: what they count, whom they
// tell, and what becomes of them over fork and exec.
// build: glibc musl
#include "check.h"
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>

#define MS 1000000L

static volatile int caught, caught_code, caught_value;

static void handle(int signal, siginfo_t *info, void *context)
{
    (void)context;
    caught += signal == info->si_signo;
    caught_code = info->si_code;
    caught_value = info->si_value.sival_int;
}

static struct timespec ts(long ns)
{
    return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

static struct itimerspec its(long value, long interval)
{
    return (struct itimerspec){ ts(interval), ts(value) };
}

static long now_ns(clockid_t clock)
{
    struct timespec now = { 0, 0 };
    if (clock_gettime(clock, &now) != 0)
        return -1;
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits for that many signals, also when they come before. */
static void await(int signals)
{
    struct timespec moment = { 0, MS };
    while (caught < signals)
        nanosleep(&moment, NULL);
}

/* Computes for that much CPU time of the process. */
static void burn(long ns)
{
    long until = now_ns(CLOCK_PROCESS_CPUTIME_ID) + ns;
    while (now_ns(CLOCK_PROCESS_CPUTIME_ID) < until)
        for (volatile int i = 0; i < 1000; i++)
            ;
}

static void posix_timers(void)
{
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    struct itimerspec new, old;
    timer_t id, silent, bad = (timer_t)77;
    sigset_t set, before;
    siginfo_t info;

    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    event.sigev_value.sival_int = 4711;
    CALL(timer_create(CLOCK_MONOTONIC, &event, &id));
    new = its(300 * MS, 0);
    CALL(timer_settime(id, 0, &new, NULL));
    CALL(timer_gettime(id, &old));
    TRUTH(old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 300 * MS);
    await(1);
    NUMBER(caught);
    TRUTH(caught_code == SI_TIMER);
    NUMBER(caught_value);
    CALL(timer_gettime(id, &old));
    TRUTH(old.it_value.tv_sec == 0 && old.it_value.tv_nsec == 0);

    /* While its signal is blocked, expirations are counted. */
    sigprocmask(SIG_BLOCK, &set, &before);
    new = its(2 * MS, 5 * MS);
    CALL(timer_settime(id, 0, &new, NULL));
    struct timespec pause_for = ts(60 * MS);
    nanosleep(&pause_for, NULL);
    CALL(sigwaitinfo(&set, &info) == SIGUSR1);
    TRUTH(info.si_code == SI_TIMER && info.si_value.sival_int == 4711);
    TRUTH(info.si_overrun >= 10);
    TRUTH(timer_getoverrun(id) == info.si_overrun);
    CALL(timer_gettime(id, &old));
    TRUTH(old.it_interval.tv_nsec == 5 * MS);
    new = its(0, 0);
    CALL(timer_settime(id, 0, &new, &old));
    TRUTH(old.it_interval.tv_nsec == 5 * MS && old.it_value.tv_nsec > 0);
    struct timespec zero = { 0, 0 };
    while (sigtimedwait(&set, &info, &zero) > 0)
        ;
    sigprocmask(SIG_SETMASK, &before, NULL);

    /* A moment in the past has come. */
    caught = 0;
    new = its(1, 0);
    CALL(timer_settime(id, TIMER_ABSTIME, &new, NULL));
    await(1);
    NUMBER(caught);
    new = its(now_ns(CLOCK_MONOTONIC) + 20 * MS, 0);
    CALL(timer_settime(id, TIMER_ABSTIME, &new, NULL));
    await(2);
    TRUTH(now_ns(CLOCK_MONOTONIC) >= new.it_value.tv_sec * 1000000000 + new.it_value.tv_nsec);

    event.sigev_notify = SIGEV_NONE;
    CALL(timer_create(CLOCK_REALTIME, &event, &silent));
    new = its(1000000 * MS, 0);
    CALL(timer_settime(silent, 0, &new, NULL));
    CALL(timer_gettime(silent, &old));
    TRUTH(old.it_value.tv_sec == 999 || old.it_value.tv_sec == 1000);
    CALL(timer_delete(silent));
    CALL(syscall(SYS_timer_delete, 76));
    CALL(syscall(SYS_timer_gettime, 77, &old));
    CALL(syscall(SYS_timer_getoverrun, -1));
    (void)bad;
    new.it_value.tv_nsec = 1000000000;
    CALL(timer_settime(id, 0, &new, NULL));
    event.sigev_notify = 5;
    CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &silent));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = 65;
    CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &silent));
    CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC_RAW, NULL, &silent));
    CALL(syscall(SYS_timer_create, 77, NULL, &silent));
    CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, 8));

    /* A child has none of them. */
    if (fork() == 0) {
        CALL(syscall(SYS_timer_gettime, 0, &old));
        exit(0);
    }
    wait(NULL);
    CALL(timer_delete(id));
}

static void descriptors(void)
{
    uint64_t count = 0;
    struct itimerspec new, old;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    TRUTH(fd >= 0);
    struct pollfd watch = { fd, POLLIN, 0 };
    CALL(read(fd, &count, sizeof count));
    CALL(poll(&watch, 1, 0));
    new = its(10 * MS, 10 * MS);
    CALL(timerfd_settime(fd, 0, &new, NULL));
    CALL(poll(&watch, 1, 5000));
    HEX(watch.revents);
    struct timespec pause_for = ts(50 * MS);
    nanosleep(&pause_for, NULL);
    CALL(read(fd, &count, sizeof count));
    TRUTH(count >= 5);
    CALL(timerfd_gettime(fd, &old));
    TRUTH(old.it_interval.tv_nsec == 10 * MS && old.it_value.tv_nsec <= 10 * MS);
    CALL(read(fd, &count, 7));
    CALL(write(fd, &count, 8));
    CALL(lseek(fd, 0, SEEK_CUR));
    fcntl(fd, F_SETFL, 0);
    CALL(read(fd, &count, sizeof count));
    new = its(0, 0);
    CALL(timerfd_settime(fd, 0, &new, &old));
    TRUTH(old.it_interval.tv_nsec == 10 * MS);
    CALL(poll(&watch, 1, 30));
    new = its(now_ns(CLOCK_MONOTONIC) - 10 * MS, 0);
    CALL(timerfd_settime(fd, TFD_TIMER_ABSTIME, &new, NULL));
    CALL(read(fd, &count, sizeof count));
    NUMBER(count);
    CALL(timerfd_settime(fd, 8, &new, NULL));
    CALL(timerfd_settime(0, 0, &new, NULL));
    CALL(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    CALL(timerfd_create(CLOCK_MONOTONIC, 1));
    char path[64], link[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CALL(readlink(path, link, sizeof link - 1));
    TEXT(link);
    close(fd);
}

static void cpu_time(void)
{
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
    struct timespec pause_for = ts(50 * MS), long_pause = ts(500 * MS);
    long before = now_ns(CLOCK_PROCESS_CPUTIME_ID), thread = now_ns(CLOCK_THREAD_CPUTIME_ID);
    nanosleep(&long_pause, NULL);
    TRUTH(now_ns(CLOCK_PROCESS_CPUTIME_ID) - before < 250 * MS);
    burn(30 * MS);
    TRUTH(now_ns(CLOCK_THREAD_CPUTIME_ID) - thread >= 30 * MS);

    /* A child's time is its own, and its parent's once it was waited for. */
    struct rusage usage;
    clockid_t clock;
    int ready[2];
    char byte;
    pid_t child;
    struct rusage earlier;
    getrusage(RUSAGE_CHILDREN, &earlier);
    if (pipe(ready) || (child = fork()) == 0) {
        burn(40 * MS);
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    CALL(read(ready[0], &byte, 1));
    ERROR(clock_getcpuclockid(child, &clock));
    TRUTH(now_ns(clock) >= 40 * MS && now_ns(clock) < 5000 * MS);
    getrusage(RUSAGE_CHILDREN, &usage);
    TRUTH(usage.ru_utime.tv_sec == earlier.ru_utime.tv_sec);
    TRUTH(usage.ru_utime.tv_usec == earlier.ru_utime.tv_usec);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    getrusage(RUSAGE_CHILDREN, &usage);
    TRUTH(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec >= 30000 || usage.ru_utime.tv_sec);
    TRUTH(clock_getcpuclockid(child, &clock) != 0);

    /* Two who compute at the same time share the processors. */
    sigaction(SIGPROF, &action, NULL);
    sigaction(SIGVTALRM, &action, NULL);
    sigaction(SIGXCPU, &action, NULL);
    struct itimerval interval = { { 0, 0 }, { 0, 200000 } };
    caught = 0;
    before = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    CALL(setitimer(ITIMER_PROF, &interval, NULL));
    nanosleep(&pause_for, NULL);
    nanosleep(&pause_for, NULL);
    NUMBER(caught);
    while (!caught)
        ;
    before = now_ns(CLOCK_PROCESS_CPUTIME_ID) - before;
    /* Linux may count in ticks. */
    TRUTH(before >= 150 * MS && before < 5000 * MS);
    interval.it_interval.tv_usec = 20000;
    caught = 0;
    CALL(setitimer(ITIMER_VIRTUAL, &interval, NULL));
    while (caught < 3)
        ;
    struct itimerval old, off = { { 0, 0 }, { 0, 0 } };
    CALL(getitimer(ITIMER_VIRTUAL, &old));
    TRUTH(old.it_interval.tv_usec == 20000 && old.it_value.tv_usec <= 24000);
    CALL(setitimer(ITIMER_VIRTUAL, &off, NULL));
    CALL(setitimer(3, &off, NULL));

    timer_t id;
    struct itimerspec new = its(30 * MS, 0);
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF };
    caught = 0;
    CALL(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &id));
    CALL(timer_settime(id, 0, &new, NULL));
    while (!caught)
        ;
    TRUTH(caught_code == SI_TIMER);
    timer_delete(id);
    TRUTH(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &pause_for, NULL) == EINVAL);
    CALL(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &pause_for, NULL));
}

/* How a child ends that computes under this limit of seconds. */
static void limited(rlim_t soft, rlim_t hard, int handles)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = { soft, hard };
        setrlimit(RLIMIT_CPU, &limit);
        if (!handles)
            signal(SIGXCPU, SIG_DFL);
        caught = 0;
        alarm(60);
        for (;;)
            if (handles && caught == 1) {
                getrlimit(RLIMIT_CPU, &limit);
                _exit(limit.rlim_cur == soft + 1 ? 7 : 8);
            }
    }
    int status;
    waitpid(child, &status, 0);
    printf("limit %d:%d -> %s %d\n", (int)soft, (int)hard,
           WIFEXITED(status) ? "exit" : "signal",
           WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

int main(void)
{
    posix_timers();
    descriptors();
    cpu_time();
    limited(1, 10, 1);
    limited(1, 10, 0);
    limited(1, 1, 1);
    return 0;
}
