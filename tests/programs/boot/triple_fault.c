// A guest whose processor cannot even say what is wrong: it has no table of handlers. It runs
// in ring 0 and may take the table away.
#include <stdint.h>

int main(void) {
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = {0, 0};
    __asm__ volatile("lidt %0; ud2" : : "m"(none));
    return 0;
}
