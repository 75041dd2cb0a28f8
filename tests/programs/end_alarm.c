// Death by an alarm.
#include "check.h"

int main(void)
{
    puts("before");
    alarm(1);
    pause();
    puts("not reached");
    return 0;
}
