// Which calls go on after a handler, with SA_RESTART and without, and after a stop: signal(7).
// build: glibc
// timeout: 120
#include "children.h"
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>

static volatile int *handled;
static char byte, eight[8];
static int word;
static struct timespec an_hour = { 3600, 0 };

static int *ends(void)
{
    static int pair[2];
    pipe(pair);
    return pair;
}

/* A pipe or a socket with no room left: the end to write to. */
static int full_pipe(void)
{
    int fd = ends()[1];
    static char zeros[65536];
    write(fd, zeros, sizeof zeros);
    return fd;
}

static int sockets(int type, int option)
{
    int pair[2];
    socketpair(AF_UNIX, type, 0, pair);
    if (option)
        setsockopt(pair[0], SOL_SOCKET, option, &(struct timeval){ 3600, 0 }, sizeof(struct timeval));
    return pair[0];
}

static int full_socket(int option)
{
    int fd = sockets(SOCK_STREAM, option);
    while (send(fd, &byte, 1, MSG_DONTWAIT) == 1)
        ;
    return fd;
}

static int listener(int option)
{
    struct sockaddr_un address = { AF_UNIX, "" };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(fd, (struct sockaddr *)&address, sizeof address.sun_family);
    listen(fd, 1);
    if (option)
        setsockopt(fd, SOL_SOCKET, option, &(struct timeval){ 3600, 0 }, sizeof(struct timeval));
    return fd;
}

/* A file that a child holds a lock of. */
static int locked(int how)
{
    int fd = open("locked", O_RDWR), ready[2];
    pipe(ready);
    if (fork() == 0) {
        int own = open("locked", O_RDWR);
        struct flock lock = { .l_type = F_WRLCK };
        if (how == 0)
            flock(own, LOCK_EX);
        else
            fcntl(own, how, &lock);
        write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    read(ready[0], &byte, 1);
    return fd;
}

static long set_lock(int how)
{
    struct flock lock = { .l_type = F_WRLCK };
    return fcntl(locked(how), how, &lock);
}

static int child(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static mqd_t queue(int is_full)
{
    char name[32];
    snprintf(name, sizeof name, "/crab-%d", getpid());
    struct mq_attr attributes = { .mq_maxmsg = 1, .mq_msgsize = 1 };
    mqd_t fd = mq_open(name, O_CREAT | O_RDWR, 0600, &attributes);
    mq_unlink(name);
    if (is_full)
        mq_send(fd, "x", 1, 0);
    return fd;
}

static int messages(int is_full)
{
    static struct { long type; char text[8192]; } message = { 1, "" };
    int id = msgget(IPC_PRIVATE, 0600);
    while (is_full && msgsnd(id, &message, sizeof message.text, IPC_NOWAIT) == 0)
        ;
    struct { long type; char text[8192]; } received = { 1, "" };
    return is_full ? msgsnd(id, &message, sizeof message.text, 0)
                   : msgrcv(id, &received, sizeof received.text, 0, 0);
}

static int terminal(void)
{
    int master, slave;
    openpty(&master, &slave, NULL, NULL, NULL);
    return slave;
}

static long events(void)
{
    aio_context_t context = 0;
    struct io_event event;
    syscall(SYS_io_setup, 1, &context);
    return syscall(SYS_io_getevents, context, 1, 1, &event, NULL);
}

static int other_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGUSR2);
    sigprocmask(SIG_BLOCK, set, NULL);
    return 0;
}

static struct pollfd readable(void)
{
    return (struct pollfd){ ends()[0], POLLIN, 0 };
}

static int watched(void)
{
    int fd = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN };
    epoll_ctl(fd, EPOLL_CTL_ADD, ends()[0], &event);
    return fd;
}

static struct timespec soon(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec += 3600;
    return time;
}

static sigset_t set;
static struct epoll_event event;
static struct pollfd file;
static struct timespec moment;
static struct mmsghdr several;

#define CALLS(CASE) \
    CASE(read(ends()[0], &byte, 1)) \
    CASE(readv(ends()[0], &(struct iovec){ &byte, 1 }, 1)) \
    CASE(write(full_pipe(), &byte, 1)) \
    CASE(writev(full_pipe(), &(struct iovec){ &byte, 1 }, 1)) \
    CASE(splice(ends()[0], NULL, full_pipe(), NULL, 1, 0)) \
    CASE(read(terminal(), &byte, 1)) \
    CASE(tcdrain(terminal()) + pause()) \
    CASE(read(eventfd(0, 0), eight, 8)) \
    CASE(read(timerfd_create(CLOCK_MONOTONIC, 0), eight, 8)) \
    CASE(read(signalfd(-1, (other_signals(&set), &set), 0), &(struct signalfd_siginfo){ 0 }, 128)) \
    CASE(read(inotify_init(), (char[512]){ 0 }, 512)) \
    CASE(open("fifo", O_RDONLY)) \
    CASE(open("fifo", O_WRONLY)) \
    CASE((child(), wait4(-1, NULL, 0, NULL))) \
    CASE((child(), waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED))) \
    CASE(flock(locked(0), LOCK_EX)) \
    CASE(set_lock(F_SETLKW)) \
    CASE(set_lock(F_OFD_SETLKW)) \
    CASE(accept(listener(0), NULL, NULL)) \
    CASE(accept(listener(SO_RCVTIMEO), NULL, NULL)) \
    CASE(recv(sockets(SOCK_STREAM, 0), &byte, 1, 0)) \
    CASE(recv(sockets(SOCK_DGRAM, 0), &byte, 1, 0)) \
    CASE(read(sockets(SOCK_STREAM, 0), &byte, 1)) \
    CASE(recvmsg(sockets(SOCK_STREAM, 0), &(struct msghdr){ 0 }, 0)) \
    CASE(recvmmsg(sockets(SOCK_DGRAM, 0), &several, 1, 0, NULL)) \
    CASE(recv(sockets(SOCK_STREAM, SO_RCVTIMEO), &byte, 1, 0)) \
    CASE(recv(sockets(SOCK_DGRAM, SO_RCVTIMEO), &byte, 1, 0)) \
    CASE(send(full_socket(0), &byte, 1, 0)) \
    CASE(send(full_socket(SO_SNDTIMEO), &byte, 1, 0)) \
    CASE(mq_receive(queue(0), &byte, 1, NULL)) \
    CASE(mq_timedreceive(queue(0), &byte, 1, NULL, (moment = soon(), &moment))) \
    CASE(mq_send(queue(1), &byte, 1, 0)) \
    CASE(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL)) \
    CASE(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &an_hour)) \
    CASE(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 1)) \
    CASE(messages(0)) \
    CASE(messages(1)) \
    CASE(semop(semget(IPC_PRIVATE, 1, 0600), &(struct sembuf){ 0, -1, 0 }, 1)) \
    CASE(semtimedop(semget(IPC_PRIVATE, 1, 0600), &(struct sembuf){ 0, -1, 0 }, 1, &an_hour)) \
    CASE(nanosleep(&an_hour, NULL)) \
    CASE((errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &an_hour, NULL)) ? -1 : 0) \
    CASE((moment = soon(), \
          errno = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &moment, NULL)) ? -1 : 0) \
    CASE(pause()) \
    CASE((sigemptyset(&set), sigsuspend(&set))) \
    CASE((other_signals(&set), sigtimedwait(&set, NULL, &an_hour))) \
    CASE((other_signals(&set), sigwaitinfo(&set, NULL))) \
    CASE((file = readable(), poll(&file, 1, -1))) \
    CASE((file = readable(), poll(&file, 1, 3600000))) \
    CASE((file = readable(), ppoll(&file, 1, &an_hour, NULL))) \
    CASE(select(0, NULL, NULL, NULL, NULL)) \
    CASE(select(0, NULL, NULL, NULL, &(struct timeval){ 3600, 0 })) \
    CASE(pselect(0, NULL, NULL, NULL, &an_hour, NULL)) \
    CASE(epoll_wait(watched(), &event, 1, -1)) \
    CASE(epoll_pwait(watched(), &event, 1, 3600000, NULL)) \
    CASE(events())

static const char *const names[] = {
#define NAME(call) #call,
    CALLS(NAME)
};

enum { COUNT = sizeof names / sizeof *names };

/* Makes one of the calls, and ends with its error. */
static void make(int number)
{
    int at = 0;
    errno = 0;
#define MAKE(call) if (number == at++) { if ((call) >= 0) errno = 0; _exit(errno); }
    CALLS(MAKE)
}

static void on_signal(int number)
{
    (void)number;
    ++*handled;
}

/* Whether `pid` sleeps; 2 when it has ended. */
static int sleeps(pid_t pid)
{
    siginfo_t info = { 0 };
    if (waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
        return 2;
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    read(fd, line, sizeof line - 1);
    close(fd);
    char *state = strrchr(line, ')');
    return state && state[2] == 'S';
}

/* Waits until `pid` has slept for some time, or has ended. */
static int settles(pid_t pid)
{
    for (int times = 0; times < 5;) {
        int how = sleeps(pid);
        if (how == 2)
            return how;
        times = how ? times + 1 : 0;
        sleep_ms(1);
    }
    return 1;
}

enum { WITH_RESTART, WITHOUT, STOPPED };

static const char *end(int number, int how)
{
    *handled = 0;
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        if (how != STOPPED) {
            struct sigaction action = { .sa_handler = on_signal };
            action.sa_flags = how == WITH_RESTART ? SA_RESTART : 0;
            sigaction(SIGUSR1, &action, NULL);
        }
        make(number);
    }
    setpgid(pid, pid);
    int state = settles(pid), status = 0;
    if (state == 2) {
        waitpid(pid, &status, 0);
        return "ended early";
    }
    if (how == STOPPED) {
        kill(pid, SIGSTOP);
        waitpid(pid, &status, WUNTRACED);
        kill(pid, SIGCONT);
    } else {
        kill(pid, SIGUSR1);
        while (!*handled && sleeps(pid) != 2)
            sleep_ms(1);
    }
    state = settles(pid);
    if (state == 1)
        kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
    kill(-pid, SIGKILL);
    return state == 1 ? "goes on" : errno_name(WEXITSTATUS(status));
}

int main(void)
{
    handled = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char directory[] = "/tmp/signals.XXXXXX";
    mkdtemp(directory);
    chdir(directory);
    mkfifo("fifo", 0600);
    close(open("locked", O_CREAT | O_RDWR, 0600));
    for (int number = 0; number < COUNT; number++) {
        printf("%s: %s", names[number], end(number, WITH_RESTART));
        printf(", %s", end(number, WITHOUT));
        printf(", %s\n", end(number, STOPPED));
    }
    unlink("fifo");
    unlink("locked");
    chdir("/");
    rmdir(directory);
    return 0;
}
