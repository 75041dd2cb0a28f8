// mremap(2), madvise(2), mincore(2).
#include "fault.h"
#include <sys/mman.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

int main(void)
{
    catch_faults();
    char *map = OK(mmap(NULL, 8 * 4096, RW, ANON, -1, 0));
    for (int i = 0; i < 8; i++)
        map[i * 4096] = 'a' + i;
    TRUTH(mremap(map, 8 * 4096, 4 * 4096, 0) == map);
    FAULT(READ(map + 4 * 4096), map + 4 * 4096);
    TRUTH(mremap(map, 4 * 4096, 4 * 4096, 0) == map);
    TRUTH(mremap(map, 4 * 4096, 6 * 4096, 0) == map);
    NUMBER(map[3 * 4096]);
    NUMBER(map[5 * 4096]);
    mmap(map + 6 * 4096, 4096, PROT_NONE, ANON | MAP_FIXED, -1, 0);
    CALL(mremap(map, 6 * 4096, 12 * 4096, 0));
    char *moved = OK(mremap(map, 6 * 4096, 100 * 4096, MREMAP_MAYMOVE));
    TRUTH(moved != map);
    printf("%c %c %d\n", moved[0], moved[3 * 4096], moved[99 * 4096]);
    FAULT(READ(map), map);
    char *place = mmap(NULL, 4 * 4096, RW, ANON, -1, 0);
    memset(place, 'p', 4 * 4096);
    TRUTH(mremap(moved, 4096, 2 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, place + 4096)
          == place + 4096);
    printf("%c %c %d %c\n", place[0], place[4096], place[2 * 4096], place[3 * 4096]);
    FAULT(READ(moved), moved);
    NUMBER(moved[4096]);
    CALL(mremap(moved, 4096, 8192, 0));
    CALL(mremap(moved + 4097, 4096, 8192, MREMAP_MAYMOVE));
    CALL(mremap(moved + 4096, 4096, 0, MREMAP_MAYMOVE));
    CALL(mremap(moved + 4096, 4096, 4096, 64));
    CALL(mremap(moved + 4096, 4096, 4096, MREMAP_FIXED, place));
    CALL(mremap(moved + 4096, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, moved + 8192));
    CALL(mremap((void *)0x123456789000, 4096, 8192, MREMAP_MAYMOVE));

    memset(place, 'q', 4 * 4096);
    CALL(madvise(place + 4096, 4096, MADV_DONTNEED));
    printf("%d %d %d\n", place[4095], place[4096], place[8192]);
    place[4096] = 'r';
    NUMBER(place[4096]);
    CALL(madvise(place, 4096, MADV_WILLNEED));
    CALL(madvise(place, 4096, MADV_SEQUENTIAL));
    CALL(madvise(place, 4096, 12345));
    CALL(madvise(place + 1, 4096, MADV_DONTNEED));
    CALL(madvise(place, 0, MADV_DONTNEED));
    CALL(madvise((void *)0x123456789000, 4096, MADV_DONTNEED));

    unsigned char resident[4] = { 9, 9, 9, 9 };
    char *fresh = mmap(NULL, 4 * 4096, RW, ANON, -1, 0);
    fresh[4096] = 1;
    CALL(mincore(fresh, 4 * 4096, resident));
    printf("%d %d\n", resident[1] & 1, resident[3] & 1);
    CALL(mincore(fresh + 1, 4096, resident));
    CALL(mincore((void *)0x123456789000, 4096, resident));
    CALL(mincore(fresh, 4096, (unsigned char *)8));
    CALL(mlock(fresh, 4096));
    CALL(munlock(fresh, 4096));
    return 0;
}
