// /dev/null, zero, full, urandom, and /dev/fd.
#include "check.h"
#include <sys/mman.h>

int main(void)
{
    char buffer[64];
    memset(buffer, 'x', sizeof buffer);
    int null = OK(open("/dev/null", O_RDWR));
    CALL(read(null, buffer, 8));
    CALL(write(null, buffer, 8));
    CALL(write(null, (void *)8, 8));
    CALL(lseek(null, 100, SEEK_SET));
    CALL(ftruncate(null, 0));
    OK(open("/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    int zero = OK(open("/dev/zero", O_RDWR));
    CALL(read(zero, buffer, 8));
    NUMBER(buffer[0] + buffer[7]);
    NUMBER(buffer[8]);
    CALL(read(zero, (void *)8, 8));
    CALL(write(zero, buffer, 8));
    char *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    TRUTH(mapped != MAP_FAILED && mapped[100] == 0);
    int full = OK(open("/dev/full", O_RDWR));
    CALL(read(full, buffer + 8, 8));
    NUMBER(buffer[15]);
    CALL(write(full, buffer, 8));
    CALL(write(full, buffer, 0));
    int random = OK(open("/dev/urandom", O_RDONLY));
    char more[64] = "";
    CALL(read(random, buffer, 64));
    CALL(read(random, more, 64));
    TRUTH(memcmp(buffer, more, 64) != 0);
    OK(open("/dev/random", O_RDONLY));
    CALL(open("/dev/none", O_RDONLY));
    CALL(access("/dev/tty", F_OK));
    CALL(access("/dev/fd/0", F_OK));
    CALL(access("/dev/stdin", F_OK));
    int again = OK(open("/dev/stdout", O_WRONLY));
    CALL(write(again, "through /dev/stdout\n", 20));
    return 0;
}
