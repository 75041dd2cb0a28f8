// mkdir, rmdir, readdir, getcwd, chdir, and the shapes of paths.
// build: glibc musl
#include "check.h"
#include <dirent.h>
#include <limits.h>
#include <sys/syscall.h>

static void list(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    printf("list %s ->", path);
    for (int i = 0; i < count; i++)
        printf(" %s/%d", entries[i]->d_name, entries[i]->d_type);
    printf("%s\n", count < 0 ? errno_name(errno) : "");
}

/* The working directory below the scratch directory, whose name is random. */
static size_t base_length;
static const char *where(void)
{
    static char path[PATH_MAX];
    if (!getcwd(path, sizeof path))
        return errno_name(errno);
    return path + (strlen(path) < base_length ? 0 : base_length);
}

int main(void)
{
    enter_scratch();
    char base[PATH_MAX], small[4];
    base_length = strlen(getcwd(base, sizeof base));
    struct stat st, other;
    CALL(mkdir("dir", 0755));
    CALL(mkdir("dir", 0755));
    CALL(mkdir("dir/", 0755));
    CALL(mkdir("slash/", 0755));
    CALL(mkdir("none/x", 0755));
    CALL(mkdir("", 0755));
    CALL(mkdir(".", 0755));
    CALL(mkdir("/", 0755));
    CALL(mkdir((char *)8, 0755));
    put("file", "");
    CALL(mkdir("file", 0755));
    CALL(mkdir("file/x", 0755));
    put("dir/file", "x");
    symlink("file", "dir/link");
    mkdir("dir/sub", 0755);
    mkfifo("dir/fifo", 0644);
    list("dir");
    list("file");
    list("none");
    CALL(rmdir("dir"));
    CALL(rmdir("file"));
    CALL(rmdir("none"));
    CALL(rmdir("dir/sub/."));
    CALL(rmdir("dir/sub/.."));
    CALL(rmdir("dir/sub/"));
    CALL(rmdir("slash"));
    CALL(rmdir("/"));
    CALL(unlinkat(AT_FDCWD, "dir", 0));
    CALL(unlinkat(AT_FDCWD, "file", AT_REMOVEDIR));
    CALL(unlinkat(AT_FDCWD, "dir/link", 0));
    list("dir");

    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "dir/entry-%03d", i);
        put(name, "");
    }
    int seen = 0, sum = 0;
    DIR *stream = opendir("dir");
    for (struct dirent *entry; (entry = readdir(stream));)
        if (strncmp(entry->d_name, "entry-", 6) == 0) {
            seen++;
            sum += atoi(entry->d_name + 6);
        }
    NUMBER(seen);
    NUMBER(sum);
    rewinddir(stream);
    seen = 0;
    while (readdir(stream))
        seen++;
    NUMBER(seen);
    /* Removing what was just read must not hide the rest. */
    rewinddir(stream);
    int removed = 0;
    for (struct dirent *entry; (entry = readdir(stream));)
        if (strncmp(entry->d_name, "entry-", 6) == 0)
            removed += unlinkat(dirfd(stream), entry->d_name, 0) == 0;
    NUMBER(removed);
    closedir(stream);
    list("dir");
    int dir = open("dir", O_RDONLY);
    CALL(syscall(SYS_getdents64, dir, small, sizeof small));
    CALL(syscall(SYS_getdents64, open("file", O_RDONLY), base, sizeof base));
    CALL(syscall(SYS_getdents64, 999, small, sizeof small));

    TEXT(where());
    CALL(chdir("dir"));
    TEXT(where());
    CALL(chdir(".."));
    CALL(chdir("file"));
    CALL(chdir("none"));
    CALL(fchdir(dir));
    TEXT(where());
    CALL(fchdir(999));
    CALL(fchdir(open("file", O_RDONLY)));
    CALL(chdir("../dir/./../dir//"));
    TEXT(where());
    CALL(getcwd(small, sizeof small) != NULL);
    TEXT(errno_name(errno));
    CALL(syscall(SYS_getcwd, base, sizeof base) > 1);
    mkdir("gone", 0755);
    chdir("gone");
    CALL(rmdir("../gone"));
    TEXT(where());
    CALL(open("new", O_WRONLY | O_CREAT, 0644));
    CALL(stat(".", &st));
    NUMBER(st.st_nlink);
    CALL(chdir(".."));
    TEXT(where());

    CALL(chdir("/"));
    base_length = 0;
    TEXT(where());
    stat("/", &st);
    stat("/..", &other);
    TRUTH(st.st_ino == other.st_ino);
    CALL(chdir("/../../.."));
    TEXT(where());
    CALL(chdir("//"));
    TEXT(where());
    CALL(access("/./../.", F_OK));
    return 0;
}
