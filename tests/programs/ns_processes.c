// Namespaces of processes: numbers at each level, the first process, and what comes with its end.
#include "children.h"
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static pid_t clone_with(unsigned long flags)
{
    fflush(stdout);
    return syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

static pid_t clone3_with(struct clone_args *args)
{
    fflush(stdout);
    args->exit_signal = SIGCHLD;
    return syscall(SYS_clone3, args, sizeof *args);
}

static void await(pid_t child)
{
    int status = -1;
    TRUTH(waitpid(child, &status, 0) == child);
    HEX(status);
}

static void leave(void)
{
    fflush(stdout);
    _exit(0);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)context;
    printf("signal %d from %d\n", signal, info->si_pid);
}

/* Keeps a signal until the wait for it. */
static void hold(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void wait_for_any(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigsuspend(&none);
}

static void numbers(void)
{
    int ends[2];
    pipe(ends);
    pid_t child = clone_with(CLONE_NEWPID);
    if (child == 0) {
        NUMBER(getpid());
        NUMBER(getppid());
        NUMBER(gettid());
        NUMBER(getsid(0));
        NUMBER(getpgrp());
        CALL(setsid());
        NUMBER(getpgid(1));
        pid_t second = clone_with(0);
        if (second == 0) {
            NUMBER(getpid());
            NUMBER(getppid());
            CALL(kill(1, SIGKILL));
            CALL(kill(1, SIGTERM));
            CALL(kill(1, 0));
            CALL(kill(7, 0));
            pid_t third = clone_with(CLONE_NEWPID);
            if (third == 0) {
                NUMBER(getpid());
                NUMBER(getppid());
                leave();
            }
            await(third);
            NUMBER(third);
            leave();
        }
        await(second);
        NUMBER(second);
        CALL(raise(SIGKILL));
        CALL(raise(SIGTERM));
        struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
        sigaction(SIGUSR1, &action, NULL);
        CALL(raise(SIGUSR1));
        char byte = 0;
        hold(SIGUSR1);
        write(ends[1], &byte, 1);
        wait_for_any();
        leave();
    }
    char byte;
    read(ends[0], &byte, 1);
    CALL(kill(child, SIGTERM));
    fflush(stdout);
    kill(child, SIGUSR1);
    await(child);
    close(ends[0]);
    close(ends[1]);
}

static void end_of_all(void)
{
    int ends[2];
    pipe(ends);
    pid_t child = clone_with(CLONE_NEWPID);
    if (child == 0) {
        struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
        sigaction(SIGINT, &action, NULL);
        hold(SIGINT);
        for (int i = 0; i < 3; i++)
            if (clone_with(0) == 0) {
                close(ends[0]);
                pause();
                leave();
            }
        if (clone_with(0) == 0) {
            if (clone_with(0) == 0) {
                while (getppid() != 1)
                    usleep(1000);
                NUMBER(getppid());
                fflush(stdout);
                kill(1, SIGINT);
                pause();
            }
            leave();
        }
        wait_for_any();
        leave();
    }
    close(ends[1]);
    await(child);
    char byte;
    CALL(read(ends[0], &byte, 1));
    close(ends[0]);
}

static void chosen(void)
{
    pid_t wanted[2] = { 30, 0 };
    struct clone_args args = { .set_tid = (uint64_t)wanted, .set_tid_size = 1 };
    pid_t child = clone_with(CLONE_NEWPID);
    if (child == 0) {
        pid_t other = clone3_with(&args);
        if (other == 0) {
            NUMBER(getpid());
            leave();
        }
        CALL(waitpid(other, NULL, 0));
        NUMBER(other);
        wanted[0] = 0;
        CALL(clone3_with(&args));
        args.set_tid_size = 33;
        CALL(clone3_with(&args));
        args.set_tid_size = 0;
        CALL(clone3_with(&args));
        leave();
    }
    await(child);
}

static void for_children(void)
{
    pid_t child = clone_with(0);
    if (child == 0) {
        CALL(unshare(CLONE_NEWPID));
        CALL(unshare(CLONE_NEWPID));
        TRUTH(getpid() > 1);
        pid_t first = clone_with(0);
        if (first == 0) {
            NUMBER(getpid());
            leave();
        }
        await(first);
        TRUTH(first > 1);
        CALL(clone_with(0));
        leave();
    }
    await(child);
}

static void in_proc(void)
{
    pid_t child = clone_with(CLONE_NEWPID | CLONE_NEWNS);
    if (child == 0) {
        char line[256], link[64] = { 0 };
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
        TRUTH(readlink("/proc/self", link, 63) > 0);
        CALL(mount("proc", "/proc", "proc", 0, NULL));
        memset(link, 0, sizeof link);
        CALL(readlink("/proc/self", link, 63));
        TEXT(link);
        CALL(access("/proc/1/stat", F_OK));
        CALL(access("/proc/2", F_OK));
        FILE *file = fopen("/proc/self/status", "r");
        while (fgets(line, sizeof line, file))
            if (strncmp(line, "Pid:", 4) == 0 || strncmp(line, "PPid:", 5) == 0
                || strncmp(line, "NSpid:", 6) == 0)
                fputs(line, stdout);
        fclose(file);
        leave();
    }
    await(child);
}

static void credentials(void)
{
    int ends[2], yes = 1;
    socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
    setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes);
    pid_t child = clone_with(CLONE_NEWPID);
    char byte = 0, control[64];
    struct iovec piece = { &byte, 1 };
    struct msghdr header = { .msg_iov = &piece, .msg_iovlen = 1,
                             .msg_control = control, .msg_controllen = sizeof control };
    if (child == 0) {
        write(ends[1], &byte, 1);
        struct ucred peer;
        socklen_t length = sizeof peer;
        CALL(getsockopt(ends[1], SOL_SOCKET, SO_PEERCRED, &peer, &length));
        NUMBER(peer.pid);
        leave();
    }
    recvmsg(ends[0], &header, 0);
    struct ucred *sender = (struct ucred *)CMSG_DATA(CMSG_FIRSTHDR(&header));
    await(child);
    TRUTH(sender->pid == child);
}

static void locks(void)
{
    int fd = open("locked", O_RDWR | O_CREAT, 0600);
    struct flock lock = { .l_type = F_WRLCK };
    fcntl(fd, F_SETLK, &lock);
    pid_t child = clone_with(CLONE_NEWPID);
    if (child == 0) {
        struct flock asked = { .l_type = F_WRLCK };
        CALL(fcntl(fd, F_GETLK, &asked));
        NUMBER(asked.l_type);
        NUMBER(asked.l_pid);
        leave();
    }
    await(child);
}

int main(void)
{
    enter_scratch();
    numbers();
    end_of_all();
    chosen();
    for_children();
    in_proc();
    credentials();
    locks();
    CALL(clone_with(CLONE_NEWPID | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM));
    return 0;
}
