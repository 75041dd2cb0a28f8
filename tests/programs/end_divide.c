// Death by a division by zero.
#include "check.h"

int main(void)
{
    volatile int zero = 0;
    puts("before");
    printf("%d\n", 100 / zero);
    return 0;
}
