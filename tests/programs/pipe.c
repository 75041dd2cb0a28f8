// pipe(2) within one process: portions, full and empty pipes, closed ends.
// build: glibc musl
#include "check.h"
#include <limits.h>
#include <sys/ioctl.h>

int main(void)
{
    int p[2];
    char buffer[256] = "";
    static char block[PIPE_BUF];
    signal(SIGPIPE, SIG_IGN);
    CALL(pipe(p));
    TRUTH(p[1] == p[0] + 1);
    CALL(write(p[1], "abcdef", 6));
    int waiting = 0;
    CALL(ioctl(p[0], FIONREAD, &waiting));
    NUMBER(waiting);
    CALL(read(p[0], buffer, 2));
    CALL(read(p[0], buffer + 2, 100));
    TEXT(buffer);
    CALL(write(p[0], "x", 1));
    CALL(read(p[1], buffer, 1));
    CALL(lseek(p[0], 0, SEEK_SET));
    CALL(pread(p[0], buffer, 1, 0));
    CALL(fcntl(p[0], F_SETFL, O_NONBLOCK));
    CALL(read(p[0], buffer, 1));
    CALL(fcntl(p[1], F_SETFL, O_NONBLOCK));
    TRUTH(fcntl(p[1], F_GETPIPE_SZ) >= PIPE_BUF);
    CALL(fcntl(p[1], F_SETPIPE_SZ, 65536));
    size_t total = 0;
    while (write(p[1], block, sizeof block) == sizeof block)
        total += sizeof block;
    NUMBER(total);
    CALL(write(p[1], "x", 1));
    CALL(read(p[0], block, 1));
    CALL(write(p[1], block, sizeof block));
    CALL(read(p[0], block, sizeof block - 1));
    CALL(write(p[1], block, sizeof block));
    CALL(close(p[1]));
    size_t drained = 0;
    ssize_t length;
    while ((length = read(p[0], block, sizeof block)) > 0)
        drained += length;
    NUMBER(drained);
    NUMBER(length);
    CALL(close(p[0]));
    CALL(pipe2(p, O_CLOEXEC | O_NONBLOCK));
    NUMBER(fcntl(p[0], F_GETFD));
    TRUTH(fcntl(p[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
    TRUTH(fcntl(p[0], F_GETFL) == O_NONBLOCK);
    CALL(close(p[0]));
    CALL(write(p[1], "x", 1));
    CALL(close(p[1]));
    CALL(pipe2(p, O_APPEND));
    CALL(pipe((int *)8));
    struct stat st;
    CALL(pipe(p));
    CALL(fstat(p[0], &st));
    TRUTH(S_ISFIFO(st.st_mode));
    NUMBER(st.st_size);
    CALL(ftruncate(p[1], 0));
    CALL(fsync(p[1]));
    return 0;
}
