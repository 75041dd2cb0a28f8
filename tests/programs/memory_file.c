// Files in memory: private and shared mappings, their ends, and SIGBUS.
// build: glibc musl
#include "fault.h"
#include <sys/mman.h>

#define RW (PROT_READ | PROT_WRITE)

int main(void)
{
    enter_scratch();
    catch_faults();
    char buffer[8] = "";
    static char block[10000];
    memset(block, 'a', sizeof block);
    int fd = open("file", O_RDWR | O_CREAT, 0644);
    write(fd, block, sizeof block);

    char *private = OK(mmap(NULL, 5 * 4096, RW, MAP_PRIVATE, fd, 0));
    printf("%c%c, then %d %d\n", private[0], private[9999], private[10000], private[12287]);
    FAULT(READ(private + 12288), private + 12288);
    FAULT(WRITE(private + 4 * 4096 + 7), private + 4 * 4096 + 7);
    private[1] = 'P';
    CALL(pread(fd, buffer, 2, 0));
    TEXT(buffer);
    pwrite(fd, "F", 1, 2);
    NUMBER(private[1]);
    pwrite(fd, "G", 1, 5000);
    NUMBER(private[5000]);

    char *shared = OK(mmap(NULL, 3 * 4096, RW, MAP_SHARED, fd, 0));
    shared[3] = 'S';
    CALL(pread(fd, buffer, 4, 0));
    TEXT(buffer);
    pwrite(fd, "W", 1, 6000);
    NUMBER(shared[6000]);
    shared[10500] = 'x';
    CALL(msync(shared, 3 * 4096, MS_SYNC));
    struct stat st;
    fstat(fd, &st);
    NUMBER(st.st_size);
    char *second = OK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096));
    NUMBER(second[6000 - 4096]);
    shared[4097] = 'T';
    NUMBER(second[1]);
    CALL(ftruncate(fd, 4096));
    READ(shared + 4095);
    FAULT(READ(shared + 4096), shared + 4096);
    CALL(ftruncate(fd, 12288));
    NUMBER(shared[4097]);
    FAULT(WRITE(second), second);

    CALL(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 100));
    char *far = OK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 1 << 20));
    FAULT(READ(far), far);
    int read_only = open("file", O_RDONLY), write_only = open("file", O_WRONLY);
    OK(mmap(NULL, 4096, RW, MAP_PRIVATE, read_only, 0));
    CALL(mmap(NULL, 4096, RW, MAP_SHARED, read_only, 0));
    char *later = OK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, read_only, 0));
    CALL(mprotect(later, 4096, RW));
    CALL(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, write_only, 0));
    CALL(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0));
    CALL(mmap(NULL, 4096, PROT_READ, 0, read_only, 0));
    close(read_only);
    NUMBER(later[0]);

    /* The mapping keeps the file's pages when the name and descriptors are gone. */
    unlink("file");
    close(fd);
    close(write_only);
    NUMBER(shared[3]);
    shared[0] = 'Z';
    NUMBER(later[0]);
    CALL(munmap(shared, 3 * 4096));
    NUMBER(later[0]);
    /* System calls on a mapping beyond the end of its file fail, they do not kill. */
    CALL(write(open("out", O_WRONLY | O_CREAT, 0644), far, 10));
    int zero = open("/dev/zero", O_RDONLY);
    CALL(read(zero, far, 10));
    return 0;
}
