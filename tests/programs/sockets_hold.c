// Output that waits for more, close that waits for output, and sockets of one interface.
// build: glibc musl
#include "check.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

static struct sockaddr_in here(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    getsockname(fd, (struct sockaddr *)&name, &len);
    return name.sin_port;
}

static void pair(int *client, int *server)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), small = 65536;
    struct sockaddr_in at = here(0);
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    bind(listener, (struct sockaddr *)&at, sizeof at);
    listen(listener, 1);
    at.sin_port = port_of(listener);
    *client = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(*client, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    CALL(connect(*client, (struct sockaddr *)&at, sizeof at));
    *server = accept(listener, NULL, NULL);
    close(listener);
}

// What comes within some milliseconds.
static const char *come(int fd, int ms)
{
    static char bytes[16];
    struct pollfd one = { fd, POLLIN, 0 };
    memset(bytes, 0, sizeof bytes);
    if (poll(&one, 1, ms) == 1 && recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT) >= 0)
        return bytes;
    return "-";
}

static void more(void)
{
    int client, server, on = 1, off = 0;
    pair(&client, &server);
    CALL(send(client, "a", 1, MSG_MORE));
    printf("%s\n", come(server, 0));
    CALL(send(client, "b", 1, 0));
    printf("%s\n", come(server, 2000));
    CALL(setsockopt(client, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    CALL(send(client, "c", 1, 0));
    CALL(send(client, "d", 1, 0));
    printf("%s\n", come(server, 0));
    CALL(setsockopt(client, IPPROTO_TCP, TCP_CORK, &off, sizeof off));
    printf("%s\n", come(server, 2000));
    // Not for ever.
    CALL(send(client, "e", 1, MSG_MORE));
    printf("%s\n", come(server, 5000));
    CALL(send(client, "f", 1, MSG_MORE));
    CALL(shutdown(client, SHUT_WR));
    printf("%s\n", come(server, 2000));
    close(client);
    close(server);
}

static double seconds_of_close(int fd)
{
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    close(fd);
    clock_gettime(CLOCK_MONOTONIC, &to);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

// As much as both ends hold, also once what was on its way has arrived.
static void fill(int fd)
{
    static char bytes[16384];
    struct pollfd one = { fd, POLLOUT, 0 };
    while (poll(&one, 1, 300) == 1)
        send(fd, bytes, sizeof bytes, MSG_DONTWAIT);
}

static void linger(void)
{
    int client, server;
    struct linger one_second = { 1, 1 }, reset = { 1, 0 }, ten = { 1, 10 };
    // Nobody reads.
    pair(&client, &server);
    CALL(setsockopt(client, SOL_SOCKET, SO_LINGER, &one_second, sizeof one_second));
    fill(client);
    NUMBER(seconds_of_close(client) > 0.9);
    close(server);
    // A child reads, after a while.
    pair(&client, &server);
    CALL(setsockopt(client, SOL_SOCKET, SO_LINGER, &ten, sizeof ten));
    fill(client);
    int closed[2];
    char byte;
    CALL(pipe(closed));
    pid_t child = fork();
    if (child == 0) {
        static char bytes[65536];
        close(client);
        close(closed[0]);
        close(closed[1]);
        usleep(500000);
        while (recv(server, bytes, sizeof bytes, 0) > 0)
            ;
        _exit(0);
    }
    // From then on this is the last descriptor.
    close(closed[1]);
    read(closed[0], &byte, 1);
    close(closed[0]);
    double took = seconds_of_close(client);
    NUMBER(took > 0.2 && took < 9);
    waitpid(child, NULL, 0);
    close(server);
    // Nothing to wait for.
    pair(&client, &server);
    CALL(setsockopt(client, SOL_SOCKET, SO_LINGER, &ten, sizeof ten));
    NUMBER(seconds_of_close(client) < 5);
    printf("[%s]\n", come(server, 2000));
    close(server);
    // A copy of the descriptor: nothing ends yet.
    pair(&client, &server);
    CALL(setsockopt(client, SOL_SOCKET, SO_LINGER, &ten, sizeof ten));
    int copy = dup(client);
    NUMBER(seconds_of_close(client) < 5);
    CALL(setsockopt(copy, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
    CALL(close(copy));
    CALL(recv(server, &byte, 1, 0));
    close(server);
}

static void bound(void)
{
    char name[IFNAMSIZ] = "?";
    socklen_t len = sizeof name;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), mark = 5;
    CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    NUMBER(len);
    CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "none", 5));
    CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    len = sizeof name;
    CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    printf("%s %d\n", name, (int)len);
    len = 3;
    CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    struct sockaddr_in at = here(0);
    CALL(bind(fd, (struct sockaddr *)&at, sizeof at));
    at.sin_port = port_of(fd);
    CALL(sendto(fd, "x", 1, 0, (struct sockaddr *)&at, sizeof at));
    printf("%s\n", come(fd, 2000));
    CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    len = sizeof name;
    CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
    NUMBER(len);
    CALL(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
    mark = 0;
    len = sizeof mark;
    CALL(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &len));
    NUMBER(mark);
    close(fd);
}

static void messages(void)
{
    int from = socket(AF_INET, SOCK_DGRAM, 0), to = socket(AF_INET, SOCK_DGRAM, 0);
    int other = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = here(0), elsewhere = here(0);
    bind(to, (struct sockaddr *)&at, sizeof at);
    bind(other, (struct sockaddr *)&elsewhere, sizeof elsewhere);
    at.sin_port = port_of(to);
    elsewhere.sin_port = port_of(other);
    CALL(sendto(from, "a", 1, MSG_MORE, (struct sockaddr *)&at, sizeof at));
    printf("%s\n", come(to, 50));
    // Where the first part goes, all go.
    CALL(sendto(from, "b", 1, MSG_MORE, (struct sockaddr *)&elsewhere, sizeof elsewhere));
    CALL(sendto(from, (void *)8, 1, 0, (struct sockaddr *)&at, sizeof at));
    CALL(send(from, "c", 1, 0));
    printf("%s\n", come(to, 1000));
    printf("%s\n", come(other, 0));
    CALL(send(from, "d", 1, 0));
    static char large[65000];
    CALL(sendto(from, large, 60000, MSG_MORE, (struct sockaddr *)&at, sizeof at));
    CALL(send(from, large, 60000, MSG_MORE));
    close(from), close(to), close(other);
}

// Who only receives hears of the end, also right after everything was read.
static void ends(void)
{
    static char bytes[100000];
    int heard = 0;
    for (int i = 0; i < 30; i++) {
        int client, server, queue = epoll_create1(0), length = -1;
        struct epoll_event event = { .events = EPOLLIN };
        fflush(stdout);
        struct sockaddr_in at = here(0);
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        bind(listener, (struct sockaddr *)&at, sizeof at);
        listen(listener, 1);
        at.sin_port = port_of(listener);
        pid_t child = fork();
        if (child == 0) {
            client = socket(AF_INET, SOCK_STREAM, 0);
            connect(client, (struct sockaddr *)&at, sizeof at);
            write(client, bytes, sizeof bytes);
            usleep(1000 * i);
            _exit(0);
        }
        server = accept(listener, NULL, NULL);
        epoll_ctl(queue, EPOLL_CTL_ADD, server, &event);
        while (epoll_wait(queue, &event, 1, 5000) == 1 && (length = read(server, bytes, 8192)) > 0)
            ;
        heard += length == 0;
        waitpid(child, NULL, 0);
        close(server), close(queue), close(listener);
    }
    NUMBER(heard);
}

int main(void)
{
    more();
    messages();
    ends();
    linger();
    bound();
    return 0;
}
