// A test as those of the open_posix_testsuite are: its exit status is its verdict. That is the
// number in its name, `PAGE_STATUS-1.run-test`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *name = argc > 0 ? argv[0] : "";
    const char *slash = strrchr(name, '/');
    name = slash ? slash + 1 : name;
    const char *status = strrchr(name, '_');
    printf("Test %s ends with %d\n", name, status ? atoi(status + 1) : 3);
    return status ? atoi(status + 1) : 3;
}
