/* A child takes memory without end: it is killed, and its parent sees that and goes on. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void take_all(void)
{
    for (;;) {
        char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (block != MAP_FAILED)
            memset(block, 1, 1 << 20);
    }
}

int main(void)
{
    char *kept = malloc(4 << 20);
    memset(kept, 5, 4 << 20);
    for (int round = 0; round < 3; round++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            take_all();
        waitpid(pid, &status, 0);
        printf("child: %s %d\n", WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        fflush(stdout);
    }
    long sum = 0;
    for (int i = 0; i < 4 << 20; i++)
        sum += kept[i];
    printf("the parent has %ld\n", sum);
    return sum == 5 * (4 << 20) ? 0 : 1;
}
