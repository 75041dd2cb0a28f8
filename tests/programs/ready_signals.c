// Signals for files that become ready: O_ASYNC, F_SETOWN, F_SETSIG, FIOASYNC.
// build: glibc
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t count, signal_seen, code, descriptor, band;

static void handler(int number, siginfo_t *info, void *context) {
    (void)context;
    count++;
    signal_seen = number;
    code = info->si_code;
    descriptor = info->si_fd;
    band = (int)info->si_band;
}

static void report(const char *what) {
    printf("%s: %s\n", what, count ? "told" : "not told");
    if (count)
        printf("  signal %d code %d\n", signal_seen, code);
    count = 0;
}

static const char *outcome(int result) { return result < 0 ? strerrorname_np(errno) : "ok"; }

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    /* What is sent to the group concerns nobody else. */
    setpgid(0, 0);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGIO, &action, NULL);
    sigaction(SIGRTMIN + 1, &action, NULL);
    int pair[2], pipe_ends[2], on = 1, off = 0;
    char byte = 'x';
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);

    printf("owner at first %d\n", fcntl(pair[0], F_GETOWN));
    printf("FIOASYNC %s\n", outcome(ioctl(pair[0], FIOASYNC, &on)));
    printf("O_ASYNC %d\n", !!(fcntl(pair[0], F_GETFL) & O_ASYNC));
    write(pair[1], &byte, 1);
    report("socket without an owner");
    printf("F_SETOWN %s\n", outcome(fcntl(pair[0], F_SETOWN, getpid())));
    printf("owner is me: %d\n", fcntl(pair[0], F_GETOWN) == getpid());
    write(pair[1], &byte, 1);
    report("socket");
    printf("FIOASYNC off %s\n", outcome(ioctl(pair[0], FIOASYNC, &off)));
    write(pair[1], &byte, 1);
    report("socket that tells nothing more");

    printf("a signal %s\n", outcome(fcntl(pair[0], F_SETSIG, SIGRTMIN + 1)));
    printf("which %d\n", fcntl(pair[0], F_GETSIG) == SIGRTMIN + 1);
    printf("no signal %s\n", outcome(fcntl(pair[0], F_SETSIG, 65)));
    fcntl(pair[0], F_SETFL, fcntl(pair[0], F_GETFL) | O_ASYNC);
    write(pair[1], &byte, 1);
    count = !!count;
    printf("by its own: %d descriptor %d band %d\n", count, descriptor == pair[0],
           !!(band & POLLIN));
    report("socket with a signal");

    pipe(pipe_ends);
    fcntl(pipe_ends[0], F_SETOWN, -getpgrp());
    printf("owner is my group: %d\n", fcntl(pipe_ends[0], F_GETOWN) == -getpgrp());
    fcntl(pipe_ends[0], F_SETFL, O_ASYNC);
    write(pipe_ends[1], &byte, 1);
    report("pipe");

    struct f_owner_ex owner;
    fcntl(pipe_ends[0], F_GETOWN_EX, &owner);
    printf("kind %d\n", owner.type);
    owner = (struct f_owner_ex){F_OWNER_TID, gettid()};
    printf("F_SETOWN_EX %s\n", outcome(fcntl(pipe_ends[0], F_SETOWN_EX, &owner)));
    owner = (struct f_owner_ex){7, gettid()};
    printf("another kind %s\n", outcome(fcntl(pipe_ends[0], F_SETOWN_EX, &owner)));
    write(pipe_ends[1], &byte, 1);
    report("pipe for a thread");

    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    printf("somebody gone %s\n", outcome(fcntl(pair[0], F_SETOWN, child)));
    printf("group of somebody gone %s\n", outcome(fcntl(pair[0], F_SETOWN, -child)));
    fcntl(pair[0], F_SETOWN, 0);
    printf("nobody %d\n", fcntl(pair[0], F_GETOWN));
    int file = memfd_create("file", 0);
    printf("a file %s\n", outcome(ioctl(file, FIOASYNC, &on)));
    int group = -getpgrp(), got = 0;
    printf("FIOSETOWN %s", outcome(ioctl(pair[0], 0x8901, &group)));
    ioctl(pair[0], 0x8903, &got);
    printf(" %d\n", got == group);
    close(pipe_ends[1]);
    report("end of the pipe");
    return 0;
}
