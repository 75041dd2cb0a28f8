// posix_spawn, vfork and exec, system and popen, as libraries and shells use them.
// build: glibc musl
#include "children.h"
#include <limits.h>
#include <spawn.h>

extern char **environ;
static char self[PATH_MAX];

static int child(int argc, char **argv)
{
    if (strcmp(argv[1], "exit") == 0)
        return atoi(argv[2]);
    if (strcmp(argv[1], "copy") == 0) {
        char buffer[256];
        ssize_t length;
        while ((length = read(0, buffer, sizeof buffer)) > 0)
            write(1, buffer, length);
        return 0;
    }
    if (strcmp(argv[1], "print") == 0) {
        for (int i = 2; i < argc; i++)
            printf("%s\n", argv[i]);
        return 0;
    }
    if (strcmp(argv[1], "facts") == 0) {
        sigset_t set;
        struct sigaction action;
        sigprocmask(SIG_BLOCK, NULL, &set);
        TRUTH(sigismember(&set, SIGUSR1));
        TRUTH(sigismember(&set, SIGUSR2));
        sigaction(SIGINT, NULL, &action);
        TRUTH(action.sa_handler == SIG_DFL);
        TRUTH(getpgrp() == getpid());
        TRUTH(getsid(0) == getpid());
        TEXT(getenv("NAME") ? getenv("NAME") : "none");
        return 0;
    }
    return 70;
}

/* Tells of it after the child, whose lines come in between otherwise. */
static void spawn_facts(const posix_spawnattr_t *attributes)
{
    char *variables[] = { "NAME=value", NULL };
    pid_t pid;
    int error = posix_spawn(&pid, self, NULL, attributes, (char *[]){ "x", "facts", NULL },
                            variables);
    TEXT(reap(pid));
    ERROR(error);
}

static void spawned(void)
{
    pid_t pid;
    ERROR(posix_spawn(&pid, self, NULL, NULL, (char *[]){ "x", "exit", "11", NULL }, environ));
    TEXT(reap(pid));
    ERROR(posix_spawn(&pid, "/none", NULL, NULL, (char *[]){ "x", NULL }, environ));
    CALL(wait(NULL));
    ERROR(posix_spawnp(&pid, "no-such-program", NULL, NULL, (char *[]){ "x", NULL }, environ));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "input", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 5, "output", O_WRONLY | O_CREAT, 0644);
    posix_spawn_file_actions_adddup2(&actions, 5, 1);
    posix_spawn_file_actions_addclose(&actions, 5);
    put("input", "from a file\n");
    ERROR(posix_spawn(&pid, self, &actions, NULL, (char *[]){ "x", "copy", NULL }, environ));
    TEXT(reap(pid));
    TEXT(get("output"));
    posix_spawn_file_actions_addclose(&actions, 77);
    posix_spawn_file_actions_addopen(&actions, 0, "absent", O_RDONLY, 0);
    ERROR(posix_spawn(&pid, self, &actions, NULL, (char *[]){ "x", "copy", NULL }, environ));
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    posix_spawnattr_setsigmask(&attributes, &set);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    posix_spawnattr_setsigdefault(&attributes, &set);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
                                          | POSIX_SPAWN_SETPGROUP);
    signal(SIGINT, SIG_IGN);
    spawn_facts(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    spawn_facts(&attributes);
    signal(SIGINT, SIG_DFL);
}

static void vforked(void)
{
    int before = 1;
    volatile int seen = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        seen = before + 1;
        execl(self, "x", "exit", "12", NULL);
        _exit(99);
    }
    NUMBER(seen);
    TEXT(reap(pid));
    pid = vfork();
    if (pid == 0) {
        execl("/none", "x", NULL);
        seen = errno;
        _exit(13);
    }
    TEXT(errno_name(seen));
    TEXT(reap(pid));
    /* The child dies by a signal before it calls anything. */
    pid = vfork();
    if (pid == 0)
        kill(getpid(), SIGKILL);
    TEXT(reap(pid));
    long sum = 0;
    for (int i = 0; i < 50; i++) {
        char number[4];
        int status;
        snprintf(number, sizeof number, "%d", i);
        pid = vfork();
        if (pid == 0) {
            execl(self, "x", "exit", number, NULL);
            _exit(99);
        }
        waitpid(pid, &status, 0);
        sum += WEXITSTATUS(status);
    }
    NUMBER(sum);
}

static void pipeline(void)
{
    int first[2];
    int second[2];
    pipe2(first, O_CLOEXEC);
    pipe2(second, O_CLOEXEC);
    pid_t pids[2];
    pids[0] = CHILD(dup2(first[1], 1); execl(self, "x", "print", "a", "b c", "", NULL));
    pids[1] = CHILD(
        dup2(first[0], 0);
        dup2(second[1], 1);
        execl(self, "x", "copy", NULL));
    close(first[0]);
    close(first[1]);
    close(second[1]);
    char buffer[256];
    size_t length = 0;
    ssize_t part;
    while ((part = read(second[0], buffer + length, sizeof buffer - length)) > 0)
        length += part;
    printf("%.*s", (int)length, buffer);
    TEXT(reap(pids[0]));
    TEXT(reap(pids[1]));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return child(argc, argv);
    self[readlink("/proc/self/exe", self, sizeof self - 1)] = 0;
    enter_scratch();
    spawned();
    vforked();
    pipeline();
    return 0;
}
