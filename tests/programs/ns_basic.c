// Namespaces: the links in /proc, host names, System V objects, clocks, their ioctls and setns.
#include "children.h"
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>

static const char *kinds[] = { "cgroup", "ipc", "mnt", "net", "pid", "pid_for_children",
                               "time", "time_for_children", "user", "uts" };

static const char *where(const char *kind)
{
    static char text[2][128];
    static int turn;
    char path[64];
    char *to = text[turn = !turn];
    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    ssize_t length = readlink(path, to, 127);
    to[length < 0 ? 0 : length] = 0;
    return to;
}

static int of(const char *kind)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    return open(path, O_RDONLY);
}

static void links(void)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[32];
        unsigned number;
        struct stat st;
        char path[64];
        sscanf(where(kinds[i]), "%31[a-z]:[%u]", name, &number);
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        int found = stat(path, &st);
        int fd = of(kinds[i]);
        printf("%s is %s, %d, the number is the inode's: %d, of type %x\n", kinds[i], name, found,
               st.st_ino == number, ioctl(fd, NS_GET_NSTYPE));
        close(fd);
    }
    CALL(open("/proc/self/ns/uts", O_RDWR));
    CALL(open("/proc/self/ns/none", O_RDONLY));
}

static void host_names(void)
{
    struct utsname names;
    unshare(CLONE_NEWUTS);
    int first = of("uts");
    sethostname("outside", 7);
    CALL(unshare(CLONE_NEWUTS));
    uname(&names);
    TEXT(names.nodename);
    CALL(sethostname("inside", 6));
    int second = of("uts");
    CALL(setns(first, CLONE_NEWIPC));
    CALL(setns(first, CLONE_NEWUTS));
    uname(&names);
    TEXT(names.nodename);
    CALL(setns(second, 0));
    uname(&names);
    TEXT(names.nodename);
    CALL(setns(first, 0));
    CALL(setns(-1, 0));
    CALL(setns(0, 0));
    close(first);
    close(second);
}

static void objects(void)
{
    int key = 0x5eed;
    int queue = msgget(key, IPC_CREAT | 0600);
    int first = of("ipc");
    CALL(unshare(CLONE_NEWIPC));
    CALL(msgget(key, 0));
    CALL(msgget(key, IPC_CREAT | 0600) >= 0);
    CALL(setns(first, CLONE_NEWIPC));
    TRUTH(msgget(key, 0) == queue);
    msgctl(queue, IPC_RMID, NULL);
    close(first);
}

static long seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec;
}

static long asked(clockid_t clock)
{
    struct timespec now;
    syscall(SYS_clock_gettime, clock, &now);
    return now.tv_sec;
}

static void clocks(void)
{
    long before = seconds(CLOCK_MONOTONIC), boot = seconds(CLOCK_BOOTTIME);
    CALL(unshare(CLONE_NEWTIME));
    int fd = open("/proc/self/timens_offsets", O_WRONLY);
    CALL(write(fd, "monotonic 1000 0\nboottime 5000 0\n", 33));
    CALL(write(fd, "monotonic -1000000000 0\n", 24));
    CALL(write(fd, "realtime 1 0\n", 13));
    TRUTH(seconds(CLOCK_MONOTONIC) - before < 900);
    pid_t child = fork();
    if (child == 0) {
        TRUTH(seconds(CLOCK_MONOTONIC) - before >= 1000);
        TRUTH(asked(CLOCK_MONOTONIC) - before >= 1000);
        TRUTH(seconds(CLOCK_BOOTTIME) - boot >= 5000);
        TRUTH(seconds(CLOCK_MONOTONIC_COARSE) - before >= 1000);
        CALL(write(fd, "monotonic 5 0\n", 14));
        struct timespec until = { seconds(CLOCK_MONOTONIC) + 1, 0 };
        CALL(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
        TRUTH(seconds(CLOCK_MONOTONIC) - until.tv_sec < 10);
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    NUMBER(status);
    close(fd);
}

static void requests(void)
{
    int users = of("user"), names = of("uts"), numbers = of("pid");
    CALL(ioctl(users, NS_GET_USERNS));
    CALL(ioctl(users, NS_GET_PARENT));
    CALL(ioctl(numbers, NS_GET_PARENT));
    CALL(ioctl(names, NS_GET_PARENT));
    unsigned owner = 77;
    CALL(ioctl(users, NS_GET_OWNER_UID, &owner));
    NUMBER(owner);
    CALL(ioctl(names, NS_GET_OWNER_UID, &owner));
    struct stat one, other;
    int of_names = ioctl(names, NS_GET_USERNS);
    fstat(of_names, &one);
    fstat(users, &other);
    TRUTH(one.st_ino == other.st_ino);
    CALL(fcntl(of_names, F_GETFD));
    CALL(ioctl(users, 0xb7ff));
    CALL(setns(users, 0));
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    links();
    host_names();
    objects();
    requests();
    clocks();
    CALL(unshare(CLONE_NEWUTS | CLONE_THREAD));
    CALL(unshare(CLONE_PARENT));
    return 0;
}
