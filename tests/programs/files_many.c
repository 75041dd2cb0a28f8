// Many files, many descriptors, deep directories.
// timeout: 120
#include "check.h"
#include <dirent.h>
#include <sys/resource.h>

enum { FILES = 3000, DEPTH = 200, DESCRIPTORS = 1000 };

static int count_entries(void)
{
    int count = 0;
    DIR *stream = opendir(".");
    while (readdir(stream))
        count++;
    closedir(stream);
    return count;
}

int main(void)
{
    enter_scratch();
    char name[64], other[64];
    int failures = 0;
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "file-%d", i);
        put(name, name);
    }
    NUMBER(count_entries());
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "file-%d", i);
        snprintf(other, sizeof other, "renamed-%d", i);
        failures += strcmp(get(name), name) != 0;
        failures += rename(name, other) != 0;
    }
    NUMBER(count_entries());
    for (int i = FILES - 1; i >= 0; i--) {
        snprintf(other, sizeof other, "renamed-%d", i);
        failures += unlink(other) != 0;
    }
    NUMBER(count_entries());
    NUMBER(failures);

    for (int i = 0; i < DEPTH; i++)
        failures += mkdir("inner", 0755) != 0 || chdir("inner") != 0;
    put("bottom", "deep");
    static char path[DEPTH * 3 + 1];
    for (int i = 0; i < DEPTH; i++)
        strcat(path, "../");
    struct stat st, up;
    stat("bottom", &st);
    CALL(chdir(path));
    stat(".", &up);
    TRUTH(st.st_dev == up.st_dev);
    for (int i = 0; i < DEPTH; i++)
        failures += chdir("inner") != 0;
    TEXT(get("bottom"));
    CALL(unlink("bottom"));
    for (int i = 0; i < DEPTH; i++)
        failures += chdir("..") != 0 || rmdir("inner") != 0;
    NUMBER(failures);

    struct rlimit limit = { DESCRIPTORS + 10, DESCRIPTORS + 10 };
    CALL(setrlimit(RLIMIT_NOFILE, &limit));
    put("shared", "0123456789");
    static int descriptors[DESCRIPTORS];
    descriptors[0] = open("shared", O_RDONLY);
    for (int i = 1; i < DESCRIPTORS; i++) {
        descriptors[i] = dup(descriptors[i - 1]);
        failures += descriptors[i] <= descriptors[i - 1];
    }
    char byte;
    CALL(lseek(descriptors[DESCRIPTORS - 1], 3, SEEK_SET));
    CALL(read(descriptors[0], &byte, 1));
    NUMBER(byte);
    for (int i = 0; i < DESCRIPTORS; i++)
        failures += close(descriptors[i]) != 0;
    CALL(lseek(descriptors[7], 0, SEEK_SET));
    NUMBER(failures);
    return 0;
}
