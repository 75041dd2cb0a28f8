// How a datagram came, and how one goes: control messages of ip(7) and ipv6(7); TCP_INFO.
// build: glibc musl
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static char control[256];

/* Receives a datagram, and prints what came with it. */
static void take(int fd)
{
    char bytes[16];
    struct iovec vector = { bytes, sizeof bytes };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1,
                              .msg_control = control, .msg_controllen = sizeof control };
    CALL(recvmsg(fd, &message, 0));
    HEX(message.msg_flags);
    for (struct cmsghdr *one = CMSG_FIRSTHDR(&message); one; one = CMSG_NXTHDR(&message, one)) {
        char text[INET6_ADDRSTRLEN] = "";
        printf("level %d type %d length %d:", one->cmsg_level, one->cmsg_type, (int)one->cmsg_len);
        if (one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(one), sizeof info);
            printf(" %d %s", info.ipi_ifindex, inet_ntop(AF_INET, &info.ipi_addr, text, sizeof text));
            printf(" %s\n", inet_ntop(AF_INET, &info.ipi_spec_dst, text, sizeof text));
        } else if (one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(one), sizeof info);
            printf(" %d %s\n", info.ipi6_ifindex, inet_ntop(AF_INET6, &info.ipi6_addr, text, sizeof text));
        } else {
            printf(" %d\n", CMSG_DATA(one)[0]);
        }
    }
}

/* Sends a datagram with one control message. */
static void give(int fd, int level, int type, const void *data, size_t len)
{
    struct iovec vector = { "hello", 5 };
    memset(control, 0, sizeof control);
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1,
                              .msg_control = control, .msg_controllen = CMSG_SPACE(len) };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type };
    memcpy(CMSG_DATA(head), data, len);
    CALL(sendmsg(fd, &message, 0));
}

static void set(int fd, int level, int option)
{
    int on = 1;
    CALL(setsockopt(fd, level, option, &on, sizeof on));
}

static void version4(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;
    int server = CALL(socket(AF_INET, SOCK_DGRAM, 0)), client = CALL(socket(AF_INET, SOCK_DGRAM, 0));
    CALL(bind(server, (struct sockaddr *)&at, sizeof at));
    CALL(getsockname(server, (struct sockaddr *)&at, &len));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CALL(connect(client, (struct sockaddr *)&at, sizeof at));
    CALL(send(client, "plain", 5, 0));
    take(server);
    set(server, IPPROTO_IP, IP_PKTINFO);
    set(server, IPPROTO_IP, IP_RECVTTL);
    set(server, IPPROTO_IP, IP_RECVTOS);
    CALL(send(client, "plain", 5, 0));
    take(server);
    int ttl = 7, bad = 300;
    give(client, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    take(server);
    give(client, IPPROTO_IP, IP_TTL, &bad, sizeof bad);
    give(client, IPPROTO_IP, 99, &bad, sizeof bad);
    struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(0x7f000005) };
    give(client, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    struct sockaddr_in from;
    char bytes[8];
    len = sizeof from;
    CALL(recvfrom(server, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len));
    TEXT(inet_ntoa(from.sin_addr));
    info.ipi_ifindex = 1;
    give(client, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    take(server);
    close(server);
    close(client);
}

static void version6(void)
{
    struct sockaddr_in6 at = { .sin6_family = AF_INET6 };
    socklen_t len = sizeof at;
    int server = CALL(socket(AF_INET6, SOCK_DGRAM, 0)), client = CALL(socket(AF_INET6, SOCK_DGRAM, 0));
    CALL(bind(server, (struct sockaddr *)&at, sizeof at));
    CALL(getsockname(server, (struct sockaddr *)&at, &len));
    at.sin6_addr = in6addr_loopback;
    set(server, IPPROTO_IPV6, IPV6_RECVPKTINFO);
    set(server, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
    set(server, IPPROTO_IPV6, IPV6_RECVTCLASS);
    CALL(sendto(client, "hello", 5, 0, (struct sockaddr *)&at, sizeof at));
    take(server);
    CALL(connect(client, (struct sockaddr *)&at, sizeof at));
    int hops = 9;
    give(client, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops);
    take(server);
    hops = 256;
    give(client, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops);
    struct in6_pktinfo info = { in6addr_loopback, 1 };
    give(client, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    take(server);
    close(server);
    close(client);
}

static void streams(void)
{
    struct tcp_info info;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int listener = CALL(socket(AF_INET, SOCK_STREAM, 0)), client = CALL(socket(AF_INET, SOCK_STREAM, 0));
    CALL(bind(listener, (struct sockaddr *)&at, sizeof at));
    CALL(listen(listener, 1));
    CALL(getsockname(listener, (struct sockaddr *)&at, &len));
    CALL(connect(client, (struct sockaddr *)&at, sizeof at));
    int fds[] = { listener, client };
    for (int i = 0; i < 2; i++) {
        len = 8;
        CALL(getsockopt(fds[i], IPPROTO_TCP, TCP_INFO, &info, &len));
        NUMBER(len);
        NUMBER(info.tcpi_state);
    }
}

/* What cannot be: options of other levels, and pairs of sockets of IP. */
static void refusals(void)
{
    int fds[2], value;
    socklen_t len = sizeof value;
    int tcp = CALL(socket(AF_INET, SOCK_STREAM, 0));
    CALL(getsockopt(tcp, 500, 1, &value, &len));
    CALL(getsockopt(tcp, IPPROTO_UDP, 1, &value, &len));
    CALL(socketpair(AF_INET, SOCK_STREAM, 0, fds));
    CALL(socketpair(AF_INET, SOCK_STREAM, IPPROTO_UDP, fds));
    CALL(socketpair(AF_INET, SOCK_DGRAM, IPPROTO_TCP, fds));
}

int main(void)
{
    refusals();
    version4();
    version6();
    streams();
}
