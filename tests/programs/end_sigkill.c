// Death by SIGKILL, which nothing can stop.
#include "check.h"

int main(void)
{
    puts("before");
    signal(SIGKILL, SIG_IGN);
    kill(getpid(), SIGKILL);
    puts("not reached");
    return 0;
}
