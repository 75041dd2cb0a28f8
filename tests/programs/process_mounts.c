// mount and umount: tmpfs, bind, read-only, /proc/mounts, and what is busy.
#include "children.h"
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

/* The options of a mounted directory of the scratch directory, from /proc/mounts. */
static const char *options(const char *name)
{
    static char text[4096];
    char line[4096];
    char end[64];
    strcpy(text, "not mounted");
    snprintf(end, sizeof end, "/%s", name);
    FILE *file = fopen("/proc/mounts", "r");
    while (file && fgets(line, sizeof line, file)) {
        char source[1024], place[2048], type[64], found[1024];
        if (sscanf(line, "%1023s %2047s %63s %1023s", source, place, type, found) != 4)
            continue;
        size_t length = strlen(place);
        if (strstr(place, "/program-") && length > strlen(end)
            && strcmp(place + length - strlen(end), end) == 0)
            snprintf(text, sizeof text, "%s %s %.2s%s%s%s", source, type, found,
                     strstr(found, "nosuid") ? " nosuid" : "",
                     strstr(found, "nodev") ? " nodev" : "",
                     strstr(found, "noexec") ? " noexec" : "");
    }
    if (file)
        fclose(file);
    return text;
}

static void tmpfs(void)
{
    struct stat st;
    struct statfs fs;
    CALL(mkdir("a", 0700));
    put("a/hidden", "x");
    CALL(mount("some-name", "a", "tmpfs", 0, "size=1m,mode=711"));
    TEXT(options("a"));
    CALL(access("a/hidden", F_OK));
    CALL(stat("a", &st));
    printf("%o\n", st.st_mode);
    CALL(statfs("a", &fs));
    HEX(fs.f_type);
    NUMBER(fs.f_blocks * fs.f_bsize);
    put("a/file", "in the tmpfs");
    dev_t device = st.st_dev;
    stat(".", &st);
    TRUTH(st.st_dev != device);
    CALL(rename("a/file", "file"));
    CALL(link("a/file", "file"));
    CALL(rename("a", "b"));
    CALL(rmdir("a"));
    int fd = open("a/large", O_WRONLY | O_CREAT, 0644);
    static char block[65536];
    long total = 0;
    ssize_t length;
    while ((length = write(fd, block, sizeof block)) > 0)
        total += length;
    TRUTH(total > 900000 && total <= 1048576);
    TEXT(errno_name(errno));
    CALL(umount("a"));
    close(fd);
    CALL(umount("a"));
    CALL(umount("a"));
    TEXT(options("a"));
    TEXT(get("a/hidden"));
    CALL(mount("none", "absent", "tmpfs", 0, NULL));
    CALL(mount("none", "a/hidden", "tmpfs", 0, NULL));
    CALL(mount("none", "a", "no-such-type", 0, NULL));
    CALL(mount("none", "a", "tmpfs", 0, "nonsense=1"));
    CALL(mount("none", "a", "tmpfs", 0, "size=x"));
}

static void busy(void)
{
    CALL(mount("none", "a", "tmpfs", 0, NULL));
    struct event go = event_new();
    struct event ready = event_new();
    pid_t pid = CHILD(chdir("a"); event_set(ready); event_wait(go));
    event_wait(ready);
    CALL(umount("a"));
    event_set(go);
    TEXT(reap(pid));
    CALL(mkdir("a/inner", 0755));
    CALL(mount("none", "a/inner", "tmpfs", 0, NULL));
    CALL(umount("a"));
    CALL(umount2("a", MNT_DETACH));
    TEXT(options("a"));
    TEXT(options("inner"));
    CALL(mount("none", "a", "tmpfs", 0, NULL));
    put("a/open", "still readable");
    int fd = open("a/open", O_RDONLY);
    CALL(umount2("a", MNT_DETACH));
    char text[32] = "";
    CALL(read(fd, text, sizeof text));
    TEXT(text);
    close(fd);
    /* One over the other: the upper one is seen. */
    CALL(mount("none", "a", "tmpfs", 0, NULL));
    put("a/lower", "l");
    CALL(mount("none", "a", "tmpfs", 0, NULL));
    CALL(access("a/lower", F_OK));
    CALL(umount("a"));
    CALL(access("a/lower", F_OK));
    CALL(umount("a"));
    CALL(umount2("a", 0x100));
    CALL(umount("absent"));
}

static void read_only(void)
{
    CALL(mount("none", "a", "tmpfs", MS_NOSUID | MS_NODEV, NULL));
    TEXT(options("a"));
    put("a/file", "content");
    int fd = open("a/file", O_WRONLY);
    CALL(mount("none", "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    close(fd);
    CALL(mount("none", "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    TEXT(options("a"));
    TEXT(get("a/file"));
    CALL(open("a/file", O_WRONLY));
    CALL(open("a/new", O_WRONLY | O_CREAT, 0644));
    CALL(mkdir("a/new", 0755));
    CALL(unlink("a/file"));
    CALL(chmod("a/file", 0600));
    CALL(access("a/file", W_OK));
    CALL(truncate("a/file", 0));
    struct statvfs fs;
    CALL(statvfs("a", &fs));
    TRUTH(fs.f_flag & ST_RDONLY);
    CALL(mount("none", "a", NULL, MS_REMOUNT, NULL));
    CALL(close(open("a/file", O_WRONLY)));
    CALL(umount("a"));
}

static void bound(void)
{
    CALL(mkdir("from", 0755));
    CALL(mkdir("to", 0755));
    put("from/file", "bound");
    CALL(mount("from", "to", NULL, MS_BIND, NULL));
    TEXT(get("to/file"));
    put("to/new", "through the other name");
    TEXT(get("from/new"));
    struct stat one;
    struct stat two;
    stat("from/file", &one);
    stat("to/file", &two);
    TRUTH(one.st_dev == two.st_dev && one.st_ino == two.st_ino);
    CALL(link("from/file", "to/link"));
    CALL(rename("from/file", "to/renamed"));
    CALL(mount(NULL, "to", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    CALL(open("to/new", O_WRONLY));
    CALL(close(open("from/new", O_WRONLY)));
    CALL(unlink("to/new"));
    CALL(umount("to"));
    CALL(access("to/file", F_OK));
    put("target", "t");
    CALL(mount("from/file", "target", NULL, MS_BIND, NULL));
    TEXT(get("target"));
    CALL(unlink("target"));
    CALL(mount("from/file", "to", NULL, MS_BIND, NULL));
    CALL(mount("from", "target", NULL, MS_BIND, NULL));
    CALL(umount("target"));
    TEXT(get("target"));
    IN_CHILD(
        setuid(1000);
        CALL(mount("none", "a", "tmpfs", 0, NULL));
        CALL(umount("a")));
}

int main(void)
{
    enter_scratch();
    chmod(".", 0755);
    tmpfs();
    busy();
    read_only();
    bound();
    return 0;
}
