// The threads of a process: numbers, /proc, who ends whom, exec and fork from threads.
// build: glibc musl
#include "threads.h"
#include <dirent.h>
#include <sys/resource.h>

static volatile int counter;
static int ids[4];

static int tasks(void)
{
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    if (directory)
        closedir(directory);
    return count;
}

static void *wait_here(void *argument)
{
    int at = (int)(long)argument;
    ids[at] = tid();
    add(&counter);
    for (;;)
        pause();
    return NULL;
}

static void begin(int count)
{
    counter = 0;
    for (long i = 0; i < count; i++)
        start(wait_here, (void *)i);
    until(&counter, count);
}

static void numbers(void)
{
    begin(3);
    TRUTH(tid() == getpid());
    TRUTH(ids[0] != getpid() && ids[0] != ids[1] && ids[1] != ids[2]);
    NUMBER(tasks());
    CALL(syscall(SYS_tgkill, getpid(), ids[0], 0));
    CALL(syscall(SYS_tkill, ids[1], 0));
    CALL(syscall(SYS_tgkill, ids[0], ids[1], 0));
    CALL(syscall(SYS_tgkill, getpid(), 4000000, 0));
    CALL(syscall(SYS_tkill, 0, 0));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", ids[2]);
    put(path, "crab");
    TEXT(get(path));
    snprintf(path, sizeof path, "/proc/%d/task/%d/comm", getpid(), ids[2]);
    TEXT(get(path));
    struct rusage usage;
    CALL(getrusage(RUSAGE_THREAD, &usage));
    unsigned processor = 9;
    CALL(syscall(SYS_getcpu, &processor, NULL, NULL) == 0 && processor < 4096);
    exit(3);
}

static void *exit_group_of_all(void *argument)
{
    exit((int)(long)argument);
}

static void group_exit(void)
{
    begin(3);
    start(exit_group_of_all, (void *)44);
    for (;;)
        pause();
}

static void *last(void *argument)
{
    sleep_ms(20);
    TRUTH(getpid() == (int)(long)argument);
    NUMBER(tasks() >= 1);
    syscall(SYS_exit, 55);
    return NULL;
}

static void leader_first(void)
{
    start(last, (void *)(long)getpid());
    syscall(SYS_exit, 33);
}

static void *compute(void *argument)
{
    add(&counter);
    for (;;)
        ;
    return argument;
}

static void killed_while_computing(void)
{
    counter = 0;
    start(compute, NULL);
    start(compute, NULL);
    until(&counter, 2);
    kill(getpid(), SIGKILL);
    for (;;)
        ;
}

static void *execute(void *argument)
{
    char *const arguments[] = { "/proc/self/exe", argument, NULL };
    execv("/proc/self/exe", arguments);
    printf("exec: %s\n", errno_name(errno));
    return NULL;
}

static void exec_from_thread(void)
{
    begin(3);
    char id[16];
    snprintf(id, sizeof id, "%d", getpid());
    start(compute, NULL);
    start(execute, id);
    for (;;)
        pause();
}

static void exec_from_leader(void)
{
    begin(2);
    start(compute, NULL);
    char id[16];
    snprintf(id, sizeof id, "%d", getpid());
    execute(id);
}

static void *execute_or_end(void *argument)
{
    add(&counter);
    until(&counter, 3);
    return execute(argument);
}

static void exec_from_all(void)
{
    char id[16];
    snprintf(id, sizeof id, "%d", getpid());
    start(execute_or_end, id);
    start(execute_or_end, id);
    execute_or_end(id);
    for (;;)
        pause();
}

static void *fork_here(void *argument)
{
    pid_t pid = fork();
    if (pid == 0) {
        TRUTH(tid() == getpid());
        NUMBER(tasks());
        _exit(21);
    }
    wait_for(pid);
    return argument;
}

static void fork_from_thread(void)
{
    begin(2);
    join(start(fork_here, NULL));
    NUMBER(tasks());
    exit(0);
}

static void *vfork_here(void *argument)
{
    pid_t pid = vfork();
    if (pid == 0)
        _exit(22);
    wait_for(pid);
    return argument;
}

static void vfork_from_thread(void)
{
    join(start(vfork_here, NULL));
    exit(0);
}

static void run(const char *name, void (*what)(void))
{
    printf("-- %s\n", name);
    pid_t pid = fork();
    if (pid == 0) {
        what();
        _exit(99);
    }
    wait_for(pid);
}

int main(int count, char **arguments)
{
    if (count > 1) {
        TRUTH(getpid() == atoi(arguments[1]));
        TRUTH(tid() == getpid());
        NUMBER(tasks());
        return 66;
    }
    run("numbers", numbers);
    run("exit_group", group_exit);
    run("the leader ends first", leader_first);
    run("killed while computing", killed_while_computing);
    run("exec from a thread", exec_from_thread);
    run("exec from the leader", exec_from_leader);
    run("exec from all", exec_from_all);
    run("fork from a thread", fork_from_thread);
    run("vfork from a thread", vfork_from_thread);
    return 0;
}
