// signalfd and pidfd: reading signals, waiting for processes, descriptors of others.
// build: glibc musl
#include "children.h"
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int pidfd_open(pid_t pid, unsigned flags) { return syscall(434, pid, flags); }
static int pidfd_send_signal(int fd, int number, siginfo_t *info, unsigned flags)
{
    return syscall(424, fd, number, info, flags);
}
static int pidfd_getfd(int fd, int other, unsigned flags) { return syscall(438, fd, other, flags); }

static void show(const char *when, int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN | POLLOUT };
    poll(&one, 1, 0);
    printf("%s: %#x\n", when, one.revents);
}

static void signals(void)
{
    struct signalfd_siginfo info[3];
    sigset_t set, other;
    sigemptyset(&set), sigemptyset(&other);
    sigaddset(&set, SIGUSR1), sigaddset(&set, SIGRTMIN), sigaddset(&set, SIGCHLD), sigaddset(&set, SIGKILL);
    sigaddset(&other, SIGUSR2);
    CALL(sigprocmask(SIG_BLOCK, &set, NULL));
    sigprocmask(SIG_BLOCK, &other, NULL);
    int fd = OK(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    CALL(signalfd(-1, &set, 1));
    CALL(signalfd(0, &set, 0));
    CALL(signalfd(99, &set, 0));
    CALL(read(fd, info, sizeof info));
    show("nothing", fd);
    CALL(raise(SIGUSR1));
    CALL(raise(SIGUSR2));
    union sigval value = { .sival_int = 7 };
    CALL(sigqueue(getpid(), SIGRTMIN, value));
    value.sival_int = 8;
    CALL(sigqueue(getpid(), SIGRTMIN, value));
    show("signals", fd);
    CALL(read(fd, info, 100));
    CALL(read(fd, info, sizeof info));
    for (int i = 0; i < 3; i++)
        printf("%d code %d value %d, mine %d %d\n", (int)info[i].ssi_signo - (i ? SIGRTMIN : 0), info[i].ssi_code,
               info[i].ssi_int, info[i].ssi_pid == getpid(), info[i].ssi_uid == getuid());
    CALL(read(fd, info, sizeof info));
    TRUTH(signalfd(fd, &other, 0) == fd);
    show("others", fd);
    CALL(read(fd, info, sizeof info));
    printf("%d\n", info[0].ssi_signo);
    signalfd(fd, &set, 0);
    int epoll = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = 5 };
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    pid_t child = CHILD(usleep(20000); _exit(9));
    CALL(epoll_wait(epoll, &event, 1, 5000));
    CALL(read(fd, info, sizeof info));
    printf("%d code %d status %d, child %d\n", info[0].ssi_signo, info[0].ssi_code, info[0].ssi_status, info[0].ssi_pid == child);
    waitpid(child, NULL, 0);
    fcntl(fd, F_SETFL, 0);
    child = CHILD(usleep(20000); kill(getppid(), SIGUSR1); _exit(0));
    CALL(read(fd, info, sizeof *info));
    printf("%d from child %d\n", info[0].ssi_signo, info[0].ssi_pid == child);
    waitpid(child, NULL, 0);
    close(fd), close(epoll);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void processes(void)
{
    int status, p[2];
    siginfo_t info;
    CALL(pidfd_open(0, 0));
    CALL(pidfd_open(-1, 0));
    CALL(pidfd_open(getpid(), 1));
    CALL(pidfd_open(4000000, 0));
    int self = OK(pidfd_open(getpid(), 0));
    printf("cloexec %d\n", fcntl(self, F_GETFD));
    CALL(pidfd_send_signal(self, 0, NULL, 0));
    CALL(pidfd_send_signal(self, 99, NULL, 0));
    CALL(pidfd_send_signal(0, 0, NULL, 0));
    char block[8];
    CALL(read(self, block, 8));
    pipe(p);
    pid_t child = CHILD(close(p[0]); pause());
    int fd = OK(pidfd_open(child, 0));
    show("running", fd);
    CALL(pidfd_getfd(fd, 99, 0));
    int copy = OK(pidfd_getfd(fd, p[1], 0));
    close(p[1]);
    CALL(write(copy, "x", 1));
    CALL(read(p[0], block, 1));
    memset(&info, 0, sizeof info);
    CALL(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    printf("%d\n", info.si_signo);
    CALL(pidfd_send_signal(fd, SIGTERM, NULL, 0));
    struct pollfd one = { .fd = fd, .events = POLLIN };
    CALL(poll(&one, 1, 5000));
    printf("%#x\n", one.revents);
    CALL(waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT));
    printf("code %d status %d child %d\n", info.si_code, info.si_status, info.si_pid == child);
    CALL(waitid(P_PIDFD, fd, &info, WEXITED));
    CALL(waitid(P_PIDFD, fd, &info, WEXITED));
    CALL(waitid(P_PIDFD, 0, &info, WEXITED));
    CALL(pidfd_send_signal(fd, 0, NULL, 0));
    close(fd), close(self), close(copy), close(p[0]);

    int made = -1;
    child = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &made, 0, 0);
    if (!child)
        _exit(3);
    printf("made %d, cloexec %d\n", made >= 0, fcntl(made, F_GETFD));
    one.fd = made;
    CALL(poll(&one, 1, 5000));
    CALL(waitid(P_PIDFD, made, &info, WEXITED));
    printf("status %d\n", info.si_status);
    fcntl(made, F_SETFL, 0);
    close(made);
    child = CHILD(pause());
    fd = OK(pidfd_open(child, O_NONBLOCK));
    CALL(waitid(P_PIDFD, fd, &info, WEXITED));
    kill(child, SIGKILL);
    poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 5000);
    CALL(waitid(P_PIDFD, fd, &info, WEXITED));
    close(fd);
    CALL(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &made, 0, 0));
    waitpid(child, &status, 0);
}

int main(void)
{
    signals();
    processes();
    return 0;
}
