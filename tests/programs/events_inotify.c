// inotify: what is told of files and directories, in which order.
// build: glibc musl
#include "check.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static int fd, cookie;

static void show(const char *when)
{
    static char block[65536] __attribute__((aligned(8)));
    int length = read(fd, block, sizeof block);
    printf("%s:", when);
    if (length < 0)
        printf(" %s", errno_name(errno));
    for (int at = 0; at < length;) {
        struct inotify_event *event = (void *)(block + at);
        int moved = event->cookie ? (event->cookie == (unsigned)cookie ? 2 : 1) : 0;
        cookie = event->cookie ? event->cookie : cookie;
        printf(" [%d %#x%s%s%s]", event->wd, event->mask, moved ? moved == 2 ? " same" : " new" : "",
               event->len ? " " : "", event->len ? event->name : "");
        at += sizeof *event + event->len;
    }
    printf("\n");
}

int main(void)
{
    enter_scratch();
    char byte;
    CALL(inotify_init1(1));
    fd = OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    CALL(inotify_add_watch(fd, "nothing", IN_ALL_EVENTS));
    CALL(inotify_add_watch(fd, ".", 0));
    CALL(inotify_add_watch(0, ".", IN_ALL_EVENTS));
    CALL(inotify_add_watch(99, ".", IN_ALL_EVENTS));
    CALL(inotify_add_watch(fd, ".", IN_ALL_EVENTS | IN_MASK_ADD | IN_MASK_CREATE));
    put("plain", "text");
    CALL(inotify_add_watch(fd, "plain", IN_ALL_EVENTS | IN_ONLYDIR));
    CALL(inotify_add_watch(fd, ".", IN_ALL_EVENTS));
    CALL(inotify_add_watch(fd, "plain", IN_ALL_EVENTS));
    CALL(inotify_add_watch(fd, "./plain", IN_MODIFY | IN_MASK_ADD));
    CALL(inotify_add_watch(fd, "plain", IN_MODIFY | IN_MASK_CREATE));
    show("nothing yet");
    int file = open("plain", O_RDWR);
    show("opened");
    CALL(read(file, &byte, 1));
    CALL(read(file, &byte, 1));
    CALL(write(file, "x", 1));
    CALL(pread(file, &byte, 1, 100));
    show("read and written");
    CALL(fchmod(file, 0600));
    CALL(ftruncate(file, 2));
    show("changed");
    CALL(close(dup(file)));
    show("a duplicate closed");
    close(file);
    show("closed");
    close(open("plain", O_RDONLY));
    show("opened and closed");
    put("new", "abc");
    show("made");
    put("new", "abc");
    show("cut");
    CALL(mkdir("directory", 0755));
    CALL(symlink("new", "link"));
    CALL(mkfifo("fifo", 0600));
    CALL(link("plain", "other"));
    show("entries");
    CALL(rename("new", "moved"));
    show("renamed");
    CALL(rename("moved", "directory/moved"));
    show("moved away");
    CALL(rename("directory/moved", "back"));
    show("moved back");
    CALL(rename("plain", "plain2"));
    show("moved itself");
    CALL(inotify_add_watch(fd, "back", IN_ALL_EVENTS));
    CALL(rename("fifo", "back"));
    show("replaced");
    CALL(unlink("other"));
    show("one name less");
    CALL(unlink("plain2"));
    show("removed");
    CALL(inotify_add_watch(fd, "directory", IN_ALL_EVENTS));
    CALL(rmdir("directory"));
    show("directory removed");
    CALL(inotify_add_watch(fd, "link", IN_ALL_EVENTS | IN_DONT_FOLLOW));
    CALL(inotify_rm_watch(fd, 77));
    CALL(inotify_rm_watch(fd, 1));
    int waiting = 0;
    CALL(ioctl(fd, FIONREAD, &waiting));
    printf("waiting %d\n", waiting);
    CALL(read(fd, &byte, 1));
    struct pollfd one = { .fd = fd, .events = POLLIN };
    CALL(poll(&one, 1, 0));
    printf("%#x\n", one.revents);
    show("unwatched");
    put("quiet", "x");
    show("nothing");
    CALL(inotify_add_watch(fd, ".", IN_CREATE | IN_ONESHOT));
    put("first", "");
    put("second", "");
    show("once");
    put("kept", "");
    CALL(inotify_add_watch(fd, ".", IN_MODIFY | IN_EXCL_UNLINK));
    file = open("kept", O_WRONLY);
    write(file, "x", 1);
    unlink("kept");
    write(file, "y", 1);
    close(file);
    show("without a name");
    struct timespec times[2] = { { 1, 0 }, { 0, UTIME_OMIT } };
    CALL(inotify_add_watch(fd, ".", IN_MODIFY | IN_ACCESS | IN_ATTRIB));
    CALL(utimensat(AT_FDCWD, "quiet", times, 0));
    CALL(utimensat(AT_FDCWD, "quiet", NULL, 0));
    show("times");
    close(fd);
    return 0;
}
