// wait4, waitpid and waitid: statuses, options, who is found, and what is told.
// build: glibc musl
#include "children.h"
#include <sys/resource.h>

static const char *code_name(int code)
{
    switch (code) {
    case CLD_EXITED: return "CLD_EXITED";
    case CLD_KILLED: return "CLD_KILLED";
    case CLD_DUMPED: return "CLD_DUMPED";
    case CLD_STOPPED: return "CLD_STOPPED";
    case CLD_CONTINUED: return "CLD_CONTINUED";
    }
    return "another code";
}

static void show(const siginfo_t *info, pid_t pid)
{
    printf("signo %d, errno %d, %s, status %d, pid %s, uid %d\n", info->si_signo,
           info->si_errno, code_name(info->si_code), info->si_status,
           info->si_pid == pid ? "right" : info->si_pid == 0 ? "0" : "wrong", info->si_uid);
}

static void statuses(void)
{
    IN_CHILD(_exit(0));
    IN_CHILD(_exit(255));
    IN_CHILD(_exit(256 + 3));
    IN_CHILD(_exit(-1));
    IN_CHILD(raise(SIGKILL));
    IN_CHILD(raise(SIGTERM));
    IN_CHILD(raise(SIGUSR2));
    IN_CHILD(raise(SIGRTMIN + 1));
    IN_CHILD(raise(SIGCHLD));
    IN_CHILD(abort());
    IN_CHILD(*(volatile int *)8 = 1);
    IN_CHILD(exit(42));
    int status;
    pid_t pid = CHILD(_exit(77));
    TRUTH(wait(&status) == pid);
    HEX(status);
    pid = CHILD(raise(SIGKILL));
    TRUTH(wait(&status) == pid);
    HEX(status);
    CALL(wait(&status));
}

static void errors(void)
{
    int status;
    siginfo_t info;
    CALL(waitpid(-1, &status, 0));
    CALL(waitpid(-1, &status, WNOHANG));
    CALL(waitpid(getpid(), &status, 0));
    CALL(waitpid(getppid(), &status, 0));
    CALL(waitpid(-1, &status, 0x40));
    CALL(waitpid(INT32_MIN, &status, 0));
    CALL(waitid(P_ALL, 0, &info, WEXITED));
    CALL(waitid(P_ALL, 0, &info, 0));
    CALL(waitid(P_ALL, 0, &info, WNOHANG));
    CALL(waitid(99, 0, &info, WEXITED));
    CALL(waitid(P_PID, 0, &info, WEXITED));
    CALL(waitid(P_PID, -5, &info, WEXITED));
    CALL(waitid(P_PGID, -5, &info, WEXITED));
    pid_t pid = CHILD(_exit(1));
    CALL(waitpid(pid + 1000, &status, 0));
    CALL(waitid(P_PID, pid, &info, WEXITED | 0x10000));
    TEXT(reap(pid));
    pid = CHILD(_exit(1));
    TRUTH(waitpid(pid, NULL, 0) == pid);
    pid = CHILD(_exit(1));
    TRUTH(reaches_state(pid, 'Z'));
    CALL(wait4(pid, (int *)8, 0, NULL));
    CALL(wait4(pid, NULL, 0, NULL));
}

static void without_waiting(void)
{
    struct event go = event_new();
    pid_t pid = CHILD(event_wait(go); _exit(5));
    int status = -1;
    siginfo_t info;
    CALL(waitpid(pid, &status, WNOHANG));
    NUMBER(status);
    memset(&info, 0xff, sizeof info);
    CALL(waitid(P_PID, pid, &info, WEXITED | WNOHANG));
    NUMBER(info.si_pid);
    NUMBER(info.si_signo);
    event_set(go);
    CALL(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    show(&info, pid);
    CALL(waitid(P_PID, pid, &info, WEXITED | WNOWAIT | WNOHANG));
    show(&info, pid);
    TRUTH(process_state(pid) == 'Z');
    CALL(kill(pid, 0));
    CALL(kill(pid, SIGKILL));
    CALL(waitid(P_PID, pid, &info, WEXITED | WNOHANG));
    show(&info, pid);
    CALL(waitid(P_PID, pid, &info, WEXITED | WNOHANG));
}

static void told(void)
{
    siginfo_t info;
    pid_t pid = CHILD(_exit(9));
    CALL(waitid(P_ALL, 0, &info, WEXITED));
    show(&info, pid);
    pid = CHILD(raise(SIGTERM));
    CALL(waitid(P_PID, pid, &info, WEXITED));
    show(&info, pid);
    pid = CHILD(_exit(0));
    CALL(waitid(P_PID, pid, NULL, WEXITED));
    struct rusage use;
    memset(&use, 0xff, sizeof use);
    /* Linux counts pages in batches: a few do not show. */
    pid = CHILD(volatile unsigned long sum = 0;
                memset(malloc(4 << 20), 1, 4 << 20);
                for (unsigned long i = 0; i < 60000000; i++) sum += i);
    TRUTH(wait4(pid, NULL, 0, &use) == pid);
    TRUTH(use.ru_utime.tv_sec > 0 || use.ru_utime.tv_usec > 5000);
    TRUTH(use.ru_utime.tv_sec < 30);
    TRUTH(use.ru_maxrss > 0);
}

static void stops(void)
{
    int status;
    siginfo_t info;
    pid_t pid = CHILD(for (;;) pause());
    CALL(kill(pid, SIGSTOP));
    CALL(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT));
    show(&info, pid);
    TRUTH(waitpid(pid, &status, WUNTRACED) == pid);
    TEXT(status_words(status));
    HEX(status);
    CALL(waitpid(pid, &status, WUNTRACED | WNOHANG));
    TRUTH(process_state(pid) == 'T');
    CALL(kill(pid, SIGTERM));
    CALL(waitpid(pid, &status, WUNTRACED | WNOHANG));
    TRUTH(process_state(pid) == 'T');
    CALL(kill(pid, SIGCONT));
    TEXT(reap(pid));
    /* A group of its own, with a parent outside of it: no orphaned group, so it stops. */
    pid = CHILD(setpgid(0, 0); for (;;) pause());
    setpgid(pid, pid);
    CALL(kill(pid, SIGTSTP));
    TRUTH(waitpid(pid, &status, WUNTRACED) == pid);
    TEXT(status_words(status));
    CALL(kill(pid, SIGCONT));
    TRUTH(waitpid(pid, &status, WCONTINUED) == pid);
    TEXT(status_words(status));
    HEX(status);
    CALL(waitpid(pid, &status, WCONTINUED | WNOHANG));
    CALL(kill(pid, SIGSTOP));
    CALL(waitid(P_PID, pid, &info, WSTOPPED));
    show(&info, pid);
    CALL(kill(pid, SIGCONT));
    CALL(waitid(P_PID, pid, &info, WCONTINUED));
    show(&info, pid);
    CALL(kill(pid, SIGSTOP));
    CALL(waitid(P_PID, pid, &info, WSTOPPED));
    CALL(kill(pid, SIGKILL));
    TEXT(reap(pid));
}

static void groups(void)
{
    struct event go = event_new();
    siginfo_t info;
    pid_t one = CHILD(setpgid(0, 0); event_wait(go); _exit(1));
    setpgid(one, one);
    pid_t two = CHILD(setpgid(0, one); event_wait(go); _exit(2));
    setpgid(two, one);
    pid_t three = CHILD(_exit(3));
    int status;
    TRUTH(waitpid(0, &status, 0) == three);
    CALL(waitpid(0, &status, 0));
    CALL(waitpid(-one, &status, WNOHANG));
    CALL(waitid(P_PGID, one, &info, WEXITED | WNOHANG));
    CALL(waitpid(-two, &status, WNOHANG));
    CALL(kill(two, SIGKILL));
    CALL(waitid(P_PGID, one, &info, WEXITED));
    show(&info, two);
    event_set(go);
    TRUTH(waitpid(-one, &status, 0) == one);
    TEXT(status_words(status));
    CALL(waitpid(-one, &status, 0));
}

int main(void)
{
    statuses();
    errors();
    without_waiting();
    told();
    stops();
    groups();
    return 0;
}
