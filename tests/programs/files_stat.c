// The stat family: types, modes, links, sizes, device numbers.
// build: glibc musl
#include "check.h"
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static void show(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        printf("lstat %s -> %s\n", path, errno_name(errno));
        return;
    }
    printf("lstat %s -> mode %o, %lu links, own %d, group %d, device %x", path, st.st_mode,
           (unsigned long)st.st_nlink, st.st_uid == (st.st_rdev ? 0 : geteuid()),
           st.st_gid == (st.st_rdev ? 0 : getegid()), (unsigned)st.st_rdev);
    if (S_ISDIR(st.st_mode))
        printf("\n");
    else
        printf(", size %ld, %ld blocks\n", (long)st.st_size, (long)st.st_blocks);
}

int main(void)
{
    enter_scratch();
    struct stat st, other;
    put("file", "content");
    show("file");
    link("file", "second");
    show("file");
    unlink("file");
    show("file");
    show("second");
    CALL(chmod("second", 04751));
    show("second");
    CALL(chmod("second", 0177777));
    show("second");
    CALL(chmod("second", 0));
    show("second");
    mkdir("dir", 01777);
    show("dir");
    chmod("dir", 01777);
    show("dir");
    mkdir("dir/a", 0755);
    mkdir("dir/b", 0755);
    put("dir/c", "");
    show("dir");
    show("dir/c");
    rmdir("dir/a");
    show("dir");
    symlink("dir", "link");
    show("link");
    CALL(stat("link", &st));
    TRUTH(S_ISDIR(st.st_mode));
    CALL(mkfifo("fifo", 0644));
    show("fifo");
    show("/dev/null");
    show("/dev/zero");
    show("/dev/full");
    show("/dev/urandom");

    stat("dir", &st);
    stat("dir/.", &other);
    TRUTH(st.st_ino == other.st_ino && st.st_dev == other.st_dev);
    stat("dir/b/..", &other);
    TRUTH(st.st_ino == other.st_ino);
    stat("second", &other);
    TRUTH(st.st_ino != other.st_ino && st.st_dev == other.st_dev);

    CALL(stat("none", &st));
    CALL(stat("", &st));
    CALL(stat("second/x", &st));
    CALL(syscall(SYS_newfstatat, AT_FDCWD, (char *)8, &st, 0));
    CALL(syscall(SYS_newfstatat, AT_FDCWD, "dir", (char *)8, 0));
    CALL(fstat(999, &st));
    CALL(fstatat(AT_FDCWD, "link", &st, AT_SYMLINK_NOFOLLOW));
    TRUTH(S_ISLNK(st.st_mode));
    int dir = open("dir", O_RDONLY);
    CALL(fstatat(dir, "c", &st, 0));
    CALL(fstatat(dir, "", &st, 0));
    CALL(fstatat(dir, "", &st, AT_EMPTY_PATH));
    TRUTH(S_ISDIR(st.st_mode));
    CALL(fstatat(dir, "c", &st, 0x8000));
    CALL(fstatat(999, "c", &st, 0));

    CALL(chmod("none", 0644));
    CALL(fchmod(dir, 0700));
    show("dir");
    CALL(fchmod(999, 0700));
    CALL(fchmodat(dir, "c", 0611, 0));
    show("dir/c");
    CALL(chown("dir/c", geteuid(), getegid()));
    CALL(chown("dir/c", -1, -1));
    CALL(lchown("link", -1, getegid()));
    CALL(fchown(dir, -1, -1));
    CALL(fchownat(dir, "c", -1, -1, AT_SYMLINK_NOFOLLOW));
    CALL(chown("none", -1, -1));

    struct statfs fs;
    CALL(statfs(".", &fs));
    HEX(fs.f_type);
    NUMBER(fs.f_bsize);
    NUMBER(fs.f_namelen);
    TRUTH(fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree && fs.f_blocks > 0);
    CALL(fstatfs(dir, &fs));
    HEX(fs.f_type);
    CALL(statfs("/proc", &fs));
    HEX(fs.f_type);
    CALL(statfs("none", &fs));
    CALL(fstatfs(999, &fs));
    struct statvfs vfs;
    CALL(statvfs(".", &vfs));
    NUMBER(vfs.f_frsize);
    return 0;
}
