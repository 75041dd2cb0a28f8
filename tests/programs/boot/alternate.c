// Writes as many lines as its argument says, in turn to standard output and error.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int lines = argc > 1 ? atoi(argv[1]) : 10;
    for (int i = 0; i < lines; i++) {
        fprintf(i % 2 ? stderr : stdout, "line %d\n", i);
        fflush(NULL);
    }
    return 0;
}
