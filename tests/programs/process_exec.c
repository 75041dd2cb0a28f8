// execve: what a program keeps and what it loses, its arguments and environment, /proc/self.
// build: glibc musl
#include "children.h"
#include <limits.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

extern char **environ;
static char self[PATH_MAX];

static void handler(int number)
{
    (void)number;
}

/* What the new program finds; the facts are those of `keeps`. */
static int tell_kept(int argc, char **argv)
{
    struct stat st;
    struct sigaction action;
    sigset_t set;
    NUMBER(argc);
    TRUTH(getpid() == atoi(argv[2]));
    TRUTH(getppid() == atoi(argv[3]));
    TRUTH(getpgrp() == getpid());
    CALL(fstat(20, &st));
    CALL(fstat(21, &st));
    NUMBER(lseek(20, 0, SEEK_CUR));
    sigaction(SIGUSR1, NULL, &action);
    TRUTH(action.sa_handler == SIG_DFL && action.sa_flags == 0);
    sigaction(SIGUSR2, NULL, &action);
    TRUTH(action.sa_handler == SIG_IGN);
    sigaction(SIGCHLD, NULL, &action);
    TRUTH(action.sa_handler == SIG_DFL);
    sigprocmask(SIG_BLOCK, NULL, &set);
    TRUTH(sigismember(&set, SIGTERM));
    TRUTH(sigismember(&set, SIGINT));
    sigpending(&set);
    TRUTH(sigismember(&set, SIGTERM));
    stack_t stack;
    sigaltstack(NULL, &stack);
    TRUTH(stack.ss_flags == SS_DISABLE);
    TRUTH(alarm(0) > 900);
    NUMBER(umask(022));
    char path[PATH_MAX];
    TEXT(strrchr(getcwd(path, sizeof path), '/'));
    char name[17] = "";
    prctl(PR_GET_NAME, name);
    TEXT(name);
    int signal = -1;
    prctl(PR_GET_PDEATHSIG, &signal);
    NUMBER(signal);
    NUMBER(prctl(PR_GET_DUMPABLE));
    NUMBER(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    NUMBER(limit.rlim_cur);
    NUMBER(getpriority(PRIO_PROCESS, 0));
    return 41;
}

static void keeps(void)
{
    enter_scratch();
    put("file", "0123456789");
    mkdir("sub", 0755);
    symlink(self, "other-name-of-19-char");
    IN_CHILD(
        char parent[16];
        char pid[16];
        setpgid(0, 0);
        snprintf(pid, sizeof pid, "%d", getpid());
        snprintf(parent, sizeof parent, "%d", getppid());
        int fd = open("file", O_RDONLY);
        dup2(fd, 20);
        dup3(fd, 21, O_CLOEXEC);
        lseek(20, 4, SEEK_SET);
        struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
        sigaction(SIGUSR1, &action, NULL);
        sigaction(SIGCHLD, &action, NULL);
        signal(SIGUSR2, SIG_IGN);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGTERM);
        static char stack[65536];
        sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof stack }, NULL);
        alarm(1000);
        umask(027);
        prctl(PR_SET_NAME, "renamed");
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        prctl(PR_SET_DUMPABLE, 0);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 100, 200 });
        setpriority(PRIO_PROCESS, 0, 4);
        chdir("sub");
        execl("../other-name-of-19-char", "argv0", "kept", pid, parent, NULL));
}

static int tell_arguments(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        TEXT(argv[i]);
    for (char **variable = environ; *variable; variable++)
        TEXT(*variable);
    char text[512];
    int fd = open("/proc/self/cmdline", O_RDONLY);
    ssize_t length = read(fd, text, sizeof text);
    for (ssize_t i = 0; i < length; i++)
        text[i] = text[i] ? text[i] : '|';
    printf("%.*s\n", (int)length, text);
    fd = open("/proc/self/environ", O_RDONLY);
    length = read(fd, text, sizeof text);
    for (ssize_t i = 0; i < length; i++)
        text[i] = text[i] ? text[i] : '|';
    printf("%.*s\n", (int)length, text);
    length = readlink("/proc/self/exe", text, sizeof text);
    TRUTH(length == (ssize_t)strlen(self) && memcmp(text, self, length) == 0);
    return argc;
}

static void arguments(void)
{
    char *variables[] = { "A=1", "B=", "no equals sign", "A=2", NULL };
    IN_CHILD(execle(self, "any name", "arguments", "", "a b", "\\", NULL, variables));
    IN_CHILD(execle(self, "", "arguments", NULL, (char *[]){ NULL }));
    /* No arguments at all: Linux makes argv[0] an empty one. */
    IN_CHILD(syscall(SYS_execve, self, NULL, (char *[]){ "KEY=empty", NULL }));
    IN_CHILD(syscall(SYS_execve, self, (char *[]){ NULL }, NULL));
    clearenv();
    setenv("PATH", "/nowhere:/proc/self", 1);
    setenv("ONLY", "this", 1);
    IN_CHILD(execlp("exe", "by path", "arguments", NULL));
}

/* Memory of the old program is gone: its parent's shared page tells. */
static void memory(void)
{
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *shared = 5;
    pid_t pid = vfork();
    if (pid == 0) {
        execl(self, "x", "exit", "7", NULL);
        _exit(99);
    }
    TEXT(reap(pid));
    NUMBER(*shared);
    /* exec again and again, each with an argument less. */
    IN_CHILD(execl(self, "x", "again", "a", "b", "c", "d", "e", "f", "g", NULL));
    /* A large environment and many arguments. */
    char **many = calloc(3001, sizeof *many);
    for (int i = 2; i < 3000; i++)
        many[i] = "a somewhat longer argument, about forty bytes";
    many[0] = "x";
    many[1] = "count";
    IN_CHILD(execve(self, many, many + 2));
    char *large = malloc(131072);
    memset(large, 'x', 131071);
    large[131071] = 0;
    IN_CHILD(execl(self, "x", "length", large, NULL));
    large = realloc(large, 131073);
    memset(large, 'x', 131072);
    large[131072] = 0;
    IN_CHILD(CALL(execl(self, "x", "length", large, NULL)));
    /* More than a quarter of the stack's limit. */
    IN_CHILD(
        setrlimit(RLIMIT_STACK, &(struct rlimit){ 524288, 8 << 20 });
        large[100000] = 0;
        CALL(execl(self, "x", large, large, NULL)));
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "kept") == 0)
        return tell_kept(argc, argv);
    self[readlink("/proc/self/exe", self, sizeof self - 1)] = 0;
    if ((argc > 1 && strcmp(argv[1], "arguments") == 0)
        || (argc == 1 && (argv[0][0] == 0 || getenv("KEY"))))
        return tell_arguments(argc, argv);
    if (argc > 1 && strcmp(argv[1], "exit") == 0)
        return atoi(argv[2]);
    if (argc > 1 && strcmp(argv[1], "again") == 0) {
        NUMBER(argc);
        argv[argc - 1] = NULL;
        execv(self, argv);
    }
    if (argc == 1 && strcmp(argv[0], "x") == 0)
        return 17;
    if (argc > 1 && strcmp(argv[1], "count") == 0) {
        int count = 0;
        while (environ[count])
            count++;
        printf("%d arguments, %d variables\n", argc, count);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "length") == 0) {
        NUMBER(strlen(argv[2]));
        return 0;
    }
    keeps();
    arguments();
    memory();
    return 0;
}
