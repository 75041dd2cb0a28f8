// What threads have apart from each other: credentials, and on request descriptors and paths.
// build: glibc musl
#include "threads.h"
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

#ifndef CLONE_FILES
#define CLONE_VM 0x100
#define CLONE_FS 0x200
#define CLONE_FILES 0x400
#define CLONE_SIGHAND 0x800
#define CLONE_THREAD 0x10000
#define CLONE_CHILD_CLEARTID 0x200000
#endif

static volatile int turn;

/* Waits for `value`, then another may go on with the next one. */
static void at(int value)
{
    until(&turn, value);
}

static void next(void)
{
    add(&turn);
}

static int effective(void)
{
    return (int)syscall(SYS_geteuid);
}

static void *changes_user(void *unused)
{
    (void)unused;
    CALL(syscall(SYS_setresgid, -1, 77, -1));
    CALL(syscall(SYS_setresuid, -1, 1234, -1));
    NUMBER(effective());
    NUMBER(setfsuid(-1));
    CALL(open("/root-only", O_RDONLY));
    pid_t child = fork();
    if (child == 0) {
        NUMBER(effective());
        fflush(stdout);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    NUMBER(status);
    next();
    at(2);
    NUMBER(effective());
    return NULL;
}

static void credentials(void)
{
    int fd = open("/root-only", O_CREAT | O_WRONLY, 0600);
    close(fd);
    fflush(stdout);
    turn = 0;
    pthread_t thread = start(changes_user, NULL);
    at(1);
    NUMBER(effective());
    NUMBER((int)syscall(SYS_getegid));
    CALL(open("/root-only", O_RDONLY) >= 0);
    next();
    join(thread);
    unlink("/root-only");
    /* The library changes all threads. */
    turn = 0;
}

static volatile int seen[4];

static void *follows(void *unused)
{
    (void)unused;
    next();
    at(2);
    seen[0] = effective();
    return NULL;
}

static void library(void)
{
    turn = 0;
    pthread_t thread = start(follows, NULL);
    at(1);
    CALL(seteuid(4321));
    next();
    join(thread);
    NUMBER(seen[0]);
    CALL(seteuid(0));
}

static void *parts(void *unused)
{
    (void)unused;
    CALL(unshare(CLONE_FILES | CLONE_FS));
    CALL(close(100));
    CALL(dup2(1, 101));
    CALL(chdir("/tmp"));
    NUMBER(umask(0));
    next();
    at(2);
    CALL(fcntl(100, F_GETFD));
    CALL(fcntl(101, F_GETFD));
    char path[256];
    TEXT(getcwd(path, sizeof path));
    char link[64];
    snprintf(link, sizeof link, "/proc/self/task/%d/fd/101", tid());
    TRUTH(access(link, F_OK) == 0);
    snprintf(link, sizeof link, "/proc/self/task/%d/fd/101", getpid());
    TRUTH(access(link, F_OK) == 0);
    return NULL;
}

static void tables(void)
{
    umask(022);
    CALL(dup2(1, 100));
    CALL(chdir("/"));
    turn = 0;
    pthread_t thread = start(parts, NULL);
    at(1);
    CALL(fcntl(100, F_GETFD));
    CALL(fcntl(101, F_GETFD));
    char path[256];
    TEXT(getcwd(path, sizeof path));
    NUMBER(umask(022));
    next();
    join(thread);
    CALL(fcntl(100, F_GETFD));
}

static int pipes[2];
static int gone;

static int other_table(void *unused)
{
    (void)unused;
    close(pipes[1]);
    seen[1] = fcntl(pipes[0], F_GETFD);
    syscall(SYS_exit, 0);
    return 0;
}

/* A thread that begins with descriptors of its own; what it has left at its end is closed. */
static void clones(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    CALL(pipe(pipes));
    int flags = CLONE_VM | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID;
    gone = 1;
    int id = clone(other_table, stack + sizeof stack, flags, NULL, NULL, NULL, &gone);
    TRUTH(id > 0);
    while (__atomic_load_n(&gone, __ATOMIC_SEQ_CST) == id || gone == 1)
        syscall(SYS_futex, &gone, FUTEX_WAIT, gone, &(struct timespec){ 0, 10000000 }, NULL, 0);
    NUMBER(seen[1]);
    CALL(fcntl(pipes[1], F_GETFD));
    close(pipes[1]);
    char byte;
    CALL(read(pipes[0], &byte, 1));
}

int main(void)
{
    credentials();
    library();
    tables();
    clones();
    return 0;
}
