/* Arguments, environment, memory, a signal and an exit status: see README.md. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t waves;

static void wave(int signal)
{
    (void)signal;
    waves++;
}

static int by_value(const void *left, const void *right)
{
    unsigned a = *(const unsigned *)left, b = *(const unsigned *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    const char *beach = getenv("BEACH");
    printf("%zu pebbles on the %s beach\n", count, beach ? beach : "empty");

    unsigned *pebbles = malloc(count * sizeof *pebbles);
    if (pebbles == NULL || count == 0) {
        fprintf(stderr, "no pebbles\n");
        return 1;
    }
    unsigned seed = 1;
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        pebbles[i] = seed;
    }
    qsort(pebbles, count, sizeof *pebbles, by_value);
    printf("smallest %u, middle %u, largest %u\n", pebbles[0], pebbles[count / 2],
           pebbles[count - 1]);
    free(pebbles);

    signal(SIGUSR1, wave);
    raise(SIGUSR1);
    raise(SIGUSR1);
    printf("%d waves\n", (int)waves);
    return 3;
}
