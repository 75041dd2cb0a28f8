// A program with much zeroed memory, whose data ends within a page: the rest of that page is
// zero, whatever the file holds behind it.
// build: glibc pie musl
#include "check.h"

static unsigned char data[5000] = { 1, 2, 3 };
static volatile unsigned char zeroed[1 << 20];
static volatile unsigned char large[40 << 20];
static const unsigned char constant[3] = { 7, 8, 9 };
static int *pointer = (int *)(data + 1);
extern char end[], edata[], etext[], __bss_start[];

__attribute__((constructor)) static void first(void) { data[4] = 44; }

int main(void)
{
    NUMBER(data[0] + data[1] + data[2] + data[3] + data[4]);
    NUMBER(constant[2]);
    TRUTH((unsigned char *)pointer == data + 1);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof zeroed; i++)
        sum += zeroed[i];
    for (size_t i = 0; i < sizeof large; i += 4096)
        sum += large[i];
    NUMBER(sum);
    large[sizeof large - 1] = 5;
    NUMBER(large[sizeof large - 1]);
    TRUTH(edata <= end && etext < edata && end - __bss_start >= 41 << 20);
    return 0;
}
