// User namespaces: maps, privileges that count only within, and who is shown as whom.
#include "children.h"
#include <linux/capability.h>
#include <sched.h>
#include <grp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void leave(void)
{
    fflush(stdout);
    _exit(0);
}

static void await(pid_t child)
{
    int status = -1;
    TRUTH(waitpid(child, &status, 0) == child);
    HEX(status);
}

static pid_t start(void)
{
    fflush(stdout);
    return fork();
}

static int write_to(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    int written = fd < 0 ? -1 : write(fd, text, strlen(text));
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return written;
}

static const char *content(const char *path)
{
    static char text[256];
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, text, sizeof text - 1);
    text[length < 0 ? 0 : length] = 0;
    close(fd);
    return text;
}

static unsigned long long effective(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2];
    syscall(SYS_capget, &header, data);
    return data[0].effective | (unsigned long long)data[1].effective << 32;
}

static void identity(void)
{
    printf("%u %u %u %u, all %d\n", getuid(), geteuid(), getgid(), getegid(),
           (effective() & 0x1ffffffffffULL) == 0x1ffffffffffULL);
}

static void of_a_user(void)
{
    pid_t child = start();
    if (child == 0) {
        struct stat st;
        close(open("own", O_CREAT | O_WRONLY, 0600));
        chmod(".", 0777);
        setgroups(0, NULL);
        setresgid(1000, 1000, 1000);
        setresuid(1000, 1000, 1000);
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        close(open("users", O_CREAT | O_WRONLY, 0600));
        CALL(unshare(CLONE_NEWUTS));
        CALL(unshare(CLONE_NEWUSER | CLONE_FILES));
        identity();
        TEXT(content("/proc/self/uid_map"));
        TEXT(content("/proc/self/setgroups"));
        CALL(write_to("/proc/self/uid_map", "0 0 1\n"));
        CALL(write_to("/proc/self/uid_map", "0 1000 2\n"));
        CALL(write_to("/proc/self/uid_map", "0 1000\n"));
        CALL(write_to("/proc/self/uid_map", "0 1000 1\n"));
        CALL(write_to("/proc/self/uid_map", "0 1000 1\n"));
        CALL(write_to("/proc/self/gid_map", "0 1000 1\n"));
        CALL(setgroups(0, NULL));
        CALL(write_to("/proc/self/setgroups", "deny\n"));
        CALL(write_to("/proc/self/gid_map", "0 1000 1\n"));
        CALL(write_to("/proc/self/setgroups", "allow\n"));
        CALL(setgroups(0, NULL));
        identity();
        TEXT(content("/proc/self/uid_map"));
        TEXT(content("/proc/self/setgroups"));
        stat("users", &st);
        NUMBER(st.st_uid);
        stat("own", &st);
        NUMBER(st.st_uid);
        CALL(open("own", O_RDONLY));
        CALL(chown("users", 0, 0));
        CALL(chown("users", 5, 0));
        CALL(chown("own", 0, 0));
        CALL(setuid(5));
        CALL(setuid(0));
        CALL(sethostname("x", 1));
        CALL(unshare(CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWIPC));
        CALL(sethostname("x", 1));
        CALL(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
        mkdir("point", 0755);
        CALL(mount("none", "point", "tmpfs", 0, NULL));
        CALL(mknod("point/device", S_IFCHR | 0600, 0x103));
        CALL(chroot("point"));
        leave();
    }
    await(child);
}

static void of_the_superuser(void)
{
    int ready[2], mapped[2];
    char byte = 0;
    pipe(ready);
    pipe(mapped);
    pid_t child = start();
    if (child == 0) {
        CALL(unshare(CLONE_NEWUSER));
        identity();
        CALL(setuid(0));
        fflush(stdout);
        write(ready[1], &byte, 1);
        read(mapped[0], &byte, 1);
        identity();
        CALL(setresuid(10, 10, 10));
        identity();
        CALL(kill(getppid(), 0));
        CALL(setresuid(0, 0, 0));
        leave();
    }
    char path[64];
    read(ready[0], &byte, 1);
    snprintf(path, sizeof path, "/proc/%d/uid_map", child);
    CALL(write_to(path, "0 0 1\n5 100 3\n5 300 1\n"));
    CALL(write_to(path, "0 0 1\n10 100 3\n"));
    TEXT(content(path));
    snprintf(path, sizeof path, "/proc/%d/gid_map", child);
    CALL(write_to(path, "0 0 4294967295\n"));
    TEXT(content(path));
    write(mapped[1], &byte, 1);
    await(child);
}

static void within(void)
{
    pid_t child = start();
    if (child == 0) {
        int outer = open("/proc/self/ns/user", O_RDONLY);
        int names = open("/proc/self/ns/uts", O_RDONLY);
        CALL(unshare(CLONE_NEWUSER));
        CALL(setns(outer, CLONE_NEWUSER));
        CALL(setns(names, CLONE_NEWUTS));
        CALL(write_to("/proc/self/uid_map", "0 0 1\n"));
        CALL(unshare(CLONE_NEWUSER));
        CALL(write_to("/proc/self/uid_map", "3 0 1\n"));
        identity();
        int depth = 2;
        while (depth < 50 && unshare(CLONE_NEWUSER) == 0) {
            write_to("/proc/self/uid_map", depth == 2 ? "0 3 1\n" : "0 0 1\n");
            write_to("/proc/self/setgroups", "deny\n");
            write_to("/proc/self/gid_map", "0 0 1\n");
            depth++;
        }
        TRUTH(depth >= 2);
        leave();
    }
    await(child);
    CALL(unshare(CLONE_NEWUSER | CLONE_VM));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    enter_scratch();
    of_a_user();
    of_the_superuser();
    within();
    return 0;
}
