// RLIMIT_FSIZE: SIGXFSZ and EFBIG.
#include "check.h"
#include <sys/resource.h>

static volatile int caught;
static void on_signal(int number) { caught = number; }

int main(void)
{
    enter_scratch();
    struct rlimit limit = { 1000, 2000 };
    static char block[600];
    int fd = open("file", O_RDWR | O_CREAT, 0644);
    CALL(setrlimit(RLIMIT_FSIZE, &limit));
    signal(SIGXFSZ, SIG_IGN);
    CALL(write(fd, block, 600));
    CALL(write(fd, block, 600));
    CALL(write(fd, block, 600));
    CALL(ftruncate(fd, 1001));
    CALL(ftruncate(fd, 1000));
    CALL(pwrite(fd, block, 1, 2000));
    signal(SIGXFSZ, on_signal);
    CALL(write(fd, block, 600));
    TRUTH(caught == SIGXFSZ);
    signal(SIGXFSZ, SIG_DFL);
    CALL(write(fd, block, 600));
    puts("not reached");
    return 0;
}
