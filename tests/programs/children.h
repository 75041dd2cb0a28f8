/*
 * Child processes for conformance programs: what a child prints comes before what its
 * parent prints after reaping it, so that the lines have one order.
 */
#ifndef CHILDREN_H
#define CHILDREN_H

#include "check.h"
#include <sys/wait.h>
#include <time.h>

/* Runs statements in a forked child, which then exits with 0; the child's process id. */
#define CHILD(...) ({ \
    fflush(stdout); \
    pid_t child_ = fork(); \
    if (child_ == 0) { \
        __VA_ARGS__; \
        fflush(stdout); \
        _exit(0); \
    } \
    if (child_ < 0) { \
        printf("fork fails: %s\n", errno_name(errno)); \
        exit(1); \
    } \
    child_; })

/* A wait status in words. */
static inline const char *status_words(int status)
{
    static char words[64];
    if (WIFEXITED(status))
        snprintf(words, sizeof words, "exit %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        snprintf(words, sizeof words, "signal %d", WTERMSIG(status));
    else if (WIFSTOPPED(status))
        snprintf(words, sizeof words, "stopped %d", WSTOPSIG(status));
    else if (WIFCONTINUED(status))
        snprintf(words, sizeof words, "continued");
    else
        snprintf(words, sizeof words, "status %#x", status);
    return words;
}

/* Waits for one child and tells how it ended. */
static inline const char *reap(pid_t pid)
{
    int status = 0;
    pid_t found;
    do
        found = waitpid(pid, &status, 0);
    while (found < 0 && errno == EINTR);
    return found == pid ? status_words(status) : errno_name(errno);
}

/* Runs statements in a child and prints how it ended. */
#define IN_CHILD(...) printf("child: %s\n", reap(CHILD(__VA_ARGS__)))

/* A pipe on which processes wait for each other: one byte per event. */
struct event { int fd[2]; };

static inline struct event event_new(void)
{
    struct event event;
    if (pipe(event.fd) != 0) {
        printf("no pipe: %s\n", errno_name(errno));
        exit(98);
    }
    return event;
}

static inline void event_set(struct event event)
{
    if (write(event.fd[1], "!", 1) != 1)
        printf("event not set: %s\n", errno_name(errno));
}

static inline void event_wait(struct event event)
{
    char byte;
    while (read(event.fd[0], &byte, 1) < 0 && errno == EINTR)
        ;
}

static inline void sleep_ms(long ms)
{
    struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        ;
}

/* The state letter of a process in /proc/PID/stat, or '-'. */
static inline char process_state(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return '-';
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    char *end = strrchr(text, ')');
    return end && end[1] == ' ' ? end[2] : '-';
}

/* Waits at most 10 s until a process is in that state: sleeping, a zombie, stopped. */
static inline int reaches_state(pid_t pid, char state)
{
    for (int i = 0; i < 1000; i++) {
        if (process_state(pid) == state)
            return 1;
        sleep_ms(10);
    }
    return 0;
}

#endif
