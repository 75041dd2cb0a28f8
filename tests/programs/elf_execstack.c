// A program that asks for an executable stack gets one.
// flags: -Wl,-z,execstack
#include "check.h"

int main(void)
{
    /* mov eax, 42; ret */
    volatile unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
    NUMBER(((int (*)(void))code)());
    return 0;
}
