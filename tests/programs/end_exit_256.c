// Only the low 8 bits of an exit status count.
#include "check.h"

int main(void)
{
    puts("before");
    fflush(stdout);
    _exit(256 + 42);
    puts("not reached");
    return 0;
}
