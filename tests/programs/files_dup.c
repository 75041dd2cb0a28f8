// Descriptors: dup, dup2, dup3, fcntl, shared offsets, limits.
// build: glibc musl
#include "check.h"
#include <sys/resource.h>

int main(void)
{
    enter_scratch();
    char buffer[8] = "";
    put("file", "0123456789");
    int a = OK(open("file", O_RDWR));
    int b = OK(dup(a));
    TRUTH(b == a + 1);
    CALL(lseek(a, 4, SEEK_SET));
    CALL(read(b, buffer, 2));
    TEXT(buffer);
    CALL(lseek(a, 0, SEEK_CUR));
    CALL(close(a));
    CALL(read(b, buffer, 2));
    TRUTH(OK(dup(b)) == a);
    CALL(dup2(b, 100));
    CALL(dup2(b, 100));
    CALL(dup2(b, b) == b);
    CALL(dup2(999, 100));
    CALL(dup2(999, 999));
    CALL(dup2(b, -1));
    CALL(fcntl(100, F_GETFD));
    CALL(dup3(b, 101, O_CLOEXEC));
    CALL(fcntl(101, F_GETFD));
    CALL(dup3(b, b, 0));
    CALL(dup3(b, 102, O_APPEND));
    CALL(dup3(999, 102, 0));
    CALL(fcntl(b, F_DUPFD, 50));
    CALL(fcntl(b, F_DUPFD, 50));
    CALL(fcntl(b, F_DUPFD_CLOEXEC, 50));
    CALL(fcntl(52, F_GETFD));
    CALL(fcntl(51, F_GETFD));
    CALL(fcntl(b, F_DUPFD, -1));
    CALL(fcntl(999, F_DUPFD, 0));
    CALL(fcntl(b, F_SETFL, O_APPEND | O_NONBLOCK));
    HEX(fcntl(100, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
    CALL(fcntl(b, F_SETFL, O_WRONLY));
    HEX(fcntl(b, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
    CALL(fcntl(b, F_SETFD, FD_CLOEXEC));
    CALL(fcntl(b, F_GETFD));
    CALL(fcntl(100, F_GETFD));
    CALL(fcntl(b, 9999, 0));
    CALL(fcntl(999, F_GETFL));
    CALL(close(-1));

    struct rlimit limit;
    CALL(getrlimit(RLIMIT_NOFILE, &limit));
    struct rlimit small = { 32, limit.rlim_max };
    CALL(setrlimit(RLIMIT_NOFILE, &small));
    int opened = 0, fd;
    for (int i = 3; i < 200; i++)
        close(i);
    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        opened++;
    TEXT(errno_name(errno));
    NUMBER(opened);
    CALL(dup(0));
    CALL(dup2(0, 32));
    CALL(dup2(0, 31));
    CALL(fcntl(0, F_DUPFD, 32));
    int p[2];
    CALL(pipe(p));
    close(10);
    CALL(pipe(p));
    CALL(dup(0));
    struct rlimit wrong = { 5, 4 };
    CALL(setrlimit(RLIMIT_NOFILE, &wrong));
    CALL(getrlimit(RLIMIT_NOFILE, &limit));
    NUMBER(limit.rlim_cur);
    return 0;
}
