// poll, ppoll, select and pselect on pipes, files and streams.
// build: glibc musl
#include "check.h"
#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <time.h>

static volatile int alarms;
static void on_alarm(int number) { (void)number; alarms++; }

static long elapsed_ms(struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static void show(const char *when, int fd, short events)
{
    struct pollfd one = { .fd = fd, .events = events, .revents = 0 };
    int count = poll(&one, 1, 0);
    printf("%s: poll -> %d, revents %#x\n", when, count, one.revents);
}

int main(void)
{
    enter_scratch();
    int p[2];
    static char block[4096];
    struct timespec start, short_time = { 0, 20000000 };
    CALL(pipe2(p, O_NONBLOCK));
    show("empty pipe, read end", p[0], POLLIN | POLLOUT);
    show("empty pipe, write end", p[1], POLLIN | POLLOUT);
    CALL(write(p[1], "x", 1));
    show("a byte, read end", p[0], POLLIN | POLLRDNORM | POLLPRI);
    while (write(p[1], block, sizeof block) > 0)
        ;
    show("full pipe, write end", p[1], POLLOUT);
    while (read(p[0], block, sizeof block) > 0)
        ;
    close(p[1]);
    show("write end closed", p[0], POLLIN);
    close(p[0]);
    CALL(pipe(p));
    close(p[0]);
    show("read end closed", p[1], POLLOUT);
    show("not asked", p[1], 0);
    close(p[1]);
    show("bad descriptor", 999, POLLIN);
    show("negative descriptor", -1, POLLIN);
    put("file", "text");
    int file = open("file", O_RDWR);
    show("regular file", file, POLLIN | POLLOUT);
    CALL(read(0, block, 1));
    show("stdin at its end", 0, POLLIN);
    show("stdout", 1, POLLOUT);

    clock_gettime(CLOCK_MONOTONIC, &start);
    CALL(poll(NULL, 0, 30));
    TRUTH(elapsed_ms(&start) >= 30);
    CALL(pipe(p));
    struct pollfd two[2] = { { p[0], POLLIN, 0 }, { file, POLLIN, 0 } };
    CALL(poll(two, 2, -1));
    NUMBER(two[0].revents);
    NUMBER(two[1].revents);
    clock_gettime(CLOCK_MONOTONIC, &start);
    CALL(ppoll(two, 1, &short_time, NULL));
    TRUTH(elapsed_ms(&start) >= 20);
    CALL(poll((struct pollfd *)8, 1, 0));
    struct rlimit files = { 64, 64 };
    CALL(setrlimit(RLIMIT_NOFILE, &files));
    CALL(poll(two, 100, 0));

    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(p[0], &in);
    FD_SET(p[1], &out);
    struct timeval zero = { 0, 0 };
    CALL(select(p[1] + 1, &in, &out, NULL, &zero));
    NUMBER(FD_ISSET(p[0], &in) != 0);
    NUMBER(FD_ISSET(p[1], &out) != 0);
    FD_SET(p[0], &in);
    struct timeval wait = { 0, 20000 };
    CALL(select(p[0] + 1, &in, NULL, NULL, &wait));
    NUMBER(wait.tv_sec * 1000000 + wait.tv_usec);
    FD_ZERO(&in);
    FD_SET(60, &in);
    CALL(select(61, &in, NULL, NULL, &zero));
    CALL(select(-1, NULL, NULL, NULL, &zero));
    struct timespec bad = { 0, 1000000000 };
    CALL(pselect(0, NULL, NULL, NULL, &bad, NULL));
    CALL(ppoll(NULL, 0, &bad, NULL));
    CALL(pselect(0, NULL, NULL, NULL, &short_time, NULL));

    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    sigaction(SIGALRM, &action, NULL);
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    raise(SIGALRM);
    CALL(ppoll(two, 1, NULL, &none));
    NUMBER(alarms);
    raise(SIGALRM);
    CALL(pselect(0, NULL, NULL, NULL, NULL, &none));
    NUMBER(alarms);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    alarm(1);
    CALL(poll(two, 1, -1));
    NUMBER(alarms);
    alarm(1);
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    CALL(select(p[0] + 1, &in, NULL, NULL, NULL));
    NUMBER(alarms);
    return 0;
}
