// Uses 100 MiB by malloc and by a file, gives them back, and does it again.
// timeout: 120
#include "check.h"
#include <sys/mman.h>

enum { SIZE = 100 << 20 };

static long sum_of(const char *from)
{
    long sum = 0;
    for (size_t i = 0; i < SIZE; i += 4096)
        sum += from[i];
    return sum;
}

int main(void)
{
    enter_scratch();
    for (int turn = 0; turn < 3; turn++) {
        char *block = malloc(SIZE);
        for (size_t i = 0; i < SIZE; i += 4096)
            block[i] = (char)(i >> 12);
        NUMBER(sum_of(block));
        free(block);
        int fd = open("large", O_RDWR | O_CREAT, 0644);
        CALL(ftruncate(fd, SIZE));
        char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        for (size_t i = 0; i < SIZE; i += 8192)
            map[i] = (char)(i >> 13);
        NUMBER(sum_of(map));
        CALL(munmap(map, SIZE));
        CALL(unlink("large"));
        CALL(close(fd));
    }
    return 0;
}
