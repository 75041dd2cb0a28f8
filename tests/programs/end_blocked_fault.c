// A fault whose signal is blocked ends the program.
#include "check.h"

int main(void)
{
    puts("before");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    *(volatile char *)0 = 1;
    puts("not reached");
    return 0;
}
