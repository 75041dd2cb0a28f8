// Waiting for signals: pause, sigsuspend, alarm, setitimer, and interrupted calls.
// build: glibc musl
#include "check.h"
#include <sys/time.h>
#include <time.h>

static volatile int count;
static void on_alarm(int number) { (void)number; count++; }

// Signals now and then, so that one comes also to a wait that begins late.
static void ring(int on)
{
    struct itimerval timer = { { 0, on * 30000 }, { 0, on * 30000 } };
    setitimer(ITIMER_REAL, &timer, NULL);
    if (on)
        count = 0;
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &action, NULL);
    ring(1);
    CALL(pause());
    ring(0);
    TRUTH(count >= 1);
    count = 1;
    struct itimerval timer = { { 0, 0 }, { 0, 30000 } }, left;
    CALL(setitimer(ITIMER_REAL, &timer, NULL));
    while (count < 2)
        ;
    count = 1;
    CALL(getitimer(ITIMER_REAL, &left));
    NUMBER(left.it_value.tv_sec * 1000000 + left.it_value.tv_usec);

    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    CALL(sigsuspend(&none));
    NUMBER(count);
    sigprocmask(SIG_BLOCK, NULL, &none);
    NUMBER(sigismember(&none, SIGALRM));
    setitimer(ITIMER_REAL, &timer, NULL);
    int number = 0;
    ERROR(sigwait(&blocked, &number));
    NUMBER(number);
    NUMBER(count);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);

    struct itimerval repeat = { { 0, 10000 }, { 0, 10000 } }, off = { { 0, 0 }, { 0, 0 } };
    count = 0;
    CALL(setitimer(ITIMER_REAL, &repeat, NULL));
    while (count < 5)
        pause();
    CALL(setitimer(ITIMER_REAL, &off, &left));
    NUMBER(left.it_interval.tv_usec);
    TRUTH(count >= 5);
    /* A busy program gets its signals too. */
    count = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
    while (!count)
        ;
    NUMBER(count);

    struct timespec long_time = { 100, 0 }, rest = { 0, 0 };
    ring(1);
    CALL(nanosleep(&long_time, &rest));
    TRUTH(rest.tv_sec < 100 && rest.tv_sec > 50);
    int p[2];
    char byte;
    pipe(p);
    CALL(read(p[0], &byte, 1));
    ring(0);
    NUMBER(alarm(100));
    TRUTH(alarm(0) >= 99);
    NUMBER(alarm(0));
    struct itimerval bad = { { 0, 0 }, { 0, 1000000 } };
    CALL(setitimer(ITIMER_REAL, &bad, NULL));
    CALL(setitimer(77, &timer, NULL));
    CALL(getitimer(77, &left));
    return 0;
}
