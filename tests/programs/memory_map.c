// mmap(2), munmap(2) and brk(2): places, flags, errors.
// build: glibc pie musl
#include "fault.h"
#include <sys/mman.h>
#include <sys/syscall.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
/* No address of a program, with five-level page tables neither. */
#define BEYOND ((void *)(1ul << 62))

static int zero(const char *from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (from[i])
            return 0;
    return 1;
}

static void program_break(void)
{
    char *start = (char *)syscall(SYS_brk, 0);
    char *grown = (char *)syscall(SYS_brk, start + 10000);
    TRUTH(grown == start + 10000);
    TRUTH(zero(start, 10000));
    memset(start, 7, 10000);
    TRUTH((char *)syscall(SYS_brk, start + 100) == start + 100);
    TRUTH((char *)syscall(SYS_brk, start + 30000) == start + 30000);
    NUMBER(start[50]);
    TRUTH(zero((char *)(((uintptr_t)start + 4195) & ~4095ul), 8192));
    TRUTH((char *)syscall(SYS_brk, (char *)8) == start + 30000);
    TRUTH((char *)syscall(SYS_brk, start) == start);
    void *more = sbrk(4096);
    TRUTH(more != (void *)-1);
}

int main(void)
{
    catch_faults();
    program_break();
    char *map = OK(mmap(NULL, 10 * 4096, RW, ANON, -1, 0));
    TRUTH((uintptr_t)map % 4096 == 0);
    TRUTH(zero(map, 10 * 4096));
    memset(map, 1, 10 * 4096);
    CALL(munmap(map + 3 * 4096, 2 * 4096));
    READ(map + 3 * 4096 - 1);
    READ(map + 5 * 4096);
    FAULT(READ(map + 3 * 4096), map + 3 * 4096);
    FAULT(WRITE(map + 5 * 4096 - 1), map + 5 * 4096 - 1);
    CALL(munmap(map + 3 * 4096, 2 * 4096));
    TRUTH(mmap(map + 3 * 4096, 4096, RW, ANON | MAP_FIXED, -1, 0) == map + 3 * 4096);
    TRUTH(zero(map + 3 * 4096, 4096));
    TRUTH(mmap(map, 4096, RW, ANON | MAP_FIXED, -1, 0) == map);
    NUMBER(map[0]);
    NUMBER(map[4096]);
    CALL(mmap(map, 4096, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    TRUTH(mmap(map + 4 * 4096, 4096, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == map + 4 * 4096);
    TRUTH(mmap(map + 4096, 4096, RW, ANON, -1, 0) != map + 4096);
    CALL(munmap(map, 10 * 4096));
    FAULT(READ(map), map);
    CALL(munmap(map, 4096));
    CALL(munmap(map + 1, 4096));
    CALL(munmap(map, 0));
    CALL(munmap(BEYOND, 4096));
    CALL(munmap(map, 1ul << 62));
    CALL(mmap(NULL, 0, RW, ANON, -1, 0));
    CALL(mmap(map + 1, 4096, RW, ANON | MAP_FIXED, -1, 0));
    CALL(mmap(BEYOND, 4096, RW, ANON | MAP_FIXED, -1, 0));
    CALL(mmap((void *)0xffff800000000000, 4096, RW, ANON | MAP_FIXED, -1, 0));
    CALL(mmap(NULL, 1ul << 47, RW, ANON, -1, 0));
    CALL(mmap(NULL, -1ul, RW, ANON, -1, 0));
    CALL(mmap(NULL, 4096, RW, MAP_ANONYMOUS, -1, 0));
    CALL(mmap(NULL, 4096, RW, MAP_PRIVATE, -1, 0));
    CALL(mmap(NULL, 4096, RW, MAP_PRIVATE, 999, 0));
    CALL(mmap(NULL, 4096, RW, ANON, -1, 1));
    char *hinted = mmap((void *)0x123456789000, 4096, RW, ANON, -1, 0);
    TRUTH(hinted == (char *)0x123456789000);
    char *near_zero = mmap((void *)4096, 4096, RW, ANON, -1, 0);
    TRUTH(near_zero != MAP_FAILED && near_zero != (char *)4096);

    char *reserved = OK(mmap(NULL, 64ul << 30, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
    FAULT(READ(reserved), reserved);
    FAULT(WRITE(reserved + (32ul << 30)), reserved + (32ul << 30));
    CALL(mprotect(reserved + (63ul << 30), 8192, RW));
    WRITE(reserved + (63ul << 30));
    FAULT(READ(reserved + (63ul << 30) + 8192), reserved + (63ul << 30) + 8192);
    CALL(munmap(reserved, 64ul << 30));
    char *shared = OK(mmap(NULL, 8192, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    WRITE(shared + 5000);
    NUMBER(shared[5000] + shared[0]);
    char *populated = OK(mmap(NULL, 1 << 20, RW, ANON | MAP_POPULATE, -1, 0));
    TRUTH(zero(populated, 1 << 20));
    return 0;
}
