// Death by a NULL pointer.
#include "check.h"

int main(void)
{
    puts("before");
    *(volatile char *)0 = 1;
    puts("not reached");
    return 0;
}
