// statx(2): masks, flags, fields.
#include "check.h"

int main(void)
{
    enter_scratch();
    struct statx sx;
    struct stat st;
    put("file", "content");
    chmod("file", 0640);
    symlink("file", "link");
    CALL(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &sx));
    TRUTH((sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    stat("file", &st);
    TRUTH(sx.stx_ino == st.st_ino);
    TRUTH(sx.stx_mtime.tv_sec == st.st_mtim.tv_sec && sx.stx_mtime.tv_nsec == st.st_mtim.tv_nsec);
    TRUTH(sx.stx_uid == st.st_uid && sx.stx_gid == st.st_gid);
    NUMBER(sx.stx_size);
    NUMBER(sx.stx_nlink);
    NUMBER(sx.stx_blocks);
    NUMBER(sx.stx_blksize);
    HEX(sx.stx_mode);
    NUMBER(sx.stx_rdev_major);
    CALL(statx(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_ALL, &sx));
    HEX(sx.stx_mode);
    NUMBER(sx.stx_size);
    int fd = open("file", O_RDONLY);
    CALL(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx));
    NUMBER(sx.stx_size);
    CALL(statx(fd, "", 0, STATX_SIZE, &sx));
    CALL(statx(AT_FDCWD, "/dev/null", 0, STATX_BASIC_STATS, &sx));
    NUMBER(sx.stx_rdev_major);
    NUMBER(sx.stx_rdev_minor);
    CALL(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_SIZE, &sx));
    CALL(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE, &sx));
    CALL(statx(AT_FDCWD, "file", 0x40, STATX_SIZE, &sx));
    CALL(statx(AT_FDCWD, "file", 0, STATX__RESERVED, &sx));
    CALL(statx(AT_FDCWD, "none", 0, STATX_SIZE, &sx));
    CALL(statx(AT_FDCWD, "file", 0, STATX_SIZE, (struct statx *)8));
    return 0;
}
