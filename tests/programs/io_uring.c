// io_uring(7) by its system calls: requests, links, timeouts, cancelling, what is registered.
// build: glibc
#include "check.h"
#include "children.h"
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

struct ring {
    int fd;
    struct io_uring_params params;
    unsigned *sq_head, *sq_tail, *sq_flags, *array, *cq_head, *cq_tail;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    unsigned added;
};

static struct ring ring;

static int setup(unsigned entries, struct io_uring_params *params)
{
    return syscall(425, entries, params);
}

static int enter(unsigned submit, unsigned least, unsigned flags)
{
    return syscall(426, ring.fd, submit, least, flags, NULL, 8);
}

static int reg(unsigned what, void *argument, unsigned count)
{
    return syscall(427, ring.fd, what, argument, count);
}

static void begin(unsigned entries, unsigned flags)
{
    memset(&ring, 0, sizeof ring);
    ring.params.flags = flags;
    ring.fd = setup(entries, &ring.params);
    if (ring.fd < 0) {
        printf("no ring: %s\n", errno_name(errno));
        exit(98);
    }
    struct io_uring_params *p = &ring.params;
    size_t len = p->cq_off.cqes + p->cq_entries * 16;
    size_t len2 = p->sq_off.array + p->sq_entries * 4;
    char *memory = mmap(NULL, len2 > len ? len2 : len, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
    ring.sqes = mmap(NULL, p->sq_entries * 64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                     ring.fd, IORING_OFF_SQES);
    ring.sq_head = (unsigned *)(memory + p->sq_off.head);
    ring.sq_tail = (unsigned *)(memory + p->sq_off.tail);
    ring.sq_flags = (unsigned *)(memory + p->sq_off.flags);
    ring.array = (unsigned *)(memory + p->sq_off.array);
    ring.cq_head = (unsigned *)(memory + p->cq_off.head);
    ring.cq_tail = (unsigned *)(memory + p->cq_off.tail);
    ring.cqes = (struct io_uring_cqe *)(memory + p->cq_off.cqes);
}

static void end(void)
{
    close(ring.fd);
}

static struct io_uring_sqe *add(int op, int fd, const void *address, unsigned len, uint64_t offset)
{
    unsigned tail = *ring.sq_tail, place = tail & (ring.params.sq_entries - 1);
    struct io_uring_sqe *sqe = &ring.sqes[place];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = op;
    sqe->fd = fd;
    sqe->addr = (uintptr_t)address;
    sqe->len = len;
    sqe->off = offset;
    sqe->user_data = tail + 1;
    ring.array[place] = place;
    __atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
    ring.added++;
    return sqe;
}

static const char *result_name(int result)
{
    static char text[32];
    if (result < 0)
        return result == -ECANCELED ? "ECANCELED" : result == -ETIME ? "ETIME" : errno_name(-result);
    snprintf(text, sizeof text, "%d", result);
    return text;
}

static int compare(const void *a, const void *b)
{
    const struct io_uring_cqe *x = a, *y = b;
    return x->user_data < y->user_data ? -1 : x->user_data > y->user_data;
}

/* Submits what was added, waits for so many results, and tells all in the order of requests. */
static void results(const char *title, unsigned least)
{
    struct io_uring_cqe found[64];
    unsigned count = 0;
    int submitted = enter(ring.added, least, IORING_ENTER_GETEVENTS);
    printf("%s: %s", title, submitted < 0 ? errno_name(errno) : "");
    if (submitted >= 0)
        printf("%u of %u", submitted, ring.added);
    ring.added = 0;
    while (*ring.cq_head != __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) && count < 64) {
        found[count++] = ring.cqes[*ring.cq_head & (ring.params.cq_entries - 1)];
        __atomic_store_n(ring.cq_head, *ring.cq_head + 1, __ATOMIC_RELEASE);
    }
    qsort(found, count, sizeof *found, compare);
    unsigned base = count ? found[0].user_data : 0;
    for (unsigned i = 0; i < count; i++)
        printf(" [%u: %s%s]", (unsigned)found[i].user_data - base, result_name(found[i].res),
               found[i].flags & IORING_CQE_F_MORE ? " more" : "");
    printf("\n");
}

static void errors(void)
{
    struct io_uring_params p = { 0 };
    CALL(setup(0, &p));
    CALL(setup(32769, &p));
    CALL(setup(4, NULL));
    p.flags = 1u << 31;
    CALL(setup(4, &p));
    memset(&p, 0, sizeof p);
    p.resv[1] = 1;
    CALL(setup(4, &p));
    memset(&p, 0, sizeof p);
    p.flags = IORING_SETUP_CQSIZE;
    CALL(setup(4, &p));
    p.cq_entries = 2;
    CALL(setup(4, &p));
    p.cq_entries = 9;
    int fd = OK(setup(3, &p));
    NUMBER(p.sq_entries);
    NUMBER(p.cq_entries);
    TRUTH((p.features & 0x3f) == 0x3f);
    NUMBER(fcntl(fd, F_GETFD));
    char byte;
    CALL(read(fd, &byte, 1));
    CALL(write(fd, &byte, 1));
    CALL(lseek(fd, 0, SEEK_CUR));
    TRUTH(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0x18000000) == MAP_FAILED);
    TRUTH(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, IORING_OFF_CQ_RING) != MAP_FAILED);
    CALL(syscall(426, fd, 0, 0, 1u << 31, NULL, 0));
    CALL(syscall(426, 0, 0, 0, 0, NULL, 0));
    CALL(syscall(426, -1, 0, 0, 0, NULL, 0));
    CALL(syscall(426, fd, 1, 0, 0, NULL, 0));
    CALL(syscall(427, fd, 999, NULL, 0));
    CALL(syscall(427, 0, 0, NULL, 0));
    struct pollfd poll_ring = { .fd = fd, .events = POLLIN | POLLOUT };
    CALL(poll(&poll_ring, 1, 0));
    HEX(poll_ring.revents);
    close(fd);
    p = (struct io_uring_params){ .flags = IORING_SETUP_R_DISABLED };
    fd = setup(4, &p);
    CALL(syscall(426, fd, 0, 0, 0, NULL, 0));
    CALL(syscall(427, fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
    CALL(syscall(427, fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
    CALL(syscall(426, fd, 0, 0, 0, NULL, 0));
    close(fd);
}

static void transfers(void)
{
    char buffer[64] = "", other[64] = "";
    begin(8, 0);
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    add(200, -1, NULL, 0, 0);
    results("nothing, unknown", 2);
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    add(IORING_OP_WRITE, fd, "crab crab", 9, 0);
    results("write", 1);
    add(IORING_OP_READ, fd, buffer, 64, 5);
    results("read", 1);
    TEXT(buffer);
    struct iovec vector[2] = { { buffer, 2 }, { other, 62 } };
    add(IORING_OP_READV, fd, vector, 2, 0);
    results("readv", 1);
    TEXT(other);
    add(IORING_OP_READ, fd, buffer, 2, -1);
    results("read on", 1);
    NUMBER(lseek(fd, 0, SEEK_CUR));
    add(IORING_OP_WRITEV, fd, vector, 1025, 0);
    results("too many", 1);
    add(IORING_OP_READ, fd, (void *)8, 4, 0);
    results("bad address", 1);
    add(IORING_OP_READ, 99, buffer, 4, 0);
    results("bad descriptor", 1);
    int reader = open("file", O_RDONLY);
    add(IORING_OP_WRITE, reader, buffer, 4, 0);
    results("not for writing", 1);
    add(IORING_OP_READ, fd, buffer, 4, 0)->rw_flags = 0x8000;
    results("flags", 1);
    add(IORING_OP_READ, fd, buffer, 4, 0)->personality = 7;
    results("personality", 1);
    add(IORING_OP_READ, fd, buffer, 4, 0)->flags = 1 << 7;
    results("request flags", 1);
    add(IORING_OP_WRITE, fd, "+", 1, 0)->rw_flags = 16;
    results("append", 1);
    add(IORING_OP_FSYNC, fd, NULL, 0, 0);
    results("fsync", 1);
    add(IORING_OP_FALLOCATE, fd, (void *)100, 0, 0);
    results("fallocate", 1);
    NUMBER(lseek(fd, 0, SEEK_END));
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { 1 << 20, RLIM_INFINITY };
    setrlimit(RLIMIT_FSIZE, &limit);
    add(IORING_OP_WRITE, fd, "x", 1, 2 << 20);
    results("beyond the limit", 1);
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    close(fd);
    end();
}

static void waiting(void)
{
    char buffer[64] = "";
    int ends[2];
    begin(8, 0);
    pipe(ends);
    add(IORING_OP_READ, ends[0], buffer, 64, 0);
    results("read of nothing", 0);
    struct pollfd poll_ring = { .fd = ring.fd, .events = POLLIN };
    CALL(poll(&poll_ring, 1, 0));
    write(ends[1], "one", 3);
    results("read", 1);
    TEXT(buffer);
    add(IORING_OP_READ, ends[0], buffer, 64, 0);
    results("read of nothing", 0);
    pid_t child = CHILD(sleep_ms(30); write(ends[1], "two", 3));
    CALL(poll(&poll_ring, 1, -1));
    reap(child);
    results("read", 0);
    TEXT(buffer);
    add(IORING_OP_POLL_ADD, ends[0], NULL, 0, 0)->poll32_events = POLLIN;
    results("poll", 0);
    write(ends[1], "x", 1);
    results("poll", 1);
    add(IORING_OP_POLL_ADD, ends[0], NULL, 0, 0)->poll32_events = POLLIN;
    results("poll at once", 1);
    read(ends[0], buffer, 1);
    add(IORING_OP_POLL_ADD, ends[0], NULL, IORING_POLL_ADD_MULTI, 0)->poll32_events = POLLIN;
    uint64_t data = *ring.sq_tail;
    results("poll many", 0);
    write(ends[1], "y", 1);
    results("poll many", 1);
    read(ends[0], buffer, 1);
    write(ends[1], "z", 1);
    results("poll many", 1);
    add(IORING_OP_POLL_REMOVE, -1, (void *)data, 0, 0);
    results("remove", 2);
    add(IORING_OP_POLL_REMOVE, -1, (void *)data, 0, 0);
    results("remove again", 1);
    read(ends[0], buffer, 1);
    add(IORING_OP_POLL_ADD, ring.fd, NULL, 0, 0)->poll32_events = POLLIN;
    results("poll of itself", 0);
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    results("poll of itself", 2);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    add(IORING_OP_READ, ends[0], buffer, 64, 0);
    results("waits all the same", 0);
    write(ends[1], "n", 1);
    results("read", 1);
    add(IORING_OP_READ, ends[0], buffer, 64, 0)->rw_flags = RWF_NOWAIT;
    results("not waiting", 1);
    fcntl(ends[0], F_SETFL, 0);
    add(IORING_OP_READ, ends[0], buffer, 64, 0);
    results("read", 0);
    close(ends[1]);
    results("end of file", 1);
    signal(SIGPIPE, SIG_IGN);
    pipe(ends);
    close(ends[0]);
    add(IORING_OP_WRITE, ends[1], "x", 1, 0);
    results("broken", 1);
    end();
}

static void order(void)
{
    struct __kernel_timespec soon = { 0, 20000000 }, late = { 100, 0 };
    char buffer[8];
    int ends[2];
    begin(16, 0);
    pipe(ends);
    add(IORING_OP_NOP, -1, NULL, 0, 0)->flags = IOSQE_IO_LINK;
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    results("link", 2);
    add(IORING_OP_READ, 99, buffer, 1, 0)->flags = IOSQE_IO_LINK;
    add(IORING_OP_NOP, -1, NULL, 0, 0)->flags = IOSQE_IO_LINK;
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    results("broken link", 4);
    add(IORING_OP_READ, 99, buffer, 1, 0)->flags = IOSQE_IO_HARDLINK;
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    results("hard link", 2);
    add(IORING_OP_NOP, -1, NULL, 0, 0)->flags = IOSQE_IO_LINK;
    add(200, -1, NULL, 0, 0)->flags = IOSQE_IO_LINK;
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    results("link to nothing", 3);
    add(IORING_OP_WRITE, ends[1], "ab", 2, 0)->flags = IOSQE_IO_LINK;
    add(IORING_OP_READ, ends[0], buffer, 8, 0)->flags = IOSQE_IO_LINK;
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    results("short read", 3);
    add(IORING_OP_READ, ends[0], buffer, 8, 0);
    add(IORING_OP_NOP, -1, NULL, 0, 0)->flags = IOSQE_IO_DRAIN;
    results("drain", 0);
    write(ends[1], "x", 1);
    results("drained", 2);
    add(IORING_OP_READ, ends[0], buffer, 8, 0)->flags = IOSQE_IO_LINK;
    add(IORING_OP_LINK_TIMEOUT, -1, &soon, 1, 0);
    results("limit reached", 2);
    add(IORING_OP_NOP, -1, NULL, 0, 0)->flags = IOSQE_IO_LINK;
    add(IORING_OP_LINK_TIMEOUT, -1, &late, 1, 0);
    results("limit not reached", 2);
    add(IORING_OP_LINK_TIMEOUT, -1, &late, 1, 0);
    results("limit of nothing", 1);
    add(IORING_OP_TIMEOUT, -1, &soon, 1, 0);
    results("timeout", 1);
    add(IORING_OP_TIMEOUT, -1, &soon, 1, 0)->timeout_flags = IORING_TIMEOUT_ETIME_SUCCESS;
    results("timeout", 1);
    add(IORING_OP_TIMEOUT, -1, &late, 1, 2);
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    results("counted", 3);
    add(IORING_OP_TIMEOUT, -1, &late, 1, 0);
    uint64_t data = *ring.sq_tail;
    results("timeout", 0);
    add(IORING_OP_TIMEOUT_REMOVE, -1, (void *)data, 0, 0);
    results("removed", 2);
    add(IORING_OP_TIMEOUT_REMOVE, -1, (void *)data, 0, 0);
    results("removed again", 1);
    add(IORING_OP_TIMEOUT, -1, &late, 1, 0);
    data = *ring.sq_tail;
    results("timeout", 0);
    struct io_uring_sqe *update = add(IORING_OP_TIMEOUT_REMOVE, -1, (void *)data, 0, 0);
    update->off = (uintptr_t)&soon;
    update->timeout_flags = IORING_TIMEOUT_UPDATE;
    results("sooner", 2);
    add(IORING_OP_READ, ends[0], buffer, 8, 0);
    data = *ring.sq_tail;
    results("read", 0);
    add(IORING_OP_ASYNC_CANCEL, -1, (void *)data, 0, 0);
    results("cancel", 2);
    add(IORING_OP_ASYNC_CANCEL, -1, (void *)data, 0, 0);
    results("cancel again", 1);
    add(IORING_OP_READ, ends[0], buffer, 8, 0);
    add(IORING_OP_READ, ends[0], buffer, 8, 0);
    results("reads", 0);
    add(IORING_OP_ASYNC_CANCEL, ends[0], NULL, 0, 0)->cancel_flags =
        IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
    results("cancel those of a file", 3);
    add(IORING_OP_NOP, -1, NULL, 0, 0)->flags = IOSQE_CQE_SKIP_SUCCESS;
    add(IORING_OP_READ, 99, buffer, 1, 0)->flags = IOSQE_CQE_SKIP_SUCCESS;
    results("silent", 1);
    struct io_uring_getevents_arg argument = { .ts = (uintptr_t)&soon };
    CALL(syscall(426, ring.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument,
                 sizeof argument));
    CALL(syscall(426, ring.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, 8));
    end();
}

static void overflow(void)
{
    begin(2, 0);
    NUMBER(ring.params.cq_entries);
    for (int i = 0; i < 3; i++) {
        add(IORING_OP_NOP, -1, NULL, 0, 0);
        add(IORING_OP_NOP, -1, NULL, 0, 0);
        CALL(enter(2, 0, 0));
    }
    TRUTH(*ring.sq_flags & IORING_SQ_CQ_OVERFLOW);
    NUMBER(*ring.cq_tail - *ring.cq_head);
    ring.added = 0;
    results("those that fit", 0);
    results("the others", 0);
    TRUTH(*ring.sq_flags & IORING_SQ_CQ_OVERFLOW);
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    CALL(enter(5, 0, 0));
    end();
}

static void registered(void)
{
    char buffer[64] = "";
    int files[3] = { open("other", O_RDWR | O_CREAT, 0600), -1, open("third", O_RDWR | O_CREAT, 0600) };
    struct iovec vector[2] = { { buffer, 32 }, { buffer + 32, 32 } };
    begin(8, 0);
    CALL(reg(IORING_UNREGISTER_BUFFERS, NULL, 0));
    CALL(reg(IORING_REGISTER_BUFFERS, NULL, 2));
    CALL(reg(IORING_REGISTER_BUFFERS, vector, 2));
    CALL(reg(IORING_REGISTER_BUFFERS, vector, 2));
    strcpy(buffer, "registered");
    add(IORING_OP_WRITE_FIXED, files[0], buffer, 10, 0)->flags = IOSQE_IO_LINK;
    struct io_uring_sqe *sqe = add(IORING_OP_READ_FIXED, files[0], buffer + 32, 10, 0);
    sqe->buf_index = 1;
    results("fixed", 2);
    TEXT(buffer + 32);
    add(IORING_OP_READ_FIXED, files[0], buffer + 30, 10, 0);
    results("outside", 1);
    add(IORING_OP_READ_FIXED, files[0], buffer, 10, 0)->buf_index = 2;
    results("no buffer", 1);
    CALL(reg(IORING_UNREGISTER_BUFFERS, NULL, 0));
    CALL(reg(IORING_UNREGISTER_FILES, NULL, 0));
    CALL(reg(IORING_REGISTER_FILES, files, 3));
    CALL(reg(IORING_REGISTER_FILES, files, 3));
    add(IORING_OP_READ, 0, buffer, 4, 0)->flags = IOSQE_FIXED_FILE;
    add(IORING_OP_READ, 1, buffer, 4, 0)->flags = IOSQE_FIXED_FILE;
    add(IORING_OP_READ, 3, buffer, 4, 0)->flags = IOSQE_FIXED_FILE;
    results("fixed files", 3);
    struct io_uring_files_update update = { .offset = 1, .fds = (uintptr_t)&files[0] };
    CALL(reg(IORING_REGISTER_FILES_UPDATE, &update, 1));
    update.offset = 3;
    CALL(reg(IORING_REGISTER_FILES_UPDATE, &update, 1));
    add(IORING_OP_READ, 1, buffer, 4, 0)->flags = IOSQE_FIXED_FILE;
    results("fixed file", 1);
    CALL(reg(IORING_UNREGISTER_FILES, NULL, 0));
    CALL(reg(IORING_REGISTER_FILES, &ring.fd, 1));
    int event = eventfd(0, EFD_NONBLOCK);
    CALL(reg(IORING_UNREGISTER_EVENTFD, NULL, 0));
    CALL(reg(IORING_REGISTER_EVENTFD, &files[0], 1));
    CALL(reg(IORING_REGISTER_EVENTFD, &event, 1));
    CALL(reg(IORING_REGISTER_EVENTFD, &event, 1));
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    add(IORING_OP_NOP, -1, NULL, 0, 0);
    results("nothing twice", 2);
    uint64_t count;
    CALL(read(event, &count, 8));
    TRUTH(count > 0);
    CALL(reg(IORING_UNREGISTER_EVENTFD, NULL, 0));
    struct { struct io_uring_probe head; struct io_uring_probe_op ops[40]; } probe;
    memset(&probe, 0, sizeof probe);
    CALL(reg(IORING_REGISTER_PROBE, &probe, 40));
    TRUTH(probe.head.ops_len == 40 && probe.ops[IORING_OP_STATX].flags == IO_URING_OP_SUPPORTED);
    end();
}

static void names(void)
{
    static struct statx found;
    begin(8, 0);
    add(IORING_OP_OPENAT, AT_FDCWD, "made", 0640, 0)->open_flags = O_RDWR | O_CREAT | O_EXCL;
    CALL(enter(1, 1, IORING_ENTER_GETEVENTS));
    int fd = ring.cqes[0].res;
    ring.added = 0;
    *ring.cq_head += 1;
    TRUTH(fd >= 0 && fcntl(fd, F_GETFD) == 0);
    add(IORING_OP_OPENAT, AT_FDCWD, "made", 0640, 0)->open_flags = O_RDWR | O_CREAT | O_EXCL;
    add(IORING_OP_STATX, AT_FDCWD, "made", STATX_MODE, (uintptr_t)&found);
    add(IORING_OP_STATX, AT_FDCWD, "none", STATX_MODE, (uintptr_t)&found);
    add(IORING_OP_CLOSE, fd, NULL, 0, 0);
    results("names", 4);
    HEX(found.stx_mode);
    CALL(fcntl(fd, F_GETFD));
    add(IORING_OP_CLOSE, ring.fd, NULL, 0, 0);
    add(IORING_OP_MKDIRAT, AT_FDCWD, "directory", 0700, 0);
    results("mkdir", 2);
    struct io_uring_sqe *sqe = add(IORING_OP_RENAMEAT, AT_FDCWD, "made", (unsigned)AT_FDCWD, 0);
    sqe->off = (uintptr_t)"directory/moved";
    results("rename", 1);
    add(IORING_OP_UNLINKAT, AT_FDCWD, "directory/moved", 0, 0);
    results("unlink", 1);
    add(IORING_OP_UNLINKAT, AT_FDCWD, "directory", 0, 0)->unlink_flags = AT_REMOVEDIR;
    results("rmdir", 1);
    end();
}

static void sockets(void)
{
    char buffer[64] = "", room[64] = "";
    int pair[2];
    begin(16, 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    add(IORING_OP_RECV, pair[0], buffer, 64, 0);
    add(IORING_OP_SEND, pair[1], "sent", 4, 0);
    results("stream", 2);
    TEXT(buffer);
    add(IORING_OP_RECV, pair[0], buffer, 8, 0)->msg_flags = MSG_WAITALL;
    add(IORING_OP_SEND, pair[1], "half", 4, 0);
    results("half", 1);
    add(IORING_OP_SEND, pair[1], "half", 4, 0);
    results("all", 2);
    struct iovec vector = { room, 64 }, text = { "message", 7 };
    struct msghdr in = { .msg_iov = &vector, .msg_iovlen = 1 };
    struct msghdr out = { .msg_iov = &text, .msg_iovlen = 1 };
    add(IORING_OP_RECVMSG, pair[0], &in, 1, 0);
    add(IORING_OP_SENDMSG, pair[1], &out, 1, 0);
    results("messages", 2);
    TEXT(room);
    add(IORING_OP_SEND, 0, "x", 1, 0);
    results("no socket", 1);
    add(IORING_OP_RECV, pair[0], buffer, 8, 0)->msg_flags = MSG_DONTWAIT;
    results("not waiting", 1);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    bind(server, (struct sockaddr *)&address, len);
    getsockname(server, (struct sockaddr *)&address, &len);
    listen(server, 4);
    add(IORING_OP_ACCEPT, server, NULL, 0, 0)->user_data = 1000;
    CALL(enter(1, 0, 0));
    ring.added = 0;
    add(IORING_OP_CONNECT, client, &address, 0, len)->user_data = 1;
    CALL(enter(1, 2, IORING_ENTER_GETEVENTS));
    ring.added = 0;
    int accepted = -1;
    for (; *ring.cq_head != *ring.cq_tail; *ring.cq_head += 1) {
        struct io_uring_cqe *cqe = &ring.cqes[*ring.cq_head & (ring.params.cq_entries - 1)];
        if (cqe->user_data == 1000)
            accepted = cqe->res;
        else
            printf("connect: %s\n", result_name(cqe->res));
    }
    TRUTH(accepted >= 0);
    add(IORING_OP_RECV, accepted, buffer, 64, 0);
    add(IORING_OP_SEND, client, "over TCP", 8, 0);
    results("TCP", 2);
    add(IORING_OP_RECV, client, buffer, 64, 0);
    results("TCP", 0);
    add(IORING_OP_SHUTDOWN, accepted, NULL, SHUT_WR, 0);
    results("shut down", 2);
    close(server);
    int refused = socket(AF_INET, SOCK_STREAM, 0);
    add(IORING_OP_CONNECT, refused, &address, 0, len);
    results("refused", 1);
    end();
}

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static void others(void)
{
    char buffer[8];
    int ends[2];
    begin(8, 0);
    pipe(ends);
    struct sigaction action = { .sa_handler = count_signal };
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    CALL(enter(0, 1, IORING_ENTER_GETEVENTS));
    NUMBER(signals);
    /* Results come also while the thread computes. */
    add(IORING_OP_READ, ends[0], buffer, 8, 0);
    CALL(enter(1, 0, 0));
    ring.added = 0;
    pid_t child = CHILD(sleep_ms(20); write(ends[1], "x", 1));
    while (__atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) == *ring.cq_head)
        ;
    results("spun", 0);
    reap(child);
    end();
}

int main(void)
{
    enter_scratch();
    errors();
    transfers();
    waiting();
    order();
    overflow();
    registered();
    names();
    sockets();
    others();
    return 0;
}
