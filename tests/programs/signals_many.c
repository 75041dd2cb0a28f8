// A hundred thousand signals, one after another, and nested ones to a depth of a hundred.
// timeout: 120
#include "check.h"

static volatile int count, depth;

static void on_signal(int number) { (void)number; count++; }

static void on_nested(int number)
{
    volatile double half = 0.5;
    count++;
    if (++depth < 100)
        raise(number);
    depth -= (int)(half + half);
}

int main(void)
{
    signal(SIGUSR1, on_signal);
    double sum = 0;
    for (int i = 0; i < 100000; i++) {
        raise(SIGUSR1);
        sum += 0.25 * i;
    }
    NUMBER(count);
    printf("%.2f\n", sum);
    struct sigaction action = { .sa_handler = on_nested, .sa_flags = SA_NODEFER };
    sigaction(SIGUSR2, &action, NULL);
    count = 0;
    raise(SIGUSR2);
    NUMBER(count);
    NUMBER(depth);
    return 0;
}
