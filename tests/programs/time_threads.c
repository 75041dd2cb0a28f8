// Timers and CPU time of processes with threads: signals to one thread, timers that call a
// function, and threads that share the process's time.
// build: glibc musl
// flags: -pthread
#include "check.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#define MS 1000000L
#define WORKERS 3

static volatile int called, called_value, caught, stop;
static volatile pid_t caught_by;
static volatile long burnt;

static long now_ns(clockid_t clock)
{
    struct timespec now = { 0, 0 };
    if (clock_gettime(clock, &now) != 0)
        return -1;
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void call(union sigval value)
{
    called_value = value.sival_int;
    called++;
}

static void handle(int signal)
{
    (void)signal;
    caught_by = syscall(SYS_gettid);
    caught++;
}

static void *work(void *argument)
{
    (void)argument;
    while (!stop)
        burnt++;
    return NULL;
}

static void *wait_for_signals(void *argument)
{
    struct timespec step = { 0, 5 * MS };
    *(pid_t *)argument = syscall(SYS_gettid);
    while (!stop)
        nanosleep(&step, NULL);
    return NULL;
}

static void pause_until(volatile int *what, int least)
{
    struct timespec step = { 0, 5 * MS };
    for (int i = 0; i < 4000 && *what < least; i++)
        nanosleep(&step, NULL);
    TRUTH(*what >= least);
}

int main(void)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD };
    struct itimerspec new = { { 0, 10 * MS }, { 0, 10 * MS } }, off = { { 0, 0 }, { 0, 0 } };
    timer_t id;
    pthread_t workers[WORKERS], waiter;

    /* The C library makes a thread for each call. */
    event.sigev_notify_function = call;
    event.sigev_value.sival_int = 42;
    CALL(timer_create(CLOCK_MONOTONIC, &event, &id));
    CALL(timer_settime(id, 0, &new, NULL));
    pause_until(&called, 3);
    NUMBER(called_value);
    CALL(timer_delete(id));

    /* One thread gets the signal, whoever else is there. */
    volatile pid_t thread = 0;
    signal(SIGUSR1, handle);
    ERROR(pthread_create(&waiter, NULL, wait_for_signals, (void *)&thread));
    while (!thread)
        usleep(1000);
    event.sigev_notify = SIGEV_SIGNAL | 4 /* SIGEV_THREAD_ID */;
    event.sigev_signo = SIGUSR1;
    memcpy((char *)&event + 16, (const void *)&thread, sizeof thread);
    int number;
    CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &number));
    CALL(syscall(SYS_timer_settime, number, 0, &new, NULL));
    pause_until(&caught, 3);
    TRUTH(caught_by == thread);
    CALL(syscall(SYS_timer_settime, number, 0, &off, NULL));
    stop = 1;
    ERROR(pthread_join(waiter, NULL));
    CALL(syscall(SYS_timer_delete, number));

    /* Several threads use the process's time up together. */
    stop = caught = 0;
    signal(SIGPROF, handle);
    struct itimerval interval = { { 0, 0 }, { 0, 200000 } };
    long process = now_ns(CLOCK_PROCESS_CPUTIME_ID), own = now_ns(CLOCK_THREAD_CPUTIME_ID);
    CALL(setitimer(ITIMER_PROF, &interval, NULL));
    for (int i = 0; i < WORKERS; i++)
        ERROR(pthread_create(&workers[i], NULL, work, NULL));
    pause_until(&caught, 1);
    process = now_ns(CLOCK_PROCESS_CPUTIME_ID) - process;
    own = now_ns(CLOCK_THREAD_CPUTIME_ID) - own;
    TRUTH(process >= 150 * MS && process < 2000 * MS);
    TRUTH(own < process / 2);
    clockid_t clock;
    ERROR(pthread_getcpuclockid(workers[0], &clock));
    TRUTH(now_ns(clock) > 0 && now_ns(clock) < now_ns(CLOCK_PROCESS_CPUTIME_ID));

    /* Waiting for the time of all of them. */
    struct timespec time = { 0, 100 * MS };
    process = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    ERROR(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &time, NULL));
    TRUTH(now_ns(CLOCK_PROCESS_CPUTIME_ID) - process >= 100 * MS);
    stop = 1;
    for (int i = 0; i < WORKERS; i++)
        ERROR(pthread_join(workers[i], NULL));
    TRUTH(now_ns(clock) == -1);
    TRUTH(burnt > 0);
    return 0;
}
