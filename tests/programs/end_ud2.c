// Death by an undefined instruction.
#include "check.h"

int main(void)
{
    puts("before");
    __builtin_trap();
    puts("not reached");
    return 0;
}
