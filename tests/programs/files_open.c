// open(2) and openat(2): flags and their errors.
// build: glibc pie musl
#include "check.h"

int main(void)
{
    enter_scratch();
    struct stat st;
    CALL(open("none", O_RDONLY));
    OK(open("new", O_RDWR | O_CREAT | O_EXCL, 0640));
    CALL(open("new", O_RDWR | O_CREAT | O_EXCL, 0640));
    CALL(stat("new", &st));
    HEX(st.st_mode);
    OK(open("masked", O_WRONLY | O_CREAT, 0666));
    stat("masked", &st);
    HEX(st.st_mode);
    umask(077);
    OK(open("tight", O_WRONLY | O_CREAT, 0777));
    stat("tight", &st);
    HEX(st.st_mode);
    HEX(umask(022));

    put("text", "0123456789");
    OK(open("text", O_WRONLY | O_TRUNC));
    stat("text", &st);
    NUMBER(st.st_size);
    put("text", "0123456789");
    int fd = OK(open("text", O_RDWR | O_APPEND));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(write(fd, "ab", 2));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(lseek(fd, 1, SEEK_SET));
    CALL(write(fd, "c", 1));
    CALL(pwrite(fd, "d", 1, 0));
    TEXT(get("text"));
    HEX(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND));
    close(fd);

    mkdir("dir", 0755);
    OK(open("dir", O_RDONLY));
    OK(open("dir", O_RDONLY | O_DIRECTORY));
    CALL(open("dir", O_WRONLY));
    CALL(open("dir", O_RDWR));
    CALL(open("dir", O_RDONLY | O_CREAT, 0644));
    CALL(open("text", O_RDONLY | O_DIRECTORY));
    CALL(open("text/more", O_RDONLY));
    CALL(open("dir/none", O_RDONLY));
    CALL(open("none/new", O_WRONLY | O_CREAT, 0644));
    CALL(open("", O_RDONLY));
    symlink("text", "link");
    symlink("nowhere", "dangling");
    CALL(open("link", O_RDONLY | O_NOFOLLOW));
    OK(open("link", O_RDONLY));
    CALL(open("dangling", O_RDONLY));
    CALL(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0644));
    OK(open("dangling", O_WRONLY | O_CREAT, 0644));
    CALL(access("nowhere", F_OK));

    int path = OK(open("text", O_PATH));
    char byte;
    CALL(read(path, &byte, 1));
    CALL(write(path, "x", 1));
    CALL(lseek(path, 0, SEEK_SET));
    CALL(fstat(path, &st));
    NUMBER(st.st_size);
    CALL(fchmod(path, 0600));
    CALL(ftruncate(path, 0));
    HEX(fcntl(path, F_GETFL) & (O_ACCMODE | O_PATH));
    int symbolic = OK(open("link", O_PATH | O_NOFOLLOW));
    fstat(symbolic, &st);
    TRUTH(S_ISLNK(st.st_mode));

    fd = OK(open("text", O_RDONLY | O_CLOEXEC));
    NUMBER(fcntl(fd, F_GETFD));
    CALL(write(fd, "x", 1));
    CALL(fcntl(fd, F_SETFD, 0));
    NUMBER(fcntl(fd, F_GETFD));
    fd = OK(open("text", O_WRONLY));
    CALL(read(fd, &byte, 1));

    int dir = OK(open("dir", O_RDONLY | O_DIRECTORY));
    OK(openat(dir, "inner", O_WRONLY | O_CREAT, 0644));
    CALL(access("dir/inner", F_OK));
    OK(openat(dir, "../text", O_RDONLY));
    CALL(openat(999, "text", O_RDONLY));
    OK(openat(999, "/", O_RDONLY));
    CALL(openat(fd, "text", O_RDONLY));
    OK(openat(AT_FDCWD, "text", O_RDONLY));
    CALL(read(dir, &byte, 1));
    CALL(write(dir, &byte, 1));
    OK(creat("created", 0600));
    CALL(open("text", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    int hidden = OK(open(".", O_TMPFILE | O_RDWR, 0600));
    fstat(hidden, &st);
    NUMBER(st.st_nlink);
    CALL(open(".", O_TMPFILE | O_RDONLY, 0600));
    return 0;
}
