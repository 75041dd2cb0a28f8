// Process groups and sessions: setpgid, setsid, getpgid, getsid, kill to groups.
// build: glibc musl
#include "children.h"
#include <sys/resource.h>

static int got;

static void count(int number)
{
    (void)number;
    got++;
}

static void rules(void)
{
    struct event go = event_new();
    struct event ready = event_new();
    IN_CHILD(
        TRUTH(getpgid(0) == getpgrp());
        CALL(setpgid(0, -1));
        CALL(setpgid(-1, 0));
        CALL(setpgid(getppid(), 0));
        CALL(setpgid(0, 0));
        TRUTH(getpgrp() == getpid());
        CALL(setpgid(0, 0));
        CALL(setsid());
        CALL(getpgid(999999));
        CALL(getsid(999999));
        CALL(getpgid(-1));
        CALL(getsid(-1)));
    IN_CHILD(
        TRUTH(setsid() == getpid());
        TRUTH(getsid(0) == getpid());
        TRUTH(getpgrp() == getpid());
        TRUTH(getsid(getppid()) != getpid());
        CALL(setsid());
        CALL(setpgid(0, 0));
        CALL(setpgid(0, getpgid(getppid())));
        IN_CHILD(
            TRUTH(getsid(0) == getppid());
            TRUTH(getpgrp() == getppid());
            CALL(setpgid(0, 0));
            CALL(setpgid(0, 4000000))));
    /* A parent moves a child, not one of another session, and to no strange group. */
    pid_t pid = CHILD(event_wait(go));
    CALL(setpgid(pid, pid));
    TRUTH(getpgid(pid) == pid);
    CALL(setpgid(pid, 4000000));
    TRUTH(setpgid(pid, getpgrp()) == 0);
    event_set(go);
    TEXT(reap(pid));
    pid = CHILD(setsid(); event_set(ready); event_wait(go));
    event_wait(ready);
    CALL(setpgid(pid, pid));
    CALL(setpgid(pid, getpgrp()));
    TRUTH(getsid(pid) == pid);
    event_set(go);
    TEXT(reap(pid));
}

static void signals_to_groups(void)
{
    struct event ready = event_new();
    pid_t first = 0;
    pid_t pids[3];
    for (int i = 0; i < 3; i++) {
        pids[i] = CHILD(
            setpgid(0, first);
            event_set(ready);
            for (;;) pause());
        if (!first)
            first = pids[i];
        event_wait(ready);
    }
    pid_t outside = CHILD(for (;;) pause());
    CALL(kill(-first, 0));
    CALL(killpg(first, SIGTERM));
    for (int i = 0; i < 3; i++)
        TEXT(reap(pids[i]));
    CALL(waitpid(outside, NULL, WNOHANG));
    CALL(kill(-first, 0));
    CALL(kill(-first, SIGTERM));
    CALL(kill(outside, 65));
    CALL(kill(outside, -1));
    CALL(kill(outside, SIGKILL));
    TEXT(reap(outside));
    /* 0 is the caller's own group. */
    IN_CHILD(
        setpgid(0, 0);
        signal(SIGUSR1, count);
        pid_t pid = CHILD(for (;;) pause());
        signal(SIGUSR2, count);
        CALL(kill(0, SIGUSR2));
        NUMBER(got);
        TEXT(reap(pid)));
    CALL(kill(999999, SIGTERM));
    CALL(kill(-999999, SIGTERM));
}

static void orphaned_groups(void)
{
    struct event ready = event_new();
    int status;
    /* The terminal's stop signals do nothing in an orphaned group. */
    pid_t pid = CHILD(
        setsid();
        signal(SIGUSR1, count);
        event_set(ready);
        while (!got)
            sleep_ms(1);
        _exit(12));
    event_wait(ready);
    CALL(kill(pid, SIGTSTP));
    CALL(kill(pid, SIGTTIN));
    CALL(kill(pid, SIGTTOU));
    CALL(waitpid(pid, &status, WUNTRACED | WNOHANG));
    CALL(kill(pid, SIGUSR1));
    TEXT(reap(pid));
    /* A group that becomes orphaned with a stopped member gets SIGHUP and SIGCONT. */
    int ends[2];
    pipe(ends);
    IN_CHILD(
        setsid();
        pid_t member = CHILD(
            setpgid(0, 0);
            close(ends[0]);
            for (;;) pause());
        setpgid(member, member);
        kill(member, SIGSTOP);
        waitpid(member, &status, WUNTRACED);
        TEXT(status_words(status)));
    close(ends[1]);
    char byte;
    CALL(read(ends[0], &byte, 1));
    close(ends[0]);
}

static void stop_and_continue(void)
{
    struct event ready = event_new();
    /* SIGCONT wakes a stopped process also when it is blocked or ignored. */
    pid_t pid = CHILD(
        sigset_t mask;
        sigemptyset(&mask);
        sigaddset(&mask, SIGCONT);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        event_set(ready);
        int number;
        sigwait(&mask, &number);
        NUMBER(number));
    event_wait(ready);
    int status;
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    TEXT(status_words(status));
    kill(pid, SIGCONT);
    TEXT(reap(pid));
    /* A pending stop is taken away by SIGCONT, and the other way round. */
    pid = CHILD(
        sigset_t mask;
        sigset_t now;
        sigemptyset(&mask);
        sigaddset(&mask, SIGTSTP);
        sigaddset(&mask, SIGCONT);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        raise(SIGTSTP);
        sigpending(&now);
        TRUTH(sigismember(&now, SIGTSTP));
        raise(SIGCONT);
        sigpending(&now);
        TRUTH(sigismember(&now, SIGTSTP));
        TRUTH(sigismember(&now, SIGCONT));
        raise(SIGTSTP);
        sigpending(&now);
        TRUTH(sigismember(&now, SIGTSTP));
        TRUTH(sigismember(&now, SIGCONT)));
    TEXT(reap(pid));
    /* A stopped sleeper's time goes on, and the handler of SIGCONT runs. */
    pid = CHILD(
        signal(SIGCONT, count);
        event_set(ready);
        struct timespec time = { 5, 0 };
        CALL(nanosleep(&time, &time));
        NUMBER(got));
    event_wait(ready);
    TRUTH(reaches_state(pid, 'S'));
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGCONT);
    TEXT(reap(pid));
}

static void priorities(void)
{
    /* The runner may have been started with another nice value. */
    setpriority(PRIO_PROCESS, 0, 0);
    IN_CHILD(
        NUMBER(nice(3));
        NUMBER(getpriority(PRIO_PROCESS, 0));
        IN_CHILD(NUMBER(getpriority(PRIO_PROCESS, 0)));
        CALL(setpriority(PRIO_PROCESS, 0, 100));
        NUMBER(getpriority(PRIO_PROCESS, 0));
        CALL(getpriority(PRIO_PROCESS, 999999));
        CALL(getpriority(77, 0));
        CALL(setpriority(PRIO_PROCESS, 999999, 1)));
    NUMBER(getpriority(PRIO_PROCESS, 0));
}

int main(void)
{
    rules();
    signals_to_groups();
    orphaned_groups();
    stop_and_continue();
    priorities();
    return 0;
}
