// Writing to a stdout that nobody reads fails with EPIPE once SIGPIPE is ignored.
// stdout: closed
#include "check.h"

static volatile int caught;
static void on_pipe(int number) { caught = number; }

/* The news may take a moment to arrive in a virtual machine. */
static int write_until_refused(void)
{
    static char block[4096];
    for (int i = 0; i < 1000000; i++)
        if (write(1, block, sizeof block) < 0)
            return errno;
    return 0;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    fprintf(stderr, "ignored: %s\n", errno_name(write_until_refused()));
    fprintf(stderr, "again: %s\n", errno_name(write_until_refused()));
    signal(SIGPIPE, on_pipe);
    fprintf(stderr, "caught: %s\n", errno_name(write_until_refused()));
    fprintf(stderr, "signal %d\n", caught);
    return 3;
}
