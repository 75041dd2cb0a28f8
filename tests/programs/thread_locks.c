// Locks whose owner ends (robust), locks that the kernel hands on (priority inheritance), and
// locks between processes.
// build: glibc
#include "threads.h"
#include <semaphore.h>

static pthread_mutex_t *mutex;
static volatile int counter;

static pthread_mutex_t *make(int kind, int robust, int protocol)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, kind);
    pthread_mutexattr_setrobust(&attributes, robust);
    pthread_mutexattr_setprotocol(&attributes, protocol);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ERROR(pthread_mutex_init(made, &attributes));
    return made;
}

static const char *name(int error)
{
    return error == EOWNERDEAD ? "EOWNERDEAD" : error == ENOTRECOVERABLE ? "ENOTRECOVERABLE"
        : error ? errno_name(error) : "0";
}

#define LOCKED(expression) printf("%s -> %s\n", #expression, name(expression))

static void *lock_and_end(void *argument)
{
    LOCKED(pthread_mutex_lock(mutex));
    return argument;
}

static void *lock_and_hold(void *argument)
{
    pthread_mutex_lock(mutex);
    add(&counter);
    sleep_ms(30);
    return argument;
}

static void *wait_for_lock(void *argument)
{
    until(&counter, 1);
    int error = pthread_mutex_lock(mutex);
    if (error == EOWNERDEAD)
        pthread_mutex_consistent(mutex);
    pthread_mutex_unlock(mutex);
    (void)argument;
    return (void *)(long)error;
}

static void robust(int protocol)
{
    mutex = make(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, protocol);
    join(start(lock_and_end, NULL));
    LOCKED(pthread_mutex_trylock(mutex));
    LOCKED(pthread_mutex_consistent(mutex));
    LOCKED(pthread_mutex_unlock(mutex));
    // A waiter learns of the end.
    counter = 0;
    pthread_t holder = start(lock_and_hold, NULL), waiter = start(wait_for_lock, NULL);
    TEXT(name((int)(long)join(waiter)));
    join(holder);
    // So does another process, and when one is killed.
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(mutex);
        kill(getpid(), SIGKILL);
    }
    wait_for(pid);
    LOCKED(pthread_mutex_lock(mutex));
    LOCKED(pthread_mutex_unlock(mutex));
    LOCKED(pthread_mutex_lock(mutex));
    // And when it executes a program.
    mutex = make(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, protocol);
    pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(mutex);
        execl("/proc/self/exe", "self", "child", NULL);
        _exit(9);
    }
    wait_for(pid);
    LOCKED(pthread_mutex_lock(mutex));
}

static void *count(void *argument)
{
    for (int i = 0; i < 300; i++) {
        pthread_mutex_lock(mutex);
        counter++;
        if (i % 16 == 0)
            sched_yield();
        pthread_mutex_unlock(mutex);
    }
    return argument;
}

static void inherited(void)
{
    pthread_t threads[4];
    mutex = make(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT);
    counter = 0;
    for (int i = 0; i < 4; i++)
        threads[i] = start(count, NULL);
    for (int i = 0; i < 4; i++)
        join(threads[i]);
    NUMBER(counter);
    LOCKED(pthread_mutex_lock(mutex));
    LOCKED(pthread_mutex_lock(mutex));
    LOCKED(pthread_mutex_unlock(mutex));
    LOCKED(pthread_mutex_unlock(mutex));
    // The commands themselves.
    static uint32_t word, other;
    struct timespec past = { 0, 0 };
    CALL(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    TRUTH(word == (uint32_t)tid());
    CALL(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    NUMBER(word);
    CALL(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    word = 0x3ffffff0;
    CALL(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    pid_t sleeper = fork();
    if (sleeper == 0)
        for (;;)
            pause();
    word = sleeper;
    CALL(futex(&word, FUTEX_LOCK_PI, 0, &past, NULL, 0));
    CALL(futex(&word, FUTEX_LOCK_PI2, 0, &past, NULL, 0));
    CALL(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    TRUTH(word == ((uint32_t)sleeper | 0x80000000));
    CALL(futex(&word, FUTEX_WAIT_REQUEUE_PI, 1, NULL, &word, 0));
    CALL(futex(&other, FUTEX_WAIT_REQUEUE_PI, 1, NULL, &word, 0));
    CALL(futex(&other, FUTEX_WAIT_REQUEUE_PI, 0, &past, &word, 0));
    CALL(futex(&other, FUTEX_CMP_REQUEUE_PI, 1, NULL, &word, 0));
    CALL(futex(&other, FUTEX_CMP_REQUEUE_PI, 2, NULL, &word, 0));
    CALL(futex(&other, FUTEX_CMP_REQUEUE_PI, 1, NULL, &word, 3));
    kill(sleeper, SIGKILL);
    wait_for(sleeper);
}

static uint32_t words[2];

static void *circle(void *argument)
{
    futex(&words[1], FUTEX_LOCK_PI, 0, NULL, NULL, 0);
    __atomic_store_n((int *)argument, tid(), __ATOMIC_SEQ_CST);
    long result = futex(&words[0], FUTEX_LOCK_PI, 0, NULL, NULL, 0);
    futex(&words[1], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
    futex(&words[0], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
    return (void *)result;
}

static void *own_after_requeue(void *argument)
{
    __atomic_store_n((int *)argument, tid(), __ATOMIC_SEQ_CST);
    long result = futex(&words[0], FUTEX_WAIT_REQUEUE_PI, 7, NULL, &words[1], 0);
    long owns = (words[1] & 0x3fffffff) == (uint32_t)tid();
    futex(&words[1], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
    return (void *)(result == 0 ? owns : -(long)errno);
}

static void chains(void)
{
    volatile int id = 0;
    futex(&words[0], FUTEX_LOCK_PI, 0, NULL, NULL, 0);
    pthread_t thread = start(circle, (void *)&id);
    until(&id, 1);
    until_asleep(id);
    CALL(futex(&words[1], FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    TRUTH(words[0] == ((uint32_t)tid() | 0x80000000));
    CALL(futex(&words[0], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    NUMBER((long)join(thread));
    NUMBER(words[0] & 0x3fffffff);

    words[0] = 7;
    words[1] = 0;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        volatile int new_id = 0;
        threads[i] = start(own_after_requeue, (void *)&new_id);
        until(&new_id, 1);
        until_asleep(new_id);
    }
    CALL(futex(&words[0], FUTEX_WAKE, 1, NULL, NULL, 0));
    CALL(futex(&words[0], FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &words[1], 7));
    CALL(futex(&words[0], FUTEX_CMP_REQUEUE_PI, 1, (void *)9, &words[1], 7));
    for (int i = 0; i < 3; i++)
        NUMBER((long)join(threads[i]));
}

static void between_processes(void)
{
    struct shared { sem_t semaphore; pthread_mutex_t mutex; pthread_cond_t changed;
                    pthread_barrier_t barrier; volatile int value; } *shared;
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t mutexes;
    pthread_condattr_t conditions;
    pthread_barrierattr_t barriers;
    pthread_mutexattr_init(&mutexes);
    pthread_condattr_init(&conditions);
    pthread_barrierattr_init(&barriers);
    pthread_mutexattr_setpshared(&mutexes, PTHREAD_PROCESS_SHARED);
    pthread_condattr_setpshared(&conditions, PTHREAD_PROCESS_SHARED);
    pthread_barrierattr_setpshared(&barriers, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->mutex, &mutexes);
    pthread_cond_init(&shared->changed, &conditions);
    pthread_barrier_init(&shared->barrier, &barriers, 2);
    sem_init(&shared->semaphore, 1, 0);
    pid_t pid = fork();
    if (pid == 0) {
        sem_wait(&shared->semaphore);
        pthread_mutex_lock(&shared->mutex);
        shared->value = 1;
        pthread_cond_signal(&shared->changed);
        while (shared->value != 2)
            pthread_cond_wait(&shared->changed, &shared->mutex);
        pthread_mutex_unlock(&shared->mutex);
        for (int i = 0; i < 10; i++)
            pthread_barrier_wait(&shared->barrier);
        _exit(12);
    }
    sem_post(&shared->semaphore);
    pthread_mutex_lock(&shared->mutex);
    while (shared->value != 1)
        pthread_cond_wait(&shared->changed, &shared->mutex);
    shared->value = 2;
    pthread_cond_signal(&shared->changed);
    pthread_mutex_unlock(&shared->mutex);
    for (int i = 0; i < 10; i++)
        pthread_barrier_wait(&shared->barrier);
    wait_for(pid);
}

int main(int count, char **arguments)
{
    if (count > 1)
        return arguments[1][0];
    puts("-- robust");
    robust(PTHREAD_PRIO_NONE);
    puts("-- robust, handed on by the kernel");
    robust(PTHREAD_PRIO_INHERIT);
    puts("-- handed on by the kernel");
    inherited();
    chains();
    puts("-- between processes");
    between_processes();
    return 0;
}
