// rename(2) and renameat2(2).
// build: glibc musl
#include "check.h"
#include <sys/syscall.h>

#define NOREPLACE 1
#define EXCHANGE 2

static int renameat2_(const char *from, const char *to, unsigned flags)
{
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

int main(void)
{
    enter_scratch();
    struct stat before, after;
    put("a", "A");
    put("b", "B");
    stat("a", &before);
    CALL(rename("a", "c"));
    stat("c", &after);
    TRUTH(before.st_ino == after.st_ino);
    CALL(access("a", F_OK));
    int replaced = open("b", O_RDONLY);
    CALL(rename("c", "b"));
    TEXT(get("b"));
    fstat(replaced, &after);
    NUMBER(after.st_nlink);
    CALL(rename("b", "b"));
    CALL(link("b", "same"));
    CALL(rename("b", "same"));
    CALL(access("b", F_OK));
    CALL(rename("none", "x"));
    CALL(rename("b", "none/x"));
    CALL(rename("b", ""));
    CALL(rename("", "x"));

    mkdir("dir", 0755);
    mkdir("dir/sub", 0755);
    mkdir("empty", 0755);
    mkdir("full", 0755);
    put("full/x", "x");
    CALL(rename("dir", "dir/sub/inside"));
    CALL(rename("dir", "dir/inside"));
    CALL(rename("dir/sub", "dir"));
    CALL(rename("b", "dir"));
    CALL(rename("dir", "b"));
    CALL(rename("dir", "full"));
    CALL(rename("dir", "empty"));
    CALL(access("empty/sub", F_OK));
    CALL(access("dir", F_OK));
    CALL(rename("empty", "moved/"));
    CALL(access("moved/sub", F_OK));
    CALL(rename("b", "file/"));
    CALL(rename("b/", "file"));
    CALL(rename("moved", "."));
    CALL(rename("..", "moved"));
    CALL(rename("moved/sub", "sub"));
    stat("moved", &after);
    NUMBER(after.st_nlink);
    stat(".", &before);
    stat("sub/..", &after);
    TRUTH(before.st_ino == after.st_ino);

    symlink("b", "link");
    CALL(rename("link", "other"));
    char target[8] = "";
    CALL(readlink("other", target, 7));
    TEXT(target);

    put("one", "1");
    put("two", "2");
    CALL(renameat2_("one", "two", NOREPLACE));
    CALL(renameat2_("one", "three", NOREPLACE));
    CALL(renameat2_("three", "two", EXCHANGE));
    TEXT(get("three"));
    TEXT(get("two"));
    CALL(renameat2_("three", "full", EXCHANGE));
    TEXT(get("full"));
    TEXT(get("three/x"));
    CALL(renameat2_("two", "none", EXCHANGE));
    CALL(renameat2_("two", "three", NOREPLACE | EXCHANGE));
    CALL(renameat2_("two", "three", 64));
    int dir = open("moved", O_RDONLY);
    CALL(renameat(AT_FDCWD, "two", dir, "inner"));
    TEXT(get("moved/inner"));
    CALL(renameat(999, "two", dir, "inner"));
    return 0;
}
