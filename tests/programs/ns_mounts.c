// Mounts in a namespace of an ordinary user: what is another's stays as it is.
#include "children.h"
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define OPEN_TREE 428
#define MOVE_MOUNT 429
#define FSOPEN 430
#define FSCONFIG 431
#define FSMOUNT 432
#define FSPICK 433
#define MOUNT_SETATTR 442
#define EMPTY 0x1000
#define CLONE 1
#define RECURSIVE 0x8000

struct attributes { unsigned long long set, clear, propagation, user_namespace; };

static int write_to(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    int written = fd < 0 ? -1 : write(fd, text, strlen(text));
    close(fd);
    return written;
}

static int is(const char *path) { return access(path, F_OK) == 0; }

/* How the last mount on a directory takes part in propagation. */
static const char *part_of(const char *name)
{
    static char line[4096], found[64];
    FILE *file = fopen("/proc/self/mountinfo", "r");
    strcpy(found, "none");
    while (fgets(line, sizeof line, file)) {
        char point[2048];
        if (sscanf(line, "%*s %*s %*s %*s %2047s", point) != 1)
            continue;
        size_t length = strlen(point), wanted = strlen(name);
        if (length < wanted || strcmp(point + length - wanted, name))
            continue;
        snprintf(found, sizeof found, "%s%s", strstr(line, " shared:") ? "shared " : "",
                 strstr(line, " master:") ? "slave" : "");
    }
    fclose(file);
    return found;
}

static long set_attributes(int fd, const char *path, unsigned long long set, unsigned long long clear)
{
    struct attributes change = { set, clear, 0, 0 };
    return syscall(MOUNT_SETATTR, fd, path, EMPTY, &change, sizeof change);
}

static void of_another_namespace(int theirs)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", theirs);
    CALL(syscall(MOVE_MOUNT, theirs, "", AT_FDCWD, "point", 4));
    CALL(syscall(OPEN_TREE, theirs, "", CLONE | EMPTY));
    CALL(syscall(OPEN_TREE, theirs, "", CLONE | EMPTY | RECURSIVE));
    CALL(set_attributes(theirs, "", 1, 0));
    CALL(set_attributes(theirs, "", 0, 2));
    CALL(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    CALL(mount(NULL, path, NULL, MS_REMOUNT, NULL));
    CALL(mount(path, "point", NULL, MS_BIND, NULL));
    CALL(mount(path, "point", NULL, MS_MOVE, NULL));
    CALL(umount2(path, MNT_DETACH));
    int picked = syscall(FSPICK, theirs, "", 8);
    TRUTH(picked >= 0);
    CALL(syscall(FSCONFIG, picked, 0, "ro", NULL, 0));
    CALL(syscall(FSCONFIG, picked, 7, NULL, NULL, 0));
    close(picked);
}

static void locked(void)
{
    CALL(umount2("theirs", 0));
    CALL(umount2("theirs", MNT_DETACH));
    CALL(mount("theirs", "point", NULL, MS_MOVE, NULL));
    CALL(syscall(MOVE_MOUNT, AT_FDCWD, "theirs", AT_FDCWD, "point", 0));
    CALL(mount(NULL, "theirs", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, NULL));
    CALL(mount(NULL, "theirs", NULL, MS_REMOUNT | MS_BIND, NULL));
    CALL(mount(NULL, "theirs", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL));
    CALL(mount(NULL, "theirs", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOATIME, NULL));
    CALL(mount(NULL, "theirs", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL));
    CALL(mount(NULL, "theirs", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_RDONLY, NULL));
    CALL(mount(NULL, "theirs", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL));
    CALL(set_attributes(AT_FDCWD, "theirs", 0, 2));
    CALL(set_attributes(AT_FDCWD, "theirs", 0, 4));
    CALL(set_attributes(AT_FDCWD, "theirs", 0x10, 0x70));
    CALL(set_attributes(AT_FDCWD, "theirs", 8, 0));
    /* What is covered is not shown: only the whole is copied, and only the whole goes. */
    CALL(mount(".", "point", NULL, MS_BIND, NULL));
    CALL(syscall(OPEN_TREE, AT_FDCWD, ".", CLONE));
    CALL(mount(".", "point", NULL, MS_BIND | MS_REC, NULL));
    TRUTH(is("point/theirs/file"));
    CALL(umount2("point/theirs", MNT_DETACH));
    CALL(umount2("point", MNT_DETACH));
    CALL(mount("theirs", "point", NULL, MS_BIND, NULL));
    CALL(mount(NULL, "point", NULL, MS_REMOUNT | MS_BIND, NULL));
    CALL(umount2("point", 0));
}

static void own(void)
{
    CALL(mount("none", "point", "tmpfs", 0, NULL));
    CALL(mount(NULL, "point", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    CALL(mount(NULL, "point", NULL, MS_REMOUNT | MS_NOSUID, NULL));
    CALL(mount(NULL, "point", NULL, MS_REMOUNT | MS_BIND, NULL));
    CALL(mount("point", "other", NULL, MS_MOVE, NULL));
    /* Again a copy, of which the owner is the same. */
    CALL(unshare(CLONE_NEWNS));
    CALL(umount2("other", 0));
    CALL(umount2("theirs", 0));
    CALL(mount("none", "point", "devtmpfs", 0, NULL));
    CALL(mount("none", "point", "proc", 0, NULL));
    CALL(mount("none", "point", "sysfs", 0, NULL));
    CALL(mount("none", "point", "nonsense", 0, NULL));
    int setup = syscall(FSOPEN, "devtmpfs", 0);
    TRUTH(setup >= 0);
    CALL(syscall(FSCONFIG, setup, 6, NULL, NULL, 0));
    close(setup);
    setup = syscall(FSOPEN, "tmpfs", 0);
    CALL(syscall(FSCONFIG, setup, 6, NULL, NULL, 0));
    int tree = syscall(FSMOUNT, setup, 0, 2);
    TRUTH(tree >= 0);
    CALL(set_attributes(tree, "", 8, 2));
    CALL(syscall(MOVE_MOUNT, tree, "", AT_FDCWD, "point", 4));
    CALL(syscall(FSCONFIG, setup, 0, "ro", NULL, 0));
    CALL(syscall(FSCONFIG, setup, 7, NULL, NULL, 0));
    CALL(umount2("point", MNT_DETACH));
    close(tree);
    close(setup);
}

int main(void)
{
    int here[2], there[2];
    char byte = 0;
    enter_scratch();
    unshare(CLONE_NEWNS);
    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    chmod(".", 0777);
    mount("none", ".", "tmpfs", 0, "mode=777");
    char path[4096];
    if (!getcwd(path, sizeof path) || chdir(path))
        return 1;
    mkdir("theirs", 0755);
    mkdir("shared", 0755);
    mkdir("point", 0777);
    mkdir("other", 0777);
    CALL(mount("none", "theirs", "tmpfs", MS_NOSUID | MS_NODEV, NULL));
    CALL(mount("none", "shared", "tmpfs", 0, "mode=777"));
    CALL(mount(NULL, "shared", NULL, MS_SHARED, NULL));
    close(open("theirs/file", O_CREAT | O_WRONLY, 0644));
    mkdir("shared/a", 0777);
    mkdir("shared/b", 0777);
    CALL(mount("none", "shared/b", "tmpfs", 0, NULL));
    if (pipe(here) || pipe(there))
        return 1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int theirs = open("theirs", O_PATH);
        setgroups(0, NULL);
        setresgid(1000, 1000, 1000);
        setresuid(1000, 1000, 1000);
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        CALL(unshare(CLONE_NEWUSER | CLONE_NEWNS));
        write_to("/proc/self/uid_map", "0 1000 1\n");
        TEXT(part_of("/shared"));
        of_another_namespace(theirs);
        locked();
        own();
        CALL(mount("none", "shared/a", "tmpfs", 0, NULL));
        CALL(umount2("shared/b", 0));
        mkdir("shared/a/mine", 0700);
        fflush(stdout);
        write(here[1], &byte, 1);
        read(there[0], &byte, 1);
        TRUTH(is("shared/c/theirs"));
        CALL(umount2("shared/c", 0));
        TRUTH(is("shared/b/late"));
        write(here[1], &byte, 1);
        read(there[0], &byte, 1);
        TRUTH(is("shared/c"));
        fflush(stdout);
        _exit(0);
    }
    read(here[0], &byte, 1);
    TEXT(part_of("/shared"));
    TRUTH(is("shared/a/mine"));
    mkdir("shared/c", 0755);
    CALL(mount("none", "shared/c", "tmpfs", 0, NULL));
    mkdir("shared/c/theirs", 0755);
    fflush(stdout);
    write(there[1], &byte, 1);
    read(here[0], &byte, 1);
    TRUTH(is("shared/c/theirs"));
    CALL(umount2("shared/c", 0));
    /* Whoever it was passed to cannot keep it. */
    CALL(umount2("shared/b", 0));
    fflush(stdout);
    write(there[1], &byte, 1);
    int status = -1;
    TRUTH(waitpid(child, &status, 0) == child);
    HEX(status);
    CALL(umount2("theirs", 0));
    return 0;
}
