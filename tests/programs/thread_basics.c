// Threads: create and join, synchronisation of POSIX, thread-specific data, cancellation.
// build: glibc pie musl
#include "threads.h"
#include <semaphore.h>

enum { COUNT = 8, ROUNDS = 500 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static sem_t semaphore;
static volatile int counter, initialised, destroyed, cleaned;
static __thread int own = 7;

static void *return_argument(void *argument)
{
    own++;
    return argument;
}

static void *increment(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        if (i % 50 == 0)
            sched_yield();
        pthread_mutex_unlock(&mutex);
    }
    return argument;
}

static void *wait_for_change(void *argument)
{
    pthread_mutex_lock(&mutex);
    while (counter == 0)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return argument;
}

static void *meet(void *argument)
{
    long leaders = 0;
    for (int i = 0; i < 20; i++)
        leaders += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
    (void)argument;
    return (void *)leaders;
}

static void *read_and_write(void *argument)
{
    for (int i = 0; i < 100; i++) {
        if (i % 10 == 0) {
            pthread_rwlock_wrlock(&rwlock);
            counter++;
            sched_yield();
        } else {
            pthread_rwlock_rdlock(&rwlock);
        }
        pthread_rwlock_unlock(&rwlock);
    }
    return argument;
}

static void *take(void *argument)
{
    for (int i = 0; i < 10; i++)
        while (sem_wait(&semaphore) != 0)
            ;
    return argument;
}

static void initialise(void)
{
    initialised++;
}

static void destroy(void *value)
{
    destroyed += (int)(long)value;
}

static void *specific(void *argument)
{
    pthread_once(&once, initialise);
    pthread_setspecific(key, argument);
    sched_yield();
    return (void *)(long)(pthread_getspecific(key) == argument);
}

static void clean(void *argument)
{
    cleaned += (int)(long)argument;
}

static void *sleep_long(void *argument)
{
    pthread_cleanup_push(clean, (void *)3);
    add(argument);
    sleep(1000);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *compute_for_ever(void *argument)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    add(argument);
    for (;;)
        ;
    return NULL;
}

static void *exit_deep(void *argument)
{
    pthread_cleanup_push(clean, (void *)5);
    pthread_exit(argument);
    pthread_cleanup_pop(0);
    return NULL;
}

static void many(void *(*run)(void *), int count)
{
    pthread_t threads[COUNT];
    long sum = 0;
    for (int i = 0; i < count; i++)
        threads[i] = start(run, (void *)(long)(i + 1));
    for (int i = 0; i < count; i++)
        sum += (long)join(threads[i]);
    printf("the sum of what they returned is %ld\n", sum);
}

int main(void)
{
    many(return_argument, COUNT);
    NUMBER(own);
    many(increment, COUNT);
    NUMBER(counter);

    counter = 0;
    pthread_t waiters[3];
    for (int i = 0; i < 3; i++)
        waiters[i] = start(wait_for_change, NULL);
    sleep_ms(20);
    pthread_mutex_lock(&mutex);
    counter = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 3; i++)
        join(waiters[i]);
    puts("all waiters have gone on");

    pthread_barrier_init(&barrier, NULL, 4);
    many(meet, 4);
    counter = 0;
    many(read_and_write, 4);
    NUMBER(counter);

    sem_init(&semaphore, 0, 0);
    pthread_t taker = start(take, NULL);
    for (int i = 0; i < 10; i++)
        sem_post(&semaphore);
    join(taker);
    int value = -1;
    sem_getvalue(&semaphore, &value);
    NUMBER(value);

    pthread_key_create(&key, destroy);
    many(specific, COUNT);
    NUMBER(initialised);
    NUMBER(destroyed);

    volatile int begun = 0;
    pthread_t sleeper = start(sleep_long, (void *)&begun);
    until(&begun, 1);
    ERROR(pthread_cancel(sleeper));
    TRUTH(join(sleeper) == PTHREAD_CANCELED);
    NUMBER(cleaned);
    pthread_t busy = start(compute_for_ever, (void *)&begun);
    until(&begun, 2);
    ERROR(pthread_cancel(busy));
    TRUTH(join(busy) == PTHREAD_CANCELED);
    NUMBER((long)join(start(exit_deep, (void *)42)));
    NUMBER(cleaned);

    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_nsec += 5000000;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    ERROR(pthread_cond_timedwait(&changed, &mutex, &time));
    ERROR(pthread_mutex_trylock(&mutex));
    pthread_mutex_unlock(&mutex);

    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 1 << 17);
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, return_argument, NULL))
            puts("a detached thread cannot be created");
    }
    pthread_exit(NULL);
}
