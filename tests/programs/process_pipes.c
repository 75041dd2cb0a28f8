// Pipes and FIFOs between processes: blocking, atomic writes, ends that go away, sizes.
// build: glibc musl
// timeout: 120
#include "children.h"
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>

static volatile int got;

static void count(int number)
{
    (void)number;
    got++;
}

static void blocking(void)
{
    int ends[2];
    char buffer[16] = "";
    pipe(ends);
    pid_t pid = CHILD(
        close(ends[0]);
        sleep_ms(50);
        write(ends[1], "after a while", 13));
    CALL(read(ends[0], buffer, sizeof buffer));
    TEXT(buffer);
    TEXT(reap(pid));
    /* A writer waits for room; all arrives, in order. */
    pid = CHILD(
        close(ends[0]);
        static unsigned numbers[50000];
        for (int i = 0; i < 50000; i++)
            numbers[i] = i;
        CALL(write(ends[1], numbers, sizeof numbers)));
    close(ends[1]);
    TRUTH(reaches_state(pid, 'S'));
    unsigned next = 0;
    unsigned wrong = 0;
    unsigned part[777];
    size_t kept = 0;
    ssize_t length;
    while ((length = read(ends[0], (char *)part + kept, sizeof part - kept)) > 0) {
        kept += length;
        for (size_t i = 0; i < kept / 4; i++)
            wrong += part[i] != next++;
        memmove(part, (char *)part + kept / 4 * 4, kept % 4);
        kept %= 4;
    }
    NUMBER(next);
    NUMBER(wrong);
    TEXT(reap(pid));
    close(ends[0]);
}

static void broken(void)
{
    int ends[2];
    pipe(ends);
    IN_CHILD(close(ends[0]));
    CALL(write(ends[1], "x", 1));
    /* The only reader exits while a writer waits. */
    pid_t reader = CHILD(
        close(ends[1]);
        sleep_ms(100));
    close(ends[0]);
    signal(SIGPIPE, count);
    static char large[200000];
    long written = write(ends[1], large, sizeof large);
    TRUTH(written > 0 || (written == -1 && errno == EPIPE));
    TEXT(reap(reader));
    CALL(write(ends[1], "x", 1));
    TRUTH(got >= 1);
    signal(SIGPIPE, SIG_DFL);
    IN_CHILD(write(ends[1], "x", 1));
    IN_CHILD(CALL(write(ends[1], "", 0)));
    close(ends[1]);
    /* The last writer goes: end of file, also for a waiting reader. */
    pipe(ends);
    pid_t writer = CHILD(sleep_ms(50));
    close(ends[1]);
    CALL(read(ends[0], large, 10));
    TEXT(reap(writer));
    struct pollfd poll_reader = { .fd = ends[0], .events = POLLIN };
    CALL(poll(&poll_reader, 1, 1000));
    HEX(poll_reader.revents);
    close(ends[0]);
}

/* Writes of up to PIPE_BUF bytes never mix. */
static void atomic(void)
{
    enum { WRITERS = 6, RECORDS = 40 };
    int ends[2];
    pipe(ends);
    pid_t pids[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        pids[i] = CHILD(
            static char record[PIPE_BUF];
            size_t length = i % 2 ? PIPE_BUF : 1000;
            memset(record, 'a' + i, length);
            record[0] = i;
            for (int j = 0; j < RECORDS; j++)
                if (write(ends[1], record, length) != (ssize_t)length)
                    _exit(1));
    close(ends[1]);
    int whole = 0;
    int mixed = 0;
    unsigned char byte;
    while (read(ends[0], &byte, 1) == 1) {
        int writer = byte;
        size_t length = writer % 2 ? PIPE_BUF : 1000;
        int bad = writer >= WRITERS;
        for (size_t i = 1; i < length && !bad; i++)
            bad = read(ends[0], &byte, 1) != 1 || byte != 'a' + writer;
        mixed += bad;
        whole += !bad;
        if (bad)
            break;
    }
    NUMBER(whole);
    NUMBER(mixed);
    for (int i = 0; i < WRITERS; i++)
        TEXT(reap(pids[i]));
    close(ends[0]);
}

static void interrupted(void)
{
    int ends[2];
    char buffer[8];
    pipe(ends);
    struct sigaction action = { .sa_handler = count };
    sigaction(SIGUSR1, &action, NULL);
    pid_t parent = getpid();
    pid_t pid = CHILD(reaches_state(parent, 'S'); kill(parent, SIGUSR1));
    CALL(read(ends[0], buffer, 1));
    TEXT(reap(pid));
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, NULL);
    got = 0;
    pid = CHILD(
        reaches_state(parent, 'S');
        kill(parent, SIGUSR1);
        sleep_ms(50);
        write(ends[1], "x", 1));
    CALL(read(ends[0], buffer, 1));
    NUMBER(got);
    TEXT(reap(pid));
    /* Half of a large write was done when the signal came: that much is the answer. */
    action.sa_flags = 0;
    sigaction(SIGUSR1, &action, NULL);
    static char large[200000];
    pid = CHILD(reaches_state(parent, 'S'); kill(parent, SIGUSR1));
    CALL(write(ends[1], large, sizeof large));
    TEXT(reap(pid));
}

static void sizes(void)
{
    int ends[2];
    pipe(ends);
    CALL(fcntl(ends[0], F_GETPIPE_SZ));
    CALL(fcntl(ends[1], F_SETPIPE_SZ, 100));
    CALL(fcntl(ends[1], F_SETPIPE_SZ, 5000));
    CALL(fcntl(ends[0], F_SETPIPE_SZ, 1 << 20));
    CALL(fcntl(ends[0], F_SETPIPE_SZ, 0));
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    static char large[2 << 20];
    CALL(write(ends[1], large, sizeof large));
    int waiting = 0;
    ioctl(ends[0], FIONREAD, &waiting);
    NUMBER(waiting);
    CALL(fcntl(ends[0], F_SETPIPE_SZ, 65536));
    int other = open("/dev/null", O_RDONLY);
    CALL(fcntl(other, F_GETPIPE_SZ));
}

static void fifos(void)
{
    char buffer[16] = "";
    enter_scratch();
    CALL(mkfifo("fifo", 0644));
    CALL(mkfifo("fifo", 0644));
    CALL(open("fifo", O_WRONLY | O_NONBLOCK));
    int early = open("fifo", O_RDONLY | O_NONBLOCK);
    CALL(read(early, buffer, 1));
    close(early);
    /* Opening waits for the other end. */
    pid_t pid = CHILD(
        int fd = open("fifo", O_WRONLY);
        write(fd, "through a name", 14));
    TRUTH(reaches_state(pid, 'S'));
    int fd = open("fifo", O_RDONLY);
    CALL(read(fd, buffer, sizeof buffer));
    TEXT(buffer);
    CALL(read(fd, buffer, sizeof buffer));
    TEXT(reap(pid));
    close(fd);
    pid = CHILD(
        int reader = open("fifo", O_RDONLY);
        char byte[4];
        while (read(reader, byte, 4) > 0)
            ;
        _exit(7));
    fd = open("fifo", O_WRONLY);
    CALL(unlink("fifo"));
    CALL(write(fd, "abcdef", 6));
    close(fd);
    TEXT(reap(pid));
    /* Both ways, one process needs no other. */
    CALL(mkfifo("both", 0600));
    fd = open("both", O_RDWR);
    CALL(write(fd, "x", 1));
    CALL(read(fd, buffer, 4));
    /* A waiting open is interrupted. */
    CALL(mkfifo("lonely", 0600));
    pid_t parent = getpid();
    pid = CHILD(reaches_state(parent, 'S'); kill(parent, SIGUSR1));
    CALL(open("lonely", O_RDONLY));
    TEXT(reap(pid));
}

int main(void)
{
    blocking();
    broken();
    atomic();
    interrupted();
    sizes();
    fifos();
    return 0;
}
