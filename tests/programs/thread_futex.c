// futex(2): waiting and waking, bits, requeueing, operations, clocks, sharing, the newer calls.
// build: glibc
#include "threads.h"

struct waitv { uint64_t value, address; uint32_t flags, reserved; };
enum { SYS_WAITV = 449, SYS_WAKE = 454, SYS_WAIT = 455, SYS_REQUEUE = 456 };

static uint32_t first, second, third;
static volatile int ids[8], woken, order[8];

struct wait { int at; uint32_t *word; int operation; uint32_t bits; };

static void *wait_here(void *argument)
{
    struct wait *wait = argument;
    ids[wait->at] = tid();
    long result = futex(wait->word, wait->operation, *wait->word, NULL, NULL, wait->bits);
    order[__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST)] = wait->at;
    return (void *)(result == 0 ? 0L : (long)errno);
}

static pthread_t begin(struct wait *wait)
{
    ids[wait->at] = 0;
    pthread_t thread = start(wait_here, wait);
    until(&ids[wait->at], 1);
    until_asleep(ids[wait->at]);
    return thread;
}

static void errors(void)
{
    CALL(futex(&first, FUTEX_WAIT, 1, NULL, NULL, 0));
    CALL(futex((char *)&first + 1, FUTEX_WAIT, 0, NULL, NULL, 0));
    CALL(futex((char *)&first + 2, FUTEX_WAKE, 1, NULL, NULL, 0));
    CALL(futex((void *)8, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 1));
    CALL(futex((void *)8, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    CALL(futex((void *)8, FUTEX_WAKE, 1, NULL, NULL, 0));
    CALL(futex((void *)-4096, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    CALL(futex(&first, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
    CALL(futex(&first, FUTEX_WAKE_BITSET, 0, NULL, NULL, 0));
    CALL(futex(&first, 2, 0, NULL, NULL, 0));
    CALL(futex(&first, 77, 0, NULL, NULL, 0));
    struct timespec bad = { 0, 1000000000 }, soon = { 0, 2000000 }, past = { 0, 0 };
    CALL(futex(&first, FUTEX_WAIT, 0, &bad, NULL, 0));
    CALL(futex(&first, FUTEX_WAIT, 0, (void *)8, NULL, 0));
    CALL(futex(&first, FUTEX_WAIT, 0, &soon, NULL, 0));
    CALL(futex(&first, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, &soon, NULL, 0));
    CALL(futex(&first, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
    CALL(futex(&first, FUTEX_WAIT_BITSET, 0, &past, NULL, 1));
    CALL(futex(&first, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1));
    CALL(futex(&first, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 1, &past, NULL, 1));
    CALL(futex(&first, FUTEX_REQUEUE, -1, NULL, &second, 0));
    CALL(futex(&first, FUTEX_CMP_REQUEUE, 1, NULL, &second, 5));
    CALL(futex(&first, FUTEX_WAKE, 0, NULL, NULL, 0));
    void *read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CALL(futex(read_only, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &soon, NULL, 0));
    CALL(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, read_only, 0));
}

static void wakes(void)
{
    struct wait waits[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        waits[i] = (struct wait){ i, &first, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 1u << i };
        threads[i] = begin(&waits[i]);
    }
    CALL(futex(&first, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 4));
    join(threads[2]);
    CALL(futex(&first, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    join(threads[0]);
    CALL(futex(&second, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    CALL(futex(&first, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    join(threads[1]);
    CALL(futex(&first, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX, NULL, NULL, 0));
    join(threads[3]);
    NUMBER(woken);
    for (int i = 0; i < 4; i++)
        NUMBER(order[i]);
}

static void requeues(void)
{
    struct wait waits[5];
    pthread_t threads[5];
    woken = 0;
    for (int i = 0; i < 5; i++) {
        waits[i] = (struct wait){ i, &first, FUTEX_WAIT, 0 };
        threads[i] = begin(&waits[i]);
    }
    CALL(futex(&first, FUTEX_CMP_REQUEUE, 1, (void *)1, &second, 1));
    CALL(futex(&first, FUTEX_CMP_REQUEUE, 1, (void *)1, &second, 0));
    CALL(futex(&first, FUTEX_REQUEUE, 0, (void *)2, &third, 0));
    CALL(futex(&second, FUTEX_WAKE, 9, NULL, NULL, 0));
    CALL(futex(&third, FUTEX_WAKE, 9, NULL, NULL, 0));
    CALL(futex(&first, FUTEX_WAKE, 9, NULL, NULL, 0));
    for (int i = 0; i < 5; i++)
        join(threads[i]);
    NUMBER(woken);
    // FUTEX_WAKE_OP: second += 3, and its waiters go on if it was less than 5.
    woken = 0;
    second = 4;
    waits[0] = (struct wait){ 0, &first, FUTEX_WAIT, 0 };
    waits[1] = (struct wait){ 1, &second, FUTEX_WAIT, 0 };
    for (int i = 0; i < 2; i++)
        threads[i] = begin(&waits[i]);
    uint32_t encoded = 1u << 28 | 2u << 24 | 3u << 12 | 5;
    CALL(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second, encoded));
    for (int i = 0; i < 2; i++)
        join(threads[i]);
    NUMBER(second);
    CALL(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second, encoded));
    CALL(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second, 0x80000000u | 10 << 12));
    NUMBER(second);
    CALL(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second, 3u << 28 | 0xfffu << 12));
    NUMBER(second);
    CALL(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second, 7u << 28));
    CALL(futex(&first, FUTEX_WAKE_OP, 1, (void *)1, &second, 9u << 24));
    second = 0;
}

static void shared_memory(int flags, int fd)
{
    uint32_t *words = mmap(NULL, 8192, PROT_READ | PROT_WRITE, flags, fd, 0);
    pid_t pid = fork();
    if (pid == 0) {
        uint32_t *again = fd < 0 ? words
            : mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        again[1024] = 1;
        futex(&again[1024], FUTEX_WAKE, 1, NULL, NULL, 0);
        long result = futex(&again[1025], FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit(result == 0 || errno == EAGAIN ? 5 : 6);
    }
    while (__atomic_load_n(&words[1024], __ATOMIC_SEQ_CST) == 0)
        futex(&words[1024], FUTEX_WAIT, 0, NULL, NULL, 0);
    long count = 0;
    for (int i = 0; i < 5000 && count == 0; i++) {
        count = futex(&words[1025], FUTEX_WAKE, 1, NULL, NULL, 0);
        if (count == 0)
            sleep_ms(1);
    }
    NUMBER(count);
    wait_for(pid);
    munmap(words, 8192);
}

static volatile int handled;

static void handle(int signal)
{
    (void)signal;
    handled++;
}

static void *interrupt(void *argument)
{
    until_asleep(getpid());
    pthread_kill(*(pthread_t *)argument, SIGUSR1);
    return NULL;
}

static void *interrupt_and_wake(void *argument)
{
    interrupt(argument);
    while (!handled)
        sched_yield();
    until_asleep(getpid());
    futex(&first, FUTEX_WAKE, 1, NULL, NULL, 0);
    return NULL;
}

static void interruptions(void)
{
    pthread_t self = pthread_self(), thread;
    struct sigaction action = { .sa_handler = handle };
    struct timespec long_time = { 100, 0 };
    sigaction(SIGUSR1, &action, NULL);
    thread = start(interrupt, &self);
    CALL(futex(&first, FUTEX_WAIT, 0, NULL, NULL, 0));
    join(thread);
    thread = start(interrupt, &self);
    CALL(futex(&first, FUTEX_WAIT, 0, &long_time, NULL, 0));
    join(thread);
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, NULL);
    handled = 0;
    thread = start(interrupt_and_wake, &self);
    CALL(futex(&first, FUTEX_WAIT, 0, NULL, NULL, 0));
    join(thread);
    thread = start(interrupt, &self);
    CALL(futex(&first, FUTEX_WAIT, 0, &long_time, NULL, 0));
    join(thread);
}

static struct waitv vector[3];

static void *wait_for_any(void *argument)
{
    ids[0] = tid();
    return (void *)syscall(SYS_WAITV, vector, 3, 0, argument, CLOCK_MONOTONIC);
}

static void newer_calls(void)
{
    struct timespec past = { 0, 0 };
    uint32_t *words[] = { &first, &second, &third };
    for (int i = 0; i < 3; i++)
        vector[i] = (struct waitv){ *words[i], (uintptr_t)words[i], 2 | 128, 0 };
    ids[0] = 0;
    pthread_t thread = start(wait_for_any, NULL);
    until(&ids[0], 1);
    until_asleep(ids[0]);
    CALL(futex(&second, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    NUMBER((long)join(thread));
    CALL(futex(&first, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    CALL(syscall(SYS_WAITV, vector, 3, 0, &past, CLOCK_MONOTONIC));
    CALL(syscall(SYS_WAITV, vector, 3, 0, &past, CLOCK_REALTIME));
    CALL(syscall(SYS_WAITV, vector, 3, 0, &past, CLOCK_BOOTTIME));
    CALL(syscall(SYS_WAITV, vector, 3, 1, NULL, 0));
    CALL(syscall(SYS_WAITV, vector, 0, 0, NULL, 0));
    CALL(syscall(SYS_WAITV, vector, 129, 0, NULL, 0));
    CALL(syscall(SYS_WAITV, NULL, 1, 0, NULL, 0));
    vector[1].value = 9;
    CALL(syscall(SYS_WAITV, vector, 3, 0, NULL, 0));
    vector[1].value = 1ull << 33;
    CALL(syscall(SYS_WAITV, vector, 3, 0, NULL, 0));
    vector[1] = vector[0];
    vector[1].flags = 128;
    CALL(syscall(SYS_WAITV, vector, 3, 0, NULL, 0));
    vector[1].flags = 2 | 16;
    CALL(syscall(SYS_WAITV, vector, 3, 0, NULL, 0));
    vector[1] = vector[0];
    vector[1].reserved = 1;
    CALL(syscall(SYS_WAITV, vector, 3, 0, NULL, 0));
}

int main(void)
{
    enter_scratch();
    errors();
    wakes();
    requeues();
    shared_memory(MAP_SHARED | MAP_ANONYMOUS, -1);
    int fd = open("words", O_RDWR | O_CREAT, 0600);
    ftruncate(fd, 8192);
    shared_memory(MAP_SHARED, fd);
    interruptions();
    newer_calls();
    return 0;
}
