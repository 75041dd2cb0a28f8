// Segments that share a page of the file, at an unusual address.
// flags: -Wl,-z,noseparate-code -Wl,-Ttext-segment=0x20000000
#include "check.h"

static int data = 5;
static const char text[] = "constant";

int main(void)
{
    TRUTH((uintptr_t)main >> 24 == 0x20);
    NUMBER(++data);
    TEXT(text);
    return 0;
}
