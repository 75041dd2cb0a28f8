// Reads words and lines through stdio.
#include "check.h"

int main(void)
{
    char line[64], word[32];
    int number;
    NUMBER(scanf("%d %31s", &number, word));
    NUMBER(number);
    TEXT(word);
    while (fgets(line, sizeof line, stdin))
        printf("[%.*s]\n", (int)strcspn(line, "\n"), line);
    TRUTH(feof(stdin));
    TRUTH(ferror(stdin));
    return 0;
}
