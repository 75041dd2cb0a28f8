// SA_RESTART: which calls go on after a handler, and which end with EINTR.
#include "check.h"
#include <sys/time.h>
#include <time.h>

static int p[2];
static volatile int count;

/* The second signal brings the byte that the interrupted read waits for. */
static void on_alarm(int number)
{
    (void)number;
    if (++count == 2)
        write(p[1], "x", 1);
}

int main(void)
{
    char byte = 0;
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    struct itimerval repeat = { { 0, 30000 }, { 0, 30000 } }, off = { { 0, 0 }, { 0, 0 } };
    struct timespec long_time = { 5, 0 };
    sigaction(SIGALRM, &action, NULL);
    pipe(p);
    setitimer(ITIMER_REAL, &repeat, NULL);
    CALL(read(p[0], &byte, 1));
    NUMBER(byte);
    TRUTH(count >= 2);
    CALL(nanosleep(&long_time, NULL));
    CALL(pause());
    count = 10;
    action.sa_flags = 0;
    sigaction(SIGALRM, &action, NULL);
    CALL(read(p[0], &byte, 1));
    setitimer(ITIMER_REAL, &off, NULL);
    return 0;
}
