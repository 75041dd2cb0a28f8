// /proc of processes: stat, status, maps, cmdline, exe, fd, fdinfo, environ, comm, cwd, root,
// task, limits, mounts, and what there is of the system.
#include "children.h"
#include <dirent.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static char base[64];

static const char *path(pid_t pid, const char *name)
{
    static char text[128];
    snprintf(text, sizeof text, "/proc/%d/%s", pid, name);
    return text;
}

/* The whole content, for searching. */
static char *content(const char *name)
{
    static char text[200000];
    size_t length = 0;
    ssize_t part;
    int fd = open(name, O_RDONLY);
    if (fd < 0)
        return (char *)errno_name(errno);
    while ((part = read(fd, text + length, sizeof text - 1 - length)) > 0)
        length += part;
    close(fd);
    text[length] = 0;
    return text;
}

/* The value of a line `Name:\tvalue` of a status file. */
static const char *field(const char *file, const char *name)
{
    static char value[256];
    char *line = content(file);
    size_t length = strlen(name);
    while (line && !(strncmp(line, name, length) == 0 && line[length] == ':'))
        line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
    if (!line)
        return "no such line";
    line += length + 1;
    line += strspn(line, " \t");
    snprintf(value, sizeof value, "%.*s", (int)strcspn(line, "\n"), line);
    return value;
}

static const char *last_part(const char *name)
{
    static char target[PATH_MAX];
    ssize_t length = readlink(name, target, sizeof target - 1);
    if (length < 0)
        return errno_name(errno);
    target[length] = 0;
    char *slash = strrchr(target, '/');
    return slash && slash[1] ? slash : target;
}

/* The C library refuses to do this for the signals that it uses itself. */
static void restore_default(int number)
{
    unsigned long action[4] = { 0 };
    syscall(SYS_rt_sigaction, number, action, NULL, 8);
}

static void of_a_child(void)
{
    struct event go = event_new();
    struct event ready = event_new();
    pid_t pid = CHILD(
        /* Whoever started the program may ignore some, the C library its own two among them. */
        for (int number = 1; number <= 64; number++)
            restore_default(number);
        prctl(PR_SET_NAME, "a) b (c");
        mkdir("here", 0755);
        chdir("here");
        umask(027);
        signal(SIGUSR1, SIG_IGN);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGUSR2);
        setgid(100);
        setpgid(0, 0);
        setpriority(0, 0, 5);
        event_set(ready);
        event_wait(go));
    event_wait(ready);
    TRUTH(reaches_state(pid, 'S'));
    TEXT(content(path(pid, "comm")));
    char *stat = content(path(pid, "stat"));
    TRUTH(atoi(stat) == pid);
    TRUTH(strstr(stat, " (a) b (c) S ") != NULL);
    char state;
    int parent, group, session, nice, threads;
    long exit_signal;
    sscanf(strrchr(stat, ')') + 2,
           "%c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %d %d", &state, &parent,
           &group, &session, &nice, &threads);
    TRUTH(parent == getpid());
    TRUTH(group == pid);
    TRUTH(session == getsid(0));
    NUMBER(nice);
    NUMBER(threads);
    TEXT(field(path(pid, "status"), "Name"));
    TEXT(field(path(pid, "status"), "Umask"));
    TEXT(field(path(pid, "status"), "State"));
    TRUTH(atoi(field(path(pid, "status"), "Pid")) == pid);
    TRUTH(atoi(field(path(pid, "status"), "Tgid")) == pid);
    TRUTH(atoi(field(path(pid, "status"), "PPid")) == getpid());
    TEXT(field(path(pid, "status"), "TracerPid"));
    TEXT(field(path(pid, "status"), "Uid"));
    TEXT(field(path(pid, "status"), "Gid"));
    TEXT(field(path(pid, "status"), "Threads"));
    TEXT(field(path(pid, "status"), "SigPnd"));
    TEXT(field(path(pid, "status"), "SigBlk"));
    TEXT(field(path(pid, "status"), "SigIgn"));
    TEXT(field(path(pid, "status"), "SigCgt"));
    TEXT(field(path(pid, "status"), "NoNewPrivs"));
    TRUTH(atoi(field(path(pid, "status"), "VmSize")) > 0);
    TRUTH(atoi(field(path(pid, "status"), "VmRSS")) > 0);
    TRUTH(atoi(content(path(pid, "statm"))) > 0);
    TEXT(last_part(path(pid, "cwd")));
    TEXT(last_part(path(pid, "root")));
    TEXT(last_part(path(pid, "exe")));
    TRUTH(strcmp(content(path(pid, "cmdline")), program_invocation_name) == 0);
    CALL(access(path(pid, "task"), F_OK));
    char task[64];
    snprintf(task, sizeof task, "task/%d/comm", pid);
    TEXT(content(path(pid, task)));
    CALL(kill(pid, SIGSTOP));
    TRUTH(reaches_state(pid, 'T'));
    TEXT(field(path(pid, "status"), "State"));
    CALL(kill(pid, SIGCONT));
    event_set(go);
    TRUTH(reaches_state(pid, 'Z'));
    TEXT(field(path(pid, "status"), "State"));
    TEXT(content(path(pid, "cmdline")));
    TEXT(last_part(path(pid, "exe")));
    TEXT(last_part(path(pid, "cwd")));
    TEXT(reap(pid));
    CALL(access(path(pid, ""), F_OK));
    CALL(access("/proc/999999", F_OK));
    /* A file that was opened before its process ended. */
    pid = CHILD(pause());
    int fd = open(path(pid, "stat"), O_RDONLY);
    int directory = open(path(pid, ""), O_RDONLY | O_DIRECTORY);
    kill(pid, SIGKILL);
    reap(pid);
    char text[16];
    CALL(read(fd, text, sizeof text));
    CALL(openat(directory, "stat", O_RDONLY));
}

static void descriptors(void)
{
    char name[64];
    int fd = open("file", O_RDWR | O_CREAT | O_APPEND, 0644);
    dup2(fd, 50);
    write(50, "12345", 5);
    lseek(50, 3, SEEK_SET);
    TEXT(last_part("/proc/self/fd/50"));
    TEXT(field("/proc/self/fdinfo/50", "pos"));
    TEXT(field("/proc/self/fdinfo/50", "flags"));
    unlink("file");
    TEXT(last_part("/proc/self/fd/50"));
    /* Opening it opens the file anew, also after the unlinking. */
    int again = open("/proc/self/fd/50", O_RDONLY);
    NUMBER(lseek(again, 0, SEEK_CUR));
    CALL(read(again, name, 5));
    int ends[2];
    pipe(ends);
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[0]);
    TRUTH(strncmp(last_part(name), "pipe:[", 6) == 0);
    struct stat st;
    CALL(stat(name, &st));
    TRUTH(S_ISFIFO(st.st_mode));
    CALL(lstat(name, &st));
    TRUTH(S_ISLNK(st.st_mode));
    printf("%o\n", st.st_mode & 0777);
    CALL(open("/proc/self/fd/77", O_RDONLY));
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, "50") == 0;
    closedir(directory);
    NUMBER(count);
    struct event go = event_new();
    pid_t pid = CHILD(close(50); event_wait(go));
    TRUTH(reaches_state(pid, 'S'));
    TRUTH(strcmp(last_part(path(pid, "fd/50")), "/file (deleted)") == 0 ||
          access(path(pid, "fd/50"), F_OK) != 0);
    event_set(go);
    TEXT(reap(pid));
}

/* The line of /proc/PID/maps in which an address lies, without its numbers. */
static const char *mapping(pid_t pid, const void *address)
{
    static char found[PATH_MAX + 32];
    char *line = content(path(pid, "maps"));
    for (char *next; line && *line; line = next) {
        unsigned long start, end, offset;
        char access[5];
        int name = 0;
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        if (sscanf(line, "%lx-%lx %4s %lx %*s %*s %n", &start, &end, access, &offset, &name) < 4)
            return "a line that cannot be read";
        if ((unsigned long)address < start || (unsigned long)address >= end)
            continue;
        char *slash = name ? strrchr(line + name, '/') : NULL;
        snprintf(found, sizeof found, "%lx bytes %s offset %lx %s", end - start, access, offset,
                 slash ? slash : name ? line + name : "");
        return found;
    }
    return "not mapped";
}

static void mappings(void)
{
    put("mapped", "content");
    int fd = open("mapped", O_RDWR);
    ftruncate(fd, 16384);
    char *own = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 4096);
    char *shared = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *none = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(none + 4096, 4096, PROT_READ | PROT_EXEC);
    char *anonymous = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int local;
    pid_t pid = CHILD(for (;;) pause());
    for (int i = 0; i < 2; i++) {
        pid_t which = i ? pid : getpid();
        TEXT(mapping(which, own));
        TEXT(mapping(which, shared));
        TEXT(mapping(which, none + 4096));
        TEXT(mapping(which, anonymous));
        TRUTH(strstr(mapping(which, &local), "rw-p") && strstr(mapping(which, &local), "[stack]"));
        TRUTH(strstr(mapping(which, (void *)mapping), "r-xp"));
        TRUTH(strstr(mapping(which, sbrk(0) - 1), "[heap]") != NULL);
        TRUTH(strstr(content(path(which, "maps")), "[vdso]") != NULL);
    }
    unlink("mapped");
    TRUTH(strstr(content("/proc/self/maps"), "mapped (deleted)\n") != NULL);
    kill(pid, SIGKILL);
    TEXT(reap(pid));
}

static void system_wide(void)
{
    TRUTH(atol(field("/proc/meminfo", "MemTotal")) > 0);
    TRUTH(atol(field("/proc/meminfo", "MemFree")) > 0);
    TRUTH(atol(field("/proc/meminfo", "MemAvailable")) > 0);
    TRUTH(strstr(content("/proc/cpuinfo"), "processor\t: 0\n") != NULL);
    TRUTH(strncmp(content("/proc/stat"), "cpu  ", 5) == 0);
    TRUTH(strstr(content("/proc/stat"), "\nbtime ") != NULL);
    TRUTH(atof(content("/proc/uptime")) > 0);
    TRUTH(strlen(content("/proc/loadavg")) > 10);
    TRUTH(strncmp(content("/proc/version"), "Linux version ", 14) == 0);
    TRUTH(atoi(content("/proc/sys/kernel/pid_max")) >= 32768);
    TRUTH(strlen(content("/proc/sys/kernel/hostname")) > 1);
    TEXT(content("/proc/sys/kernel/ostype"));
    TRUTH(strlen(content("/proc/sys/kernel/random/boot_id")) == 37);
    TRUTH(strlen(content("/proc/sys/kernel/random/uuid")) == 37);
    TRUTH(strstr(content("/proc/filesystems"), "nodev\ttmpfs\n") != NULL);
    TRUTH(strstr(content("/proc/mounts"), " /proc proc ") != NULL);
    TRUTH(strstr(content("/proc/self/mounts"), " /proc proc ") != NULL);
    TRUTH(strstr(content("/proc/self/mountinfo"), " /proc ") != NULL);
    TRUTH(strstr(content("/proc/self/limits"), "Max open files") != NULL);
    TEXT(last_part("/proc/self/root"));
    char self[32];
    self[readlink("/proc/self", self, sizeof self)] = 0;
    TRUTH(atoi(self) == getpid());
    int numbers = 0;
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(directory));)
        numbers += atoi(entry->d_name) == getpid();
    closedir(directory);
    NUMBER(numbers);
    CALL(close(open("/proc/self/status", O_WRONLY)));
    CALL(open("/proc/new-file", O_WRONLY | O_CREAT, 0644));
    CALL(mkdir("/proc/new", 0755));
    CALL(unlink("/proc/self/status"));
    int fd = open("/proc/self/comm", O_WRONLY);
    CALL(write(fd, "written", 7));
    char name[17] = "";
    prctl(PR_GET_NAME, name);
    TEXT(name);
}

int main(void)
{
    enter_scratch();
    malloc(100);
    of_a_child();
    descriptors();
    mappings();
    system_wide();
    return 0;
}
