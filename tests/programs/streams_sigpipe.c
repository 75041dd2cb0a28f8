// By default a broken pipe ends the program.
// stdout: closed
#include "check.h"

int main(void)
{
    static char block[4096];
    fprintf(stderr, "before\n");
    for (int i = 0; i < 1000000; i++)
        if (write(1, block, sizeof block) < 0)
            break;
    fprintf(stderr, "not reached\n");
    return 3;
}
