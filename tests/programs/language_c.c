// The C library over the kernel: stdio, numbers, sorting, jumps, ends.
// build: glibc pie musl
#include "check.h"
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <time.h>

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void stdio(void)
{
    char *line = NULL, word[16];
    size_t room = 0;
    FILE *file = fopen("file", "w+");
    for (int i = 0; i < 20000; i++)
        fprintf(file, "line %d\n", i);
    NUMBER(ftell(file));
    rewind(file);
    int lines = 0;
    while (getline(&line, &room, file) > 0)
        lines++;
    NUMBER(lines);
    TEXT(line);
    CALL(fseek(file, -6, SEEK_END));
    NUMBER(fscanf(file, "%15s", word));
    TEXT(word);
    CALL(fseek(file, 5, SEEK_SET));
    NUMBER(fgetc(file));
    ungetc('!', file);
    NUMBER(fgetc(file));
    fseek(file, 0, SEEK_SET);
    fputs("LINE", file);
    fflush(file);
    TRUTH(strncmp(get("file"), "LINE 0\nline 1\n", 14) == 0);
    fclose(file);
    file = fopen("file", "a");
    fputs("end", file);
    NUMBER(ftell(file));
    fclose(file);
    TRUTH(fopen("none", "r") == NULL && errno == ENOENT);
    TRUTH(freopen("file", "r", stdin) == stdin && getchar() == 'L');
    file = tmpfile();
    TRUTH(file != NULL && fputs("x", file) >= 0);
    free(line);
}

static void ends_first(void) { puts("the last registered runs first"); }
static void ends_last(void) { puts("the first registered runs last"); }

int main(void)
{
    enter_scratch();
    stdio();
    printf("%8.3f|%-8d|%08x|%+d|%e|%g|%a\n", 3.14159, 42, 0xbeef, 7, 12345.678, 1e-5, 1.0);
    printf("%s|%.2s|%10s|%-10s|%c|%%|%zu|%" PRId64 "\n", "crab", "crab", "crab", "crab", 'c',
           (size_t)-1, INT64_MIN);
    NUMBER(strtol("  -0x1fz", NULL, 16));
    NUMBER(strtol("99999999999999999999", NULL, 10) == LONG_MAX && errno == ERANGE);
    printf("%.17g %.17g\n", strtod("0.1", NULL), sqrt(2.0));
    printf("%d %d\n", isnan(NAN) != 0, isinf(1e308 * 10) != 0);
    int numbers[1000];
    unsigned seed = 1;
    for (int i = 0; i < 1000; i++)
        numbers[i] = (seed = seed * 1103515245 + 12345) >> 16 & 0x7fff;
    qsort(numbers, 1000, sizeof *numbers, by_value);
    int sorted = 1;
    for (int i = 1; i < 1000; i++)
        sorted &= numbers[i - 1] <= numbers[i];
    TRUTH(sorted);
    jmp_buf back;
    volatile int turns = 0;
    if (setjmp(back) < 3)
        longjmp(back, ++turns);
    NUMBER(turns);
    setenv("CRAB", "coconut", 1);
    TEXT(getenv("CRAB"));
    unsetenv("CRAB");
    TRUTH(getenv("CRAB") == NULL);
    char text[64];
    time_t moment = 1000000000;
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", gmtime(&moment));
    TEXT(text);
    TEXT(setlocale(LC_ALL, "C"));
    void *blocks[2000];
    for (int turn = 0; turn < 5; turn++) {
        for (int i = 0; i < 2000; i++)
            memset(blocks[i] = malloc((size_t)(i * 97 % 5000 + 1)), i, 1);
        for (int i = 0; i < 2000; i++)
            free(blocks[(i * 7 + turn) % 2000]);
    }
    char *grown = malloc(10);
    for (size_t size = 10; size < 10 << 20; size *= 2) {
        grown[size - 1] = 'e';
        grown = realloc(grown, size * 2);
        if (grown[size - 1] != 'e')
            puts("realloc lost a byte");
    }
    free(grown);
    TRUTH(malloc(1ul << 62) == NULL && errno == ENOMEM);
    atexit(ends_last);
    atexit(ends_first);
    printf("no line feed, flushed at the end");
    exit(300);
}
