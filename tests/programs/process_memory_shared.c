// Shared memory between processes: anonymous, of files (one set of bytes with read and
// write), memfd with seals, POSIX shared memory, and accesses past the end.
// build: glibc musl
#include "children.h"
#include <sys/mman.h>
#include <sys/syscall.h>

enum { PAGE = 4096 };

static void anonymous(void)
{
    volatile int *counter = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[4];
    for (int i = 0; i < 4; i++)
        pids[i] = CHILD(
            for (int j = 0; j < 10000; j++)
                __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST));
    for (int i = 0; i < 4; i++)
        TEXT(reap(pids[i]));
    NUMBER(*counter);
    /* A child's mremap and mprotect are its own. */
    IN_CHILD(
        char *moved = mremap((void *)counter, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
        TRUTH(moved != MAP_FAILED);
        NUMBER(*(int *)moved);
        *(int *)moved = 5);
    NUMBER(*counter);
    IN_CHILD(mprotect((void *)counter, PAGE, PROT_READ); *counter = 6);
    *counter = 7;
    NUMBER(*counter);
    IN_CHILD(CALL(msync((void *)counter, PAGE, MS_SYNC)));
    /* A second mapping of the same pages, by an old size of 0. */
    volatile int *twin = mremap((void *)counter, 0, PAGE, MREMAP_MAYMOVE);
    TRUTH(twin != MAP_FAILED && twin != counter);
    *twin = 8;
    NUMBER(*counter);
    IN_CHILD(*counter = 9);
    NUMBER(*twin);
}

static void file(void)
{
    char text[16] = "";
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0644);
    CALL(ftruncate(fd, 3 * PAGE));
    char *shared = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *own = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    IN_CHILD(
        CALL(pwrite(fd, "by write", 8, 10));
        memcpy(shared + PAGE, "by mapping", 10));
    TEXT(shared + 10);
    CALL(pread(fd, text, 10, PAGE));
    TEXT(text);
    TEXT(own + 10);
    own[10] = 'B';
    IN_CHILD(CALL(pwrite(fd, "BY WRITE", 8, 10)));
    TEXT(shared + 10);
    TEXT(own + 10);
    /* Opened anew by another process, and unlinked while mapped. */
    CALL(unlink("file"));
    IN_CHILD(
        memcpy(shared + 2 * PAGE, "late", 4);
        CALL(pread(fd, text, 4, 2 * PAGE)));
    TEXT(shared + 2 * PAGE);
    close(fd);
    IN_CHILD(memcpy(shared + 2 * PAGE, "LATE", 4));
    TEXT(shared + 2 * PAGE);
    munmap(own, 3 * PAGE);
    munmap(shared, 3 * PAGE);
}

static void past_the_end(void)
{
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0644);
    ftruncate(fd, PAGE + 100);
    char *shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    IN_CHILD(shared[PAGE + 200] = 1; NUMBER(shared[PAGE + 200]));
    IN_CHILD(shared[2 * PAGE] = 1);
    IN_CHILD(ftruncate(fd, 4 * PAGE); shared[2 * PAGE] = 'z');
    NUMBER(shared[2 * PAGE]);
    pid_t pid = CHILD(
        while (shared[0] == 0)
            sleep_ms(1);
        NUMBER(shared[0]);
        ftruncate(fd, 0);
        _exit(shared[0]));
    shared[0] = 3;
    TEXT(reap(pid));
    IN_CHILD(shared[0] = 1);
    CALL(write(fd, "x", 1));
    IN_CHILD(printf("%c\n", shared[0]));
    /* A system call meets the end as EFAULT. */
    int ends[2];
    pipe(ends);
    CALL(write(ends[1], shared + 2 * PAGE, 1));
    munmap(shared, 4 * PAGE);
}

static void sealed(void)
{
    int fd = memfd_create("name", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    CALL(fcntl(fd, F_GETFD));
    CALL(fcntl(fd, F_GET_SEALS));
    CALL(ftruncate(fd, PAGE));
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    IN_CHILD(strcpy(shared, "in memory"));
    char text[16] = "";
    CALL(pread(fd, text, 9, 0));
    TEXT(text);
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    munmap(shared, PAGE);
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    CALL(ftruncate(fd, 0));
    CALL(ftruncate(fd, 2 * PAGE));
    CALL(pwrite(fd, "x", 1, PAGE));
    CALL(pwrite(fd, "x", 1, 0));
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    CALL(pwrite(fd, "x", 1, 0));
    OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    char *readable = OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
    CALL(mprotect(readable, PAGE, PROT_READ | PROT_WRITE));
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    HEX(fcntl(fd, F_GET_SEALS));
    IN_CHILD(CALL(pwrite(fd, "x", 1, 0)));
    int plain = memfd_create("plain", 0);
    HEX(fcntl(plain, F_GET_SEALS));
    CALL(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
    CALL(memfd_create("x", 0x8000));
    char link[64];
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    link[readlink(path, link, sizeof link - 1)] = 0;
    TEXT(link);
    put("regular", "x");
    int regular = open("/dev/null", O_RDWR);
    CALL(fcntl(regular, F_GET_SEALS));
}

static void posix_shared_memory(void)
{
    char name[32];
    snprintf(name, sizeof name, "/birgus-%d", getpid());
    CALL(shm_open(name, O_RDWR, 0));
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    CALL(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
    CALL(ftruncate(fd, PAGE));
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    IN_CHILD(
        int own = shm_open(name, O_RDWR, 0);
        char *mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
        strcpy(mapped, "from the child"));
    TEXT(shared);
    CALL(shm_unlink(name));
    CALL(shm_open(name, O_RDWR, 0));
    TEXT(shared);
}

int main(void)
{
    enter_scratch();
    anonymous();
    file();
    past_the_end();
    sealed();
    posix_shared_memory();
    return 0;
}
