// Multicast groups over the loopback: who joins, who hears, and what is refused.
// build: glibc musl
#include "check.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>

// Groups of this process alone: members of other ones would be heard as well.
static char GROUP[16], OTHER[16];

static struct in_addr v4(const char *text)
{
    struct in_addr address;
    inet_pton(AF_INET, text, &address);
    return address;
}

static struct sockaddr_in at(const char *text, uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port, .sin_addr = v4(text) };
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 name;
    socklen_t len = sizeof name;
    getsockname(fd, (struct sockaddr *)&name, &len);
    return name.sin6_port;
}

static int heard(int fd)
{
    char byte = '-';
    struct pollfd one = { fd, POLLIN, 0 };
    if (poll(&one, 1, 200) == 1)
        recv(fd, &byte, 1, MSG_DONTWAIT);
    return byte;
}

static int join(int fd, int option, const char *group, const char *from)
{
    struct ip_mreq request = { v4(group), v4(from) };
    return setsockopt(fd, IPPROTO_IP, option, &request, sizeof request);
}

static int bound(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in any = at("0.0.0.0", port);
    bind(fd, (struct sockaddr *)&any, sizeof any);
    return fd;
}

static void hearing(void)
{
    int one = bound(0), two = bound(port_of(one)), sender = socket(AF_INET, SOCK_DGRAM, 0);
    struct in_addr from = v4("127.0.0.1"), told = { 0 };
    socklen_t len = sizeof told;
    CALL(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof from));
    CALL(getsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, &told, &len));
    NUMBER(told.s_addr == from.s_addr);
    struct sockaddr_in to = at(GROUP, port_of(one)), other = at(OTHER, port_of(one));
    CALL(sendto(sender, "a", 1, 0, (struct sockaddr *)&to, sizeof to));
    NUMBER(heard(one));
    CALL(join(one, IP_ADD_MEMBERSHIP, GROUP, "127.0.0.1"));
    CALL(join(one, IP_ADD_MEMBERSHIP, GROUP, "127.0.0.1"));
    CALL(sendto(sender, "b", 1, 0, (struct sockaddr *)&to, sizeof to));
    NUMBER(heard(one));
    // Another socket at the port hears what this one has joined, until it does not want to.
    NUMBER(heard(two));
    int off = 0;
    CALL(setsockopt(two, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off));
    CALL(sendto(sender, "c", 1, 0, (struct sockaddr *)&to, sizeof to));
    NUMBER(heard(one));
    NUMBER(heard(two));
    CALL(sendto(sender, "d", 1, 0, (struct sockaddr *)&other, sizeof other));
    NUMBER(heard(one));
    CALL(join(one, IP_DROP_MEMBERSHIP, GROUP, "127.0.0.1"));
    CALL(join(one, IP_DROP_MEMBERSHIP, GROUP, "127.0.0.1"));
    CALL(sendto(sender, "e", 1, 0, (struct sockaddr *)&to, sizeof to));
    NUMBER(heard(one));
    // The group is left with the socket that joined it.
    CALL(join(two, IP_ADD_MEMBERSHIP, GROUP, "127.0.0.1"));
    CALL(sendto(sender, "f", 1, 0, (struct sockaddr *)&to, sizeof to));
    NUMBER(heard(one));
    NUMBER(heard(two));
    CALL(close(two));
    CALL(sendto(sender, "g", 1, 0, (struct sockaddr *)&to, sizeof to));
    NUMBER(heard(one));
    close(one);
    close(sender);
}

static void refused(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CALL(join(fd, IP_ADD_MEMBERSHIP, "10.1.2.3", "127.0.0.1"));
    CALL(join(fd, IP_ADD_MEMBERSHIP, GROUP, "203.0.113.1"));
    CALL(join(fd, IP_DROP_MEMBERSHIP, GROUP, "127.0.0.1"));
    CALL(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, "", 1));
    CALL(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, (void *)8, sizeof(struct ip_mreq)));
    struct ip_mreqn numbered = { v4(GROUP), { 0 }, 9999 };
    CALL(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &numbered, sizeof numbered));
    CALL(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &numbered, sizeof numbered));
    numbered.imr_ifindex = (int)if_nametoindex("lo");
    CALL(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &numbered, sizeof numbered));
    for (int number = 0; number < 20; number++) {
        numbered.imr_multiaddr.s_addr = htonl(0xef020200 + (unsigned)number);
        if (number > 17)
            CALL(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &numbered, sizeof numbered));
        else
            setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &numbered, sizeof numbered);
    }
    close(fd);
}

static void by_request(void)
{
    struct group_req request = { .gr_interface = if_nametoindex("lo") };
    struct sockaddr_in group = at("224.0.0.9", 0);
    memcpy(&request.gr_group, &group, sizeof group);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CALL(setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &request, sizeof request));
    CALL(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof request - 1));
    CALL(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof request));
    CALL(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof request));
    CALL(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group.sin_addr, sizeof group.sin_addr));
    // A connection that comes to it has joined nothing.
    struct sockaddr_in here = at("127.0.0.1", 0);
    bind(fd, (struct sockaddr *)&here, sizeof here);
    listen(fd, 1);
    here.sin_port = port_of(fd);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    CALL(connect(client, (struct sockaddr *)&here, sizeof here));
    int accepted = accept(fd, NULL, NULL);
    CALL(setsockopt(accepted, IPPROTO_IP, MCAST_LEAVE_GROUP, &request, sizeof request));
    CALL(setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &request, sizeof request));
    request.gr_group.ss_family = AF_INET6;
    CALL(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof request));
    close(accepted);
    close(client);
    close(fd);
}

static void of_v6(void)
{
    int one = CALL(socket(AF_INET6, SOCK_DGRAM, 0)), sender = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
    bind(one, (struct sockaddr *)&to, sizeof to);
    to.sin6_port = port_of(one);
    unsigned lo = if_nametoindex("lo"), none = 9999;
    struct ipv6_mreq request = { .ipv6mr_interface = lo };
    inet_pton(AF_INET6, "ff05::1234", &request.ipv6mr_multiaddr);
    to.sin6_addr = request.ipv6mr_multiaddr;
    CALL(setsockopt(sender, IPPROTO_IPV6, IPV6_MULTICAST_IF, &none, sizeof none));
    CALL(setsockopt(sender, IPPROTO_IPV6, IPV6_MULTICAST_IF, &lo, sizeof lo));
    CALL(setsockopt(one, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &request, sizeof request));
    CALL(setsockopt(one, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request));
    CALL(setsockopt(one, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request));
    CALL(sendto(sender, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
    NUMBER(heard(one));
    CALL(setsockopt(one, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &request, sizeof request));
    CALL(sendto(sender, "y", 1, 0, (struct sockaddr *)&to, sizeof to));
    NUMBER(heard(one));
    inet_pton(AF_INET6, "fd00::1", &request.ipv6mr_multiaddr);
    CALL(setsockopt(one, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request));
    int stream = socket(AF_INET6, SOCK_STREAM, 0);
    CALL(setsockopt(stream, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request));
    close(stream);
    close(sender);
    close(one);
}

int main(void)
{
    int own = getpid();
    snprintf(GROUP, sizeof GROUP, "239.%d.%d.3", own >> 8 & 255, own & 255);
    snprintf(OTHER, sizeof OTHER, "239.%d.%d.4", own >> 8 & 255, own & 255);
    hearing();
    refused();
    by_request();
    of_v6();
    return 0;
}
