// epoll and eventfd: levels, edges, oneshot, exclusive, nesting, duplicates, waiting.
// build: glibc musl
#include "check.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void show(const char *when, int ep)
{
    struct epoll_event events[8];
    int count = epoll_wait(ep, events, 8, 0);
    printf("%s: %d", when, count);
    for (int i = 0; i < count; i++)
        printf(" [%#x %llu]", events[i].events, (unsigned long long)events[i].data.u64);
    printf("\n");
}

static int control(int ep, int op, int fd, unsigned events, unsigned long data)
{
    struct epoll_event event = { .events = events, .data.u64 = data };
    return epoll_ctl(ep, op, fd, &event);
}

static void on_alarm(int number) { (void)number; }

static void levels_and_edges(void)
{
    int ep = epoll_create1(EPOLL_CLOEXEC), p[2];
    static char page[4096];
    CALL(pipe2(p, O_NONBLOCK));
    CALL(control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    show("empty", ep);
    CALL(write(p[1], "ab", 2));
    show("two bytes", ep);
    CALL(read(p[0], page, 1));
    show("one byte", ep);
    CALL(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2));
    show("edge", ep);
    show("no edge", ep);
    CALL(write(p[1], "c", 1));
    show("next edge", ep);
    CALL(read(p[0], page, 1));
    show("after a read", ep);
    CALL(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 3));
    show("oneshot", ep);
    CALL(write(p[1], "d", 1));
    show("used up", ep);
    CALL(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLRDNORM | EPOLLONESHOT, 4));
    show("again", ep);
    CALL(control(ep, EPOLL_CTL_ADD, p[1], EPOLLOUT | EPOLLET, 5));
    show("writable", ep);
    CALL(write(p[1], page, sizeof page));
    CALL(read(p[0], page, sizeof page));
    show("still writable", ep);
    while (write(p[1], page, sizeof page) > 0)
        ;
    CALL(read(p[0], page, sizeof page));
    CALL(read(p[0], page, sizeof page));
    show("writable again", ep);
    CALL(control(ep, EPOLL_CTL_MOD, p[0], 0, 6));
    close(p[1]);
    show("hung up, writer gone", ep);
    close(p[0]);
    show("closed", ep);
    close(ep);
}

static void duplicates(void)
{
    int ep = epoll_create(1), p[2];
    CALL(pipe(p));
    CALL(control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    CALL(control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    int copy = dup(p[0]);
    CALL(control(ep, EPOLL_CTL_ADD, copy, EPOLLIN, 2));
    close(p[0]);
    CALL(write(p[1], "x", 1));
    show("closed, with a duplicate", ep);
    CALL(control(ep, EPOLL_CTL_DEL, p[0], 0, 0));
    close(copy);
    show("no descriptor left", ep);
    close(p[1]);
    close(ep);
}

static void refusals(void)
{
    int ep = epoll_create1(0), other = epoll_create1(0), p[2], null = open("/dev/null", O_RDWR);
    CALL(pipe(p));
    put("file", "text");
    int file = open("file", O_RDWR);
    CALL(epoll_create(0));
    CALL(epoll_create1(1));
    CALL(control(ep, EPOLL_CTL_ADD, file, EPOLLIN, 0));
    CALL(control(ep, EPOLL_CTL_ADD, null, EPOLLIN, 0));
    CALL(control(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 0));
    CALL(control(ep, EPOLL_CTL_ADD, 99, EPOLLIN, 0));
    CALL(control(99, EPOLL_CTL_ADD, p[0], EPOLLIN, 0));
    CALL(control(p[0], EPOLL_CTL_ADD, p[1], EPOLLIN, 0));
    CALL(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 0));
    CALL(control(ep, EPOLL_CTL_DEL, p[0], EPOLLIN, 0));
    CALL(control(ep, 7, p[0], EPOLLIN, 0));
    CALL(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], NULL));
    CALL(control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE, 0));
    CALL(control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, 0));
    CALL(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 0));
    CALL(control(ep, EPOLL_CTL_ADD, other, EPOLLIN | EPOLLEXCLUSIVE, 0));
    struct epoll_event events[2];
    CALL(epoll_wait(ep, events, 0, 0));
    CALL(epoll_wait(ep, events, -1, 0));
    CALL(epoll_wait(ep, (void *)-4096L, 1, 0));
    CALL(epoll_wait(p[0], events, 1, 0));
    CALL(epoll_wait(99, events, 1, 0));
    CALL(write(p[1], "x", 1));
    CALL(epoll_wait(ep, (void *)16, 1, 0));
    show("after a bad address", ep);
    close(ep), close(other), close(null), close(file), close(p[0]), close(p[1]);
}

static void nesting(void)
{
    int chain[8], p[2], made;
    CALL(pipe(p));
    chain[0] = epoll_create1(0);
    CALL(control(chain[0], EPOLL_CTL_ADD, p[0], EPOLLIN, 100));
    for (made = 1; made < 8; made++) {
        chain[made] = epoll_create1(0);
        int result = control(chain[made], EPOLL_CTL_ADD, chain[made - 1], EPOLLIN, made);
        printf("chain of %d: %d\n", made + 1, result);
        if (result)
            break;
    }
    CALL(control(chain[0], EPOLL_CTL_ADD, chain[2], EPOLLIN, 0));
    CALL(write(p[1], "x", 1));
    show("outer", chain[3]);
    show("inner", chain[0]);
    char byte;
    CALL(read(p[0], &byte, 1));
    show("outer", chain[3]);
    close(chain[0]);
    CALL(write(p[1], "x", 1));
    show("inner is gone", chain[3]);
    for (int i = 1; i <= made; i++)
        close(chain[i]);
    close(p[0]), close(p[1]);
}

static void counters(void)
{
    int ep = epoll_create1(0), all = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int one = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
    uint64_t value = 0xfffffffffffffffe;
    CALL(control(ep, EPOLL_CTL_ADD, all, EPOLLIN | EPOLLOUT | EPOLLET, 1));
    show("new", ep);
    CALL(read(all, &value, 8));
    CALL(write(all, &value, 8));
    show("full", ep);
    value = 1;
    CALL(write(all, &value, 8));
    CALL(write(all, &value, 7));
    CALL(read(all, &value, 7));
    CALL(read(all, &value, 16));
    printf("value %#llx\n", (unsigned long long)value);
    show("empty", ep);
    value = -1;
    CALL(write(all, &value, 8));
    for (int i = 0; i < 4; i++) {
        CALL(read(one, &value, 8));
        printf("value %llu\n", (unsigned long long)value);
    }
    CALL(eventfd(0, 8));
    CALL(lseek(all, 0, SEEK_SET));
    close(all), close(one), close(ep);
    int event = eventfd(0, 0);
    pid_t child = fork();
    if (!child) {
        usleep(20000);
        value = 42;
        _exit(write(event, &value, 8) != 8);
    }
    CALL(read(event, &value, 8));
    printf("value %llu\n", (unsigned long long)value);
    waitpid(child, NULL, 0);
    close(event);
}

static void waits(void)
{
    int ep = epoll_create1(0), p[2];
    struct epoll_event event;
    sigset_t alarm_only, none;
    CALL(pipe(p));
    CALL(control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLRDHUP, 9));
    pid_t child = fork();
    if (!child) {
        usleep(20000);
        _exit(write(p[1], "x", 1) != 1);
    }
    CALL(epoll_wait(ep, &event, 1, -1));
    printf("%#x %d\n", event.events, event.data.fd);
    waitpid(child, NULL, 0);
    char byte;
    CALL(read(p[0], &byte, 1));
    CALL(epoll_wait(ep, &event, 1, 10));
    signal(SIGALRM, on_alarm);
    /* One of them comes in the wait, however late that begins. */
    ualarm(20000, 20000);
    CALL(epoll_wait(ep, &event, 1, -1));
    ualarm(0, 0);
    sigemptyset(&none);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm_only, NULL);
    raise(SIGALRM);
    CALL(epoll_wait(ep, &event, 1, 10));
    CALL(epoll_pwait(ep, &event, 1, -1, &none));
    sigset_t pending;
    sigpending(&pending);
    printf("pending %d\n", sigismember(&pending, SIGALRM));
    close(ep), close(p[0]), close(p[1]);
}

int main(void)
{
    enter_scratch();
    levels_and_edges();
    duplicates();
    refusals();
    nesting();
    counters();
    waits();
    return 0;
}
