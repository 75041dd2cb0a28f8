// Death by SIGTERM.
#include "check.h"

int main(void)
{
    puts("before");
    raise(SIGTERM);
    puts("not reached");
    return 0;
}
