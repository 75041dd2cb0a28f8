// truncate(2) and ftruncate(2).
#include "check.h"

int main(void)
{
    enter_scratch();
    char buffer[16];
    struct stat st;
    put("file", "0123456789");
    CALL(truncate("file", 4));
    TEXT(get("file"));
    CALL(truncate("file", 8));
    stat("file", &st);
    NUMBER(st.st_size);
    int fd = open("file", O_RDWR);
    CALL(read(fd, buffer, 16));
    HEX(buffer[4] | buffer[5] | buffer[6] | buffer[7]);
    /* What was cut off must not come back, within a page and across pages. */
    static char ones[20000];
    memset(ones, 1, sizeof ones);
    pwrite(fd, ones, sizeof ones, 0);
    CALL(ftruncate(fd, 100));
    CALL(ftruncate(fd, 20000));
    static char back[20000];
    CALL(pread(fd, back, sizeof back, 0));
    int sum = 0;
    for (size_t i = 0; i < sizeof back; i++)
        sum += back[i];
    NUMBER(sum);
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(ftruncate(fd, -1));
    CALL(truncate("file", -1));
    CALL(truncate("none", 0));
    CALL(truncate("", 0));
    CALL(truncate("file/x", 0));
    mkdir("dir", 0755);
    CALL(truncate("dir", 0));
    int read_only = open("file", O_RDONLY);
    CALL(ftruncate(read_only, 0));
    CALL(ftruncate(open("dir", O_RDONLY), 0));
    CALL(ftruncate(999, 0));
    CALL(truncate((char *)8, 0));
    symlink("file", "link");
    CALL(truncate("link", 3));
    stat("file", &st);
    NUMBER(st.st_size);
    return 0;
}
