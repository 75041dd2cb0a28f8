// AF_UNIX sockets: streams, messages, names, options, passed descriptors and credentials.
// build: glibc musl
#include "check.h"
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef SIOCOUTQ
#define SIOCOUTQ 0x5411
#endif

static char block[65536];

static void show(const char *when, int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    poll(&one, 1, 0);
    printf("%s: %#x\n", when, one.revents);
}

static socklen_t named(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (*path == '@')
        memcpy(address->sun_path + 1, path + 1, strlen(path) - 1);
    else
        strcpy(address->sun_path, path);
    return offsetof(struct sockaddr_un, sun_path) + strlen(path) + (*path != '@');
}

static void name_of(const char *what, int fd, int (*get)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_un address = { 0 };
    socklen_t length = sizeof address;
    int result = get(fd, (struct sockaddr *)&address, &length);
    printf("%s: %d %s, length %d, '%s%s'\n", what, result, result ? errno_name(errno) : "",
           (int)length, address.sun_path[0] ? "" : "@", address.sun_path + !address.sun_path[0]);
}

static int number(int fd, int option)
{
    int value = -1;
    socklen_t length = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, option, &value, &length))
        return -errno;
    return value;
}

static void streams(void)
{
    int s[2];
    CALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
    show("new", s[0]);
    CALL(send(s[0], "abc", 3, 0));
    CALL(send(s[0], "def", 3, MSG_MORE));
    int waiting = 0;
    CALL(ioctl(s[1], FIONREAD, &waiting));
    printf("waiting %d\n", waiting);
    CALL(recv(s[1], block, 4, MSG_PEEK));
    CALL(recv(s[1], block, 4, 0));
    CALL(recv(s[1], block, 100, MSG_WAITALL | MSG_DONTWAIT));
    CALL(recv(s[1], block, 100, 0));
    CALL(sendto(s[0], "x", 1, 0, (struct sockaddr *)"\1\0x", 3));
    long sent = 0, now;
    while ((now = write(s[0], block, sizeof block)) > 0)
        sent += now;
    printf("stopped by %s, more than 100000: %d\n", errno_name(errno), sent > 100000);
    show("full", s[0]);
    while (read(s[1], block, sizeof block) > 0)
        ;
    show("empty", s[0]);
    CALL(shutdown(s[0], SHUT_WR));
    show("shut down for writing", s[0]);
    show("its peer", s[1]);
    CALL(read(s[1], block, 1));
    CALL(send(s[0], "x", 1, MSG_NOSIGNAL));
    CALL(write(s[1], "x", 1));
    CALL(shutdown(s[1], 7));
    close(s[1]);
    show("peer closed", s[0]);
    CALL(read(s[0], block, 2));
    CALL(read(s[0], block, 2));
    close(s[0]);
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    CALL(write(s[0], "lost", 4));
    close(s[1]);
    show("peer closed with bytes unread", s[0]);
    CALL(read(s[0], block, 4));
    CALL(read(s[0], block, 4));
    signal(SIGPIPE, SIG_IGN);
    CALL(write(s[0], "x", 1));
    close(s[0]);
}

static void messages(int type)
{
    int s[2];
    CALL(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s));
    CALL(send(s[0], "abcdef", 6, 0));
    CALL(send(s[0], "", 0, 0));
    CALL(send(s[0], "gh", 2, 0));
    CALL(recv(s[1], block, 3, MSG_PEEK | MSG_TRUNC));
    struct iovec parts[2] = { { block, 2 }, { block + 100, 2 } };
    struct msghdr header = { .msg_iov = parts, .msg_iovlen = 2 };
    CALL(recvmsg(s[1], &header, 0));
    printf("flags %#x\n", header.msg_flags);
    CALL(recv(s[1], block, 9, 0));
    CALL(recv(s[1], block, 9, 0));
    CALL(recv(s[1], block, 9, 0));
    int size = 4096;
    CALL(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    CALL(send(s[0], block, 60000, 0));
    show("before", s[1]);
    close(s[0]);
    show("peer closed", s[1]);
    CALL(recv(s[1], block, 9, 0));
    CALL(send(s[1], "x", 1, MSG_NOSIGNAL));
    CALL(send(s[1], "x", 1, MSG_NOSIGNAL));
    close(s[1]);
}

static void names(void)
{
    struct sockaddr_un path, abstract, other;
    socklen_t path_length = named(&path, "socket"), name_length = named(&abstract, "@birgus-test");
    socklen_t other_length = named(&other, "nothing");
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    int wrong = socket(AF_UNIX, SOCK_DGRAM, 0);
    show("new", server);
    name_of("unnamed", server, getsockname);
    name_of("unconnected", server, getpeername);
    CALL(listen(server, 1));
    CALL(bind(server, (struct sockaddr *)&path, 1));
    CALL(bind(server, (struct sockaddr *)&path, path_length));
    CALL(bind(server, (struct sockaddr *)&abstract, name_length));
    CALL(bind(client, (struct sockaddr *)&path, path_length));
    struct stat status;
    CALL(stat("socket", &status));
    printf("mode %o\n", status.st_mode);
    CALL(open("socket", O_RDWR));
    CALL(connect(client, (struct sockaddr *)&path, path_length));
    CALL(connect(client, (struct sockaddr *)&other, other_length));
    CALL(listen(server, 5));
    CALL(connect(wrong, (struct sockaddr *)&path, path_length));
    put("plain", "");
    other_length = named(&other, "plain");
    CALL(connect(client, (struct sockaddr *)&other, other_length));
    printf("listens %d\n", number(server, SO_ACCEPTCONN));
    CALL(connect(client, (struct sockaddr *)&path, path_length));
    CALL(connect(client, (struct sockaddr *)&path, path_length));
    show("listening", server);
    CALL(write(client, "early", 5));
    struct sockaddr_un peer;
    socklen_t length = sizeof peer;
    int accepted = OK(accept4(server, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC));
    printf("length %d, cloexec %d\n", (int)length, fcntl(accepted, F_GETFD));
    name_of("accepted", accepted, getsockname);
    name_of("client's peer", client, getpeername);
    CALL(read(accepted, block, 99));
    CALL(read(server, block, 1));
    CALL(syscall(SYS_accept4, server, NULL, NULL, 1));
    fcntl(server, F_SETFL, O_NONBLOCK);
    CALL(accept(server, NULL, NULL));
    close(server), close(client), close(accepted);
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    CALL(connect(client, (struct sockaddr *)&path, path_length));
    unlink("socket");

    int receiver = socket(AF_UNIX, SOCK_DGRAM, 0), sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    CALL(bind(receiver, (struct sockaddr *)&abstract, name_length));
    CALL(bind(wrong, (struct sockaddr *)&abstract, name_length));
    CALL(bind(sender, (struct sockaddr *)&path, path_length));
    name_of("abstract", receiver, getsockname);
    CALL(send(sender, "x", 1, 0));
    CALL(sendto(sender, "hello", 5, 0, (struct sockaddr *)&abstract, name_length));
    length = sizeof peer;
    CALL(recvfrom(receiver, block, 99, 0, (struct sockaddr *)&peer, &length));
    printf("from '%s', length %d\n", peer.sun_path, (int)length);
    CALL(connect(sender, (struct sockaddr *)&abstract, name_length));
    int count = 0;
    while (send(sender, "x", 1, MSG_DONTWAIT) == 1)
        count++;
    printf("%d messages, then %s\n", count, errno_name(errno));
    show("sender", sender);
    CALL(recv(receiver, block, 1, 0));
    show("sender", sender);
    CALL(connect(receiver, (struct sockaddr *)&path, path_length));
    CALL(sendto(wrong, "x", 1, 0, (struct sockaddr *)&abstract, name_length));
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    CALL(connect(sender, &none, sizeof none));
    CALL(send(sender, "x", 1, 0));
    CALL(listen(sender, 1));
    close(receiver), close(sender), close(wrong), close(client);
}

static void passing(void)
{
    int s[2], pipe_ends[2];
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    CALL(pipe(pipe_ends));
    union { struct cmsghdr head; char bytes[CMSG_SPACE(8) + CMSG_SPACE(sizeof(struct ucred))]; } out, in;
    struct iovec part = { "x", 1 }, into = { block, 9 };
    struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &out, .msg_controllen = CMSG_SPACE(8) };
    out.head.cmsg_len = CMSG_LEN(8), out.head.cmsg_level = SOL_SOCKET, out.head.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&out.head), pipe_ends, 8);
    CALL(write(s[0], "before", 6));
    CALL(sendmsg(s[0], &header, 0));
    CALL(write(s[0], "after", 5));
    close(pipe_ends[0]);
    struct msghdr received = { .msg_iov = &into, .msg_iovlen = 1, .msg_control = &in, .msg_controllen = sizeof in };
    CALL(recvmsg(s[1], &received, MSG_CMSG_CLOEXEC));
    printf("flags %#x, control %d\n", received.msg_flags & ~MSG_CMSG_CLOEXEC, (int)received.msg_controllen);
    int passed[2];
    memcpy(passed, CMSG_DATA(&in.head), 8);
    printf("length %d, cloexec %d\n", (int)in.head.cmsg_len, fcntl(passed[0], F_GETFD));
    CALL(write(pipe_ends[1], "through", 7));
    CALL(read(passed[0], block, 99));
    CALL(recv(s[1], block, 99, 0));
    close(passed[0]), close(passed[1]);
    CALL(sendmsg(s[0], &header, 0));
    pipe_ends[0] = dup(pipe_ends[1]);
    memcpy(CMSG_DATA(&out.head), pipe_ends, 8);
    CALL(sendmsg(s[0], &header, 0));
    received.msg_controllen = CMSG_LEN(4);
    CALL(recvmsg(s[1], &received, 0));
    printf("flags %#x, length %d\n", received.msg_flags, (int)in.head.cmsg_len);
    out.head.cmsg_type = 99;
    CALL(sendmsg(s[0], &header, 0));
    out.head.cmsg_len = 8;
    CALL(sendmsg(s[0], &header, 0));

    int on = 1;
    struct ucred *who = (struct ucred *)CMSG_DATA(&in.head);
    CALL(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    CALL(write(s[0], "x", 1));
    received.msg_controllen = sizeof in;
    CALL(recvmsg(s[1], &received, 0));
    printf("type %d, mine %d %d\n", in.head.cmsg_type, who->pid == getpid(), who->uid == getuid());
    struct ucred peer;
    socklen_t length = sizeof peer;
    CALL(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &peer, &length));
    printf("mine %d %d %d\n", peer.pid == getpid(), peer.uid == geteuid(), (int)length);
    close(s[0]), close(s[1]);
}

static void options(void)
{
    int s = socket(AF_UNIX, SOCK_SEQPACKET, 0), value = 1000;
    printf("type %d, domain %d, protocol %d, error %d\n", number(s, SO_TYPE), number(s, SO_DOMAIN),
           number(s, SO_PROTOCOL), number(s, SO_ERROR));
    CALL(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    printf("buffers %d %d\n", number(s, SO_SNDBUF), number(s, SO_RCVBUF));
    value = 50000;
    CALL(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    printf("buffer %d\n", number(s, SO_SNDBUF));
    CALL(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value));
    printf("reuse %d\n", number(s, SO_REUSEADDR));
    CALL(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &value, 1));
    CALL(setsockopt(s, SOL_SOCKET, SO_TYPE, &value, sizeof value));
    CALL(setsockopt(s, SOL_SOCKET, 9999, &value, sizeof value));
    CALL(setsockopt(s, 6, 1, &value, sizeof value));
    printf("unknown %d\n", number(s, 9999));
    close(s);
    int pair[2];
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    struct timeval time = { 0, 20000 };
    CALL(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    CALL(read(pair[0], block, 1));
    time.tv_usec = 1000000;
    CALL(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    CALL(lseek(pair[0], 0, SEEK_SET));
    CALL(pread(pair[0], block, 1, 0));
    struct stat status;
    CALL(fstat(pair[0], &status));
    printf("mode %o\n", status.st_mode);
    char link[64] = "", from[64];
    snprintf(from, sizeof from, "/proc/self/fd/%d", pair[0]);
    CALL(readlink(from, link, 8));
    printf("%s\n", link);
    close(pair[0]), close(pair[1]);
    int file = open("/dev/null", O_RDWR);
    CALL(bind(file, (struct sockaddr *)"\1\0x", 3));
    CALL(socket(AF_UNIX, SOCK_RDM, 0) < 0 ? -1 : 0);
    CALL(socket(AF_UNIX, SOCK_STREAM, 5));
    CALL(socket(77, SOCK_STREAM, 0));
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, NULL));
    close(file);
}

static void many(void)
{
    int s[2];
    CALL(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    struct iovec parts[3] = { { "one", 3 }, { "three", 5 }, { "x", 1 } };
    struct mmsghdr list[3] = { 0 };
    for (int i = 0; i < 3; i++)
        list[i].msg_hdr.msg_iov = &parts[i], list[i].msg_hdr.msg_iovlen = 1;
    CALL(sendmmsg(s[0], list, 3, 0));
    printf("%u %u %u\n", list[0].msg_len, list[1].msg_len, list[2].msg_len);
    struct iovec into[4] = { { block, 9 }, { block + 9, 9 }, { block + 18, 9 }, { block + 27, 9 } };
    struct mmsghdr got[4] = { 0 };
    for (int i = 0; i < 4; i++)
        got[i].msg_hdr.msg_iov = &into[i], got[i].msg_hdr.msg_iovlen = 1;
    CALL(recvmmsg(s[1], got, 4, MSG_WAITFORONE, NULL));
    printf("%u %u %u\n", got[0].msg_len, got[1].msg_len, got[2].msg_len);
    close(s[0]), close(s[1]);
}

static void server_and_clients(void)
{
    struct sockaddr_un address;
    socklen_t length = named(&address, "@birgus-server");
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    bind(server, (struct sockaddr *)&address, length);
    listen(server, 2);
    pid_t children[4];
    for (int i = 0; i < 4; i++)
        if (!(children[i] = fork())) {
            int fd = socket(AF_UNIX, SOCK_STREAM, 0);
            char byte = 'a' + i;
            int failed = connect(fd, (struct sockaddr *)&address, length) || write(fd, &byte, 1) != 1;
            failed |= read(fd, &byte, 1) != 1 || byte != 'A' + i;
            _exit(failed);
        }
    struct epoll_event event = { .events = EPOLLIN, .data.fd = server };
    epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event);
    int served = 0;
    while (served < 4 && epoll_wait(epoll, &event, 1, 5000) == 1) {
        int fd = event.data.fd;
        char byte;
        if (fd == server) {
            event.data.fd = accept4(server, NULL, NULL, SOCK_NONBLOCK);
            event.events = EPOLLIN | EPOLLET;
            epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
        } else if (read(fd, &byte, 1) == 1) {
            byte -= 32;
            served += write(fd, &byte, 1);
            close(fd);
        }
    }
    int sum = 0, status;
    for (int i = 0; i < 4; i++)
        waitpid(children[i], &status, 0), sum += status;
    printf("served %d, statuses %d\n", served, sum);
    close(server), close(epoll);
}

int main(void)
{
    enter_scratch();
    streams();
    messages(SOCK_DGRAM);
    messages(SOCK_SEQPACKET);
    names();
    passing();
    options();
    many();
    server_and_clients();
    return 0;
}
