// Clocks and sleeps: order and lower bounds, never exact times.
// build: glibc pie musl
#include "check.h"
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

static long now_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        return -1;
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(void)
{
    struct timespec ts, rest = { 7, 7 };
    struct timeval tv;
    int backwards = 0;
    long last = now_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < 20000; i++) {
        long next = now_ns(CLOCK_MONOTONIC);
        backwards += next < last;
        last = next;
    }
    NUMBER(backwards);
    TRUTH(now_ns(CLOCK_MONOTONIC) > 0);
    TRUTH(now_ns(CLOCK_REALTIME) > 1600000000000000000);
    TRUTH(now_ns(CLOCK_BOOTTIME) >= now_ns(CLOCK_MONOTONIC) - 1000000000);
    TRUTH(now_ns(CLOCK_MONOTONIC_RAW) > 0);
    TRUTH(now_ns(CLOCK_MONOTONIC_COARSE) <= now_ns(CLOCK_MONOTONIC));
    TRUTH(now_ns(CLOCK_REALTIME_COARSE) <= now_ns(CLOCK_REALTIME));
    TRUTH(now_ns(CLOCK_PROCESS_CPUTIME_ID) >= 0);
    TRUTH(now_ns(CLOCK_THREAD_CPUTIME_ID) >= 0);
    CALL(clock_gettime(77, &ts));
    CALL(clock_getres(CLOCK_MONOTONIC, &ts));
    TRUTH(ts.tv_sec == 0 && ts.tv_nsec >= 1 && ts.tv_nsec <= 10000000);
    CALL(clock_getres(77, &ts));
    gettimeofday(&tv, NULL);
    /* time(2) may read the clock of the last tick: just behind gettimeofday(2). */
    long difference = time(NULL) - tv.tv_sec;
    TRUTH(-1 <= difference && difference <= 1);
    time_t stored = 0, returned = time(&stored);
    TRUTH(stored == returned);
    TRUTH(syscall(SYS_time, NULL) - stored <= 1);

    const long ms = 1000000;
    long start = now_ns(CLOCK_MONOTONIC), wall = now_ns(CLOCK_REALTIME);
    ts = (struct timespec){ 0, 50 * ms };
    CALL(nanosleep(&ts, &rest));
    long slept = now_ns(CLOCK_MONOTONIC) - start, wall_slept = now_ns(CLOCK_REALTIME) - wall;
    TRUTH(slept >= 50 * ms && slept < 5000 * ms);
    TRUTH(wall_slept >= 49 * ms && wall_slept < 5000 * ms);
    NUMBER(rest.tv_sec);
    start = now_ns(CLOCK_MONOTONIC);
    ts.tv_sec = (start + 40 * ms) / 1000000000;
    ts.tv_nsec = (start + 40 * ms) % 1000000000;
    ERROR(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));
    TRUTH(now_ns(CLOCK_MONOTONIC) >= start + 40 * ms);
    ERROR(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));
    ts = (struct timespec){ 0, 20 * ms };
    start = now_ns(CLOCK_MONOTONIC);
    ERROR(clock_nanosleep(CLOCK_REALTIME, 0, &ts, NULL));
    TRUTH(now_ns(CLOCK_MONOTONIC) >= start + 20 * ms);
    ts = (struct timespec){ 0, 0 };
    CALL(nanosleep(&ts, NULL));
    ts = (struct timespec){ 0, 1000000000 };
    CALL(nanosleep(&ts, NULL));
    ts = (struct timespec){ -1, 0 };
    CALL(nanosleep(&ts, NULL));
    ERROR(clock_nanosleep(77, 0, &ts, NULL));
    start = now_ns(CLOCK_MONOTONIC);
    CALL(usleep(10000));
    TRUTH(now_ns(CLOCK_MONOTONIC) >= start + 10 * ms);

    /* Work takes processor time, sleeping does not. */
    start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (volatile long i = 0; i < 3000000; i++)
        ;
    TRUTH(now_ns(CLOCK_PROCESS_CPUTIME_ID) > start);
    start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    ts = (struct timespec){ 0, 200 * ms };
    nanosleep(&ts, NULL);
    TRUTH(now_ns(CLOCK_PROCESS_CPUTIME_ID) - start < 150 * ms);
    struct rusage usage;
    CALL(getrusage(RUSAGE_SELF, &usage));
    TRUTH(usage.ru_utime.tv_sec < 60);
    CALL(getrusage(RUSAGE_CHILDREN, &usage));
    CALL(getrusage(77, &usage));
    struct tms used;
    TRUTH(times(&used) != -1);
    TRUTH(used.tms_cutime == 0);
    return 0;
}
