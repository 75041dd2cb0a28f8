// landlock(7): rulesets, domains, what they allow of files, ports and other processes.
// build: glibc musl
#include "check.h"
#include "children.h"
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum {
    EXECUTE = 1, WRITE_FILE = 2, READ_FILE = 4, READ_DIR = 8, REMOVE_DIR = 16, REMOVE_FILE = 32,
    MAKE_DIR = 128, MAKE_REG = 256, MAKE_SYM = 4096, REFER = 8192, TRUNCATE = 16384,
    IOCTL_DEV = 32768,
};

struct ruleset { uint64_t fs, net, scope; };
struct beneath { uint64_t access; int32_t fd; } __attribute__((packed));
struct port { uint64_t access, port; };

static int create(uint64_t fs, uint64_t net, uint64_t scope)
{
    struct ruleset ruleset = { fs, net, scope };
    return syscall(444, &ruleset, sizeof ruleset, 0);
}

static int allow(int ruleset, const char *path, uint64_t access)
{
    struct beneath rule = { access, open(path, O_PATH | O_CLOEXEC) };
    int result = syscall(445, ruleset, 1, &rule, 0);
    int error = errno;
    close(rule.fd);
    errno = error;
    return result;
}

static int allow_port(int ruleset, uint64_t port, uint64_t access)
{
    struct port rule = { access, port };
    return syscall(445, ruleset, 2, &rule, 0);
}

static int restrict_self(int ruleset)
{
    return syscall(446, ruleset, 0);
}

static void errors(void)
{
    struct ruleset set = { 1, 0, 0 };
    char page[8192] = { 1 };
    TRUTH(syscall(444, NULL, 0, 1) >= 6);
    CALL(syscall(444, NULL, 8, 1));
    CALL(syscall(444, &set, 0, 1));
    CALL(syscall(444, &set, sizeof set, 1 << 31));
    CALL(syscall(444, NULL, sizeof set, 0));
    CALL(syscall(444, &set, 7, 0));
    CALL(syscall(444, page, 4097, 0));
    OK(syscall(444, page, 4096, 0));
    page[100] = 1;
    CALL(syscall(444, page, 4096, 0));
    CALL(create(0, 0, 0));
    CALL(create(1ull << 63, 0, 0));
    CALL(create(0, 1ull << 63, 0));
    CALL(create(0, 0, 1ull << 63));
    put("file", "content");
    int ruleset = create(EXECUTE | READ_DIR, 1, 0), file = open("file", O_RDONLY), ends[2];
    NUMBER(fcntl(ruleset, F_GETFD));
    CALL(read(ruleset, page, 1));
    CALL(write(ruleset, page, 1));
    CALL(allow(ruleset, "file", 0));
    CALL(allow(ruleset, "file", READ_DIR));
    CALL(allow(ruleset, "file", WRITE_FILE));
    CALL(allow(ruleset, "none", EXECUTE));
    CALL(allow(ruleset, "file", EXECUTE));
    CALL(allow(file, "file", EXECUTE));
    CALL(allow(-1, "file", EXECUTE));
    CALL(allow_port(ruleset, 65536, 1));
    CALL(allow_port(ruleset, 80, 2));
    CALL(allow_port(ruleset, 80, 0));
    CALL(allow_port(ruleset, 80, 1));
    CALL(syscall(445, ruleset, 1, NULL, 0));
    CALL(syscall(445, ruleset, 1, &set, 1));
    CALL(syscall(445, ruleset, 99, &set, 0));
    pipe(ends);
    struct beneath rule = { EXECUTE, ends[0] };
    CALL(syscall(445, ruleset, 1, &rule, 0));
    rule.fd = ruleset;
    CALL(syscall(445, ruleset, 1, &rule, 0));
    CALL(restrict_self(-1));
    CALL(restrict_self(file));
    CALL(syscall(446, ruleset, 1 << 31));
    reap(CHILD(
        for (int i = 0; i < 16; i++)
            restrict_self(ruleset);
        CALL(restrict_self(ruleset))));
    reap(CHILD(
        CALL(setresuid(1000, 1000, 1000));
        CALL(restrict_self(ruleset));
        CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        CALL(restrict_self(ruleset))));
}

static void restricted_files(int before, int device)
{
    OK(open("dir/f", O_RDONLY));
    CALL(open("dir/f", O_WRONLY));
    CALL(open("dir/new", O_WRONLY | O_CREAT, 0600));
    CALL(open("f", O_RDONLY));
    OK(open("f", O_PATH));
    CALL(open(".", O_RDONLY));
    OK(open("dir", O_RDONLY));
    CALL(mkdir("dir/d", 0700));
    CALL(mkdir("d", 0700));
    CALL(mkdir("dir", 0700));
    CALL(rmdir("dir/d"));
    CALL(unlink("f"));
    CALL(unlink("none"));
    CALL(symlink("a", "b"));
    CALL(mknod("reg", S_IFREG | 0600, 0));
    CALL(truncate("f", 1));
    CALL(ftruncate(before, 3));
    int write_only = OK(open("write/f", O_WRONLY));
    CALL(open("write/f", O_WRONLY | O_TRUNC));
    CALL(access("f", R_OK));
    CALL(chmod("f", 0600));
    CALL(ftruncate(write_only, 1));
    int flag = 0, ends[2];
    CALL(open("/dev/zero", O_RDONLY));
    TRUTH(ioctl(device, FIONREAD, &flag) == -1 && errno == EACCES);
    CALL(ioctl(device, FIONBIO, &flag));
    CALL(pipe(ends));
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    OK(open(path, O_RDONLY));
    OK(syscall(SYS_memfd_create, "m", 0));
    CALL(mount("none", "dir", "tmpfs", 0, NULL));
    CALL(umount("dir"));
    CALL(execl("dir/f", "f", (char *)NULL));
}

static void files(void)
{
    mkdir("dir", 0755);
    mkdir("write", 0755);
    put("dir/f", "content");
    put("write/f", "content");
    put("f", "content");
    int before = open("f", O_RDWR), device = open("/dev/zero", O_RDONLY);
    int ruleset = create(0xffff, 0, 0);
    CALL(allow(ruleset, "dir", READ_FILE | READ_DIR | MAKE_DIR));
    CALL(allow(ruleset, "write", WRITE_FILE));
    reap(CHILD(CALL(restrict_self(ruleset)); restricted_files(before, device)));
    CALL(allow(ruleset, "/dev/zero", READ_FILE));
    reap(CHILD(
        int count;
        restrict_self(ruleset);
        int zero = open("/dev/zero", O_RDONLY);
        CALL(ioctl(zero, 0x5413, &count));
        CALL(ioctl(zero, FIOCLEX))));
}

static void references(void)
{
    const char *names[] = { "one", "two", "none", "more" };
    for (int i = 0; i < 4; i++)
        mkdir(names[i], 0755);
    put("one/f", "content");
    put("two/g", "content");
    int ruleset = create(EXECUTE | REFER, 0, 0);
    allow(ruleset, "one", REFER);
    allow(ruleset, "two", REFER);
    allow(ruleset, "more", REFER | EXECUTE);
    reap(CHILD(
        restrict_self(ruleset);
        CALL(rename("one/f", "two/f"));
        CALL(rename("two/f", "none/f"));
        CALL(rename("two/f", "more/f"));
        CALL(rename("two/f", "two/h"));
        CALL(link("two/h", "one/h"));
        CALL(link("two/h", "none/h"));
        CALL(link("two/h", "two/i"));
        CALL(rename("two/h", "one/f"))));
    int next = create(MAKE_REG | REMOVE_FILE, 0, 0);
    reap(CHILD(
        restrict_self(next);
        CALL(rename("one/f", "one/k"));
        CALL(rename("one/f", "two/k"));
        CALL(link("one/f", "two/k"));
        CALL(rename("one", "two/one"))));
    int other = create(EXECUTE, 0, 0);
    allow(other, "/", EXECUTE);
    reap(CHILD(
        restrict_self(other);
        CALL(rename("one/f", "two/k"));
        CALL(syscall(SYS_renameat2, AT_FDCWD, "one/f", AT_FDCWD, "two/g", 2));
        CALL(rename("one/f", "one/l"))));
    int net = create(0, 1, 0);
    reap(CHILD(restrict_self(net); CALL(rename("one/l", "two/l"))));
}

static int bind_to(int family_of_address, int port, int type)
{
    struct sockaddr_in address = { .sin_family = family_of_address, .sin_port = htons(port) };
    int fd = socket(AF_INET, type, 0);
    int result = bind(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static int connect_to(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int result = connect(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

/* A port to which nothing is bound. */
static int free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bind(fd, (struct sockaddr *)&address, len);
    getsockname(fd, (struct sockaddr *)&address, &len);
    close(fd);
    return ntohs(address.sin_port);
}

static void ports(void)
{
    int ruleset = create(0, 3, 0), one = free_port(), two;
    do
        two = free_port();
    while (two == one);
    CALL(allow_port(ruleset, one, 1));
    CALL(allow_port(ruleset, two, 2));
    reap(CHILD(
        restrict_self(ruleset);
        CALL(bind_to(AF_INET, one, SOCK_STREAM));
        CALL(bind_to(AF_INET, two, SOCK_STREAM));
        CALL(bind_to(AF_UNSPEC, two, SOCK_STREAM));
        CALL(bind_to(AF_INET6, one, SOCK_STREAM));
        CALL(bind_to(AF_INET, two, SOCK_DGRAM));
        CALL(connect_to(one));
        TRUTH(connect_to(two) == -1 && errno == ECONNREFUSED)));
}

static void scopes(void)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    /* Abstract names are of the whole machine: one for each run. */
    int chars = sprintf(name.sun_path + 1, "landlock-check-%d", getpid());
    socklen_t len = sizeof(sa_family_t) + 1 + chars;
    int server = socket(AF_UNIX, SOCK_STREAM, 0), one = socket(AF_UNIX, SOCK_STREAM, 0);
    CALL(bind(server, (struct sockaddr *)&name, len));
    CALL(listen(server, 4));
    int sockets = create(0, 0, 1), signals = create(0, 0, 2);
    reap(CHILD(
        restrict_self(sockets);
        CALL(connect(one, (struct sockaddr *)&name, len));
        CALL(kill(getppid(), 0))));
    reap(CHILD(
        restrict_self(signals);
        CALL(kill(getppid(), 0));
        CALL(kill(getpid(), 0));
        CALL(connect(one, (struct sockaddr *)&name, len));
        pid_t child = CHILD(pause());
        CALL(kill(child, SIGTERM));
        reap(child)));
    int files = create(EXECUTE, 0, 0);
    reap(CHILD(
        restrict_self(files);
        CALL(ptrace(PTRACE_ATTACH, getppid(), 0, 0));
        CALL(ptrace(PTRACE_TRACEME, 0, 0, 0))));
    reap(CHILD(
        CALL(restrict_self(files));
        reap(CHILD(CALL(ptrace(PTRACE_TRACEME, 0, 0, 0))))));
}

int main(void)
{
    enter_scratch();
    errors();
    files();
    references();
    ports();
    scopes();
    return 0;
}
