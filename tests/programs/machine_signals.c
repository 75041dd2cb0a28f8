// Signals at 1 kHz, whose handler uses every vector register, leave registers, flags and the
// red zone of the interrupted code alone.
// Negative control: with the frame placed at the stack pointer, instead of 128 bytes below
// it, the red zone is lost at the first signal; without the extended state in the frame, the
// vectors are.
#include "machine_hold.h"
#include <sys/time.h>

static volatile long count;

static void on_alarm(int number)
{
    unsigned strange = 0x9fc0;
    (void)number;
    count++;
    asm volatile("fninit; fldz; fld1; ldmxcsr %0" : : "m"(strange));
    if (hold_avx)
        asm volatile("vzeroall" ::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                     "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                     "xmm15");
    asm volatile("stc; std; clc; cld" ::: "cc");
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    struct itimerval timer = { { 0, 1000 }, { 0, 1000 } }, off = { { 0, 0 }, { 0, 0 } };
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    hold_for(2);
    setitimer(ITIMER_REAL, &off, NULL);
    TRUTH(count > 100);
    return 0;
}
