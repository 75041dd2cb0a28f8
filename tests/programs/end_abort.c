// Death by abort(3).
#include "check.h"

int main(void)
{
    puts("before");
    abort();
    puts("not reached");
    return 0;
}
