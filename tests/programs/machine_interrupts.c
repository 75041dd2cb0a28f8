// Interrupts leave registers, flags and the red zone alone, for three seconds.
// Negative control: a gate without an interrupt stack of its own pushes its frame into the
// red zone; a kernel built so loses words here within milliseconds.
#include "machine_hold.h"

int main(void)
{
    hold_for(3);
    return 0;
}
