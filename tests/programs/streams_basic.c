// The three streams as the program finds them.
// build: glibc pie musl
#include "check.h"
#include <sys/ioctl.h>
#include <sys/uio.h>

int main(void)
{
    char byte, name[64];
    CALL(isatty(0));
    CALL(isatty(1));
    CALL(isatty(2));
    CALL(read(0, &byte, 1));
    CALL(read(0, &byte, 1));
    CALL(read(0, &byte, 0));
    CALL(write(1, "out\n", 4));
    CALL(write(2, "err\n", 4));
    CALL(write(2, "", 0));
    struct iovec parts[] = { { "one ", 4 }, { "", 0 }, { "two\n", 4 } };
    CALL(writev(1, parts, 3));
    CALL(lseek(0, 0, SEEK_CUR));
    CALL(lseek(1, 0, SEEK_CUR));
    HEX(fcntl(0, F_GETFL) & O_ACCMODE);
    HEX(fcntl(1, F_GETFL) & O_ACCMODE);
    NUMBER(fcntl(0, F_GETFD));
    CALL(ioctl(0, 0x5401, &(char[256]){ 0 }));
    CALL(ttyname_r(0, name, sizeof name) == ENOTTY);
    CALL(close(0));
    CALL(read(0, &byte, 1));
    CALL(close(0));
    TRUTH(open("/dev/null", O_RDONLY) == 0);
    CALL(write(0, "x", 1));
    printf("the last line has no end");
    return 7;
}
