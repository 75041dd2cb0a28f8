// The smallest C program, with the smaller library.
// build: musl
#include <stdio.h>

int main(void)
{
    puts("hello from musl");
    return printf("%d %s %.3f %c\n", 42, "crab", 2.5, 'x') - 16;
}
