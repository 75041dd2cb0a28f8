// clone, clone3 and vfork for processes: flags, exit signals, what is shared on demand.
#include "children.h"
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#undef CLONE_FILES
#undef CLONE_FS
#undef CLONE_VM
#undef CLONE_VFORK
#undef CLONE_PARENT
#undef CLONE_PARENT_SETTID
#undef CLONE_CHILD_SETTID
#undef CLONE_CHILD_CLEARTID
#undef CLONE_SIGHAND
#undef CLONE_THREAD
enum {
    CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_SIGHAND = 0x800,
    CLONE_VFORK = 0x4000, CLONE_PARENT = 0x8000, CLONE_THREAD = 0x10000,
    CLONE_PARENT_SETTID = 0x100000, CLONE_CHILD_CLEARTID = 0x200000,
    CLONE_CHILD_SETTID = 0x1000000,
};

static volatile int variable;
static int *shared;

static long raw_clone(unsigned long flags, void *stack, int *parent, int *child)
{
    return syscall(SYS_clone, flags, stack, parent, child, 0);
}

static void ids(void)
{
    static int parent, child;
    pid_t pid = raw_clone(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &parent,
                          &child);
    if (pid == 0)
        _exit(child == getpid() && parent == 0 ? 10 : 11);
    TRUTH(parent == pid);
    NUMBER(child);
    TEXT(reap(pid));
    pid = raw_clone(SIGCHLD, NULL, NULL, NULL);
    if (pid == 0)
        _exit(3);
    TEXT(reap(pid));
    /* The address is cleared when the child ends; it is the child's own memory. */
    *shared = 77;
    pid = raw_clone(CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, shared);
    if (pid == 0)
        _exit(0);
    TEXT(reap(pid));
    TRUTH(*shared == 77 || *shared == 0);
}

static void exit_signals(void)
{
    int status;
    pid_t pid = raw_clone(0, NULL, NULL, NULL);
    if (pid == 0)
        _exit(4);
    CALL(waitpid(pid, &status, 0));
    TRUTH(waitpid(pid, &status, __WCLONE) == pid);
    TEXT(status_words(status));
    pid = raw_clone(0, NULL, NULL, NULL);
    if (pid == 0)
        _exit(5);
    TRUTH(waitpid(pid, &status, __WALL) == pid);
    TEXT(status_words(status));
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    pid = raw_clone(SIGUSR1, NULL, NULL, NULL);
    if (pid == 0)
        _exit(6);
    siginfo_t info;
    NUMBER(sigwaitinfo(&mask, &info));
    TRUTH(info.si_pid == pid);
    TRUTH(info.si_code == CLD_EXITED);
    NUMBER(info.si_status);
    TRUTH(waitpid(pid, &status, __WALL) == pid);
    sigprocmask(SIG_UNBLOCK, &mask, NULL);
}

static void sharing(void)
{
    struct stat st;
    enter_scratch();
    mkdir("sub", 0755);
    int fd = open("/dev/null", O_RDONLY);
    pid_t pid = raw_clone(CLONE_FILES | SIGCHLD, NULL, NULL, NULL);
    if (pid == 0) {
        close(fd);
        _exit(open("/dev/zero", O_RDONLY) != fd);
    }
    TEXT(reap(pid));
    CALL(fstat(fd, &st));
    TRUTH(st.st_rdev == 0x105);
    close(fd);
    pid = raw_clone(CLONE_FS | SIGCHLD, NULL, NULL, NULL);
    if (pid == 0) {
        umask(011);
        _exit(chdir("sub"));
    }
    TEXT(reap(pid));
    char path[4096];
    TEXT(strrchr(getcwd(path, sizeof path), '/'));
    NUMBER(umask(022));
    /* CLONE_PARENT: a sibling. */
    pid_t self = getpid();
    int ends[2];
    pipe(ends);
    IN_CHILD(
        pid = raw_clone(CLONE_PARENT | SIGCHLD, NULL, NULL, NULL);
        if (pid == 0)
            _exit(getppid() == self ? 21 : 22);
        write(ends[1], &pid, sizeof pid);
        CALL(waitpid(pid, NULL, 0)));
    read(ends[0], &pid, sizeof pid);
    TEXT(reap(pid));
}

static int in_shared_memory(void *argument)
{
    variable = (int)(long)argument;
    return 8;
}

static void memory(void)
{
    char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int clone(int (*)(void *), void *, int, void *, ...);
    pid_t pid = clone(in_shared_memory, stack + 65536, CLONE_VM | SIGCHLD, (void *)41);
    TEXT(reap(pid));
    NUMBER(variable);
    pid = clone(in_shared_memory, stack + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)42);
    NUMBER(variable);
    TEXT(reap(pid));
    pid = clone(in_shared_memory, stack + 65536, SIGCHLD, (void *)43);
    TEXT(reap(pid));
    NUMBER(variable);
    variable = 0;
    pid = vfork();
    if (pid == 0) {
        variable = 5;
        _exit(6);
    }
    NUMBER(variable);
    TEXT(reap(pid));
}

static void refused(void)
{
    CALL(raw_clone(CLONE_THREAD | SIGCHLD, NULL, NULL, NULL));
    CALL(raw_clone(CLONE_SIGHAND | SIGCHLD, NULL, NULL, NULL));
    CALL(raw_clone(CLONE_THREAD | CLONE_SIGHAND | SIGCHLD, NULL, NULL, NULL));
    struct clone_args args = { 0 };
    CALL(syscall(SYS_clone3, &args, 10));
    CALL(syscall(SYS_clone3, NULL, sizeof args));
    CALL(syscall(SYS_clone3, &args, 1 << 20));
    args.exit_signal = 65;
    CALL(syscall(SYS_clone3, &args, sizeof args));
    args = (struct clone_args){ .exit_signal = SIGCHLD, .stack = 4096 };
    CALL(syscall(SYS_clone3, &args, sizeof args));
    args = (struct clone_args){ .exit_signal = SIGCHLD, .stack_size = 4096 };
    CALL(syscall(SYS_clone3, &args, sizeof args));
    args = (struct clone_args){ .flags = SIGCHLD };
    CALL(syscall(SYS_clone3, &args, sizeof args));
    struct { struct clone_args args; long more; } larger = { .more = 1 };
    CALL(syscall(SYS_clone3, &larger, sizeof larger));
}

static void clone3(void)
{
    static int parent, child;
    struct clone_args args = {
        .flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID,
        .exit_signal = SIGCHLD,
        .parent_tid = (long)&parent,
        .child_tid = (long)&child,
    };
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        _exit(child == getpid() ? 30 : 31);
    TRUTH(parent == pid);
    TEXT(reap(pid));
    args = (struct clone_args){ .exit_signal = SIGCHLD };
    pid = syscall(SYS_clone3, &args, CLONE_ARGS_SIZE_VER0);
    if (pid == 0)
        _exit(32);
    TEXT(reap(pid));
    struct { struct clone_args args; long more; } larger = { .args.exit_signal = SIGCHLD };
    pid = syscall(SYS_clone3, &larger, sizeof larger);
    if (pid == 0)
        _exit(33);
    TEXT(reap(pid));
}

int main(void)
{
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ids();
    exit_signals();
    sharing();
    memory();
    refused();
    clone3();
    return 0;
}
