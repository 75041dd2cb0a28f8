// Copies stdin to stdout in odd portions; every byte has to arrive, in order.
// stdin: 5000011
#include "check.h"

int main(void)
{
    static char buffer[70000];
    size_t portion = 1, total = 0;
    unsigned long sum = 0;
    for (;;) {
        ssize_t length = read(0, buffer, portion);
        if (length <= 0) {
            fprintf(stderr, "read at the end -> %zd\n", length);
            break;
        }
        for (ssize_t i = 0; i < length; i++)
            sum = sum * 31 + (unsigned char)buffer[i];
        for (ssize_t done = 0; done < length;) {
            ssize_t written = write(1, buffer + done, length - done);
            if (written <= 0) {
                fprintf(stderr, "write -> %s\n", errno_name(errno));
                return 1;
            }
            done += written;
        }
        total += length;
        portion = portion * 3 % 69997 + 1;
    }
    fprintf(stderr, "%zu bytes, sum %lx\n", total, sum);
    return 0;
}
