// Thousands of random operations on an arena of pages, each checked against a model: what is
// mapped, how it may be used, and what it holds.
// timeout: 120
#include "fault.h"
#include <sys/mman.h>

enum { PAGES = 64, TURNS = 6000, UNMAPPED = -1 };

static char *arena;
static int access_of[PAGES];
static unsigned char value_of[PAGES];
static int mismatches;

static unsigned random_state = 12345;
static unsigned random_below(unsigned limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % limit;
}

static const int accesses[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };

static void set(int from, int count, int access, int zero)
{
    for (int i = from; i < from + count; i++) {
        access_of[i] = access;
        if (zero)
            value_of[i] = 0;
    }
}

static int all_mapped(int from, int count)
{
    for (int i = from; i < from + count; i++)
        if (access_of[i] == UNMAPPED)
            return 0;
    return 1;
}

static void mismatch(int turn, int page, const char *what)
{
    if (mismatches++ < 10)
        printf("turn %d, page %d: %s\n", turn, page, what);
}

static void check(int turn, int page)
{
    volatile char *at = arena + page * 4096 + random_below(4096);
    int access = access_of[page];
    volatile int faults = 1;
    if (sigsetjmp(fault_back, 1) == 0) {
        if ((unsigned char)*at != value_of[page])
            mismatch(turn, page, "wrong value");
        faults = 0;
    }
    if (faults != (access == UNMAPPED || access == PROT_NONE))
        mismatch(turn, page, "reading");
    if (faults && fault_code != (access == UNMAPPED ? SEGV_MAPERR : SEGV_ACCERR))
        mismatch(turn, page, "code");
    faults = 1;
    if (sigsetjmp(fault_back, 1) == 0) {
        *at = (char)value_of[page];
        faults = 0;
    }
    if (faults != (access != (PROT_READ | PROT_WRITE)))
        mismatch(turn, page, "writing");
}

static void operate(int turn)
{
    int from = random_below(PAGES), count = 1 + random_below(8);
    if (from + count > PAGES)
        count = PAGES - from;
    char *at = arena + from * 4096;
    size_t length = (size_t)count * 4096;
    int access = accesses[random_below(3)], mapped = all_mapped(from, count), failed;
    switch (random_below(6)) {
    case 0:
        failed = mmap(at, length, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at;
        set(from, count, access, 1);
        break;
    case 1:
        failed = munmap(at, length) != 0;
        set(from, count, UNMAPPED, 1);
        break;
    case 2:
        if (!mapped)
            return;
        failed = mprotect(at, length, access) != 0;
        set(from, count, access, 0);
        break;
    case 3:
        if (!mapped)
            return;
        failed = madvise(at, length, MADV_DONTNEED) != 0;
        for (int i = from; i < from + count; i++)
            value_of[i] = 0;
        break;
    default:
        failed = 0;
        for (int i = from; i < from + count; i++)
            if (access_of[i] == (PROT_READ | PROT_WRITE)) {
                value_of[i] = (unsigned char)turn;
                memset(arena + i * 4096, value_of[i], 4096);
            }
    }
    if (failed)
        mismatch(turn, from, errno_name(errno));
}

int main(void)
{
    catch_faults();
    arena = mmap(NULL, PAGES * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int turn = 0; turn < TURNS; turn++) {
        operate(turn);
        check(turn, random_below(PAGES));
    }
    for (int page = 0; page < PAGES; page++)
        check(TURNS, page);
    unsigned sum = 0;
    for (int page = 0; page < PAGES; page++)
        sum = sum * 31 + (unsigned)access_of[page] * 256 + value_of[page];
    HEX(sum);
    NUMBER(mismatches);
    return 0;
}
