// TCP and UDP over the loopback, in both versions of IP.
// build: glibc musl
#include "check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct sockaddr_in v4(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 at;
    socklen_t len = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        return 0;
    return ntohs(at.sin6_port);
}

static int events(int fd)
{
    struct pollfd one = { fd, POLLIN | POLLOUT | POLLRDHUP, 0 };
    poll(&one, 1, 0);
    return one.revents;
}

static void wait_for(int fd, short wanted)
{
    struct pollfd one = { fd, wanted, 0 };
    poll(&one, 1, 5000);
}

static void streams(void)
{
    char bytes[64];
    int listener = CALL(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in at = v4(0);
    CALL(listen(-1, 1));
    CALL(bind(listener, (struct sockaddr *)&at, sizeof at));
    CALL(bind(listener, (struct sockaddr *)&at, sizeof at));
    CALL(bind(listener, (struct sockaddr *)&at, 4));
    CALL(listen(listener, 4));
    NUMBER(events(listener));
    at = v4(port_of(listener));
    int other = CALL(socket(AF_INET, SOCK_STREAM, 0));
    CALL(bind(other, (struct sockaddr *)&at, sizeof at));
    CALL(send(other, "x", 1, MSG_NOSIGNAL));
    CALL(recv(other, bytes, 1, 0));
    NUMBER(events(other));
    CALL(close(other));

    int client = CALL(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CALL(connect(client, (struct sockaddr *)&at, sizeof at));
    wait_for(client, POLLOUT);
    CALL(connect(client, (struct sockaddr *)&at, sizeof at));
    CALL(connect(client, (struct sockaddr *)&at, sizeof at));
    NUMBER(events(client));
    wait_for(listener, POLLIN);
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    int server = CALL(accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC));
    TRUTH(len == sizeof peer && peer.sin_family == AF_INET);
    TRUTH(ntohs(peer.sin_port) == port_of(client));
    CALL(fcntl(server, F_GETFD));
    CALL(recv(client, bytes, sizeof bytes, 0));
    CALL(send(server, "hello", 5, 0));
    wait_for(client, POLLIN);
    CALL(recv(client, bytes, 2, MSG_PEEK));
    CALL(recv(client, bytes, sizeof bytes, 0));
    TRUTH(memcmp(bytes, "hello", 5) == 0);
    CALL(shutdown(server, SHUT_WR));
    CALL(send(server, "x", 1, MSG_NOSIGNAL));
    wait_for(client, POLLRDHUP);
    NUMBER(events(client));
    CALL(recv(client, bytes, sizeof bytes, 0));
    CALL(send(client, "bye", 3, 0));
    CALL(recv(server, bytes, sizeof bytes, MSG_WAITALL | MSG_DONTWAIT));
    CALL(close(client));
    CALL(recv(server, bytes, sizeof bytes, 0));
    CALL(close(server));
    CALL(close(listener));

    int refused = CALL(socket(AF_INET, SOCK_STREAM, 0));
    CALL(connect(refused, (struct sockaddr *)&at, sizeof at));
    CALL(close(refused));
    struct sockaddr_in many = {.sin_family = AF_INET, .sin_port = htons(80)};
    many.sin_addr.s_addr = htonl(INADDR_ALLHOSTS_GROUP);
    int grouped = CALL(socket(AF_INET, SOCK_STREAM, 0));
    CALL(connect(grouped, (struct sockaddr *)&many, sizeof many));
    CALL(close(grouped));
}

static void options(void)
{
    int fd = CALL(socket(AF_INET, SOCK_STREAM, 0)), value = 1;
    socklen_t len = sizeof value;
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
    CALL(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len));
    NUMBER(value);
    CALL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value));
    CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 2));
    CALL(setsockopt(fd, IPPROTO_TCP, 9999, &value, sizeof value));
    int never = 0, usual = -1;
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &never, sizeof never));
    CALL(setsockopt(fd, IPPROTO_IP, IP_TTL, &never, sizeof never));
    CALL(setsockopt(fd, IPPROTO_IP, IP_TTL, &usual, sizeof usual));
    CALL(getsockopt(fd, IPPROTO_IP, IP_TTL, &value, &len));
    NUMBER(value);
    CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
    NUMBER(value);
    CALL(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &len));
    NUMBER(value);
    CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len));
    NUMBER(value);
    CALL(close(fd));
    CALL(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    CALL(socket(AF_INET, 77, 0));
    int ends[2];
    CALL(socketpair(AF_INET, SOCK_STREAM, 0, ends));
}

static void datagrams(void)
{
    char bytes[64];
    int one = CALL(socket(AF_INET, SOCK_DGRAM, 0)), two = CALL(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in at = v4(0), from;
    socklen_t len = sizeof from;
    CALL(send(two, "x", 1, 0));
    CALL(bind(one, (struct sockaddr *)&at, sizeof at));
    at = v4(port_of(one));
    CALL(recv(one, bytes, sizeof bytes, MSG_DONTWAIT));
    CALL(sendto(two, "message", 7, 0, (struct sockaddr *)&at, sizeof at));
    wait_for(one, POLLIN);
    CALL(recvfrom(one, bytes, 3, MSG_TRUNC, (struct sockaddr *)&from, &len));
    TRUTH(len == sizeof from && ntohs(from.sin_port) == port_of(two));
    CALL(connect(two, (struct sockaddr *)&at, sizeof at));
    CALL(send(two, "", 0, 0));
    wait_for(one, POLLIN);
    CALL(recv(one, bytes, sizeof bytes, 0));
    CALL(close(one));
    CALL(send(two, "lost", 4, 0));
    wait_for(two, POLLERR);
    CALL(recv(two, bytes, sizeof bytes, MSG_DONTWAIT));
    CALL(recv(two, bytes, sizeof bytes, MSG_DONTWAIT));
    at.sin_port = 0;
    CALL(sendto(two, "x", 1, 0, (struct sockaddr *)&at, sizeof at));
    CALL(close(two));
}

// A connection that carries more than its buffers hold, between two processes.
static void transfer(void)
{
    int listener = CALL(socket(AF_INET6, SOCK_STREAM, 0));
    struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    CALL(bind(listener, (struct sockaddr *)&at, sizeof at));
    CALL(listen(listener, 1));
    at.sin6_port = htons(port_of(listener));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int fd = socket(AF_INET6, SOCK_STREAM, 0);
        static unsigned char chunk[50000];
        for (unsigned at_byte = 0; at_byte < sizeof chunk; at_byte++)
            chunk[at_byte] = at_byte % 251;
        if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
            _exit(1);
        for (int i = 0; i < 20; i++)
            if (write(fd, chunk, sizeof chunk) != sizeof chunk)
                _exit(2);
        _exit(0);
    }
    int fd = CALL(accept(listener, NULL, NULL));
    TRUTH(fd >= 0);
    static unsigned char got[50000];
    long sum = 0;
    for (int i = 0; i < 20; i++) {
        if (recv(fd, got, sizeof got, MSG_WAITALL) != sizeof got)
            break;
        for (unsigned at_byte = 0; at_byte < sizeof got; at_byte++)
            sum += got[at_byte];
    }
    NUMBER(sum);
    CALL(recv(fd, got, 1, 0));
    int status = -1;
    waitpid(child, &status, 0);
    NUMBER(status);
    CALL(close(fd));
    CALL(close(listener));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    streams();
    options();
    datagrams();
    transfer();
    return 0;
}
