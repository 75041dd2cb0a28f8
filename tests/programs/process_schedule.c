// Scheduling as data, personality, timer slack, and memory of other processes.
// build: glibc musl
#include "children.h"
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t use_min, use_max;
};

/* musl's own functions refuse. */
static int set_policy(pid_t pid, int policy, int priority)
{
    return syscall(SYS_sched_setscheduler, pid, policy, &priority);
}

static int policy(pid_t pid)
{
    return syscall(SYS_sched_getscheduler, pid);
}

static int priority(void)
{
    int value = -1;
    syscall(SYS_sched_getparam, 0, &value);
    return value;
}

static void policies(void)
{
    NUMBER(policy(0));
    CALL(set_policy(0, SCHED_OTHER, 1));
    CALL(set_policy(0, 77, 0));
    CALL(set_policy(0, -1, 0));
    CALL(set_policy(-1, SCHED_OTHER, 0));
    CALL(set_policy(999999, SCHED_OTHER, 0));
    CALL(policy(999999));
    CALL(policy(-1));
    CALL(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, NULL));
    CALL(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, 8));
    CALL(set_policy(0, SCHED_BATCH, 0));
    NUMBER(policy(0));
    CALL(set_policy(0, SCHED_IDLE, 0));
    NUMBER(policy(0));
    IN_CHILD(NUMBER(policy(0)));
    CALL(set_policy(0, SCHED_OTHER, 0));
    CALL(set_policy(0, SCHED_FIFO, 0));
    CALL(set_policy(0, SCHED_FIFO, 100));
    NUMBER(priority());
    int zero = 0;
    CALL(syscall(SYS_sched_setparam, 0, &zero));
    CALL(syscall(SYS_sched_setparam, 0, NULL));
    CALL(syscall(SYS_sched_getparam, 0, NULL));
    CALL(syscall(SYS_sched_get_priority_max, SCHED_RR));
    CALL(syscall(SYS_sched_get_priority_min, SCHED_OTHER));
    CALL(syscall(SYS_sched_get_priority_min, 77));
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        CALL(set_policy(0, SCHED_FIFO, 1));
        CALL(set_policy(0, SCHED_BATCH | 0x40000000, 0));
        HEX(policy(0));
        CALL(set_policy(0, SCHED_BATCH, 0));
        CALL(set_policy(getppid(), SCHED_BATCH, 0));
        IN_CHILD(HEX(policy(0))));
}

static void attributes(void)
{
    struct attributes now = { 0 };
    CALL(syscall(SYS_sched_getattr, 0, &now, sizeof now, 0));
    printf("%u %u %lu %d %u\n", now.size, now.policy, (long)now.flags, now.nice, now.priority);
    CALL(syscall(SYS_sched_getattr, 0, &now, 47, 0));
    CALL(syscall(SYS_sched_getattr, 0, &now, 48, 0));
    CALL(syscall(SYS_sched_getattr, 0, &now, sizeof now, 1));
    CALL(syscall(SYS_sched_getattr, 0, NULL, sizeof now, 0));
    CALL(syscall(SYS_sched_getattr, 999999, &now, sizeof now, 0));
    IN_CHILD(
        struct attributes new = { .size = sizeof new, .policy = SCHED_BATCH, .nice = 7 };
        CALL(syscall(SYS_sched_setattr, 0, &new, 0));
        NUMBER(policy(0));
        NUMBER(getpriority(PRIO_PROCESS, 0));
        CALL(syscall(SYS_sched_setattr, 0, &new, 1));
        CALL(syscall(SYS_sched_setattr, 0, NULL, 0));
        CALL(syscall(SYS_sched_setattr, 999999, &new, 0));
        new.size = 20;
        CALL(syscall(SYS_sched_setattr, 0, &new, 0));
        NUMBER(new.size);
        new.policy = 77;
        CALL(syscall(SYS_sched_setattr, 0, &new, 0));
        new = (struct attributes){ .size = 48, .policy = 6, .runtime = 20000, .deadline = 10000 };
        CALL(syscall(SYS_sched_setattr, 0, &new, 0)));
}

static void personalities(void)
{
    HEX(personality(0xffffffff));
    CALL(personality(ADDR_NO_RANDOMIZE));
    HEX(personality(0xffffffff));
    IN_CHILD(HEX(personality(0xffffffff)));
    char self[PATH_MAX];
    self[readlink("/proc/self/exe", self, sizeof self - 1)] = 0;
    int ends[2];
    char addresses[2][64];
    for (int i = 0; i < 2; i++) {
        pipe(ends);
        pid_t pid = CHILD(dup2(ends[1], 1); execl(self, "x", "address", NULL));
        close(ends[1]);
        memset(addresses[i], 0, 64);
        read(ends[0], addresses[i], 63);
        TEXT(reap(pid));
    }
    TRUTH(strcmp(addresses[0], addresses[1]) == 0);
    CALL(personality(0));
}

static void slack(void)
{
    CALL(prctl(PR_SET_TIMERSLACK, 70000));
    CALL(prctl(PR_GET_TIMERSLACK));
    IN_CHILD(
        CALL(prctl(PR_GET_TIMERSLACK));
        CALL(prctl(PR_SET_TIMERSLACK, 90000));
        CALL(prctl(PR_SET_TIMERSLACK, 0));
        CALL(prctl(PR_GET_TIMERSLACK)));
}

static void others(void)
{
    static char shared[] = "of the parent";
    struct event go = event_new();
    struct event ready = event_new();
    pid_t pid = CHILD(
        strcpy(shared, "of the child");
        event_set(ready);
        event_wait(go);
        TEXT(shared));
    event_wait(ready);
    char here[32] = "";
    struct iovec local[] = { { here, 3 }, { here + 3, 20 } };
    struct iovec remote[] = { { shared, 6 }, { shared + 6, 6 } };
    CALL(process_vm_readv(pid, local, 2, remote, 2, 0));
    TEXT(here);
    struct iovec from = { (char *)"FROM", 4 };
    struct iovec to = { shared + 3, 4 };
    CALL(process_vm_writev(pid, &from, 1, &to, 1, 0));
    CALL(process_vm_readv(pid, local, 2, remote, 2, 1));
    CALL(process_vm_readv(999999, local, 2, remote, 2, 0));
    CALL(process_vm_readv(pid, local, 0, remote, 2, 0));
    CALL(process_vm_readv(pid, local, 2000, remote, 2, 0));
    struct iovec nowhere = { (void *)8, 4 };
    CALL(process_vm_readv(pid, local, 2, &nowhere, 1, 0));
    struct iovec half[] = { { shared, 4 }, { (void *)8, 4 } };
    CALL(process_vm_readv(pid, local, 2, half, 2, 0));
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        CALL(process_vm_readv(pid, local, 2, remote, 2, 0)));
    event_set(go);
    TEXT(reap(pid));
}

static pid_t beside_id;

/* Fields 18, 19, 40 and 41 of proc_pid_stat(5) of a thread: both priorities, nice, policy. */
static void told(pid_t tid)
{
    char path[64], text[1024], state;
    long priority, nice, real_time, policy;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    sscanf(strrchr(text, ')') + 2,
           "%c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %ld %ld %*d %*d %*u %*u"
           " %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d %*d %ld %ld",
           &state, &priority, &nice, &real_time, &policy);
    printf("told %ld %ld %ld %ld\n", priority, nice, real_time, policy);
}

static void *beside(void *nothing)
{
    beside_id = gettid();
    NUMBER(getpriority(PRIO_PROCESS, 0));
    CALL(setpriority(PRIO_PROCESS, 0, 9));
    CALL(getpriority(PRIO_PROCESS, getpid()));
    CALL(setpriority(PRIO_PROCESS, getpid(), 4));
    NUMBER(getpriority(PRIO_PROCESS, 0));
    NUMBER(getpriority(PRIO_PGRP, 0));
    told(getpid());
    told(gettid());
    IN_CHILD(NUMBER(getpriority(PRIO_PROCESS, 0)));
    CALL(set_policy(0, SCHED_FIFO, 3));
    NUMBER(getpriority(PRIO_PROCESS, 0));
    told(gettid());
    CALL(set_policy(0, SCHED_OTHER | SCHED_RESET_ON_FORK, 0));
    CALL(setpriority(PRIO_PROCESS, 0, -5));
    IN_CHILD(NUMBER(getpriority(PRIO_PROCESS, 0)));
    CALL(setpriority(PRIO_PGRP, 0, 2));
    return nothing;
}

static struct { int nice, policy; long used_us; } workers[3] = {
    { 0, SCHED_OTHER, 0 }, { 10, SCHED_OTHER, 0 }, { 0, SCHED_IDLE, 0 }
};
static volatile int stops;

static void *compute(void *at)
{
    int i = (long)at;
    setpriority(PRIO_PROCESS, 0, workers[i].nice);
    set_policy(0, workers[i].policy, 0);
    while (!stops)
        ;
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    workers[i].used_us = usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec;
    return NULL;
}

/* Who is nicer has less of a processor. */
static void shares(void)
{
    pthread_t threads[3];
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof all, &all);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    for (long i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, compute, (void *)i);
    for (clock_t begin = clock(); clock() - begin < CLOCKS_PER_SEC;)
        sleep_ms(20);
    stops = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    sched_setaffinity(0, sizeof all, &all);
    TRUTH(workers[0].used_us > 3 * workers[1].used_us);
    TRUTH(workers[1].used_us > 3 * workers[2].used_us);
}

/* Each thread has a nice value of its own. */
static void niceness(void)
{
    pthread_t thread;
    setpgid(0, 0);
    CALL(setpriority(PRIO_PROCESS, 0, 3));
    pthread_create(&thread, NULL, beside, NULL);
    pthread_join(thread, NULL);
    NUMBER(getpriority(PRIO_PROCESS, 0));
    CALL(getpriority(PRIO_PROCESS, beside_id));
    IN_CHILD(
        setuid(1000);
        CALL(setpriority(PRIO_PROCESS, 0, 1));
        CALL(setpriority(PRIO_PROCESS, 0, 5));
        CALL(setpriority(PRIO_PROCESS, getppid(), 5));
        CALL(setpriority(PRIO_USER, 1001, 5)));
    CALL(setpriority(PRIO_PROCESS, 0, 0));
}

/* Process 1 is there, and not the caller's. */
static void init(void)
{
    TRUTH(getpgid(1) >= 0);
    TRUTH(getsid(1) >= 0);
    CALL(kill(1, 0));
    CALL(access("/proc/1/stat", R_OK));
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        CALL(kill(1, SIGTERM));
        CALL(setpriority(PRIO_PROCESS, 1, 5)));
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        int local;
        printf("%p %p\n", (void *)&local, malloc(10));
        return 0;
    }
    setpriority(PRIO_PROCESS, 0, 0);
    policies();
    attributes();
    personalities();
    slack();
    others();
    niceness();
    shares();
    init();
    return 0;
}
