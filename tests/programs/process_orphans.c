// Orphans: who becomes their parent, PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, zombies.
// timeout: 90
#include "children.h"
#include <sys/prctl.h>

static int signals;

static void count(int number)
{
    (void)number;
    signals++;
}

static void to_pid_one(void)
{
    struct event go = event_new();
    struct event told = event_new();
    IN_CHILD(
        CHILD(
            event_wait(go);
            TRUTH(getppid() == 1);
            event_set(told)));
    event_set(go);
    event_wait(told);
    CALL(waitpid(-1, NULL, 0));
}

static void to_a_subreaper(void)
{
    int found = -1;
    CALL(prctl(PR_SET_CHILD_SUBREAPER, 1));
    CALL(prctl(PR_GET_CHILD_SUBREAPER, &found));
    NUMBER(found);
    pid_t self = getpid();
    int ends[2];
    pipe(ends);
    struct event go = event_new();
    IN_CHILD(
        pid_t pid = CHILD(
            event_wait(go);
            TRUTH(getppid() == self);
            int inherited = -1;
            prctl(PR_GET_CHILD_SUBREAPER, &inherited);
            NUMBER(inherited);
            _exit(33));
        write(ends[1], &pid, sizeof pid);
        _exit(44));
    event_set(go);
    pid_t orphan;
    read(ends[0], &orphan, sizeof orphan);
    TEXT(reap(orphan));
    /* A zombie whose parent goes away is handed over too, and SIGCHLD comes with it. */
    signal(SIGCHLD, count);
    IN_CHILD(
        pid_t pid = CHILD(_exit(55));
        reaches_state(pid, 'Z');
        write(ends[1], &pid, sizeof pid));
    read(ends[0], &orphan, sizeof orphan);
    TEXT(reap(orphan));
    TRUTH(signals >= 1);
    signal(SIGCHLD, SIG_DFL);
    CALL(prctl(PR_SET_CHILD_SUBREAPER, 0));
    CALL(waitpid(-1, NULL, 0));
}

static void death_signal(void)
{
    int found = -1;
    struct event ready = event_new();
    struct event go = event_new();
    struct event told = event_new();
    CALL(prctl(PR_SET_PDEATHSIG, 65));
    CALL(prctl(PR_SET_PDEATHSIG, SIGUSR1));
    CALL(prctl(PR_GET_PDEATHSIG, &found));
    NUMBER(found);
    IN_CHILD(
        CHILD(
            int inherited = -1;
            prctl(PR_GET_PDEATHSIG, &inherited);
            NUMBER(inherited);
            signal(SIGUSR2, count);
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR2);
            sigprocmask(SIG_BLOCK, &set, NULL);
            CALL(prctl(PR_SET_PDEATHSIG, SIGUSR2));
            event_set(ready);
            int number;
            sigwait(&set, &number);
            event_wait(go);
            TRUTH(number == SIGUSR2);
            TRUTH(getppid() == 1);
            event_set(told));
        event_wait(ready));
    event_set(go);
    event_wait(told);
    prctl(PR_SET_PDEATHSIG, 0);
}

static void many_zombies(void)
{
    enum { COUNT = 100 };
    pid_t pids[COUNT];
    long sum = 0;
    for (int i = 0; i < COUNT; i++)
        pids[i] = CHILD(_exit(i));
    for (int i = COUNT - 1; i >= 0; i--) {
        int status;
        if (waitpid(pids[i], &status, 0) == pids[i])
            sum += WEXITSTATUS(status);
    }
    NUMBER(sum);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++)
            if (pids[i] == pids[j])
                printf("%d and %d have one number\n", i, j);
    CALL(wait(NULL));
}

int main(void)
{
    to_pid_one();
    to_a_subreaper();
    death_signal();
    many_zombies();
    return 0;
}
