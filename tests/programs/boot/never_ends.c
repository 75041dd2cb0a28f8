// Never ends: sleeps, or computes with the argument `busy`.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    puts("begins");
    fflush(stdout);
    if (argc > 1 && strcmp(argv[1], "busy") == 0)
        for (volatile long i = 0;; i++)
            ;
    for (;;)
        pause();
}
