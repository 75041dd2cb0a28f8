// utimensat(2) and the times that calls leave behind.
#include "check.h"
#include <sys/time.h>
#include <time.h>

static int not_before(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec >= b.tv_nsec);
}

static int same(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static void show(const char *path)
{
    struct stat st;
    lstat(path, &st);
    printf("%s: accessed %ld.%09ld, modified %ld.%09ld\n", path, (long)st.st_atim.tv_sec,
           st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void pass(void)
{
    struct timespec moment = { 0, 20000000 };
    nanosleep(&moment, NULL);
}

int main(void)
{
    enter_scratch();
    put("file", "x");
    symlink("file", "link");
    struct timespec given[2] = { { 1000, 111 }, { 2000000000, 222222222 } };
    CALL(utimensat(AT_FDCWD, "file", given, 0));
    show("file");
    struct timespec first[2] = { { 5, 6 }, { 0, UTIME_OMIT } };
    CALL(utimensat(AT_FDCWD, "file", first, 0));
    show("file");
    struct timespec second[2] = { { 0, UTIME_OMIT }, { -7, 8 } };
    CALL(utimensat(AT_FDCWD, "file", second, 0));
    show("file");
    struct timespec neither[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
    CALL(utimensat(AT_FDCWD, "file", neither, 0));
    show("file");
    CALL(utimensat(AT_FDCWD, "link", given, AT_SYMLINK_NOFOLLOW));
    show("file");
    CALL(utimensat(AT_FDCWD, "link", given, 0));
    show("file");
    int fd = open("file", O_RDWR);
    struct timespec third[2] = { { 77, 0 }, { 88, 0 } };
    CALL(futimens(fd, third));
    show("file");
    struct timeval coarse[2] = { { 3, 4 }, { 5, 6 } };
    CALL(utimes("file", coarse));
    show("file");
    struct timespec bad[2] = { { 0, 1000000000 }, { 0, 0 } };
    CALL(utimensat(AT_FDCWD, "file", bad, 0));
    CALL(utimensat(AT_FDCWD, "none", given, 0));
    CALL(utimensat(AT_FDCWD, "file", given, 0x8000));
    CALL(futimens(999, given));
    struct timespec now, present[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
    CALL(utimensat(AT_FDCWD, "file", present, 0));
    clock_gettime(CLOCK_REALTIME, &now);
    struct stat a, b;
    stat("file", &a);
    TRUTH(not_before(now, a.st_mtim) && now.tv_sec - a.st_mtim.tv_sec < 5);
    TRUTH(same(a.st_mtim, a.st_atim));

    pass();
    CALL(write(fd, "y", 1));
    fstat(fd, &b);
    TRUTH(!same(a.st_mtim, b.st_mtim) && not_before(b.st_mtim, a.st_mtim));
    TRUTH(same(b.st_mtim, b.st_ctim));
    pass();
    CALL(chmod("file", 0600));
    fstat(fd, &a);
    TRUTH(same(a.st_mtim, b.st_mtim) && !same(a.st_ctim, b.st_ctim));
    pass();
    CALL(link("file", "more"));
    fstat(fd, &b);
    TRUTH(!same(a.st_ctim, b.st_ctim));
    stat(".", &a);
    pass();
    put("another", "");
    stat(".", &b);
    TRUTH(!same(a.st_mtim, b.st_mtim));
    pass();
    CALL(unlink("another"));
    stat(".", &a);
    TRUTH(!same(a.st_mtim, b.st_mtim));
    return 0;
}
