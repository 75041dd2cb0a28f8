/* What conformance programs with several threads share. */
#ifndef THREADS_H
#define THREADS_H

#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#ifndef FUTEX_WAIT
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_REQUEUE 3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAKE_OP 5
#define FUTEX_LOCK_PI 6
#define FUTEX_UNLOCK_PI 7
#define FUTEX_TRYLOCK_PI 8
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_WAIT_REQUEUE_PI 11
#define FUTEX_CMP_REQUEUE_PI 12
#define FUTEX_LOCK_PI2 13
#define FUTEX_PRIVATE_FLAG 128
#define FUTEX_CLOCK_REALTIME 256
#endif

static inline long futex(void *word, int operation, uint32_t value, const void *timeout,
                         void *other, uint32_t value3)
{
    return syscall(SYS_futex, word, operation, value, timeout, other, value3);
}

static inline int tid(void)
{
    return (int)syscall(SYS_gettid);
}

static inline pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, argument);
    if (error) {
        printf("pthread_create: %s\n", errno_name(error));
        exit(98);
    }
    return thread;
}

static inline void *join(pthread_t thread)
{
    void *result = NULL;
    int error = pthread_join(thread, &result);
    if (error)
        printf("pthread_join: %s\n", errno_name(error));
    return result;
}

static inline void sleep_ms(long ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    while (nanosleep(&time, &time) != 0)
        ;
}

/* Waits until a thread that was joined is no more: its memory is given back before. */
static inline void until_gone(int id)
{
    while (syscall(SYS_tgkill, getpid(), id, 0) == 0)
        sched_yield();
}

/* Waits until the thread `id` of this process sleeps. */
static inline void until_asleep(int id)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
    for (;;) {
        int fd = open(path, O_RDONLY);
        ssize_t length = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
        close(fd);
        if (length <= 0)
            return;
        line[length] = 0;
        char *state = strrchr(line, ')');
        if (state && (state[2] == 'S' || state[2] == 'T'))
            return;
        sched_yield();
    }
}

/* Waits until `word` is at least `value`. */
static inline void until(volatile int *word, int value)
{
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) < value)
        sched_yield();
}

static inline void add(volatile int *word)
{
    __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
}

/* How a child ended, as a line. */
static inline void wait_for(pid_t pid)
{
    int status = -1;
    if (waitpid(pid, &status, 0) != pid)
        printf("waitpid: %s\n", errno_name(errno));
    else if (WIFEXITED(status))
        printf("the child exited with %d\n", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        printf("the child was ended by signal %d\n", WTERMSIG(status));
}

#endif
