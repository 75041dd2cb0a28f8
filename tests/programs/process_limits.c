// Resource limits over fork and exec: NOFILE, AS, DATA, STACK, CPU, NPROC, FSIZE, prlimit.
// timeout: 120
#include "children.h"
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/times.h>

static char self[PATH_MAX];

static int set(int resource, rlim_t soft, rlim_t hard)
{
    return setrlimit(resource, &(struct rlimit){ soft, hard });
}

static void inherited(void)
{
    struct rlimit limit;
    IN_CHILD(
        CALL(set(RLIMIT_NOFILE, 64, 128));
        IN_CHILD(
            getrlimit(RLIMIT_NOFILE, &limit);
            NUMBER(limit.rlim_cur);
            NUMBER(limit.rlim_max);
            CALL(dup2(0, 63));
            CALL(dup2(0, 64));
            CALL(fcntl(0, F_DUPFD, 64));
            int count = 0;
            while (dup(0) >= 0)
                count++;
            printf("%s\n", errno_name(errno));
            int ends[2];
            CALL(pipe(ends));
            CALL(open("/dev/null", O_RDONLY));
            close(10);
            CALL(pipe(ends));
            CALL(open("/dev/null", O_RDONLY)));
        IN_CHILD(execl(self, "x", "limit", NULL));
        CALL(set(RLIMIT_NOFILE, 100, 50)));
    getrlimit(RLIMIT_NOFILE, &limit);
    TRUTH(limit.rlim_cur > 128);
}

static void memory(void)
{
    IN_CHILD(
        CALL(set(RLIMIT_AS, 64 << 20, RLIM_INFINITY));
        TRUTH(mmap(NULL, 32 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
        OK(mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        IN_CHILD(OK(mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
        TRUTH(malloc(128 << 20) == NULL));
    IN_CHILD(
        CALL(set(RLIMIT_DATA, 16 << 20, RLIM_INFINITY));
        OK(mmap(NULL, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        OK(mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        OK(sbrk(32 << 20)));
    IN_CHILD(
        CALL(set(RLIMIT_STACK, 1 << 20, RLIM_INFINITY));
        execl(self, "x", "stack", "500", NULL));
    IN_CHILD(
        CALL(set(RLIMIT_STACK, 1 << 20, RLIM_INFINITY));
        execl(self, "x", "stack", "1500", NULL));
    IN_CHILD(
        CALL(set(RLIMIT_STACK, 32 << 20, RLIM_INFINITY));
        execl(self, "x", "stack", "30000", NULL));
    IN_CHILD(execl(self, "x", "stack", "9000", NULL));
}

static volatile int seen;

static void on_cpu(int number)
{
    (void)number;
    seen++;
}

static void processor_time(void)
{
    IN_CHILD(
        CALL(set(RLIMIT_CPU, 1, RLIM_INFINITY));
        for (;;)
            ;);
    IN_CHILD(
        signal(SIGXCPU, on_cpu);
        CALL(set(RLIMIT_CPU, 1, 2));
        while (!seen)
            ;
        NUMBER(seen);
        for (;;)
            ;);
    struct tms before;
    struct tms after;
    times(&before);
    TRUTH(before.tms_cutime >= 200 && before.tms_cutime < 1500);
    IN_CHILD(
        times(&after);
        NUMBER(after.tms_cutime));
    struct rusage use;
    getrusage(RUSAGE_CHILDREN, &use);
    TRUTH(use.ru_utime.tv_sec >= 2 && use.ru_utime.tv_sec < 15);
    TRUTH(use.ru_minflt > 0);
}

static void processes(void)
{
    IN_CHILD(
        CALL(setgid(4711));
        CALL(setuid(4711));
        CALL(set(RLIMIT_NPROC, 3, 3));
        pid_t one = CHILD(pause());
        pid_t two = CHILD(pause());
        CALL(fork());
        kill(one, SIGKILL);
        TEXT(reap(one));
        pid_t three = CHILD(_exit(5));
        TEXT(reap(three));
        kill(two, SIGKILL);
        TEXT(reap(two)));
    /* The superuser is not held back. */
    IN_CHILD(
        CALL(set(RLIMIT_NPROC, 1, 1));
        IN_CHILD(_exit(6)));
}

static void of_others(void)
{
    struct rlimit limit = { 33, 44 };
    struct rlimit old;
    struct event go = event_new();
    pid_t pid = CHILD(
        event_wait(go);
        getrlimit(RLIMIT_NOFILE, &limit);
        printf("%ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max));
    CALL(prlimit(pid, RLIMIT_NOFILE, &limit, &old));
    CALL(prlimit(pid, RLIMIT_NOFILE, NULL, &old));
    NUMBER(old.rlim_cur);
    NUMBER(old.rlim_max);
    CALL(prlimit(999999, RLIMIT_NOFILE, NULL, &old));
    CALL(prlimit(pid, 99, NULL, &old));
    limit.rlim_cur = 45;
    CALL(prlimit(pid, RLIMIT_NOFILE, &limit, NULL));
    event_set(go);
    TEXT(reap(pid));
    getrlimit(RLIMIT_NOFILE, &limit);
    TRUTH(limit.rlim_cur > 44);
}

static __attribute__((noinline)) int deep(int kilobytes)
{
    volatile char page[1024];
    page[0] = page[1023] = kilobytes;
    return kilobytes > 0 ? deep(kilobytes - 1) + page[0] : 0;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    if (argc > 1 && strcmp(argv[1], "limit") == 0) {
        getrlimit(RLIMIT_NOFILE, &limit);
        printf("%ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
        return 0;
    }
    if (argc > 2 && strcmp(argv[1], "stack") == 0) {
        printf("%s kilobytes\n", argv[2]);
        return deep(atoi(argv[2])) == 1;
    }
    self[readlink("/proc/self/exe", self, sizeof self - 1)] = 0;
    set(RLIMIT_STACK, 8 << 20, RLIM_INFINITY);
    set(RLIMIT_CORE, 0, 0);
    inherited();
    memory();
    processor_time();
    processes();
    of_others();
    return 0;
}
