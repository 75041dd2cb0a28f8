// Trailing slashes, access(2), unlink while open, and other corners of path walking.
#include "check.h"

int main(void)
{
    enter_scratch();
    char buffer[16] = "";
    struct stat st;
    put("file", "content");
    mkdir("dir", 0755);
    symlink("dir", "link");
    symlink("file", "to_file");
    CALL(open("file/", O_RDONLY));
    CALL(stat("file/", &st));
    CALL(stat("file/.", &st));
    CALL(stat("file/..", &st));
    CALL(stat("dir/", &st));
    CALL(stat("dir//.//", &st));
    CALL(lstat("link/", &st));
    TRUTH(S_ISDIR(st.st_mode));
    CALL(lstat("link", &st));
    TRUTH(S_ISLNK(st.st_mode));
    CALL(lstat("to_file/", &st));
    CALL(open("new/", O_WRONLY | O_CREAT, 0644));
    CALL(unlink("file/"));
    CALL(unlink("dir/."));
    CALL(link("file", "new/"));
    CALL(symlink("x", "new/"));
    CALL(mkdir("new//", 0755));
    CALL(rmdir("new//"));
    CALL(stat("none/..", &st));
    CALL(stat("none/", &st));

    CALL(access("file", F_OK));
    CALL(access("file", R_OK | W_OK));
    CALL(access("file", X_OK));
    chmod("file", 0755);
    CALL(access("file", X_OK));
    CALL(access("none", F_OK));
    CALL(access("file", 8));
    CALL(faccessat(AT_FDCWD, "dir", R_OK | X_OK, 0));
    CALL(faccessat(999, "dir", F_OK, 0));
    CALL(faccessat(AT_FDCWD, "file", R_OK, AT_EACCESS));

    int fd = open("file", O_RDWR);
    CALL(unlink("file"));
    CALL(fstat(fd, &st));
    NUMBER(st.st_nlink);
    CALL(read(fd, buffer, 15));
    TEXT(buffer);
    CALL(write(fd, "more", 4));
    CALL(stat("file", &st));
    put("file", "another");
    CALL(pread(fd, buffer, 11, 0));
    TEXT(buffer);
    TEXT(get("file"));
    struct stat other;
    stat("file", &other);
    TRUTH(st.st_ino != other.st_ino);
    return 0;
}
