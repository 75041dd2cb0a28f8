// What programs learn of interfaces, through netlink(7), netdevice(7) and getifaddrs(3).
// build: glibc musl
#include "check.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
// musl's compiler does not find the headers of the kernel.
#if __has_include(<linux/rtnetlink.h>)
#define HAS_NETLINK
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#endif

static void interfaces(void)
{
    NUMBER(if_nametoindex("lo"));
    CALL(if_nametoindex("nothing0") ? 0 : -1);
    char name[IF_NAMESIZE];
    TEXT(if_indextoname(1, name));
    TRUTH(if_indextoname(9999, name) == NULL);
    struct ifaddrs *all;
    CALL(getifaddrs(&all));
    for (struct ifaddrs *one = all; one; one = one->ifa_next) {
        if (strcmp(one->ifa_name, "lo") != 0 || !one->ifa_addr)
            continue;
        char text[INET6_ADDRSTRLEN] = "", mask[INET6_ADDRSTRLEN] = "";
        int family = one->ifa_addr->sa_family;
        if (family == AF_INET) {
            inet_ntop(family, &((struct sockaddr_in *)one->ifa_addr)->sin_addr, text, sizeof text);
            inet_ntop(family, &((struct sockaddr_in *)one->ifa_netmask)->sin_addr, mask, sizeof mask);
        } else if (family == AF_INET6) {
            inet_ntop(family, &((struct sockaddr_in6 *)one->ifa_addr)->sin6_addr, text, sizeof text);
            inet_ntop(family, &((struct sockaddr_in6 *)one->ifa_netmask)->sin6_addr, mask, sizeof mask);
        }
        printf("lo: family %d address %s mask %s flags %#x\n", family, text, mask, one->ifa_flags);
    }
    freeifaddrs(all);
}

static void requests(void)
{
    struct ifreq one = { .ifr_name = "lo" };
    int inet = CALL(socket(AF_INET, SOCK_DGRAM, 0));
    int unix_ = CALL(socket(AF_UNIX, SOCK_DGRAM, 0));
    CALL(ioctl(inet, SIOCGIFADDR, &one));
    TEXT(inet_ntoa(((struct sockaddr_in *)&one.ifr_addr)->sin_addr));
    CALL(ioctl(inet, SIOCGIFNETMASK, &one));
    TEXT(inet_ntoa(((struct sockaddr_in *)&one.ifr_addr)->sin_addr));
    CALL(ioctl(inet, SIOCGIFBRDADDR, &one));
    TEXT(inet_ntoa(((struct sockaddr_in *)&one.ifr_addr)->sin_addr));
    CALL(ioctl(unix_, SIOCGIFADDR, &one));
    CALL(ioctl(unix_, SIOCGIFFLAGS, &one));
    HEX(one.ifr_flags);
    CALL(ioctl(unix_, SIOCGIFMTU, &one));
    NUMBER(one.ifr_mtu);
    CALL(ioctl(unix_, SIOCGIFHWADDR, &one));
    NUMBER(one.ifr_hwaddr.sa_family);
    CALL(ioctl(unix_, SIOCGIFTXQLEN, &one));
    NUMBER(one.ifr_qlen);
    CALL(ioctl(unix_, SIOCGIFMETRIC, &one));
    strcpy(one.ifr_name, "nothing0");
    CALL(ioctl(inet, SIOCGIFINDEX, &one));
    CALL(ioctl(inet, SIOCGIFADDR, &one));
    CALL(ioctl(inet, SIOCGIFFLAGS, NULL));
    struct ifconf list = { .ifc_len = 39, .ifc_req = &one };
    CALL(ioctl(inet, SIOCGIFCONF, &list));
    NUMBER(list.ifc_len);
    list.ifc_len = 40;
    CALL(ioctl(inet, SIOCGIFCONF, &list));
    NUMBER(list.ifc_len);
    TEXT(one.ifr_name);
    close(inet);
    close(unix_);
}

#ifdef HAS_NETLINK
struct request {
    struct nlmsghdr head;
    struct ifinfomsg link;
};

/* Asks, and prints the heads of the messages that come. */
static void ask(int fd, int type, int flags, int index)
{
    struct request request = {
        .head = { sizeof request, type, NLM_F_REQUEST | flags, 5, 0 },
        .link = { .ifi_index = index },
    };
    printf("type %d flags %#x interface %d:", type, flags, index);
    if (send(fd, &request, sizeof request, 0) != sizeof request)
        printf(" %s", errno_name(errno));
    union {
        struct nlmsghdr head;
        char bytes[16384];
    } answer;
    for (;;) {
        ssize_t len = recv(fd, &answer, sizeof answer, MSG_DONTWAIT);
        if (len < 0)
            break;
        struct nlmsghdr *one = &answer.head;
        for (; NLMSG_OK(one, len); one = NLMSG_NEXT(one, len)) {
            printf(" [%d %#x %d", one->nlmsg_type, one->nlmsg_flags, one->nlmsg_seq);
            if (one->nlmsg_type == NLMSG_ERROR)
                printf(" %s %d", errno_name(-((struct nlmsgerr *)NLMSG_DATA(one))->error), one->nlmsg_len);
            printf("]");
        }
    }
    printf("\n");
}

static void netlink(void)
{
    struct sockaddr_nl at = { .nl_family = AF_NETLINK };
    socklen_t len = sizeof at;
    CALL(socket(AF_NETLINK, SOCK_STREAM, 0));
    CALL(socket(AF_NETLINK, SOCK_RAW, 1000));
    int fd = CALL(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    CALL(getsockname(fd, (struct sockaddr *)&at, &len));
    NUMBER(at.nl_pid);
    NUMBER(len);
    CALL(bind(fd, (struct sockaddr *)&at, 11));
    CALL(bind(fd, (struct sockaddr *)&at, sizeof at));
    CALL(getsockname(fd, (struct sockaddr *)&at, &len));
    TRUTH(at.nl_pid == (unsigned)getpid());
    int other = CALL(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE));
    CALL(bind(other, (struct sockaddr *)&at, sizeof at));
    at.nl_pid = 0;
    at.nl_groups = RTMGRP_LINK;
    CALL(bind(other, (struct sockaddr *)&at, sizeof at));
    CALL(getsockname(other, (struct sockaddr *)&at, &len));
    TRUTH(at.nl_pid != (unsigned)getpid() && at.nl_pid != 0);
    NUMBER(at.nl_groups);
    at.nl_pid++;
    CALL(bind(other, (struct sockaddr *)&at, sizeof at));
    int group = 9999, on = 1, value = 7;
    CALL(setsockopt(other, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    group = RTNLGRP_IPV4_ROUTE;
    CALL(setsockopt(other, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    CALL(getsockname(other, (struct sockaddr *)&at, &len));
    NUMBER(at.nl_groups);
    CALL(setsockopt(other, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group));
    CALL(setsockopt(other, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on));
    len = sizeof value;
    CALL(getsockopt(other, SOL_NETLINK, NETLINK_CAP_ACK, &value, &len));
    NUMBER(value);
    CALL(getsockopt(other, SOL_NETLINK, 4711, &value, &len));
    CALL(getsockopt(other, SOL_SOCKET, SO_PROTOCOL, &value, &len));
    NUMBER(value);
    ask(fd, RTM_GETLINK, NLM_F_ACK, 1);
    ask(fd, RTM_GETLINK, 0, 9999);
    ask(fd, RTM_GETLINK, 0, 0);
    ask(fd, RTM_GETADDR, 0, 1);
    ask(fd, 200, 0, 1);
    ask(fd, 200, NLM_F_DUMP, 1);
    ask(fd, NLMSG_NOOP, NLM_F_ACK, 1);
    ask(other, RTM_GETLINK, 0, 9999);
    CALL(recv(fd, &value, 1, MSG_DONTWAIT));
    CALL(recv(fd, &value, 1, MSG_OOB));
    CALL(shutdown(fd, SHUT_RDWR));
    CALL(listen(fd, 1));
    struct request request = { { sizeof request, RTM_GETLINK, NLM_F_REQUEST, 1, 0 }, { .ifi_index = 9999 } };
    CALL(send(fd, &request, sizeof request, 0));
    CALL(recv(fd, &value, 4, MSG_PEEK | MSG_TRUNC));
    CALL(recv(fd, &value, 4, MSG_TRUNC));
    CALL(recv(fd, &value, 4, MSG_DONTWAIT));
    at = (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = 77777 };
    CALL(sendto(fd, "x", 1, 0, (struct sockaddr *)&at, sizeof at));
    close(fd);
    close(other);
}

#else
static void netlink(void) {}
#endif

int main(void)
{
    interfaces();
    requests();
    netlink();
}
