// Page faults that the program resolves itself: userfaultfd(2), ioctl_userfaultfd(2).
// build: glibc
#include "threads.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)
#define UFFDIO_POISON _IOWR(0xAA, 8, struct uffdio_zeropage)
#endif
#ifndef UFFDIO_MOVE
#define UFFDIO_MOVE _IOWR(0xAA, 5, struct uffdio_copy)
#endif
#ifndef UFFD_FEATURE_EXACT_ADDRESS
#define UFFD_FEATURE_EXACT_ADDRESS (1 << 11)
#endif
#define MODE_MISSING UFFDIO_REGISTER_MODE_MISSING
#define MODE_WP UFFDIO_REGISTER_MODE_WP
#define MODE_MINOR (1 << 2)
#define UFFDIO_CONTINUE_ _IOWR(0xAA, 7, struct uffdio_zeropage)
#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)

static char source[PAGE] __attribute__((aligned(4096)));

static int open_with(uint64_t features, int flags)
{
    struct uffdio_api api = { .api = UFFD_API, .features = features };
    int fd = syscall(SYS_userfaultfd, flags);
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0) {
        printf("userfaultfd with %#lx: %s\n", (long)features, errno_name(errno));
        exit(98);
    }
    return fd;
}

static char *map(int pages)
{
    return mmap(NULL, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int enroll(int fd, void *at, long len, int mode)
{
    struct uffdio_register request = { .range = { (long)at, len }, .mode = mode };
    return ioctl(fd, UFFDIO_REGISTER, &request);
}

static int withdraw(int fd, void *at, long len)
{
    struct uffdio_range range = { (long)at, len };
    return ioctl(fd, UFFDIO_UNREGISTER, &range);
}

static long copied;
static int copy(int fd, void *to, const void *from, long len, int mode)
{
    struct uffdio_copy request = { (long)to, (long)from, len, mode, 77 };
    int result = ioctl(fd, UFFDIO_COPY, &request);
    copied = request.copy;
    return result;
}

static int move(int fd, void *to, const void *from, long len, int mode)
{
    struct uffdio_copy request = { (long)to, (long)from, len, mode, 77 };
    int result = ioctl(fd, UFFDIO_MOVE, &request);
    copied = request.copy;
    return result;
}

static int fill(int fd, unsigned long how, void *to, long len, int mode)
{
    struct uffdio_zeropage request = { { (long)to, len }, mode, 77 };
    int result = ioctl(fd, how, &request);
    copied = request.zeropage;
    return result;
}

static int protect(int fd, void *to, long len, int mode)
{
    struct uffdio_writeprotect request = { { (long)to, len }, mode };
    return ioctl(fd, UFFDIO_WRITEPROTECT, &request);
}

/* What resolves faults, and what it saw. */
enum how { COPY, ZEROS, WRITABLE, POISON, CONTINUE, MOVE, HEAR, HEAR_TWO };
struct resolver {
    int fd;
    enum how how;
    char *spare;
    struct uffd_msg message, second;
};

static void *resolve(void *argument)
{
    struct resolver *my = argument;
    if (read(my->fd, &my->message, sizeof my->message) != sizeof my->message)
        return "read";
    char *page = (char *)(my->message.arg.pagefault.address & -PAGE);
    switch (my->how) {
    case COPY: return copy(my->fd, page, source, PAGE, 0) ? "copy" : NULL;
    case ZEROS: return fill(my->fd, UFFDIO_ZEROPAGE, page, PAGE, 0) ? "zeros" : NULL;
    case WRITABLE: return protect(my->fd, page, PAGE, 0) ? "protect" : NULL;
    case POISON: return fill(my->fd, UFFDIO_POISON, page, PAGE, 0) ? "poison" : NULL;
    case CONTINUE: return fill(my->fd, UFFDIO_CONTINUE_, page, PAGE, 0) ? "continue" : NULL;
    case MOVE: return move(my->fd, page, my->spare, PAGE, 0) ? "move" : NULL;
    case HEAR: return NULL;
    case HEAR_TWO: return read(my->fd, &my->second, sizeof my->second) < 0 ? "second" : NULL;
    }
    return NULL;
}

#define SEEN(r, page) printf("event %#x flags %ld offset %ld\n", (r).message.event, \
    (long)(r).message.arg.pagefault.flags, (long)(r).message.arg.pagefault.address - (long)(page))

static sigjmp_buf back;
static volatile int code;
static void on_bus(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    code = info->si_code;
    siglongjmp(back, 1);
}
/* Of poison Linux says BUS_MCEERR_AR only where it is built to handle damaged memory. */
#define BUS(expression) do { \
    if (sigsetjmp(back, 1) == 0) { \
        (void)(expression); \
        printf("%s -> no signal\n", #expression); \
    } else { \
        printf("%s -> SIGBUS, %s\n", #expression, code == BUS_ADRERR || \
               code == BUS_MCEERR_AR ? "of an address" : "?"); \
    } } while (0)

static void negotiation(void)
{
    int fd = OK(syscall(SYS_userfaultfd, O_CLOEXEC));
    NUMBER(fcntl(fd, F_GETFD));
    CALL(syscall(SYS_userfaultfd, 0x40));
    char *page = map(1);
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    struct uffdio_api api = { .api = 1 };
    CALL(enroll(fd, page, PAGE, MODE_MISSING));
    CALL(read(fd, source, 32));
    CALL(poll(&poll_fd, 1, 0));
    HEX(poll_fd.revents);
    CALL(ioctl(fd, UFFDIO_API, &api));
    HEX(api.api);
    api = (struct uffdio_api){ .api = UFFD_API, .features = 1UL << 40 };
    CALL(ioctl(fd, UFFDIO_API, &api));
    HEX(api.features);
    api = (struct uffdio_api){ .api = UFFD_API };
    CALL(ioctl(fd, UFFDIO_API, NULL));
    CALL(ioctl(fd, UFFDIO_API, &api));
    HEX(api.ioctls);
    TRUTH(api.features & UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    CALL(ioctl(fd, UFFDIO_API, &api));
    CALL(ioctl(fd, _IO(0xAA, 0x30), 0));
    CALL(poll(&poll_fd, 1, 0));
    HEX(poll_fd.revents);
    CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
    CALL(poll(&poll_fd, 1, 0));
    CALL(read(fd, source, 31));
    CALL(read(fd, source, 32));
    CALL(write(fd, source, 32));
    CALL(lseek(fd, 0, SEEK_SET));
    struct uffdio_register request = { .range = { (long)page, PAGE }, .mode = MODE_MISSING };
    CALL(ioctl(fd, UFFDIO_REGISTER, &request));
    HEX(request.ioctls & 0x11d);
    CALL(close(fd));
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    TRUTH(device >= 0);
    fd = OK(ioctl(device, USERFAULTFD_IOC_NEW, O_NONBLOCK));
    HEX(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CALL(ioctl(device, USERFAULTFD_IOC_NEW, 0x40));
    close(device);
    close(fd);
    munmap(page, PAGE);
}

static void errors(void)
{
    int fd = open_with(0, O_NONBLOCK), other = open_with(0, O_NONBLOCK);
    char *at = map(4);
    CALL(munmap(at + 3 * PAGE, PAGE));
    CALL(enroll(fd, at, PAGE, 0));
    CALL(enroll(fd, at, PAGE, 64));
    CALL(enroll(fd, at, 0, MODE_MISSING));
    CALL(enroll(fd, at + 1, PAGE, MODE_MISSING));
    CALL(enroll(fd, at, PAGE + 1, MODE_MISSING));
    CALL(enroll(fd, (void *)-PAGE, PAGE, MODE_MISSING));
    CALL(enroll(fd, at + 3 * PAGE, PAGE, MODE_MISSING));
    CALL(enroll(fd, at, PAGE, MODE_MINOR));
    CALL(enroll(fd, at, 3 * PAGE, MODE_MISSING));
    CALL(enroll(other, at + PAGE, PAGE, MODE_MISSING));
    CALL(withdraw(other, at + PAGE, PAGE));
    CALL(copy(fd, at, source, 0, 0));
    CALL(copy(fd, at, source, 100, 0));
    NUMBER(copied);
    CALL(copy(fd, at, source, PAGE, 64));
    CALL(copy(fd, at, source, PAGE, UFFDIO_COPY_MODE_WP));
    NUMBER(copied);
    CALL(copy(fd, at, (void *)-PAGE, PAGE, 0));
    CALL(copy(fd, at, (void *)PAGE, PAGE, 0));
    NUMBER(copied);
    CALL(copy(fd, at, source, PAGE, 0));
    NUMBER(copied);
    CALL(copy(fd, at, source, PAGE, 0));
    NUMBER(copied);
    CALL(fill(fd, UFFDIO_ZEROPAGE, at, PAGE, 0));
    CALL(fill(fd, UFFDIO_ZEROPAGE, at + PAGE, 2 * PAGE, 0));
    NUMBER(copied);
    CALL(fill(fd, UFFDIO_ZEROPAGE, at + PAGE, PAGE, 64));
    CALL(madvise(at, PAGE, MADV_DONTNEED));
    CALL(fill(fd, UFFDIO_ZEROPAGE, at, 2 * PAGE, 0));
    NUMBER(copied);
    CALL(fill(fd, UFFDIO_CONTINUE_, at, PAGE, 0));
    CALL(protect(fd, at, PAGE, 1));
    CALL(protect(fd, at, PAGE, 3));
    CALL(withdraw(fd, at, 2 * PAGE));
    CALL(copy(fd, at, source, PAGE, 0));
    CALL(withdraw(fd, at, 2 * PAGE));
    CALL(withdraw(fd, at + 3 * PAGE, PAGE));
    CALL(close(fd));
    CALL(close(other));
    munmap(at, 3 * PAGE);
    /* What is there for ever can not be watched, nor what can never be written. */
    fd = open_with(0, 0);
    CALL(enroll(fd, (void *)getauxval(AT_SYSINFO_EHDR), PAGE, MODE_MISSING));
    int memory = syscall(SYS_memfd_create, "m", 0);
    TRUTH(ftruncate(memory, PAGE) == 0);
    char path[64];
    sprintf(path, "/proc/self/fd/%d", memory);
    int reader = open(path, O_RDONLY);
    char *readable = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
    CALL(enroll(fd, readable, PAGE, MODE_MISSING));
    close(fd), close(memory), close(reader);
    munmap(readable, PAGE);
}

static void missing(void)
{
    int fd = open_with(0, 0);
    char *at = map(6);
    memset(source, 'c', PAGE);
    CALL(enroll(fd, at, 6 * PAGE, MODE_MISSING));
    struct resolver r = { .fd = fd, .how = COPY };
    pthread_t thread = start(resolve, &r);
    NUMBER(at[5]);
    TRUTH(join(thread) == NULL);
    SEEN(r, at);
    thread = start(resolve, &r);
    at[PAGE + 7] = 'w';
    TRUTH(join(thread) == NULL);
    SEEN(r, at);
    NUMBER(at[PAGE + 7]);
    NUMBER(at[PAGE + 8]);
    r.how = ZEROS;
    thread = start(resolve, &r);
    NUMBER(at[2 * PAGE]);
    TRUTH(join(thread) == NULL);
    /* System calls wait as well. */
    int ends[2];
    TRUTH(pipe(ends) == 0);
    r.how = COPY;
    thread = start(resolve, &r);
    CALL(write(ends[1], at + 3 * PAGE, 10));
    TRUTH(join(thread) == NULL);
    SEEN(r, at);
    thread = start(resolve, &r);
    CALL(read(ends[0], at + 4 * PAGE, 4));
    TRUTH(join(thread) == NULL);
    SEEN(r, at);
    NUMBER(at[4 * PAGE + 3]);
    r.how = MOVE;
    r.spare = map(1);
    *r.spare = 'm';
    thread = start(resolve, &r);
    NUMBER(at[5 * PAGE]);
    TRUTH(join(thread) == NULL);
    NUMBER(*r.spare);
    CALL(move(fd, at + 5 * PAGE, r.spare, PAGE, 0));
    NUMBER(copied);
    CALL(madvise(at + 4 * PAGE, 2 * PAGE, MADV_DONTNEED));
    CALL(madvise(r.spare, PAGE, MADV_DONTNEED));
    CALL(move(fd, at + 4 * PAGE, r.spare, PAGE, 0));
    CALL(move(fd, at + 4 * PAGE, r.spare, PAGE, 2));
    CALL(close(fd));
    NUMBER(at[4 * PAGE]);
    munmap(at, 6 * PAGE), munmap(r.spare, PAGE);
    close(ends[0]), close(ends[1]);
}

static void features(void)
{
    int fd = open_with(UFFD_FEATURE_EXACT_ADDRESS | UFFD_FEATURE_THREAD_ID, 0);
    char *at = map(2);
    CALL(enroll(fd, at, 2 * PAGE, MODE_MISSING));
    struct resolver r = { .fd = fd, .how = COPY };
    pthread_t thread = start(resolve, &r);
    at[77] = 1;
    TRUTH(join(thread) == NULL);
    SEEN(r, at);
    TRUTH(r.message.arg.pagefault.feat.ptid == (unsigned)tid());
    close(fd);
    munmap(at, 2 * PAGE);

    fd = open_with(UFFD_FEATURE_SIGBUS | UFFD_FEATURE_POISON, O_NONBLOCK);
    at = map(4);
    CALL(enroll(fd, at, 4 * PAGE, MODE_MISSING));
    BUS(*(volatile char *)at);
    CALL(write(1, at, 1));
    CALL(copy(fd, at, source, PAGE, 0));
    BUS(*(volatile char *)at);
    CALL(fill(fd, UFFDIO_POISON, at + PAGE, 2 * PAGE, 0));
    NUMBER(copied);
    BUS(*(volatile char *)(at + PAGE));
    CALL(fill(fd, UFFDIO_POISON, at + PAGE, PAGE, 0));
    CALL(fill(fd, UFFDIO_POISON, at, PAGE, 0));
    CALL(write(1, at + PAGE, 1));
    CALL(madvise(at + PAGE, PAGE, MADV_DONTNEED));
    BUS(*(volatile char *)(at + PAGE));
    CALL(copy(fd, at + PAGE, source, PAGE, 0));
    BUS(*(volatile char *)(at + PAGE));
    CALL(close(fd));
    BUS(*(volatile char *)(at + 2 * PAGE));
    BUS(*(volatile char *)(at + 3 * PAGE));
    munmap(at, 4 * PAGE);

    /* Only faults of the program itself. */
    fd = open_with(0, UFFD_USER_MODE_ONLY);
    at = map(1);
    CALL(enroll(fd, at, PAGE, MODE_MISSING));
    CALL(write(1, at, 1));
    r = (struct resolver){ .fd = fd, .how = POISON };
    thread = start(resolve, &r);
    BUS(*(volatile char *)at);
    TRUTH(join(thread) == NULL);
    close(fd);
    munmap(at, PAGE);
}

static void writes(void)
{
    int fd = open_with(UFFD_FEATURE_PAGEFAULT_FLAG_WP, 0);
    char *at = map(3);
    memset(at, 'o', 2 * PAGE);
    CALL(enroll(fd, at, 3 * PAGE, MODE_WP | MODE_MISSING));
    CALL(protect(fd, at, 2 * PAGE, 1));
    struct resolver r = { .fd = fd, .how = WRITABLE };
    pthread_t thread = start(resolve, &r);
    NUMBER(at[3]);
    at[3] = 'n';
    TRUTH(join(thread) == NULL);
    SEEN(r, at);
    NUMBER(at[3]);
    thread = start(resolve, &r);
    int zero = open("/dev/zero", O_RDONLY);
    CALL(read(zero, at + PAGE, 1));
    TRUTH(join(thread) == NULL);
    SEEN(r, at);
    CALL(copy(fd, at + 2 * PAGE, source, PAGE, UFFDIO_COPY_MODE_WP));
    thread = start(resolve, &r);
    at[2 * PAGE] = 'x';
    TRUTH(join(thread) == NULL);
    SEEN(r, at);
    /* Protection of pages survives mprotect(2), and not the descriptor. */
    CALL(protect(fd, at, PAGE, 1));
    CALL(mprotect(at, PAGE, PROT_READ));
    CALL(mprotect(at, PAGE, RW));
    thread = start(resolve, &r);
    at[0] = 'y';
    TRUTH(join(thread) == NULL);
    CALL(protect(fd, at, 3 * PAGE, 1));
    if (fork() == 0) {
        at[0] = 'z';
        _exit(at[0]);
    }
    int status;
    wait(&status);
    NUMBER(WEXITSTATUS(status));
    CALL(close(fd));
    at[0] = 'q';
    NUMBER(at[0]);
    close(zero);
    munmap(at, 3 * PAGE);
}

static void shared(void)
{
    int fd = open_with(UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM, 0);
    int memory = syscall(SYS_memfd_create, "m", 0);
    TRUTH(ftruncate(memory, 3 * PAGE) == 0);
    char *at = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, memory, 0);
    CALL(enroll(fd, at, 4 * PAGE, MODE_MISSING | MODE_MINOR));
    struct resolver r = { .fd = fd, .how = COPY };
    pthread_t thread = start(resolve, &r);
    NUMBER(at[1]);
    TRUTH(join(thread) == NULL);
    SEEN(r, at);
    char byte = 0;
    CALL(pread(memory, &byte, 1, 1));
    NUMBER(byte);
    CALL(pwrite(memory, "s", 1, PAGE));
    r.how = CONTINUE;
    thread = start(resolve, &r);
    NUMBER(at[PAGE]);
    TRUTH(join(thread) == NULL);
    SEEN(r, at);
    CALL(copy(fd, at + PAGE, source, PAGE, 0));
    CALL(fill(fd, UFFDIO_CONTINUE_, at + PAGE, PAGE, 0));
    CALL(fill(fd, UFFDIO_CONTINUE_, at + 2 * PAGE, PAGE, 0));
    CALL(copy(fd, at + 3 * PAGE, source, PAGE, 0));
    BUS(*(volatile char *)(at + 3 * PAGE));
    CALL(fill(fd, UFFDIO_ZEROPAGE, at + 2 * PAGE, PAGE, 0));
    NUMBER(at[2 * PAGE]);
    close(fd);
    munmap(at, 4 * PAGE);
    close(memory);
}

/* Without room for a descriptor of the child, the event stays to be read. */
static void *hear_poor(void *argument)
{
    struct resolver *my = argument;
    struct rlimit old, poor;
    getrlimit(RLIMIT_NOFILE, &old);
    poor = old;
    poor.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &poor);
    long got = read(my->fd, &my->message, sizeof my->message);
    int error = errno;
    setrlimit(RLIMIT_NOFILE, &old);
    if (got != -1 || error != EMFILE)
        return "read without room";
    return resolve(my);
}

#define EVENTS (UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | \
    UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)

static void events(void)
{
    int fd = open_with(EVENTS, 0);
    char *at = map(8);
    memset(at, 'e', PAGE);
    CALL(enroll(fd, at, 8 * PAGE, MODE_MISSING));
    struct resolver r = { .fd = fd, .how = HEAR };
    pthread_t thread = start(resolve, &r);
    CALL(madvise(at, 2 * PAGE, MADV_DONTNEED));
    join(thread);
    HEX(r.message.event);
    NUMBER(r.message.arg.remove.start - (long)at);
    NUMBER(r.message.arg.remove.end - (long)at);
    thread = start(resolve, &r);
    CALL(munmap(at + 6 * PAGE, 2 * PAGE));
    join(thread);
    HEX(r.message.event);
    NUMBER(r.message.arg.remove.start - (long)at);
    NUMBER(r.message.arg.remove.end - (long)at);
    CALL(copy(fd, at, source, PAGE, 0));
    r.how = HEAR_TWO;
    thread = start(resolve, &r);
    char *room = map(6);
    char *to = mremap(at, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room);
    join(thread);
    HEX(r.message.event);
    TRUTH(r.message.arg.remap.from == (unsigned long)at);
    TRUTH(r.message.arg.remap.to == (unsigned long)to);
    NUMBER(r.message.arg.remap.len);
    HEX(r.second.event);
    NUMBER(r.second.arg.remove.start - (long)at);
    NUMBER(r.second.arg.remove.end - (long)at);
    NUMBER(to[0]);
    r.how = COPY;
    thread = start(resolve, &r);
    NUMBER(to[PAGE]);
    TRUTH(join(thread) == NULL);
    SEEN(r, to);
    /* A child has a descriptor of its own, which the parent reads. */
    r.how = HEAR;
    at += 2 * PAGE;
    thread = start(hear_poor, &r);
    pid_t child = fork();
    if (child == 0)
        _exit(at[PAGE]);
    TRUTH(join(thread) == NULL);
    HEX(r.message.event);
    int of_child = r.message.arg.fork.ufd;
    TRUTH(of_child >= 0);
    r = (struct resolver){ .fd = of_child, .how = COPY };
    TRUTH(resolve(&r) == NULL);
    SEEN(r, at);
    int status;
    waitpid(child, &status, 0);
    NUMBER(WEXITSTATUS(status));
    CALL(copy(of_child, at, source, PAGE, 0));
    NUMBER(copied);
    close(of_child);
    close(fd);
    munmap(at, 4 * PAGE), munmap(room, 6 * PAGE);
}

static volatile int handled;
static void on_usr1(int number)
{
    (void)number;
    handled++;
}

static void *touch(void *at)
{
    return (void *)(long)*(volatile char *)at;
}

static void *touch_by_call(void *at)
{
    struct timespec time;
    return (void *)(long)clock_gettime(CLOCK_MONOTONIC_COARSE + 100, &time) + (long)read(-1, at, 1)
        + (long)syscall(SYS_getrandom, at, 1, 0);
}

/* A wait for a page is ended by a signal, and begins again after its handler. */
static void interruptions(void)
{
    int fd = open_with(0, 0);
    char *at = map(2);
    CALL(enroll(fd, at, 2 * PAGE, MODE_MISSING));
    struct sigaction action = { .sa_handler = on_usr1 };
    sigaction(SIGUSR1, &action, NULL);
    pthread_t thread = start(touch, at);
    struct uffd_msg message;
    CALL(read(fd, &message, sizeof message));
    pthread_kill(thread, SIGUSR1);
    CALL(read(fd, &message, sizeof message));
    NUMBER(handled);
    CALL(copy(fd, at, source, PAGE, UFFDIO_COPY_MODE_DONTWAKE));
    struct uffdio_range range = { (long)at, PAGE };
    CALL(ioctl(fd, UFFDIO_WAKE, &range));
    NUMBER((long)join(thread));
    thread = start(touch_by_call, at + PAGE);
    CALL(read(fd, &message, sizeof message));
    CALL(copy(fd, at + PAGE, source, PAGE, 0));
    NUMBER((long)join(thread));
    munmap(at, 2 * PAGE);
    close(fd);
    /* Who waits for nobody can be killed, in a fault as in a call. */
    for (int by_call = 0; by_call < 2; by_call++) {
        int ends[2];
        TRUTH(pipe(ends) == 0);
        pid_t child = fork();
        if (child == 0) {
            fd = open_with(0, 0);
            at = map(1);
            enroll(fd, at, PAGE, MODE_MISSING);
            pthread_t waits = start(by_call ? touch_by_call : touch, at);
            read(fd, &message, sizeof message);
            write(ends[1], "r", 1);
            pthread_join(waits, NULL);
            _exit(1);
        }
        char byte;
        CALL(read(ends[0], &byte, 1));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        NUMBER(WTERMSIG(status));
        close(ends[0]), close(ends[1]);
    }
    /* Nor does the end of a process wait for a page. */
    pid_t child = fork();
    if (child == 0) {
        fd = open_with(0, 0);
        at = map(1);
        syscall(SYS_set_tid_address, at);
        enroll(fd, at, PAGE, MODE_MISSING);
        _exit(7);
    }
    int status;
    waitpid(child, &status, 0);
    NUMBER(WEXITSTATUS(status));
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
    sigaction(SIGBUS, &action, NULL);
    negotiation();
    errors();
    missing();
    features();
    writes();
    shared();
    events();
    interruptions();
    return 0;
}
