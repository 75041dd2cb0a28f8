// Uses as many MiB of memory as its argument says, and tells.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
    size_t size = (size_t)atoi(argv[argc - 1]) << 20;
    char *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return 1;
    puts("begins");
    fflush(stdout);
    for (size_t i = 0; i < size; i += 4096)
        map[i] = 1;
    puts("done");
    return 0;
}
