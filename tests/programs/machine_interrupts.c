// Interrupts leave registers, flags and the red zone alone: three seconds under a timer of
// 1 kHz, whose signal is blocked so that nothing but the interrupts happens.
// Negative control: a gate without an interrupt stack of its own pushes its frame into the
// red zone; a kernel built so loses words here.
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include "machine_hold.h"

int main(void)
{
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm, NULL);
    struct itimerval millisecond = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &millisecond, NULL);
    hold_for(3);
    return 0;
}
