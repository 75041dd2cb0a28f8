// Hard and symbolic links, their loops and lengths.
// build: glibc musl
#include "check.h"
#include <limits.h>

int main(void)
{
    enter_scratch();
    char buffer[64];
    struct stat st;
    put("file", "content");
    CALL(link("file", "hard"));
    CALL(link("file", "hard"));
    CALL(link("none", "x"));
    CALL(link("file", "none/x"));
    mkdir("dir", 0755);
    CALL(link("dir", "x"));
    stat("file", &st);
    NUMBER(st.st_nlink);
    put("hard", "changed");
    TEXT(get("file"));
    CALL(unlink("file"));
    TEXT(get("hard"));
    CALL(unlink("file"));
    CALL(unlink("dir"));
    CALL(unlink(""));

    CALL(symlink("hard", "soft"));
    CALL(symlink("hard", "soft"));
    CALL(symlink("", "empty"));
    CALL(symlink("x", "none/x"));
    memset(buffer, '.', sizeof buffer);
    CALL(readlink("soft", buffer, sizeof buffer));
    printf("%.6s\n", buffer);
    CALL(readlink("soft", buffer, 2));
    CALL(readlink("soft", buffer, 0));
    CALL(readlink("hard", buffer, sizeof buffer));
    CALL(readlink("none", buffer, sizeof buffer));
    CALL(readlink("soft", (char *)8, 8));
    TEXT(get("soft"));
    CALL(link("soft", "to_link"));
    lstat("to_link", &st);
    TRUTH(S_ISLNK(st.st_mode));
    NUMBER(st.st_nlink);
    CALL(linkat(AT_FDCWD, "soft", AT_FDCWD, "to_file", AT_SYMLINK_FOLLOW));
    lstat("to_file", &st);
    TRUTH(S_ISREG(st.st_mode));
    CALL(linkat(AT_FDCWD, "soft", AT_FDCWD, "bad", 0x8000));

    CALL(symlink("loop", "loop"));
    CALL(stat("loop", &st));
    CALL(open("loop", O_RDONLY));
    CALL(open("loop", O_WRONLY | O_CREAT, 0644));
    CALL(lstat("loop", &st));
    CALL(stat("loop/x", &st));
    CALL(unlink("loop"));
    char from[16], to[16];
    put("link0", "end");
    for (int i = 1; i <= 41; i++) {
        snprintf(from, sizeof from, "link%d", i);
        snprintf(to, sizeof to, "link%d", i - 1);
        symlink(to, from);
    }
    TEXT(get("link40"));
    TEXT(get("link41"));
    symlink("dir", "to_dir");
    put("dir/in", "inside");
    TEXT(get("to_dir/in"));
    TEXT(get("to_dir/../hard"));
    CALL(symlink("../hard", "dir/up"));
    TEXT(get("dir/up"));
    TEXT(get("to_dir/up"));
    CALL(rmdir("to_dir"));
    CALL(unlink("to_dir/"));
    CALL(unlink("to_dir"));
    CALL(access("dir", F_OK));

    static char name[NAME_MAX + 2], path[PATH_MAX + 2];
    memset(name, 'n', NAME_MAX + 1);
    CALL(open(name, O_WRONLY | O_CREAT, 0644));
    CALL(mkdir(name, 0755));
    CALL(symlink("x", name));
    CALL(rename("hard", name));
    CALL(stat(name, &st));
    name[NAME_MAX] = 0;
    OK(open(name, O_WRONLY | O_CREAT, 0644));
    memset(path, '/', PATH_MAX + 1);
    CALL(stat(path, &st));
    path[PATH_MAX] = 0;
    CALL(stat(path, &st));
    path[PATH_MAX - 1] = 0;
    CALL(stat(path, &st));
    memset(path, 't', PATH_MAX);
    CALL(symlink(path, "long"));
    path[PATH_MAX - 1] = 0;
    CALL(symlink(path, "long"));
    return 0;
}
