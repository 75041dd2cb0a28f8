// What /proc tells of memory beside the text of maps: pagemap, and questions with ioctl(2).
// build: glibc musl
#include "check.h"
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

/* struct procmap_query, which older headers do not have. */
struct query {
    uint64_t size, flags, address;
    uint64_t start, end, vma_flags, page_size, offset, inode;
    uint32_t major, minor, name_size, build_id_size;
    uint64_t name, build_id;
};
#define QUERY _IOWR('f', 17, struct query)
enum { READABLE = 1, WRITABLE = 2, EXECUTABLE = 4, SHARED = 8, OR_NEXT = 16, OF_FILE = 32 };

static int maps;
static struct query q;
static int ask(const void *address, uint64_t flags)
{
    q.size = sizeof q;
    q.flags = flags;
    q.address = (uint64_t)address;
    return ioctl(maps, QUERY, &q);
}

static void queries(void)
{
    char *at = mmap(NULL, 8 * PAGE, PROT_NONE, ANON, -1, 0);
    int file = open("file", O_RDWR | O_CREAT, 0600);
    struct stat status;
    TRUTH(ftruncate(file, 4 * PAGE) == 0 && fstat(file, &status) == 0);
    mmap(at + PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0);
    mmap(at + 3 * PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, file, PAGE);
    munmap(at + 6 * PAGE, PAGE);
    CALL(ask(at + PAGE + 5, 0));
    NUMBER(q.start - (uint64_t)at);
    NUMBER(q.end - (uint64_t)at);
    NUMBER(q.vma_flags);
    NUMBER(q.page_size);
    NUMBER(q.inode);
    CALL(ask(at + 3 * PAGE, READABLE | SHARED));
    NUMBER(q.vma_flags);
    NUMBER(q.offset);
    TRUTH(q.inode == status.st_ino);
    CALL(ask(at + 3 * PAGE, EXECUTABLE));
    CALL(ask(at + 6 * PAGE, 0));
    CALL(ask(at + 6 * PAGE, OR_NEXT));
    NUMBER(q.start - (uint64_t)at);
    CALL(ask(at, OR_NEXT | OF_FILE));
    NUMBER(q.start - (uint64_t)at);
    CALL(ask(at, OR_NEXT | READABLE));
    NUMBER(q.start - (uint64_t)at);
    CALL(ask((void *)-PAGE, 0));
    CALL(ask(at, 64));
    char name[4096], path[4096];
    q.name = (uint64_t)name;
    CALL(ask(at, 0));
    q.name_size = sizeof name;
    CALL(ask(at + 3 * PAGE, 0));
    TRUTH(realpath("file", path) && !strcmp(path, name));
    TRUTH(q.name_size == strlen(name) + 1);
    q.name_size = 3;
    CALL(ask(at + 3 * PAGE, 0));
    q.name_size = sizeof name;
    CALL(ask(at + PAGE, 0));
    NUMBER(q.name_size);
    q.name = 0, q.name_size = 0;
    q.size = 23;
    CALL(ioctl(maps, QUERY, &q));
    q.size = 24, q.address = (uint64_t)at, q.end = 7;
    CALL(ioctl(maps, QUERY, &q));
    NUMBER(q.end);
    q.size = 5000;
    CALL(ioctl(maps, QUERY, &q));
    CALL(ioctl(maps, QUERY, NULL));
    CALL(ioctl(maps, QUERY + 1, &q));
    munmap(at, 8 * PAGE);
    close(file);
}

static int page_map;
static uint64_t word(const char *address)
{
    uint64_t word = 7;
    if (pread(page_map, &word, 8, (long)address / PAGE * 8) != 8)
        return errno;
    return word;
}
#define PRESENT (1UL << 63)
#define FILE_PAGE (1UL << 61)
#define EXCLUSIVE (1UL << 56)
#define WORD(address) HEX(word(address) & (PRESENT | FILE_PAGE | EXCLUSIVE))

static void pages(void)
{
    char *at = mmap(NULL, 4 * PAGE, RW, ANON, -1, 0);
    at[PAGE] = 1;
    WORD(at);
    WORD(at + PAGE);
    madvise(at + PAGE, PAGE, MADV_DONTNEED);
    WORD(at + PAGE);
    int file = open("file", O_RDWR);
    char *shared = mmap(NULL, PAGE, RW, MAP_SHARED, file, 0);
    WORD(shared);
    *shared = 1;
    HEX(word(shared) & (PRESENT | FILE_PAGE));
    TRUTH((word(shared) & ((1UL << 55) - 1)) != 0);
    uint64_t words[3];
    CALL(pread(page_map, words, 24, (long)at / PAGE * 8));
    CALL(pread(page_map, words, 24, 4));
    CALL(pread(page_map, words, 20, 0));
    CALL(pread(page_map, words, 0, 0));
    CALL(pread(page_map, words, 8, 0x7fffffffffffL / PAGE * 8 + 8));
    CALL(write(page_map, words, 8));
    munmap(at, 4 * PAGE), munmap(shared, PAGE);
    close(file);
}

int main(void)
{
    enter_scratch();
    maps = OK(open("/proc/self/maps", O_RDONLY));
    page_map = OK(open("/proc/self/pagemap", O_RDONLY));
    queries();
    pages();
    CALL(madvise(NULL, PAGE, MADV_NORMAL));
    return 0;
}
