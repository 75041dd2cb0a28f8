// SIGCHLD: its siginfo, SA_NOCLDSTOP, SA_NOCLDWAIT, SIG_IGN, and interrupted waits.
#include "children.h"

static volatile int count, code, status;
static volatile pid_t sender;

static void on_child(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    count++;
    code = info->si_code;
    status = info->si_status;
    sender = info->si_pid;
}

static void set(int flags)
{
    struct sigaction action = { .sa_sigaction = on_child, .sa_flags = SA_SIGINFO | flags };
    sigaction(SIGCHLD, &action, NULL);
    count = 0;
}

static void wait_for(int number)
{
    for (int i = 0; i < 1000 && count < number; i++)
        sleep_ms(10);
}

static void facts(void)
{
    set(0);
    pid_t pid = CHILD(_exit(4));
    wait_for(1);
    NUMBER(count);
    TRUTH(code == CLD_EXITED);
    NUMBER(status);
    TRUTH(sender == pid);
    TEXT(reap(pid));
    set(0);
    pid = CHILD(for (;;) pause());
    kill(pid, SIGSTOP);
    wait_for(1);
    TRUTH(code == CLD_STOPPED);
    NUMBER(status);
    kill(pid, SIGCONT);
    wait_for(2);
    TRUTH(code == CLD_CONTINUED);
    NUMBER(status);
    kill(pid, SIGTERM);
    wait_for(3);
    TRUTH(code == CLD_KILLED);
    NUMBER(status);
    NUMBER(count);
    TEXT(reap(pid));
}

static void no_stops(void)
{
    int found;
    set(SA_NOCLDSTOP);
    pid_t pid = CHILD(for (;;) pause());
    kill(pid, SIGSTOP);
    TRUTH(waitpid(pid, &found, WUNTRACED) == pid);
    TEXT(status_words(found));
    kill(pid, SIGCONT);
    TRUTH(waitpid(pid, &found, WCONTINUED) == pid);
    TEXT(status_words(found));
    NUMBER(count);
    kill(pid, SIGKILL);
    TEXT(reap(pid));
    NUMBER(count);
}

static void no_zombies(void)
{
    set(SA_NOCLDWAIT);
    CHILD(_exit(1));
    wait_for(1);
    CHILD(sleep_ms(100));
    CALL(waitpid(-1, NULL, 0));
    TRUTH(count >= 1);
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = CHILD(_exit(1));
    CHILD(sleep_ms(100));
    CALL(wait(NULL));
    CALL(waitpid(pid, NULL, 0));
    CALL(kill(pid, 0));
    /* By default the signal is ignored too, but then zombies wait. */
    signal(SIGCHLD, SIG_DFL);
    pid = CHILD(_exit(6));
    TRUTH(reaches_state(pid, 'Z'));
    signal(SIGCHLD, SIG_IGN);
    TEXT(reap(pid));
    signal(SIGCHLD, SIG_DFL);
}

static void interrupted(void)
{
    struct sigaction action = { .sa_sigaction = on_child, .sa_flags = SA_SIGINFO };
    sigaction(SIGUSR1, &action, NULL);
    struct event go = event_new();
    pid_t parent = getpid();
    pid_t pid = CHILD(
        event_wait(go);
        reaches_state(parent, 'S');
        kill(parent, SIGUSR1);
        event_wait(go));
    event_set(go);
    CALL(waitpid(pid, NULL, 0));
    event_set(go);
    TEXT(reap(pid));
    action.sa_flags |= SA_RESTART;
    sigaction(SIGUSR1, &action, NULL);
    count = 0;
    pid = CHILD(
        event_wait(go);
        reaches_state(parent, 'S');
        kill(parent, SIGUSR1);
        sleep_ms(50);
        _exit(3));
    event_set(go);
    int found;
    TRUTH(waitpid(pid, &found, 0) == pid);
    TEXT(status_words(found));
    NUMBER(count);
}

static void blocked(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    set(0);
    pid_t one = CHILD(_exit(1));
    TEXT(reap(one));
    pid_t two = CHILD(_exit(2));
    TEXT(reap(two));
    NUMBER(count);
    sigset_t pending;
    sigpending(&pending);
    TRUTH(sigismember(&pending, SIGCHLD));
    siginfo_t info;
    NUMBER(sigwaitinfo(&mask, &info));
    TRUTH(info.si_pid == one);
    NUMBER(info.si_status);
    struct timespec none = { 0, 0 };
    CALL(sigtimedwait(&mask, &info, &none));
    sigprocmask(SIG_UNBLOCK, &mask, NULL);
    NUMBER(count);
}

int main(void)
{
    facts();
    no_stops();
    no_zombies();
    interrupted();
    blocked();
    return 0;
}
