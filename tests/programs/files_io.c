// read, write and their positioned and vectored forms.
#include "check.h"
#include <limits.h>
#include <sys/uio.h>

int main(void)
{
    enter_scratch();
    char buffer[64] = "", left[4] = "", right[8] = "";
    int fd = OK(open("file", O_RDWR | O_CREAT, 0644));
    CALL(write(fd, "hello, crab", 11));
    CALL(read(fd, buffer, 10));
    CALL(pread(fd, buffer, 5, 7));
    TEXT(buffer);
    CALL(pread(fd, buffer, 5, 11));
    CALL(pread(fd, buffer, 5, 1000));
    CALL(pread(fd, buffer, 5, -1));
    CALL(pwrite(fd, "C", 1, 7));
    CALL(pwrite(fd, "!", 1, -1));
    CALL(pwrite(fd, "!", 1, 15));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(lseek(fd, 0, SEEK_SET));
    memset(buffer, 0, sizeof buffer);
    CALL(read(fd, buffer, sizeof buffer));
    NUMBER(buffer[11] + buffer[14]);
    NUMBER(buffer[15]);
    struct iovec in[] = { { left, 3 }, { NULL, 0 }, { right, 7 } };
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(readv(fd, in, 3));
    TEXT(left);
    TEXT(right);
    struct iovec out[] = { { "12", 2 }, { "345", 3 } };
    CALL(writev(fd, out, 2));
    CALL(pwritev(fd, out, 2, 0));
    CALL(preadv(fd, in, 3, 1));
    TEXT(left);
    TEXT(right);
    CALL(preadv(fd, in, 3, -1));
    CALL(pwritev2(fd, out, 2, -1, 0));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(preadv2(fd, in, 1, 0, 0));
    CALL(preadv2(fd, in, 1, 0, 0x40000000));
    CALL(readv(fd, in, 0));
    CALL(readv(fd, in, -1));
    CALL(readv(fd, in, IOV_MAX + 1));
    struct iovec huge[] = { { buffer, SSIZE_MAX }, { buffer, SSIZE_MAX } };
    CALL(readv(fd, huge, 2));
    struct iovec bad[] = { { "good", 4 }, { (void *)8, 4 } };
    CALL(writev(fd, bad, 2));
    CALL(writev(fd, bad + 1, 1));
    CALL(readv(fd, (struct iovec *)8, 1));
    CALL(write(fd, (void *)8, 4));
    CALL(read(fd, (void *)8, 4));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(read(fd, (void *)8, 4));
    CALL(read(fd, (void *)8, 0));
    CALL(read(fd, (void *)0xffff800000000000, 4));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(close(fd));
    CALL(close(fd));
    CALL(read(fd, buffer, 1));
    CALL(write(fd, buffer, 1));
    CALL(read(-1, buffer, 1));
    CALL(fsync(fd));
    fd = open("file", O_RDWR | O_TRUNC);
    static char block[300000];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 7 + i / 251);
    CALL(write(fd, block, sizeof block));
    static char back[300000];
    CALL(pread(fd, back, sizeof back, 0));
    TRUTH(memcmp(block, back, sizeof block) == 0);
    CALL(pwrite(fd, "edge", 4, 4094));
    CALL(pread(fd, buffer, 6, 4093));
    TRUTH(memcmp(buffer + 1, "edge", 4) == 0 && buffer[0] == block[4093]);
    CALL(fsync(fd));
    CALL(fdatasync(fd));
    CALL(syncfs(fd));
    CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    ERROR(posix_fadvise(fd, 0, 0, 77));
    CALL(fallocate(fd, 0, 300000, 100));
    NUMBER(lseek(fd, 0, SEEK_END));
    CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    CALL(pread(fd, buffer, 2, 10));
    NUMBER(buffer[0] | buffer[1]);
    CALL(fallocate(fd, 0, -1, 100));
    CALL(fallocate(fd, 0, 0, 0));
    int to = open("copy", O_RDWR | O_CREAT, 0644);
    off_t from_offset = 4096, to_offset = 10;
    CALL(copy_file_range(fd, &from_offset, to, &to_offset, 5000, 0));
    NUMBER(from_offset);
    NUMBER(to_offset);
    pread(to, back, 5000, 10);
    TRUTH(memcmp(back + 2, block + 4098, 4990) == 0);
    return 0;
}
