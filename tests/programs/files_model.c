// Thousands of random operations on a file, each checked against a copy in memory: read,
// write, append, truncate, holes, and a shared mapping of the same file.
// build: glibc musl
// timeout: 120
#include "check.h"
#include <sys/mman.h>

enum { LIMIT = 100000, TURNS = 5000 };

static unsigned char model[LIMIT], buffer[LIMIT];
static size_t length;
static int mismatches;

static unsigned random_state = 54321;
static unsigned random_below(unsigned limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % limit;
}

static void mismatch(int turn, const char *what)
{
    if (mismatches++ < 10)
        printf("turn %d: %s\n", turn, what);
}

static void check(int turn, int fd, size_t from, size_t count)
{
    size_t expected = from >= length ? 0 : length - from < count ? length - from : count;
    memset(buffer, 0xee, count);
    ssize_t got = pread(fd, buffer, count, (off_t)from);
    if (got != (ssize_t)expected)
        mismatch(turn, "pread: wrong count");
    else if (memcmp(buffer, model + from, expected) != 0)
        mismatch(turn, "pread: wrong bytes");
}

int main(void)
{
    enter_scratch();
    int fd = open("file", O_RDWR | O_CREAT, 0644);
    int append = open("file", O_WRONLY | O_APPEND);
    unsigned char *map = mmap(NULL, LIMIT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (int turn = 0; turn < TURNS; turn++) {
        size_t from = random_below(LIMIT), count = random_below(random_below(9) ? 300 : 20000);
        if (from + count > LIMIT)
            count = LIMIT - from;
        for (size_t i = 0; i < count; i++)
            buffer[i] = (unsigned char)(turn + i);
        switch (random_below(7)) {
        case 0:
        case 1:
            if (pwrite(fd, buffer, count, (off_t)from) != (ssize_t)count)
                mismatch(turn, "pwrite");
            memcpy(model + from, buffer, count);
            if (count && from + count > length)
                length = from + count;
            break;
        case 2:
            if (length + count > LIMIT)
                break;
            if (write(append, buffer, count) != (ssize_t)count)
                mismatch(turn, "append");
            memcpy(model + length, buffer, count);
            length += count;
            break;
        case 3:
            if (random_below(4))
                break;
            if (ftruncate(fd, (off_t)from) != 0)
                mismatch(turn, "ftruncate");
            if (from < length)
                memset(model + from, 0, length - from);
            length = from;
            break;
        case 4:
            if (from >= length)
                break;
            if (from + count > length)
                count = length - from;
            memcpy(map + from, buffer, count);
            memcpy(model + from, buffer, count);
            break;
        case 5:
            if (from < length && memcmp(map + from, model + from,
                                        from + count > length ? length - from : count) != 0)
                mismatch(turn, "mapping");
            break;
        default:
            check(turn, fd, from, count);
        }
        struct stat st;
        if (fstat(fd, &st) != 0 || (size_t)st.st_size != length)
            mismatch(turn, "size");
    }
    check(TURNS, fd, 0, LIMIT);
    unsigned sum = 0;
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + model[i];
    HEX(sum);
    NUMBER(length);
    NUMBER(mismatches);
    return 0;
}
