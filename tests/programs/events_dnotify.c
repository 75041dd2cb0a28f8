// F_NOTIFY: which changes of a directory send a signal, with what, to whom, and until when.
// build: glibc musl
#include "check.h"
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile int count;
static siginfo_t last;

static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    count++;
    last = *info;
}

static void say(const char *what)
{
    printf("%s: %d", what, count);
    if (count)
        printf(" signal %s code %d descriptor %d band %#lx",
               last.si_signo == SIGIO ? "SIGIO" : "chosen", last.si_code, last.si_fd, last.si_band);
    puts("");
    count = 0;
    memset(&last, 0, sizeof last);
}

static void make(const char *path)
{
    OK(close(OK(creat(path, 0644))));
}

static void changes(void)
{
    char byte;
    int file = OK(open("w/x", O_CREAT | O_RDWR, 0644));
    say("create");
    OK(write(file, "abc", 3)), say("write");
    OK(pread(file, &byte, 1, 0)), say("read");
    OK(fchmod(file, 0600)), say("chmod");
    OK(ftruncate(file, 1)), say("truncate");
    OK(close(file));
    OK(rename("w/x", "w/y")), say("rename within");
    OK(rename("w/y", "o/y")), say("rename out");
    OK(rename("o/y", "w/y")), say("rename in");
    OK(link("w/y", "w/l")), say("link");
    OK(rename("w/y", "w/l")), say("rename to itself");
    make("w/q"), count = 0;
    OK(rename("w/q", "w/l")), say("rename over");
    OK(unlink("w/l")), OK(unlink("w/y")), say("unlink twice");
    OK(mkdir("w/d", 0755)), say("mkdir");
    OK(rmdir("w/d")), say("rmdir");
    OK(symlink("q", "w/s")), say("symlink");
    OK(unlink("w/s")), say("unlink");
    OK(utimes("w/a", NULL)), say("utimes");
    OK(truncate("w/a", 5)), say("truncate by path");
    OK(chmod("w", 0700)), say("chmod of itself");
    OK(rename("w", "w2")), OK(rename("w2", "w")), say("rename of itself");
}

static void each(int fd)
{
    static const struct {
        const char *name;
        unsigned events;
    } all[] = {{"DN_ACCESS", DN_ACCESS}, {"DN_MODIFY", DN_MODIFY}, {"DN_CREATE", DN_CREATE},
               {"DN_DELETE", DN_DELETE}, {"DN_RENAME", DN_RENAME}, {"DN_ATTRIB", DN_ATTRIB}};
    for (int i = 0; i < 6; i++) {
        printf("%s\n", all[i].name);
        OK(fcntl(fd, F_NOTIFY, all[i].events | DN_MULTISHOT));
        changes();
        OK(fcntl(fd, F_NOTIFY, 0));
        make("w/z"), OK(unlink("w/z")), say("no more");
    }
}

static void descriptors(int fd)
{
    OK(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
    OK(fcntl(fd, F_NOTIFY, DN_DELETE));
    make("w/z"), OK(unlink("w/z")), say("both kinds");
    int copy = OK(dup(fd));
    OK(fcntl(copy, F_NOTIFY, DN_MODIFY));
    make("w/z"), say("by the copy");
    if (fork() == 0) {
        close(fd), close(copy);
        make("w/c");
        _exit(count);
    }
    int status;
    OK(wait(&status));
    printf("child heard %d\n", WEXITSTATUS(status));
    say("child made a file");
    OK(close(copy));
    make("w/e"), say("after the close of the copy");
    int other = OK(open("w", O_RDONLY));
    OK(fcntl(other, F_SETSIG, SIGRTMIN + 1));
    OK(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
    OK(fcntl(other, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
    make("w/f"), printf("two heard: %d\n", count), count = 0;
    OK(close(other));
    make("w/g"), say("one is left");
    OK(fcntl(fd, F_SETOWN, 0));
    make("w/h"), say("without an owner");
    OK(fcntl(fd, F_NOTIFY, DN_CREATE));
    make("w/i"), say("owned again");
}

int main(void)
{
    enter_scratch();
    OK(mkdir("w", 0755)), OK(mkdir("o", 0755));
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(SIGRTMIN + 1, &action, NULL));
    OK(sigaction(SIGIO, &action, NULL));
    int file = OK(open("file", O_CREAT | O_RDWR, 0644));
    CALL(fcntl(file, F_NOTIFY, 0));
    CALL(fcntl(file, F_NOTIFY, DN_MULTISHOT));
    CALL(fcntl(file, F_NOTIFY, DN_CREATE));
    int path = OK(open("w", O_PATH));
    CALL(fcntl(path, F_NOTIFY, DN_CREATE));
    int fd = OK(open("w", O_RDONLY));
    CALL(fcntl(fd, F_NOTIFY, 0x100));
    CALL(fcntl(fd, F_NOTIFY, DN_CREATE));
    printf("owner is the caller: %d\n", fcntl(fd, F_GETOWN) == getpid());
    make("w/a"), say("once");
    make("w/b"), say("not twice");
    OK(fcntl(fd, F_SETSIG, SIGRTMIN + 1));
    each(fd);
    descriptors(fd);
    return 0;
}
