// Everything at once: threads that come and go, locks, signals, memory, processes, cancellation.
// build: glibc musl
// timeout: 120
#include "threads.h"
#include <semaphore.h>

enum { WORKERS = 6, ROUNDS = 60, SLOTS = 16 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t free_slots, used_slots;
static int slots[SLOTS], first_slot, last_slot;
static volatile int handled, sum_of_taken, guarded, readers, broken, generation;
static __thread unsigned seed;

static unsigned random_number(void)
{
    seed = seed * 1103515245 + 12345;
    return seed >> 16;
}

static void handle(int signal)
{
    int before = errno;
    (void)signal;
    add(&handled);
    if (sched_yield() != 0)
        broken = 1;
    errno = before;
}

static void *come_and_go(void *argument)
{
    return argument;
}

static void make_threads(void)
{
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        threads[i] = start(come_and_go, (void *)i);
    for (long i = 0; i < 4; i++)
        if (join(threads[i]) != (void *)i)
            broken = 2;
}

static void put_and_take(int value)
{
    while (sem_wait(&free_slots) != 0)
        ;
    pthread_mutex_lock(&mutex);
    slots[last_slot++ % SLOTS] = value;
    pthread_mutex_unlock(&mutex);
    sem_post(&used_slots);
    while (sem_wait(&used_slots) != 0)
        ;
    pthread_mutex_lock(&mutex);
    sum_of_taken += slots[first_slot++ % SLOTS];
    pthread_mutex_unlock(&mutex);
    sem_post(&free_slots);
}

static void read_or_write(void)
{
    if (random_number() % 4 == 0) {
        pthread_rwlock_wrlock(&rwlock);
        int before = guarded;
        if (readers != 0)
            broken = 3;
        sched_yield();
        guarded = before + 1;
        pthread_rwlock_unlock(&rwlock);
        pthread_rwlock_wrlock(&rwlock);
        guarded--;
        pthread_rwlock_unlock(&rwlock);
    } else {
        pthread_rwlock_rdlock(&rwlock);
        add(&readers);
        sched_yield();
        __atomic_sub_fetch(&readers, 1, __ATOMIC_SEQ_CST);
        pthread_rwlock_unlock(&rwlock);
    }
}

static void map_and_unmap(void)
{
    size_t length = (1 + random_number() % 16) * 4096;
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        broken = 4;
        return;
    }
    for (size_t at = 0; at < length; at += 4096) {
        if (memory[at] != 0)
            broken = 5;
        memory[at] = 1;
    }
    mprotect(memory, 4096, PROT_READ);
    munmap(memory, length);
    free(malloc(1 + random_number() % 100000));
}

static void make_process(void)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, come_and_go, (void *)5) != 0)
            _exit(1);
        _exit(join(thread) == (void *)5 ? 7 : 2);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
        broken = 6;
}

static void *sleep_for_ever(void *argument)
{
    for (;;)
        sleep(1000);
    return argument;
}

static void cancel_one(void)
{
    pthread_t thread = start(sleep_for_ever, NULL);
    pthread_cancel(thread);
    if (join(thread) != PTHREAD_CANCELED)
        broken = 7;
}

static void wait_shortly(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_nsec += random_number() % 1000000;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    int before = generation;
    while (before == generation)
        if (pthread_cond_timedwait(&changed, &mutex, &time) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&mutex);
}

static void announce(void)
{
    pthread_mutex_lock(&mutex);
    generation++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void *work(void *argument)
{
    double number = (double)(long)argument;
    seed = (unsigned)(long)argument;
    for (int round = 0; round < ROUNDS; round++) {
        switch (random_number() % 8) {
        case 0: make_threads(); break;
        case 1: put_and_take(1); break;
        case 2: read_or_write(); break;
        case 3: map_and_unmap(); break;
        case 4: kill(getpid(), SIGUSR1); break;
        case 5: wait_shortly(); break;
        case 6: announce(); break;
        default: if (round % 8 == 0) make_process(); else cancel_one(); break;
        }
        number = number * 1.5 / 1.5;
        if (round % 20 == 0)
            pthread_barrier_wait(&barrier);
    }
    if (number < (double)(long)argument - 0.001 || number > (double)(long)argument + 0.001)
        broken = 8;
    return NULL;
}

int main(void)
{
    pthread_t threads[WORKERS];
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    sigaction(SIGUSR1, &action, NULL);
    pthread_barrier_init(&barrier, NULL, WORKERS);
    sem_init(&free_slots, 0, SLOTS);
    sem_init(&used_slots, 0, 0);
    for (long i = 0; i < WORKERS; i++)
        threads[i] = start(work, (void *)(i + 1));
    for (long i = 0; i < WORKERS; i++)
        join(threads[i]);
    NUMBER(broken);
    NUMBER(guarded);
    NUMBER(readers);
    TRUTH(handled > 0);
    NUMBER(first_slot - last_slot);
    NUMBER(sum_of_taken - last_slot);
    int tasks = 0;
    for (int i = 0; i < 100 && tasks != 1; i++) {
        FILE *file = fopen("/proc/self/status", "r");
        char line[256];
        while (file && fgets(line, sizeof line, file))
            sscanf(line, "Threads: %d", &tasks);
        fclose(file);
        sched_yield();
    }
    NUMBER(tasks);
    return 0;
}
