// Permissions of memory: mprotect(2), read-only, no execution, and what the signal says.
// build: glibc pie musl
#include "fault.h"
#include <sys/mman.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static const char constant[8192] __attribute__((aligned(4096))) = { 1 };

/* mov eax, 42; ret */
static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };

int main(void)
{
    catch_faults();
    char *map = OK(mmap(NULL, 5 * 4096, RW, ANON, -1, 0));
    memset(map, 'm', 5 * 4096);
    CALL(mprotect(map + 4096, 4096, PROT_READ));
    NUMBER(map[4096]);
    FAULT(WRITE(map + 4100), map + 4100);
    WRITE(map + 4095);
    WRITE(map + 8192);
    CALL(mprotect(map + 4096, 4096, PROT_NONE));
    FAULT(READ(map + 4096), map + 4096);
    FAULT(READ(map + 8191), map + 8191);
    FAULT(WRITE(map + 5000), map + 5000);
    CALL(mprotect(map + 4096, 4096, RW));
    NUMBER(map[4096]);
    WRITE(map + 4100);
    FAULT(EXECUTE(map), map);

    memcpy(map + 8192, code, sizeof code);
    CALL(mprotect(map + 8192, 4096, PROT_READ | PROT_EXEC));
    NUMBER(((int (*)(void))(map + 8192))());
    FAULT(WRITE(map + 8192), map + 8192);
    CALL(mprotect(map + 8192, 4096, RW | PROT_EXEC));
    map[8193] = 43;
    NUMBER(((int (*)(void))(map + 8192))());
    CALL(mprotect(map + 8192, 4096, RW));
    FAULT(EXECUTE(map + 8192), map + 8192);

    /* Never touched, and then protected: no page is there to protect. */
    char *fresh = OK(mmap(NULL, 2 * 4096, RW, ANON, -1, 0));
    CALL(mprotect(fresh, 4096, PROT_READ));
    FAULT(WRITE(fresh), fresh);
    READ(fresh);
    FAULT(WRITE(fresh), fresh);
    WRITE(fresh + 4096);

    FAULT(READ(NULL), NULL);
    FAULT(WRITE((char *)16), 16);
    FAULT(EXECUTE(NULL), NULL);
    FAULT(READ((char *)4095), 4095);
    FAULT(WRITE(constant + 4096), constant + 4096);
    FAULT(WRITE(main), main);
    FAULT(READ((char *)0x123456789000), 0x123456789000);
    /* Not an address at all: a general protection fault without an address. */
    FAULT(READ((char *)0x0100000000000000), NULL);
    FAULT(WRITE((char *)0xdeadbeefdeadbeef), NULL);
    char local[16];
    FAULT(EXECUTE(local), local);

    CALL(mprotect(map + 1, 4096, RW));
    CALL(mprotect(map, 4096, 0x40));
    CALL(mprotect(map, 0, RW));
    CALL(mprotect((void *)0x123456789000, 4096, RW));
    munmap(map + 4096, 4096);
    CALL(mprotect(map, 3 * 4096, PROT_READ));
    FAULT(WRITE(map), map);
    WRITE(map + 8192);
    return 0;
}
