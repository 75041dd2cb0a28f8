// lseek, holes and sparse files.
#include "check.h"

int main(void)
{
    enter_scratch();
    char byte = 1;
    struct stat st;
    int fd = OK(open("file", O_RDWR | O_CREAT, 0644));
    CALL(lseek(fd, 5, SEEK_SET));
    CALL(lseek(fd, -6, SEEK_CUR));
    CALL(lseek(fd, -1, SEEK_SET));
    CALL(lseek(fd, 3, SEEK_CUR));
    CALL(lseek(fd, 2, SEEK_END));
    CALL(lseek(fd, 0, 17));
    CALL(lseek(fd, 0x7fffffffffffffff, SEEK_SET));
    CALL(lseek(fd, 1, SEEK_CUR));
    CALL(lseek(fd, 10, SEEK_SET));
    CALL(write(fd, "x", 1));
    CALL(fstat(fd, &st));
    NUMBER(st.st_size);
    CALL(pread(fd, &byte, 1, 3));
    NUMBER(byte);

    CALL(ftruncate(fd, 0));
    CALL(ftruncate(fd, 1 << 20));
    CALL(pwrite(fd, "y", 1, 0x40000));
    CALL(lseek(fd, 0, SEEK_DATA));
    CALL(lseek(fd, 0x40000, SEEK_DATA));
    CALL(lseek(fd, 0x40000, SEEK_HOLE));
    CALL(lseek(fd, 0, SEEK_HOLE));
    CALL(lseek(fd, 0x50000, SEEK_DATA));
    CALL(lseek(fd, 0x50000, SEEK_HOLE));
    CALL(lseek(fd, 1 << 20, SEEK_DATA));
    CALL(lseek(fd, 1 << 20, SEEK_HOLE));
    fstat(fd, &st);
    NUMBER(st.st_size);
    NUMBER(st.st_blocks);
    NUMBER(st.st_blksize);

    CALL(pwrite(fd, "z", 1, 1L << 40));
    fstat(fd, &st);
    NUMBER(st.st_size);
    NUMBER(st.st_blocks);
    CALL(pread(fd, &byte, 1, (1L << 40) - 1));
    NUMBER(byte);
    CALL(pread(fd, &byte, 1, 1L << 40));
    NUMBER(byte);
    CALL(ftruncate(fd, 0x40000));
    fstat(fd, &st);
    NUMBER(st.st_blocks);
    int dir = open(".", O_RDONLY);
    CALL(lseek(dir, 0, SEEK_SET));
    CALL(lseek(999, 0, SEEK_SET));
    return 0;
}
