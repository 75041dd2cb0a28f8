// Signals to threads: directed and for the process, masks, queues, stops, waits, death.
// build: glibc musl
#include "threads.h"
#include <sys/ucontext.h>

static volatile int ready, taken, taker, value, ids[4];
static __thread volatile int own_taken;

static void note(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    taker = tid();
    value = info->si_value.sival_int;
    own_taken++;
    add(&taken);
}

static void handle(int signal, int flags)
{
    struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | flags };
    sigaction(signal, &action, NULL);
}

static void mask(int how, int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(how, &set, NULL);
}

static void *pause_once(void *argument)
{
    int at = (int)(long)argument;
    ids[at] = tid();
    add(&ready);
    while (own_taken == 0)
        pause();
    return (void *)(long)own_taken;
}

static void directed(void)
{
    handle(SIGUSR1, 0);
    pthread_t threads[3];
    for (long i = 0; i < 3; i++)
        threads[i] = start(pause_once, (void *)i);
    until(&ready, 3);
    for (int i = 2; i >= 0; i--) {
        until_asleep(ids[i]);
        ERROR(pthread_kill(threads[i], SIGUSR1));
        NUMBER((long)join(threads[i]));
        TRUTH(taker == ids[i]);
    }
    // A queued one with a value.
    ready = 0;
    pthread_t thread = start(pause_once, (void *)0);
    until(&ready, 1);
    until_asleep(ids[0]);
    siginfo_t info = { .si_code = SI_QUEUE, .si_value.sival_int = 77 };
    CALL(syscall(SYS_rt_tgsigqueueinfo, getpid(), ids[0], SIGUSR1, &info));
    join(thread);
    NUMBER(value);
    until_gone(ids[0]);
    CALL(syscall(SYS_rt_tgsigqueueinfo, getpid(), ids[0], SIGUSR1, &info));
}

static void *block_and_wait(void *argument)
{
    mask(SIG_BLOCK, SIGUSR2);
    ids[(long)argument] = tid();
    add(&ready);
    until(&taken, 1);
    return NULL;
}

static void *take_for_all(void *argument)
{
    mask(SIG_UNBLOCK, SIGUSR2);
    return pause_once(argument);
}

static void for_the_process(void)
{
    // Only one thread does not block it, and takes it.
    handle(SIGUSR2, 0);
    mask(SIG_BLOCK, SIGUSR2);
    ready = taken = 0;
    pthread_t first = start(block_and_wait, (void *)0), second = start(take_for_all, (void *)1);
    until(&ready, 2);
    until_asleep(ids[1]);
    CALL(kill(getpid(), SIGUSR2));
    join(first);
    join(second);
    TRUTH(taker == ids[1]);
    // All block it: it waits for the process, and all see it.
    CALL(kill(getpid(), SIGUSR2));
    sigset_t waiting;
    sigpending(&waiting);
    NUMBER(sigismember(&waiting, SIGUSR2));
    taken = 0;
    mask(SIG_UNBLOCK, SIGUSR2);
    NUMBER(taken);
    TRUTH(taker == tid());
    // One for a thread that blocks it is seen by nobody else.
    mask(SIG_BLOCK, SIGUSR2);
    CALL(pthread_kill(pthread_self(), SIGUSR2));
    sigpending(&waiting);
    NUMBER(sigismember(&waiting, SIGUSR2));
    taken = 0;
    mask(SIG_UNBLOCK, SIGUSR2);
    NUMBER(taken);
}

static void *wait_for_real_time(void *argument)
{
    sigset_t set;
    siginfo_t info;
    long sum = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    ids[(long)argument] = tid();
    add(&ready);
    for (int i = 0; i < 5; i++) {
        while (sigwaitinfo(&set, &info) < 0)
            ;
        sum += info.si_value.sival_int;
    }
    return (void *)sum;
}

static void waits(void)
{
    mask(SIG_BLOCK, SIGRTMIN + 1);
    ready = 0;
    pthread_t first = start(wait_for_real_time, (void *)0);
    pthread_t second = start(wait_for_real_time, (void *)1);
    until(&ready, 2);
    until_asleep(ids[0]);
    until_asleep(ids[1]);
    for (int i = 1; i <= 10; i++) {
        union sigval sent = { .sival_int = i };
        if (sigqueue(getpid(), SIGRTMIN + 1, sent) != 0)
            puts("sigqueue failed");
    }
    long sum = (long)join(first);
    NUMBER(sum + (long)join(second));
}

static void *compute(void *argument)
{
    add(&ready);
    while (own_taken < 3)
        ;
    return argument;
}

static void preempted(void)
{
    // The thread computes and calls nothing: the signals come all the same.
    ready = 0;
    handle(SIGURG, SA_RESTART);
    pthread_t thread = start(compute, (void *)1);
    until(&ready, 1);
    for (int i = 1; i <= 3; i++) {
        taken = 0;
        pthread_kill(thread, SIGURG);
        until(&taken, 1);
    }
    NUMBER((long)join(thread));
}

static char stacks[2][1 << 16];
static volatile int on_stack[2];

static void note_stack(int signal)
{
    char here;
    (void)signal;
    for (int i = 0; i < 2; i++)
        if (&here >= stacks[i] && &here < stacks[i] + sizeof stacks[i])
            on_stack[i]++;
}

static void *use_stack(void *argument)
{
    long at = (long)argument;
    stack_t stack = { .ss_sp = stacks[at], .ss_size = sizeof stacks[at] }, old;
    sigaltstack(NULL, &old);
    if (old.ss_flags != SS_DISABLE)
        puts("a new thread has an alternate stack");
    sigaltstack(&stack, NULL);
    raise(SIGALRM);
    return NULL;
}

static void alternate_stacks(void)
{
    struct sigaction action = { .sa_handler = note_stack, .sa_flags = SA_ONSTACK };
    sigaction(SIGALRM, &action, NULL);
    pthread_t first = start(use_stack, (void *)0), second = start(use_stack, (void *)1);
    join(first);
    join(second);
    NUMBER(on_stack[0]);
    NUMBER(on_stack[1]);
}

static volatile int *beats;

static void *beat(void *argument)
{
    for (;;) {
        beats[(long)argument]++;
        if (argument)
            sleep_ms(1);
    }
    return NULL;
}

static void stops(void)
{
    beats = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    if (pid == 0) {
        start(beat, (void *)1);
        start(beat, (void *)0);
        for (;;)
            pause();
    }
    until(&beats[0], 1);
    until(&beats[1], 1);
    int status = 0;
    CALL(kill(pid, SIGSTOP));
    TRUTH(waitpid(pid, &status, WUNTRACED) == pid);
    TRUTH(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    int first = beats[0], second = beats[1];
    sleep_ms(30);
    TRUTH(beats[0] == first && beats[1] == second);
    CALL(waitpid(pid, &status, WUNTRACED | WNOHANG));
    CALL(kill(pid, SIGCONT));
    TRUTH(waitpid(pid, &status, WCONTINUED) == pid);
    TRUTH(WIFCONTINUED(status));
    until(&beats[0], first + 1);
    until(&beats[1], second + 1);
    CALL(kill(pid, SIGSTOP));
    TRUTH(waitpid(pid, &status, WUNTRACED) == pid);
    CALL(kill(pid, SIGKILL));
    wait_for(pid);
}

static void *die(void *argument)
{
    if (argument)
        *(volatile int *)argument = 1;
    abort();
}

static void deaths(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        start(beat, (void *)1);
        start(die, (void *)16);
        for (;;)
            pause();
    }
    wait_for(pid);
    pid = fork();
    if (pid == 0) {
        start(die, NULL);
        for (;;)
            ;
    }
    wait_for(pid);
    pid = fork();
    if (pid == 0) {
        start(beat, (void *)1);
        mask(SIG_BLOCK, SIGTERM);
        for (;;)
            pause();
    }
    until(&beats[1], beats[1] + 1);
    CALL(kill(pid, SIGTERM));
    wait_for(pid);
}

int main(void)
{
    puts("-- directed");
    directed();
    puts("-- for the process");
    for_the_process();
    puts("-- waits");
    waits();
    puts("-- preempted");
    preempted();
    puts("-- alternate stacks");
    alternate_stacks();
    puts("-- stops");
    stops();
    puts("-- deaths");
    deaths();
    return 0;
}
